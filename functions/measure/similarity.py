"""Similarity of two images: correlation and differences of intensities, inside a mask."""

import numpy as np

from ..image.geometry import Geometry
from ..image.resample import resample_to
from ..setting.errors import InputError
from .masked_values import unless_empty, values_inside

#: Distance in mm between the voxels compared by :func:`before_and_after`; a denser grid gives the same numbers.
COMPARED_SPACING = 2.0


def correlation(first, second, mask=None, if_constant=None):
    """Normalised cross-correlation: covariance over the product of the standard deviations.

    :param first, second, mask: images on one grid, or arrays [z, y, x] of one shape; mask None: everywhere.
    :param if_constant: returned where an image is constant and the correlation is undefined; None: an error.
    :return: -1 .. 1.
    :raises InputError: grids, shapes, masks or values that cannot be used.
    """
    a, b = _both(first, second, mask)
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt(np.dot(a, a)) * np.sqrt(np.dot(b, b))
    if norm > 0:
        return float(np.clip(np.dot(a, b) / norm, -1, 1))
    if if_constant is None:
        raise InputError('Correlation is not defined: an image is constant inside the mask.')
    return if_constant


def mean_squared_difference(first, second, mask=None):
    """Mean squared difference in HU squared; parameters and errors as :func:`correlation`."""
    a, b = _both(first, second, mask)
    return float(np.mean((a - b) ** 2))


def mean_absolute_difference(first, second, mask=None):
    """Mean absolute difference in HU; parameters and errors as :func:`correlation`."""
    a, b = _both(first, second, mask)
    return float(np.abs(a - b).mean())


def summary(first, second, mask=None):
    """Dictionary of ncc (:func:`correlation`) and mse (:func:`mean_squared_difference`)."""
    return {'ncc': correlation(first, second, mask), 'mse': mean_squared_difference(first, second, mask)}


def before_and_after(fixed, moving, moved, mask, affine, outside):
    """Similarity of a pair before registration, after the affine registration and at the end.

    :param fixed, moved: images on one grid, HU; ``moving`` on any grid.
    :param mask: mask on the grid of ``fixed``; None or empty: everywhere.
    :param affine: sitk transform from fixed to moving points, or None.
    :param outside: HU outside the moving image.
    :return: {'before', 'affine' (if there is one), 'after': {'correlation', 'mean_absolute_difference'}}; the
        correlation is 0 where an image is constant.
    """
    step = [max(1, int(round(COMPARED_SPACING / spacing))) for spacing in fixed.GetSpacing()]
    few, few_moved, few_mask = (
        None if image is None else image[:: step[0], :: step[1], :: step[2]] for image in (fixed, moved, mask)
    )
    few_mask, grid = unless_empty(few_mask), Geometry.of(few)
    images = {'before': resample_to(moving, grid, 'linear', outside)}
    if affine is not None:
        images['affine'] = resample_to(moving, grid, 'linear', outside, transform=affine)
    images['after'] = few_moved
    alike = {name: correlation(few, image, few_mask, if_constant=0.0) for name, image in images.items()}
    apart = {name: mean_absolute_difference(few, image, few_mask) for name, image in images.items()}
    return {n: {'correlation': alike[n], 'mean_absolute_difference': apart[n]} for n in images}


def _both(first, second, mask):
    return values_inside({'the first image': first, 'the second image': second}, mask)
