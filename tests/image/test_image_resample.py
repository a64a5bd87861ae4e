"""Warping and resampling judged by SimpleITK, down-sampling by a direct NumPy convolution."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk
from image_truths import image_of, oblique_geometry, smooth_noise, voxel_points

from functions.image.geometry import Geometry
from functions.image.resample import (
    downsample,
    downsample_mask,
    low_pass,
    pad_to,
    resample_to,
    smoothed,
    warp,
    warp_in_threads,
)
from functions.image.threads import itk_threads
from functions.setting.errors import InputError, UnknownNameError

CODES = {'bspline': sitk.sitkBSpline, 'linear': sitk.sitkLinear, 'nearest': sitk.sitkNearestNeighbor}


def case(seed, amplitude=6.0):
    """An image, a field on another oblique grid that partly leaves the image, and that grid."""
    rng = np.random.RandomState(seed)
    image_grid = oblique_geometry((26, 24, 28), seed, (1.1, 0.9, 1.6))
    field_grid = oblique_geometry((20, 23, 21), seed + 100, (1.4, 1.2, 1.3))
    image = image_of((smooth_noise(rng, image_grid.shape, 1.0) * 1000).astype(np.int16), image_grid)
    field = smooth_noise(rng, field_grid.shape + (3,), 2.0) * np.float32(amplitude)
    return image, image_of(field, field_grid), field_grid


def by_resample(image, dvf, code, default):
    """The same through a transform, by SimpleITK, in double precision."""
    transform = sitk.DisplacementFieldTransform(sitk.Cast(dvf, sitk.sitkVectorFloat64))
    image = sitk.Cast(image, sitk.sitkFloat32)
    return sitk.GetArrayFromImage(sitk.Resample(image, dvf, transform, code, default, sitk.sitkFloat32))


@pytest.mark.parametrize('seed', [0, 1, 2])
@pytest.mark.parametrize('interpolator', list(CODES))
def test_warp_equals_resampling_through_a_transform_edges_included(seed, interpolator):
    image, dvf, grid = case(seed)
    truth = by_resample(image, dvf, CODES[interpolator], -2048.0)
    outside = (truth == -2048).mean()
    assert 0.05 < outside < 0.95, 'the case must reach beyond the image'
    exact = warp(sitk.Cast(image, sitk.sitkFloat32), dvf, interpolator)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(exact), truth)
    whole = warp(image, dvf, interpolator)
    assert whole.GetPixelID() == sitk.sitkInt16
    np.testing.assert_array_equal(sitk.GetArrayFromImage(whole), np.rint(truth))
    assert Geometry.of(whole) == grid


@pytest.mark.parametrize('threads', [1, 3])
def test_the_warp_in_threads_equals_that_of_itk_up_to_rounding(threads):
    image, dvf, _ = case(3)
    truth = by_resample(image, dvf, sitk.sitkBSpline, -2048.0)
    with itk_threads(threads):
        found = warp_in_threads(image, dvf)
        flat = warp_in_threads(image[:, :, 9:10], dvf)
    assert found.GetPixelID() == sitk.sitkInt16 and Geometry.of(found) == Geometry.of(dvf)
    np.testing.assert_allclose(sitk.GetArrayFromImage(found), truth, rtol=0, atol=0.51)
    truth = by_resample(image[:, :, 9:10], dvf, sitk.sitkBSpline, -2048.0)
    np.testing.assert_allclose(sitk.GetArrayFromImage(flat), truth, rtol=0, atol=0.51)


@pytest.mark.parametrize('kept', [[], [0], [3, 17, 18], range(21)])
def test_the_warp_inside_a_mask_is_the_default_outside_it(kept):
    """Slices without any of the mask, on both sides of the blocks that are warped at a time."""
    image, dvf, grid = case(3)
    inside = np.zeros(grid.shape, np.uint8)
    inside[list(kept), 2:15, 3:] = 3
    found = sitk.GetArrayFromImage(warp_in_threads(image, dvf, -1000, image_of(inside, grid)))
    whole = sitk.GetArrayFromImage(warp_in_threads(image, dvf, -1000))
    np.testing.assert_array_equal(found, np.where(inside, whole, -1000))


@pytest.mark.parametrize('interpolator', list(CODES))
def test_resample_to_equals_simpleitk(interpolator):
    image, dvf, grid = case(5)
    truth = sitk.Resample(
        sitk.Cast(image, sitk.sitkFloat32), dvf, sitk.Transform(), CODES[interpolator], -2048.0, sitk.sitkFloat32
    )
    result = resample_to(image, grid, interpolator)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(result), np.rint(sitk.GetArrayFromImage(truth)))
    assert result.GetPixelID() == sitk.sitkInt16 and Geometry.of(result) == grid


def test_warp_by_a_whole_voxel_translation_shifts_the_array_and_fills_the_rest():
    grid = Geometry.identity((8, 9, 10), (1.0, 2.0, 3.0))
    array = np.arange(720, dtype=np.int16).reshape(10, 9, 8)
    shift = image_of(np.tile(np.float32([2.0, -2.0, 3.0]), grid.shape + (1,)), grid)
    warped = sitk.GetArrayFromImage(warp(image_of(array, grid), shift, 'linear', default=-5))
    expected = np.full(array.shape, -5, np.int16)
    expected[:-1, 1:, :-2] = array[1:, :-1, 2:]
    np.testing.assert_array_equal(warped, expected)


def test_integers_are_rounded_to_the_nearest_and_clipped_not_cut():
    grid = Geometry.identity((6, 6, 6))
    field = image_of(np.tile(np.float32([0.6, 0, 0]), grid.shape + (1,)), grid)
    array = np.zeros(grid.shape, np.int16)
    array[:, :, 3:] = -3
    assert sitk.GetArrayFromImage(warp(image_of(array, grid), field, 'linear'))[2, 2, 2] == -2
    array = np.zeros(grid.shape, np.int16)
    array[:, :, 3:] = 32767
    over = by_resample(image_of(array, grid), field, sitk.sitkBSpline, -2048.0)
    assert over.max() > 32768, 'the spline must overshoot for this test to mean something'
    clipped = sitk.GetArrayFromImage(warp(image_of(array, grid), field))
    np.testing.assert_array_equal(clipped, np.clip(np.rint(over), -32768, 32767))


def test_results_do_not_depend_on_the_number_of_threads_and_the_limit_ends():
    image, dvf, _ = case(7)
    default = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    with itk_threads(1):
        one = sitk.GetArrayFromImage(warp(image, dvf))
    with itk_threads(3):
        assert sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == 3
        three = sitk.GetArrayFromImage(warp(image, dvf))
    np.testing.assert_array_equal(one, three)
    assert sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == default
    with itk_threads(None):
        assert sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == default


def test_wrong_arguments_are_refused():
    image, dvf, _ = case(1)
    with pytest.raises(UnknownNameError, match='bspline'):
        warp(image, dvf, 'bspine')
    with pytest.raises(InputError, match='three values'):
        warp(image, image)
    with pytest.raises(InputError, match='one value per voxel'):
        warp(dvf, dvf)
    with pytest.raises(InputError, match='use 0 for masks'):
        warp(sitk.Cast(image > 0, sitk.sitkUInt8), dvf, 'nearest')
    mask = warp(sitk.Cast(image > 0, sitk.sitkUInt8), dvf, 'nearest', default=0)
    assert set(np.unique(sitk.GetArrayFromImage(mask))) == {0, 1}


# ---- the pyramid


def spline(t):
    """Cubic B-spline, written out again."""
    t = abs(t)
    return 2 / 3 - t**2 + t**3 / 2 if t < 1 else max(2 - t, 0.0) ** 3 / 6


def direct_downsample(array, stage):
    """The down-sampling rule as a direct convolution in double precision."""
    offsets = range(-2 * stage + 1, 2 * stage)
    weights = np.array([spline(o / stage) for o in offsets])
    weights /= weights.sum()
    padded = np.pad(array.astype(np.float64), 2 * stage - 1, mode='edge')
    nz, ny, nx = array.shape
    total = np.zeros(array.shape)
    for (k, wk), (j, wj), (i, wi) in itertools.product(enumerate(weights), repeat=3):
        total += wk * wj * wi * padded[k : k + nz, j : j + ny, i : i + nx]
    return total[::stage, ::stage, ::stage]


@pytest.mark.parametrize('stage, size', [(2, (13, 12, 11)), (4, (9, 12, 10)), (4, (3, 1, 5)), (2, (2, 1, 1))])
def test_downsample_equals_direct_convolution(stage, size):
    rng = np.random.RandomState(stage)
    geometry = oblique_geometry(size)
    array = rng.randint(-1000, 1000, geometry.shape).astype(np.int16)
    truth = direct_downsample(array, stage)
    exact = downsample(image_of(array.astype(np.float32), geometry), stage)
    assert exact.GetPixelID() == sitk.sitkFloat32
    np.testing.assert_allclose(sitk.GetArrayFromImage(exact), truth, atol=1e-3)
    result = downsample(image_of(array, geometry), stage)
    assert result.GetPixelID() == sitk.sitkInt16
    np.testing.assert_allclose(sitk.GetArrayFromImage(result), truth, atol=0.501)
    assert result.GetSize() == tuple(-(-n // stage) for n in size)
    assert result.GetOrigin() == geometry.origin and result.GetDirection() == geometry.direction
    np.testing.assert_allclose(result.GetSpacing(), np.array(geometry.spacing) * stage, rtol=1e-15)


@pytest.mark.parametrize('spacing', [(1.0, 1.0, 1.0), (0.3, 1.3, 4.0)])
@pytest.mark.parametrize('variance', [0.64, 3.0])
@pytest.mark.parametrize('dtype', [np.int16, np.float32])
def test_smoothing_equals_the_discrete_gaussian_of_itk(spacing, variance, dtype):
    geometry = oblique_geometry((13, 12, 11), spacing=spacing)
    image = image_of(np.random.RandomState(0).randint(-2000, 500, geometry.shape).astype(dtype), geometry)
    clamped = sitk.Clamp(sitk.Cast(image, sitk.sitkFloat32), sitk.sitkFloat32, -1024.0, 100.0)
    truth = sitk.DiscreteGaussian(clamped, variance, 100)
    found = smoothed(image, variance, -1024, 100)
    assert found.GetPixelID() == sitk.sitkFloat32 and Geometry.of(found) == geometry
    np.testing.assert_allclose(sitk.GetArrayFromImage(found), sitk.GetArrayFromImage(truth), atol=1e-3)


@pytest.mark.parametrize('stage', [2, 4])
def test_downsampled_voxel_lies_on_the_voxel_it_is_centred_on_and_ramps_stay(stage):
    geometry = oblique_geometry((40, 38, 36))
    ramp = voxel_points(geometry).astype(np.float32) @ np.float32([1.0, -2.0, 3.0])
    result = downsample(image_of(ramp, geometry), stage)
    expected = voxel_points(Geometry.of(result)) @ np.array([1.0, -2.0, 3.0])
    inner = (slice(2, -2),) * 3
    np.testing.assert_allclose(sitk.GetArrayFromImage(result)[inner], expected[inner], atol=1e-2)


@pytest.mark.parametrize('stage', [1, 2, 4])
def test_downsampling_keeps_constants_and_the_kernel_sums_to_one(stage):
    image = sitk.Image([11, 7, 9], sitk.sitkInt16) - 1024
    assert (sitk.GetArrayFromImage(downsample(image, stage)) == -1024).all()
    kernel = low_pass(stage)
    assert kernel[0] + 2 * kernel[1:].sum() == pytest.approx(1, abs=1e-6)


def test_downsampled_mask_lies_on_the_grid_of_the_downsampled_image():
    geometry = oblique_geometry((13, 10, 11))
    labels = np.random.RandomState(0).randint(0, 3, geometry.shape).astype(np.uint8)
    for stage in (1, 2, 4):
        mask = downsample_mask(image_of(labels, geometry), stage)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), labels[::stage, ::stage, ::stage])
        image = downsample(image_of(labels.astype(np.int16), geometry), stage)
        assert Geometry.of(mask).matches(Geometry.of(image), 1e-9)


@pytest.mark.parametrize('stage', [0, 3, 8, 'S4', None, 2.5])
def test_other_stages_are_refused(stage):
    with pytest.raises(InputError, match='accepted: 1, 2, 4'):
        downsample(sitk.Image(5, 5, 5, sitk.sitkInt16), stage)
    with pytest.raises(InputError, match='accepted: 1, 2, 4'):
        downsample_mask(sitk.Image(5, 5, 5, sitk.sitkUInt8), stage)


def test_padding_puts_the_smaller_half_before_and_moves_nothing_in_space():
    geometry = oblique_geometry((4, 5, 6))
    array = np.random.RandomState(0).randint(0, 9, geometry.shape).astype(np.int16)
    padded = pad_to(image_of(array, geometry), (7, 5, 10), -2048)
    expected = np.full((10, 5, 7), -2048, np.int16)
    expected[2:8, :, 1:5] = array
    np.testing.assert_array_equal(sitk.GetArrayFromImage(padded), expected)
    assert np.allclose(padded.TransformIndexToPhysicalPoint((1, 0, 2)), geometry.origin)
    assert pad_to(image_of(array, geometry), 9).GetSize() == (9, 9, 9)
    with pytest.raises(InputError, match='padded to'):
        pad_to(image_of(array, geometry), 5)
