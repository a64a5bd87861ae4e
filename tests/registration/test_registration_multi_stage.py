"""Registration on one grid: what the networks see, the moved image, and what is refused. That the geometry is
right is proven in test_registration_oracle.py."""

import numpy as np
import pytest
import SimpleITK as sitk

from functions.image.volume_io import image_from_array
from functions.registration.multi_stage import register_images
from functions.setting.errors import InputError

SIZE = (57, 49, 61)
ORIGIN = (-31.0, 12.5, -205.0)


def motion(points):
    """A smooth analytic displacement (mm), wavelengths of 80 mm and more, up to about 12 mm, different in
    every axis."""
    x, y, z = np.moveaxis(points, -1, 0)
    return np.stack(
        [
            5.0 * np.sin(2 * np.pi * z / 90.0) + 1.0,
            4.0 * np.cos(2 * np.pi * x / 100.0),
            9.0 * np.sin(2 * np.pi * (y + z) / 140.0 + 0.5) + 2.0,
        ],
        -1,
    )


def points_of(image):
    size = image.GetSize()
    z, y, x = np.meshgrid(*[np.arange(n, dtype=float) for n in size[::-1]], indexing='ij')
    return np.stack([x, y, z], -1) * np.array(image.GetSpacing()) + np.array(image.GetOrigin())


@pytest.fixture(scope='module')
def fixed():
    array = np.random.RandomState(0).randint(-900, -700, SIZE[::-1]).astype(np.int16)
    image = sitk.GetImageFromArray(array)
    image.SetOrigin(ORIGIN)
    return image


def smooth(moving, fixed):
    """A network that answers the motion, at stage 4."""
    reference = sitk.Image([-(-n // 4) for n in SIZE], sitk.sitkFloat32)
    reference.SetSpacing([4.0] * 3)
    reference.SetOrigin(ORIGIN)
    return motion(points_of(reference)).astype(np.float32)


def test_moved_image_is_what_itk_resamples_with_the_field(fixed):
    result = register_images(fixed, fixed, {4: smooth}, [4])
    transform = sitk.DisplacementFieldTransform(sitk.Cast(result.dvf, sitk.sitkVectorFloat64))
    expected = sitk.GetArrayFromImage(
        sitk.Resample(fixed, fixed, transform, sitk.sitkBSpline, -2048.0, sitk.sitkFloat32)
    )
    moved = sitk.GetArrayFromImage(result.moved)
    inside = expected > -1500
    assert inside.mean() > 0.5
    assert np.abs(moved - expected)[inside].max() <= 0.51


def test_images_are_set_to_the_default_outside_their_masks(fixed):
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[20:40, 10:30, 15:45] = 1
    mask = image_from_array(mask, fixed)
    seen = []

    def predict(moving, fixed_array):
        seen.append((moving, fixed_array))
        return np.full(moving.shape + (3,), 0.01, np.float32)

    register_images(fixed, fixed, {4: predict, 2: predict}, [4, 2], mask, mask)
    for (moving, fixed_array), stage in zip(seen, (4, 2)):
        outside = sitk.GetArrayFromImage(mask)[::stage, ::stage, ::stage] == 0
        assert (moving[outside] == -2048).all() and (fixed_array[outside] == -2048).all()
        assert (moving[~outside] > -1000).all() and (fixed_array[~outside] > -1000).all()


@pytest.mark.parametrize(
    'arguments, text',
    [
        ({'stages': [3]}, 'Accepted'),
        ({'stages': [1, 2, 4]}, 'Accepted'),
        ({'stages': [4, 2]}, 'No network'),
        ({'composition': 'sum'}, 'additive'),
    ],
)
def test_bad_arguments_are_refused(fixed, arguments, text):
    values = {'stages': [4], 'composition': 'exact'}
    values.update(arguments)
    with pytest.raises(InputError, match=text):
        register_images(fixed, fixed, {4: None}, **values)


def test_masks_and_images_must_share_the_grid(fixed):
    other = sitk.Image([10, 10, 10], sitk.sitkInt16)
    with pytest.raises(InputError):
        register_images(fixed, other, {4: None}, [4])
    empty = sitk.Image(fixed.GetSize(), sitk.sitkUInt8)
    empty.CopyInformation(fixed)
    with pytest.raises(InputError, match='mask'):
        register_images(fixed, fixed, {4: None}, [4], empty, empty)


@pytest.mark.parametrize('stages, left', [([4], 4.0), ([4, 4], 2.0), ([4, 4, 2], 1.0), ([2, 2, 1], 1.0)])
def test_every_further_pass_works_on_what_the_passes_before_left(stages, left):
    # A ramp along z that was moved by 8 mm; a network that reads the distance off it and goes half of the way.
    z = np.arange(SIZE[2], dtype=float)[:, None, None] + np.zeros(SIZE[::-1])
    moving, fixed = [sitk.GetImageFromArray(((z + shift) * 10.0 - 900.0).astype(np.int16)) for shift in (0.0, 8.0)]

    def half(moving, fixed):
        way = np.zeros(moving.shape + (3,), np.float32)
        way[..., 2] = np.clip(fixed.astype(np.float32) - moving, -200, 200) / 20.0
        return way

    found = register_images(fixed, moving, dict.fromkeys((4, 2, 1), half), stages)
    assert sitk.GetArrayFromImage(found.dvf)[15:25, 15:-15, 15:-15, 2] == pytest.approx(8.0 - left, abs=0.3)


@pytest.mark.parametrize('stages', [[2, 4], [4, 2, 4], [4, 1], [4, 4, 1], []])
def test_passes_go_from_coarse_to_fine_without_a_gap(stages, fixed):
    with pytest.raises(InputError, match='each stage once or several times in a row'):
        register_images(fixed, fixed, dict.fromkeys((4, 2, 1), smooth), stages)
