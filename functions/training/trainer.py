"""The training loop (arXiv 1908.10235, section 3.4): batches in, checkpoints out, resumable at any point."""

import collections
import contextlib
import logging
import os
import time
from typing import Any, Callable, Dict, Optional

import numpy as np

from ..image.claim import claim_folder
from ..reading.closable_queue import Interrupted, ReaderFailure, ReaderTimeout
from ..reading.synthetic_pair import pair_errors
from ..reading.train_queue import TrainingQueue, training_memory
from ..reading.validation_set import ValidationSet
from ..setting import setting_utils as su
from ..setting.atomic import disk_errors
from ..setting.errors import InputError
from ..setting.kinds import MAPPING, number, optional, whole
from ..setting.progress import Progress
from ..setting.signals import Signals, TrainingInterrupted
from ..setting.text_files import require_shape
from ..setting.trained_models import checkpoint_path, resolve_step, restoring
from ..tf_utils.sessions import open_session, xla_problem
from ..tf_utils.weights import restore
from .averages import Averages, LossWatch, class_tags
from .checkpoints import Checkpoints
from .graph import TrainingGraph
from .learning_rates import learning_rate
from .run_record import write_run_record
from .training_log import TrainingLog

LOGGER = logging.getLogger(__name__)

_STATE = {'iteration': whole(0), 'samples': whole(0), 'seconds': number(0), 'best': MAPPING}
_STATE['network'] = optional(MAPPING)  # the first versions did not write it

TrainingResult = collections.namedtuple('TrainingResult', 'step best_step iteration seconds validation')
"""``step``, ``best_step``: checkpoint steps; ``validation``: values of the last validation pass."""


def train(
    setting: Dict[str, Any],
    resume: bool = True,
    threads: Optional[int] = None,
    make_item: Optional[Callable[..., Any]] = None,
) -> TrainingResult:
    """Train ``setting['NetworkDesign']`` until ``MaxIterations`` or ``MaxHours`` is reached.

    Every ``LogInterval`` iterations averages are logged; every ``ValidationInterval`` iterations a checkpoint
    is written and then the whole validation set is predicted once. An interrupted run continues from its newest
    whole checkpoint and sampler position, after making up for an interrupted validation, so that its losses are
    those of an uninterrupted run. Settings, code version and data are written beside the checkpoints.

    :param setting: a checked settings dictionary.
    :param resume: continue from the experiment's checkpoints if there are any.
    :param threads: of TensorFlow, None for all cores; with 1 a resumed run equals the uninterrupted one bit for bit.
    :param make_item: function that makes an item from an im_info; None reads or generates files.
    :return: :class:`TrainingResult`.
    :raises InputError: the loss became NaN or infinite, or explodes (``LossLimit``); names the items of the batch.
    :raises ReaderFailure: an item could not be read or generated; the message has its name.
    :raises TrainingInterrupted: after a signal, once a checkpoint is written.
    :raises DiskError: another process trains this experiment, or its folder cannot be written.
    """
    with claim_folder(su.address_generator(setting, 'ModelFolder')) as require_ours:
        return _train(setting, resume, threads, make_item, require_ours)


