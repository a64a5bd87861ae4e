"""The training loop (arXiv 1908.10235, section 3.4): batches in, checkpoints out, resumable at any point."""
import collections
import logging
import signal
import threading
import time

import numpy as np
from tqdm import tqdm

from functions.reading.train_queue import TrainingQueue
from functions.reading.validation import ValidationSet
from functions.setting import setting_utils as su
from functions.setting.errors import InputError, RegNetError
from functions.tf_utils.sessions import open_session
from functions.training.checkpoints import Checkpoints
from functions.training.graph import TrainingGraph
from functions.training.journal import Journal
from functions.training.schedule import learning_rate

LOGGER = logging.getLogger(__name__)

TrainingResult = collections.namedtuple('TrainingResult', 'step best_step iteration seconds validation')
"""``step``, ``best_step``: checkpoint steps; ``validation``: values of the last validation pass."""


class TrainingInterrupted(RegNetError):
    """A signal ended training after a checkpoint was written; ``exit_code`` is 128 + the signal's number."""

    def __init__(self, number):
        super(TrainingInterrupted, self).__init__(
            'Training was interrupted by signal {}; the checkpoint is written, the same command goes on from it.'.format(number))
        self.exit_code = 128 + number


class _Signals(object):
    """Notes SIGINT, SIGTERM and SIGUSR1 (as SLURM sends before its limit) instead of dying from them."""

    def __init__(self):
        self.received = None
        self._previous = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for name in ('SIGINT', 'SIGTERM', 'SIGUSR1'):
                number = getattr(signal, name, None)
                if number is not None:
                    self._previous[number] = signal.signal(number, self._note)
        return self

    def _note(self, number, frame):
        del frame
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number

    def __exit__(self, *exception):
        for number, handler in self._previous.items():
            signal.signal(number, handler)


class _Averages(object):
    """Means weighted by the number of samples, one weight for all quantities."""

    def __init__(self):
        self._sums, self._count = collections.defaultdict(float), 0

    def add(self, values, samples):
        for key, value in values.items():
            self._sums[key] += float(value) * samples
        self._count += samples

    def means(self):
        return {key: value / max(self._count, 1) for key, value in self._sums.items()}


def train(setting, resume=True, threads=None, make_item=None):
    """Train ``setting['NetworkDesign']`` until ``MaxIterations`` (or ``MaxHours``) and return where it stands.

    Every ``LogInterval`` iterations averages are logged; every ``ValidationInterval`` iterations a checkpoint is written
    and the whole validation set is predicted once. An interrupted run goes on from its newest whole checkpoint, with the
    sampler where it was, so that the sequence of losses is that of an undisturbed run. The settings are written beside the
    checkpoints once everything could be opened.

    :param setting: a checked settings dictionary.
    :param resume: go on from the experiment's checkpoints when there are any.
    :param threads: TensorFlow threads, None for all cores; with 1 a resumed run repeats the undisturbed one bit for bit.
    :param make_item: what turns an im_info into an item, None for the files and the generation.
    :return: :class:`TrainingResult`.
    :raises InputError: the loss is no number any more; the batch's items are named.
    :raises TrainingInterrupted: after a signal, when the checkpoint is written.
    """
    checkpoints = Checkpoints(setting)
    newest = checkpoints.newest() if resume else None
    state = _start_state(setting, checkpoints, newest)
    training = setting['NetworkTraining']
    if newest is not None and state['iteration'] >= int(training['MaxIterations']):
        LOGGER.info('Training is finished: %d iterations are done, MaxIterations is %d.', state['iteration'],
                    training['MaxIterations'])
        return TrainingResult(newest, state['best'].get('step', newest), state['iteration'], state['seconds'],
                              state.get('validation', {}))
    graph = TrainingGraph(setting)
    validation = ValidationSet(setting, make_item=make_item) if has_validation(setting) else None
    # Signals first: from here on one that comes early is noted and obeyed after the first step, not died from.
    with _Signals() as signals, open_session(graph.graph, threads) as session, \
            TrainingQueue(setting, position=state['position'], make_item=make_item) as queue:
        if newest is None:
            session.run(graph.initialise)
            _warm_start(setting, session, graph)
            # Only now, when everything could be opened, is what was trained before given up.
            checkpoints.retire()
        else:
            graph.saver.restore(session, checkpoints.path(newest))
            LOGGER.info('Resumed from %s at iteration %d.', checkpoints.path(newest), state['iteration'])
        su.write_setting(setting)
        journal = Journal(setting, state['iteration'])
        try:
            return _Loop(setting, graph, session, checkpoints, journal, state, validation).run(queue, signals)
        finally:
            journal.close()


def _start_state(setting, checkpoints, newest):
    """Where training stands: the state of the checkpoint ``newest``, or the beginning.

    :raises InputError: the checkpoint belongs to another network than the setting describes.
    """
    network = network_identity(setting)
    if newest is None:
        return {'iteration': 0, 'samples': 0, 'seconds': 0., 'position': None, 'best': {}, 'network': network}
    state = checkpoints.state(newest)
    for key, value in state['network'].items():
        if network[key] != value:
            raise InputError('{}-{} was trained with {} {!r}; the setting says {!r}. Choose another experiment (--experiment NAME), '
                             'or begin this one anew (--fresh).'.format(checkpoints.prefix, newest, key, value, network[key]))
    return state


