"""Category ``sliding``: lungs that slide along a chest wall at rest.

Each lung moves by breathing along z, nothing at its top and most at its base, and a smooth random part of its own. Near
the walls (ribs, spine, mediastinum) the normal component is taken away and the tangential one stays, so that their
outline stays and the motion ends there at once. The diaphragm moves, and what lies below it moves along.
"""

import numpy as np
from scipy import ndimage

from ..image.blas import one_blas_thread
from ..image.dvf import jacobian_determinant
from ..image.spline_weights import spline_matrix
from ..setting.errors import InputError
from .bspline_field import draw_coefficients, mesh_size, sample_field
from .displacement_limits import largest, limited_dvf
from .smoothing import gaussian_smooth

#: mm: voxels of the coarse grid, on which motion is smooth enough; width of the end of motion outside the lungs; how
#: much the surface is smoothed before its direction is taken.
COARSE, EDGE, SMOOTH = 4.0, 2.0, 8.0
#: mm over which the normal component fades towards a wall: the random part times this, within limits.
WALL_WIDTH, NARROWEST, WIDEST = 3.0, 15.0, 40.0
#: mm below the lungs within which the abdomen comes to rest.
ABDOMEN = 80.0
#: A surface that faces down at least this much is diaphragm.
FACES_DOWN = 0.5
#: Volumes of the lungs shrink to no less than this part; smaller motion is tried by this factor.
LEAST_DETERMINANT, SMALLER = 0.2, 0.85
#: The smaller lung has at least this part of the other's volume, else both count as one.
LEAST_LUNG, EROSIONS = 0.2, 4


def field(shape_zyx, spacing, rng, options, inputs):
    """Motion of the lungs only, float32 [z, y, x, 3], mm; the largest component is MaxDeform * Sliding_MaxDeformRatio,
    or less where lungs would fold.

    Inside the lungs the field is smooth and the determinant of its Jacobian positive. Only differences across the
    pleura, in the outermost voxels of a lung and beside it, may make it negative: that is sliding, not folding.

    :raises InputError: no lung mask, or a volume too small for the grid.
    """
    number, lung = options['deform_number'], inputs.lung != 0
    if not lung.any():
        raise InputError('The lung mask is empty: sliding needs it.')
    maximum = options['MaxDeform'] * options['Sliding_MaxDeformRatio'][number]
    random_part = options['Sliding_RandomRatio'][number] * maximum
    grid = options['Sliding_BSplineGridSpacing'][number]
    factors = [max(1, int(round(COARSE / s))) for s in spacing[::-1]]
    thin = tuple(slice(None, None, k) for k in factors)
    coarse_spacing = np.array(spacing, dtype=float) * factors[::-1]
    moving = _with_abdomen(lung, thin, coarse_spacing)
    sides, region = _sides(lung[thin]), moving[thin]
    mesh = mesh_size(region.shape, coarse_spacing, grid, 'Sliding_BSplineGridSpacing in deform_exp')
    motion = np.zeros((3,) + region.shape, np.float32)
    strength, direction = rng.uniform(0.6, 1) * maximum, -1 if rng.uniform() < 0.5 else 1
    for side in range(1, sides.max() + 1):
        part = sample_field(draw_coefficients(rng, mesh, random_part, upper=1), region.shape)
        part[2] += direction * strength * rng.uniform(0.7, 1) * _breathing(lung[thin] & (sides == side), rng)
        np.copyto(motion, part, where=sides == side)
    _along_walls(motion, region, coarse_spacing, np.clip(WALL_WIDTH * random_part, NARROWEST, WIDEST))
    inside = lung[thin]
    motion *= np.float32(maximum / max(largest(motion[:, inside]), 1e-6))
    while jacobian_determinant(np.moveaxis(motion, 0, -1), coarse_spacing)[inside].min() < LEAST_DETERMINANT:
        motion *= np.float32(SMALLER)
    weight = gaussian_smooth(moving.astype(np.float32), EDGE / np.array(spacing[::-1]))
    weight = np.minimum(2 * weight, 1) * _fading(lung, spacing[2])[:, None, None]
    dvf = _enlarged(motion, shape_zyx, factors)
    dvf *= weight
    return limited_dvf(dvf, maximum, options, 'sliding', 'the random part is zero and nothing breathes')


