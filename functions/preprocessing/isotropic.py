"""Resampling of any CT to isotropic voxels and identity direction: x to the left, y posterior, z superior."""

import itertools

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..image.geometry import Geometry, grid_resampler
from ..image.resample import require_scalar
from ..image.volume_io import array_view, image_from_array

AIR = -1024.0  # HU outside an oblique image
FULL = 200  # value of a voxel that is entirely inside a soft mask (uint8)
_FWHM = 1 / (2 * np.sqrt(2 * np.log(2)))
_ROUNDING = 1e-4  # voxels by which a direction may deviate from the axes over the whole image


def to_isotropic(image, spacing=1.0):
    """Resample to isotropic voxels and identity direction on a grid that covers the whole image.

    Flipped or permuted axes are relabelled without loss; only oblique images are interpolated for their direction.
    Interpolation is cubic B-spline (as in ITK, mirrored at the border). An axis that becomes coarser is first low-pass
    filtered with a Gaussian of variance ``(ratio² - 1)`` times that of a Gaussian of one voxel full width at half
    maximum, the smallest filter that prevents aliasing (Cardoso et al., MICCAI 2015). Overshoot of the spline is
    clipped to the range of the image.

    :param image: scalar 3D sitk.Image.
    :param spacing: mm.
    :return: image of the same pixel type (float64 becomes float32). Its first voxel is at the smallest x, y and z; its
        last one is less than one voxel beyond the largest.
    """
    image = along_axes(image)
    geometry = Geometry.of(image)
    target = covering_grid(geometry, spacing)
    if geometry == target:
        return image if image.GetPixelID() != sitk.sitkFloat64 else sitk.Cast(image, sitk.sitkFloat32)
    array, dtype = array_view(image), array_view(image).dtype
    low, high = float(array.min()), float(array.max())
    if is_upright(geometry):
        for axis in sorted((0, 1, 2), key=lambda a: target.shape[a] / array.shape[a]):
            old = geometry.spacing[2 - axis]
            array = _apply(_operator(geometry.shape[axis], old, target.shape[axis], spacing), array, axis)
        np.clip(array, low, high, out=array)
    else:
        array = _oblique(image, target, spacing, low, high)
    return image_from_array(np.rint(array, out=array).astype(dtype) if dtype.kind in 'iu' else array, target)


