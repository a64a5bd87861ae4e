"""Cubic B-spline displacement fields, evaluated separably.

On a regular grid, a field of ITK's ``BSplineTransform`` of order 3 is a product with a small matrix of cubic B-spline
weights along each axis: three matrix products give the same values as the evaluation of every voxel. Coefficients,
border and smoothing: supplement of the RegNet paper (Sokooti et al., 2019), section "single frequency".
"""

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..image.blas import one_blas_thread
from ..image.geometry import Geometry
from ..image.spline_weights import spline_matrix
from ..setting.errors import InputError

#: The spline domain of ITK's initializer reaches this many voxels beyond the outermost voxel centres.
DOMAIN_MARGIN = 0.625


def mesh_size(shape_zyx, spacing, grid_spacing, setting='grid spacing'):
    """Number of B-spline mesh cells along x, y, z: array of three integers, rounded half to even.

    :param spacing: voxel size in mm, (x, y, z).
    :param grid_spacing: distance of the control points in mm, one number or (x, y, z).
    :param setting: what the message calls it.
    :raises InputError: the volume is smaller than half a cell along an axis.
    """
    extent = np.asarray(shape_zyx[::-1], dtype=float) * np.asarray(spacing, dtype=float)
    mesh = np.round(extent / np.asarray(grid_spacing, dtype=float)).astype(int)
    if mesh.min() < 1:
        size, grid = [' x '.join(f'{v:g}' for v in np.broadcast_to(values, 3)) for values in (extent, grid_spacing)]
        reason = f'is too small for a B-spline grid of {grid} mm: it must be more than half as long'
        raise InputError(f'The volume of {size} mm (x, y, z) {reason}. Use a smaller {setting} or a bigger image.')
    return mesh


def _weight_matrix(size, mesh):
    """Cubic B-spline weights of every voxel of one axis, float32 [size, mesh + 3]; each row sums to one."""
    length = size - 1 + 2 * DOMAIN_MARGIN
    position = (np.arange(size) + DOMAIN_MARGIN) * (mesh / length)
    cell = np.minimum(np.floor(position).astype(int), mesh - 1)
    return spline_matrix(cell, position - cell, mesh + 3)


def sample_field(coefficients, shape_zyx):
    """B-spline coefficients [components, gz + 3, gy + 3, gx + 3] at every voxel, in their unit (mm): float32
    [components, z, y, x], equal to ITK's transform initialised on an image of that size.
    """
    coefficients = np.asarray(coefficients, dtype=np.float32)
    grid = coefficients.shape[1:]
    w_z, w_y, w_x = [_weight_matrix(n, g - 3) for n, g in zip(shape_zyx, grid)]
    field = np.empty(coefficients.shape[:1] + tuple(shape_zyx), dtype=np.float32)
    with one_blas_thread():
        for component, target in zip(coefficients, field):
            partial = np.matmul(w_y, np.matmul(component, w_x.T))
            np.matmul(w_z, partial.reshape(grid[0], -1), out=target.reshape(shape_zyx[0], -1))
    return field


def zero_border(components, border, extra=0):
    """Zero the outer ``border + extra`` points of every axis (z, y, x) with a border, in [components, z, y, x]."""
    for axis, margin in enumerate(border):
        if margin > 0:
            view = np.moveaxis(components, axis + 1, 0)
            width = int(margin) + extra
            view[:width] = 0
            view[max(view.shape[0] - width, 0) :] = 0


