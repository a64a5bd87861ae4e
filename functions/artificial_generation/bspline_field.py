"""Cubic B-spline displacement fields, evaluated separably.

A field of ITK's ``BSplineTransform`` of order 3 on a regular grid is, along each axis, a product with a small
matrix of cubic B-spline weights. Three matrix products replace the voxel-by-voxel evaluation and give the
same values. Supplementary of the RegNet paper (Sokooti et al., 2019), section "single frequency":
coefficients, border and smoothing.
"""

import numpy as np
from scipy import ndimage

from functions.artificial_generation.blas import one_blas_thread
from functions.setting.errors import InputError

# ITK's initializer lets the spline domain reach this many voxels beyond the outermost voxel centres.
DOMAIN_MARGIN = 0.625


def mesh_size(shape_zyx, spacing, grid_spacing):
    """Number of B-spline mesh cells along x, y, z.

    :param shape_zyx: image size in voxels, (z, y, x).
    :param spacing: voxel size in mm, (x, y, z).
    :param grid_spacing: distance of the control points in mm, one number or (x, y, z).
    :return: array of three integers (x, y, z), rounded half to even.
    :raises InputError: the volume is smaller than half a cell along an axis.
    """
    extent = np.asarray(shape_zyx[::-1], dtype=float) * np.asarray(spacing, dtype=float)
    grid_spacing = np.broadcast_to(np.asarray(grid_spacing, dtype=float), (3,))
    mesh = np.round(extent / grid_spacing).astype(int)
    if mesh.min() < 1:
        raise InputError(too_small(shape_zyx, spacing, grid_spacing))
    return mesh


def too_small(shape_zyx, spacing, grid_spacing):
    """The sentence shown when a volume cannot carry a grid."""
    extent = np.asarray(shape_zyx[::-1], dtype=float) * np.asarray(spacing, dtype=float)
    grid = np.broadcast_to(np.asarray(grid_spacing, dtype=float), (3,))
    return (
        'The deformation field is identically zero: the volume of {} mm (x, y, z) is too small for a '
        'B-spline grid '
        'of {} mm. Choose a bigger image or a smaller grid spacing.'.format(
            ' x '.join(f'{v:g}' for v in extent), ' x '.join(f'{v:g}' for v in grid)
        )
    )


def weight_matrix(size, mesh):
    """Cubic B-spline weights of every voxel of one axis, [size, mesh + 3], float32; each row sums to one."""
    length = size - 1 + 2 * DOMAIN_MARGIN
    position = (np.arange(size) + DOMAIN_MARGIN) * (mesh / length)
    cell = np.minimum(np.floor(position).astype(int), mesh - 1)
    t = position - cell
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1)
    matrix = np.zeros((size, mesh + 3), dtype=np.float32)
    for k in range(4):
        matrix[np.arange(size), cell + k] = weights[:, k] / 6
    return matrix


def sample_field(coefficients, shape_zyx):
    """Evaluate B-spline coefficients at every voxel.

    :param coefficients: [components, gz + 3, gy + 3, gx + 3]; numeric values are those of the field (mm).
    :param shape_zyx: size of the field in voxels.
    :return: float32 [components, z, y, x], equal to ITK's transform initialised on an image of that size.
    """
    coefficients = np.asarray(coefficients, dtype=np.float32)
    grid = np.array(coefficients.shape[1:])
    w_z, w_y, w_x = [weight_matrix(n, g - 3) for n, g in zip(shape_zyx, grid)]
    field = np.empty((coefficients.shape[0],) + tuple(shape_zyx), dtype=np.float32)
    with one_blas_thread():
        for component, target in zip(coefficients, field):
            partial = np.matmul(w_y, np.matmul(component, w_x.T))
            np.matmul(w_z, partial.reshape(grid[0], -1), out=target.reshape(shape_zyx[0], -1))
    return field


def zero_border(coefficients, border, extra=0):
    """Zero the outer ``border + extra`` control points of every axis (z, y, x) whose border is not zero, in
    place."""
    for axis, margin in enumerate(border):
        if margin > 0:
            view = np.moveaxis(coefficients, axis + 1, 0)
            width = int(margin) + extra
            view[:width] = 0
            view[max(view.shape[0] - width, 0) :] = 0
    return coefficients


def draw_coefficients(rng, mesh, maximum, border=(0, 0, 0), grid_sigma=0.0, upper=1.7, lower=None):
    """Random B-spline coefficients.

    Uniform in (-4, 4) times ``maximum``, all x first, then y, then z; border zeroed; smoothed; border zeroed
    again; scaled to the allowed range.

    :param mesh: cells along x, y, z.
    :param maximum: allowed displacement m, mm.
    :param border: control points to zero at each end of axes z, y, x; an axis with 0 keeps its border.
    :param grid_sigma: Gaussian smoothing in control points, one number or one per component.
    :param upper, lower: the largest coefficient is scaled down to ``upper * m`` and, if given, up to ``lower
        * m``.
    :return: float32 [3, gz + 3, gy + 3, gx + 3].
    :raises InputError: the border leaves no control point.
    """
    shape = tuple(int(n) + 3 for n in mesh[::-1])
    coefficients = rng.uniform(-4 * maximum, 4 * maximum, size=(3,) + shape)
    zero_border(coefficients, border, extra=1)
    for component, sigma in zip(coefficients, np.broadcast_to(np.asarray(grid_sigma, dtype=float), (3,))):
        if sigma > 0:
            component[...] = ndimage.gaussian_filter(component, sigma)
    zero_border(coefficients, border)
    largest = np.abs(coefficients).max()
    if largest == 0:
        raise InputError(
            f'A border of {[int(b) for b in border]} control points (z, y, x) leaves nothing of a B-spline grid of '
            f'{list(shape)} '
            '(z, y, x).'
        )
    if largest > upper * maximum:
        coefficients *= upper * maximum / largest
    elif lower is not None and largest < lower * maximum:
        coefficients *= lower * maximum / largest
    return coefficients.astype(np.float32)


def random_field(
    rng, shape_zyx, spacing, grid_spacing, maximum, border=(0, 0, 0), grid_sigma=0.0, upper=1.7, lower=None
):
    """Draw coefficients and evaluate them: float32 [3, z, y, x] in mm, and the coefficients.

    Arguments as in :func:`mesh_size` and :func:`draw_coefficients`.

    :raises InputError: the volume is too small for the grid or its zeroed border.
    """
    mesh = mesh_size(shape_zyx, spacing, grid_spacing)
    try:
        coefficients = draw_coefficients(rng, mesh, maximum, border, grid_sigma, upper, lower)
    except InputError as error:
        raise InputError(f'{too_small(shape_zyx, spacing, grid_spacing)} {error}') from error
    return sample_field(coefficients, shape_zyx), coefficients
