"""The classical registrations that results are compared with, run on the same pairs.

==============  ==============================================================================================
Name            What is run
==============  ==============================================================================================
`affine`        affine registration inside the torso masks: elastix where it is installed, else SimpleITK
`bspline_1`     elastix: the affine, then a B-spline of one resolution inside the lung masks
`bspline_3`     the same with three resolutions
==============  ==============================================================================================

Every result has a manifest; what was made from the same images, masks and parameters is not made again.
"""

import collections
import logging
import os
import time

from joblib import Parallel, delayed
from tqdm import tqdm

from functions.elastix import registration as by_elastix
from functions.elastix.affine import register_affine
from functions.elastix.programs import elastix_version, is_available
from functions.evaluation.measured_pairs import Task, image_path, stamp
from functions.evaluation.pair_record import pair_name
from functions.image.manifest import check_manifest, record_output, voxel_checksum, write_manifest
from functions.image.masks import read_mask
from functions.image.resample import warp
from functions.image.threads import itk_threads
from functions.image.transforms import read_transform, write_affine
from functions.image.volume_io import read_image, write_image
from functions.setting import setting_utils as su
from functions.setting.atomic import read_json, write_json
from functions.setting.data_sets import get_data_set
from functions.setting.errors import RegNetError, unknown_name

LOGGER = logging.getLogger(__name__)

FORMAT_NUMBER = 1  # raise by hand when the same inputs give other results
#: name -> resolutions of the B-spline, None: none.
METHODS = collections.OrderedDict([('affine', None), ('bspline_1', 1), ('bspline_3', 3)])

#: tasks: list of :class:`functions.evaluation.measured_pairs.Task`; failures: (method, name of the pair, what
#: happened); missing: texts about what was left out.
References = collections.namedtuple('References', 'tasks failures missing')
_Job = collections.namedtuple('_Job', 'setting pair names threads overrides')


def check_names(names):
    """List of names of :data:`METHODS`: none for None, all for an empty list.

    :raises UnknownNameError: another name.
    """
    for name in names or ():
        if name not in METHODS:
            raise unknown_name('reference registration', name, METHODS)
    return [] if names is None else list(names or METHODS)


