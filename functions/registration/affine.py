"""Affine registration before the network: by elastix, by SimpleITK, from a file, or none.

Whoever does it, it begins from the best of a few translations (none, image centre to image centre, mask or
body centre to the same), and its result is judged: no overlap and degenerate matrices are errors, a
similarity that did not rise is said.
"""

import collections
import logging
import os
import re
import time

import numpy as np
import SimpleITK as sitk

from functions.elastix import registration as by_elastix
from functions.elastix.programs import find_program, is_available
from functions.elastix.transform_files import read_linear_transform
from functions.image.geometry import Geometry, require_same_grid
from functions.image.masks import require_nonempty
from functions.image.transforms import as_affine, matrix_and_offset, read_transform
from functions.image.volume_io import array_view
from functions.registration import simpleitk_affine
from functions.setting.errors import InputError, MissingFileError, unknown_name

LOGGER = logging.getLogger(__name__)

METHODS = ('none', 'elastix', 'sitk')
AffineResult = collections.namedtuple('AffineResult', 'transform method before after seconds')
"""``transform``: sitk.AffineTransform, fixed to moving points; ``method``: 'none', 'elastix', 'sitk' or the
file; ``before``, ``after``: correlation of the intensities inside the fixed mask (the whole fixed image where
there is none), what is outside the moving image counting as air, without and with the transform; ``seconds``:
wall time."""

#: Accepted determinants: how much larger or smaller the moving person may be.
_VOLUMES = (0.2, 5.0)
#: No direction may be stretched or shrunk by more than this.
_STRETCH = 2.5


def affine(fixed, moving, method=None, fixed_mask=None, moving_mask=None, threads=None, folder=None):
    """:func:`register_affine`, the transform alone."""
    return register_affine(fixed, moving, method, fixed_mask, moving_mask, threads, folder).transform


def register_affine(
    fixed,
    moving,
    method=None,
    fixed_mask=None,
    moving_mask=None,
    threads=None,
    folder=None,
    program_folder=None,
    parameter_file=by_elastix.AFFINE_FILE,
):
    """Affine registration of two CT images of any grids.

    :param fixed, moving: scalar sitk images; what is below -1024 HU counts as air.
    :param method: 'elastix', 'sitk', 'none', or a file: an ITK transform (.tfm, .txt, .h5) or a
        TransformParameters file of elastix, fixed to moving. None: elastix where it is on the PATH, else
        SimpleITK; the log says which.
    :param fixed_mask, moving_mask: masks (torso) on the grids of their images, or None. elastix and SimpleITK
        look at their inside only.
    :param threads: None: every core this process may use. SimpleITK's result does not depend on it.
    :param folder: keeps elastix's parameters, transform and log; None: nothing.
    :param program_folder: folder of elastix; None: the PATH.
    :param parameter_file: elastix's parameters.
    :return: :class:`AffineResult`.
    :raises MissingFileError: no such file, or no elastix although it is asked for.
    :raises InputError: images that do not overlap, masks that are empty or of another grid, NaN, an unknown
        method, a failed registration, or a transform that cannot be (folded, or stretched beyond reason).
    """
    start = time.time()
    method = _method(method, program_folder)
    for name, image, mask in (('fixed', fixed, fixed_mask), ('moving', moving, moving_mask)):
        _check_image(name, image, mask)
    require_overlap(fixed, moving)
    small_fixed, small_moving = simpleitk_affine.small_image(fixed), simpleitk_affine.small_image(moving)
    inside, moving_inside = [
        None if mask is None else simpleitk_affine.small_mask(mask) for mask in (fixed_mask, moving_mask)
    ]
    before = simpleitk_affine.correlation(small_fixed, small_moving, None, inside)
    if method == 'none':
        return AffineResult(sitk.AffineTransform(3), method, before, before, time.time() - start)
    if method == 'elastix':
        images = [simpleitk_affine.without_less_than_air(image) for image in (fixed, moving)]
        initial = simpleitk_affine.initial_translation(small_fixed, small_moving, inside, moving_inside)
        transform = by_elastix.affine(
            images[0],
            images[1],
            fixed_mask,
            moving_mask,
            initial,
            parameter_file,
            threads,
            folder,
            program_folder=program_folder,
        )
    elif method == 'sitk':
        initial = simpleitk_affine.initial_translation(small_fixed, small_moving, inside, moving_inside)
        transform = simpleitk_affine.affine(small_fixed, small_moving, inside, moving_inside, initial)
    else:
        transform = read_affine(method)
    _check_transform(transform, method)
    require_overlap(fixed, moving, transform)
    after = simpleitk_affine.correlation(small_fixed, small_moving, transform, inside)
    result = AffineResult(transform, method, before, after, time.time() - start)
    LOGGER.info('Affine registration (%s): correlation %.4f before, %.4f after, %.1f s', *result[1:])
    if not after > before:
        LOGGER.warning(
            'The affine registration (%s) has not made the images more alike: correlation %.4f '
            'before, %.4f after. Look at the moved image, or go on without this registration.',
            method,
            before,
            after,
        )
    return result


