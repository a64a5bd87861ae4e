"""Settings files, checkpoints' steps, and where a training goes on."""

import json
import multiprocessing
import os

import numpy as np
import pytest

import functions.setting.setting_utils as su
from functions.setting.atomic import write_json
from functions.setting.errors import InputError, MissingFileError
from functions.setting.experiment_files import plain


@pytest.fixture
def setting(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return su.load_setting_from_data_dict(
        su.initialize_setting('MyExp', 'Root'),
        [{'data': 'SPREAD', 'deform_exp': '3D_max7_D14_K', 'TrainingCNList': [1]}],
    )


MODEL = './Experiments/RegNet/MyExp/train/Model/'


class TestWriteSetting:
    def test_numbered_and_never_overwritten(self, setting):
        assert su.write_setting(setting) == MODEL + 'setting0.txt'
        with open(MODEL + 'setting0.txt') as stream:
            first = stream.read()
        setting['stage'] = 4
        assert su.write_setting(setting) == MODEL + 'setting1.txt'
        with open(MODEL + 'setting0.txt') as stream:
            assert stream.read() == first
        assert (su.read_setting(setting)['stage'], su.read_setting(setting, number=1)['stage']) == (1, 4)
        assert sorted(os.listdir(MODEL)) == ['setting0.txt', 'setting1.txt']

    def test_layout(self, setting):
        with open(su.write_setting(setting)) as stream:
            text = stream.read()
        assert text == json.dumps(setting, sort_keys=True, indent=4, separators=(',', ': ')) + '\n'

    def test_the_setting_comes_back(self, setting):
        su.write_setting(setting)
        assert su.read_setting(setting, 'MyExp') == setting

    def test_an_address_of_ones_own_is_replaced(self, setting):
        address = './results/setting.txt'
        for stage in (1, 2):
            setting['stage'] = stage
            assert su.write_setting(setting, address) == address
        with open(address) as stream:
            assert json.load(stream)['stage'] == 2

    def test_numpy_values_are_written_as_numbers(self, setting):
        setting['ClassBalanced'] = np.array([2, 7])
        setting['stage'] = np.int64(2)
        su.write_setting(setting)
        read = su.read_setting(setting)
        assert read['ClassBalanced'] == [2, 7] and read['stage'] == 2

    def test_what_json_cannot_carry_is_named_and_leaves_nothing(self, setting):
        setting['NetworkTraining']['Seed'] = {1, 2}
        with pytest.raises(InputError, match=r"setting\['NetworkTraining'\]\['Seed'\] is a set"):
            su.write_setting(setting)
        assert not os.path.exists(MODEL)

    def test_many_writers_lose_nothing(self, setting):
        context = multiprocessing.get_context('spawn')
        with context.Pool(2) as pool:
            addresses = pool.map(su.write_setting, [dict(setting, stage=stage) for stage in (1, 2, 4) * 4], chunksize=1)
        assert sorted(addresses) == sorted(f'{MODEL}setting{number}.txt' for number in range(12))
        stages = sorted(su.read_setting(setting, number=number)['stage'] for number in range(12))
        assert stages == [1] * 4 + [2] * 4 + [4] * 4
        assert len(os.listdir(MODEL)) == 12

    def test_without_links_too(self, setting, monkeypatch):
        def no_link(source, target):
            raise OSError('links are not supported')

        monkeypatch.setattr(os, 'link', no_link)
        assert [su.write_setting(setting) for _ in range(2)] == [MODEL + 'setting0.txt', MODEL + 'setting1.txt']
        assert su.read_setting(setting) == setting and len(os.listdir(MODEL)) == 2


def test_plain_values():
    value = {'a': (1, 2), 'b': range(2), 'c': np.float32(0.5), 'd': [np.bool_(True)], 'e': np.eye(2, dtype=int)}
    assert plain(value) == {'a': [1, 2], 'b': [0, 1], 'c': 0.5, 'd': [True], 'e': [[1, 0], [0, 1]]}
    for wrong in [float('inf'), float('nan'), {1: 2}, b'bytes', np.float64('nan')]:
        with pytest.raises(InputError):
            plain({'x': [wrong]})


def checkpoints(steps, endings=('.index', '.data-00000-of-00001')):
    folder = MODEL + 'Saved/'
    os.makedirs(folder, exist_ok=True)
    for step in steps:
        for ending in endings:
            open(f'{folder}RegNet3DModel.ckpt-{step}{ending}', 'w').close()
    return folder


class TestSteps:
    def test_last_is_the_largest_number_not_the_last_name(self, setting):
        checkpoints([15, 9015, 30015], endings=('.meta', '.index'))
        open(MODEL + 'Saved/RegNet3DModel.ckpt-other.meta', 'w').close()
        open(MODEL + 'Saved/checkpoint', 'w').close()
        assert su.saved_steps(setting) == [15, 9015, 30015]
        assert su.get_global_step(setting, 'Last', 'MyExp') == '30015'

    def test_a_checkpoint_without_its_record_does_not_count(self, setting):
        folder = checkpoints([15, 30])
        write_json(folder + 'RegNet3DModel.ckpt-15.json', {'step': 15})
        assert su.get_global_step(setting, 'Last', 'MyExp') == '15'

    def test_best_is_what_the_last_record_says(self, setting):
        folder = checkpoints([15, 30, 45])
        for step, best in ((15, 15), (30, 15), (45, 30)):
            write_json(
                f'{folder}RegNet3DModel.ckpt-{step}.json',
                {'step': step, 'state': {'best': {'step': best, 'error_mm': 1.0}}},
            )
        assert su.get_global_step(setting, 'Best', 'MyExp') == '30'
        write_json(folder + 'RegNet3DModel.ckpt-45.json', {'step': 45, 'state': {'best': {}}})
        assert su.get_global_step(setting, 'Best', 'MyExp') == '45'

    def test_only_recorded_ones_on_request(self, setting):
        checkpoints([15, 30])
        assert su.saved_steps(setting) == [15, 30] and su.saved_steps(setting, recorded=True) == []

    def test_numbers_and_known_experiments(self, setting):
        assert su.get_global_step(setting, 15015, 'MyExp') == su.get_global_step(setting, '15015', 'MyExp') == '15015'
        assert su.get_global_step(setting, 'Auto', '20180124_max20_2M') == '1155015'
        assert su.get_global_step(setting, 'Auto', 'MyExp') == '0'

    def test_nothing_saved(self, setting):
        with pytest.raises(MissingFileError, match='Experiments/RegNet/MyExp/train/Model/Saved'):
            su.get_global_step(setting, 'Last', 'MyExp')

    @pytest.mark.parametrize('wrong', ['last', '-1', '1.5', None, True, 2.5])
    def test_other_requests(self, setting, wrong):
        with pytest.raises(InputError, match="'Last', 'Best', 'Auto' or a whole number"):
            su.get_global_step(setting, wrong, 'MyExp')


class TestLoadNetwork:
    @pytest.mark.parametrize('nothing', [None, {}, {'NetworkLoad': None, 'GlobalStepLoad': 'Last'}])
    def test_nothing_to_load_begins_at_zero(self, setting, nothing):
        loaded = su.load_network(setting, nothing)
        assert (loaded['NetworkLoad'], loaded['itr_load'], loaded['semi_epoch_load']) == (None, 0, 0)

    def test_all_from_the_folder(self, setting):
        setting['NetworkTraining']['BatchSize'] = 5
        su.write_setting(setting)
        setting['NetworkTraining']['BatchSize'] = 7
        su.write_setting(setting)
        folder = checkpoints([100, 150])
        for step in (100, 150):
            write_json(
                f'{folder}RegNet3DModel.ckpt-{step}.json',
                {
                    'state': {
                        'iteration': step // 5 + 1,
                        'position': {'semi_epoch': step // 50, 'chunk': 0, 'sample': 2},
                    }
                },
            )
        assert su.load_network(setting, {'NetworkLoad': 'MyExp'}) == {
            'NetworkLoad': 'MyExp',
            'GlobalStepLoad': '150',
            'BatchSize': 5,
            'itr_load': 32,
            'semi_epoch_load': 4,
        }
        loaded = su.load_network(setting, {'NetworkLoad': 'MyExp', 'GlobalStepLoad': '100', 'BatchSize': 'Auto'})
        assert (loaded['GlobalStepLoad'], loaded['itr_load'], loaded['semi_epoch_load']) == ('100', 22, 3)

    def test_a_published_checkpoint_without_a_record(self, setting, caplog):
        su.write_setting(setting)  # batches of 15
        checkpoints([15, 15015], endings=('.meta', '.index'))
        loaded = su.load_network(setting, {'NetworkLoad': 'MyExp', 'GlobalStepLoad': 'Last'})
        assert loaded == {
            'NetworkLoad': 'MyExp',
            'GlobalStepLoad': '15015',
            'BatchSize': 15,
            'itr_load': 1002,
            'semi_epoch_load': 0,
        }
        assert 'semi-epochs begin at 0' in caplog.text

    def test_numbers_given_need_no_folder(self, setting):
        given = {'NetworkLoad': 'Elsewhere', 'GlobalStepLoad': 30, 'BatchSize': 3, 'itr_load': 7, 'semi_epoch_load': 2}
        assert su.load_network(setting, given) == dict(given, GlobalStepLoad='30')

    @pytest.mark.parametrize(
        'given, error, text',
        [
            ({'NetworkLod': 'MyExp'}, KeyError, "Did you mean 'NetworkLoad'"),
            ({'NetworkLoad': 'MyExp', 'GlobalStepLoad': 1}, MissingFileError, 'setting0.txt'),
            ({'NetworkLoad': 'MyExp'}, MissingFileError, 'no checkpoint'),
            ({'NetworkLoad': 'MyExp', 'GlobalStepLoad': 1, 'BatchSize': 0}, InputError, 'BatchSize 0'),
            (
                {'NetworkLoad': 'MyExp', 'GlobalStepLoad': 1, 'BatchSize': 1, 'itr_load': 'x'},
                InputError,
                "itr_load 'x'",
            ),
        ],
    )
    def test_errors(self, setting, given, error, text):
        with pytest.raises(error, match=text):
            su.load_network(setting, given)
