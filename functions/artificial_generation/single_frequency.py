"""Category ``single_frequency``: a random cubic B-spline of one grid spacing (paper, section 2.2.1)."""

import numpy as np

from functions.artificial_generation.bspline_field import random_field
from functions.artificial_generation.displacement_limits import background_to_zero, normalise, require_motion
from functions.setting.errors import InputError


def field(shape_zyx, spacing, rng, options, inputs):
    """Smooth random DVF, float32 [z, y, x, 3], mm, at most MaxDeform * SingleFrequency_MaxDeformRatio.

    Keeps ``inputs.products['coefficients']``, float32 [3, gz, gy, gx].

    :raises InputError: the volume is too small for the grid and its border.
    """
    number = options['deform_number']
    maximum = options['MaxDeform'] * options['SingleFrequency_MaxDeformRatio'][number]
    dvf = _field(shape_zyx, spacing, rng, options, inputs, number, maximum)
    if inputs.has_mask:
        sigma_mm = options['SingleFrequency_BackgroundSmoothingSigma'][number]
        background_to_zero(dvf, inputs.mask, sigma_mm, maximum, spacing)
    return _finished(dvf, options, maximum)


def next_field(shape_zyx, spacing, rng, options, inputs):
    """DVF that makes the "next" image of an original: the coarsest grid, up to NextIm_MaxDeform, not masked."""
    maximum = options['NextIm_MaxDeform']
    return _finished(_field(shape_zyx, spacing, rng, options, inputs, 0, maximum), options, maximum)


def _field(shape_zyx, spacing, rng, options, inputs, number, maximum):
    grid_spacing = np.broadcast_to(options['SingleFrequency_BSplineGridSpacing'][number], (3,))
    border = np.array(options['SingleFrequency_SetGridBorderToZero'][number])
    pad = options.get('dvf_pad') or 0
    if pad > 0:
        if np.ptp(np.asarray(spacing, dtype=float)) > 1e-6:
            raise InputError(f'DVFPad needs isotropic voxels; the spacing is {list(spacing)} mm.')
        border = border + np.ceil(pad * spacing[0] / grid_spacing[::-1]).astype(int)
    sigma = np.asarray(options['SingleFrequency_GridSmoothingSigma'][number], dtype=float) / options['stage']
    dvf, coefficients = random_field(rng, shape_zyx, spacing, grid_spacing, maximum, border, sigma, upper=1.7)
    inputs.products['coefficients'] = coefficients
    return dvf


def _finished(dvf, options, maximum):
    require_motion(dvf, 'single_frequency', 'its mask leaves nothing that moves')
    if options['DVFNormalization']:
        normalise(dvf, maximum)
    return np.moveaxis(dvf, 0, -1)
