"""Category ``zero``: no motion, so that a network also learns to leave alone what is already aligned."""

import numpy as np


def field(shape_zyx, spacing, rng, options, inputs):
    """All-zero DVF, float32 [z, y, x, 3], mm."""
    return np.zeros(tuple(shape_zyx) + (3,), dtype=np.float32)