def mask_to_isotropic(mask, spacing=1.0):
    """A mask, uint8 of 0 and 1, on the grid of :func:`to_isotropic`, interpolated linearly and thresholded at one half:
    unlike nearest neighbour, this leaves no steps between thick slices.
    """
    mask = along_axes(mask)
    target = covering_grid(Geometry.of(mask), spacing)
    # The grid exceeds an upright image by less than a voxel, but has empty corners around an oblique one.
    soft = soft_mask(array_view(mask) != 0, mask, target, carry_on=is_upright(Geometry.of(mask)))
    return sitk.Cast(soft >= FULL // 2, sitk.sitkUInt8)


def soft_mask(inside, grid, geometry, carry_on=True):
    """A bool array on a grid, interpolated linearly to another one, uint8 from 0 to :data:`FULL`; outside its grid it
    keeps the value at its edge (``carry_on``) or is 0.
    """
    resampler = grid_resampler(Geometry.of(geometry))
    resampler.SetUseNearestNeighborExtrapolator(carry_on)
    return resampler.Execute(image_from_array(inside * np.uint8(FULL), grid))


def is_upright(geometry):
    """Whether the direction is the identity, up to rounding that does not matter over the image."""
    away = np.array(geometry.direction).reshape(3, 3) - np.eye(3)
    return bool(np.abs(away).max() * max(geometry.size) <= _ROUNDING)


def along_axes(image):
    """Permute and flip the axes so that the direction is closest to the identity; no value changes. A direction that
    equals the identity up to rounding is set to it exactly.
    """
    direction = np.array(require_scalar(image).GetDirection()).reshape(3, 3)
    order = max(itertools.permutations(range(3)), key=lambda p: sum(abs(direction[i, p[i]]) for i in range(3)))
    if order != (0, 1, 2):
        image = sitk.PermuteAxes(image, list(order))
    flips = [bool(direction[i, order[i]] < 0) for i in range(3)]
    if any(flips):
        # The filter keeps every voxel in place by reversing the direction of the axis.
        image = sitk.Flip(image, flips)
    geometry, upright = Geometry.of(image), Geometry.identity((1, 1, 1)).direction
    if is_upright(geometry) and geometry.direction != upright:
        image = geometry._replace(direction=upright).apply_to(sitk.Image(image))
    return image


def covering_grid(geometry, spacing=1.0):
    """Grid of identity direction from the smallest to the largest x, y, z of the voxel centres of ``geometry``."""
    corners = geometry.corners()
    low, high = corners.min(axis=0), corners.max(axis=0)
    size = np.ceil((high - low) / spacing - 1e-3).astype(int) + 1
    return Geometry.identity(size, (spacing,) * 3, low)


def _smoothing(old, new):
    """Standard deviation in old voxels of the low-pass filter for coarser voxels; 0 for finer ones."""
    return np.sqrt(max((new / old) ** 2 - 1, 0.0)) * _FWHM


def _operator(old_size, old_spacing, new_size, new_spacing):
    """Matrix ``(new_size, old_size)``, float32: low-pass filter and cubic B-spline interpolation along one axis."""
    operator = np.eye(old_size)
    sigma = _smoothing(old_spacing, new_spacing)
    if sigma > 0.05:
        operator = ndimage.gaussian_filter1d(operator, sigma, axis=0, mode='nearest')
    if old_size > 1:
        operator = ndimage.spline_filter1d(operator, 3, axis=0, mode='mirror')
    place = np.minimum(np.arange(new_size) * (new_spacing / old_spacing), old_size - 1)
    rows = np.zeros((new_size, old_size))
    base = np.floor(place).astype(int)
    period = max(2 * (old_size - 1), 1)
    for tap in range(-1, 3):
        t = np.abs(place - base - tap)
        weight = np.where(t < 1, t**3 / 2 - t**2 + 2 / 3, np.maximum(2 - t, 0) ** 3 / 6)
        mirrored = np.abs(base + tap) % period
        np.add.at(rows, (np.arange(new_size), np.minimum(mirrored, period - mirrored)), weight)
    return (rows @ operator).astype(np.float32) if old_size > 1 else np.ones((new_size, 1), np.float32)


def _apply(operator, array, axis, block=64):
    """Multiply ``array`` by the band matrix ``operator`` along ``axis``, block by block; float32."""
    shape = list(array.shape)
    shape[axis] = len(operator)
    result = np.empty(shape, np.float32)
    for start in range(0, len(operator), block):
        rows = operator[start : start + block]
        used = np.nonzero(np.abs(rows).max(axis=0) > 1e-7)[0]
        part = slice(used[0], used[-1] + 1)
        rows = np.ascontiguousarray(rows[:, part])
        target = slice(start, start + len(rows))
        if axis == 0:
            flat = array[part].reshape(part.stop - part.start, -1)
            # In blocks of columns, so that the float32 copy of an integer image stays small.
            wide = result.reshape(len(operator), -1)
            for column in range(0, flat.shape[1], 2**16):
                columns = slice(column, column + 2**16)
                wide[target, columns] = rows @ flat[:, columns].astype(np.float32, copy=False)
        else:
            for plane, out in zip(array, result):
                if axis == 1:
                    out[target] = rows @ plane[part].astype(np.float32, copy=False)
                else:
                    out[:, target] = plane[:, part].astype(np.float32, copy=False) @ rows.T
    return result


def _oblique(image, target, spacing, low, high):
    """Low-pass filter along the image's own axes, then ITK's cubic B-spline on the upright grid; float32 array."""
    array = array_view(image).astype(np.float32)
    for axis in range(3):
        sigma = _smoothing(image.GetSpacing()[2 - axis], spacing)
        if sigma > 0.05:
            ndimage.gaussian_filter1d(array, sigma, axis=axis, output=array, mode='nearest')
    resampler = grid_resampler(target, default='nan', interpolator=sitk.sitkBSpline)
    result = sitk.GetArrayFromImage(resampler.Execute(image_from_array(array, image)))
    np.clip(result, low, high, out=result)
    result[np.isnan(result)] = AIR
    return result
