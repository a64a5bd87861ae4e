"""Warping, resampling, down-sampling and padding of images.

``warp`` is ITK's: ``warped(p) = image(p + dvf(p))`` on the grid of the field; points outside the image's buffer (half a
voxel around the outermost centres) get the default value, as in ``sitk.Resample`` through a displacement field
transform. ITK truncates integers towards zero; here they are rounded to the nearest and clipped.
"""

import functools
from concurrent import futures

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.special import ive

from ..setting.errors import InputError, require_known
from .dvf import field_warper, require_dvf
from .geometry import Geometry, grid_resampler
from .threads import in_slabs
from .volume_io import array_view, image_from_array

INTERPOLATORS = {'bspline': sitk.sitkBSpline, 'linear': sitk.sitkLinear, 'nearest': sitk.sitkNearestNeighbor}
STAGES = (1, 2, 4)
_LONGEST = 100  # taps of half a Gaussian
_BLOCK = 16  # slices that one thread warps at a time
_AWAY = 1e6  # mm; no image reaches that far


def warp(image: sitk.Image, dvf: sitk.Image, interpolator: str = 'bspline', default: float = -2048.0) -> sitk.Image:
    """Warp a scalar image of any grid with a displacement field in mm: ``warped(p) = image(p + dvf(p))``, of its pixel
    type.

    :param dvf: sitk.Image with three components, fixed to moving, mm, on the grid of the result.
    :param interpolator: ``'bspline'`` (cubic), ``'linear'`` or ``'nearest'`` (labels, masks).
    :param default: value where ``p + dvf(p)`` is outside the image.
    :raises InputError: not a scalar 3D image, not a field, or a default that the pixel type cannot hold.
    """
    dvf = require_dvf(dvf)
    warper = field_warper(dvf, default, _interpolator(interpolator))
    return _in_float(image, interpolator, default, lambda source: warper.Execute(source, dvf))


def warp_in_threads(image, dvf, default=-2048.0, inside=None):
    """:func:`warp` with 'bspline' in all threads that ITK may use; integers equal those of :func:`warp` up to rounding.

    ITK finds the spline's coefficients in one thread and in double precision; here all find them.

    :param inside: mask on the grid of ``dvf`` outside which nothing is interpolated and the result is ``default``;
        None: everywhere.
    """
    dvf, array = require_dvf(dvf), array_view(require_scalar(image))
    values, n_threads = array.astype(np.float32), sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    result = np.empty(dvf.GetSize()[::-1], array.dtype)
    mask = None if inside is None else array_view(inside)

    def filter_along(axis, part):
        # Where an axis has one voxel its coefficients are the values.
        if part.shape[axis] > 1:
            ndimage.spline_filter1d(part, 3, axis, part, mode='mirror')

    def warp_block(start):
        slices = slice(start, start + _BLOCK)
        if mask is not None and not mask[slices].any():
            result[slices] = default
            return
        block = dvf[:, :, slices]
        if mask is not None:
            block = image_from_array(np.where(mask[slices, ..., None], array_view(block), np.float32(_AWAY)), block)
        warper = field_warper(block, default, sitk.sitkBSplineResampler)
        warper.SetNumberOfThreads(1)
        warped = array_view(warper.Execute(coefficients, block))
        result[slices] = rounded(warped, array.dtype)

    with futures.ThreadPoolExecutor(n_threads) as pool:
        for axis in range(3):
            parts = np.array_split(values, n_threads, axis=0 if axis else 1)
            list(pool.map(functools.partial(filter_along, axis), parts))
        coefficients = image_from_array(values, image)
        list(pool.map(warp_block, range(0, len(result), _BLOCK)))
    return image_from_array(result, dvf)


def resample_to(image, geometry, interpolator='linear', default=-2048.0, transform=None):
    """Resample a scalar image to the grid of a :class:`Geometry` or image. Other parameters and errors as :func:`warp`.

    :param transform: sitk transform from points of the new grid to points of the image; None: identity.
    """
    resampler = grid_resampler(Geometry.of(geometry), default, _interpolator(interpolator))
    if transform is not None:
        resampler.SetTransform(transform)
    return _in_float(image, interpolator, default, resampler.Execute)


def values_at(image, points, order=1):
    """(values, whether the points lie in the image) of a scalar image at points (..., 3) in mm: float32 and bool (...).

    :param order: 1: linear interpolation, 0: the nearest voxel; outside the image the value at its edge.
    """
    geometry = Geometry.of(image)
    index = geometry.world_to_index(points)
    places = np.moveaxis(index, -1, 0)[::-1]
    values = ndimage.map_coordinates(array_view(image), places, np.float32, order=order, mode='nearest')
    return values, geometry.contains(index)


def _interpolator(name):
    return INTERPOLATORS[require_known('interpolator', name, INTERPOLATORS)]


def require_scalar(image, name='The image'):
    """Return ``image``; raise :class:`InputError` unless it is a 3D sitk.Image with one value per voxel."""
    if not isinstance(image, sitk.Image) or image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(f'{name} must be a 3D image with one value per voxel.')
    return image


def _in_float(image, interpolator, default, execute):
    """Run an ITK interpolation in float32 and convert the result to the pixel type, rounded and clipped."""
    dtype = array_view(require_scalar(image)).dtype
    if dtype.kind in 'iu' and not np.iinfo(dtype).min <= default <= np.iinfo(dtype).max:
        raise InputError(f"The default {default} does not fit the image's pixel type {dtype}; use 0 for masks.")
    if dtype.kind == 'f' or interpolator == 'nearest':
        return execute(image)
    result = execute(sitk.Cast(image, sitk.sitkFloat32))
    return image_from_array(rounded(array_view(result), dtype), result)


