"""Own data sets: described in a line or a file, known to every process that has the setting."""

import json
import os
import subprocess
import sys

import pytest

import functions.setting.setting_utils as su
from functions.setting import data_sets
from functions.setting.errors import InputError, UnknownNameError

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture(autouse=True)
def own_registry(monkeypatch, tmp_path):
    monkeypatch.setattr(data_sets, 'DATA_SETS', dict(data_sets.DATA_SETS))
    monkeypatch.setattr(data_sets, '_OWN_DESCRIPTIONS', {})
    monkeypatch.chdir(tmp_path)


ENTRY = {
    'data': 'MyCT',
    'deform_exp': '3D_max20_D14_K',
    'TrainingCNList': [1, 2],
    'TrainingTypeImList': [0],
    'TrainingDSmoothList': [0, 14],
}


def test_one_line_is_enough():
    record = su.register_own_images('MyCT', cases=2, types=['Fixed', 'Moving'])
    assert record.CNList == [1, 2] and 'MyCT' in su.data_set_names()
    setting = su.load_setting_from_data_dict(su.initialize_setting('a', 'Root'), [ENTRY])
    su.check_setting(setting)
    root = './Data/MyCT/mha/case2/'
    for request, expected in [
        ('Im', root + 'case2_Moving_RS1.mha'),
        ('Lung', root + 'Lung_Filled/case2_Moving_Lung_Filled_RS1.mha'),
        ('Torso', root + 'Torso/case2_Moving_Torso_RS1.mha'),
        ('OriginalFolder', root),
        ('LandmarkPointExact', './Data/MyCT/points/case2/case2_Moving_world_exact.txt'),
        ('DSmoothFolder', './Elastix/Artificial_Generation/3D_max20_D14_K/MyCT/Moving/case2/Dsmooth0/'),
    ]:
        assert su.address_generator(setting, request, data='MyCT', cn=2, type_im=1) == expected


def test_another_process_needs_only_the_setting():
    su.register_own_images('MyCT', cases=[1, 2, 7], types=['Inhale', 'Exhale'], expected_tre={7: 3.5})
    setting = su.load_setting_from_data_dict(su.initialize_setting('a', 'Root'), [ENTRY])
    assert su.find_problems(setting) == []
    code = (
        'import json, sys; import functions.setting.setting_utils as su; s = json.load(sys.stdin); '
        'from functions.setting.data_sets import get_data_set; r = get_data_set("MyCT", s); '
        'print(su.address_generator(s, "Im", data="MyCT", cn=7, type_im=1)); '
        'print(r.expected_tre[7], r.expected_tre_pair)'
    )
    output = subprocess.run(
        [sys.executable, '-c', code],
        input=json.dumps(setting).encode(),
        check=True,
        stdout=subprocess.PIPE,
        env=dict(os.environ, PYTHONPATH=REPOSITORY),
    )
    assert output.stdout.decode().split(None, 2) == ['./Data/MyCT/mha/case7/case7_Exhale_RS1.mha', '3.5', '(0, 1)\n']


def test_a_file_beside_the_images():
    os.mkdir('Data')
    with open('Data/data_sets.json', 'w') as stream:
        json.dump(
            {
                'MyCT': {
                    'types': ['CT'],
                    'cases': 3,
                    'expPrefix': 'patient',
                    'DefaultPixelValue': -1024,
                    'ext': '.nii.gz',
                    'addresses': {'OriginalIm': '{data_root}MyCT/{p}/{type}{S}{P}{ext}'},
                }
            },
            stream,
        )
    setting = su.initialize_setting('a', 'Root')
    assert su.load_data_setting('MyCT', setting)['DefaultPixelValue'] == -1024
    assert su.address_generator(setting, 'Im', data='MyCT', cn=3, stage=2) == './Data/MyCT/patient3/CT_s2.nii.gz'
    assert 'MyCT' not in su.data_set_names() and 'MyCT' in su.data_set_names(setting)
    su.check_setting(setting)


def test_a_pattern_per_type():
    su.register_own_images(
        'MyCT', types=['CT', 'MR'], addresses={'OriginalIm': ['{root}ct{cn}.mha', '{root}mr{cn}.mha']}
    )
    setting = su.initialize_setting('a', 'Root')
    assert [su.address_generator(setting, 'Im', data='MyCT', type_im=i) for i in (0, 1)] == ['./ct1.mha', './mr1.mha']


