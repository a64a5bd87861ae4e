"""Flips of a batch: images, DVF and weight are flipped together, and the flipped DVF component changes its sign.

On a grid with identity direction, flipping array axis z, y or x (1, 2, 3 of a batch) mirrors the z, y or x component
(2, 1, 0), so that warping and flipping commute.
"""

import numpy as np

from ..setting.seeds import random_state

# The published training flips entry n mod 5 in semi-epoch n: nothing, one axis after the other, all of them.
FLIPS = ((), (1,), (2,), (3,), (1, 2, 3))


def axes_of_semi_epoch(semi_epoch):
    """Batch axes (1 = z, 2 = y, 3 = x) flipped in this semi-epoch."""
    return FLIPS[semi_epoch % len(FLIPS)]


def axes_of_batch(seed, *batch):
    """Batch axes flipped in the batch of these whole numbers, each or not with equal chances: motion along z is then as
    often upwards as downwards, and a network returns no constant part of its own.
    """
    drawn = random_state('flips', seed, *batch).randint(2, size=3)
    return tuple(axis for axis, is_flipped in zip((1, 2, 3), drawn) if is_flipped)


def flip(images, dvf, weight, axes):
    """Flip a batch.

    :param images: [n, z, y, x, 2]; dvf: [n, z, y, x, 3] in mm (x, y, z components); weight: [n, z, y, x, 1].
    :param axes: batch axes to flip, each 1, 2 or 3.
    :return: the three arrays, C-contiguous; the inputs themselves when ``axes`` is empty.
    """
    if not axes:
        return images, dvf, weight
    turn = tuple(slice(None, None, -1) if axis in axes else slice(None) for axis in range(images.ndim - 1))
    sign = np.ones(3, dtype=dvf.dtype)
    for axis in axes:
        sign[3 - axis] = -1
    return tuple(np.ascontiguousarray(array) for array in (images[turn], dvf[turn] * sign, weight[turn]))
