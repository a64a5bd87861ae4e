"""Folders, defaults and what loading data and networks puts into a setting."""

import copy
import json
import os
import subprocess
import sys

import pytest

import functions.setting.setting_utils as su
from functions.network.description import network_description
from functions.phantom.patient import DEFAULT_OPTIONS
from functions.setting import schema
from functions.setting.data_sets import DATA_SETS
from functions.setting.errors import InputError, UnknownNameError

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


PHASES = ['T00', 'T10', 'T20', 'T30', 'T40', 'T50', 'T60', 'T70', 'T80', 'T90']


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    monkeypatch.delenv('REGNET_ROOT', raising=False)
    monkeypatch.delenv('REGNET_DATA', raising=False)


class TestRoots:
    def test_root_is_the_current_folder(self, monkeypatch):
        monkeypatch.setenv('REGNET_ROOT', '/elsewhere')
        assert su.root_address_generator('Root') == {
            'RootFolder': './',
            'log_root_folder': './Experiments/',
            'DataFolder': './Data/',
        }

    def test_auto_is_the_repository_from_anywhere(self, tmp_path):
        code = (
            'import functions.setting.setting_utils as su; s = su.initialize_setting("a"); '
            'print(s["RootFolder"], s["DataFolder"], s["where_to_run"])'
        )
        output = subprocess.check_output(
            [sys.executable, '-c', code], cwd=str(tmp_path), env=dict(os.environ, PYTHONPATH=REPOSITORY)
        )
        root = REPOSITORY.replace(os.sep, '/') + '/'
        assert output.decode().split() == [root, root + 'Data/', 'Auto']

    def test_auto_obeys_the_variables(self, monkeypatch):
        monkeypatch.setenv('REGNET_ROOT', '/work here')
        assert su.root_address_generator() == {
            'RootFolder': '/work here/',
            'DataFolder': '/work here/Data/',
            'log_root_folder': '/work here/Experiments/',
        }
        monkeypatch.setenv('REGNET_DATA', '/disk/')
        assert su.root_address_generator('Auto')['DataFolder'] == '/disk/'

    @pytest.mark.parametrize(
        'given', [{}, {'REGNET_ROOT': '/a'}, {'REGNET_DATA': '/a'}, {'REGNET_ROOT': '/a', 'REGNET_DATA': ''}]
    )
    def test_cluster_says_what_is_missing(self, monkeypatch, given):
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(InputError) as caught:
            su.initialize_setting('a', 'Cluster')
        missing = str(caught.value).split('missing: ')[1]
        for name in ('REGNET_ROOT', 'REGNET_DATA'):
            assert (name in missing) == (not given.get(name))

    def test_other_places_are_unknown(self):
        with pytest.raises(UnknownNameError, match='Root, Auto, Cluster'):
            su.root_address_generator('root')


