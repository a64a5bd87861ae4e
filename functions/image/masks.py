"""Masks: uint8 images, 0 outside and 1 inside."""

import logging

import numpy as np
import SimpleITK as sitk

from ..setting.errors import InputError
from .geometry import require_same_grid
from .volume_io import array_view, image_from_array, read_image

LOGGER = logging.getLogger(__name__)

_LABELS = 128  # more values than that are a probability in steps, or an image


def read_mask(source, like=None, required=True, name=None):
    """Read a mask: 0 and 1 or whole labels, of which every one but 0 is inside. A soft mask, from 0 to 1, is cut at one
    half, which is logged.

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
    array = array_view(image)
    mask = image_from_array((array > _threshold(array, name)).view(np.uint8), image)
    if required:
        require_nonempty(mask, name)
    return mask


def _threshold(array, name):
    """Values above it are inside; raises :class:`InputError` where ``array`` is no mask."""
    low, high = float(array.min()), float(array.max())
    whole = array.dtype.kind in 'iu' or not np.any(array != np.rint(array))
    if not whole and low >= 0 and high <= 1:
        LOGGER.warning('%s is soft (%g to %g): cut at one half.', name, low, high)
        return 0.5
    if not whole or low < 0 or (high >= _LABELS and len(np.unique(array)) > _LABELS):
        accepted = '0 and 1, whole labels, or a probability from 0 to 1 are accepted'
        raise InputError(f'{name} is no mask: its values go from {low:g} to {high:g}. {accepted}.')
    return 0


def require_nonempty(mask, name):
    """Raise :class:`InputError` when ``mask`` (image or array) has no voxel inside; otherwise return it."""
    array = mask if isinstance(mask, np.ndarray) else array_view(mask)
    if not array.any():
        raise InputError(f'{name} is empty: no voxel is inside. Provide another one.')
    return mask


def box_of_both(masks, spacing, margin):
    """Slices z, y, x of the smallest box around two masks [z, y, x] on one grid, not both empty, ``margin`` mm wider
    within it; the spacing is in mm, (x, y, z).
    """
    return bounding_box((masks[0] != 0) | (masks[1] != 0), np.ceil(margin / np.array(spacing)[::-1]))


def bounding_box(mask, margin=0):
    """Slices of the smallest box around the non-zero voxels of an array, widened by ``margin`` voxels (a number, or one
    for every axis) within the array; an InputError when there are none.
    """
    box = []
    for axis, wide in enumerate(np.broadcast_to(margin, mask.ndim)):
        used = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        if used.size == 0:
            raise InputError('The mask is empty.')
        box.append(slice(max(int(used[0] - wide), 0), min(int(used[-1] + 1 + wide), mask.shape[axis])))
    return tuple(box)


def distance_to(mask, spacing):
    """Distance in mm of every voxel to the nearest one of a bool ``mask``; in it minus that to its outermost voxels.

    :param spacing: voxel size in mm, (x, y, z), or one number.
    :return: float32; of an empty mask very large, of a full one very small.
    """
    image = sitk.GetImageFromArray(mask.view(np.uint8))
    image.SetSpacing(np.broadcast_to(spacing, 3).astype(float).tolist())
    return sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(image, False, False, True))


def apply_mask(array, mask, value):
    """Copy of an array ``[z, y, x]`` or ``[z, y, x, c]`` with ``value`` wherever the mask array ``[z, y, x]`` is zero;
    an InputError when shapes differ.
    """
    array, mask = np.asarray(array), np.asarray(mask)
    if array.shape[:3] != mask.shape:
        shapes = f'{mask.shape} and the image {array.shape[:3]}'
        raise InputError(f'The mask has the shape {shapes} (z, y, x); they must be equal.')
    result = array.copy()
    result[mask == 0] = value
    return result
