"""Classical registrations of the same pairs, to compare with.

`affine` registers inside the torso masks, by elastix where it is installed, else by SimpleITK. `bspline_1` and
`bspline_3` (elastix) add a B-spline of one or three resolutions inside the lung masks. Every result has a manifest; it
is not made again from the same images, masks and parameters.
"""

import collections
import logging
import os
import time

from ..elastix import registration as by_elastix
from ..elastix.affine import register_affine
from ..elastix.programs import elastix_version, is_available
from ..image.claim import FOLDER_LOCK, claim_folder, release_void
from ..image.manifest import check_manifest, fingerprint, record_output, recorded_inputs, voxel_checksum, write_manifest
from ..image.masks import read_mask
from ..image.resample import warp
from ..image.transforms import read_transform, write_affine
from ..image.volume_io import read_image, write_image
from ..image.worker_pools import in_parallel
from ..setting import setting_utils as su
from ..setting.addresses import pair_image_address
from ..setting.atomic import write_json
from ..setting.data_sets import get_data_set
from ..setting.errors import require_known
from ..setting.kinds import number
from ..setting.text_files import read_record
from .measured_pairs import Result, attempt
from .pair_record import pair_name

LOGGER = logging.getLogger(__name__)

FORMAT_NUMBER = 1  # raise by hand when the same inputs give other results
#: name -> resolutions of the B-spline, None: none.
METHODS = {'affine': None, 'bspline_1': 1, 'bspline_3': 3}

#: results: list of :class:`functions.evaluation.measured_pairs.Result`; failures: (method, name of the pair, error);
#: missing: texts about methods left out.
References = collections.namedtuple('References', 'results failures missing')


def check_names(names):
    """List of names of :data:`METHODS`, which must be known: none for None, all for an empty list."""
    for name in names or ():
        require_known('reference registration', name, METHODS)
    return [] if names is None else list(names or METHODS)


def run_references(jobs, names, n_workers=None):
    """Run classical registrations, several pairs at a time: :class:`References`.

    :param jobs: list of (setting, pair).
    :param names: known ones, see :func:`check_names`; those that need elastix are left out if it is not installed.
    :param n_workers: pairs at a time, which share the processors; None: one for every four processors.
    """
    names, missing = check_names(names), []
    left_out = [] if is_available() else [name for name in names if METHODS[name]]
    if left_out:
        names = [name for name in names if name not in left_out]
        reason = 'elastix and transformix are not on the PATH (Debian, Ubuntu: apt-get install elastix)'
        missing.append(f'{", ".join(left_out)} left out: {reason}')
        LOGGER.warning('%s', missing[0])
    processors = os.cpu_count() or 1
    n_workers = max(1, min(processors // 4 if n_workers is None else int(n_workers), len(jobs)))
    threads = max(1, processors // n_workers)
    jobs = [(setting, pair, names, threads) for setting, pair in jobs]
    found = in_parallel(_references_of, jobs, n_workers, 'References') if names and jobs else []
    failures = [(name, pair, error) for of_pair in found for name, pair, _, error in of_pair if error]
    for failure in failures:
        LOGGER.error('%s, %s could not be registered: %s', *failure)
    return References([result for of_pair in found for *_, result, error in of_pair if not error], failures, missing)


def reference_folder(setting, pair, name):
    """Folder of a classical registration of a pair."""
    pair = [dict({'spacing': 'RS1'}, **im_info) for im_info in pair]
    request, key = ('BaseRegFolder', 'base_reg') if METHODS[name] is None else ('BSplineFolder', 'bspline_folder')
    folder = su.address_generator(setting, request, data=pair[0]['data'], pair_info=pair, **{key: 'Reference_' + name})
    if 'dsmooth' in pair[0]:
        folder += f'{pair[0].get("deform_exp", "")}_Dsmooth{pair[0]["dsmooth"]}/'
    return folder


def _references_of(setting, pair, names, threads):
    """[(name, name of the pair, result, error)] of one pair, in a worker."""
    return [(name, pair_name(pair), *attempt(_reference, setting, pair, name, threads)) for name in names]


def _reference(setting, pair, name, threads):
    """The :class:`Result` of a classical registration, made now unless it is done."""
    folder = reference_folder(setting, pair, name)
    manifest = os.path.join(folder, 'manifest.json')
    before = None if METHODS[name] is None else _reference(setting, pair, 'affine', threads)
    mask = 'Torso' if before is None else 'Lung'
    inputs = [pair_image_address(setting, what, pair, k) for what in ('Im', mask) for k in (0, 1)]
    parameter_file = by_elastix.AFFINE_FILE if before is None else by_elastix.BSPLINE_FILES[METHODS[name]]
    known = recorded_inputs(manifest)
    made_from = {
        'files': [fingerprint(path, known)[0] for path in inputs],
        'overrides': None,  # as in manifests of earlier versions, which stay valid
        'parameters': voxel_checksum(parameter_file),
        'elastix': elastix_version() if is_available() else None,
        'affine': None if before is None else voxel_checksum(before.affine),
    }
    outputs = {'affine': 'affine.tfm'} if before is None else {'dvf': 'deformationField.mha', 'moved': 'result.0.mha'}
    outputs = {key: os.path.join(folder, file_name) for key, file_name in outputs.items()}
    facts = os.path.join(folder, 'registration.json')
    done, reason = check_manifest(manifest, made_from, FORMAT_NUMBER)
    if done:
        release_void(os.path.join(folder, FOLDER_LOCK))
    else:
        if reason != 'no manifest':
            LOGGER.warning('%s is registered again: %s.', folder, reason)
        with claim_folder(folder):
            # A B-spline needs the affine: the time of both counts.
            start = time.time() - (0.0 if before is None else before.seconds)
            fixed, moving = (read_image(path) for path in inputs[:2])
            masks = [read_mask(path, like=image) for path, image in zip(inputs[2:], (fixed, moving))]
            keywords = {'fixed_mask': masks[0], 'moving_mask': masks[1], 'threads': threads, 'folder': folder}
            if before is None:
                transform, method = register_affine(fixed, moving, **keywords)[:2]
                write_affine(transform, outputs['affine'])
            else:
                initial, method = read_transform(before.affine), f'elastix {elastix_version()}'
                dvf = by_elastix.bspline(fixed, moving, parameter_file, initial=initial, **keywords)
                write_image(dvf, outputs['dvf'])
                default = get_data_set(pair[1]['data'], setting).DefaultPixelValue
                write_image(warp(moving, dvf, 'bspline', default), outputs['moved'])
            parameters = os.path.basename(parameter_file) if 'elastix' in method else None
            record = {'method': method, 'pair': list(pair), 'masks': mask, 'parameters': parameters}
            write_json(facts, dict(record, seconds=time.time() - start))
            written = [record_output(path) for path in sorted(outputs.values()) + [facts]]
            write_manifest(manifest, made_from, FORMAT_NUMBER, written)
    return Result(name, pair, seconds=read_record(facts, {'seconds': number(0)})['seconds'], **outputs)