def test_a_folder_elsewhere():
    setting = su.initialize_setting('a', 'Root')
    su.register_own_images('MyCT', types=['CT'], folder='/disk/scans', setting=setting)
    assert setting['OwnDataSets']['MyCT'] == {'types': ['CT'], 'cases': 1, 'folder': '/disk/scans'}
    assert su.address_generator(setting, 'Im', data='MyCT') == '/disk/scans/mha/case1/case1_CT_RS1.mha'


@pytest.mark.parametrize(
    'arguments, error, text',
    [
        ({'key': 'SPREAD'}, InputError, 'taken'),
        ({'key': 'a/b'}, InputError, 'without slashes'),
        ({'key': ''}, InputError, 'without slashes'),
        ({'types': []}, InputError, r'types is \[\]; accepted: a list'),
        ({'types': ['a', 'a']}, InputError, 'same name'),
        ({'types': [1]}, InputError, r'types is \[1\]; accepted: a list'),
        ({'cases': 0}, InputError, 'cases'),
        ({'cases': [1, 0]}, InputError, 'cases'),
        ({'cases': True}, InputError, 'cases'),
        ({'expPrefx': 'x'}, UnknownNameError, "Did you mean 'expPrefix'"),
        ({'ext': 3}, InputError, "ext is 3; accepted: one of '.mha'"),
        ({'DefaultPixelValue': 'air'}, InputError, "DefaultPixelValue is 'air'"),
        ({'VoxelSize': [1, 1]}, InputError, 'VoxelSize is'),
        ({'addresses': ['x']}, InputError, 'addresses is .* a dictionary'),
        ({'addresses': {'OriginalIm': ['x']}}, InputError, '1 patterns for 2'),
        ({'expected_tre': [1]}, InputError, 'expected_tre is .* a dictionary'),
        ({'expected_tre': {'x': 1.0}}, InputError, 'mean landmark distances'),
        ({'expected_tre': {1: 2.0}, 'expected_tre_pair': [0, 2]}, InputError, 'type that does not exist'),
    ],
)
def test_descriptions_that_cannot_be_used(arguments, error, text):
    with pytest.raises(error, match=text):
        su.register_own_images(**dict({'key': 'MyCT', 'types': ['CT', 'MR']}, **arguments))
    assert 'MyCT' not in data_sets.DATA_SETS


@pytest.mark.parametrize(
    'pattern, text',
    [
        ('{data_rot}x', r'\{data_rot\} is not a field; accepted: .*data_root'),
        ('{cn', "'{cn'"),
        (3, 'the pattern is 3; accepted: text'),
        ('{cn.__class__}', 'is not a field'),
    ],
)
def test_patterns_are_checked_with_the_setting(pattern, text):
    setting = su.initialize_setting('a', 'Root')
    su.register_own_images('MyCT', types=['CT'], setting=setting, addresses={'OriginalIm': pattern})
    with pytest.raises(InputError, match=text):
        su.check_setting(setting)


def test_a_wrong_field_is_an_error_of_the_address_too():
    su.register_own_images('MyCT', types=['CT'], addresses={'OriginalIm': '{data_rot}x'})
    with pytest.raises(InputError, match='data_root'):
        su.address_generator(su.initialize_setting('a', 'Root'), 'Im', data='MyCT')


@pytest.mark.parametrize(
    'text, message',
    [('{"MyCT": ', 'not valid JSON'), ('[]', 'must be a dictionary'), ('{"MyCT": {"cases": 1}}', "'types'")],
)
def test_a_file_that_cannot_be_used_is_named(text, message):
    os.mkdir('Data')
    with open('Data/data_sets.json', 'w') as stream:
        stream.write(text)
    with pytest.raises(InputError, match=message) as caught:
        su.initialize_setting('a', 'Root')
    assert 'data_sets.json' in str(caught.value)


def test_a_record_can_be_registered_as_it_is():
    record = data_sets.DATA_SETS['SPREAD']._replace(key='SPREAD2', types=['A'])
    assert su.register_data_set(record) is record
    assert su.load_data_setting('SPREAD2')['types'] == ['A']


def test_a_changed_description_is_followed():
    setting = {'OwnDataSets': {'MyCT': {'types': ['CT'], 'cases': 1}}}
    assert data_sets.get_data_set('MyCT', setting) is data_sets.get_data_set('MyCT', setting)
    setting['OwnDataSets']['MyCT']['types'].append('Late')
    assert data_sets.get_data_set('MyCT', setting).types == ['CT', 'Late']
    setting['OwnDataSets']['MyCT']['cases'] = -1
    with pytest.raises(InputError, match='cases'):
        data_sets.get_data_set('MyCT', setting)