class TestDefaults:
    def test_documented_defaults(self):
        setting = su.initialize_setting('MyExp', 'Root')
        expected = {
            'where_to_run': 'Root',
            'current_experiment': 'MyExp',
            'stage': 1,
            'UseLungMask': True,
            'UseTorsoMask': True,
            'verbose_image': False,
            'WriteDVFStatistics': False,
            'Dim': 3,
            'ParallelSearching': True,
            'DVFPad_S1': 0,
            'DVFPad_S2': 0,
            'DVFPad_S4': 0,
            'VoxelSize': [1, 1, 1],
            'DataList': ['SPREAD'],
            'Augmentation': False,
            'verbose': True,
            'WriteBSplineTransform': False,
            'normalization': None,
            'AGMode': 'Resp',
            'start_chunk': 0,
            'use_keras': False,
            'DetailedNetworkSummary': False,
            'ParallelGeneration1stEpoch': True,
            'Randomness': True,
            'DownSamplingByGPU': False,
            'DownSampling': 'bspline',
            'DVFUnit': 'mm',
            'ClassRule': 'largest_component',
            'only_generate_image': False,
            'never_generate_image': False,
            'Phantom': {'Size': [300, 220, 280], 'Landmarks': 300},
        }
        assert {key: setting[key] for key in expected} == expected
        training = {
            'reg_weight': 0.1,
            'MaxQueueSize': 20,
            'VoxelSize': [1, 1, 1],
            'LearningRate_Base': 1e-3,
            'LearningRate_Decay': None,
            'MaxIterations': 10**7,
            'MaxHours': None,
            'LungWeight': 1.0,
            'Seed': 0,
        }
        assert {key: setting['NetworkTraining'][key] for key in training} == training
        assert setting['NetworkValidation']['MaxQueueSize'] == 10

    def test_defaults_are_json_and_pass_the_check(self):
        setting = su.initialize_setting('MyExp', 'Root')
        assert json.loads(json.dumps(setting)) == setting
        assert su.find_problems(setting) == []

    def test_every_default_is_accepted_by_its_own_kind(self):
        for keys in schema.SECTIONS.values():
            for key in keys:
                for inner in key.kind if isinstance(key.kind, list) else [key]:
                    assert inner.default is schema.ABSENT or inner.kind.accepts(inner.default), inner.name

    def test_settings_share_nothing(self):
        first, second = su.initialize_setting('a', 'Root'), su.initialize_setting('a', 'Root')
        first['NetworkTraining']['BatchSize'] = 99
        first['Phantom']['Size'][0] = 99
        first['data']['SPREAD']['types'].append('Other')
        first['OwnDataSets']['x'] = {}
        assert second == su.initialize_setting('a', 'Root')
        assert second != first

    def test_the_phantoms_options_are_those_of_the_phantom(self):
        keys = {key.name: key for key in schema.KEYS['Phantom'].kind}
        assert sorted(keys) == sorted(DEFAULT_OPTIONS)
        for name, default in DEFAULT_OPTIONS.items():
            assert keys[name].kind.accepts(default), name
            assert keys[name].default in (schema.ABSENT, default), name

    def test_the_printed_table_names_every_key(self):
        text = schema.describe()
        assert all(f'| `{name}` |' in text for name in schema.KEYS)
        assert '| `NetworkTraining.LungWeight` | `1.0` |' in text


class TestDataSettings:
    @pytest.mark.parametrize(
        'data, types, prefix, unsure, cases',
        [
            ('SPREAD', ['Fixed', 'Moving'], 'ExpLung', True, 20),
            ('DIR-Lab_4D', PHASES, 'case', False, 10),
            ('DIR-Lab_COPD', ['iBHCT', 'eBHCT'], 'copd', False, 10),
            ('Phantom_4D', PHASES, 'case', False, 200),
        ],
    )
    def test_documented_values(self, data, types, prefix, unsure, cases):
        assert su.load_data_setting(data) == {
            'ext': '.mha',
            'ImageByte': 2,
            'types': types,
            'expPrefix': prefix,
            'DefaultPixelValue': -2048,
            'VoxelSize': [1, 1, 1],
            'AffineRegistration': True,
            'UnsureLandmarkAvailable': unsure,
            'CNList': list(range(1, cases + 1)),
        }

    def test_a_fresh_copy(self):
        su.load_data_setting('SPREAD')['types'].append('Other')
        assert su.load_data_setting(selected_data='SPREAD')['types'] == ['Fixed', 'Moving']

    def test_unknown_data_is_an_error_with_the_nearest_name(self):
        with pytest.raises(KeyError, match="Did you mean 'DIR-Lab_4D'"):
            su.load_data_setting('DIRLab_4D')

    def test_expected_errors_before_registration(self):
        # Castillo et al.: 300 landmarks of the extreme phases.
        four_d, copd = DATA_SETS['DIR-Lab_4D'], DATA_SETS['DIR-Lab_COPD']
        assert four_d.expected_tre[1] == 3.89 and four_d.expected_tre[8] == 14.99
        assert copd.expected_tre[1] == 26.33 and copd.expected_tre[10] == 21.81
        assert sum(four_d.expected_tre.values()) / 10 == pytest.approx(8.46, abs=0.01)
        assert sum(copd.expected_tre.values()) / 10 == pytest.approx(23.36, abs=0.05)
        assert four_d.expected_tre_pair == (0, 5) and copd.expected_tre_pair == (0, 1)
        assert DATA_SETS['SPREAD'].expected_tre == {}


