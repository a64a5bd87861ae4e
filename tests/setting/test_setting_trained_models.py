"""Names of trained networks and of their checkpoints: experiments, sets, 'Last', 'Best', 'Auto' and numbers."""

import os

import pytest

import functions.setting.setting_utils as su
from functions.setting import trained_models
from functions.setting.atomic import write_json
from functions.setting.checkpoint_records import RECORD_FORMAT, describe_file
from functions.setting.errors import InputError, MissingFileError

MODEL = './Experiments/RegNet/MyExp/train/Model/'


@pytest.fixture
def setting(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return su.initialize_setting('MyExp', 'Root')


def checkpoints(steps, endings=('.index', '.data-00000-of-00001')):
    folder = MODEL + 'Saved/'
    os.makedirs(folder, exist_ok=True)
    for step in steps:
        for ending in endings:
            open(f'{folder}RegNet3DModel.ckpt-{step}{ending}', 'w').close()
    return folder


def write_record(folder, step, **state):
    name = f'RegNet3DModel.ckpt-{step}'
    files = {name + '.index': describe_file(f'{folder}{name}.index')}
    write_json(f'{folder}{name}.json', {'format': RECORD_FORMAT, 'step': step, 'files': files, 'state': state})


class TestSteps:
    def test_last_is_the_largest_number_not_the_last_name(self, setting):
        checkpoints([15, 9015, 30015], endings=('.meta', '.index'))
        open(MODEL + 'Saved/RegNet3DModel.ckpt-other.meta', 'w').close()
        open(MODEL + 'Saved/checkpoint', 'w').close()
        assert su.saved_steps(setting) == [15, 9015, 30015]
        assert su.get_global_step(setting, 'Last', 'MyExp') == '30015'

    def test_a_checkpoint_without_its_record_does_not_count(self, setting):
        folder = checkpoints([15, 30])
        write_record(folder, 15)
        assert su.get_global_step(setting, 'Last', 'MyExp') == '15'
        with pytest.raises(InputError, match='no checkpoint of step 30. Available: 15'):
            trained_models.checkpoint_path(setting, 30, 'MyExp')

    def test_a_damaged_checkpoint_is_passed_over(self, setting, caplog):
        folder = checkpoints([15, 30])
        for step in (15, 30):
            write_record(folder, step, best={'step': 30})
        with open(folder + 'RegNet3DModel.ckpt-30.index', 'w') as stream:
            stream.write('x')
        for name in ('Last', 'Best', 'Auto'):
            assert su.get_global_step(setting, name, 'MyExp') == '15'
        assert 'checkpoint of step 30 cannot be used' in caplog.text
        with pytest.raises(InputError, match='30 cannot be restored'):
            trained_models.checkpoint_path(setting, 30, 'MyExp')

    def test_best_is_what_the_last_record_says(self, setting):
        folder = checkpoints([15, 30, 45])
        for step, best in ((15, 15), (30, 15), (45, 30)):
            write_record(folder, step, best={'step': best, 'error_mm': 1.0})
        assert su.get_global_step(setting, 'Best', 'MyExp') == '30'
        write_record(folder, 45, best={})
        assert su.get_global_step(setting, 'Best', 'MyExp') == '45'

    def test_only_recorded_ones_on_request(self, setting):
        checkpoints([15, 30])
        assert su.saved_steps(setting) == [15, 30] and su.saved_steps(setting, recorded=True) == []

    def test_numbers_and_known_experiments(self, setting):
        assert su.get_global_step(setting, 15015, 'MyExp') == su.get_global_step(setting, '15015', 'MyExp') == '15015'
        assert su.get_global_step(setting, 'Auto', '20180124_max20_2M') == '1155015'
        assert su.get_global_step(setting, 'Auto', 'MyExp') == '0'
        checkpoints([9000], endings=('.meta', '.index'))
        assert su.get_global_step(setting, 'Auto', 'MyExp') == '9000'

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
            position = {'semi_epoch': step // 50, 'chunk': 0, 'sample': 2}
            write_record(folder, step, iteration=step // 5 + 1, position=position)
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
        assert 'sampling is unknown' in caplog.text

    def test_numbers_given_need_no_folder(self, setting):
        given = {'NetworkLoad': 'Elsewhere', 'GlobalStepLoad': 30, 'BatchSize': 3, 'itr_load': 7, 'semi_epoch_load': 2}
        assert su.load_network(setting, given) == dict(given, GlobalStepLoad='30')

    @pytest.mark.parametrize(
        'given, error, text',
        [
            ({'NetworkLod': 'MyExp'}, InputError, "Did you mean 'NetworkLoad'"),
            ({'NetworkLoad': 'MyExp', 'GlobalStepLoad': 1}, MissingFileError, 'setting0.txt'),
            ({'NetworkLoad': 'MyExp'}, MissingFileError, 'no checkpoint'),
            ({'NetworkLoad': 'MyExp', 'GlobalStepLoad': 1, 'BatchSize': 0}, InputError, 'BatchSize is 0'),
            (
                {'NetworkLoad': 'MyExp', 'GlobalStepLoad': 1, 'BatchSize': 1, 'itr_load': 'x'},
                InputError,
                "itr_load is 'x'",
            ),
        ],
    )
    def test_errors(self, setting, given, error, text):
        with pytest.raises(error, match=text):
            su.load_network(setting, given)


class TestNames:
    def test_the_bundled_set(self, setting):
        found = trained_models.network_set('chest')
        assert found.stages == [4, 2, 1] and sorted(found.networks) == [1, 2, 4]
        assert trained_models.network_set('chests') is None and trained_models.network_set('../chest') is None
        su.use_networks(setting, 'chest')
        assert setting['stage_list'] == [4, 2, 1] and su.find_problems(setting) == []
        assert setting['network_dict']['symmetric'] is True and setting['Symmetric'] is None
        assert su.use_networks(setting, ['chest'], [4, 2])['stage_list'] == [4, 2]
        entry = setting['network_dict']['stage2']
        assert su.get_global_step(setting, entry['GlobalStepLoad'], entry['NetworkLoad']) == '1200'
        assert trained_models.read_model_setting(setting, entry['NetworkLoad'])['stage'] == 2
        errors = setting['network_dict']['error_map']['NetworkLoad']
        assert trained_models.read_model_setting(setting, errors)['NetworkDesign'] == 'error_map'
        assert 'error_map' not in su.use_networks(setting, {4: 'chest_unet1_S4'})['network_dict']

    def test_own_experiments_come_before_those_of_the_project(self, setting):
        name = 'chest_unet1_S4'
        assert su.get_global_step(setting, 'Auto', name) == '9000'
        os.makedirs(f'./Experiments/RegNet/{name}')
        assert trained_models.find_experiment(setting, name) == (setting, name)
        assert su.get_global_step(setting, 'Auto', name) == '0'

    def test_folders_and_lists(self, setting):
        for name, stage in (('four', 4), ('two', 2), ('again', 4), ('three', 3)):
            su.write_setting({'stage': stage}, f'./Experiments/RegNet/{name}/train/Model/setting0.txt')
        networks = {4: './Experiments/RegNet/four', 2: 'two'}
        for model in (list(networks.values()), networks):
            assert trained_models.networks_of(model, setting) == (networks, [4, 2], None, False)
        alone = su.use_networks(setting, 'four')
        assert alone['network_dict']['stage4']['NetworkLoad'] == 'four' and not alone['network_dict']['symmetric']
        with pytest.raises(InputError, match='four and again are both for stage 4'):
            trained_models.networks_of(['four', 'again'], setting)
        for model in ('three', {3: 'four'}):
            with pytest.raises(InputError, match='accepted: 4, 2, 1'):
                trained_models.networks_of(model, setting)
        with pytest.raises(MissingFileError, match='nobody: no settings file'):
            trained_models.networks_of('nobody', setting)
