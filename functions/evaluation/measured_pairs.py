"""Measures of many registered pairs: in parallel, taken up again where it stopped, and a pair that fails is
listed and not fatal."""

import collections
import logging
import os

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from functions.evaluation import pair_record
from functions.evaluation.pair_landmarks import read_landmarks, synthetic_landmarks
from functions.image.manifest import array_checksum
from functions.image.masks import read_mask
from functions.image.threads import itk_threads
from functions.image.transforms import read_transform
from functions.image.volume_io import read_image
from functions.setting import setting_utils as su
from functions.setting.errors import InputError, MissingFileError, RegNetError, UnknownNameError

LOGGER = logging.getLogger(__name__)

#: One finished registration: name of the method, pair, and paths of its results, None where there is none:
#: dvf (without it and affine: before registration), affine (transform file), moved image; seconds it took.
Task = collections.namedtuple('Task', 'method pair dvf affine moved seconds')
Task.__new__.__defaults__ = (None, None, None, None)
#: records: list in the order of the tasks; failures: list of (method, name of the pair, what happened); made:
#: how many had to be measured now.
Cohort = collections.namedtuple('Cohort', 'records failures made')

_SYNTHETIC_KEYS = ('data', 'cn', 'type_im', 'deform_exp', 'dsmooth', 'deformed_im_ext')


def evaluate_tasks(setting, tasks, folder, protocol='dirlab', n_workers=None, labels=None):
    """Measure registrations that are finished.

    :param setting: the setting dictionary, for the addresses of images, masks and landmarks.
    :param tasks: list of :class:`Task`.
    :param folder: where the records go, one JSON file each. A record that was made from the same files
        (names, sizes, times) and landmarks by the same protocol is used again.
    :param protocol: a name of :data:`functions.measure.protocols.PROTOCOLS`.
    :param n_workers: processes; None: one for every two processors.
    :param labels: labels of the lung masks to be compared one by one; None: all as one.
    :return: :class:`Cohort`.
    :raises InputError: two tasks of one method and pair.
    """
    names = [pair_record.file_name({'method': task.method, 'pair': task.pair}) for task in tasks]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InputError(f'There are two results of {doubled[0][:-5]}; give methods different names.')
    jobs = [(setting, task, os.path.join(folder, name), protocol, labels) for task, name in zip(tasks, names)]
    n_workers = (os.cpu_count() or 2) // 2 if n_workers is None else int(n_workers)
    n_workers = max(1, min(n_workers, len(jobs)))
    bar = tqdm(jobs, desc='Evaluation', unit='pair', leave=False)
    if n_workers == 1:
        found = [_safely(job, None) for job in bar]
    else:
        found = Parallel(n_jobs=n_workers, batch_size=1, pre_dispatch=n_workers)(
            delayed(_safely)(job, 1) for job in bar
        )
    failures = [
        (task.method, pair_record.pair_name(task.pair), error) for task, (_, _, error) in zip(tasks, found) if error
    ]
    for failure in failures:
        LOGGER.error('%s, %s could not be evaluated: %s', *failure)
    return Cohort([record for record, _, _ in found if record is not None], failures, sum(made for _, made, _ in found))


def _safely(job, threads):
    """(record or None, made now, what went wrong or '') of one task, in a worker."""
    with itk_threads(threads):
        try:
            return _evaluate(*job) + ('',)
        except RegNetError as error:
            return None, False, str(error)
        except Exception as error:
            LOGGER.exception('Evaluation of %s failed.', job[2])
            return None, False, f'{type(error).__name__}: {error}'


def _evaluate(setting, task, path, protocol, labels):
    """(record, whether it was made now)."""
    paths = input_paths(setting, task.pair)
    files = list(paths.values()) + [task.dvf, task.affine, task.moved]
    landmarks, reason = _landmarks(setting, task.pair, paths)
    made_from = {
        'files': [stamp(name) for name in files],
        'protocol': protocol,
        'labels': labels,
        'seconds': task.seconds,
        'without_landmarks': reason,
        'landmarks': None if landmarks is None else array_checksum(np.array(landmarks)),
    }
    try:
        record = pair_record.read_record(path)
        if record.get('made_from') == made_from:
            return record, False
    except RegNetError as error:
        if not isinstance(error, MissingFileError):
            LOGGER.warning('%s is made again: %s', path, error)
    fixed, moving = read_image(paths['fixed']), read_image(paths['moving'])
    moved = None if task.moved is None else read_image(task.moved)
    images = pair_record.Images(
        fixed, moving, moved, _lung(paths['fixed_lung'], fixed), _lung(paths['moving_lung'], moving)
    )
    record = pair_record.measure(
        task.method,
        task.pair,
        None if task.dvf is None else read_image(task.dvf, expect='vector'),
        images,
        landmarks,
        None if task.affine is None else read_transform(task.affine),
        labels,
        protocol,
        seconds=task.seconds,
    )
    record['made_from'] = made_from
    pair_record.write_record(path, record)
    return record, True


def _lung(path, image):
    """Labels stay, so that lungs can be compared one by one."""
    read_mask(path, like=image)
    return read_image(path)


def _landmarks(setting, pair, paths):
    """(landmarks or None, why there are none)."""
    if paths['truth'] is not None:
        truth = read_image(paths['truth'], expect='vector')
        return synthetic_landmarks(truth, read_mask(paths['fixed_lung'])), ''
    try:
        return read_landmarks(setting, pair), ''
    except (MissingFileError, UnknownNameError) as error:
        return None, str(error)


def input_paths(setting, pair):
    """Paths of what a pair was registered from: fixed, moving, fixed_lung, moving_lung, and truth (the true
    DVF of a synthetic pair, else None)."""
    return collections.OrderedDict(
        [
            ('fixed', image_path(setting, 'Im', pair, 0)),
            ('moving', image_path(setting, 'Im', pair, 1)),
            ('fixed_lung', image_path(setting, 'Lung', pair, 0)),
            ('moving_lung', image_path(setting, 'Lung', pair, 1)),
            ('truth', image_path(setting, 'DVF', pair, 0) if 'dsmooth' in pair[0] else None),
        ]
    )


def image_path(setting, what, pair, position):
    """Path of 'Im', 'Lung', 'Torso' (of a synthetic pair's fixed image also 'DVF') of the fixed (0) or the
    moving (1) image of a pair, at 1 mm."""
    keys, prefix = _SYNTHETIC_KEYS[:3], 'Original'
    if 'dsmooth' in pair[0]:
        # The moving image of a synthetic pair is the one that was deformed: an original, or made from one.
        keys, prefix = _SYNTHETIC_KEYS, '' if position else 'Deformed'
    return su.address_generator(
        setting, prefix + what, stage=1, **{key: pair[position][key] for key in keys if key in pair[position]}
    )


def stamp(path):
    """What tells whether a file is still the same; None for none."""
    if path is None:
        return None
    try:
        status = os.stat(path)
    except OSError as error:
        raise MissingFileError(f'{path} does not exist.') from error
    return [os.path.abspath(path), status.st_size, status.st_mtime_ns]


def failure_table(cohort):
    """Lines that say which pairs failed and why; '' when none did."""
    return ''.join('{}, {}: {}\n'.format(*failure) for failure in cohort.failures)