def _with_abdomen(lung, thin, coarse_spacing):
    """The lungs and what lies below their diaphragm, bool [z, y, x]."""
    smooth = ndimage.gaussian_filter(lung[thin].astype(np.float32), SMOOTH / coarse_spacing[::-1])
    slopes = np.gradient(smooth, *coarse_spacing[::-1])
    steepness = np.sqrt(sum(slope * slope for slope in slopes))
    down = slopes[0] > np.maximum(FACES_DOWN * steepness, 0.1 * steepness.max())
    place = [np.arange(n) // part.step for n, part in zip(lung.shape, thin)]
    lowest = lung & down[np.ix_(*place)]
    lowest[1:] &= ~lung[:-1]
    return lung | np.logical_or.accumulate(lowest[::-1], axis=0)[::-1]


def _sides(lung):
    """1 or 2 for every voxel: which of the two lungs is nearer; 1 everywhere if they cannot be told apart."""
    eroded = lung
    for _ in range(EROSIONS + 1):
        labels, count = ndimage.label(eroded)
        sizes = np.bincount(labels.ravel(), minlength=3)[1:]
        larger, smaller = np.argsort(sizes)[::-1][:2]
        if count > 1 and sizes[smaller] >= LEAST_LUNG * sizes[larger]:
            parts = np.where(labels == larger + 1, 1, np.where(labels == smaller + 1, 2, 0))
            nearest = ndimage.distance_transform_edt(parts == 0, return_distances=False, return_indices=True)
            return parts[tuple(nearest)]
        eroded = ndimage.binary_erosion(eroded)
    return np.ones(lung.shape, int)


def _breathing(lung, rng):
    """Part of the motion at the base, [z, y, 1]: nothing at the top of a lung, more or less of it at the back."""
    slices, rows = (np.flatnonzero(lung.any(axis=axes)) for axes in ((1, 2), (0, 2)))
    depth = (slices[-1] - np.arange(lung.shape[0])) / max(slices[-1] - slices[0], 1)
    share = np.clip(depth, 0, 1) ** rng.uniform(1, 2)
    across = 2 * (np.arange(lung.shape[1]) - rows[0]) / max(rows[-1] - rows[0], 1) - 1
    back = 1 + rng.uniform(-0.1, 0.5) * np.clip(across, -1, 1)
    return (share[:, None] * back)[..., None].astype(np.float32)


def _along_walls(motion, region, spacing, width):
    """Take away what is normal to the walls of ``region``, all of it at a wall and nothing ``width`` mm inside."""
    if region.all():
        return
    distance, beyond = [ndimage.distance_transform_edt(part, sampling=spacing[::-1]) for part in (region, ~region)]
    smooth = ndimage.gaussian_filter((distance - beyond).astype(np.float32), SMOOTH / spacing[::-1])
    normal = np.stack(np.gradient(smooth, *spacing[::-1])[::-1])
    # Shorter than one only where walls meet; there it stays short, so that the motion is smooth.
    normal /= np.maximum(np.sqrt((normal * normal).sum(axis=0)), 0.8)
    # The wall lies half a voxel outside the last one inside.
    inside = np.clip((distance - spacing.min() / 2) / width, 0, 1)
    normal_motion = (motion * normal).sum(axis=0) * (1 - inside * inside * (3 - 2 * inside))
    motion -= normal * normal_motion


def _fading(lung, spacing_z):
    """1 in the slices of the lungs and above, falling to 0 below them; float32 [z]."""
    lowest = np.flatnonzero(lung.any(axis=(1, 2)))[0]
    part = np.clip(1 + (np.arange(lung.shape[0]) - lowest) * spacing_z / ABDOMEN, 0, 1)
    return (part * part * (3 - 2 * part)).astype(np.float32)


def _enlarged(components, shape_zyx, factors):
    """Components on every ``factors``-th voxel (z, y, x) as a cubic B-spline on all of them."""
    for axis, (n, k) in enumerate(zip(shape_zyx, factors)):
        if k == 1:
            continue
        place, t = np.divmod(np.arange(n) / k, 1)
        matrix = spline_matrix(place.astype(int) - 1, t, components.shape[axis + 1])
        with one_blas_thread():
            components = np.moveaxis(np.tensordot(matrix, components, (1, axis + 1)), 0, axis + 1)
    return np.ascontiguousarray(components)
