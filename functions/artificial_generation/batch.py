"""Batch generation: all items of a setting, by any number of workers, resumable and in parts.

Results do not depend on workers or order: every item has its own seeds, files appear whole, a manifest is
written last. Items claimed by another batch on the same folder are passed over and looked at again at the
end.
"""

import collections
import logging
import os
import time
import traceback

from functions.artificial_generation import item_files
from functions.artificial_generation.item_specification import ItemSpecification
from functions.artificial_generation.original_images import load_original
from functions.artificial_generation.training_item import produce
from functions.artificial_generation.workers import default_workers, run_tasks
from functions.image.claim import claim
from functions.setting.errors import DiskError, InputError, RegNetError
from functions.setting.setting_utils import get_im_info_list_from_train_mode

_log = logging.getLogger(__name__)


class BatchReport(collections.namedtuple('BatchReport', ('made', 'remade', 'skipped', 'failed', 'left', 'seconds'))):
    """What a batch did.

    ``made`` names of items made, ``remade`` (name, what was wrong with the files that were there),
    ``skipped`` names of items that were finished, ``failed`` (name, reason), ``left`` names of items another
    process is working on.
    """

    __slots__ = ()

    def __str__(self):
        counts = [len(group) for group in self[:5]]
        lines = [
            'Artificial generation: {} made, {} made again, {} finished before, {} failed, {} left to '
            'another process; {:.0f} s.'.format(*(counts + [self.seconds]))
        ]
        lines += ['  made again: {}: {}'.format(*pair) for pair in self.remade]
        lines += ['  FAILED: {}: {}'.format(*pair) for pair in self.failed]
        return '\n'.join(lines)


def generate_batch(
    setting, train_modes=('Training', 'Validation'), n_workers=None, part=None, stage=None, verify=False
):
    """Make every item of a setting that is not finished.

    :param setting: the setting dictionary (data sets and lists of cases, types and dsmooth loaded).
    :param train_modes: which lists.
    :param n_workers: processes; None: as many as cores and free memory allow; 1: in this process.
    :param part: '3/8' (or (3, 8)) makes the third of eight equal parts, for array jobs.
    :param stage: None: that of the setting.
    :param verify: compare checksums of finished files too, not only sizes and times.
    :return: :class:`BatchReport`; a failing item is in it and does not stop the others.
    :raises DiskError: the disk is full or cannot be written; what was made before stays.
    :raises InputError: the setting itself cannot be used.
    """
    start = time.time()
    items = take_part(list_items(setting, train_modes, stage), part)
    if n_workers is None:
        n_workers = default_workers([ItemSpecification(setting, im_info) for im_info in items])
    collected = {'made': [], 'remade': [], 'skipped': [], 'failed': [], 'claimed': []}
    show = setting.get('verbose', True)
    originals = _distinct_originals(setting, items)
    if originals:
        tasks = [(make_original, (setting, im_info)) for im_info in originals]
        for _, outcome in run_tasks(tasks, n_workers, 'Down-sampling originals', show):
            _stop_if_disk(outcome)
    waiting = items
    for description in ('Artificial generation', 'Items of other processes'):
        tasks = [(make_one, (setting, im_info, verify)) for im_info in waiting]
        for number, outcome in run_tasks(tasks, n_workers, description, show):
            _collect(collected, ItemSpecification(setting, waiting[number]).name, waiting[number], outcome)
        waiting, collected['claimed'] = collected['claimed'], []
        if not waiting:
            break
    left = [ItemSpecification(setting, im_info).name for im_info in waiting]
    return BatchReport(
        left=left,
        seconds=time.time() - start,
        **{key: collected[key] for key in ('made', 'remade', 'skipped', 'failed')},
    )


def list_items(setting, train_modes=('Training', 'Validation'), stage=None):
    """All different items of the lists of ``train_modes``: list of im_info."""
    stage = setting.get('stage', 1) if stage is None else stage
    items = collections.OrderedDict()
    for train_mode in train_modes:
        for im_info in get_im_info_list_from_train_mode(setting, train_mode, load_mode='Single', stage=stage):
            items.setdefault(item_files.manifest_path(ItemSpecification(setting, im_info)), im_info)
    return list(items.values())


def take_part(items, part):
    """Every n-th item from the k-th on for ``part`` 'k/n' or (k, n), k from 1; all of them for None.

    :raises InputError: not of that form.
    """
    if part is None:
        return list(items)
    try:
        number, count = part.split('/') if isinstance(part, str) else part
        number, count = int(number), int(count)
    except (TypeError, ValueError) as error:
        raise InputError(f"part must look like '3/8'; got {part!r}.") from error
    if not 1 <= number <= count:
        raise InputError(f"part '3/8' means the third of eight; got {part!r}.")
    return list(items)[number - 1 :: count]


def make_original(setting, im_info):
    """Worker's task: down-sampled originals of an image. Returns (status, reason)."""
    try:
        load_original(ItemSpecification(setting, im_info))
    except Exception as error:  # the items of this image will report it
        return _failure(error)
    return 'made', ''


def make_one(setting, im_info, verify=False):
    """Worker's task: one item.

    :return: (status, reason); status is made, remade, skipped, claimed, failed or disk.
    """
    try:
        spec = ItemSpecification(setting, im_info)
        lock = _lock_path(spec)
        if item_files.check_item(spec, verify)[0]:
            _tidy(spec, lock)
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


def _lock_path(spec):
    folder, name = os.path.split(item_files.manifest_path(spec))
    return os.path.join(folder, '.' + name[: -len('.json')] + '.lock')


def _tidy(spec, lock):
    """Remove what a process that was killed just after finishing an item left behind."""
    item_files.sweep(spec)
    if os.path.exists(lock):
        with claim(lock):
            pass


def _failure(error):
    if isinstance(error, DiskError):
        return 'disk', str(error)
    if isinstance(error, RegNetError):
        return 'failed', str(error)
    return 'failed', traceback.format_exc()


def _stop_if_disk(outcome):
    if outcome[0] == 'disk':
        raise DiskError(outcome[1])


def _collect(collected, name, im_info, outcome):
    _stop_if_disk(outcome)
    status, reason = outcome
    if status == 'claimed':
        collected['claimed'].append(im_info)
    elif status in ('failed', 'remade'):
        _log.warning('%s: %s: %s', name, status, reason)
        collected[status].append((name, reason))
    else:
        collected[status].append(name)


def _distinct_originals(setting, items):
    """One im_info per down-sampled or padded original."""
    distinct = collections.OrderedDict()
    for im_info in items:
        spec = ItemSpecification(setting, im_info)
        if spec.stage > 1 or spec.padto is not None:
            distinct.setdefault(spec.address('OriginalIm'), im_info)
    return list(distinct.values())