def _train(setting, resume, threads, make_item, require_ours):
    checkpoints = Checkpoints(setting, require_ours=require_ours)
    newest = checkpoints.newest() if resume else None
    state = _start_state(setting, checkpoints, newest)
    maximum = int(setting['NetworkTraining']['MaxIterations'])
    if newest is not None and state['iteration'] >= maximum and not state.get('validation_pending'):
        LOGGER.info('Training is finished: %d iterations are done, MaxIterations is %d.', state['iteration'], maximum)
        return _result(newest, state)
    if setting.get('XLA') and xla_problem():
        raise InputError(xla_problem())
    graph, validation = TrainingGraph(setting), None
    if su.get_im_info_list_from_train_mode(setting, 'Validation'):
        beside = training_memory(setting, make_item=make_item)
        validation = ValidationSet(setting, make_item=make_item, memory_beside=beside)
    compute = (graph.graph, threads, setting.get('XLA', False), setting.get('MixedPrecision', False))
    begin = {'position': state['position'], 'semi_epoch': state['first_semi_epoch']}
    record = su.address_generator(setting, 'log_im_file')
    # Signals first, so that one that arrives early still ends the run cleanly.
    with Signals() as signals, open_session(*compute) as session, TrainingQueue(
        setting, make_item=make_item, log_address=record, **begin
    ) as queue:
        signals.tell(queue.interrupt)
        if validation is not None:
            signals.tell(validation.interrupt)
        checkpoints.sweep()
        if newest is None:
            session.run(graph.initialise)
            loaded = _loaded(setting)
            if loaded is not None:
                with restoring(loaded[1]):
                    restore(session, graph.model_saver, loaded[1])
                LOGGER.info('Weights taken from %s.', loaded[1])
        else:
            with restoring(checkpoints.path(newest)):
                restore(session, graph.saver, checkpoints.path(newest))
        folder = su.address_generator(setting, 'ModelFolder')
        with disk_errors(folder), contextlib.closing(TrainingLog(setting, state, graph.graph)) as log:
            if newest is None:
                # Earlier checkpoints are removed only once everything could be opened.
                checkpoints.retire()
            log.keep_until(state)
            write_run_record(setting, newest)
            LOGGER.info('%s', graph.description)
            if newest is not None:
                LOGGER.info('Resumed from %s at iteration %d.', checkpoints.path(newest), state['iteration'])
            return _Loop(setting, graph, session, checkpoints, log, state, validation).run(queue, signals)


def _result(step, state):
    best_step, validation = state['best'].get('step', step), state.get('validation', {})
    return TrainingResult(step, best_step, state['iteration'], state['seconds'], validation)


def _start_state(setting, checkpoints, newest):
    """The state of the checkpoint ``newest``, or that of a new training.

    :raises InputError: the checkpoint belongs to another network than the setting describes.
    """
    network = network_identity(setting)
    if newest is None:
        iteration, semi_epoch = _counted_before(setting)
        samples = iteration * setting['NetworkTraining']['BatchSize']
        start = {'seconds': 0.0, 'position': None, 'best': {}, 'network': network}
        return dict(start, iteration=iteration, samples=samples, first_semi_epoch=semi_epoch)
    state = require_shape(f'{checkpoints.prefix}-{newest}.json', checkpoints.state(newest), _STATE)
    state = dict({'first_semi_epoch': 0}, **state)
    for key, value in (state.get('network') or {}).items():
        if network.get(key) != value:
            differs = (
                f'{checkpoints.prefix}-{newest} was trained with {key} {value!r}; the setting says {network.get(key)!r}'
            )
            raise InputError(f'{differs}. Choose another --experiment NAME, or begin this one anew (--fresh).')
    return state


def network_identity(setting):
    """The settings that give the weights their meaning."""
    return {key: setting.get(key) for key in ('NetworkDesign', 'stage', 'normalization', 'DVFUnit', 'InputMask')}


def _loaded(setting):
    """(step, path prefix) of the checkpoint ``setting['LoadedNetwork']`` names, or None.

    :raises InputError: it is one of those that a new training removes.
    """
    loaded = setting.get('LoadedNetwork')
    if not loaded:
        return None
    step = resolve_step(setting, loaded.get('GlobalStepLoad', 'Last'), loaded['NetworkLoad'])
    prefix = checkpoint_path(setting, step, loaded['NetworkLoad'])
    own = su.address_generator(setting, 'saved_model')
    if os.path.realpath(os.path.dirname(prefix)) == os.path.realpath(os.path.dirname(own)):
        raise InputError(f'LoadedNetwork is {prefix}, which this training would replace; choose another --experiment.')
    return step, prefix


