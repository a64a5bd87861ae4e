"""Weights of cubic B-splines along one axis."""

import numpy as np


def spline_matrix(first, t, count):
    """Cubic B-spline weights, float32 [n, count], of the four coefficients from number ``first`` (n,) on; ``t`` (n,) is
    the place between them, 0 to 1. Beyond the ends the last of the ``count`` coefficients counts again.
    """
    matrix = np.zeros((len(t), count), dtype=np.float32)
    weights = (1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3
    for k, weight in enumerate(weights):
        np.add.at(matrix, (np.arange(len(t)), np.clip(first + k, 0, count - 1)), weight / 6)
    return matrix
