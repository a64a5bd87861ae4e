"""Algebra of displacement fields: Jacobian determinant, composition, inversion, sampling, change of grid.

A field maps fixed to moving in physical space: ``moving_point = p + u(p)``, in mm. Outside its grid a field
keeps the value at its edge ("edge clamped"): motion does not end where an image does.
"""

from typing import Tuple

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import map_coordinates

from ..setting.errors import InputError
from .geometry import Geometry, grid_resampler
from .parallel_grids import positions_along, read_along
from .threads import in_slabs
from .volume_io import array_view, image_from_array

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_SHORTEST_STEP = 0.25  # of a fixed-point iteration


def require_dvf(dvf, name='The displacement field'):
    """Return ``dvf`` as a float32 field; raise :class:`InputError` unless it is a 3D image with three components."""
    if not isinstance(dvf, sitk.Image) or dvf.GetDimension() != 3 or dvf.GetNumberOfComponentsPerPixel() != 3:
        raise InputError(f'{name} must be a 3D image with three values (x, y, z in mm) per voxel.')
    return dvf if dvf.GetPixelID() == sitk.sitkVectorFloat32 else sitk.Cast(dvf, sitk.sitkVectorFloat32)


# ---- Jacobian


def jacobian_determinant(dvf_array, spacing, direction=IDENTITY):
    """Determinant of the Jacobian of the physical mapping p + u(p).

    Derivatives are taken along the grid's axes as ``numpy.gradient`` does (central inside, one-sided at the border,
    zero along an axis of one voxel) and turned by the direction matrix D: ``det(I + G D^T) = det(D + G) det(D)``, since
    D is orthogonal. For identity direction it equals ITK's Jacobian filter inside the border; that filter ignores the
    direction and halves the one-sided differences at the border.

    :param dvf_array: ``[z, y, x, 3]``, mm, components x, y, z.
    :param spacing, direction: x, y, z, mm; nine direction cosines.
    :return: float32 ``[z, y, x]``.
    """
    dvf_array = np.asarray(dvf_array)
    if dvf_array.ndim != 4 or dvf_array.shape[3] != 3:
        raise InputError(f'A displacement array must be [z, y, x, 3]; its shape is {dvf_array.shape}.')
    cosines = np.array(direction, dtype=np.float64).reshape(3, 3)
    if not np.allclose(cosines @ cosines.T, np.eye(3), atol=1e-3):
        raise InputError(f'The direction {tuple(direction)} is not orthonormal.')
    nz, shape = dvf_array.shape[0], dvf_array.shape[1:3]
    result = np.empty(dvf_array.shape[:3], np.float32)
    factors = [np.float32(1 / s) for s in spacing]
    sign = np.float32(round(np.linalg.det(cosines)))

    def fill(slices):
        # m[i][j] = D_ij + du_i / d(grid axis j), j = x, y, z, of one slice; every array is reused for the next.
        m = np.empty((3, 3) + shape, np.float32)
        work = np.empty((2,) + shape, np.float32)
        planes = [_planes(dvf_array, np.clip(slices.start + step, 0, nz - 1)) for step in (-1, 0, 1)]
        for z in slices:
            before, here, after = planes
            gap = min(z + 1, nz - 1) - max(z - 1, 0)
            for i in range(3):
                _difference(here[i], m[i, 0], 1, factors[0])
                _difference(here[i], m[i, 1], 0, factors[1])
                np.subtract(after[i], before[i], out=m[i, 2])
                m[i, 2] *= factors[2] / np.float32(max(gap, 1))
                for j in range(3):
                    if cosines[i, j]:
                        m[i, j] += np.float32(cosines[i, j])
            _determinant(m, work, result[z])
            if sign < 0:
                np.negative(result[z], out=result[z])
            planes = [here, after, _planes(dvf_array, min(z + 2, nz - 1), before)]

    in_slabs(fill, nz)
    return result


def _planes(dvf_array, z, out=None):
    """The three components of slice ``z`` as contiguous float32 planes ``[3, y, x]``."""
    out = np.empty((3,) + dvf_array.shape[1:3], np.float32) if out is None else out
    for i in range(3):
        out[i] = dvf_array[z, :, :, i]
    return out


def _difference(plane, out, axis, factor):
    """``numpy.gradient`` of a plane along ``axis``, times ``factor``, into ``out``."""
    if axis:
        plane, out = plane.T, out.T
    n = plane.shape[0]
    if n == 1:
        out[...] = 0
        return
    np.subtract(plane[2:], plane[:-2], out=out[1:-1])
    out[1:-1] *= factor / 2
    for edge, upper, lower in ((0, 1, 0), (n - 1, n - 1, n - 2)):
        np.subtract(plane[upper], plane[lower], out=out[edge])
        out[edge] *= factor


def _determinant(m, work, out):
    """Determinant of the matrices ``m[3, 3, y, x]`` into ``out[y, x]``."""
    first, second = work
    for i, (j, k) in enumerate(((1, 2), (2, 0), (0, 1))):
        np.multiply(m[1, j], m[2, k], out=first)
        np.multiply(m[1, k], m[2, j], out=second)
        first -= second
        first *= m[0, i]
        if i:
            out += first
        else:
            out[...] = first


def jacobian_determinant_of(dvf_image: sitk.Image) -> sitk.Image:
    """:func:`jacobian_determinant` of a displacement field image, as an image on its grid (float32)."""
    dvf_image = require_dvf(dvf_image)
    determinant = jacobian_determinant(array_view(dvf_image), dvf_image.GetSpacing(), dvf_image.GetDirection())
    return image_from_array(determinant, dvf_image)


# ---- sampling


