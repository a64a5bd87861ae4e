"""A public data set as people download it (DIR-Lab 4DCT, DIR-Lab COPDgene, SPREAD) into the files that the
addresses of that data set name.

Everything there is to find wrong with the packs (missing files, wrong numbers of bytes, landmarks that are
none) is found before the first image is converted. Every image, and the landmarks of every case, have a
manifest: what is done is not done again.
"""

import collections
import logging
import os

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from functions.image.free_memory import available_memory
from functions.image.geometry import Geometry
from functions.image.manifest import check_manifest
from functions.image.resample import resample_to
from functions.image.threads import itk_threads
from functions.image.volume_io import array_view, image_from_array, read_image
from functions.preprocessing import dirlab_raw, own_images, pack_landmarks
from functions.preprocessing.downloaded_packs import find_packs
from functions.preprocessing.isotropic import mask_to_isotropic
from functions.setting.data_sets import get_data_set
from functions.setting.errors import InputError, RegNetError
from functions.setting.setting_utils import address_generator

LOGGER = logging.getLogger(__name__)

FORMAT_NUMBER = 1  # raise by hand when the same pack gives other files
_MEMORY = 3 * 2**29  # bytes for one image of 512 x 512 x 136 voxels (1 GB measured)

_REQUESTS = (
    'OriginalImNonIsotropic',
    'OriginalIm',
    'OriginalLung',
    'OriginalTorso',
    'OriginalLungRaw',
    'OriginalTorsoRaw',
)
_Job = collections.namedtuple('_Job', 'path data cn type_im grid margin unseen addresses setting')

#: What :func:`prepare_data_set` did: data, cases (list), made and kept (numbers of images).
Report = collections.namedtuple('Report', 'data cases made kept')


