"""An image with its masks, as SimpleITK images on one grid."""

import collections

import numpy as np
import SimpleITK as sitk

from ..image.resample import rounded, warp
from ..image.volume_io import array_view, image_from_array
from ..setting.errors import InputError

#: ``im`` int16, ``lung`` and ``torso`` uint8 or None.
MaskedImage = collections.namedtuple('MaskedImage', ('im', 'lung', 'torso'))


def mask_of(volumes, name):
    """The mask called 'Lung' or 'Torso'; None for None."""
    return {None: None, 'Lung': volumes.lung, 'Torso': volumes.torso}[name]


def array_or_none(image):
    """``array_view`` of an image; None for None."""
    return None if image is None else array_view(image)


def as_int16(image):
    """Image with int16 voxels, rounded and clipped if it has others."""
    if image.GetPixelID() == sitk.sitkInt16:
        return image
    return image_from_array(rounded(array_view(image).astype(np.float32), np.dtype(np.int16)), image)


def require_working_grid(image, path):
    """The image; :class:`InputError` unless its axes are x to the left, y posterior, z superior."""
    if not np.allclose(image.GetDirection(), np.eye(3).ravel(), atol=1e-3):
        direction = tuple(round(v, 4) for v in image.GetDirection())
        need = 'artificial generation needs identity direction (functions.preprocessing.own_images prepares images)'
        raise InputError(f'{path} has the direction {direction}; {need}.')
    return image


def warp_masked_image(volumes, dvf, default, box_of=None):
    """Warp an image (cubic B-spline) and its masks (nearest neighbour, both in one label image) by the same field.

    :param dvf: ITK vector image, mm; its grid is that of the result.
    :param default: value of the image where the field points outside.
    :param box_of: function of the result's masks (a MaskedImage) that returns the box, slices z, y, x, in which the
        image is needed; it is ``default`` elsewhere. None: it is needed everywhere.
    """
    result = _warped_masks(volumes, dvf)
    if box_of is None:
        return result._replace(im=warp(volumes.im, dvf, 'bspline', float(default)))
    box = box_of(result)
    image = np.full(dvf.GetSize()[::-1], default, array_view(volumes.im).dtype)
    image[box] = array_view(warp(volumes.im, dvf[box[2], box[1], box[0]], 'bspline', float(default)))
    return result._replace(im=image_from_array(image, dvf))


def _warped_masks(volumes, dvf):
    masks = {name: mask for name, mask in (('lung', volumes.lung), ('torso', volumes.torso)) if mask is not None}
    result = MaskedImage(None, None, None)
    if not masks:
        return result
    labels = sum((array_view(mask) != 0).astype(np.uint8) << bit for bit, mask in enumerate(masks.values()))
    warped = warp(image_from_array(labels, volumes.im), dvf, 'nearest', 0.0)
    labels = array_view(warped)
    return result._replace(**{name: image_from_array((labels >> bit) & 1, warped) for bit, name in enumerate(masks)})
