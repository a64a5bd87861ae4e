"""An image with its masks, as SimpleITK images on one grid."""

import collections
import os

import numpy as np
import SimpleITK as sitk

from functions.image.manifest import record_output, write_manifest
from functions.image.resample import warp
from functions.image.volume_io import array_view, image_from_array, write_image
from functions.setting.atomic import sweep_stale_temporaries
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
    """The image, if its axes are x to the left, y posterior, z superior; otherwise :class:`InputError`."""
    if not np.allclose(image.GetDirection(), np.eye(3).ravel(), atol=1e-3):
        direction = tuple(round(v, 4) for v in image.GetDirection())
        raise InputError(
            f'{path} has the direction {direction}; artificial generation needs images of identity direction '
            '(functions.preprocessing.own_images prepares them).'
        )
    return image


def warp_masked_image(volumes, dvf, default):
    """Warp an image (cubic B-spline) and its masks (nearest neighbour) by the same field.

    Both masks travel in one label image, so that the field is followed once for both.

    :param dvf: ITK vector image, mm; its grid is that of the result.
    :param default: value of the image where the field points outside.
    """
    result = MaskedImage(warp(volumes.im, dvf, 'bspline', float(default)), None, None)
    bits = {name: bit for bit, name in enumerate(('lung', 'torso')) if getattr(volumes, name) is not None}
    if not bits:
        return result
    labels = np.zeros(array_view(volumes.im).shape, dtype=np.uint8)
    for name, bit in bits.items():
        labels |= (array_view(getattr(volumes, name)) != 0).astype(np.uint8) << bit
    warped = warp(image_from_array(labels, volumes.im), dvf, 'nearest', 0.0)
    labels = array_view(warped)
    return result._replace(**{name: image_from_array((labels >> bit) & 1, warped) for name, bit in bits.items()})


def publish_images(manifest, made_from, format_number, paths, images):
    """Write images, then the manifest that says they are finished.

    :param paths: name -> path of what is to be written.
    :param images: name -> image; others than those of ``paths`` are left out.
    """
    folder = os.path.dirname(manifest)
    sweep_stale_temporaries(folder)
    outputs = []
    for name, path in sorted(paths.items()):
        write_image(images[name], path)
        outputs.append(record_output(path, images[name], folder))
    write_manifest(manifest, made_from, format_number, outputs)
