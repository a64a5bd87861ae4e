"""Category ``translation``: the whole image moves by one vector."""

import numpy as np

REST_PROBABILITY = 0.2


def field(shape_zyx, spacing, rng, options, inputs):
    """Constant DVF, float32 [z, y, x, 3], mm.

    Each component is 0 with probability 0.2 and otherwise uniform in (-m, m),
    m = MaxDeform * Translation_MaxDeformRatio. Three zeros are drawn again: that is the category ``zero``.
    """
    maximum = options['MaxDeform'] * options['Translation_MaxDeformRatio'][options['deform_number']]
    shift = np.zeros(3)
    while not shift.any():
        moves = rng.uniform(size=3) >= REST_PROBABILITY
        shift = np.where(moves, rng.uniform(-maximum, maximum, size=3), 0.0)
    dvf = np.empty(tuple(shape_zyx) + (3,), dtype=np.float32)
    dvf[...] = shift
    return dvf