def run_references(jobs, names, n_workers=None, overrides=None):
    """Run classical registrations, several pairs at a time.

    :param jobs: list of (setting, pair).
    :param names: of :data:`METHODS`. Those that need elastix are left out where it is not installed.
    :param n_workers: pairs at a time, which share the processors; None: one for every four processors.
    :param overrides: parameters of elastix put in place of the files' ones.
    :return: :class:`References`.
    :raises UnknownNameError: another name.
    """
    names, missing = check_names(names), []
    if not is_available():
        left_out = [name for name in names if METHODS[name]]
        names = [name for name in names if not METHODS[name]]
        if left_out:
            missing.append(
                '{}: elastix and transformix are not on the PATH, so these are left out (Debian, '
                'Ubuntu: apt-get install elastix)'.format(', '.join(left_out))
            )
            LOGGER.warning('%s', missing[0])
    if not names or not jobs:
        return References([], [], missing)
    cores = os.cpu_count() or 1
    n_workers = max(1, min(cores // 4 if n_workers is None else int(n_workers), len(jobs)))
    jobs = [_Job(setting, pair, list(names), max(1, cores // n_workers), overrides) for setting, pair in jobs]
    bar = tqdm(jobs, desc='References', unit='pair', leave=False)
    if n_workers == 1:
        found = [_references_of(job) for job in bar]
    else:
        found = Parallel(n_jobs=n_workers, batch_size=1, pre_dispatch=n_workers)(
            delayed(_references_of)(job) for job in bar
        )
    failures = [failure for _, failed in found for failure in failed]
    for failure in failures:
        LOGGER.error('%s, %s could not be registered: %s', *failure)
    return References([task for tasks, _ in found for task in tasks], failures, missing)


def reference_folder(setting, pair, name):
    """Folder of a classical registration of a pair."""
    pair = [dict(im_info, spacing=im_info.get('spacing', 'RS1')) for im_info in pair]
    if METHODS[name] is None:
        folder = su.address_generator(
            setting, 'BaseRegFolder', data=pair[0]['data'], pair_info=pair, base_reg='Reference_' + name
        )
    else:
        folder = su.address_generator(
            setting, 'BSplineFolder', data=pair[0]['data'], pair_info=pair, bspline_folder='Reference_' + name
        )
    if 'dsmooth' in pair[0]:
        folder += '{}_Dsmooth{}/'.format(pair[0].get('deform_exp', ''), pair[0]['dsmooth'])
    return folder


def _references_of(job):
    """(tasks, failures) of one pair, in a worker."""
    tasks, failures = [], []
    with itk_threads(job.threads):
        for name in job.names:
            try:
                tasks.append(_reference(job, name))
            except RegNetError as error:
                failures.append((name, pair_name(job.pair), str(error)))
            except Exception as error:
                LOGGER.exception('%s of %s failed.', name, pair_name(job.pair))
                failures.append((name, pair_name(job.pair), f'{type(error).__name__}: {error}'))
    return tasks, failures


def _reference(job, name):
    """The :class:`Task` of a classical registration, made now unless it is done."""
    setting, pair, folder = job.setting, job.pair, reference_folder(job.setting, job.pair, name)
    before = None if METHODS[name] is None else _reference(job, 'affine')
    mask = 'Torso' if before is None else 'Lung'
    inputs = [image_path(setting, what, pair, k) for what in ('Im', mask) for k in (0, 1)]
    parameter_file = by_elastix.AFFINE_FILE if before is None else by_elastix.BSPLINE_FILES[METHODS[name]]
    made_from = {
        'files': [stamp(path) for path in inputs],
        'overrides': job.overrides,
        'parameters': voxel_checksum(parameter_file),
        'elastix': elastix_version() if is_available() else None,
        'affine': None if before is None else voxel_checksum(before.affine),
    }
    results = {'affine': 'affine.tfm'} if before is None else {'dvf': 'deformationField.mha', 'moved': 'result.0.mha'}
    paths = {key: os.path.join(folder, file_name) for key, file_name in results.items()}
    facts, manifest = os.path.join(folder, 'registration.json'), os.path.join(folder, 'manifest.json')
    done, reason = check_manifest(manifest, made_from, FORMAT_NUMBER)
    if not done:
        if reason != 'no manifest':
            LOGGER.warning('%s is registered again: %s.', folder, reason)
        start = time.time()
        images = [read_image(path) for path in inputs[:2]]
        masks = [read_mask(path, like=image) for path, image in zip(inputs[2:], images)]
        method = (
            _affine(job, images, masks, folder, paths['affine'])
            if before is None
            else _bspline(job, name, images, masks, read_transform(before.affine), folder, paths)
        )
        # A B-spline stands on its affine: the time of both is what it takes to get there.
        seconds = time.time() - start + (0.0 if before is None else before.seconds)
        write_json(
            facts,
            {
                'method': method,
                'seconds': seconds,
                'pair': list(pair),
                'masks': mask,
                'parameters': os.path.basename(parameter_file) if 'elastix' in method else None,
            },
        )
        write_manifest(
            manifest, made_from, FORMAT_NUMBER, [record_output(path) for path in sorted(paths.values()) + [facts]]
        )
    return Task(name, pair, paths.get('dvf'), paths.get('affine'), paths.get('moved'), read_json(facts)['seconds'])


def _affine(job, images, masks, folder, path):
    result = register_affine(
        images[0], images[1], fixed_mask=masks[0], moving_mask=masks[1], threads=job.threads, folder=folder
    )
    write_affine(result.transform, path)
    return result.method


def _bspline(job, name, images, masks, affine, folder, paths):
    dvf = by_elastix.bspline(
        images[0],
        images[1],
        masks[0],
        masks[1],
        affine,
        METHODS[name],
        threads=job.threads,
        folder=folder,
        overrides=job.overrides,
    )
    default = get_data_set(job.pair[1]['data'], job.setting).DefaultPixelValue
    write_image(dvf, paths['dvf'])
    write_image(warp(images[1], dvf, 'bspline', default), paths['moved'])
    return f'elastix {elastix_version()}'
