"""Rules common to all categories: the largest displacement, no silent zero field, a background at rest."""

import numpy as np

from ..setting.errors import InputError
from .smoothing import gaussian_smooth


def largest(field):
    """max |u| over all voxels and components, without a temporary volume."""
    return float(max(field.max(), -field.min()))


def normalise(field, maximum):
    """Scale ``field`` in place so that max |u| is at most ``maximum`` (mm)."""
    size = largest(field)
    if size > maximum:
        field *= np.float32(maximum / size)
    return field


def limited_dvf(field, maximum, options, category, cause):
    """The DVF [z, y, x, 3] of a field [3, z, y, x], scaled to ``maximum`` (mm) in place when DVFNormalization is set.

    :raises InputError: the field is zero everywhere, with ``category`` and ``cause``.
    """
    if largest(field) == 0:
        raise InputError(f'The {category} field is identically zero: {cause}.')
    if options['DVFNormalization']:
        normalise(field, maximum)
    return np.moveaxis(field, 0, -1)


def background_to_zero(field, mask, sigma_mm, maximum, spacing):
    """Suppress motion outside a mask and smooth the transition, in place.

    Its width is ``sigma_mm * maximum / 7``: larger motion needs a wider transition not to fold at the mask.

    :param field, mask: float32 [3, z, y, x], mm; [z, y, x], zero outside.
    :param maximum, spacing: largest displacement of the category; voxel size (x, y, z); mm.
    """
    inside = mask.astype(bool)
    sigma = sigma_mm * maximum / 7.0 / np.asarray(spacing, dtype=float)[::-1]
    for component in field:
        component *= inside
        gaussian_smooth(component, sigma)