def sample_dvf(dvf, points):
    """Displacement at physical points, by linear interpolation, edge clamped: ``(n, 3)`` x, y, z, mm, float64, as the
    points.
    """
    dvf = require_dvf(dvf)
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f'Points must be an array (n, 3) of x, y, z in mm; got shape {points.shape}.')
    array, index = array_view(dvf), Geometry.of(dvf).world_to_index(points).T[::-1]
    parts = [map_coordinates(array[..., i], index, np.float64, order=1, mode='nearest') for i in range(3)]
    return np.stack(parts, axis=1)


def transform_points(points, dvf):
    """Where a field moves points of the fixed image to: ``p + dvf(p)``, ``(n, 3)`` mm."""
    return points + sample_dvf(dvf, points)


def led_indices(dvf, moving):
    """Where the voxels of a field lead, slice by slice: yields, for every z, (index of its voxels (x, y, z), continuous
    index in the moving image), each [y, x, 3].

    :param dvf: displacement image, mm; ``moving``: :class:`Geometry` of the moving image.
    """
    fixed, vectors = Geometry.of(dvf), array_view(dvf)
    y, x = np.mgrid[: fixed.shape[1], : fixed.shape[2]]
    for z, plane in enumerate(vectors):
        index = np.stack([x, y, np.full_like(x, z)], -1)
        yield index, moving.world_to_index(fixed.index_to_world(index) + plane)


def resample_dvf(dvf, geometry):
    """Resample a field to the grid of a :class:`Geometry` or image: linear, edge clamped, float32; the vectors (mm,
    physical) stay as they are. On its own grid a float32 field is returned itself.
    """
    dvf, geometry = require_dvf(dvf), Geometry.of(geometry)
    if Geometry.of(dvf) == geometry:
        return dvf
    positions = positions_along(Geometry.of(dvf), geometry)
    if positions is not None:
        return image_from_array(read_along(array_view(dvf), positions), geometry)
    array = sitk.GetArrayFromImage(grid_resampler(geometry, default='nan').Execute(dvf))
    # ITK has no value outside the field's buffer; NaN marks those voxels, which take the value at the edge.
    _fill_outside(array, array[..., 0], geometry, lambda points, index: sample_dvf(dvf, points))
    return image_from_array(array, geometry)


def _fill_outside(array, marker, geometry, value):
    """Set ``array`` to ``value(points, (z, y, x))`` wherever ``marker`` is NaN."""
    for z, plane in enumerate(marker):
        y, x = np.nonzero(np.isnan(plane))
        if len(y):
            index = np.stack([x, y, np.full_like(x, z)], axis=1)
            array[z, y, x] = value(geometry.index_to_world(index), (z, y, x))


# ---- composition


def field_warper(dvf, default=0.0, interpolator=sitk.sitkLinear):
    """A WarpImageFilter whose output grid is that of the field ``dvf``."""
    warper = sitk.WarpImageFilter()
    warper.SetInterpolator(interpolator)
    warper.SetEdgePaddingValue(float(default))
    warper.SetOutputSize(dvf.GetSize())
    warper.SetOutputSpacing(dvf.GetSpacing())
    warper.SetOutputOrigin(dvf.GetOrigin())
    warper.SetOutputDirection(dvf.GetDirection())
    return warper


def _read_at_displaced(total, displacement):
    """``total(p + displacement(p))`` on the grid of ``displacement``: float32 ``[z, y, x, 3]``, edge clamped."""
    geometry, moves = Geometry.of(displacement), array_view(displacement)
    result = sitk.GetArrayFromImage(field_warper(displacement, default='nan').Execute(total, displacement))
    _fill_outside(result, result[..., 0], geometry, lambda points, index: sample_dvf(total, points + moves[index]))
    return result


def compose(dvf_first: sitk.Image, dvf_total: sitk.Image) -> sitk.Image:
    """``u(p) = u_s(p) + U(p + u_s(p))``: follow the first field, then the second one from there.

    In a pyramid ``dvf_first`` is the residual u_s found at the newest stage, ``dvf_total`` the field U so far, read
    linearly, edge clamped. The result, float32, is on the grid of ``dvf_first``.
    """
    dvf_first, dvf_total = require_dvf(dvf_first), require_dvf(dvf_total)
    result = _read_at_displaced(dvf_total, dvf_first)
    result += array_view(dvf_first)
    return image_from_array(result, dvf_first)


def invert(dvf: sitk.Image, iterations: int = 20, tolerance: float = 1e-2) -> Tuple[sitk.Image, float]:
    """Inverse field v with ``v(q) = -u(q + v(q))`` by fixed-point iteration.

    Converges where u neither folds nor stretches more than eightfold.

    :param iterations: the most; fewer when the residual falls to ``tolerance`` mm.
    :return: (inverse on the grid of ``dvf``, residual): residual is the largest ``|v(q) + u(q + v(q))|`` in mm.
    """
    dvf = require_dvf(dvf)
    inverse, step, last = image_from_array(-array_view(dvf), dvf), 1.0, np.inf
    left = max(int(iterations), 0)
    while True:
        reached = _read_at_displaced(dvf, inverse)
        residual = _largest_norm(array_view(inverse), reached)
        if residual <= tolerance or not left:
            return inverse, residual
        # Where the field stretches more than twofold a whole step overshoots forever, a shorter one does not.
        if residual > 0.7 * last:
            step = max(step / 2, _SHORTEST_STEP)
        last = residual
        reached *= -step
        if step < 1:
            reached += (1 - step) * array_view(inverse)
        inverse, left = image_from_array(reached, dvf), left - 1


def _largest_norm(a, b):
    """Largest Euclidean norm of ``a + b`` over voxels, in mm."""
    return float(max(np.sqrt(np.square(p + q).sum(axis=-1).max()) for p, q in zip(a, b)))
