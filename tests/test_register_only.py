"""Settings that train nothing: trained networks register the testing pairs of a data set and are evaluated."""

import json
import logging
import os

import pytest

import functions.setting.setting_utils as su
import RunRegNet3D
from functions.commands import steps
from functions.evaluation import experiments
from functions.evaluation.experiments import Experiment
from functions.evaluation.measured_pairs import Result
from functions.setting.text_files import read_json

SETTING = {
    'Phantom': {'Size': [120, 96, 116], 'Landmarks': 40, 'LandmarksAllPhases': 20},
    'DataExpDict': [{'data': 'Phantom_4D', 'TestingCNList': [9], 'TestingPairList': [[0, 5]]}],
    'NumberOfThreads': 2,
}
#: Names of two networks of the bundled set, which are found from any folder.
NETWORKS = {f'stage{stage}': {'NetworkLoad': f'chest_unet1_S{stage}'} for stage in (4, 2)}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('register_only')


def run(folder, monkeypatch, words, **changes):
    monkeypatch.chdir(folder)
    (folder / 'my.json').write_text(json.dumps(dict(SETTING, **changes)))
    return RunRegNet3D.main(['--where_to_run', 'Root', '--setting', 'my.json'] + words)


def rows_of(folder, experiment):
    (path,) = (folder / 'Experiments' / 'RegNet' / experiment).glob('**/measures.json')
    return {row['method']: row for row in json.loads(path.read_text())}, path.parent


def test_the_bundled_set_registers_a_data_set_and_is_evaluated(folder, monkeypatch, capsys, caplog):
    assert run(folder, monkeypatch, ['--model', 'chest', '--stages', '4', '2']) == 0
    rows, results = rows_of(folder, 'chest')
    assert sorted(rows) == ['RegNet', 'before registration', 'best constant shift']  # no mean field without training
    assert rows['RegNet']['TRE mm'] < 0.5 * rows['before registration']['TRE mm']
    shown = capsys.readouterr().out
    assert 'target registration error at 40 landmarks' in shown and 'RegNet' in shown
    assert {'DVF_S0.mha', 'registration.json', 'registration.png', 'setting.json'} <= set(os.listdir(str(results)))
    record = read_json(str(results / 'registration.json'))
    assert record['stages'] == [4, 2] and record['error_map']['NetworkDesign'] == 'error_map'
    assert not (folder / 'Elastix').exists()  # no artificial deformations
    assert record['symmetric']
    # --evaluate registers what the set has not registered yet, here with its own passes, and goes on from there.
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            assert run(folder, monkeypatch, ['--evaluate', 'chest', '--workers', '1']) == 0
        shown = capsys.readouterr().out
        assert 'before registration' in shown and 'chest' in shown
    (path,) = (folder / 'Experiments' / 'RegNet' / 'chest').glob('**/comparison.json')
    (errors,) = [
        row['chest'] for row in read_json(str(path))['expected_errors'] if row['expected error'].startswith('l')
    ]
    assert 30 < errors <= 40  # landmarks in its lungs
    assert 'restored from' not in caplog.text


@pytest.mark.once
def test_settings_may_name_the_networks(folder, monkeypatch, capsys):
    named = {'current_experiment': 'named', 'network_dict': NETWORKS, 'stage_list': [4, 4, 2]}
    assert run(folder, monkeypatch, [], **named) == 0
    rows, results = rows_of(folder, 'named')
    assert rows['RegNet']['TRE mm'] < 0.5 * rows['before registration']['TRE mm']
    seconds = read_json(str(results / 'registration.json'))['seconds_of_steps']
    assert set(seconds) >= {'network of stage 4', 'network of stage 2'}
    # The experiment knows its pairs and networks by itself.
    assert RunRegNet3D.main(['--where_to_run', 'Root', '--evaluate', 'named', '--workers', '1']) == 0
    assert 'named' in capsys.readouterr().out


def test_a_named_model_trains_nothing_whatever_the_settings_say(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    seen = []
    monkeypatch.setattr(steps, 'prepare', lambda setting, arguments: None)
    monkeypatch.setattr(steps, 'register', lambda setting, pairs, part=None: seen.append((setting, pairs)))
    assert RunRegNet3D.main(['--where_to_run', 'Root', '--model', 'chest']) == 0
    setting, pairs = seen[0]
    assert not su.trains(setting) and setting['current_experiment'] == 'chest' and setting['stage_list'] == [4, 2, 1]
    assert [image['cn'] for image in pairs[0]] == [9, 9]
    assert RunRegNet3D.main(['--where_to_run', 'Root', '--model', 'chest', '--no_error_map']) == 0
    assert RunRegNet3D.main(['--where_to_run', 'Root', '--model', 'chest', '--symmetric', 'no']) == 0
    assert ['error_map' in setting['network_dict'] for setting, _ in seen] == [True, False, True]
    (tmp_path / 'one_way.json').write_text('{"Symmetric": false}')
    assert RunRegNet3D.main(['--where_to_run', 'Root', '--model', 'chest', '--setting', 'one_way.json']) == 0
    assert [setting['Symmetric'] for setting, _ in seen] == [None, None, False, False]
    assert all(setting['network_dict']['symmetric'] for setting, _ in seen)


def test_what_the_set_says_of_symmetric_passes_is_not_taken_for_a_wish(monkeypatch, tmp_path):
    """``--model`` names networks of one way, ``--evaluate`` a set of symmetric passes."""
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(steps, 'prepare', lambda setting, arguments: None)
    monkeypatch.setattr(steps, 'register', lambda setting, pairs, part=None: asked.append(su.is_symmetric(setting)))
    monkeypatch.setattr(steps.evaluation_commands, 'evaluate', lambda setting, arguments: [])
    words = ['--where_to_run', 'Root', '--model', 'chest_unet1_S4', '--evaluate', 'chest']
    for more in ([], ['--symmetric', 'yes'], ['--symmetric', 'no']):
        assert RunRegNet3D.main(words + more) == 0
    assert asked == [True, True, False]


@pytest.mark.parametrize('recorded', [True, False])
@pytest.mark.parametrize('wanted', [True, False, None])
def test_results_of_other_passes_do_not_count(monkeypatch, tmp_path, recorded, wanted):
    """None: as ``network_dict`` says, here no."""
    setting = su.initialize_setting('made', where_to_run='Root')
    setting.update(network_dict={'stage4': {'NetworkLoad': 'chest_unet1_S4'}}, stage_list=[4], Symmetric=wanted)
    setting.update(log_root_folder=str(tmp_path) + '/')
    (tmp_path / 'RegNet' / 'made').mkdir(parents=True)
    pair = [{'data': 'Phantom_4D', 'cn': 9, 'type_im': type_im} for type_im in (0, 5)]
    result = Result('made', pair, symmetric=recorded)
    found = Experiment('made', setting, [pair], '9000', [result], [])
    monkeypatch.setattr(experiments, 'open_experiment', lambda *args, **kwargs: found)
    is_done = bool(wanted) is recorded
    assert steps.unregistered(setting, [pair]) == ([] if is_done else [pair])