def network_identity(setting):
    """The settings without which weights mean nothing."""
    return {key: setting.get(key) for key in ('NetworkDesign', 'stage', 'normalization', 'DVFUnit', 'InputMask')}


def _warm_start(setting, session, graph):
    """Weights from another experiment (``setting['LoadedNetwork']``), before the first step."""
    loaded = setting.get('LoadedNetwork')
    if not loaded:
        return
    other = Checkpoints(setting, experiment=loaded['NetworkLoad'])
    path = other.path(other.resolve(loaded.get('GlobalStepLoad', 'Last')))
    graph.model_saver.restore(session, path)
    LOGGER.info('Weights taken from %s.', path)


def has_validation(setting):
    """Whether the settings name any validation image."""
    return bool(su.get_im_info_list_from_train_mode(setting, 'Validation'))


class _Loop(object):
    """One run of :func:`train`: what it counts and when it saves."""

    def __init__(self, setting, graph, session, checkpoints, journal, state, validation):
        self.graph, self.session = graph, session
        self.checkpoints, self.journal, self.state = checkpoints, journal, dict(state)
        self.saved_step = state['samples'] or None
        self._validation_set = validation
        self.last_validation = state.get('validation', {})
        training = setting['NetworkTraining']
        self.training = training
        self.maximum = int(training['MaxIterations'])
        self.maximum_seconds = 3600. * training['MaxHours'] if training.get('MaxHours') else None
        self.log_interval = int(training.get('LogInterval', 25))
        self.validation_interval = int(training.get('ValidationInterval', 1000))

    def run(self, queue, signals):
        """Iterate; see :func:`train`."""
        state, averages, waited = self.state, _Averages(), 0.
        before = state['seconds']
        start = last_log = time.time()
        with tqdm(total=self.maximum, initial=state['iteration'], desc='training', unit='it', mininterval=1.) as bar:
            while state['iteration'] < self.maximum and not self._out_of_time():
                asked = time.time()
                batch = queue.get()
                waited += time.time() - asked
                rate = learning_rate(self.training, state['iteration'], batch.semi_epoch)
                values = self.session.run(self.graph.fetch_train, self.graph.feed(batch, rate))
                values.pop('update')
                if not np.isfinite(values['loss']):
                    raise InputError('The loss became {} at iteration {}; the batch held: {}. Lower LearningRate_Base or look at '
                                     'these items.'.format(values['loss'], state['iteration'] + 1, ', '.join(batch.items)))
                samples = batch.images.shape[0]
                averages.add(values, samples)
                state['iteration'] += 1
                state['samples'] += samples
                state['position'] = batch.position
                state['seconds'] = before + time.time() - start
                bar.update(1)
                if state['iteration'] % self.log_interval == 0 or state['iteration'] == 1:
                    now = time.time()
                    means = dict(averages.means(), learning_rate=rate, semi_epoch=batch.semi_epoch,
                                 queue_fill=queue.qsize(), wait_share=waited / max(now - last_log, 1e-9))
                    self.journal.train(state['iteration'], state['samples'], means)
                    bar.set_postfix(loss='{:.3f}'.format(means['loss']), error_mm='{:.2f}'.format(means['error_mm']))
                    averages, waited, last_log = _Averages(), 0., now
                if state['iteration'] % self.validation_interval == 0:
                    self.save(validate=True)
                if signals.received is not None:
                    self.save(validate=False)
                    raise TrainingInterrupted(signals.received)
        if self.saved_step != state['samples']:
            self.save(validate=True)
        return TrainingResult(self.saved_step, state['best'].get('step', self.saved_step), state['iteration'],
                              state['seconds'], self.last_validation)

    def _out_of_time(self):
        if self.maximum_seconds is None or self.state['seconds'] < self.maximum_seconds:
            return False
        LOGGER.info('MaxHours is reached at iteration %d.', self.state['iteration'])
        return True

    def save(self, validate):
        """One validation pass, then the checkpoint with its result."""
        state = self.state
        step = state['samples']
        if validate:
            self.last_validation = self.validate(step)
            if self.last_validation:
                state['validation'] = self.last_validation
                if self.last_validation['error_mm'] < state['best'].get('error_mm', np.inf):
                    state['best'] = {'step': step, 'error_mm': self.last_validation['error_mm']}
        path = self.checkpoints.save(self.session, self.graph.saver, step, state)
        self.saved_step = step
        LOGGER.info('Checkpoint %s', path)

    def validate(self, step):
        """Means over all validation chunks; empty when the setting has no validation images."""
        averages = _Averages()
        if self._validation_set is None:
            return {}
        for number, batch in enumerate(self._validation_set.batches()):
            fetches = dict(self.graph.fetch_validation)
            if number == 0:
                fetches['prediction'] = self.graph.prediction
            values = self.session.run(fetches, self.graph.feed(batch))
            prediction = values.pop('prediction', None)
            if prediction is not None:
                self.journal.images(batch, prediction, step)
            averages.add(values, batch.images.shape[0])
        means = averages.means()
        self.journal.validation(self.state['iteration'], step, means)
        LOGGER.info('Validation at iteration %d: loss %.4f, error %.3f mm', self.state['iteration'], means['loss'], means['error_mm'])
        return means
