"""Patches, whole images and flips against slices of explicitly padded arrays and against scipy's warp."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from functions.reading import flips, patches
from functions.reading.image_items import HeldItem

DEFAULT = -2048


def held(shape, seed=0, lung=True):
    state = np.random.RandomState(seed)
    return HeldItem(
        'item',
        state.randint(-1000, 1000, shape + (2,)).astype(np.int16),
        state.uniform(-9, 9, shape + (3,)).astype(np.float32),
        state.randint(0, 2, shape).astype(np.uint8) if lung else None,
        DEFAULT,
        None,
    )


def empty(size_in, size_out):
    return (
        np.full(tuple(size_in) + (2,), 7777, np.float32),
        np.full(tuple(size_out) + (3,), 7777, np.float32),
        np.full(tuple(size_out) + (1,), 7777, np.float32),
    )


TABLE = np.array([1, 4], np.float32)


@pytest.mark.parametrize('shape', sorted(set(itertools.permutations((7, 10, 13)))))
@pytest.mark.parametrize('radius_image, radius_dvf', [(5, 2), (3, 3), (0, 0)])
def test_a_patch_is_the_slice_of_the_padded_image(shape, radius_image, radius_dvf):
    item = held(shape)
    pad = 8
    spread = [(pad, pad)] * 3 + [(0, 0)]
    images = np.pad(item.pair, spread, 'constant', constant_values=DEFAULT)
    dvf = np.pad(item.dvf, spread, 'constant')
    weight = np.pad(TABLE[item.lung][..., None], spread, 'constant')
    for centre in [(0, 0, 0), (2, 5, 4), tuple(n - 1 for n in shape), (shape[0] - 1, 0, shape[2] // 2)]:
        arrays = empty([2 * radius_image + 1] * 3, [2 * radius_dvf + 1] * 3)
        corners = [[c - radius for c in centre] for radius in (radius_image, radius_dvf)]
        patches.fill_sample(arrays, item, *corners, TABLE)
        box = tuple(slice(c + pad - radius_image, c + pad + radius_image + 1) for c in centre)
        inner = tuple(slice(c + pad - radius_dvf, c + pad + radius_dvf + 1) for c in centre)
        assert np.array_equal(arrays[0], images[box])
        assert np.array_equal(arrays[1], dvf[inner])
        assert np.array_equal(arrays[2], weight[inner])


def test_the_dvf_patch_is_the_centre_of_the_image_patch():
    shape = (20, 22, 24)
    z, y, x = np.meshgrid(*[np.arange(n) for n in shape], indexing='ij')
    position = np.stack([x, y, z], axis=-1)
    item = HeldItem(
        'item',
        (1000 * z + 30 * y + x).astype(np.int16)[..., None].repeat(2, -1),
        position.astype(np.float32),
        None,
        DEFAULT,
        None,
    )
    images, dvf, weight = empty([13] * 3, [5] * 3)
    patches.fill_sample((images, dvf, weight), item, (9 - 6, 11 - 6, 12 - 6), (9 - 2, 11 - 2, 12 - 2), TABLE)
    centre = images[4:-4, 4:-4, 4:-4, 1]
    assert np.array_equal(centre, 1000 * dvf[..., 2] + 30 * dvf[..., 1] + dvf[..., 0])
    assert dvf[2, 2, 2].tolist() == [12, 11, 9] and np.all(weight == 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 200), st.integers(1, 16), st.integers(0, 16))
def test_valid_sizes(size, unit, offset):
    valid = patches.valid_size(size, unit, offset)
    assert valid >= size and (valid - offset) % unit == 0
    assert valid - unit < max(size, offset)


def test_whole_images_share_the_smallest_valid_size_per_axis():
    assert patches.common_size([(20, 30, 40), (22, 21, 37)], 8, 5) == (29, 37, 45)
    assert patches.common_size([(21, 29, 125)], 8, 5) == (21, 29, 125)


def test_a_whole_image_is_padded_around_and_weighs_nothing_there():
    item = held((6, 7, 5))
    arrays = empty((13, 13, 13), (13, 13, 13))
    corner = patches.corner_of((13, 13, 13), (6, 7, 5))
    patches.fill_sample(arrays, item, corner, corner, TABLE)
    spread = [(3, 4), (3, 3), (4, 4), (0, 0)]  # before: half of the extra, rounded down
    assert np.array_equal(arrays[0], np.pad(item.pair, spread, 'constant', constant_values=DEFAULT))
    assert np.array_equal(arrays[1], np.pad(item.dvf, spread, 'constant'))
    assert np.array_equal(arrays[2], np.pad(TABLE[item.lung][..., None], spread, 'constant'))
    assert arrays[2].sum() == TABLE[item.lung].sum()


def warp(moving, dvf):
    """moved(p) = moving(p + dvf(p)) on a grid of 1 mm with identity direction."""
    grid = np.meshgrid(*[np.arange(n, dtype=float) for n in moving.shape], indexing='ij')
    return map_coordinates(moving, [grid[axis] + dvf[..., 2 - axis] for axis in range(3)], order=1, mode='nearest')


@pytest.mark.parametrize('axes', [(1,), (2,), (3,), (1, 3), (1, 2, 3)])
def test_flipping_and_warping_commute(axes):
    state = np.random.RandomState(4)
    shape = (9, 11, 8)
    moving = state.uniform(-1000, 500, shape)
    dvf = state.uniform(-2, 2, shape + (3,))
    images = np.stack([moving, warp(moving, dvf)], axis=-1)[None]
    weight = state.uniform(size=(1,) + shape + (1,))
    flipped, flipped_dvf, flipped_weight = flips.flip(images, dvf[None], weight, axes)
    assert np.allclose(warp(flipped[0, ..., 0], flipped_dvf[0]), flipped[0, ..., 1], atol=1e-9)
    assert np.array_equal(flipped_weight, np.flip(weight, axes)) and np.array_equal(flipped, np.flip(images, axes))
    assert not np.allclose(flipped_dvf, np.flip(dvf[None], axes))
    assert all(array.flags.c_contiguous for array in (flipped, flipped_dvf, flipped_weight))
    back = flips.flip(flipped, flipped_dvf, flipped_weight, axes)
    assert np.array_equal(back[0], images) and np.array_equal(back[1], dvf[None])


def test_the_flips_of_the_semi_epochs():
    assert [flips.axes_of_semi_epoch(n) for n in range(6)] == [(), (1,), (2,), (3,), (1, 2, 3), ()]