class TestLoadingData:
    def test_lists_keep_the_order_and_duplicates(self):
        entries = [
            {'data': 'DIR-Lab_4D', 'deform_exp': '3D_max7_D14_K'},
            {'data': 'SPREAD', 'deform_exp': '3D_max15_D14_K'},
            {'data': 'DIR-Lab_4D', 'deform_exp': '3D_max7_D14_K'},
            {'data': 'DIR-Lab_COPD'},
        ]
        setting = su.load_setting_from_data_dict(su.initialize_setting('a', 'Root'), entries)
        assert setting['DataList'] == ['DIR-Lab_4D', 'SPREAD', 'DIR-Lab_4D', 'DIR-Lab_COPD']
        assert setting['DeformExpList'] == ['3D_max7_D14_K', '3D_max15_D14_K', '3D_max7_D14_K']
        assert sorted(setting['data']) == ['DIR-Lab_4D', 'DIR-Lab_COPD', 'SPREAD']
        assert sorted(setting['deform_exp']) == ['3D_max15_D14_K', '3D_max7_D14_K']
        assert setting['DataExpDict'] == entries and setting['DataExpDict'] is not entries

    def test_it_replaces_what_was_loaded(self):
        setting = su.load_setting_from_data_dict(su.initialize_setting('a', 'Root'), [{'data': 'DIR-Lab_4D'}])
        assert list(setting['data']) == setting['DataList'] == ['DIR-Lab_4D']

    def test_the_callers_list_stays_its_own(self):
        entry = {'data': 'SPREAD', 'deform_exp': '3D_max7_D14_K', 'TrainingCNList': [1]}
        setting = su.load_setting_from_data_dict(su.initialize_setting('a', 'Root'), [entry])
        setting['DataExpDict'][0]['TrainingCNList'].append(2)
        assert entry['TrainingCNList'] == [1]

    def test_ranges_become_lists(self):
        setting = su.load_setting_from_data_dict(
            su.initialize_setting('a', 'Root'),
            [{'data': 'SPREAD', 'TestingCNList': range(1, 4), 'TestingPairList': [(0, 1)]}],
        )
        assert setting['DataExpDict'][0] == {'data': 'SPREAD', 'TestingCNList': [1, 2, 3], 'TestingPairList': [[0, 1]]}

    def test_what_a_script_changed_stays(self):
        entries = [{'data': 'SPREAD', 'deform_exp': '3D_max7_D14_K'}]
        setting = su.load_setting_from_data_dict(su.initialize_setting('a', 'Root'), entries)
        setting['deform_exp']['3D_max7_D14_K']['MaxDeform'] = 6
        assert su.load_setting_from_data_dict(setting, entries)['deform_exp']['3D_max7_D14_K']['MaxDeform'] == 6

    @pytest.mark.parametrize(
        'entries, error, text',
        [
            ({'data': 'SPREAD'}, InputError, 'list of dictionaries'),
            ([1], InputError, 'list of dictionaries'),
            ([{}], InputError, "no 'data'"),
            ([{'data': 'Spread'}], UnknownNameError, 'SPREAD'),
            ([{'data': 'SPREAD', 'deform_exp': '3D_max25_D12'}], UnknownNameError, '3D_max20_D14_K'),
        ],
    )
    def test_wrong_lists(self, entries, error, text):
        setting = su.initialize_setting('a', 'Root')
        before = copy.deepcopy(setting)
        with pytest.raises(error, match=text):
            su.load_setting_from_data_dict(setting, entries)
        assert setting == before


