"""The command line: it overrides the block and the settings file, and bad input is one line before any work."""

import contextlib
import copy
import json
import logging

import pytest

import functions.setting.setting_utils as su
import RunRegNet3D
from functions.artificial_generation.batch import BatchReport
from functions.artificial_generation.training_item import ItemAfterPasses
from functions.commands import steps
from functions.registration import network_pyramid
from functions.setting.errors import MissingFileError


def settings(words=(), changes=None):
    return RunRegNet3D.complete_setting(RunRegNet3D.parse_arguments(['--where_to_run', 'Root'] + list(words)), changes)


def test_block_is_a_setting_that_passes_its_own_check():
    setting = settings()
    assert su.find_problems(setting) == []
    assert (
        len({case for item in su.get_im_info_list_from_train_mode(setting, 'Training') for case in [item['cn']]}) >= 4
    )
    unseen = {image['cn'] for pair in steps.testing_pairs(setting) for image in pair}
    seen = {
        item['cn'] for mode in ('Training', 'Validation') for item in su.get_im_info_list_from_train_mode(setting, mode)
    }
    assert unseen and not unseen & seen


def test_command_line_comes_before_the_file_and_the_file_before_the_block():
    changes = {'stage': 2, 'current_experiment': 'file', 'NetworkTraining': {'MaxIterations': 7, 'BatchSize': 3}}
    setting = settings(changes=changes)
    assert (setting['stage'], setting['current_experiment']) == (2, 'file')
    assert setting['DeformExpList'] == ['3D_max15_D14_K'] and setting['stage_list'] == [2]
    assert setting['NetworkTraining']['MaxIterations'] == 7 and setting['NetworkTraining']['BatchSize'] == 3
    setting = settings(['--stage', '1', '--experiment', 'line', '--max_iterations', '9'], changes)
    assert (setting['stage'], setting['current_experiment'], setting['where_to_run']) == (1, 'line', 'Root')
    assert setting['network_dict']['stage1']['NetworkLoad'] == 'line'
    assert setting['NetworkTraining']['MaxIterations'] == 9 and setting['NetworkTraining']['BatchSize'] == 3


@pytest.mark.parametrize(
    'words, expected',
    [(['-g'], True), (['-g', 'True'], True), (['--only_generate_image', 'False'], False), ([], False)],
)
def test_image_flags_take_true_and_false_as_published_job_scripts_pass_them(words, expected):
    assert settings(words)['only_generate_image'] is expected


@pytest.mark.parametrize('words, expected', [(['-g'], ['Training', 'Validation']), ([], ['Validation'])])
def test_only_generating_makes_everything_even_on_the_fly(words, expected, monkeypatch):
    asked = []
    monkeypatch.setattr(steps, 'phantom_cases', lambda setting: {})
    monkeypatch.setattr(steps.su, 'require_originals', lambda setting: None)

    def generate(setting, modes, **options):
        asked.extend(modes)
        return BatchReport([], [], [], [], [], 0.0)

    monkeypatch.setattr('functions.artificial_generation.batch.generate_batch', generate)
    monkeypatch.setattr('functions.registration.data_set_pairs.check_pairs', lambda *arguments: None)
    steps.prepare(settings(words, {'OnTheFly': True}), RunRegNet3D.parse_arguments(words))
    assert asked == expected


@pytest.mark.parametrize('wrong', [{'stage': 3}, {'AGMode': 'Rsp'}, {'NetworkDesign': 'unet7'}, {'stage_list': [1, 4]}])
def test_a_wrong_choice_hides_no_other_problem(wrong):
    others = {'Randomness': 'yes', 'NetworkTraining': {'BatchSise': 2}, 'BaseReg': 'Afine'}
    others['deform_exp'] = {'3D_max20_D14_K': {'MaxDeform': 'x', 'DeformMethods': ['single_freq']}}
    told = su.find_problems(settings(changes=dict(others, **wrong)))
    for name in list(wrong) + ['Randomness', 'BatchSise', 'BaseReg', 'MaxDeform', 'DeformMethods']:
        assert any(f'{name} is ' in line or f'{name}: ' in line for line in told), (name, told)


