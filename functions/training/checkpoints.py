"""Checkpoints that count only when they are whole.

TensorFlow writes a checkpoint as several files. A small JSON record beside them, written last, holds their sizes and
checksums, the iteration, the position of the sampler and the best validation so far. A checkpoint without a matching
record is ignored, so a crash while saving costs one interval, never the run. Which checkpoint 'Last' or 'Best' means
is decided in :mod:`functions.setting.trained_models`.
"""

import glob
import os
import re

from ..setting import setting_utils as su
from ..setting.atomic import remove, write_json
from ..setting.checkpoint_records import RECORD_FORMAT, SHAPE, describe_file
from ..setting.text_files import read_record
from ..setting.trained_models import best_step, checkpoint_path, newest_step

#: How many of the newest checkpoints are kept; the best one is kept as well.
KEPT = 5


class Checkpoints:
    """The checkpoints of one experiment; None: the one of the setting.

    :param require_ours: called before one is saved; see :func:`functions.image.claim.claim_folder`.
    """

    def __init__(self, setting, experiment=None, require_ours=lambda: None):
        self._setting, self._experiment, self._require_ours = setting, experiment, require_ours
        self.prefix = su.address_generator(setting, 'saved_model', current_experiment=experiment)

    def _record_path(self, step):
        place = {'step': str(step), 'current_experiment': self._experiment}
        return su.address_generator(self._setting, 'saved_state_with_step', **place)

    def save(self, session, saver, step, state):
        """Write the checkpoint ``step`` with its record.

        :param state: JSON-able dictionary (iteration, sampler position, best ...).
        :return: path prefix of the checkpoint, as TensorFlow names it.
        """
        self._require_ours()
        os.makedirs(os.path.dirname(self.prefix), exist_ok=True)
        if step in self.steps():
            self._remove(step)  # it is not whole while its files are replaced
        path = saver.save(session, self.prefix, global_step=step, write_meta_graph=False, write_state=False)
        self.record(step, state)
        for old in self.steps()[:-KEPT]:
            if old != best_step(state):
                self._remove(old)
        return path

    def record(self, step, state, files=None):
        """Write the record of a checkpoint whose files are there; from now on it counts.

        :param files: what an earlier record says about them; None: look.
        """
        if files is None:
            files = {os.path.basename(name): describe_file(name) for name in self.files(step)}
        write_json(self._record_path(step), {'format': RECORD_FORMAT, 'step': step, 'files': files, 'state': state})

    def files(self, step):
        """Paths of the data files of a checkpoint (the .meta graph is not needed to restore)."""
        paths = glob.glob(glob.escape(f'{self.prefix}-{step}.') + '*')
        return sorted(path for path in paths if re.search(r'\.(index|data-\d+-of-\d+)$', path))

    def update(self, step, state):
        """Replace the state of a saved checkpoint, to add what was found out about it since."""
        self.record(step, state, read_record(self._record_path(step), SHAPE)['files'])

    def steps(self):
        """Steps that have a record, ascending."""
        return su.saved_steps(self._setting, self._experiment, recorded=True)

    def state(self, step):
        """The state saved with a checkpoint."""
        return read_record(self._record_path(step), SHAPE)['state']

    def newest(self):
        """Step of the newest whole checkpoint, or None; warns about those that are not whole."""
        return newest_step(self._setting, self._experiment)

    def path(self, step):
        """:func:`functions.setting.trained_models.checkpoint_path` of ``step``: a number, 'Last' or 'Best'."""
        return checkpoint_path(self._setting, step, self._experiment)

    def retire(self):
        """Remove every checkpoint, because training starts again from the beginning."""
        for step in self.steps():
            self._remove(step)

    def sweep(self):
        """Remove what saving left behind when it was killed."""
        whole = self.steps()
        for path in glob.glob(glob.escape(self.prefix) + '-*'):
            # Current TensorFlow writes files '.tempstate<number>', 1.15 a folder '_temp_<letters>'.
            if re.search(r'\.tempstate\d+$|-\d+_temp_\w+$', path):
                remove(path)
            # Checkpoints without a record, except those of the published code, which have a graph.
            match = re.search(r'-(\d+)\.(index|data-\d+-of-\d+)$', path)
            if (
                match
                and int(match.group(1)) not in whole
                and not os.path.exists(f'{self.prefix}-{match.group(1)}.meta')
            ):
                remove(path)

    def _remove(self, step):
        # The record goes first: without it the checkpoint does not count.
        os.remove(self._record_path(step))
        for path in self.files(step):
            os.remove(path)
