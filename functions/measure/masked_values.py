"""Values of images or arrays inside a mask, checked once for all measures."""

import numpy as np
import SimpleITK as sitk

from ..image.geometry import require_same_grid
from ..image.volume_io import array_view
from ..setting.errors import InputError


def values_inside(images, mask=None, border=0):
    """Values of images inside a mask.

    :param images: dictionary name -> image or array [z, y, x]; the names appear in error messages.
    :param mask: mask image or array, non-zero inside; None: the whole image.
    :param border: voxels left out at every side of the grid, where the grid is larger than that.
    :return: list of float64 arrays (n,).
    :raises InputError: grids or shapes that differ, an empty mask, or values that are not finite.
    """
    given = dict(images) if mask is None else dict(images, **{'the mask': mask})
    on_grid = [(name, image) for name, image in given.items() if isinstance(image, sitk.Image)]
    for name, image in on_grid[1:]:
        require_same_grid(on_grid[0][1], image, on_grid[0][0], name)
    arrays = {name: as_array(image) for name, image in given.items()}
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) > 1:
        listed = ', '.join(f'{name} {array.shape}' for name, array in arrays.items())
        raise InputError(f'Images and mask must have the same shape; got {listed}.')
    if border and min(shapes.pop()) > 2 * border:
        arrays = {name: array[(slice(border, -border),) * 3] for name, array in arrays.items()}
    inside = Ellipsis if mask is None else arrays.pop('the mask') != 0
    found = []
    for name, array in arrays.items():
        values = array[inside].ravel().astype(np.float64)
        if values.size == 0:
            raise InputError('The mask is empty; there is nothing to measure inside it.')
        if not np.all(np.isfinite(values)):
            raise InputError(f'{int(np.sum(~np.isfinite(values)))} values of {name} are not finite inside the mask.')
        found.append(values)
    return found


def as_array(image):
    """A view of a SimpleITK image as an array; an array as it is."""
    return array_view(image) if isinstance(image, sitk.Image) else np.asarray(image)


def unless_empty(mask):
    """The mask, or None (measure everywhere) where no voxel is inside."""
    return mask if mask is not None and as_array(mask).any() else None