def _counted_before(setting):
    """(iterations done, first semi-epoch) of a new training.

    0 and 0, unless ``LoadedNetwork`` names ``itr_load`` or ``semi_epoch_load``, from which counting, learning rate and
    sampling then continue.
    """
    found = _loaded(setting)
    if found is None:
        return 0, 0
    usual = {'itr_load': 0, 'semi_epoch_load': 0, 'BatchSize': setting['NetworkTraining']['BatchSize']}
    resolved = su.load_network(setting, dict(usual, **dict(setting['LoadedNetwork'], GlobalStepLoad=str(found[0]))))
    return max(0, resolved['itr_load'] - 1), resolved['semi_epoch_load']


class _Loop:
    """One run of :func:`train`."""

    def __init__(self, setting, graph, session, checkpoints, log, state, validation):
        self.graph, self.session = graph, session
        self.checkpoints, self.log, self.state = checkpoints, log, dict(state)
        self.saved_step = state['samples'] if checkpoints.steps() else None
        self._validation_set, self._pair = validation, None
        self.training = training = setting['NetworkTraining']
        self._tags = class_tags(setting.get('ClassBalanced') or [])
        self.maximum = int(training['MaxIterations'])
        self.maximum_seconds = 3600.0 * training['MaxHours'] if training.get('MaxHours') else None
        self.log_interval = int(training.get('LogInterval', 25))
        self.validation_interval = int(training.get('ValidationInterval', 1000))
        self._watch = LossWatch(training.get('LossLimit', 100.0))
        # Seconds of earlier runs, and when this one began.
        self._before, self._start = state['seconds'], time.time()

    def run(self, queue, signals):
        """Iterate; see :func:`train`."""
        state, averages, waited = self.state, Averages(self._tags), 0.0
        if state.get('validation_pending'):
            LOGGER.info('The validation of the checkpoint was interrupted; it is repeated now.')
            self._validate(signals)
        last_log = time.time()
        with Progress(total=self.maximum, initial=state['iteration'], desc='training', unit='it', mininterval=1) as bar:
            while state['iteration'] < self.maximum and not self._out_of_time():
                asked = time.time()
                try:
                    batch = queue.get()
                except Interrupted:
                    self._end_by(signals)
                except (ReaderFailure, ReaderTimeout):
                    if state['iteration'] > 0:
                        self._save_steps_done()
                    raise
                waited += time.time() - asked
                rate = learning_rate(self.training, state['iteration'], batch.semi_epoch)
                logs = (state['iteration'] + 1) % self.log_interval == 0 or state['iteration'] == 0
                inspection = self._inspect(batch) if logs else {}
                averages.add(self._step(batch, rate), batch.images.shape[0])
                bar.update(1)
                if logs:
                    now = time.time()
                    means = dict(averages.means(), learning_rate=rate, semi_epoch=batch.semi_epoch, **inspection)
                    means.update(queue_fill=queue.qsize(), wait_share=waited / max(now - last_log, 1e-9))
                    self.log.train(state['iteration'], state['samples'], means)
                    bar.set_postfix(loss=f'{means["loss"]:.3f}', error_mm=f'{means["error_mm"]:.2f}')
                    averages, waited, last_log = Averages(self._tags), 0.0, now
                del batch  # frees its memory for the next one
                if state['iteration'] % self.validation_interval == 0:
                    began = time.time()
                    self._save()
                    self._validate(signals)
                    last_log += time.time() - began  # not part of the time spent waiting for batches
                if signals.received is not None:
                    self._end_by(signals)
        if self.saved_step != state['samples']:
            self._save()
            self._validate(signals)
        return _result(self.saved_step, state)

    def _step(self, batch, rate):
        """Train on a batch and update the state; returns the values of the step."""
        state = self.state
        values = self.session.run(self.graph.fetch_train, self.graph.feed(batch, rate, self._frozen()))
        values.pop('update')
        self._watch.check(values, state['iteration'] + 1, batch.items)
        state['iteration'] += 1
        state['samples'] += batch.images.shape[0]
        state['position'] = batch.position
        state['seconds'] = self._before + time.time() - self._start
        return values

    def _inspect(self, batch):
        """Norms of the gradients before the step (setting ``inspecting_regularization_weight``), else empty."""
        if not self.graph.fetch_inspection:
            return {}
        values = self.session.run(self.graph.fetch_inspection, self.graph.feed(batch, frozen=self._frozen()))
        huber, bending, equal = (values[f] for f in ('gradient_huber', 'gradient_bending', 'reg_weight_equal'))
        text = 'Gradient norm of Huber %.4g, of reg_weight x bending energy %.4g; equal at reg_weight %.4g'
        LOGGER.info(text, huber, bending, equal)
        return {name: float(value) for name, value in values.items()}

    def _frozen(self):
        """Whether the next step normalises with the stored statistics."""
        share = self.training.get('FreezeStatistics')
        return share is not None and self.state['iteration'] >= share * self.maximum

    def _out_of_time(self):
        if self.maximum_seconds is None or self.state['seconds'] < self.maximum_seconds:
            return False
        LOGGER.info('MaxHours is reached at iteration %d.', self.state['iteration'])
        return True

    def _end_by(self, signals):
        """Write a checkpoint if needed and raise :class:`TrainingInterrupted`."""
        self._save_steps_done()
        raise TrainingInterrupted(signals.received)

    def _save_steps_done(self):
        """Write a checkpoint if needed."""
        if self.saved_step != self.state['samples']:
            self._save(validate=False)

    def _save(self, validate=True):
        """Write the checkpoint, before validation, so that a crash there costs no step."""
        state = self.state
        state['validation_pending'] = validate and self._validation_set is not None
        path = self.checkpoints.save(self.session, self.graph.saver, state['samples'], state)
        self.saved_step = state['samples']
        LOGGER.info('Checkpoint %s', path)

    def _validate(self, signals):
        """Validate on all validation chunks; the result is stored with the checkpoint just saved.

        :raises TrainingInterrupted: after a signal; the pass is repeated when training continues.
        """
        if self._validation_set is None:
            return
        state, averages = self.state, Averages(self._tags)
        step = state['samples']
        try:
            # Closed at once, however the pass ends.
            with contextlib.closing(self._validation_set.batches()) as batches:
                for number, batch in enumerate(batches):
                    fetches = {'pictures': self.graph.fetch_pictures} if number == 0 else {}
                    fetches['terms'] = self.graph.fetch_validation
                    values = self.session.run(fetches, self.graph.feed(batch))
                    if number == 0:
                        truth = self.graph.truth(batch.dvf)
                        self.log.images(batch.images, truth, step, **values['pictures'])
                    averages.add(values['terms'], batch.images.shape[0])
                    if signals.received is not None:
                        self._end_by(signals)
        except Interrupted:
            self._end_by(signals)
        self._pair = self._pair or self._validation_set.synthetic_pair()
        prediction = self.session.run(self.graph.prediction, {self.graph.images: self._pair.images})
        pair = self._pair._replace(truth=self.graph.truth(self._pair.truth))
        means = dict(averages.means(), **pair_errors(pair, prediction))
        self.log.validation(state['iteration'], step, means)
        losses = f'loss {means["loss"]:.4f}, error {means["error_mm"]:.3f} mm'
        tre = f'TRE of {self._pair.name} {means["tre_mm"]:.3f} mm, before {means["tre_before_mm"]:.3f} mm'
        LOGGER.info(f'Validation at iteration {state["iteration"]}: {losses}; {tre}')
        state['validation'], state['validation_pending'] = means, False
        if means['error_mm'] < state['best'].get('error_mm', np.inf):
            state['best'] = {'step': step, 'error_mm': means['error_mm']}
        self.checkpoints.update(step, state)
