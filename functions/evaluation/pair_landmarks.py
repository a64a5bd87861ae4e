"""Corresponding landmarks of a pair of images, in millimetres.

Text files of points come in three kinds, and every address of a data set says which one it holds:

=====================  =======================================================================================
Request                Content of a row
=====================  =======================================================================================
`LandmarkPointExact`   x y z in mm, full precision (only data sets that know the truth)
`LandmarkPoint_tr`     x y z in mm, rounded
`LandmarkIndex_tr`     0-based voxel index x y z of the image as it came (before it was made isotropic)
`LandmarkIndex`        DIR-Lab text: 1-based, and its z counts from the top: x - 1, y - 1, nz - z is the index
=====================  =======================================================================================

Lines starting with `#` are comments; the two header lines of elastix (`point` or `index`, then the count) are
understood and checked.
"""

import os

import numpy as np
import SimpleITK as sitk

from functions.image.dvf import transform_points
from functions.image.geometry import Geometry
from functions.image.point_files import read_points
from functions.setting import setting_utils as su
from functions.setting.errors import InputError, MissingFileError
from functions.setting.seeds import random_state

_ROUNDED = ('LandmarkPoint_tr', 'LandmarkIndex_tr', 'LandmarkIndex')
#: Request -> format of its rows, of :data:`functions.image.point_files.FORMATS`.
_FORMATS = {
    'LandmarkPointExact': 'elastix_point',
    'LandmarkPoint_tr': 'elastix_point',
    'LandmarkIndex_tr': 'elastix_index',
    'LandmarkIndex': 'dirlab',
}


def read_landmarks(setting, pair_info, exact=True, check_inside=True):
    """Landmarks of both images of a pair, row k of one corresponding to row k of the other.

    :param pair_info: [fixed, moving], dictionaries with `data`, `cn` and `type_im`.
    :param exact: take the full-precision positions of data sets that have them (the others are read as with
        False); False takes what DIR-Lab's format offers: `LandmarkPoint_tr`, `LandmarkIndex_tr` or
        `LandmarkIndex`, the first that exists for both images.
    :param check_inside: require that every point lies inside its own image (`OriginalIm`).
    :return: (fixed_points, moving_points), each float64 (n, 3) in mm, x y z.
    :raises MissingFileError: no landmarks, or no image, at the addresses of the data set.
    :raises InputError: a file that is not points, counts that differ, or points outside the image.
    """
    if len(pair_info) != 2:
        raise InputError(f'A pair is [fixed, moving]; got {len(pair_info)} images.')
    # First of all, so that an unknown data set, type or case is reported as what it is.
    image_paths = [_address(setting, 'OriginalIm', im_info) for im_info in pair_info]
    request, paths = _find(setting, pair_info, exact)
    points = [_read_as_world(setting, request, path, pair_info[k]) for k, path in enumerate(paths)]
    if len(points[0]) != len(points[1]):
        raise InputError(
            f'The landmarks of a pair must correspond: {paths[0]} has {len(points[0])}, {paths[1]} has '
            f'{len(points[1])}.'
        )
    if check_inside:
        for k, path in enumerate(paths):
            require_inside(points[k], image_geometry(image_paths[k]), path, image_paths[k])
    certain = _certain_points(setting, pair_info, len(points[0]))
    return points[0][certain], points[1][certain]


