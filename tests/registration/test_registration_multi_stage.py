"""Registration on one grid: what the networks see, repeated passes, and what is refused. That the geometry is right is
proven in test_registration_oracle.py."""

import numpy as np
import pytest
import SimpleITK as sitk

from functions.image.volume_io import image_from_array
from functions.registration.multi_stage import WorkingPair, register_images
from functions.setting.errors import InputError

SIZE = (57, 49, 61)
ORIGIN = (-31.0, 12.5, -205.0)


@pytest.fixture(scope='module')
def fixed():
    array = np.random.RandomState(0).randint(-900, -700, SIZE[::-1]).astype(np.int16)
    image = sitk.GetImageFromArray(array)
    image.SetOrigin(ORIGIN)
    return image


def test_images_are_set_to_the_default_outside_their_masks(fixed):
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[20:40, 10:30, 15:45] = 1
    mask = image_from_array(mask, fixed)
    seen = []

    def predict(moving, fixed_array):
        seen.append((moving, fixed_array))
        return np.full(moving.shape + (3,), 0.01, np.float32)

    register_images(WorkingPair(fixed, fixed, (mask, mask)), {4: predict, 2: predict}, [4, 2])
    for (moving, fixed_array), stage in zip(seen, (4, 2)):
        outside = sitk.GetArrayFromImage(mask)[::stage, ::stage, ::stage] == 0
        assert (moving[outside] == -2048).all() and (fixed_array[outside] == -2048).all()
        assert (moving[~outside] > -1000).all() and (fixed_array[~outside] > -1000).all()


@pytest.mark.parametrize(
    'arguments, text',
    [
        ({'stages': [3]}, 'Accepted'),
        ({'stages': [1, 2, 4]}, 'Accepted'),
        ({'stages': [4, 2]}, 'no network'),
        ({'composition': 'sum'}, 'additive'),
    ],
)
def test_bad_arguments_are_refused(fixed, arguments, text):
    values = {'stages': [4], 'composition': 'exact'}
    values.update(arguments)
    with pytest.raises(InputError, match=text):
        register_images(WorkingPair(fixed, fixed), {4: None}, **values)


def test_masks_and_images_must_share_the_grid(fixed):
    other = sitk.Image([10, 10, 10], sitk.sitkInt16)
    with pytest.raises(InputError):
        register_images(WorkingPair(fixed, other), {4: None}, [4])
    empty = sitk.Image(fixed.GetSize(), sitk.sitkUInt8)
    empty.CopyInformation(fixed)
    with pytest.raises(InputError, match='mask'):
        register_images(WorkingPair(fixed, fixed, (empty, empty)), {4: None}, [4])


@pytest.mark.parametrize('stages, left', [([4], 4.0), ([4, 4], 2.0), ([4, 4, 2], 1.0), ([2, 2, 1], 1.0)])
def test_every_further_pass_works_on_what_the_passes_before_left(stages, left):
    # A ramp along z that was moved by 8 mm; a network that reads the distance off it and goes half of the way.
    z = np.arange(SIZE[2], dtype=float)[:, None, None] + np.zeros(SIZE[::-1])
    moving, fixed = [sitk.GetImageFromArray(((z + shift) * 10.0 - 900.0).astype(np.int16)) for shift in (0.0, 8.0)]

    def half(moving, fixed):
        way = np.zeros(moving.shape + (3,), np.float32)
        way[..., 2] = np.clip(fixed.astype(np.float32) - moving, -200, 200) / 20.0
        return way

    dvf, _ = register_images(WorkingPair(fixed, moving), dict.fromkeys((4, 2, 1), half), stages)
    assert sitk.GetArrayFromImage(dvf)[15:25, 15:-15, 15:-15, 2] == pytest.approx(8.0 - left, abs=0.3)


@pytest.mark.parametrize('stages', [[2, 4], [4, 2, 4], [4, 1], [4, 4, 1], []])
def test_passes_go_from_coarse_to_fine_without_a_gap(stages, fixed):
    with pytest.raises(InputError, match='each stage once or several times in a row'):
        register_images(WorkingPair(fixed, fixed), dict.fromkeys((4, 2, 1)), stages)
