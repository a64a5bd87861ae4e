"""Similarity of two images: correlation and differences of intensities, inside a mask."""

import numpy as np

from ..image.geometry import Geometry
from ..image.resample import resample_to, warp
from ..image.volume_io import array_view, image_from_array
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


def seen_part(mask, moving, fixed, affine=None, dvf=None):
    """The part of a mask in which there is a moving image before as after registration; all of it if there is none.

    :param mask: on the grid of ``fixed``; None: everywhere. ``moving`` is on any grid.
    :param affine: sitk transform from fixed to moving points, or None.
    :param dvf: total displacement field on the grid of ``fixed``, or None.
    """
    whole = image_from_array(np.ones(array_view(moving).shape, np.uint8), moving)
    found = [resample_to(whole, fixed, 'nearest', 0, transform=transform) for transform in {None, affine}]
    found += [] if dvf is None else [warp(whole, dvf, 'nearest', 0)]
    seen = np.all([array_view(one) for one in found + ([] if mask is None else [mask])], axis=0)
    return image_from_array(seen.view(np.uint8), fixed) if seen.any() else mask


def before_and_after(fixed, moving, moved, mask, affine, dvf, outside):
    """Similarity of a pair before registration, after the affine registration and at the end.

    :param fixed, moved: images on one grid, HU; ``moving`` on any grid.
    :param mask: mask on the grid of ``fixed``; None or empty: everywhere. Of it counts the :func:`seen_part`.
    :param affine: sitk transform from fixed to moving points, or None.
    :param dvf: total displacement field on the grid of ``fixed``.
    :param outside: HU outside the moving image.
    :return: {'before', 'affine' (if there is one), 'after': {'correlation', 'mean_absolute_difference'}}; the
        correlation is 0 where an image is constant.
    """
    step = [max(1, int(round(COMPARED_SPACING / spacing))) for spacing in fixed.GetSpacing()]
    few, few_moved, few_mask, few_dvf = (
        None if image is None else image[:: step[0], :: step[1], :: step[2]] for image in (fixed, moved, mask, dvf)
    )
    few_mask, grid = seen_part(unless_empty(few_mask), moving, few, affine, few_dvf), Geometry.of(few)
    images = {'before': resample_to(moving, grid, 'linear', outside)}
    if affine is not None:
        images['affine'] = resample_to(moving, grid, 'linear', outside, transform=affine)
    images['after'] = few_moved
    alike = {name: correlation(few, image, few_mask, if_constant=0.0) for name, image in images.items()}
    apart = {name: mean_absolute_difference(few, image, few_mask) for name, image in images.items()}
    return {n: {'correlation': alike[n], 'mean_absolute_difference': apart[n]} for n in images}


def _both(first, second, mask):
    return values_inside({'the first image': first, 'the second image': second}, mask)
