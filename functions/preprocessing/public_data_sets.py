"""Converts a downloaded public data set (DIR-Lab 4DCT, DIR-Lab COPDgene, SPREAD) to the files that its addresses name.

All problems of the packs (missing files, wrong sizes, unusable landmarks) are reported before the first image is
converted. Every image, and the landmarks of every case, have a manifest; finished work is not repeated.
"""

import collections
import functools
import logging
import os

import numpy as np

from ..image.file_check import require_apart
from ..image.free_memory import available_memory
from ..image.geometry import Geometry
from ..image.manifest import fingerprint, recorded_inputs
from ..image.resample import resample_to
from ..image.volume_io import array_view, image_from_array, read_image
from ..image.worker_pools import in_parallel
from ..setting.data_sets import get_data_set
from ..setting.errors import InputError, RegNetError, join_numbers, sentence_of
from ..setting.setting_utils import address_generator
from ..setting.text_files import read_text
from . import dirlab_raw, own_images, pack_landmarks
from .downloaded_packs import find_packs
from .isotropic import mask_to_isotropic

LOGGER = logging.getLogger(__name__)

_MEMORY = 3 * 2**29  # bytes for an image of 512 x 512 x 136 voxels (measured: 1 GB)

#: What :func:`prepare_data_set` did: data, cases (list), made and kept (numbers of images), manifests (paths).
Report = collections.namedtuple('Report', 'data cases made kept manifests')