class TestNetworks:
    @pytest.mark.parametrize('stage', [1, 2, 4])
    def test_unet1(self, stage):
        setting = su.initialize_setting('a', 'Root')
        setting['stage'] = stage
        assert su.load_network_setting(setting, 'unet1') is setting
        expected = {
            'NetworkDesign': 'unet1',
            'R': 62,
            'Ry': 62,
            f'ImPad_S{stage}': 0,
            'Margin': 63,
            'SizeUnit': 8,
            'SizeOffset': 5,
            'FullImage': True,
        }
        assert {key: setting[key] for key in expected} == expected
        assert su.find_problems(setting) == []

    def test_a_choice_of_patches_stays(self):
        setting = su.initialize_setting('a', 'Root')
        setting['FullImage'] = False
        assert su.load_network_setting(setting, 'unet1')['FullImage'] is False

    def test_unknown_network(self):
        with pytest.raises(KeyError, match='unet1'):
            su.load_network_setting(su.initialize_setting('a', 'Root'), 'unet7')

    @pytest.mark.parametrize('name', ['unet', 3, None, ['unet1']])
    def test_no_network_is_one_line_and_changes_nothing(self, name):
        setting = su.initialize_setting('a', 'Root')
        before = copy.deepcopy(setting)
        with pytest.raises(UnknownNameError) as caught:
            su.load_network_setting(setting, name)
        text = str(caught.value)
        assert text.startswith(f'{name!r} is not a known network.') and 'Accepted: ' in text
        assert '\n' not in text and setting == before

    def test_the_size_rule_is_the_networks_own(self):
        setting = su.load_network_setting(su.initialize_setting('a', 'Root'), 'unet1')
        description = network_description('unet1')
        valid = [side for side in range(61, 200) if description.is_valid_size(side)]
        assert [side for side in range(61, 200) if (side - setting['SizeOffset']) % setting['SizeUnit'] == 0] == valid


class TestRegistrationSettings:
    def test_defaults_and_names_follow_the_pyramid(self):
        setting = su.load_registration_setting(su.initialize_setting('a', 'Root'), (4, 2))
        assert setting['stage_list'] == setting['ImagePyramidSchedule'] == [4, 2]
        assert setting['Reg_BSpline_Folder'] == 'S4_S2' and setting['BaseReg'] == 'Affine'
        assert su.find_problems(setting) == []
        assert su.address_generator(setting, 'result_step_folder') == './Experiments/RegNet/a/Results/S4_S2_step_0/'

    def test_what_is_set_stays(self):
        setting = su.initialize_setting('a', 'Root')
        setting['read_pair_mode'] = 'synthetic'
        assert su.load_registration_setting(setting)['read_pair_mode'] == 'synthetic'

    @pytest.mark.parametrize('stages', [[], [1, 2], [4, 1], [8]])
    def test_other_pyramids(self, stages):
        with pytest.raises(InputError, match=r'\[4, 2, 1\]'):
            su.load_registration_setting(su.initialize_setting('a', 'Root'), stages)


@pytest.mark.parametrize(
    'largest, expected',
    [
        (3, [3]),
        (5, [5]),
        (5.5, [2, 5.5]),
        (7, [2, 7]),
        (10, [1.5, 4, 10]),
        (15, [1.5, 4, 15]),
        (20, [1.5, 8, 20]),
        (25, [1.5, 8, 25]),
    ],
)
def test_suggested_classes(largest, expected):
    setting = su.load_setting_from_data_dict(
        su.initialize_setting('a', 'Root'),
        [{'data': 'SPREAD', 'deform_exp': '3D_max7_D14_K'}, {'data': 'SPREAD', 'deform_exp': '3D_max20_D14_K'}],
    )
    setting['deform_exp']['3D_max7_D14_K']['MaxDeform'] = min(1, largest)
    setting['deform_exp']['3D_max20_D14_K']['MaxDeform'] = largest
    assert su.load_suggested_class_balanced(setting) == expected


def test_suggested_classes_need_an_experiment_of_at_most_25_mm():
    setting = su.initialize_setting('a', 'Root')
    with pytest.raises(ValueError, match='load_setting_from_data_dict'):
        su.load_suggested_class_balanced(setting)
    su.load_setting_from_data_dict(setting, [{'data': 'SPREAD', 'deform_exp': '3D_max20_D14_K'}])
    setting['deform_exp']['3D_max20_D14_K']['MaxDeform'] = 26
    with pytest.raises(ValueError, match='25 mm'):
        su.load_suggested_class_balanced(setting)
