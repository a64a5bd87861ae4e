"""Affine registration of two CT images: by elastix, by SimpleITK, from a file, or none.

It starts from the best of a few transforms (none, image centres, mask or body centres, extent of the masks). Images
that do not overlap and degenerate transforms are errors.
"""

import collections
import logging
import os
import re
import time

import numpy as np
import SimpleITK as sitk

from ..image.geometry import Geometry, require_same_grid
from ..image.masks import require_nonempty
from ..image.resample import require_scalar
from ..image.transforms import as_affine, matrix_and_offset, read_transform
from ..image.volume_io import array_view
from ..setting.errors import InputError, MissingFileError, unknown_name
from . import registration as by_elastix
from . import simpleitk_affine
from .programs import find_program, is_available
from .registration import AFFINE_FILE
from .transform_files import read_linear_transform

LOGGER = logging.getLogger(__name__)

METHODS = ('none', 'elastix', 'sitk')
AffineResult = collections.namedtuple('AffineResult', 'transform method before after seconds')
"""``transform``: sitk.AffineTransform, fixed to moving points; ``method``: 'none', 'elastix', 'sitk' or the file;
``before``, ``after``: correlation of the intensities inside the fixed mask, if any, with air outside the moving image;
``seconds``: wall time."""

_VOLUMES = (0.2, 5.0)  # accepted determinants
_STRETCH = 2.5  # accepted stretch along any direction, and its inverse


def register_affine(
    fixed, moving, method=None, fixed_mask=None, moving_mask=None, threads=None, folder=None, parameter_file=AFFINE_FILE
):
    """Affine registration of two CT images on any grids: :class:`AffineResult`.

    :param fixed, moving: scalar sitk images; values below -1024 HU count as air.
    :param method: 'elastix', 'sitk', 'none', or a file: an ITK transform (.tfm, .txt, .h5) or elastix's
        TransformParameters, fixed to moving. None: elastix if it is on the PATH, else SimpleITK; logged.
    :param fixed_mask, moving_mask: masks on the grids of their images, or None; the metric is computed inside them.
    :param threads: None: all cores this process may use. SimpleITK's result does not depend on it.
    :param folder: receives elastix's parameters, transform and log; or None.
    :param parameter_file: elastix's parameters, for images of about 2 mm, as every method sees them; axes of few voxels
        stay finer there.
    :raises MissingFileError: no such file, or elastix is requested but not installed.
    :raises InputError: images that do not overlap, unusable masks, NaN, a failed registration, implausible transform.
    :raises UnknownNameError: an unknown method.
    """
    start = time.time()
    method = _chosen_method(method)
    for name, image, mask in (('fixed', fixed, fixed_mask), ('moving', moving, moving_mask)):
        _check_image(name, image, mask)
    require_overlap(fixed, moving)
    pair = (fixed, moving), (fixed_mask, moving_mask)
    (small_fixed, small_moving), small_masks = _small(*pair)
    before = simpleitk_affine.correlation(small_fixed, small_moving, None, small_masks[0])
    if method == 'none':
        return AffineResult(sitk.AffineTransform(3), method, before, before, time.time() - start)
    if method in METHODS:
        initial = simpleitk_affine.initial_transform(small_fixed, small_moving, *small_masks)
    if method == 'elastix':
        images, masks = _small(*pair, least_side=simpleitk_affine.EXACT_SIDE)
        transform = by_elastix.affine(*images, parameter_file, *masks, initial, threads, folder, fixed)
    elif method == 'sitk':
        transform = simpleitk_affine.affine(small_fixed, small_moving, *small_masks, initial=initial)
    else:
        transform = read_affine(method)
    _check_transform(transform, method)
    require_overlap(fixed, moving, transform)
    after = simpleitk_affine.correlation(small_fixed, small_moving, transform, small_masks[0])
    result = AffineResult(transform, method, before, after, time.time() - start)
    LOGGER.info('Affine registration (%s): correlation %.4f before, %.4f after, %.1f s', *result[1:])
    return result


