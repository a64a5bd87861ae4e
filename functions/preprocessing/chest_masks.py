"""Lung and torso masks of a chest CT from its HU, on the image's own grid.

What is what is decided at 2 mm (:mod:`functions.preprocessing.coarse_segmentation`), in an upright isotropic copy; the
masks are then brought to the image's grid, where the image itself draws the border of the lung.
"""

import collections

import numpy as np
import SimpleITK as sitk

from ..image.geometry import Geometry
from ..image.volume_io import array_view, image_from_array
from . import coarse_segmentation
from .hounsfield import LOWEST, outside_field_of_view
from .isotropic import FULL, along_axes, is_upright, soft_mask, to_isotropic

COARSE = 2.0  # mm

ChestMasks = collections.namedtuple('ChestMasks', ('lung', 'torso'))


def chest_masks(image, native=None):
    """Lung and torso masks in one go.

    :param image: CT in HU, any grid.
    :param native: the same CT as it was read, which shows exactly where its field of view ends; None: ``image`` is it.
    :return: :class:`ChestMasks`, uint8 images of 0 and 1 on the grid of ``image``. Lung: both lungs with their vessels
        and airways filled, without trachea and main bronchi. Torso: the body without the table, hollows filled.
    :raises InputError: no body or no lung in it.
    """
    coarse, outside, torso = _coarse_torso(image, native)
    labels = coarse_segmentation.lungs(array_view(coarse), torso, COARSE)
    return ChestMasks(_fine_lung(image, coarse, labels > 0, outside), _fine_torso(image, coarse, torso))


def lung_mask(image, native=None):
    """Lungs only; see :func:`chest_masks`."""
    return chest_masks(image, native).lung


def torso_mask(image, native=None):
    """Torso only; see :func:`chest_masks`."""
    coarse, _, torso = _coarse_torso(image, native)
    return _fine_torso(image, coarse, torso)


def _coarse_torso(image, native):
    """(upright image at 2 mm, what lies outside its field of view or None, bool array of the torso)."""
    native = along_axes(image if native is None else native)
    outside = outside_field_of_view(native)
    if outside is None and not is_upright(Geometry.of(native)):
        outside = native * 0 != 0  # the corners around it are outside
    if outside is None:
        coarse, beyond = to_isotropic(image, COARSE), None
    else:
        coarse, beyond = _within_view(native, outside)
    return coarse, outside, coarse_segmentation.torso(array_view(coarse), COARSE, beyond)


def _within_view(native, outside):
    """(image at 2 mm, bool array of what is outside there): interpolated from what is inside the field of view alone,
    lest a rim between padding and tissue look like lung."""
    blank = sitk.Mask(native, outside, LOWEST, 1)
    coarse = to_isotropic(sitk.Cast(blank, sitk.sitkFloat32) - LOWEST, COARSE)
    weight = array_view(to_isotropic(sitk.Cast(outside == 0, sitk.sitkFloat32), COARSE))
    beyond = weight < 0.5
    hu = np.where(beyond, 0, array_view(coarse)) / np.maximum(weight, 0.5) + LOWEST
    return image_from_array(hu.astype(np.float32), coarse), beyond


def _fine_torso(image, coarse, mask):
    return sitk.Cast(soft_mask(mask, coarse, image) >= FULL // 2, sitk.sitkUInt8)


def _fine_lung(image, coarse, mask, outside):
    """Inside by more than about half a coarse voxel: lung; around the border: lung where the image says so."""
    soft, hu = array_view(soft_mask(mask, coarse, image)), array_view(image)
    result = np.empty(soft.shape, np.uint8)
    for z, plane in enumerate(soft):
        result[z] = (plane >= 0.9 * FULL) | ((plane >= 0.1 * FULL) & (hu[z] < coarse_segmentation.LUNG))
    result = image_from_array(result, image)
    if outside is not None:
        seen = soft_mask(array_view(outside) == 0, outside, image, carry_on=is_upright(Geometry.of(outside)))
        result = sitk.Mask(result, seen >= FULL // 2)
    return result
