"""Sliding lungs: tangential motion stays at a wall, walls and outside are at rest, nothing folds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from functions.artificial_generation import sliding
from functions.artificial_generation.categories import CategoryInputs
from functions.image.dvf import jacobian_determinant
from functions.setting.artificial_generation_setting import load_deform_exp_setting
from functions.setting.errors import InputError
from functions.setting.seeds import random_state

SPACING = (4.0, 4.0, 4.0)


def make(lung, seed=0, spacing=SPACING, **changes):
    options = dict(load_deform_exp_setting('3D_max20_D14'), deform_number=0, stage=4, dvf_pad=0, **changes)
    inputs = CategoryInputs(np.zeros(lung.shape, np.int16), lung, None, options)
    return sliding.field(lung.shape, spacing, random_state('sliding', seed), options, inputs)


def boxes():
    """Two lungs with flat walls, 240 mm high; their lower ends are diaphragm."""
    lung = np.zeros((80, 50, 80), np.uint8)
    lung[15:75, 8:42, 8:36] = 1
    lung[15:75, 8:42, 44:72] = 1
    return lung


@pytest.mark.parametrize('seed', range(4))
def test_at_flat_walls_the_tangential_motion_stays_and_the_normal_one_does_not(seed):
    lung = boxes()
    dvf = make(lung, seed)
    largest = np.abs(dvf).max()
    # Component (x or y) normal to the wall; the wall's last voxel inside, and the direction out of it.
    for normal, place, out in ((0, 8, -1), (0, 71, 1), (1, 8, -1), (1, 41, 1)):
        planes = [np.take(dvf[25:60], place + out * k, 2 - normal) for k in (0, -10, 4)]
        wall, deep, outside = [plane[:, 15:35] if normal == 0 else plane[:, 15:30] for plane in planes]
        tangential = [np.delete(part, normal, axis=-1) for part in (wall, deep)]
        assert np.abs(wall[..., normal]).max() < 0.1 * largest
        assert np.linalg.norm(tangential[0], axis=-1).mean() > 0.5 * np.linalg.norm(tangential[1], axis=-1).mean() > 0.5
        assert np.abs(outside).max() < 0.02


def test_the_diaphragm_moves_and_the_top_does_not():
    lung = boxes()
    for seed in range(4):
        dvf = make(lung, seed, Sliding_RandomRatio=[0])
        base, top = dvf[16, 15:35, 15:30, 2], dvf[74, 15:35, 15:30, 2]
        assert np.abs(base).min() > 5 > 0.5 > np.abs(top).max()
        # What lies below moves along.
        np.testing.assert_allclose(dvf[13, 15:35, 15:30, 2], base, rtol=0.15)


def ellipsoids(rng):
    shape = (70, 56, 80)
    z, y, x = [(np.arange(n) + 0.5) / n * 2 - 1 for n in shape]
    lung = np.zeros(shape, bool)
    for side in (-1, 1):
        a, b, c = rng.uniform(0.28, 0.4), rng.uniform(0.5, 0.8), rng.uniform(0.5, 0.85)
        shift = rng.uniform(-0.1, 0.1, size=2)
        one = ((x - side * 0.42) / a) ** 2 + ((y[:, None] - shift[0]) / b) ** 2
        lung |= one + ((z[:, None, None] - shift[1]) / c) ** 2 < 1
    # A dome under it.
    lung &= ~((x / 0.9) ** 2 + (y[:, None] / 0.8) ** 2 + ((z[:, None, None] + 1) / rng.uniform(0.3, 0.6)) ** 2 < 1)
    return lung.astype(np.uint8)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**31), ratio=st.floats(0.05, 1.5), random=st.floats(0, 0.6))
def test_nothing_folds_in_the_lungs_and_nothing_moves_outside(seed, ratio, random):
    rng = np.random.RandomState(seed)
    lung = ellipsoids(rng)
    dvf = make(lung, seed, Sliding_MaxDeformRatio=[ratio], Sliding_RandomRatio=[random])
    assert dvf.dtype == np.float32 and dvf.shape == lung.shape + (3,)
    assert 0.2 * ratio * 20 < np.abs(dvf[lung != 0]).max() <= ratio * 20 * 1.0001
    # Differences to the outside are sliding, not folding.
    inner = ndimage.binary_erosion(lung)
    assert jacobian_determinant(dvf, SPACING)[inner].min() > 0
    # The motion of the lungs alone, carried on beyond the pleura, folds nowhere.
    nearest = ndimage.distance_transform_edt(lung == 0, return_distances=False, return_indices=True)
    assert jacobian_determinant(np.ascontiguousarray(dvf[tuple(nearest)]), SPACING)[lung != 0].min() > 0
    # Above the lowest slice of a lung, 4 sigma of the edge beside it.
    below = np.logical_or.accumulate(lung[::-1] != 0, axis=0)[::-1]
    outside = ~ndimage.binary_dilation(below, np.ones((3, 3, 3)), iterations=2)
    assert outside.any() and not dvf[outside].any()


def test_the_same_numbers_give_the_same_field():
    lung = boxes()
    first = make(lung, 3)
    assert make(lung, 3).tobytes() == first.tobytes() != make(lung, 4).tobytes()


def test_the_two_lungs_move_differently():
    dvf = make(boxes(), 1)
    right, left = dvf[20:70, 12:38, 12:32], dvf[20:70, 12:38, 48:68]
    assert np.abs(right - left).mean() > 0.5


def test_fine_and_coarse_voxels_show_the_same_motion():
    """The mask at 2 mm is that at 4 mm, voxel (2 i) on voxel i."""
    coarse = boxes()
    fine = np.kron(coarse, np.ones((2, 2, 2), np.uint8))
    first, second = make(coarse, 2), make(fine, 2, spacing=(2.0, 2.0, 2.0))[::2, ::2, ::2]
    inner = ndimage.binary_erosion(coarse, iterations=3)
    assert np.abs(first - second)[inner].max() < 1.0 and np.abs(first)[inner].max() > 5


def test_one_lung_alone_and_lungs_that_touch_are_accepted():
    lung = boxes()
    lung[..., 40:] = 0
    assert np.abs(make(lung)).max() > 5
    joined = boxes()
    joined[40:60, 20:24, 36:44] = 1
    dvf = make(joined, 1)
    right, left = dvf[20:38, 12:38, 12:32], dvf[20:38, 12:38, 48:68]
    assert np.abs(right - left).mean() > 0.5


def test_lungs_that_are_cut_by_the_image_are_accepted():
    part = make(boxes()[20:, :, 4:76])
    assert np.isfinite(part).all() and np.abs(part).max() > 5


def test_without_lungs_or_room_it_is_refused():
    with pytest.raises(InputError, match='lung mask is empty'):
        make(np.zeros((20, 20, 20), np.uint8))
    with pytest.raises(InputError, match='Sliding_BSplineGridSpacing'):
        make(boxes(), Sliding_BSplineGridSpacing=[[900, 900, 900]])
