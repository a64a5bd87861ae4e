"""Corresponding landmarks of a pair of images, in millimetres.

The address of a text file of points says what a row holds:

- `LandmarkPointExact`: x y z in mm, full precision (only data sets that know the truth); `LandmarkPoint_tr`: rounded
- `LandmarkIndex_tr`: 0-based voxel index x y z of the original image (before it was made isotropic)
- `LandmarkIndex`: DIR-Lab text, 1-based, with z from the top: x - 1, y - 1, nz - z is the index

Lines starting with `#` are comments; the two header lines of elastix (`point` or `index`, then the count) are checked.
"""

import os

import numpy as np

from ..image.dvf import transform_points
from ..image.geometry import Geometry
from ..image.point_files import read_points
from ..image.volume_io import array_view, read_geometry
from ..setting import setting_utils as su
from ..setting.errors import InputError, MissingFileError, UnknownNameError
from ..setting.seeds import random_state

#: Request -> format of its rows, of :data:`functions.image.point_files.FORMATS`.
_FORMATS = {
    'LandmarkPointExact': 'elastix_point',
    'LandmarkPoint_tr': 'elastix_point',
    'LandmarkIndex_tr': 'elastix_index',
    'LandmarkIndex': 'dirlab',
}
_EXACT, *_ROUNDED = _FORMATS
_SYNTHETIC = 300  # landmarks of a synthetic pair


def find_landmarks(setting, pair, true_dvf=None, lung=None):
    """The landmarks of a pair: ((fixed_points, moving_points), ''), or (None, why there are none).

    :param true_dvf, lung: true DVF and lung mask of a synthetic pair: its landmarks follow from them.
    :raises InputError: landmarks that cannot be used.
    """
    if true_dvf is not None:
        return synthetic_landmarks(true_dvf, lung), ''
    try:
        return read_landmarks(setting, pair), ''
    except (MissingFileError, UnknownNameError) as error:
        return None, str(error)


def read_landmarks(setting, pair):
    """Landmarks of both images of a pair, row k of one corresponding to row k of the other.

    They are exact in data sets that know the truth, otherwise from the first kind of file that exists for both images.

    :param pair: [fixed, moving], dictionaries with `data`, `cn` and `type_im`.
    :return: (fixed_points, moving_points), each float64 (n, 3) in mm, x y z.
    :raises MissingFileError: no landmarks, or no image, at the addresses of the data set.
    :raises InputError: a file that is not points, counts that differ, or points outside their image.
    """
    if len(pair) != 2:
        raise InputError(f'A pair is [fixed, moving]; got {len(pair)} images.')
    # First, so that an unknown data set, type or case is reported as such.
    image_paths = [_address(setting, 'OriginalIm', im_info) for im_info in pair]
    request, paths = _find(setting, pair)
    kind = _FORMATS[request]
    grids = [None if kind == 'elastix_point' else source_geometry(setting, im_info) for im_info in pair]
    fixed, moving = points = [read_points(path, grid, kind).points for path, grid in zip(paths, grids)]
    if len(fixed) != len(moving):
        files = ', '.join(f'{path} has {len(one)}' for path, one in zip(paths, points))
        raise InputError(f'The landmarks of a pair must correspond: {files}.')
    for one, path, image_path in zip(points, paths, image_paths):
        require_inside(one, read_geometry(image_path), path, image_path)
    certain = _certain_points(setting, pair, len(fixed))
    return fixed[certain], moving[certain]


def require_inside(points, geometry, points_name, image_name):
    """Raise :class:`InputError` when a point (n, 3), mm, lies outside the voxels of an image."""
    index = geometry.world_to_index(points)
    outside = np.any((index < -0.5 - 1e-6) | (index > np.asarray(geometry.size) - 0.5 + 1e-6), axis=1)
    if np.any(outside):
        first = int(np.argmax(outside))
        position, voxel = (', '.join(f'{value:.1f}' for value in row[first]) for row in (points, index))
        size = ' x '.join(map(str, geometry.size))
        where = f'the first is number {first + 1} at ({position}) mm, voxel ({voxel}) of {size}'
        which = f'{int(outside.sum())} of the {len(points)} landmarks of {points_name}'
        advice = 'Check their unit, first number, axes and image'
        raise InputError(f'{which} lie outside the image {image_name}; {where}. {advice}.')


def source_geometry(setting, im_info):
    """Geometry of the image whose voxels the landmark numbers count: the original, before it was made isotropic."""
    requests = ['OriginalImNonIsotropic', 'OriginalImRaw']
    # Data sets with exact landmarks may be made at 1 mm; elsewhere the isotropic image has other voxels.
    requests += ['OriginalIm'] if _paths(setting, _EXACT, [im_info]) else []
    tried = [path for request in requests for path in _paths(setting, request, [im_info])]
    for path in tried:
        if os.path.isfile(path):
            return read_geometry(path)
    where = ' or '.join(dict.fromkeys(tried)) or 'this data set has no address for it'
    raise MissingFileError(f'Landmarks given as voxel numbers need the image they were marked on: {where}.')


def synthetic_landmarks(true_dvf, lung):
    """At most 300 distinct voxel centres in the lung of a synthetic pair, the same at every call, and where its true
    DVF (mm) puts them: fixed_points, moving_points (n, 3) mm.
    """
    inside = np.argwhere(array_view(lung) != 0)
    if len(inside) == 0:
        raise InputError('The lung mask is empty; there is no place for landmarks.')
    chosen = np.sort(random_state('synthetic landmarks').permutation(len(inside))[:_SYNTHETIC])
    fixed_points = Geometry.of(lung).index_to_world(inside[chosen, ::-1])
    return fixed_points, transform_points(fixed_points, true_dvf)


def _address(setting, request, im_info, pair=None):
    known = {key: im_info[key] for key in ('data', 'cn', 'type_im')}
    return su.address_generator(setting, request, pair_info=pair, stage=1, **known)


def _paths(setting, request, pair):
    """Addresses for the images; [] where the data set has no such request."""
    try:
        return [_address(setting, request, im_info, pair if len(pair) == 2 else pair * 2) for im_info in pair]
    except KeyError:
        return []


def _find(setting, pair):
    """The request that will be read, with its two paths."""
    paths = _paths(setting, _EXACT, pair)
    if paths:
        missing = ' and '.join(path for path in paths if not os.path.isfile(path))
        if missing:
            raise MissingFileError(f'The exact landmarks {missing} do not exist; make the data set again.')
        return _EXACT, paths
    tried = []
    for request in _ROUNDED:
        paths = _paths(setting, request, pair)
        if paths and all(map(os.path.isfile, paths)):
            return request, paths
        tried += paths
    where = f'none of these pairs of files is complete: {", ".join(tried)}' if tried else 'this data set has none'
    raise MissingFileError(f'No landmarks of {pair[0]["data"]} cn {pair[0]["cn"]}: {where}.')


def _certain_points(setting, pair, count):
    """Boolean (count,): False for points the observers were unsure of (a value other than 0)."""
    try:
        path = _address(setting, 'UnsurePoints', pair[0])
    except KeyError:
        return np.ones(count, dtype=bool)
    if not os.path.isfile(path):
        raise MissingFileError(f'{path} does not exist; it says which landmarks to leave out.')
    try:
        values = np.loadtxt(path, dtype=np.float64, ndmin=1).ravel()
    except ValueError as error:
        raise InputError(f'{path} must hold one number per landmark ({error}).') from error
    if len(values) != count:
        raise InputError(f'{path} holds {len(values)} values for {count} landmarks.')
    return values == 0