def _small(images, masks, **options):
    """(images, masks or None) as :func:`simpleitk_affine.small_image` and ``small_mask`` make them."""
    small_masks = [None if mask is None else simpleitk_affine.small_mask(mask, **options) for mask in masks]
    return [simpleitk_affine.small_image(image, **options) for image in images], small_masks


def read_affine(path):
    """Read a linear transform: an ITK file (.tfm, .txt, .h5) or elastix's TransformParameters, as a
    sitk.AffineTransform, fixed to moving points; MissingFileError or InputError where it is missing, damaged, or not
    linear.
    """
    path, accepted = os.fspath(path), ', '.join(METHODS)
    if not os.path.isfile(path):
        raise MissingFileError(f'The affine transform {path} does not exist; accepted: {accepted}, a transform file.')
    with open(path, 'rb') as stream:
        head = stream.read(4096)
    if re.search(rb'^\s*\(\s*Transform\s', head, re.MULTILINE):
        return read_linear_transform(path)
    return as_affine(read_transform(path))


def _chosen_method(method):
    if method is None:
        found = is_available()
        LOGGER.info('Affine registration by %s', 'elastix' if found else 'SimpleITK: no elastix on the PATH')
        return 'elastix' if found else 'sitk'
    method = os.fspath(method)
    if method == 'elastix':
        find_program('elastix')
    elif method not in METHODS and not os.path.splitext(method)[1]:
        raise unknown_name('affine registration', method, METHODS + ('the path of a transform file',))
    return method


def _check_image(name, image, mask):
    if not np.isfinite(array_view(require_scalar(image, f'The {name} image')).sum(dtype=np.float64)):
        raise InputError(f'The {name} image contains NaN or infinite values.')
    if mask is not None:
        require_same_grid(mask, image, f'the mask of the {name} image', f'the {name} image')
        require_nonempty(mask, f'The mask of the {name} image')


def require_overlap(fixed, moving, transform=None):
    """Raise :class:`InputError` unless some point of one image is mapped into the other by ``transform``."""
    matrix, offset = matrix_and_offset(transform)
    fixed, moving = Geometry.of(fixed), Geometry.of(moving)
    mapped = _lattice(fixed) @ matrix.T + offset
    mapped_back = np.linalg.solve(matrix, (_lattice(moving) - offset).T).T
    if not _any_inside(mapped, moving) and not _any_inside(mapped_back, fixed):
        when = '' if transform is None else ' after the affine transform'
        what = f'The moving image does not overlap the fixed one{when}: fixed {fixed}; moving {moving}'
        raise InputError(f'{what}. Check their origins, and that both show the same part of the body.')


def _lattice(geometry):
    """Points (n, 3) in mm that cover a grid, corners included."""
    axes = [np.linspace(0, n - 1, min(n, 24)) for n in geometry.size]
    return geometry.index_to_world(np.stack(np.meshgrid(*axes, indexing='ij'), axis=-1).reshape(-1, 3))


def _any_inside(points, geometry):
    return bool(geometry.contains(geometry.world_to_index(points)).any())


def _check_transform(transform, method):
    """Raise :class:`InputError` for a transform that folds, or changes size more than a human body can."""
    matrix, offset = matrix_and_offset(transform)
    if not np.isfinite(matrix).all() or not np.isfinite(offset).all():
        raise InputError(f'The affine transform ({method}) contains NaN or infinite values.')
    volume, stretch = np.linalg.det(matrix), np.linalg.svd(matrix, compute_uv=False)
    if not (_VOLUMES[0] <= volume <= _VOLUMES[1] and stretch.min() >= 1 / _STRETCH and stretch.max() <= _STRETCH):
        volumes = f'volumes by a factor of {volume:.3g} (accepted: {_VOLUMES[0]} to {_VOLUMES[1]})'
        lengths = f'lengths by {stretch.min():.3g} to {stretch.max():.3g} (accepted: {1 / _STRETCH:.2g} to {_STRETCH})'
        what = f'The affine transform ({method}) is degenerate: it changes {volumes} and {lengths}'
        raise InputError(f'{what}. Give masks, another method, or none.')
