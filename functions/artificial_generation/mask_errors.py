"""Masks that err: too large here and too small there by some mm, now and then by a piece."""

import numpy as np

from ..image.masks import distance_to
from .bspline_field import sample_field
from .smoothing import gaussian_smooth

#: mm: distance over which the error changes; radius of a piece, from, to.
CHANGES_OVER, PIECE = 40.0, (5.0, 20.0)
#: A Gaussian as wide as the largest error differs by this from one half at that distance from a flat boundary.
AT_ONE_SIGMA = 0.341


def erring_mask(mask, rng, spacing, largest, piece):
    """A mask, uint8 [z, y, x], with errors.

    :param spacing: voxel size in mm, (x, y, z).
    :param largest: error of the boundary, mm; no other voxel is further from it. 0 for none.
    :param piece: probability that a ball is missing, or one too much.
    """
    result, spacing_zyx = mask != 0, np.asarray(spacing, dtype=float)[::-1]
    has_piece, missing, radius = rng.uniform() < piece, rng.uniform() < 0.5, rng.uniform(*PIECE)
    if largest > 0:
        mesh = np.ceil(np.array(mask.shape) * spacing_zyx / CHANGES_OVER).astype(int)
        # B-spline coefficients beyond one, so that most of the range from -1 to 1 is reached.
        change = sample_field(rng.uniform(-2, 2, size=(1, *mesh + 3)), mask.shape)[0]
        threshold = np.float32(AT_ONE_SIGMA) * np.clip(change, -1, 1) + np.float32(0.5)
        smooth = gaussian_smooth(result.astype(np.float32), largest / spacing_zyx) > threshold
        # Where it is thin or curved, the Gaussian goes further. The boundary is half a voxel before the first of them.
        is_near = np.abs(distance_to(result, spacing) - spacing_zyx.min() / 2) <= largest
        result = np.where(is_near, smooth, result)
    surface = np.flatnonzero(result[1:] != result[:-1])
    if has_piece and surface.size:
        centre = np.unravel_index(surface[rng.randint(surface.size)], result.shape)
        low = [max(0, int(c - radius / s)) for c, s in zip(centre, spacing_zyx)]
        box = tuple(slice(a, int(c + radius / s) + 1) for a, c, s in zip(low, centre, spacing_zyx))
        z, y, x = [(np.arange(*part.indices(n)) - c) * s for part, n, c, s in zip(box, mask.shape, centre, spacing_zyx)]
        ball = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 < radius**2
        result[box] = result[box] & ~ball if missing else result[box] | ball
    return result.view(np.uint8)
