"""Local correlation: what it says of images that agree, are moved, cut, or differ in density."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from functions.image.geometry import Geometry
from functions.image.volume_io import array_view, image_from_array
from functions.measure.local_correlation import LocalCorrelation

SIZE = (70, 60, 50)


def image_of(values, like=None):
    return image_from_array(values.astype(np.float32), like or Geometry.identity(SIZE))


@pytest.fixture(scope='module')
def texture():
    """Vessel-like texture in HU, and a ball as the lung."""
    noise = ndimage.gaussian_filter(np.random.RandomState(3).normal(size=SIZE[::-1]), 2.0)
    z, y, x = np.indices(noise.shape)
    ball = (x - 35) ** 2 + (y - 30) ** 2 + (z - 25) ** 2 < 20**2
    return image_of(-750 + 150 * noise / noise.std()), image_of(ball.astype(np.uint8))


def shifted(vector):
    return lambda points: points + np.array(vector)


def test_equal_images_agree_and_a_shift_lowers_the_likeness_step_by_step(texture):
    image, lung = texture
    compared = LocalCorrelation(image, image, lung, lung)
    found = [compared.likeness(shifted((0.0, mm, 0.0))) for mm in (0, 0.5, 1, 2, 4)]
    assert found[0] == pytest.approx(1.0, abs=3e-3)
    assert all(a > b + 0.01 for a, b in zip(found, found[1:])) and found[-1] < 0.5


def test_density_does_not_matter(texture):
    image, lung = texture
    other = image_of(0.7 * array_view(image) - 300)
    assert LocalCorrelation(image, other, lung, lung).likeness(shifted((0, 0, 0))) == pytest.approx(1.0, abs=3e-3)


def test_the_mapping_is_in_physical_space(texture):
    image, lung = texture
    turned, turned_lung = sitk.Image(image), sitk.Image(lung)
    for moved in (turned, turned_lung):
        moved.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))
        moved.SetOrigin((100.0, -20.0, 7.0))

    def mapping(points):
        return Geometry.of(turned).index_to_world(Geometry.of(image).world_to_index(points))

    assert LocalCorrelation(image, turned, lung, turned_lung).likeness(mapping) == pytest.approx(1.0, abs=3e-3)


def test_what_leads_out_of_the_moving_image_or_of_its_mask_counts_for_nothing(texture):
    image, lung = texture
    whole = LocalCorrelation(image, image, lung, lung).likeness(shifted((0, 0, 0)))
    half = LocalCorrelation(image, image[:, :, :25], lung, lung[:, :, :25]).likeness(shifted((0, 0, 0)))
    assert 0.4 * whole < half < 0.6 * whole
    assert LocalCorrelation(image, image, lung, lung).likeness(shifted((0, 0, 500.0))) == 0
    array = array_view(lung).copy()
    array[25:] = 0
    assert LocalCorrelation(image, image, lung, image_of(array)).likeness(shifted((0, 0, 0))) < 0.7 * whole


def test_constant_images_and_empty_masks_give_numbers(texture):
    image, lung = texture
    flat = image_of(np.full(SIZE[::-1], -800.0))
    assert LocalCorrelation(image, flat, lung, lung).likeness(shifted((0, 0, 0))) == pytest.approx(0, abs=1e-6)
    empty = image_of(np.zeros(SIZE[::-1], np.uint8))
    # Everywhere is compared; blocks at the border reach out of the image.
    assert 0.8 < LocalCorrelation(image, image, empty, None).likeness(shifted((0, 0, 0))) < 1.0
