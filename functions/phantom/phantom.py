"""Makes cases of the data set ``Phantom_4D`` on disk, at the addresses of that data set.

``setting['Phantom']`` (functions.phantom.patient.DEFAULT_OPTIONS) determines size and variety, the case number the
patient. A case is the same on every machine. Finished cases are not made again, and finished phases are kept when
others are requested.
"""

import logging
import os

import numpy as np

from ..image.free_memory import available_memory
from ..image.manifest import check_manifest, record_output, write_manifest
from ..image.volume_io import write_image
from ..image.worker_pools import in_parallel
from ..setting.atomic import sweep_stale_temporaries, write_text
from ..setting.errors import InputError, RegNetError, sentence_of
from ..setting.setting_utils import address_generator
from ..setting.text_files import read_json
from .branching_landmarks import phantom_texts
from .breathing import PHASES, check_type, true_dvf
from .case import Case
from .patient import check_options

DATA = 'Phantom_4D'
USUAL_CASES = range(1, 21)  # made by default
_BYTES_PER_VOXEL = 65  # while a case is made
FORMAT_NUMBER = 2  # increment when the output of any case changes
LOGGER = logging.getLogger(__name__)


def case_options(setting, size=None):
    """Complete options of :class:`functions.phantom.case.Case` from ``setting['Phantom']``; ``size``, (x, y, z) in
    voxels (= mm), replaces its Size. An InputError where they are unusable.
    """
    options = check_options(setting.get('Phantom'))
    return options if size is None else check_options(dict(options, Size=size))


def make_case(setting, cn, types=(0, 5), size=None):
    """Make one patient: images and masks of the requested phases, landmarks, and the true DVF T00 -> T50.

    They are written to the addresses OriginalIm, OriginalLung, OriginalTorso (int16, uint8, uint8), LandmarkPointExact,
    LandmarkIndex and those of the other landmark files (see the options ``Landmarks`` and ``LandmarksAllPhases``),
    TrueDVF (float32, mm; if both phases exist) and, last, PhantomManifest.

    :param cn: case number, from 1.
    :param types: phases, 0 (T00, maximum inhale) to 9 (T90).
    :param size: (x, y, z) in voxels (= mm), instead of ``setting['Phantom']['Size']``.
    :return: the phases that had to be made.
    :raises InputError, DiskError: unusable case, phase, size or option; a file cannot be written.
    """
    types = sorted({check_type(type_im) for type_im in types})
    if not types:
        raise InputError('types contains no phase of the phantom; accepted: 0 (T00) to 9 (T90).')
    case = Case(cn, case_options(setting, size))
    cn = case.patient.cn

    def address(request, type_im=0, **more):
        # The phantom has 1 mm voxels, whatever the stage of the setting.
        return address_generator(setting, request, data=DATA, cn=cn, type_im=type_im, stage=1, **more)

    manifest = address('PhantomManifest')
    folder = os.path.dirname(os.path.abspath(manifest))
    made_from = {'cn': cn, 'options': case.options}
    present, outputs = _finished(manifest, made_from)
    missing = [type_im for type_im in types if type_im not in present]
    if not missing:
        for folder in {os.path.dirname(path) for path in outputs}:
            sweep_stale_temporaries(folder)  # another process may have finished what a killed one began
        return []
    needed, free = _BYTES_PER_VOXEL * np.prod(case.patient.size, dtype=float), available_memory()
    if needed > free:
        size = 'x'.join(map(str, case.patient.size))
        memory = f'about {needed / 1e9:.1f} GB of memory; {free / 1e9:.1f} GB are free'
        raise InputError(f"A phantom of {size} voxels needs {memory}: make 'Size' of the setting Phantom smaller.")
    requests = ('OriginalIm', 'OriginalLung', 'OriginalTorso')

    def write(image, path):
        write_image(image, path)
        outputs[path] = record_output(path, image, folder)

    for type_im in missing:
        for request, image in zip(requests, case.phase(type_im)):
            write(image, address(request, type_im))
    case.release()
    present = sorted(set(present) | set(missing))
    pair = [{'data': DATA, 'cn': cn, 'type_im': type_im} for type_im in (0, 5)]
    path = address('TrueDVF', pair_info=pair)
    if {0, 5} <= set(present) and path not in outputs:
        write(true_dvf(case, 0, 5), path)
    for path, text in _landmark_files(case, address):
        write_text(path, text)
        outputs[path] = record_output(path, folder=folder)
    write_manifest(manifest, dict(made_from, types=present), FORMAT_NUMBER, [outputs[path] for path in sorted(outputs)])
    return missing


def _finished(manifest, made_from):
    """What an earlier run finished: (phases, outputs by path); empty if any of it is no longer valid."""
    try:
        recorded = read_json(manifest)
        types = [check_type(type_im) for type_im in recorded['made_from']['types']]
        folder = os.path.dirname(manifest)
        paths = [os.path.normpath(os.path.join(folder, output['path'])) for output in recorded['outputs']]
        outputs = dict(zip([path.replace(os.sep, '/') for path in paths], recorded['outputs']))
    except (RegNetError, KeyError, TypeError):
        types, outputs = [], {}
    done, reason = check_manifest(manifest, dict(made_from, types=types), FORMAT_NUMBER)
    if done:
        return types, outputs
    if reason != 'no manifest':
        LOGGER.warning('Phantom case %s is made again: %s.', made_from['cn'], reason)
    return [], {}


def _landmark_files(case, address):
    """Pairs of (path, text) of all landmark files of a case."""
    few, size, origin = case.options['LandmarksAllPhases'], case.patient.size, case.patient.origin
    for type_im in range(PHASES):
        points = case.landmarks(type_im)
        # The file names carry a pair of phases: the many landmarks belong to T00 and T50 only.
        pairs = [(points[:few], 1 if type_im != 1 else 2)]
        if type_im in (0, 5):
            pairs.append((points, 5 - type_im))
        for chosen, other in pairs:
            pair = [{'data': DATA, 'cn': case.patient.cn, 'type_im': k} for k in (type_im, other)]
            for request, text in phantom_texts(chosen, size, origin):
                yield address(request, type_im, pair_info=pair), text


def make_cases(setting, cn_list, types=(0, 5), n_workers=None, size=None):
    """Make several patients, with a progress bar: dictionary case number -> phases that had to be made.

    :param n_workers: processes; None: one for every two processors (each needs about 1.5 GB in full size).
    :raises RegNetError: see :func:`make_case`; other errors name the case.
    """
    cn_list = list(cn_list)
    case_options(setting, size)
    made = in_parallel(_make, [(setting, cn, types, size) for cn in cn_list], n_workers, 'Phantom')
    return dict(zip(cn_list, made))


def _make(setting, cn, types, size):
    """Make one case in a worker; unexpected errors name the case."""
    try:
        return make_case(setting, cn, types, size)
    except Exception as error:
        if sentence_of(error):
            raise
        raise RuntimeError(f'Phantom case {cn} could not be made: {error}') from error
