"""Masks: uint8 images, 0 outside and 1 inside."""

import numpy as np
import SimpleITK as sitk

from functions.image.geometry import require_same_grid
from functions.image.volume_io import array_view, image_from_array, read_image
from functions.setting.errors import InputError


def read_mask(source, like=None, required=True, name=None):
    """Read a mask; every non-zero label counts as inside.

    :param source: file or sitk.Image.
    :param name: of an image, for messages.
    :param like: image or Geometry whose grid the mask must have.
    :param required: False: an empty mask is accepted.
    :return: uint8 sitk.Image of 0 and 1.
    :raises MissingFileError, InputError: missing, not a mask, another grid, or empty.
    """
    image = source if isinstance(source, sitk.Image) else read_image(source)
    name = name if image is source and name else f'The mask {source}'
    if like is not None:
        require_same_grid(image, like, name, 'its image')
    mask = image_from_array((array_view(image) != 0).view(np.uint8), image)
    if required:
        require_nonempty(mask, name)
    return mask


def require_nonempty(mask, name):
    """Raise :class:`InputError` when ``mask`` (image or array) has no voxel inside; otherwise return it."""
    array = mask if isinstance(mask, np.ndarray) else array_view(mask)
    if not array.any():
        raise InputError(f'{name} is empty: no voxel is inside. Provide another one.')
    return mask


def bounding_box(mask, margin=0):
    """Slices of the smallest box around the non-zero voxels of an array, widened by ``margin`` voxels (a number, or one
    for every axis) within the array.

    :raises InputError: the mask is empty.
    """
    box = []
    for axis, wide in enumerate(np.broadcast_to(margin, mask.ndim)):
        used = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        if used.size == 0:
            raise InputError('The mask is empty.')
        box.append(slice(max(int(used[0] - wide), 0), min(int(used[-1] + 1 + wide), mask.shape[axis])))
    return tuple(box)


def apply_mask(array, mask, value):
    """Copy of ``array`` with ``value`` wherever ``mask`` is zero.

    :param array: ``[z, y, x]`` or ``[z, y, x, c]``.
    :param mask: array ``[z, y, x]``; every non-zero label is inside.
    :raises InputError: shapes differ.
    """
    array, mask = np.asarray(array), np.asarray(mask)
    if array.shape[:3] != mask.shape:
        shapes = f'{mask.shape} and the image {array.shape[:3]}'
        raise InputError(f'The mask has the shape {shapes} (z, y, x); they must be equal.')
    result = array.copy()
    result[mask == 0] = value
    return result
