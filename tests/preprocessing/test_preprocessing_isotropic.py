"""Isotropic upright copies of images on any grid: nothing moved, nothing lost that the new grid can hold."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from functions.image.geometry import Geometry
from functions.preprocessing.isotropic import along_axes, covering_grid, mask_to_isotropic, to_isotropic
from functions.setting.errors import InputError

ORIENTATIONS = list(itertools.product(itertools.permutations(range(3)), itertools.product([False, True], repeat=3)))
UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def image_of(array, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), direction=UPRIGHT):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(np.ravel(direction).tolist())
    return image


def turned(image, order, flips):
    """The same physical image, axes permuted and flipped with NumPy: axis i is the old axis order[i]."""
    array = sitk.GetArrayFromImage(image)
    direction = np.array(image.GetDirection()).reshape(3, 3)[:, order]
    spacing = np.array(image.GetSpacing())[list(order)]
    array = array.transpose([2 - order[2 - axis] for axis in range(3)])
    start = np.zeros(3)
    for axis, flip in enumerate(flips):
        if flip:
            array = np.flip(array, 2 - axis)
            start[order[axis]] = image.GetSize()[order[axis]] - 1
            direction[:, axis] *= -1
    origin = image.TransformContinuousIndexToPhysicalPoint(start.tolist())
    return image_of(np.ascontiguousarray(array), spacing.tolist(), origin, direction)


def voxel_points(image):
    """``[z, y, x, 3]`` mm, by SimpleITK."""
    return sitk.GetArrayFromImage(
        sitk.PhysicalPointSource(
            sitk.sitkVectorFloat64, image.GetSize(), image.GetOrigin(), image.GetSpacing(), image.GetDirection()
        )
    )


def waves(points):
    """A smooth function of place, wavelengths of 25 mm and more."""
    first, second = points @ np.array([0.2, 0.1, 0.05]), points @ np.array([-0.05, 0.15, 0.2])
    return 300 * np.sin(first) + 200 * np.cos(second)


@pytest.mark.parametrize('order, flips', ORIENTATIONS)
def test_flips_and_permutations_are_undone_without_loss(order, flips):
    array = np.random.RandomState(0).randint(-1000, 1000, (6, 5, 4)).astype(np.int16)
    image = image_of(array, origin=(10.0, -20.0, 30.0))
    other = turned(image, order, flips)
    places = [(0, 0, 0), (1, 2, 3)]
    for index in places:  # the turned image is the same one in space
        place = other.TransformIndexToPhysicalPoint(index)
        assert other[index] == image[image.TransformPhysicalPointToIndex(place)]
    result = to_isotropic(other)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(result), array)
    assert Geometry.of(result) == Geometry.of(image)


@pytest.mark.parametrize('order, flips', ORIENTATIONS[::7])
def test_an_anisotropic_image_gives_the_same_result_however_its_axes_lie(order, flips):
    rng = np.random.RandomState(1)
    image = image_of(rng.randint(-1000, 1000, (5, 12, 14)).astype(np.int16), (0.7, 0.9, 5.0), (3.0, 4.0, 5.0))
    truth, result = to_isotropic(image), to_isotropic(turned(image, order, flips))
    np.testing.assert_allclose(sitk.GetArrayFromImage(result), sitk.GetArrayFromImage(truth), atol=1.01)
    assert Geometry.of(result).matches(Geometry.of(truth), 1e-6)


@pytest.mark.parametrize('spacing', [(1.0, 1.0, 5.0), (1.4, 2.2, 4.0), (3.0, 1.7, 1.0)])
def test_interpolation_to_finer_voxels_is_itks_b_spline(spacing):
    image = image_of(
        np.random.RandomState(2).uniform(-900, 900, (9, 11, 10)).astype(np.float32), spacing, (1.0, 2.0, 3.0)
    )
    result = to_isotropic(image)
    truth = sitk.GetArrayFromImage(sitk.Resample(image, result, sitk.Transform(), sitk.sitkBSpline, 1e6))
    low, high = sitk.GetArrayViewFromImage(image).min(), sitk.GetArrayViewFromImage(image).max()
    # Less than a voxel beyond the last centre the edge goes on, where ITK mirrors, then has no value.
    index = Geometry.of(image).world_to_index(voxel_points(result))
    known = (index <= np.array(image.GetSize()) - 1 + 1e-9).all(axis=-1)
    assert known.mean() > 0.7
    result = sitk.GetArrayFromImage(result)
    np.testing.assert_allclose(result[known], np.clip(truth, low, high)[known], atol=0.05)


def test_the_grid_covers_the_image_and_begins_at_its_corner():
    image = image_of(np.zeros((5, 6, 7), np.int16), (0.7, 1.3, 5.0), (-3.0, 8.0, 100.0))
    grid = Geometry.of(to_isotropic(image))
    assert grid.origin == (-3.0, 8.0, 100.0) and grid.spacing == (1.0, 1.0, 1.0) and grid.direction == UPRIGHT
    assert grid.size == (6, 8, 21)  # 4.2, 6.5 and 20 mm from the first to the last centre
    angle = np.deg2rad(30)
    tilt = [[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]]
    oblique = image_of(np.zeros((5, 6, 7), np.int16), (0.7, 1.3, 5.0), (-3.0, 8.0, 100.0), tilt)
    grid = covering_grid(Geometry.of(oblique))
    inside = grid.world_to_index(voxel_points(oblique).reshape(-1, 3))
    assert inside.min() > -0.01 and (inside < np.array(grid.size) - 1 + 0.01).all()


def test_a_smooth_image_on_an_oblique_grid_comes_out_where_it_was_and_the_rest_is_air():
    rng = np.random.RandomState(3)
    q = np.linalg.qr(rng.randn(3, 3))[0]
    image = image_of(np.zeros((24, 30, 36), np.float32), (1.1, 0.9, 1.6), (5.0, 6.0, 7.0), q)
    image = image_of(waves(voxel_points(image)).astype(np.float32), (1.1, 0.9, 1.6), (5.0, 6.0, 7.0), q)
    result = to_isotropic(image)
    points = voxel_points(result)
    index = Geometry.of(image).world_to_index(points)
    size = np.array(image.GetSize())
    inner = ((index > 3) & (index < size - 4)).all(axis=-1)
    outside = ((index < -1) | (index > size)).any(axis=-1)
    array = sitk.GetArrayFromImage(result)
    assert inner.sum() > 5000 and outside.sum() > 5000
    np.testing.assert_allclose(array[inner], waves(points)[inner], atol=3)
    assert (array[outside] == -1024).all() and array[inner].min() > -1000
    assert result.GetDirection() == UPRIGHT


def test_coarser_voxels_alias_no_pattern_they_cannot_hold_and_keep_what_they_can():
    x = np.arange(120) * 0.4
    fine = 500 * np.sin(2 * np.pi * x / 1.15)  # far too fine for 1 mm, would alias to 7.7 mm
    coarse = 500 * np.sin(2 * np.pi * x / 15)
    for profile, kept in ((fine, False), (coarse, True)):
        image = image_of(np.tile(profile.astype(np.float32), (6, 6, 1)), (0.4, 1.0, 1.0))
        result = sitk.GetArrayFromImage(to_isotropic(image))[3, 3, 3:-3]
        if kept:
            truth = 500 * np.sin(2 * np.pi * np.arange(3, 3 + len(result)) / 15)
            assert np.abs(result - truth).max() < 35
        else:
            assert np.abs(result).max() < 0.2 * 500
    ramp = image_of(np.tile(np.arange(120, dtype=np.float32), (6, 6, 1)), (0.4, 1.0, 1.0))
    inner = sitk.GetArrayFromImage(to_isotropic(ramp))[3, 3, 4:-4]
    np.testing.assert_allclose(np.diff(inner), 2.5, atol=1e-3)


def test_values_stay_within_the_range_of_the_image():
    array = np.full((8, 8, 8), -1000, np.int16)
    array[:4] = 1000
    result = sitk.GetArrayFromImage(to_isotropic(image_of(array, (1.0, 1.0, 4.0))))
    assert result.min() == -1000 and result.max() == 1000 and result.dtype == np.int16


def test_rounding_of_a_direction_is_forgiven_and_a_flat_image_is_handled():
    nearly = np.eye(3) + 1e-7 * np.random.RandomState(0).randn(3, 3)
    image = image_of(np.random.RandomState(0).randint(-9, 9, (5, 6, 7)).astype(np.int16), direction=nearly)
    assert along_axes(image).GetDirection() == UPRIGHT
    np.testing.assert_array_equal(sitk.GetArrayFromImage(to_isotropic(image)), sitk.GetArrayFromImage(image))
    flat = to_isotropic(image_of(np.full((1, 6, 7), 5, np.int16), (1.5, 1.0, 1.0)))
    assert flat.GetSize() == (10, 6, 1) and (sitk.GetArrayFromImage(flat) == 5).all()
    with pytest.raises(InputError, match='one value per voxel'):
        to_isotropic(sitk.Image([4, 4, 4], sitk.sitkVectorFloat32, 3))


@pytest.mark.parametrize('direction', [np.eye(3), np.linalg.qr(np.random.RandomState(5).randn(3, 3))[0]])
def test_a_mask_keeps_its_volume_its_place_and_the_grid_of_the_image(direction):
    spacing = (1.2, 0.9, 4.0)
    empty = image_of(np.zeros((16, 60, 50), np.uint8), spacing, (9.0, 8.0, 7.0), direction)
    centre = np.array(empty.TransformContinuousIndexToPhysicalPoint((24.5, 29.5, 7.5)))
    ball = np.linalg.norm(voxel_points(empty) - centre, axis=-1) < 20
    mask = mask_to_isotropic(image_of(ball.astype(np.uint8) * 3, spacing, (9.0, 8.0, 7.0), direction))
    array = sitk.GetArrayFromImage(mask)
    assert set(np.unique(array)) == {0, 1} and array.dtype == np.uint8
    assert array.sum() == pytest.approx(4 / 3 * np.pi * 20**3, rel=0.04)
    np.testing.assert_allclose(voxel_points(mask)[array > 0].mean(axis=0), centre, atol=0.3)
    image = to_isotropic(image_of(ball.astype(np.int16), spacing, (9.0, 8.0, 7.0), direction))
    assert Geometry.of(image) == Geometry.of(mask)


def test_a_mask_that_touches_the_end_of_an_upright_scan_goes_on_to_the_end_of_its_copy():
    mask = mask_to_isotropic(image_of(np.ones((4, 5, 6), np.uint8), (0.7, 0.7, 2.5)))
    assert sitk.GetArrayFromImage(mask).all()