def rounded(array, dtype):
    """float array as ``dtype``, rounded to the nearest and clipped when that is an integer type."""
    if dtype.kind not in 'iu':
        return array.astype(dtype, copy=False)
    info = np.iinfo(dtype)
    result = np.empty(array.shape, dtype)
    for source, target in zip(array, result):
        values = np.rint(source)
        np.clip(values, info.min, info.max, out=values)
        target[...] = values
    return result


# ---- the pyramid


def downsample(image, stage):
    """Down-sample a scalar 3D image by ``stage`` (1 returns it as it is): the one rule of training and registration.

    Voxel i of the result is centred on voxel ``stage * i`` of the image, so the origin stays, the spacing is multiplied
    and the size is ceil(N / stage). Before sampling, each axis is low-pass filtered with the cubic B-spline ``b(offset
    / stage)``, ``|offset| < 2 * stage`` voxels, normalised, edges replicated: without it fine vessels alias. The filter
    is the separable form of the published test-time kernel. Computed in float32, for kept samples only. The pixel type
    stays (rounded if integer; float64 becomes float32).
    """
    stage, array = _stage(stage), array_view(require_scalar(image))
    if stage == 1:
        return image
    dtype = array.dtype if array.dtype.kind in 'iu' else np.dtype(np.float32)
    result = _kept_of_filtered(array, [low_pass(stage)] * 3, stage, dtype)
    geometry = Geometry.of(image)
    spacing = tuple(s * stage for s in geometry.spacing)
    return image_from_array(result, geometry._replace(size=result.shape[::-1], spacing=spacing), dtype)


def smoothed(image, variance, lowest, highest):
    """A scalar image clipped to a range, and smoothed by the discrete Gaussian: float32.

    :param variance: mm², along every axis. The result is that of ``sitk.DiscreteGaussian``, which takes four times as
        long.
    :param lowest, highest: values that the type of the voxels can hold.
    """
    array = np.clip(array_view(require_scalar(image)), lowest, highest)
    taps = [_gaussian(variance / spacing**2) for spacing in image.GetSpacing()[::-1]]
    return image_from_array(_kept_of_filtered(array, taps, 1, np.dtype(np.float32)), image)


def _kept_of_filtered(array, taps, stage, dtype):
    """Every ``stage``-th sample of an array along each axis, filtered there; its edges are replicated.

    :param taps: right half of the kernel of each axis, as of :func:`low_pass`.
    """
    result = np.empty([len(range(0, n, stage)) for n in array.shape], dtype)

    def fill(slices):
        for k in slices:
            reach = len(taps[0]) - 1
            near = np.clip(np.arange(stage * k - reach, stage * k + reach + 1), 0, len(array) - 1)
            plane = _filtered([array[i] for i in near], taps[0])
            for along in taps[1:]:  # turned twice, so that it is as it was in the end
                plane = _kept_rows(plane, along, stage).T
            result[k] = rounded(plane[None], dtype)[0]

    in_slabs(fill, len(result))
    return result


def _kept_rows(plane, taps, stage):
    """Every ``stage``-th row of a plane that is filtered across its rows."""
    reach = len(taps) - 1
    padded = np.pad(plane, [(reach, reach), (0, 0)], mode='edge')
    return _filtered([padded[i : i + len(plane) : stage] for i in range(2 * reach + 1)], taps)


def low_pass(stage):
    """Right half of the low-pass kernel: float32 weights of offsets 0 to 2 * stage - 1; the whole sums to one."""
    t = np.arange(2 * stage, dtype=np.float64) / stage
    weights = np.where(t < 1, t**3 / 2 - t**2 + 2 / 3, (2 - t) ** 3 / 6)
    return (weights / (2 * weights.sum() - weights[0])).astype(np.float32)


def _gaussian(variance):
    """Right half of the discrete Gaussian of ITK (Lindeberg), without what is below 1 % of it; as :func:`low_pass`."""
    weights = ive(np.arange(_LONGEST), variance)
    share = 2 * np.cumsum(weights) - weights[0]
    weights = weights[: max(int(np.argmax(share >= 0.99)), 1) + 1]
    return (weights / (2 * weights.sum() - weights[0])).astype(np.float32)


def _filtered(samples, taps):
    """Symmetric FIR filter of 2 n - 1 shifted arrays with the n weights ``taps`` from the centre outwards."""
    centre = len(taps) - 1
    result = samples[centre].astype(np.float32)
    result *= taps[0]
    for offset in range(1, len(taps)):
        pair = samples[centre - offset].astype(np.float32)
        pair += samples[centre + offset]
        pair *= taps[offset]
        result += pair
    return result


def downsample_mask(mask, stage):
    """Every ``stage``-th voxel of a mask: the grid of :func:`downsample`, labels untouched."""
    stage = _stage(stage)
    return mask if stage == 1 else mask[::stage, ::stage, ::stage]


def _stage(stage):
    if stage not in STAGES:
        raise InputError(f'stage is {stage!r}; accepted: {", ".join(map(str, STAGES))}.')
    return int(stage)


def pad_to(image, size_or_side, value=-2048.0):
    """Pad to a size ``(x, y, z)`` or one side for all axes, in voxels: floor(extra / 2) voxels before, the rest after;
    the physical place of every voxel stays. An InputError when the image is larger.
    """
    size = image.GetSize()
    wanted = (int(size_or_side),) * 3 if np.ndim(size_or_side) == 0 else tuple(int(n) for n in size_or_side)
    extra = [w - n for w, n in zip(wanted, size)]
    if len(wanted) != 3 or min(extra) < 0:
        raise InputError(f'An image of size {size} cannot be padded to {wanted}; choose at least its own size.')
    before = [e // 2 for e in extra]
    return sitk.ConstantPad(image, before, [e - b for e, b in zip(extra, before)], float(value))
