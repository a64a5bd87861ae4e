"""The loop: it learns, resumes exactly, survives half-written checkpoints and signals, and fails loudly."""
import json
import os
import signal

import numpy as np
import pytest

import functions.setting.setting_utils as su
from functions.setting.errors import InputError, RegNetError
from functions.training.checkpoints import Checkpoints
from functions.training.journal import read_journal
from functions.training.trainer import TrainingInterrupted, train
from training_fakes import make_item


def losses(setting):
    lines = read_journal(os.path.join(su.address_generator(setting, 'ModelFolder'), 'log.jsonl'))
    return {line['iteration']: line['loss'] for line in lines if line['kind'] == 'train'}


def run(setting, iterations, **arguments):
    setting['NetworkTraining']['MaxIterations'] = iterations
    return train(setting, threads=1, make_item=arguments.pop('make_item', make_item), **arguments)


def test_training_writes_what_a_person_looks_for(setting):
    result = run(setting, 5)
    assert result.iteration == 5
    assert Checkpoints(setting).newest() == result.step
    folder = su.address_generator(setting, 'ModelFolder')
    lines = read_journal(os.path.join(folder, 'log.jsonl'))
    assert [line['iteration'] for line in lines if line['kind'] == 'train'] == [1, 2, 3, 4, 5]
    assert [line['iteration'] for line in lines if line['kind'] == 'validation'] == [4, 5]
    assert all(np.isfinite(line['error_mm']) for line in lines)
    assert os.path.getsize(os.path.join(folder, 'Plots', 'training_curve.png')) > 1000
    for folder in ('summary_train', 'summary_validation'):
        assert any('tfevents' in name for name in os.listdir(su.address_generator(setting, folder)))


def test_resumed_run_repeats_the_undisturbed_one_bit_for_bit(setting):
    run(setting, 8)
    undisturbed = losses(setting)
    setting['current_experiment'] = 'interrupted'
    run(setting, 4)
    resumed = run(setting, 8)
    assert resumed.iteration == 8
    assert losses(setting) == undisturbed


def test_half_written_checkpoint_falls_back_to_the_one_before(setting, caplog):
    run(setting, 8)
    undisturbed = losses(setting)
    checkpoints = Checkpoints(setting)
    newest, before = checkpoints.steps()[-1], checkpoints.steps()[-2]
    data = '{}-{}.data-00000-of-00001'.format(checkpoints.prefix, newest)
    with open(data, 'r+b') as stream:
        stream.truncate(os.path.getsize(data) // 2)
    assert checkpoints.newest() == before
    assert 'falling back' in caplog.text
    run(setting, 8)
    assert losses(setting) == undisturbed


def test_checkpoint_without_its_record_does_not_exist(setting):
    run(setting, 4)
    checkpoints = Checkpoints(setting)
    step = checkpoints.newest()
    os.remove('{}-{}.json'.format(checkpoints.prefix, step))
    assert checkpoints.newest() is None
    with pytest.raises(InputError, match='no checkpoint of step'):
        checkpoints.path(step)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_signal_writes_a_checkpoint_and_ends_with_its_code(setting, number):
    calls = []

    def interrupting(setting, im_info, write=None):
        calls.append(im_info)
        if len(calls) == 6:
            os.kill(os.getpid(), number)
        return make_item(setting, im_info)
    with pytest.raises(TrainingInterrupted) as caught:
        run(setting, 1000, make_item=interrupting)
    assert caught.value.exit_code == 128 + number
    checkpoints = Checkpoints(setting)
    assert checkpoints.state(checkpoints.newest())['iteration'] >= 1
    assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)


def test_loss_that_is_no_number_stops_with_the_items_named(setting):
    def spoiled(setting, im_info, write=None):
        item = make_item(setting, im_info)
        item.dvf[...] = np.nan if im_info['dsmooth'] == 1 else item.dvf
        return item
    setting['ClassBalanced'] = [7]
    with pytest.raises(RegNetError, match='(?s)(Phantom_4D|dsmooth)'):
        run(setting, 50, make_item=spoiled)


def test_failing_item_reaches_the_trainer_with_its_name(setting):
    def failing(setting, im_info, write=None):
        if im_info['cn'] == 2:
            raise RuntimeError('the disk fell over')
        return make_item(setting, im_info)
    with pytest.raises(RegNetError, match='(?s)the disk fell over') as caught:
        run(setting, 50, make_item=failing)
    assert 'cn2' in str(caught.value).replace(' ', '').replace('=', '') or 'case2' in str(caught.value)


def test_weights_of_another_experiment_are_the_start(setting):
    first = run(setting, 4)
    setting['current_experiment'] = 'second'
    setting['LoadedNetwork'] = {'NetworkLoad': 'tiny', 'GlobalStepLoad': 'Last'}
    warm = run(setting, 1)
    assert warm.iteration == 1 and first.step
    setting['current_experiment'] = 'third'
    setting['LoadedNetwork'] = None
    run(setting, 1)
    values = {}
    for name in ('second', 'third'):
        setting['current_experiment'] = name
        values[name] = losses(setting)[1]
    setting['current_experiment'] = 'tiny'
    assert values['third'] == losses(setting)[1] != values['second']


def test_fresh_training_gives_up_what_was_trained_before(setting):
    run(setting, 8)
    result = run(setting, 2, resume=False)
    assert result.iteration == 2
    checkpoints = Checkpoints(setting)
    assert checkpoints.steps() == [checkpoints.newest()]
    assert checkpoints.state(checkpoints.newest())['iteration'] == 2
    assert sorted(losses(setting)) == [1, 2]


def test_finished_training_started_again_changes_nothing(setting):
    first = run(setting, 4)
    assert run(setting, 3) == first


@pytest.mark.parametrize('key, value', [('normalization', None), ('DVFUnit', 'mm'), ('InputMask', 'Lung')])
def test_checkpoint_of_another_network_is_refused(setting, key, value):
    run(setting, 2)
    setting[key] = value
    with pytest.raises(InputError, match='(?s){}.*--fresh'.format(key)):
        run(setting, 4)


def test_time_limit_reached_before_means_no_further_step(setting):
    setting['NetworkTraining']['MaxHours'] = 1e-9
    first = run(setting, 50)
    assert 0 < first.iteration < 50
    assert run(setting, 50).iteration == first.iteration


def test_journal_line_cut_short_is_left_out(tmp_path):
    path = str(tmp_path / 'log.jsonl')
    with open(path, 'w') as stream:
        stream.write(json.dumps({'iteration': 1}) + '\n{"iterat')
    assert read_journal(path) == [{'iteration': 1}]
