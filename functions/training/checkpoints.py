"""Checkpoints that count only when they are whole.

TensorFlow writes a checkpoint as several files. A small JSON record beside them, written last, holds their
sizes and checksums, the iteration, the position of the sampler and the best validation so far; a checkpoint
without a matching record does not exist for us, so a crash in the middle of saving costs one interval, never
the run.
"""

import glob
import logging
import os
import re
import shutil

from functions.setting import setting_utils as su
from functions.setting.atomic import read_json, sweep_stale_temporaries, write_json
from functions.setting.checkpoint_records import RECORD_FORMAT, describe_file, record_problem
from functions.setting.errors import InputError
from functions.setting.experiment_files import best_step

LOGGER = logging.getLogger(__name__)


def _files(prefix, step):
    """The data files of a checkpoint (the .meta graph is not needed to restore)."""
    return sorted(
        path
        for path in glob.glob(glob.escape(f'{prefix}-{step}.') + '*')
        if re.search(r'\.(index|data-\d+-of-\d+)$', path)
    )


class Checkpoints:
    """The checkpoints of one experiment.

    :param setting: addresses are asked from it.
    :param keep: how many of the newest are kept; the best one is kept beside them.
    :param experiment: None: the one of the setting.
    """

    def __init__(self, setting, keep=5, experiment=None):
        self._setting, self._experiment, self._keep = setting, experiment, keep
        self.prefix = su.address_generator(setting, 'saved_model', current_experiment=experiment)

    def _record_path(self, step):
        return su.address_generator(
            self._setting, 'saved_state_with_step', step=str(step), current_experiment=self._experiment
        )

    def save(self, session, saver, step, state):
        """Write the checkpoint ``step`` with its record.

        :param state: JSON-able dictionary (iteration, sampler position, best ...).
        :return: path prefix of the checkpoint, as TensorFlow names it.
        """
        os.makedirs(os.path.dirname(self.prefix), exist_ok=True)
        if step in self.steps():
            self._remove(step)  # while its files are replaced it is not whole
        path = saver.save(session, self.prefix, global_step=step, write_meta_graph=False, write_state=False)
        self.record(step, state)
        self._remove_old(best_step(state))
        return path

    def record(self, step, state):
        """Write the record of a checkpoint whose files are there: from now on it counts."""
        self._write_record(step, {os.path.basename(name): describe_file(name) for name in self.files(step)}, state)

    def files(self, step):
        """Paths of the data files of a checkpoint."""
        return _files(self.prefix, step)

    def update(self, step, state):
        """Replace the state of a checkpoint that is there: what was found out about it after it was saved."""
        self._write_record(step, read_json(self._record_path(step))['files'], state)

    def _write_record(self, step, files, state):
        write_json(self._record_path(step), {'format': RECORD_FORMAT, 'step': step, 'files': files, 'state': state})

    def steps(self):
        """Steps that have a record, ascending."""
        return su.saved_steps(self._setting, self._experiment, recorded=True)

    def problem(self, step):
        """None when the checkpoint ``step`` is whole, else what is wrong with it."""
        return record_problem(self._record_path(step))

    def state(self, step):
        """The state saved with a checkpoint."""
        return read_json(self._record_path(step))['state']

    def newest(self):
        """The newest whole checkpoint's step, or None; says which ones it had to pass over."""
        for step in reversed(self.steps()):
            problem = self.problem(step)
            if problem is None:
                return step
            LOGGER.warning(
                'Checkpoint %s-%d cannot be used (%s); falling back to the one before.', self.prefix, step, problem
            )
        return None

    def best(self):
        """The step with the best validation known to the newest checkpoint; the newest where that one is not
        whole or there was no validation; None without any.
        """
        newest = self.newest()
        if newest is None:
            return None
        best = best_step(self.state(newest))
        return best if best is not None and self.problem(best) is None else newest

    def retire(self):
        """Remove every checkpoint: training begins anew. Records go first, so that none counts any more."""
        for step in self.steps():
            self._remove(step)

    def sweep(self):
        """Remove what saving left behind when it was killed."""
        sweep_stale_temporaries(os.path.dirname(self.prefix))
        # Current TensorFlow writes files '.tempstate<number>', 1.15 a folder '_temp_<letters>'.
        for path in glob.glob(glob.escape(self.prefix) + '-*'):
            if re.search(r'\.tempstate\d+$', path):
                os.remove(path)
            elif re.search(r'-\d+_temp_\w+$', path):
                shutil.rmtree(path, ignore_errors=True)

    def resolve(self, step):
        """A step as settings name it: 'Last' or 'Auto' (the newest whole one), 'Best' (best validation), or a
        number.

        :raises InputError: anything else, or there is none.
        """
        if step in ('Last', 'Auto'):
            found = self.newest()
        elif step == 'Best':
            found = self.best()
        elif str(step).isdigit():
            return int(step)
        else:
            raise InputError(
                f"GlobalStepLoad {step!r} is not possible. Accepted: 'Last', 'Auto', 'Best' or a whole number."
            )
        if found is None:
            raise InputError(f'{self.prefix} has no whole checkpoint; train it first.')
        return found

    def path(self, step):
        """TensorFlow's path prefix of a checkpoint.

        :raises InputError: there is none of that step, or it is not whole.
        """
        if step is None or step not in self.steps():
            raise InputError(
                '{}: no checkpoint of step {}. Available: {}.'.format(
                    self.prefix, step, ', '.join(str(s) for s in self.steps()) or 'none; train first'
                )
            )
        problem = self.problem(step)
        if problem:
            raise InputError(f'{self.prefix}-{step} cannot be restored: {problem}.')
        return f'{self.prefix}-{step}'

    def _remove_old(self, best):
        for step in self.steps()[: -self._keep]:
            if step != best:
                self._remove(step)

    def _remove(self, step):
        # The record goes first: from then on the checkpoint does not count.
        os.remove(self._record_path(step))
        for path in self.files(step):
            os.remove(path)
