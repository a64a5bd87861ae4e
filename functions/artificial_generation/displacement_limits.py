"""Rules every category shares: the largest displacement, fields that vanish, and the background that must not
move."""

import numpy as np

from functions.artificial_generation.smoothing import gaussian_smooth
from functions.setting.errors import InputError


def largest(field):
    """max |u| over all voxels and components, without a temporary volume."""
    return float(max(field.max(), -field.min()))


def normalise(field, upper, lower=None):
    """Scale ``field`` in place so that max |u| is at most ``upper`` and, if given, at least ``lower``
    (mm)."""
    size = largest(field)
    if size > upper:
        field *= np.float32(upper / size)
    elif lower is not None and 0 < size < lower:
        field *= np.float32(lower / size)
    return field


def require_motion(field, category, cause):
    """Refuse a field that is zero everywhere although its category is not ``zero``.

    :raises InputError: naming the category and the cause.
    """
    if largest(field) == 0:
        raise InputError(f'The {category} field is identically zero: {cause}.')
    return field


def background_to_zero(field, mask, sigma_mm, maximum, spacing):
    """Suppress motion outside a mask and smooth the transition, in place.

    The width is ``sigma_mm * maximum / 7``: wider for larger motion, so that the field does not fold at the
    mask.

    :param field: float32 [3, z, y, x], mm.
    :param mask: [z, y, x], zero outside.
    :param sigma_mm: width in mm (voxels of stage 1) for a maximum of 7 mm.
    :param maximum: the local maximum of the category, mm.
    :param spacing: voxel size in mm, (x, y, z).
    """
    inside = mask.astype(bool)
    sigma = sigma_mm * maximum / 7.0 / np.asarray(spacing, dtype=float)[::-1]
    for component in field:
        component *= inside
        gaussian_smooth(component, sigma)
    return field