def fitting_border(mesh, border):
    """The border (z, y, x), not wider than leaves a control point of ``mesh`` cells (x, y, z) to be drawn."""
    return np.minimum(border, np.asarray(mesh)[::-1] // 2).astype(int)


def draw_coefficients(rng, mesh, maximum, border=(0, 0, 0), grid_sigma=0.0, upper=1.7, lower=None):
    """Random B-spline coefficients, float32 [3, gz, gy, gx].

    Uniform in (-4, 4) times ``maximum``, all x first, then y, then z; border zeroed; smoothed; border zeroed again;
    scaled to the allowed range.

    :param mesh: cells along x, y, z.
    :param maximum: allowed displacement m, mm.
    :param border: control points to zero at each end of axes z, y, x, as many as fit (:func:`fitting_border`); an axis
        with 0 keeps its border.
    :param grid_sigma: Gaussian smoothing in control points, one number or one per component.
    :param upper, lower: the largest coefficient is at most ``upper`` and, if given, at least ``lower`` times m.
    """
    border = fitting_border(mesh, border)
    shape = tuple(int(n) + 3 for n in mesh[::-1])
    coefficients = rng.uniform(-4 * maximum, 4 * maximum, size=(3,) + shape)
    zero_border(coefficients, border, extra=1)
    for component, sigma in zip(coefficients, np.broadcast_to(np.asarray(grid_sigma, dtype=float), (3,))):
        if sigma > 0:
            component[...] = ndimage.gaussian_filter(component, sigma)
    zero_border(coefficients, border)
    largest = np.abs(coefficients).max()
    if largest > upper * maximum:
        coefficients *= upper * maximum / largest
    elif lower is not None and largest < lower * maximum:
        coefficients *= lower * maximum / largest
    return coefficients.astype(np.float32)


def random_field(rng, shape_zyx, spacing, grid_spacing, maximum, border=(0, 0, 0), grid_sigma=0.0, **limits):
    """Coefficients of :func:`draw_coefficients`, evaluated, float32 [3, z, y, x] in mm, and the coefficients; an
    InputError when the volume is too small for the grid.
    """
    mesh = mesh_size(shape_zyx, spacing, grid_spacing)
    coefficients = draw_coefficients(rng, mesh, maximum, border, grid_sigma, **limits)
    return sample_field(coefficients, shape_zyx), coefficients


def category_field(prefix, shape_zyx, spacing, rng, options, inputs, maximum, more_border=0, **limits):
    """:func:`random_field` with grid, border and smoothing of a category, from its settings ``<prefix>_...``.

    Keeps ``inputs.products['remark']``, a sentence, where the border must be narrower than its setting.

    :param more_border: control points to zero besides those of the setting, one number or per axis z, y, x.
    """
    grid, border, sigma = [
        np.asarray(options[f'{prefix}_{name}'][options['deform_number']], dtype=float)
        for name in ('BSplineGridSpacing', 'SetGridBorderToZero', 'GridSmoothingSigma')
    ]
    border, sigma = border + more_border, sigma / options['stage']
    fitting = fitting_border(mesh_size(shape_zyx, spacing, grid, f'{prefix}_BSplineGridSpacing in deform_exp'), border)
    if (fitting < border).any():
        wanted = f'{prefix}_SetGridBorderToZero is {border.astype(int).tolist()} (z, y, x)'
        inputs.products['remark'] = f'{wanted}, but the image has room for {fitting.tolist()} only.'
    return random_field(rng, shape_zyx, spacing, grid, maximum, fitting, sigma, **limits)


def itk_transform(coefficients, geometry):
    """ITK's B-spline transform of order 3 that gives the field [3, gz, gy, gx] (mm) at the voxels of a grid."""
    geometry = Geometry.of(geometry)
    # The initializer uses the geometry of its image only.
    reference = geometry.apply_to(sitk.Image(list(geometry.size), sitk.sitkUInt8))
    transform = sitk.BSplineTransformInitializer(reference, [int(n) - 3 for n in coefficients.shape[:0:-1]], 3)
    transform.SetParameters(np.asarray(coefficients, dtype=float).ravel().tolist())
    return transform


def coefficient_image(coefficients, geometry):
    """ITK vector image of the coefficients (x, y, z), at the positions of the control points (mm)."""
    vectors = np.ascontiguousarray(np.moveaxis(np.asarray(coefficients, np.float32), 0, -1))
    image = sitk.GetImageFromArray(vectors, isVector=True)
    image.CopyInformation(itk_transform(coefficients, geometry).GetCoefficientImages()[0])
    return image
