"""Whatever stops a training, it goes on exactly: signals, SIGKILL, half-written files, failed validations."""

import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from training_fakes import log_lines, losses, make_item, run

from functions.reading.closable_queue import ReaderFailure
from functions.reading.validation_set import ValidationSet
from functions.setting.errors import InputError, RegNetError
from functions.setting.signals import Signals, TrainingInterrupted
from functions.training import averages
from functions.training.checkpoints import Checkpoints

WAIT_S = 60


def test_half_written_checkpoint_falls_back_to_the_one_before(setting, caplog):
    run(setting, 8)
    undisturbed = losses(setting)
    checkpoints = Checkpoints(setting)
    newest, before = checkpoints.steps()[-1], checkpoints.steps()[-2]
    data = f'{checkpoints.prefix}-{newest}.data-00000-of-00001'
    with open(data, 'r+b') as stream:
        stream.truncate(os.path.getsize(data) // 2)
    assert checkpoints.newest() == before
    assert 'the one before is tried' in caplog.text
    run(setting, 8)
    assert losses(setting) == undisturbed


KILLED_AT = 14
CHILD = """
import json, os, signal, sys
sys.path[:0] = {path!r}
from functions.network.description import NETWORKS
from functions.training import training_log
from tests.network.small_network import SMALL
from training_fakes import run
NETWORKS['small'] = SMALL
write = training_log.TrainingLog.train
def train(self, iteration, step, values):
    write(self, iteration, step, values)
    if iteration == {killed_at!r}:
        os.kill(os.getpid(), signal.SIGKILL)
training_log.TrainingLog.train = train
with open({setting!r}) as stream:
    run(json.load(stream), 24)
"""


@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='a system without SIGKILL')
def test_a_killed_run_goes_on_bit_for_bit(setting, tmp_path):
    """Each run in a process of its own: TensorFlow's threads inside operations are the process's, not the session's."""
    here = os.path.dirname(os.path.abspath(__file__))
    folders = [here, os.path.dirname(os.path.dirname(here))]
    setting['NetworkTraining']['ValidationInterval'] = 5

    def train(killed_at, returncode):
        path = str(tmp_path / 'setting.json')
        with open(path, 'w') as stream:
            json.dump(setting, stream)
        code = CHILD.format(path=folders, killed_at=killed_at, setting=path)
        ended = subprocess.run([sys.executable, '-c', code], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert ended.returncode == returncode, ended.stderr.decode()

    train(None, 0)
    undisturbed, validated = losses(setting), log_lines(setting, 'validation')
    setting['current_experiment'] = 'killed'
    train(KILLED_AT, -signal.SIGKILL)
    checkpoints = Checkpoints(setting)
    assert checkpoints.state(checkpoints.newest())['iteration'] == 10
    train(None, 0)
    assert sorted(undisturbed) == list(range(1, 25)) and losses(setting) == undisturbed
    assert log_lines(setting, 'validation') == validated


def test_signals_are_noted_told_and_given_back():
    told = []
    before = signal.getsignal(signal.SIGTERM)
    with Signals() as signals:
        signals.tell(lambda: told.append('first'))
        os.kill(os.getpid(), signal.SIGTERM)
        signals.tell(lambda: told.append('late'))
        assert signals.received == signal.SIGTERM and told == ['first', 'late']
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize('number, code', [(signal.SIGTERM, 143), (signal.SIGUSR1, 138), (signal.SIGINT, 130)])
def test_signal_writes_a_checkpoint_and_ends_with_its_code(setting, number, code):
    calls = []

    def interrupting(setting, im_info, write=None):
        calls.append(im_info)
        if len(calls) == 8:
            os.kill(os.getpid(), number)
        return make_item(setting, im_info)

    with pytest.raises(TrainingInterrupted) as caught:
        run(setting, 1000, make_item=interrupting)
    assert caught.value.exit_code == code
    checkpoints = Checkpoints(setting)
    state = checkpoints.state(checkpoints.newest())
    assert state['iteration'] == len(losses(setting)) < 1000
    assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)


