"""Checkpoints that count only when they are whole.

TensorFlow writes a checkpoint as several files. A small JSON record beside them, written last, holds their sizes and
checksums, the iteration, the position of the sampler and the best validation so far; a checkpoint without a matching
record does not exist for us, so a crash in the middle of saving costs one interval, never the run.
"""
import glob
import hashlib
import logging
import os
import re

from functions.setting import setting_utils as su
from functions.setting.atomic import read_json, write_json
from functions.setting.errors import InputError, RegNetError

LOGGER = logging.getLogger(__name__)
RECORD_FORMAT = 1


def _record_path(prefix, step):
    return '{}-{}.json'.format(prefix, step)


def _files(prefix, step):
    """The data files of a checkpoint (the .meta graph is not needed to restore)."""
    return sorted(path for path in glob.glob(glob.escape('{}-{}.'.format(prefix, step)) + '*')
                  if re.search(r'\.(index|data-\d+-of-\d+)$', path))


def _describe(path):
    digest = hashlib.blake2b(digest_size=16)
    with open(path, 'rb') as stream:
        for block in iter(lambda: stream.read(1 << 20), b''):
            digest.update(block)
    return {'bytes': os.path.getsize(path), 'checksum': digest.hexdigest()}


class Checkpoints(object):
    """The checkpoints of one experiment.

    :param setting: addresses are asked from it.
    :param keep: how many of the newest are kept; the best one is kept beside them.
    """

    def __init__(self, setting, keep=5, experiment=None):
        arguments = {} if experiment is None else {'current_experiment': experiment}
        self.prefix = su.address_generator(setting, 'saved_model', **arguments)
        self._keep = keep

    def save(self, session, saver, step, state):
        """Write the checkpoint ``step`` with its record.

        :param state: JSON-able dictionary (iteration, sampler position, best ...).
        :return: path prefix of the checkpoint, as TensorFlow names it.
        """
        os.makedirs(os.path.dirname(self.prefix), exist_ok=True)
        path = saver.save(session, self.prefix, global_step=step, write_meta_graph=False, write_state=False)
        files = {os.path.basename(name): _describe(name) for name in _files(self.prefix, step)}
        write_json(_record_path(self.prefix, step), {'format': RECORD_FORMAT, 'step': step, 'files': files, 'state': state})
        self._remove_old(state.get('best', {}).get('step'))
        return path

    def steps(self):
        """Steps that have a record, ascending."""
        found = []
        for path in glob.glob(glob.escape(self.prefix) + '-*.json'):
            match = re.search(r'-(\d+)\.json$', path)
            if match:
                found.append(int(match.group(1)))
        return sorted(found)

    def problem(self, step):
        """None when the checkpoint ``step`` is whole, else what is wrong with it."""
        try:
            record = read_json(_record_path(self.prefix, step))
        except RegNetError as error:
            return str(error)
        if record.get('format') != RECORD_FORMAT or not record.get('files'):
            return 'its record has an unknown format'
        folder = os.path.dirname(self.prefix)
        for name, expected in record['files'].items():
            path = os.path.join(folder, name)
            if not os.path.isfile(path):
                return '{} is missing'.format(name)
            if _describe(path) != expected:
                return '{} is not what was written'.format(name)
        return None

    def state(self, step):
        """The state saved with a checkpoint."""
        return read_json(_record_path(self.prefix, step))['state']

    def newest(self):
        """The newest whole checkpoint's step, or None; says which ones it had to pass over."""
        for step in reversed(self.steps()):
            problem = self.problem(step)
            if problem is None:
                return step
            LOGGER.warning('Checkpoint %s-%d cannot be used (%s); falling back to the one before.', self.prefix, step, problem)
        return None

    def best(self):
        """The step with the best validation known to the newest checkpoint, or None."""
        newest = self.newest()
        if newest is None:
            return None
        best = self.state(newest).get('best', {}).get('step')
        return best if best is not None and self.problem(best) is None else newest

    def retire(self):
        """Remove every checkpoint: training begins anew. Records go first, so that none counts any more."""
        for step in self.steps():
            self._remove(step)

    def resolve(self, step):
        """A step as settings name it: 'Last' or 'Auto' (the newest whole one), 'Best' (best validation), or a number.

        :raises InputError: anything else, or there is none.
        """
        if step in ('Last', 'Auto'):
            found = self.newest()
        elif step == 'Best':
            found = self.best()
        elif str(step).isdigit():
            return int(step)
        else:
            raise InputError("GlobalStepLoad {!r} is not possible. Accepted: 'Last', 'Auto', 'Best' or a whole number.".format(step))
        if found is None:
            raise InputError('{} has no whole checkpoint; train it first.'.format(self.prefix))
        return found

    def path(self, step):
        """TensorFlow's path prefix of a checkpoint.

        :raises InputError: there is none of that step, or it is not whole.
        """
        if step is None or step not in self.steps():
            raise InputError('{}: no checkpoint of step {}. Available: {}.'.format(
                self.prefix, step, ', '.join(str(s) for s in self.steps()) or 'none; train first'))
        problem = self.problem(step)
        if problem:
            raise InputError('{}-{} cannot be restored: {}.'.format(self.prefix, step, problem))
        return '{}-{}'.format(self.prefix, step)

    def _remove_old(self, best):
        for step in self.steps()[:-self._keep]:
            if step != best:
                self._remove(step)

    def _remove(self, step):
        # The record goes first: from then on the checkpoint does not count.
        os.remove(_record_path(self.prefix, step))
        for path in _files(self.prefix, step):
            os.remove(path)
