"""Intensity similarity of two images on one grid, inside a mask."""

import numpy as np
import SimpleITK as sitk

from functions.image.geometry import require_same_grid
from functions.setting.errors import InputError


def mse(first, second, mask=None):
    """Mean squared difference (HU squared) over the non-zero voxels of `mask` (None: all).

    :param first, second, mask: images on one grid, or arrays [z, y, x] of one shape.
    :raises InputError: grids, shapes or masks that cannot be used.
    """
    a, b = _inside(first, second, mask)
    return float(np.mean((a - b) ** 2))


def ncc(first, second, mask=None):
    """Normalised cross-correlation in [-1, 1]: covariance over the product of standard deviations, inside the
    mask.

    :raises InputError: as :func:`mse`; also an image that is constant there, for which it is not defined.
    """
    a, b = _inside(first, second, mask)
    a, b = a - a.mean(), b - b.mean()
    power = np.sqrt(np.dot(a, a)) * np.sqrt(np.dot(b, b))
    if power == 0:
        raise InputError('Correlation is not defined: an image is constant inside the mask.')
    return float(np.clip(np.dot(a, b) / power, -1, 1))


def summary(first, second, mask=None):
    """dict of ncc and mse."""
    return {'ncc': ncc(first, second, mask), 'mse': mse(first, second, mask)}


def _inside(first, second, mask):
    """Float64 values (n,) of both images inside the mask."""
    given = [('the first image', first), ('the second image', second)] + ([] if mask is None else [('the mask', mask)])
    images = [pair for pair in given if isinstance(pair[1], sitk.Image)]
    for name, image in images[1:]:
        require_same_grid(images[0][1], image, images[0][0], name)
    arrays = [
        sitk.GetArrayViewFromImage(item) if isinstance(item, sitk.Image) else np.asarray(item) for _, item in given
    ]
    if len({array.shape for array in arrays}) > 1:
        raise InputError(
            'Images and mask must have the same shape; got {}.'.format(
                ' and '.join(str(array.shape) for array in arrays)
            )
        )
    if mask is None:
        a, b = (array.ravel().astype(np.float64) for array in arrays)
    else:
        inside = arrays[2] != 0
        a, b = (array[inside].astype(np.float64) for array in arrays[:2])
    if a.size == 0:
        raise InputError('The mask is empty; similarity is measured inside it.')
    if not (np.all(np.isfinite(a)) and np.all(np.isfinite(b))):
        raise InputError('An image holds values that are not finite inside the mask.')
    return a, b
