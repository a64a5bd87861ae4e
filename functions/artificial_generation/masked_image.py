"""An image with its masks, as SimpleITK images on one grid."""

import collections

import numpy as np
import SimpleITK as sitk

from functions.image.geometry import Geometry
from functions.image.resample import warp
from functions.image.volume_io import array_view, image_from_array
from functions.setting.errors import InputError

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
    values = np.clip(np.rint(array_view(image).astype(np.float32)), -32768, 32767)
    return image_from_array(values, image, np.int16)


def require_working_grid(image, path):
    """Refuse an image whose axes are not x to the left, y posterior, z superior.

    :raises InputError: naming the file.
    """
    if not np.allclose(image.GetDirection(), np.eye(3).ravel(), atol=1e-3):
        raise InputError(
            f'{path} has the direction {tuple(round(v, 4) for v in image.GetDirection())}; images for artificial '
            'generation must have identity '
            'direction '
            '(functions.preprocessing.own_images prepares them).'
        )
    return image


def dvf_image(dvf, geometry):
    """ITK vector image of a float32 [z, y, x, 3] array (mm) on a grid."""
    return image_from_array(np.ascontiguousarray(dvf, dtype=np.float32), geometry)


def padded_geometry(geometry, pad):
    """Grid that is ``pad`` voxels larger on every side."""
    geometry = Geometry.of(geometry)
    return Geometry(
        tuple(n + 2 * pad for n in geometry.size),
        geometry.spacing,
        tuple(o - pad * s for o, s in zip(geometry.origin, geometry.spacing)),
        geometry.direction,
    )


def warp_masked_image(volumes, dvf, default):
    """Warp an image (cubic B-spline) and its masks (nearest neighbour) by the same field.

    Both masks travel in one label image, so that the field is followed once for them.

    :param dvf: ITK vector image, mm; its grid is that of the result.
    :param default: value of the image where the field points outside.
    """
    im = warp(volumes.im, dvf, 'bspline', float(default))
    lung, torso = volumes.lung, volumes.torso
    if lung is None and torso is None:
        return MaskedImage(im, None, None)
    labels = np.zeros(array_view(volumes.im).shape, dtype=np.uint8)
    if lung is not None:
        labels |= array_view(lung) != 0
    if torso is not None:
        labels |= (array_view(torso) != 0).astype(np.uint8) << 1
    warped = warp(image_from_array(labels, volumes.im), dvf, 'nearest', 0.0)
    labels = array_view(warped)
    return MaskedImage(
        im,
        None if lung is None else image_from_array(labels & 1, warped),
        None if torso is None else image_from_array(labels >> 1, warped),
    )