def prepare_data_set(setting, data, source_folder, cases=None, n_workers=None, margin=None):
    """Convert the packs of a data set.

    For every image: the original in int16 HU with identity direction (x to the patient's left, y posterior, z
    superior; DIR-Lab only), the isotropic one at 1 mm, lung and torso masks on the grids of both. For every
    case: its landmarks. What was never scanned has the DefaultPixelValue of the data set.

    :param setting: the setting dictionary.
    :param data: 'DIR-Lab_4D', 'DIR-Lab_COPD', 'SPREAD', or any registered data set of their layouts.
    :param source_folder: folder with the unpacked archives (``Case1Pack``, ``copd1``, ...), or one of them.
    :param cases: case numbers; None: those that are there.
    :param n_workers: processes; None: as cores and memory allow (1.5 GB each).
    :param margin: mm of air to keep around the torso; None: the whole field of view.
    :return: :class:`Report`.
    :raises MissingFileError, InputError: every problem of the packs, before anything is written.
    """
    record = get_data_set(data, setting)
    source_folder = os.path.expanduser(source_folder)
    packs = find_packs(source_folder, record, cases, setting)
    points = {pack.cn: _checked(record, pack) for pack in packs}
    jobs = [
        _Job(
            file.path,
            record.key,
            pack.cn,
            file.type_im,
            _grid(record, pack.cn),
            margin,
            record.DefaultPixelValue,
            _addresses(setting, record, pack.cn, file.type_im),
            setting,
        )
        for pack in packs
        for file in pack.images
    ]
    LOGGER.info('%s: case %s found in %s.', data, ', '.join(str(pack.cn) for pack in packs), source_folder)
    if n_workers is None:
        memory = available_memory()
        n_workers = min((os.cpu_count() or 2) // 2, len(jobs) if memory is None else memory // _MEMORY)
    n_workers = max(1, min(int(n_workers), len(jobs)))
    bar = tqdm(jobs, desc=data, unit='image', leave=False)
    if n_workers == 1:
        made = [_prepare_image(job, None) for job in bar]
    else:
        made = Parallel(n_jobs=n_workers, batch_size=1, pre_dispatch=n_workers)(
            delayed(_prepare_image)(job, 1) for job in bar
        )
    for pack in packs:
        _write_landmarks(setting, record, pack, points[pack.cn])
    return Report(data, [pack.cn for pack in packs], sum(made), len(made) - sum(made))


def _grid(record, cn):
    """(size, spacing) of the raw images of a case; None where the files say it themselves."""
    if record.layout == 'spread':
        return None
    if cn not in record.raw_grids:
        raise InputError(f'The record of {record.key} does not say the size and spacing of case {cn} (raw_grids).')
    size, spacing = record.raw_grids[cn]
    return [int(n) for n in size], [float(s) for s in spacing]


def _checked(record, pack):
    """The points of a pack as read, by path, after looking at everything that can be wrong with it.

    :raises InputError: what is wrong, in one message.
    """
    grid, problems, points = _grid(record, pack.cn), [], collections.OrderedDict()
    if grid is not None:
        problems += [dirlab_raw.raw_problem(file.path, grid) for file in pack.images]
    for file in pack.points:
        try:
            points[file.path] = (
                pack_landmarks.read_rows(file.path) if grid is None else pack_landmarks.read_dirlab(file.path, grid)
            )
        except InputError as error:
            problems.append(str(error))
    for name in sorted({file.set_name for file in pack.points}):
        counts = [
            (len(points[file.path]), file.path) for file in pack.points if file.set_name == name and file.path in points
        ]
        if counts and min(counts)[0] < max(counts)[0]:
            problems.append(
                f'{min(counts)[1]} holds {min(counts)[0]} landmarks, {max(counts)[1]} holds {max(counts)[0]}; they '
                'must correspond.'
            )
    for file in pack.extra.values():
        count = len(pack_landmarks.read_values(file.path))
        problems += [
            f'{file.path} holds {count} values for {len(found)} landmarks.'
            for found in list(points.values())[:1]
            if len(found) != count
        ]
    problems = [problem for problem in problems if problem]
    if problems:
        more = f' There are {len(problems) - 3} more problems.' if len(problems) > 3 else ''
        raise InputError('Case {}: {}{}'.format(pack.cn, ' '.join(problems[:3]), more))
    return points


def _addresses(setting, record, cn, type_im):
    """Request -> address of everything that is made from a DIR-Lab image."""
    return {
        request: address_generator(setting, request, data=record.key, cn=cn, type_im=type_im, stage=1)
        for request in _REQUESTS
        if request in record.addresses
    }


def _prepare_image(job, threads):
    """One image in a worker; whether it had to be made."""
    with itk_threads(threads):
        try:
            if job.grid is None:
                return own_images.prepare_image(
                    job.path, job.setting, job.data, job.cn, job.type_im, margin=job.margin
                ).made
            return _dirlab_image(job)
        except RegNetError as error:
            raise type(error)(f'{job.path}: {error}') from error
        except Exception as error:
            raise RuntimeError(f'{job.path} could not be prepared: {error}') from error


def _dirlab_image(job):
    im = job.addresses['OriginalIm']
    made_from = {
        'source': own_images.fingerprint(job.path),
        'grid': job.grid,
        'margin': job.margin,
        'spacing': own_images.SPACING,
        'unseen': job.unseen,
    }
    manifest = own_images.manifest_address(im)
    done, reason = check_manifest(manifest, made_from, FORMAT_NUMBER)
    if done:
        return False
    if reason != 'no manifest':
        LOGGER.warning('%s is prepared again: %s.', im, reason)
    raw = dirlab_raw.read_raw(job.path, job.grid, job.unseen)
    image, (lung, torso) = own_images.prepare(raw, margin=job.margin)
    geometry = Geometry.of(raw)
    contents = {
        'OriginalImNonIsotropic': raw,
        'OriginalIm': _with_unseen(image, raw, job.unseen),
        'OriginalLung': lung,
        'OriginalTorso': torso,
        'OriginalLungRaw': resample_to(lung, geometry, 'nearest', 0),
        'OriginalTorsoRaw': resample_to(torso, geometry, 'nearest', 0),
    }
    own_images.write_outputs(
        [(job.addresses[request], contents[request]) for request in _REQUESTS], manifest, made_from, FORMAT_NUMBER
    )
    return True


def _with_unseen(image, raw, unseen):
    """The isotropic image with its mark of what was never scanned, which is no value to interpolate with."""
    blank = array_view(raw) == unseen
    if not blank.any():
        return image
    mask = resample_to(mask_to_isotropic(image_from_array(blank, raw), own_images.SPACING), image, 'nearest', 0)
    array = array_view(image).copy()
    array[array_view(mask) != 0] = np.int16(unseen)
    return image_from_array(array, image)


def _write_landmarks(setting, record, pack, points):
    """All landmark files of a case, where the addresses want them."""

    def address(request, file):
        pair = [{'data': record.key, 'cn': pack.cn, 'type_im': k} for k in (file.type_im, file.other)]
        return address_generator(
            setting, request, data=record.key, cn=pack.cn, type_im=file.type_im, pair_info=pair, stage=1
        )

    folder = address('OriginalLandmarkFolder', pack.points[0])
    manifest = f'{folder}{record.expPrefix}{pack.cn}_landmarks.json'
    grid = _grid(record, pack.cn)
    made_from = {'source': [own_images.fingerprint(path) for path in points], 'grid': grid}
    if check_manifest(manifest, made_from, FORMAT_NUMBER)[0]:
        return
    contents = []
    for file in pack.points:
        if grid is None:
            texts = pack_landmarks.spread_texts(points[file.path])
        else:
            image = read_image(address('OriginalImNonIsotropic', file))
            texts = pack_landmarks.dirlab_texts(points[file.path], grid, Geometry.of(image))
        contents += [
            (address(request, file), text, file.path) for request, text in texts if request in record.addresses
        ]
    for request, file in pack.extra.items():
        with open(file.path, encoding='utf-8') as stream:
            contents.append((address(request, pack.points[0]), stream.read(), file.path))
    # A data set converted where it lies has some of its files in place already.
    own_images.write_outputs(
        [
            (path, text)
            for path, text, source in contents
            if not (os.path.exists(path) and os.path.samefile(path, source))
        ],
        manifest,
        made_from,
        FORMAT_NUMBER,
    )
