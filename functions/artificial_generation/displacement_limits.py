"""Rules that all categories share: the largest displacement, no silent zero field, a background at rest."""

import numpy as np

from functions.artificial_generation.smoothing import gaussian_smooth
from functions.setting.errors import InputError


def largest(field):
    """max |u| over all voxels and components, without a temporary volume."""
    return float(max(field.max(), -field.min()))


def normalise(field, maximum):
    """Scale ``field`` in place so that max |u| is at most ``maximum`` (mm)."""
    size = largest(field)
    if size > maximum:
        field *= np.float32(maximum / size)
    return field


def require_motion(field, category, cause):
    """Raise :class:`InputError` with ``category`` and ``cause`` if the field is zero everywhere."""
    if largest(field) == 0:
        raise InputError(f'The {category} field is identically zero: {cause}.')


def background_to_zero(field, mask, sigma_mm, maximum, spacing):
    """Suppress motion outside a mask and smooth the transition, in place.

    The width is ``sigma_mm * maximum / 7``: larger motion gets a wider transition, so that the field does not
    fold at the mask.

    :param field: float32 [3, z, y, x], mm.
    :param mask: [z, y, x], zero outside.
    :param sigma_mm: width in mm for a maximum of 7 mm.
    :param maximum: largest displacement of the category, mm.
    :param spacing: voxel size in mm, (x, y, z).
    """
    inside = mask.astype(bool)
    sigma = sigma_mm * maximum / 7.0 / np.asarray(spacing, dtype=float)[::-1]
    for component in field:
        component *= inside
        gaussian_smooth(component, sigma)