def prepare_data_set(setting, data, source_folder, cases=None, n_workers=None):
    """Convert the packs of a data set: :class:`Report`.

    For every image: the original in int16 HU with identity direction (x to the patient's left, y posterior, z superior;
    DIR-Lab only), the isotropic image at 1 mm, and lung and torso masks on the grids of both. For every case: its
    landmarks. What was not scanned gets the DefaultPixelValue of the data set.

    :param data: 'DIR-Lab_4D', 'DIR-Lab_COPD', 'SPREAD', or any registered data set with one of their layouts.
    :param source_folder: folder with the unpacked archives (``Case1Pack``, ``copd1``, ...), or one of them.
    :param cases: case numbers; None: those that are there.
    :param n_workers: processes; None: as cores and memory allow (1.5 GB each).
    :raises MissingFileError, InputError: every problem of the packs, before anything is written.
    """
    record, source_folder = get_data_set(data, setting), os.path.expanduser(source_folder)
    packs = find_packs(source_folder, record, cases, setting)
    points = {pack.cn: _checked_points(record, pack) for pack in packs}
    jobs = [(file.path, _image_job(setting, record, pack.cn, file)) for pack in packs for file in pack.images]
    LOGGER.info('%s: found case %s in %s.', data, join_numbers(pack.cn for pack in packs), source_folder)
    if n_workers is None:
        n_workers = min((os.cpu_count() or 2) // 2, available_memory() // _MEMORY)
    prepared = in_parallel(_run, jobs, n_workers, data)
    manifests = [own_images.manifest_address(image.im) for image in prepared]
    manifests += [_write_landmarks(setting, record, pack, points[pack.cn]) for pack in packs]
    made = sum(image.made for image in prepared)
    return Report(data, [pack.cn for pack in packs], made, len(prepared) - made, manifests)


def _grid(record, cn):
    """(size, spacing) of the raw images of a case; None if their files contain it."""
    if record.layout == 'spread':
        return None
    if cn not in record.raw_grids:
        raise InputError(f'The record of {record.key} lacks the size and spacing of case {cn} (raw_grids).')
    size, spacing = record.raw_grids[cn]
    return [int(n) for n in size], [float(s) for s in spacing]


def _checked_points(record, pack):
    """The points of a pack by path, after all checks of the pack; one InputError with all problems."""
    grid, problems, points = _grid(record, pack.cn), [], {}
    if grid is not None:
        problems += filter(None, [dirlab_raw.raw_problem(file.path, grid) for file in pack.images])
    for path in [file.path for file in pack.points]:
        try:
            points[path] = pack_landmarks.read_rows(path) if grid is None else pack_landmarks.read_dirlab(path, grid)
        except InputError as error:
            problems.append(str(error))
    for name in sorted({file.set_name for file in pack.points}):
        paths = [file.path for file in pack.points if file.set_name == name and file.path in points]
        counts = sorted((len(points[path]), path) for path in paths)
        if counts and counts[0][0] < counts[-1][0]:
            (few, short), (many, long) = counts[0], counts[-1]
            problems.append(f'{short} contains {few} landmarks, {long} contains {many}; they must correspond.')
    for file in pack.extra.values():
        count = len(pack_landmarks.read_values(file.path))
        landmarks = [len(rows) for rows in points.values()][:1]
        problems += [f'{file.path} contains {count} values for {n} landmarks.' for n in landmarks if n != count]
    if problems:
        more = f' There are {len(problems) - 3} more problems.' if len(problems) > 3 else ''
        raise InputError(f'Case {pack.cn}: {" ".join(problems[:3])}{more}')
    return points


def _image_job(setting, record, cn, file):
    """A function without arguments that prepares one image and returns a :class:`own_images.Prepared`."""
    grid, where = _grid(record, cn), {'data': record.key, 'cn': cn, 'type_im': file.type_im}
    if grid is None:
        return functools.partial(own_images.prepare_image, file.path, setting, **where)
    # Addresses are made here: a worker does not know data sets that were registered in this process.
    requests = ['Original' + what for what in ('ImNonIsotropic', 'Im', 'Lung', 'Torso', 'LungRaw', 'TorsoRaw')]
    paths = {what: address_generator(setting, what, stage=1, **where) for what in requests}
    return functools.partial(_prepare_dirlab, file.path, grid, record.DefaultPixelValue, paths)


def _run(path, job):
    """Run a job in a worker and return its :class:`own_images.Prepared`; an error names the file."""
    try:
        return job()
    except RegNetError as error:
        raise type(error)(f'{path}: {error}') from error
    except Exception as error:
        if sentence_of(error):
            raise
        raise RuntimeError(f'{path} could not be prepared: {error}') from error


def _prepare_dirlab(path, grid, unseen, paths):
    require_apart(paths.values(), [path])
    im, lung, torso = [paths[what] for what in ('OriginalIm', 'OriginalLung', 'OriginalTorso')]
    manifest = own_images.manifest_address(im)
    made_from = {
        'source': fingerprint(path, recorded_inputs(manifest)),
        'grid': grid,
        'margin': None,  # of earlier manifests
        'spacing': own_images.SPACING,
        'unseen': unseen,
    }

    def contents():
        raw = dirlab_raw.read_raw(path, grid, unseen)
        image, masks = own_images.prepare(raw)
        raw_masks = [resample_to(mask, Geometry.of(raw), 'nearest', 0) for mask in masks]
        return zip(paths.values(), (raw, _with_unseen(image, raw, unseen), *masks, *raw_masks))

    made = own_images.write_once(manifest, made_from, contents)
    return own_images.Prepared(im, lung, torso, made)


def _with_unseen(image, raw, unseen):
    """The isotropic image with ``unseen`` where nothing was scanned; this value must not be interpolated."""
    blank = array_view(raw) == unseen
    if not blank.any():
        return image
    mask = resample_to(mask_to_isotropic(image_from_array(blank, raw), own_images.SPACING), image, 'nearest', 0)
    array = array_view(image).copy()
    array[array_view(mask) != 0] = np.int16(unseen)
    return image_from_array(array, image)


def _write_landmarks(setting, record, pack, points):
    """Write the landmark files of a case for which the data set has addresses, and return their manifest."""

    def address(request, file):
        where = {'data': record.key, 'cn': pack.cn, 'type_im': file.type_im}
        return address_generator(setting, request, pair_info=[where, dict(where, type_im=file.other)], stage=1, **where)

    def contents():
        found = []
        for file in pack.points:
            if grid is None:
                texts = pack_landmarks.spread_texts(points[file.path])
            else:
                image = read_image(address('OriginalImNonIsotropic', file))
                texts = pack_landmarks.dirlab_texts(points[file.path], grid, Geometry.of(image))
            found += [(address(what, file), text, file.path) for what, text in texts if what in record.addresses]
        for request, file in pack.extra.items():
            found.append((address(request, pack.points[0]), read_text(file.path), file.path))
        # A data set that is converted in place already has some of its files.
        return [(path, text) for path, text, source in found if not _is_same_file(path, source)]

    grid = _grid(record, pack.cn)
    manifest = f'{address("OriginalLandmarkFolder", pack.points[0])}{record.expPrefix}{pack.cn}_landmarks.json'
    known = recorded_inputs(manifest)
    made_from = {'source': [fingerprint(path, known) for path in points], 'grid': grid}
    own_images.write_once(manifest, made_from, contents)
    return manifest


def _is_same_file(path, other):
    return os.path.exists(path) and os.path.samefile(path, other)