def read_affine(path):
    """A linear transform from a file: ITK's (.tfm, .txt, .h5) or a TransformParameters file of elastix.

    :return: sitk.AffineTransform, fixed to moving points.
    :raises MissingFileError, InputError: missing, damaged, or not linear.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise MissingFileError(
            'The affine transform {} does not exist; give a transform file, or one of {}.'.format(
                path, ', '.join(METHODS)
            )
        )
    with open(path, 'rb') as stream:
        head = stream.read(4096)
    if re.search(rb'^\s*\(\s*Transform\s', head, re.MULTILINE):
        return read_linear_transform(path)
    try:
        return as_affine(read_transform(path))
    except MissingFileError:
        raise
    except InputError as error:
        raise InputError(f'{path}: {error}') from error


def _method(method, program_folder):
    """The method that will be used; the log says what the default became."""
    if method is None:
        if is_available(program_folder):
            LOGGER.info('Affine registration by elastix')
            return 'elastix'
        LOGGER.info('elastix is not on the PATH: affine registration by SimpleITK')
        return 'sitk'
    method = os.fspath(method)
    if method == 'elastix':
        find_program('elastix', program_folder)
    elif method not in METHODS and not os.path.splitext(method)[1]:
        raise unknown_name('affine registration', method, METHODS + ('the path of a transform file',))
    return method


def _check_image(name, image, mask):
    if not isinstance(image, sitk.Image) or image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(f'The {name} image must be 3D with one value per voxel.')
    array = array_view(image)
    if array.dtype.kind == 'f' and not all(np.isfinite(plane).all() for plane in array):
        raise InputError(f'The {name} image holds values that are NaN or infinite.')
    if mask is not None:
        require_same_grid(mask, image, f'the mask of the {name} image', f'the {name} image')
        require_nonempty(mask, f'The mask of the {name} image')


def require_overlap(fixed, moving, transform=None):
    """Raise :class:`InputError` unless a point of one image, led by ``transform``, lies in the other."""
    matrix, offset = matrix_and_offset(transform)
    fixed, moving = Geometry.of(fixed), Geometry.of(moving)
    there = _inside(_lattice(fixed) @ matrix.T + offset, moving)
    back = _inside(np.linalg.solve(matrix, (_lattice(moving) - offset).T).T, fixed)
    if not there and not back:
        raise InputError(
            'The moving image does not overlap the fixed one{}: fixed {}; moving {}. Are they '
            'of the same patient position, and their origins right?'.format(
                '' if transform is None else ' after the affine transform', fixed, moving
            )
        )


def _lattice(geometry):
    """Points (n, 3), mm, spread over a grid, its corners included."""
    axes = [np.linspace(0, n - 1, min(n, 24)) for n in geometry.size]
    return geometry.index_to_world(np.stack(np.meshgrid(*axes, indexing='ij'), axis=-1).reshape(-1, 3))


def _inside(points, geometry):
    index = geometry.world_to_index(points)
    return bool(((index >= -0.5) & (index <= np.array(geometry.size) - 0.5)).all(axis=1).any())


def _check_transform(transform, method):
    """Raise unless a transform could be that of a person: not folded, not stretched beyond reason."""
    matrix, offset = matrix_and_offset(transform)
    if not np.isfinite(matrix).all() or not np.isfinite(offset).all():
        raise InputError(f'The affine transform ({method}) holds values that are no numbers.')
    volume, stretch = np.linalg.det(matrix), np.linalg.svd(matrix, compute_uv=False)
    if not (_VOLUMES[0] <= volume <= _VOLUMES[1] and stretch.min() >= 1 / _STRETCH and stretch.max() <= _STRETCH):
        raise InputError(
            f'The affine transform ({method}) is degenerate: it changes volumes by a factor of {volume:.3g} '
            f'and lengths by {stretch.min():.3g} to {stretch.max():.3g}. Accepted: {_VOLUMES[0]} to {_VOLUMES[1]} '
            f'and {1 / _STRETCH:.2g} to {_STRETCH}. Give masks, '
            'another method, or none.'
        )