def image_geometry(path):
    """Geometry of an image file, from its header alone.

    :raises MissingFileError: no such file.
    :raises InputError: not an image, or not a 3D one.
    """
    if not os.path.isfile(path):
        raise MissingFileError(f'The image {path} does not exist.')
    reader = sitk.ImageFileReader()
    reader.SetFileName(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(f'{path} is not an image SimpleITK can read.') from error
    if reader.GetDimension() != 3:
        raise InputError(f'{path} has {reader.GetDimension()} dimensions; 3 are needed.')
    return Geometry(reader.GetSize(), reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection())


def require_inside(points, geometry, points_name, image_name):
    """Raise :class:`InputError` when a point (n, 3), mm, lies outside what the voxels of an image fill."""
    index = Geometry.of(geometry).world_to_index(points)
    outside = np.any((index < -0.5 - 1e-6) | (index > np.asarray(geometry.size) - 0.5 + 1e-6), axis=1)
    if np.any(outside):
        first = int(np.flatnonzero(outside)[0])
        raise InputError(
            '{} of the {} landmarks of {} lie outside the image {}; the first is number {} at ({}) mm, voxel '
            '({}) of {}. Are these voxel numbers taken for millimetres, counted from 0 instead of 1, with '
            'axes swapped or flipped, or points of another image?'.format(
                int(outside.sum()),
                len(points),
                points_name,
                image_name,
                first + 1,
                _text(points[first]),
                _text(index[first]),
                ' x '.join(str(n) for n in geometry.size),
            )
        )


def _text(values):
    return ', '.join(f'{value:.1f}' for value in values)


def _address(setting, request, im_info, pair_info=None):
    return su.address_generator(
        setting,
        request,
        data=im_info['data'],
        cn=im_info['cn'],
        type_im=im_info['type_im'],
        pair_info=pair_info,
        stage=1,
    )


def _find(setting, pair_info, exact):
    """The request that will be read, with its two paths."""
    if exact:
        paths = _paths(setting, 'LandmarkPointExact', pair_info)
        if paths:
            missing = [path for path in paths if not os.path.isfile(path)]
            if missing:
                raise MissingFileError(
                    'The exact landmarks {} do not exist; make the data set again, or ask for the rounded ones.'.format(
                        ' and '.join(missing)
                    )
                )
            return 'LandmarkPointExact', paths
    tried = []
    for request in _ROUNDED:
        paths = _paths(setting, request, pair_info)
        if paths and all(os.path.isfile(path) for path in paths):
            return request, paths
        tried.extend(paths or [])
    raise MissingFileError(
        'No landmarks of {} cn {}: none of these pairs of files is complete: {}.'.format(
            pair_info[0]['data'], pair_info[0]['cn'], ', '.join(tried) or '(this data set has no landmarks)'
        )
    )


def _paths(setting, request, pair_info):
    """Addresses for both images, or None where the data set has no such request."""
    try:
        return [_address(setting, request, im_info, pair_info) for im_info in pair_info]
    except KeyError:
        return None


def _read_as_world(setting, request, path, im_info):
    counts_voxels = _FORMATS[request] != 'elastix_point'
    geometry = source_geometry(setting, im_info) if counts_voxels else None
    return read_points(path, geometry, _FORMATS[request]).points


def source_geometry(setting, im_info):
    """Geometry of the image whose voxels the landmark numbers count: as it came, not yet isotropic.

    Data sets with exact landmarks may be made in place, at 1 mm: there the image itself is the one that was
    marked. Elsewhere the isotropic image has other voxels and must not stand in for a missing original.
    """
    requests = ['OriginalImNonIsotropic', 'OriginalImRaw']
    if _paths(setting, 'LandmarkPointExact', [im_info, im_info]):
        requests.append('OriginalIm')
    tried = []
    for request in requests:
        for path in _paths(setting, request, [im_info, im_info]) or []:
            if os.path.isfile(path):
                return image_geometry(path)
            if path not in tried:
                tried.append(path)
    raise MissingFileError(
        'Landmarks given as voxel numbers need the image they were marked on: {}.'.format(
            ' or '.join(tried) or 'this data set has no address for it'
        )
    )


def _certain_points(setting, pair_info, count):
    """Boolean (count,): False for the points the observers were not sure of (value other than 0)."""
    try:
        path = _address(setting, 'UnsurePoints', pair_info[0])
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


def synthetic_landmarks(true_dvf, lung, number=300):
    """Points inside the lung of a synthetic pair, with where its true DVF puts them.

    :param true_dvf: displacement image, mm, fixed to moving. :param lung: mask on the fixed grid.
    :param number: how many points; voxel centres drawn without replacement, the same ones at every call.
    :return: fixed_points, moving_points (n, 3) mm.
    """
    inside = np.argwhere(sitk.GetArrayViewFromImage(lung) != 0)
    if len(inside) == 0:
        raise InputError('The lung mask is empty; there is no place for landmarks.')
    chosen = random_state('synthetic landmarks').permutation(len(inside))[:number]
    fixed_points = Geometry.of(lung).index_to_world(inside[np.sort(chosen), ::-1])
    return fixed_points, transform_points(fixed_points, true_dvf)