def test_the_assignments_of_the_script_are_never_changed():
    before = copy.deepcopy(RunRegNet3D.setting)
    settings(['--stage', '1'], {'Phantom': {'Size': [64, 64, 64]}, 'deform_exp': {'3D_max7_D14_K': {'MaxDeform': 5}}})
    assert RunRegNet3D.setting == before
    # Real pairs only: no deformations are asked for.
    pairs = {'data': 'Phantom_4D', 'TestingCNList': [9], 'TestingPairList': [[0, 5]], 'TestingSpacing': 'RS1'}
    setting = settings(changes={'DataExpDict': [pairs]})
    assert su.find_problems(setting) == [] and setting['deform_exp'] == {} and 'ClassBalanced' not in setting


def test_whole_images_may_be_padded_to_fewer_sizes():
    assert settings(changes={'SizeUnit': 16})['SizeUnit'] == 16 and settings()['SizeUnit'] == 8
    assert su.find_problems(settings(changes={'SizeUnit': 16})) == []
    assert su.find_problems(settings(changes={'SizeUnit': 12})) == ['SizeUnit is 12; unet1 takes multiples of 8.']


@pytest.mark.parametrize(
    'words, text',
    [
        (['--stage', '3'], '1, 2, 4'),
        (['--network', 'foo'], 'unet1'),
        (['--setting', 'missing.json'], 'missing.json'),
        (['-g', '-ng'], 'exclude'),
        (['--setting', '.'], 'JSON|.'),
    ],
)
def test_bad_command_line_is_one_line_naming_what_is_accepted(words, text, tmp_path, monkeypatch, caplog):
    assert outcome(words, tmp_path, monkeypatch, caplog, text) == 2


@pytest.mark.parametrize(
    'changes, text',
    [
        ({'NetworkTraining': {'MaxIteration': 5}}, 'MaxIterations'),
        ({'normalisation': 'lung'}, 'normalization'),
        ({'NetworkTraining': {'BatchSize': 'two'}}, 'BatchSize'),
        ({'stage': 3}, '1, 2, 4'),
        ({'DataExpDict': [{'data': 'Phantom4D', 'deform_exp': '3D_max20_D14_K'}]}, 'Phantom_4D'),
        (
            {
                'DataExpDict': [
                    {
                        'data': 'Phantom_4D',
                        'deform_exp': '3D_max20_D14_K',
                        'TrainingCNList': [999],
                        'TrainingTypeImList': [0],
                        'TrainingDSmoothList': [0],
                    }
                ]
            },
            '999',
        ),
        (
            {
                'DataExpDict': [
                    {
                        'data': 'Phantom_4D',
                        'deform_exp': '3D_max20_D14_K',
                        'TrainingCNList': [1],
                        'TrainingTypeImList': [12],
                        'TrainingDSmoothList': [0],
                    }
                ]
            },
            '12',
        ),
        ({'deform_exp': {'3D_max7_D14_K': {'MaxDeform': 3}}}, '3D_max20_D14_K'),
        ([1, 2], 'one JSON object'),
    ],
)
def test_bad_settings_file_is_reported_before_any_work(changes, text, tmp_path, monkeypatch, caplog):
    path = tmp_path / 'my.json'
    path.write_text(json.dumps(changes))
    assert outcome(['--setting', str(path)], tmp_path, monkeypatch, caplog, text) == 2


def outcome(words, tmp_path, monkeypatch, caplog, text):
    """Exit code of the script in an empty folder; checks that one error line holds ``text`` and nothing was made."""
    folder = tmp_path / 'empty'
    folder.mkdir()
    monkeypatch.chdir(folder)
    with caplog.at_level(logging.INFO):
        code = RunRegNet3D.main(['--where_to_run', 'Root'] + words)
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1 and text.split('|')[0] in errors[0], errors
    assert list(folder.iterdir()) == []
    return code


