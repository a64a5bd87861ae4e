"""Category ``mixed_frequency``: a B-spline field kept near image edges only, then smoothed (paper, section 2.2.2).

It is kept around edge voxels in the lungs; random blocks of what is kept are emptied (zero motion) or grown, so that
one field has high and low spatial frequencies. Each of the Np iterations touches its block only.
"""

import numpy as np

from ..setting.errors import InputError
from . import dilation
from .bspline_field import category_field, zero_border
from .displacement_limits import limited_dvf
from .smoothing import gaussian_smooth

DONE_PROBABILITY = 0.7
#: The selection ends with this many candidates or fewer.
FEWEST_CANDIDATES = 4


def select(edges, lung, rng, iterations, block_radius, record=None):
    """Where each component of the field is kept.

    :param edges, lung: [z, y, x]: Canny edges, bool; lung mask (dilated once here).
    :param iterations, block_radius: Np; voxels (z, y, x).
    :param record: function(iteration, phase, component, block, mask) called at every step, for figures and tests.
    :return: bool [3, z, y, x], one mask per component (x, y, z).
    :raises InputError: no edge in the lungs.
    """
    edges_in_lung = edges & dilation.neighbours_6(lung > 0)
    if not edges_in_lung.any():
        cause = 'the image has no edge inside the dilated lung mask. Lower Canny_UpperThreshold or check image and mask'
        raise InputError(f'The mixed_frequency field is identically zero: {cause}.')
    shape = edges.shape
    available = np.stack([edges_in_lung] * 3)
    kept = np.stack([dilation.cube(edges_in_lung)] * 3)
    candidates = [np.flatnonzero(edges_in_lung)] * 3
    grow_from, grow_one_sided_from = int(round(10 * iterations / 12.0)), int(round(11 * iterations / 12.0))
    # Iteration 0 of the published algorithm is the dilation of the whole volume above.
    for iteration in range(1, iterations):
        if min(len(c) for c in candidates) <= FEWEST_CANDIDATES:
            break
        for component in range(3):
            chosen = candidates[component]
            centre = np.unravel_index(chosen[rng.randint(len(chosen))], shape)
            block = tuple(slice(max(0, int(c) - r), min(n, int(c) + r)) for c, r, n in zip(centre, block_radius, shape))
            mask = kept[component]
            if iteration < grow_from:
                phase, done = 'emptied', True
                mask[block] = False
            elif iteration < grow_one_sided_from:
                phase, done = 'grown', iteration % 2 == 0
                dilation.within(mask, block, 1, dilation.neighbours_18)
            else:
                phase, done = 'grown one-sided', rng.uniform() > 1 - DONE_PROBABILITY
                axis = iteration % 3
                dilation.within(mask, block, 4, lambda part: dilation.one_sided(part, axis))  # noqa: B023 (called at once)
            if done:
                available[component][block] = False
            if record is not None:
                record(iteration, phase, component, block, mask)
        if iteration >= grow_from:
            candidates = [c[available[k].ravel()[c]] for k, c in enumerate(candidates)]
    return kept


def field(shape_zyx, spacing, rng, options, inputs):
    """DVF, float32 [z, y, x, 3], mm, at most MaxDeform * MixedFrequency_MaxDeformRatio.

    :raises InputError: no lung mask, no edges, or everything selected was emptied again.
    """
    number = options['deform_number']
    spacing_zyx = np.asarray(spacing, dtype=float)[::-1]
    maximum = options['MaxDeform'] * options['MixedFrequency_MaxDeformRatio'][number]
    radius = np.maximum(1, np.round(options['MixedFrequency_BlockRadius'] / spacing_zyx)).astype(int)
    kept = select(inputs.edges, inputs.lung, rng, options['MixedFrequency_Np'][number], radius)
    dvf, _ = category_field('MixedFrequency', shape_zyx, spacing, rng, options, inputs, maximum, upper=2.0, lower=1.0)
    dvf *= kept
    zero_border(dvf, [options.get('dvf_pad') or 0] * 3)
    for component in dvf:
        gaussian_smooth(component, rng.uniform(*options['MixedFrequency_SigmaRange'][number]) / spacing_zyx)
    radius = options['MixedFrequency_BlockRadius']
    cause = f'every selected voxel was emptied again; lower MixedFrequency_BlockRadius ({radius}) or MixedFrequency_Np'
    return limited_dvf(dvf, maximum, options, 'mixed_frequency', cause)
