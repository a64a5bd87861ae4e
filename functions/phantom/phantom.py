"""Makes cases of the data set ``Phantom_4D`` on disk, at the addresses of that data set.

``setting['Phantom']`` (functions.phantom.patient.DEFAULT_OPTIONS) sets size and variety, the case number the
patient. A case is the same wherever and whenever it is made. Finished cases are not made again, and phases made
earlier are kept when others are asked for.
"""

import logging
import os

from joblib import Parallel, delayed
from tqdm import tqdm

from functions.image.manifest import check_manifest, record_output, write_manifest
from functions.image.threads import itk_threads
from functions.image.volume_io import write_image
from functions.phantom.branching_landmarks import landmark_texts
from functions.phantom.breathing import PHASES, check_type, true_dvf
from functions.phantom.case import Case
from functions.phantom.patient import check_options
from functions.setting.atomic import read_json, sweep_stale_temporaries, write_text
from functions.setting.errors import InputError, RegNetError
from functions.setting.setting_utils import address_generator

DATA = 'Phantom_4D'
#: Cases that are made by default.
USUAL_CASES = range(1, 21)
FORMAT_NUMBER = 2  # raise by hand when the output of any case changes
LOGGER = logging.getLogger(__name__)


def case_options(setting, size=None):
    """Complete options of :class:`functions.phantom.case.Case` from ``setting['Phantom']``.

    :param size: (x, y, z) in voxels (= mm); None: that of the setting.
    :raises InputError: options that cannot be used.
    """
    options = check_options(setting.get('Phantom'))
    if size is None:
        return options
    return check_options(dict(options, Size=list(size) if hasattr(size, '__len__') else size))


def make_case(setting, cn, types=(0, 5), size=None):
    """Make one patient: images and masks of the phases asked for, landmarks, and the true DVF T00 -> T50.

    Written to OriginalIm, OriginalLung, OriginalTorso (int16, uint8, uint8), LandmarkPointExact, LandmarkIndex
    and the other landmark files (see the options ``Landmarks`` and ``LandmarksAllPhases``), TrueDVF (float32, mm;
    when both phases are there) and, last, PhantomManifest.

    :param setting: the setting dictionary; ``Phantom`` in it is optional.
    :param cn: case number, from 1.
    :param types: phases, 0 (T00, maximum inhale) to 9 (T90).
    :param size: (x, y, z) in voxels (= mm), instead of ``setting['Phantom']['Size']``.
    :return: the phases that had to be made.
    :raises InputError: case, phase, size or option that cannot be used.
    :raises DiskError: a file cannot be written.
    """
    types = sorted({check_type(type_im) for type_im in types})
    if not types:
        raise InputError('types names no phase of the phantom; accepted: 0 (T00) to 9 (T90).')
    case = Case(cn, case_options(setting, size))
    cn = case.patient.cn

    def address(request, type_im=0, **more):
        # The phantom is made at 1 mm, whatever the stage of the setting.
        return address_generator(setting, request, data=DATA, cn=cn, type_im=type_im, stage=1, **more)

    manifest = address('PhantomManifest')
    folder = os.path.dirname(os.path.abspath(manifest))
    made_from = {'cn': cn, 'options': case.options}
    present, outputs = _finished(manifest, made_from)
    missing = [type_im for type_im in types if type_im not in present]
    if not missing:
        return []
    for path in (address('OriginalIm'), address('OriginalLung'), address('OriginalTorso'), manifest):
        sweep_stale_temporaries(os.path.dirname(path))

    def write(image, path):
        write_image(image, path)
        outputs[path] = record_output(path, image, folder)

    for type_im in missing:
        image, lung, torso = case.phase(type_im)
        write(image, address('OriginalIm', type_im))
        write(lung, address('OriginalLung', type_im))
        write(torso, address('OriginalTorso', type_im))
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
    """What an earlier run finished: (phases, outputs by path); nothing when any of it is no longer valid."""
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
    """(path, text) of every landmark file of a case."""
    few, size, origin = case.options['LandmarksAllPhases'], case.patient.size, case.patient.origin
    for type_im in range(PHASES):
        points = case.landmarks(type_im)
        # The file names carry a pair of phases: the many landmarks belong to T00 and T50 only.
        pairs = [(points[:few], 1 if type_im != 1 else 2)]
        if type_im in (0, 5):
            pairs.append((points, 5 - type_im))
        for chosen, other in pairs:
            pair = [{'data': DATA, 'cn': case.patient.cn, 'type_im': k} for k in (type_im, other)]
            for request, text in landmark_texts(chosen, size, origin):
                yield address(request, type_im, pair_info=pair), text


def make_cases(setting, cn_list, types=(0, 5), n_workers=None, size=None):
    """Make several patients, with a progress bar.

    :param cn_list: case numbers.
    :param n_workers: processes; None: one for every two processors (each needs about 1.5 GB in full size).
    :return: dictionary case number -> phases that had to be made.
    :raises RegNetError: as :func:`make_case`; other failures name the case.
    """
    cn_list = list(cn_list)
    case_options(setting, size)
    if n_workers is None:
        n_workers = max(1, (os.cpu_count() or 2) // 2)
    n_workers = max(1, min(int(n_workers), len(cn_list)))
    bar = tqdm(cn_list, desc='Phantom', unit='case', leave=False)
    if n_workers == 1:
        made = [_make(setting, cn, types, size, None) for cn in bar]
    else:
        run = Parallel(n_jobs=n_workers, batch_size=1, pre_dispatch=n_workers)
        made = run(delayed(_make)(setting, cn, types, size, 1) for cn in bar)
    return dict(zip(cn_list, made))


def _make(setting, cn, types, size, threads):
    """One case in a worker; an unexpected failure names the case."""
    with itk_threads(threads):
        try:
            return make_case(setting, cn, types, size)
        except RegNetError:
            raise
        except Exception as error:
            raise RuntimeError(f'Phantom case {cn} could not be made: {error}') from error
