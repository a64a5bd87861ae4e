"""Category ``single_frequency``: a random cubic B-spline of one grid spacing (paper, section 2.2.1)."""

import numpy as np

from ..setting.errors import InputError
from .bspline_field import category_field
from .displacement_limits import background_to_zero, limited_dvf


def field(shape_zyx, spacing, rng, options, inputs):
    """Smooth random DVF, float32 [z, y, x, 3], mm, at most MaxDeform * SingleFrequency_MaxDeformRatio.

    Keeps ``inputs.products['coefficients']``, float32 [3, gz, gy, gx].

    :raises InputError: the volume is too small for the grid.
    """
    number, pad, more_border = options['deform_number'], options.get('dvf_pad') or 0, 0
    maximum = options['MaxDeform'] * options['SingleFrequency_MaxDeformRatio'][number]
    if pad > 0:
        if np.ptp(np.asarray(spacing, dtype=float)) > 1e-6:
            raise InputError(f'DVFPad needs isotropic voxels; the spacing is {list(spacing)} mm.')
        grid_spacing = np.broadcast_to(options['SingleFrequency_BSplineGridSpacing'][number], (3,))
        more_border = np.ceil(pad * spacing[0] / grid_spacing[::-1])
    arguments = shape_zyx, spacing, rng, options, inputs, maximum, more_border
    dvf, inputs.products['coefficients'] = category_field('SingleFrequency', *arguments)
    if inputs.has_mask:
        sigma_mm = options['SingleFrequency_BackgroundSmoothingSigma'][number]
        background_to_zero(dvf, inputs.mask, sigma_mm, maximum, spacing)
    return limited_dvf(dvf, maximum, options, 'single_frequency', 'MaskToZero leaves nothing that moves')
