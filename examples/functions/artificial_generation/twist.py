"""Example of a deformation category: the body is twisted about its long axis, base against top."""

import numpy as np


def field(shape_zyx, spacing, rng, options, inputs):
    """DVF, float32 [z, y, x, 3], mm, at most MaxDeform: a rotation about the middle, by an angle that grows along z."""
    z, y, x = [(np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(shape_zyx, spacing[::-1])]
    largest = rng.uniform(0.5, 1) * options['MaxDeform'] / np.hypot(y[-1], x[-1])
    angle = (largest * z / z[-1])[:, None, None]
    dvf = np.zeros(tuple(shape_zyx) + (3,), dtype=np.float32)
    dvf[..., 0] = (np.cos(angle) - 1) * x - np.sin(angle) * y[:, None]
    dvf[..., 1] = np.sin(angle) * x + (np.cos(angle) - 1) * y[:, None]
    return dvf