def test_missing_images_are_named_before_training(tmp_path, monkeypatch, caplog, capsys):
    monkeypatch.chdir(tmp_path)
    assert RunRegNet3D.main(['--where_to_run', 'Root', '--never_generate_image', '--json']) == 2
    result = json.loads(capsys.readouterr().out)
    assert 'case1_T00_RS1.mha' in caplog.text and 'case1_T00_RS1.mha' in result['error']
    assert result['experiment'] == './Experiments/RegNet/phantom_unet1_S4/'


def test_part_without_only_generating_is_refused(capsys):
    with pytest.raises(SystemExit):
        RunRegNet3D.parse_arguments(['--part', '1/3'])
    assert '--only_generate_image' in capsys.readouterr().err


@pytest.mark.parametrize(
    'changes, text',
    [
        ({'BaseReg': 'Afine'}, 'BaseReg'),
        ({'network_dict': {'stage4': 3}}, 'network_dict.stage4'),
        ({'network_dict': {'stage4': {'NetworkLoad': 'nobody_trained_this'}}}, 'no checkpoint'),
        ({'network_dict': {'stage4': {'NetworkLoad': 'phantom_unet1_S4', 'GlobalStepLoad': 'Lst'}}}, 'GlobalStepLoad'),
        ({'stage_list': [4, 2]}, "no 'stage2'"),
        ({'LoadedNetwork': {'NetworkLod': 'x'}}, 'LoadedNetwork'),
    ],
)
def test_what_registration_will_need_is_checked_before_training(changes, text, tmp_path, monkeypatch, caplog):
    path = tmp_path / 'my.json'
    path.write_text(json.dumps(changes))
    assert outcome(['--setting', str(path)], tmp_path, monkeypatch, caplog, text) == 2


def test_an_interruption_is_one_line(monkeypatch, caplog):
    def interrupted(script, arguments, result):
        raise KeyboardInterrupt

    monkeypatch.setattr(steps, 'run', interrupted)
    assert RunRegNet3D.main([]) == 130
    assert 'goes on from there' in caplog.text
    with pytest.raises(KeyboardInterrupt):
        RunRegNet3D.main(['--traceback'])


def test_no_passes_run_before_a_training_unless_the_settings_name_them(monkeypatch):
    setting, models = RunRegNet3D.complete_setting(RunRegNet3D.parse_arguments([]), {'Symmetric': True}), []
    opens = network_pyramid.open_networks
    monkeypatch.setattr(network_pyramid, 'open_networks', lambda known: models.append(opens(known)) or models[-1])
    with contextlib.ExitStack() as opened:
        assert steps.item_after_passes(setting, opened) is None and not models
        for more in ({}, {'symmetric': True}):
            setting['PassesBefore'] = dict(more, networks={'4': 'chest_matching_S4'}, stages=[4])
            make_item = steps.item_after_passes(dict(setting, NumberOfThreads=1), opened)
            assert isinstance(make_item, ItemAfterPasses)
    assert [model.symmetric for model in models] == [False, True]  # whatever the registration is to be


def test_items_of_passes_on_finer_images_are_made_there():
    before = {'networks': {'4': 'chest_matching_S4'}, 'stages': [4], 'voxel': 2}
    setting = RunRegNet3D.complete_setting(RunRegNet3D.parse_arguments([]), {'stage': 4, 'PassesBefore': before})
    assert steps.batches(setting, ('Validation',))[0] == (('Validation',), 2)
    with contextlib.ExitStack() as opened:
        make_item = steps.item_after_passes(dict(setting, NumberOfThreads=1, never_generate_image=True), opened)
    [im_info, *_] = su.get_im_info_list_from_train_mode(setting, 'Training')
    assert im_info['stage'] == 4
    with pytest.raises(MissingFileError, match=r'stage 2\b'):
        make_item.draft(dict(setting, never_generate_image=True), im_info)
