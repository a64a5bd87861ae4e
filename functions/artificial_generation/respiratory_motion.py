"""Category ``respiratory_motion``: breathing plus a random B-spline (paper, section 2.2.3, after Hub et al., 2009).

Breathing is diaphragm descent and antero-posterior expansion, fading towards the apex.
"""

import numpy as np

from ..setting.errors import InputError
from .bspline_field import category_field
from .displacement_limits import background_to_zero, limited_dvf

#: How steeply the profile starts to fall; it reaches zero half-way up the lungs.
PROFILE_STEEPNESS = 1.3
CRANIO_CAUDAL_RATIO = 0.3
LARGEST_RATIO = 1.2


def profile(n_z, diaphragm, top):
    """Fraction of the diaphragm's motion in every slice, float64 [n_z].

    1 below the diaphragm slice d, then 1 - ln(1 + (z - d) a) / ln(1 + h a) up to d + h, 0 above; h is half the lung's
    height in slices and a = 1.3 / h.

    :raises InputError: the lung is one slice high.
    """
    height = (top - diaphragm) / 2.0
    if height <= 0:
        raise InputError('The lung mask covers one slice only; leave respiratory_motion out of TrainingDSmoothList.')
    steepness = PROFILE_STEEPNESS / height
    z = np.arange(n_z, dtype=float)
    above = np.clip(z - diaphragm, 0, height)
    share = 1 - np.log1p(above * steepness) / np.log1p(height * steepness)
    share[z >= diaphragm + height] = 0
    return share


def breathing(shape_zyx, spacing, lung, t0, s0, shift):
    """The deterministic part at exhale, before any smoothing.

    :param lung: [z, y, x] lung mask.
    :param t0, s0: motion of the diaphragm, mm; antero-posterior stretch, dimensionless.
    :param shift: distance of the row at rest from the lungs' posterior end, mm.
    :return: u_y [z, y] and u_z [z], mm; u_x is zero.
    """
    slices, rows = (np.flatnonzero(lung.any(axis=axes)) for axes in ((1, 2), (0, 2)))
    if slices.size == 0:
        raise InputError('The lung mask is empty: respiratory motion needs it.')
    share = profile(shape_zyx[0], slices[0], slices[-1])
    centre = np.round(rows[-1] - shift / spacing[1])
    rows_mm = (np.arange(shape_zyx[1]) - centre) * spacing[1]
    return -s0 * np.outer(share, rows_mm), t0 * share


def field(shape_zyx, spacing, rng, options, inputs):
    """Breathing plus a random B-spline, float32 [z, y, x, 3], mm, at most 1.2 * MaxDeform * ratio.

    :raises InputError: no lung mask, no MaskToZero, or a volume too small for the grid.
    """
    number, mask = options['deform_number'], inputs.mask
    t0 = rng.uniform(0.8, 1.1) * options['RespiratoryMotion_t0'][number]
    s0 = rng.uniform(0.8, 1.1) * options['RespiratoryMotion_s0'][number]
    shift = rng.uniform(2, 12)
    maximum = options['MaxDeform'] * options['RespiratoryMotion_MaxDeformRatio'][number]
    random_maximum = options['MaxDeform'] * options['RespiratoryMotion_SingleFrequency_MaxDeformRatio'][number]
    dvf, _ = category_field('RespiratoryMotion', shape_zyx, spacing, rng, options, inputs, random_maximum)
    limited_dvf(dvf, random_maximum, options, 'respiratory_motion', 'the B-spline grid leaves nothing that moves')
    dvf[2] *= np.float32(CRANIO_CAUDAL_RATIO)
    u_y, u_z = breathing(shape_zyx, spacing, inputs.lung, t0, s0, shift)
    dvf[1] += u_y.astype(np.float32)[:, :, None]
    dvf[2] += u_z.astype(np.float32)[:, None, None]
    sigma_mm = options['RespiratoryMotion_BackgroundSmoothingSigma'][number]
    background_to_zero(dvf, mask, sigma_mm, maximum, spacing)
    cause = 'MaskToZero leaves nothing that moves'
    return limited_dvf(dvf, LARGEST_RATIO * maximum, options, 'respiratory_motion', cause)
