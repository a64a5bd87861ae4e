"""Lung and torso masks of a chest CT from its HU, on the image's own grid.

What is what is decided at 2 mm (:mod:`functions.preprocessing.coarse_segmentation`), in an upright isotropic copy; the
masks are then brought to the image's grid, where the image itself draws the border of the lung.
"""

import collections

import numpy as np
import SimpleITK as sitk

from functions.image.geometry import Geometry
from functions.image.volume_io import array_view, image_from_array
from functions.preprocessing import coarse_segmentation
from functions.preprocessing.isotropic import FULL, resample_soft, to_isotropic

COARSE = 2.0  # mm

ChestMasks = collections.namedtuple('ChestMasks', ('lung', 'torso'))


def chest_masks(image):
    """Lung and torso masks in one go.

    :param image: CT in HU, any grid.
    :return: (lung, torso): uint8 images of 0 and 1 on the grid of ``image``. Lung: both lungs with their vessels and
        airways filled, without trachea and main bronchi. Torso: the body without the table, hollows filled.
    :raises InputError: no body or no lung in it.
    """
    coarse, torso = _coarse_torso(image)
    labels = coarse_segmentation.lungs(array_view(coarse), torso, COARSE)
    return ChestMasks(_fine_lung(image, coarse, labels > 0), _fine_torso(image, coarse, torso))


def lung_mask(image):
    """Lungs only; see :func:`chest_masks`."""
    return chest_masks(image).lung


def torso_mask(image):
    """Torso only; see :func:`chest_masks`."""
    return _fine_torso(image, *_coarse_torso(image))


def _coarse_torso(image):
    coarse = to_isotropic(image, COARSE)
    return coarse, coarse_segmentation.torso(array_view(coarse), COARSE)


def _soft(mask, coarse):
    """Indicator image that linear interpolation turns into a border between the voxels."""
    return image_from_array(mask * np.uint8(FULL), coarse)


def _fine_torso(image, coarse, mask):
    soft = resample_soft(_soft(mask, coarse), Geometry.of(image))
    return sitk.Cast(soft >= FULL // 2, sitk.sitkUInt8)


def _fine_lung(image, coarse, mask):
    """Inside by more than about half a coarse voxel: lung; around the border: lung where the image says so."""
    soft = array_view(resample_soft(_soft(mask, coarse), Geometry.of(image)))
    hu = array_view(image)
    result = np.empty(soft.shape, np.uint8)
    for z, plane in enumerate(soft):
        result[z] = (plane >= 0.9 * FULL) | ((plane >= 0.1 * FULL) & (hu[z] < coarse_segmentation.LUNG))
    return image_from_array(result, image)
