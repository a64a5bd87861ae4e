"""Measures of many registered pairs: in parallel and resumable; a pair that fails is listed, the others go on."""

import collections
import contextlib
import logging
import os

import numpy as np

from ..image.manifest import array_checksum, fingerprint, recorded_inputs, with_times_of
from ..image.masks import read_mask
from ..image.transforms import as_affine, read_transform
from ..image.volume_io import read_image
from ..image.worker_pools import in_parallel
from ..setting.addresses import pair_image_address
from ..setting.atomic import write_json
from ..setting.errors import DiskError, InputError, InUseError, MissingFileError, RegNetError, sentence_of
from .pair_landmarks import find_landmarks
from .pair_record import Images, file_name, measure, pair_name, read_record

LOGGER = logging.getLogger(__name__)

#: One finished registration: name of the method, pair, and paths of its results, each or None: dvf (without dvf and
#: affine: before registration), affine (transform file), moved image, error_map; seconds it took; whether its passes
#: were symmetric.
Result = collections.namedtuple(
    'Result', 'method pair dvf affine moved seconds error_map symmetric', defaults=[None] * 5 + [False]
)
#: records: list in the order of the results; failures: list of (method, name of the pair, error); made: how many had to
#: be measured now.
Measured = collections.namedtuple('Measured', 'records failures made')


def measure_results(setting, results, folder, protocol='dirlab', n_workers=None):
    """Measure finished registrations, a list of :class:`Result`: :class:`Measured`.

    :param setting: for the addresses of images, masks and landmarks.
    :param folder: of the records, one JSON file each; a record made from the same files and landmarks by the same
        protocol is used again; of files see :func:`functions.image.manifest.fingerprint`.
    :param n_workers: processes; None: one for every two processors.
    :raises InputError: two results of one method and pair.
    """
    names = [file_name(result.method, result.pair) for result in results]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InputError(f'There are two results of {doubled[0][:-5]}; give methods different names.')
    jobs = [(_measure, setting, result, os.path.join(folder, name), protocol) for result, name in zip(results, names)]
    found = in_parallel(attempt, jobs, n_workers, 'Evaluation')
    failures = [(one.method, pair_name(one.pair), error) for one, (_, error) in zip(results, found) if error]
    for failure in failures:
        LOGGER.error('%s, %s could not be evaluated: %s', *failure)
    done = [measured for measured, error in found if not error]
    return Measured([record for record, _ in done], failures, sum(made for _, made in done))


def attempt(function, *given):
    """(what a function returns, '') or (None, what went wrong); a disk that cannot be written is the end."""
    try:
        return function(*given), ''
    except Exception as error:
        if isinstance(error, DiskError) and not isinstance(error, InUseError):
            raise
        sentence = sentence_of(error)
        if sentence is None:
            LOGGER.exception('%s failed.', function.__name__)
        return None, sentence or f'{type(error).__name__}: {error}'


def _measure(setting, result, path, protocol):
    """(record, whether it was made now)."""
    paths = input_paths(setting, result.pair)
    truth = read_image(paths['truth'], expect='vector') if 'truth' in paths else None
    lung = read_mask(paths['fixed_lung']) if 'truth' in paths else None
    landmarks, reason = find_landmarks(setting, result.pair, truth, lung)
    files, known = list(paths.values()) + [result.dvf, result.affine, result.moved], recorded_inputs(path)
    files += [result.error_map] * (result.error_map is not None)  # records of results without one stay
    made_from = {
        'files': [one for name in files for one in fingerprint(name, known) or [None]],
        'protocol': protocol,
        'seconds': result.seconds,
        'without_landmarks': reason,
        'landmarks': None if landmarks is None else array_checksum(np.array(landmarks)),
    }
    try:
        record = read_record(path)
        earlier = record.get('made_from')
        if with_times_of(earlier, made_from) == made_from:
            if earlier != made_from:
                record['made_from'] = made_from
                with contextlib.suppress(DiskError):  # a read-only tree is compared by its checksums each time
                    write_json(path, record)
            return record, False
    except RegNetError as error:
        if not isinstance(error, MissingFileError):
            LOGGER.warning('%s is made again: %s', path, error)
    images, dvf, affine = read_result(paths, result)
    record = measure(result.method, result.pair, dvf, images, landmarks, affine, protocol, result.seconds)
    record['made_from'] = made_from
    write_json(path, record)
    return record, True


def read_result(paths, result):
    """(:class:`Images`, DVF or None, affine transform or None) of a result, from its :func:`input_paths`."""
    fixed, moving = (read_image(paths[name]) for name in ('fixed', 'moving'))
    lungs = read_mask(paths['fixed_lung'], like=fixed), read_mask(paths['moving_lung'], like=moving)
    moved = None if result.moved is None else read_image(result.moved)
    images = Images(fixed, moving, moved, *lungs, result.error_map and read_image(result.error_map, expect='any'))
    dvf = None if result.dvf is None else read_image(result.dvf, expect='vector')
    return images, dvf, None if result.affine is None else as_affine(read_transform(result.affine))


def input_paths(setting, pair):
    """Paths of a pair's inputs at 1 mm: fixed, moving, fixed_lung, moving_lung; truth (DVF) of a synthetic pair."""
    wanted = {'fixed': ('Im', 0), 'moving': ('Im', 1), 'fixed_lung': ('Lung', 0), 'moving_lung': ('Lung', 1)}
    if 'dsmooth' in pair[0]:
        wanted['truth'] = ('DVF', 0)
    return {name: pair_image_address(setting, what, pair, position) for name, (what, position) in wanted.items()}
