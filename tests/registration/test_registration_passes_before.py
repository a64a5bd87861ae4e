"""What passes leave of a training image: two fields in a row are the true one, and the images follow."""

import types

import numpy as np
import pytest
import SimpleITK as sitk

from functions.image.dvf import sample_dvf
from functions.image.resample import downsample, resample_to, warp
from functions.image.volume_io import array_view, image_from_array
from functions.registration.passes_before import PassesBefore

DEFAULT = -2048.0


def wave(grid, size, phase):
    """A smooth field of up to ``size`` mm."""
    z, y, x = np.meshgrid(
        *[np.arange(n) * s for n, s in zip(grid.GetSize()[::-1], grid.GetSpacing()[::-1])], indexing='ij'
    )
    parts = [np.sin(x / 30 + phase), np.cos(y / 25 - phase), np.sin(z / 35 + 2 * phase)]
    return image_from_array((size * np.stack(parts, -1)).astype(np.float32), grid)


@pytest.mark.parametrize('stage', [1, 2])
def test_what_is_left_and_the_field_of_the_passes_are_the_true_field(stage):
    random = np.random.RandomState(3)
    shape = np.array((60, 56, 64)) // stage
    image = sitk.GetImageFromArray(random.uniform(-900, 0, shape).astype(np.float32))
    image.SetSpacing([float(stage)] * 3)
    image.SetOrigin((10.0, -20.0, 5.0))
    image = sitk.Cast(sitk.SmoothingRecursiveGaussian(image, 4.0), sitk.sitkInt16)
    inside = np.zeros(shape, np.uint8)
    inside[tuple(slice(14 // stage, n - 14 // stage) for n in shape)] = 1
    mask, truth, seen = image_from_array(inside, image), wave(image, 4.0, 0.4), []

    class Network:
        """Returns a field of its own, on its grid of 4 mm."""

        def predict(self, moving, fixed, default):
            seen.append((moving.shape, fixed.shape, default))
            grid = sitk.Image([int(n) for n in moving.shape[::-1]], sitk.sitkInt16)
            grid.SetSpacing((4.0,) * 3)
            return array_view(wave(grid, 2.5, -0.3))

    model = types.SimpleNamespace(networks={4: Network()}, stages=[4], default=DEFAULT, margins=None, symmetric=False)
    masks = [warp(mask, truth, 'nearest', 0), mask]
    _, moving, (_, moving_mask), left = PassesBefore(model, stage)(
        warp(image, truth), image, masks, truth, stage, 'a name'
    )
    assert seen == [(tuple(-(-n * stage // 4) for n in shape),) * 2 + (DEFAULT,)]
    grid = sitk.Image([int(n) for n in seen[0][0][::-1]], sitk.sitkInt16)
    grid.SetSpacing((4.0,) * 3)
    grid.SetOrigin(image.GetOrigin())
    before = wave(grid, 2.5, -0.3)
    points = np.array(image.GetOrigin()) + random.uniform(12, 40, (200, 3))
    reached = points + sample_dvf(left, points)
    np.testing.assert_allclose(reached + sample_dvf(before, reached), points + sample_dvf(truth, points), atol=0.05)
    fine = sitk.Image(sitk.Resample(before, image, sitk.Transform(), sitk.sitkLinear, 0.0))
    expected, found = array_view(warp(image, fine)), array_view(moving)
    well_inside = (array_view(moving_mask) != 0) & (array_view(resample_to(mask, image, 'nearest', 0)) != 0)
    assert well_inside.any() and np.abs(found[well_inside].astype(int) - expected[well_inside]).mean() < 2
    assert (found[array_view(moving_mask) == 0] == DEFAULT).all()


def passes_of(displacement, stage=1, symmetric=False, **how):
    """Passes of a network of stage 4 and one of stage 2, which move everything by so many mm each along x; symmetric
    ones only in the mean.
    """

    def field(moving, along_x):
        return np.broadcast_to(np.float32([along_x, 0, 0]), moving.shape + (3,)).copy()

    def both(moving, fixed, default):
        return field(moving, displacement + 1), field(fixed, 1 - displacement)

    one_way = {'predict': lambda moving, fixed, default: field(moving, displacement)}
    network = types.SimpleNamespace(**({'predict_both_ways': both} if symmetric else one_way))
    model = {'networks': {4: network, 2: network}, 'stages': [4, 2], 'symmetric': symmetric}
    return PassesBefore(types.SimpleNamespace(default=DEFAULT, margins=None, **model), stage, **how)


@pytest.mark.parametrize('symmetric', [False, True])
def test_the_error_is_what_the_field_of_the_passes_lacks_at_the_same_point(symmetric):
    image = sitk.GetImageFromArray(np.zeros((24, 24, 24), np.int16))
    mask, truth = sitk.Cast(image + 1, sitk.sitkUInt8), wave(image, 4.0, 0.4)
    left = passes_of(1.5, symmetric=symmetric, errors=True)(image, image, [mask, mask], truth, 1, 'a name')[-1]
    np.testing.assert_allclose(array_view(left), array_view(truth) - np.float32([3, 0, 0]), atol=1e-4)


@pytest.mark.parametrize('fewer', [0.0, 1.0])
def test_passes_on_finer_images_leave_what_the_coarser_network_sees(fewer):
    random = np.random.RandomState(4)
    image = sitk.GetImageFromArray(random.uniform(-900, 0, (25, 28, 30)).astype(np.float32))
    image = sitk.Cast(sitk.SmoothingRecursiveGaussian(image, 3.0), sitk.sitkInt16)
    mask, truth = sitk.Cast(image > -2000, sitk.sitkUInt8), wave(image, 3.0, 0.4)
    passes, masks = passes_of(1.5, stage=2, fewer=fewer, errors=True), [mask, mask]
    fixed, moved, (fixed_mask, moved_mask), left = passes(image, image, masks, truth, 1, 'image 3')
    moves = 3.0 if fewer == 0 else -array_view(left)[0, 0, 0, 0] + array_view(truth)[0, 0, 0, 0]
    assert round(float(moves), 4) in ((3.0,) if fewer == 0 else (0.0, 1.5))
    for found in (fixed, moved, fixed_mask, moved_mask, left):
        assert found.GetSpacing() == (2.0,) * 3 and found.GetSize() == (15, 14, 13)
    expected = array_view(truth)[::2, ::2, ::2] - np.float32([moves, 0, 0])
    np.testing.assert_allclose(array_view(left), expected, atol=1e-4)
    np.testing.assert_array_equal(array_view(fixed), array_view(downsample(image, 2)))
    field = np.zeros((13, 14, 15, 3), np.float32) + np.float32([moves, 0, 0])
    field = image_from_array(field, fixed)
    inside = array_view(moved_mask) != 0
    assert inside.any()
    np.testing.assert_array_equal(inside, array_view(warp(fixed_mask, field, 'nearest', 0)) != 0)
    difference = array_view(moved).astype(int) - array_view(warp(fixed, field, 'bspline', DEFAULT))
    assert np.abs(difference[inside]).max() <= 1


def test_some_images_go_through_fewer_passes_the_same_every_time():
    image = sitk.GetImageFromArray(np.zeros((16, 16, 16), np.int16))
    mask, truth = sitk.Cast(image + 1, sitk.sitkUInt8), wave(image, 0.0, 0.0)

    def moved(fewer, name):
        left = passes_of(1.5, fewer=fewer, errors=True)(image, image, [mask, mask], truth, 1, name)[-1]
        return round(float(-array_view(left)[8, 8, 8, 0]), 3)

    names = [f'image {number}' for number in range(12)]
    assert {moved(0.0, name) for name in names} == {3.0}
    assert {moved(1.0, name) for name in names} == {0.0, 1.5}
    some = [moved(0.5, name) for name in names]
    assert set(some) == {0.0, 1.5, 3.0} and some == [moved(0.5, name) for name in names]
