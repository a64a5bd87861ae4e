"""Batch generation: all items of a setting, by any number of workers, resumable and in parts.

Results do not depend on workers or order: every item has its own seeds, files appear whole, a manifest is written last.
Items claimed by another batch in the same folder are skipped and tried again at the end.
"""

import collections
import logging
import os
import time
from typing import Any, Dict, List, Optional, Sequence, Union

from ..image.claim import claim, release_void
from ..setting.errors import DiskError, RegNetError, account_of
from ..setting.parts import take_part
from ..setting.setting_utils import get_im_info_list_from_train_mode
from . import item_files
from .item_specification import ItemSpecification
from .original_images import load_original, sweep_original
from .training_item import produce
from .workers import default_workers, run_tasks

LOGGER = logging.getLogger(__name__)
MODES = ('Training', 'Validation')


class BatchReport(collections.namedtuple('BatchReport', ('made', 'remade', 'skipped', 'failed', 'left', 'seconds'))):
    """What a batch did.

    ``made``: names of items; ``remade``: (name, what was wrong with the files found); ``skipped``: names of items that
    were finished; ``failed``: (name, reason); ``left``: names of items that another process is making.
    """

    def __str__(self):
        words = ('made', 'made again', 'finished before', 'failed', 'left to another process')
        counts = ', '.join(f'{len(group)} {word}' for group, word in zip(self, words))
        lines = [f'Artificial generation: {counts}; {self.seconds:.0f} s.']
        lines += ['  made again: {}: {}'.format(*pair) for pair in self.remade]
        lines += ['  FAILED: {}: {}'.format(*pair) for pair in self.failed]
        return '\n'.join(lines)


def generate_batch(
    setting: Dict[str, Any],
    train_modes: Sequence[str] = MODES,
    n_workers: Optional[int] = None,
    part: Union[str, Sequence[int], None] = None,
    stage: Optional[int] = None,
    verify: bool = False,
) -> BatchReport:
    """Make every item of a setting that is not finished: :class:`BatchReport`.

    :param train_modes, stage: which lists of images; stage None: that of the setting.
    :param n_workers: processes; None: as many as cores and free memory allow; 1: in this process.
    :param part: '3/8' (or (3, 8)) makes the third of eight equal parts, for array jobs.
    :param verify: compare the checksums of finished files too, not only sizes and times.
    :raises DiskError, InputError: the disk cannot be written (what was made stays); the setting cannot be used. An item
        that fails is listed in the report and does not stop the others.
    """
    start = time.time()
    specs = [ItemSpecification(setting, info) for info in take_part(list_items(setting, train_modes, stage), part)]
    waiting = specs
    n_workers = default_workers(waiting) if n_workers is None else n_workers
    show = setting.get('verbose', True)
    originals = {spec.address('OriginalIm'): spec.im_info for spec in waiting if spec.is_resampled}
    first = [(make_original, (setting, im_info)) for im_info in originals.values()]
    for _, (status, reason) in run_tasks(first, n_workers, 'Down-sampling originals', show):
        if status == 'disk':
            raise DiskError(reason)
    found: Dict[str, List[Any]] = {'made': [], 'remade': [], 'skipped': [], 'failed': []}
    for description in ('Artificial generation', 'Items of other processes'):
        tasks, claimed = [(make_one, (setting, spec.im_info, verify)) for spec in waiting], []
        for number, (status, reason) in run_tasks(tasks, n_workers, description, show):
            spec = waiting[number]
            if status == 'disk':
                raise DiskError(reason)
            if status == 'claimed':
                claimed.append(spec)
            elif status in ('failed', 'remade'):
                LOGGER.warning('%s: %s: %s', spec.name, status, reason)
                found[status].append((spec.name, reason))
            else:
                found[status].append(spec.name)
        waiting = claimed
    undone = {spec.name for spec in waiting} | {name for name, _ in found['failed']}
    for spec in specs:
        done, reason = (True, '') if spec.name in undone else item_files.check_item(spec)
        if not done:
            found['failed'].append((spec.name, f'it was removed or changed meanwhile: {reason}'))
    return BatchReport(left=[spec.name for spec in waiting], seconds=time.time() - start, **found)


def list_items(setting, train_modes=MODES, stage=None):
    """All different items of the lists of ``train_modes``: list of im_info."""
    stage = setting.get('stage', 1) if stage is None else stage
    items = {}
    for train_mode in train_modes:
        for im_info in get_im_info_list_from_train_mode(setting, train_mode, load_mode='Single', stage=stage):
            items.setdefault(item_files.manifest_path(ItemSpecification(setting, im_info)), im_info)
    return list(items.values())


def finished_items(setting, train_modes, stage):
    """Whether each of :func:`list_items` is finished: list of booleans."""
    finished = []
    for im_info in list_items(setting, train_modes, stage):
        try:
            finished.append(item_files.check_item(ItemSpecification(setting, im_info))[0])
        except RegNetError:  # its original is missing or damaged
            finished.append(False)
    return finished


def make_original(setting, im_info):
    """Task of a worker: the down-sampled originals of an image. Returns (status, reason)."""
    try:
        spec = ItemSpecification(setting, im_info)
        load_original(spec)
        sweep_original(spec)  # another process may have finished what a killed one began
    except Exception as error:  # the items of this image will report it
        return _failure(error)
    return 'made', ''


def make_one(setting, im_info, verify=False):
    """Task of a worker: one item. Returns (status, reason): made, remade, skipped, claimed, failed or disk."""
    try:
        spec = ItemSpecification(setting, im_info)
        folder, name = os.path.split(item_files.manifest_path(spec))
        lock = os.path.join(folder, f'.{name[: -len(".json")]}.lock')
        if item_files.check_item(spec, verify)[0]:
            # Remove what a process killed just after finishing the item left behind.
            item_files.sweep_item(spec)
            release_void(lock)
            return 'skipped', ''
        with claim(lock) as ours:
            if not ours:
                return 'claimed', ''
            made, reason = produce(setting, im_info, verify)
    except Exception as error:  # one failing item must not stop the rest
        return _failure(error)
    if not made:
        return 'skipped', ''
    return ('made', '') if reason == 'no manifest' else ('remade', reason)


def _failure(error):
    if isinstance(error, DiskError):
        return 'disk', str(error)
    return 'failed', account_of(error)