@pytest.mark.once
def test_a_signal_ends_the_waiting_for_a_batch_too(setting):
    leave, main = threading.Event(), threading.main_thread()

    def never_ready(setting, im_info, write=None):
        if im_info['cn'] != 3:  # of the training: it waits until the signal has come through
            signal.pthread_kill(main.ident, signal.SIGTERM)
            assert leave.wait(WAIT_S)
        return make_item(setting, im_info)

    original = Checkpoints.save

    def save(self, *arguments):
        leave.set()
        return original(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, 'save', save)
        with pytest.raises(TrainingInterrupted):
            run(setting, 3, make_item=never_ready)
    checkpoints = Checkpoints(setting)
    assert checkpoints.state(checkpoints.newest())['iteration'] == 0
    run(setting, 3)
    resumed = losses(setting)
    setting['current_experiment'] = 'undisturbed'
    run(setting, 3)
    assert losses(setting) == resumed and sorted(resumed) == [1, 2, 3]


@pytest.mark.once
def test_a_validation_that_is_cut_off_costs_no_step_and_is_made_up_for(setting, monkeypatch):
    run(setting, 8)
    undisturbed, validated = losses(setting), log_lines(setting, 'validation')
    best = min(validated, key=lambda line: line['error_mm'])
    original = ValidationSet.batches

    def crashing(self):
        raise MemoryError('in the validation')

    def interrupted(self):
        for batch in original(self):
            os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    for cut_off, error in ((crashing, MemoryError), (interrupted, TrainingInterrupted)):
        setting['current_experiment'] = cut_off.__name__
        with monkeypatch.context() as patch:
            patch.setattr(ValidationSet, 'batches', cut_off)
            with pytest.raises(error):
                run(setting, 8)
        checkpoints = Checkpoints(setting)
        state = checkpoints.state(checkpoints.newest())
        assert state['iteration'] == 4 and state['validation_pending'] and state['best'] == {}
        result = run(setting, 8)
        assert losses(setting) == undisturbed and log_lines(setting, 'validation') == validated
        state = checkpoints.state(checkpoints.newest())
        assert state['best'] == {'step': best['step'], 'error_mm': best['error_mm']}
        assert result.best_step == best['step'] and not state['validation_pending']


def test_loss_that_is_no_number_stops_with_the_items_named(setting):
    def spoiled(setting, im_info, write=None):
        item = make_item(setting, im_info)
        item.dvf[...] = np.nan if im_info['dsmooth'] == 1 else item.dvf
        return item

    setting['ClassBalanced'] = [7]
    with pytest.raises(InputError, match='(?s)Training stops at iteration.*is nan.*Phantom_4D.*Dsmooth1'):
        run(setting, 50, make_item=spoiled)
    assert Checkpoints(setting).newest() is None or all(np.isfinite(list(losses(setting).values())))


def test_an_exploding_loss_stops_with_the_items_named(setting, monkeypatch):
    def exploding(setting, im_info, write=None):
        item = make_item(setting, im_info)
        item.dvf[...] *= 1e6 if im_info['cn'] == 2 else 1.0
        return item

    monkeypatch.setattr(averages, '_ENOUGH', 1)
    setting.update(Randomness=False)  # case 1 comes first
    with pytest.raises(InputError, match='(?s)LossLimit = 100.*Phantom_4D/type0/cn2/'):
        run(setting, 50, make_item=exploding)


@pytest.mark.once
def test_an_item_that_fails_costs_no_step(setting):
    run(setting, 12)
    undisturbed = losses(setting)
    setting['current_experiment'] = 'disturbed'
    calls = []

    def failing(setting, im_info, write=None):
        calls.append(im_info)
        if len(calls) == 8:
            raise MemoryError('short of memory for a moment')
        return make_item(setting, im_info)

    with pytest.raises(ReaderFailure, match='for a moment'):
        run(setting, 12, make_item=failing)
    checkpoints = Checkpoints(setting)
    assert 0 < checkpoints.state(checkpoints.newest())['iteration'] < 12
    run(setting, 12)
    assert losses(setting) == undisturbed


def test_failing_item_reaches_the_trainer_with_its_name_and_traceback(setting):
    def failing(setting, im_info, write=None):
        if im_info['cn'] == 2:
            raise RuntimeError('the disk fell over')
        return make_item(setting, im_info)

    with pytest.raises(RegNetError, match='(?s)cn2.*the disk fell over.*Traceback.*in failing'):
        run(setting, 50, make_item=failing)
