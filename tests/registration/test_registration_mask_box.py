"""The box that networks trained inside their masks work in, and what becomes of the field beyond it."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import SETTING

from functions.image.dvf import jacobian_determinant
from functions.image.geometry import Geometry
from functions.image.volume_io import array_view, image_from_array
from functions.registration.mask_box import FADE, box_of, continued, cut
from functions.registration.network_pyramid import Model
from functions.setting.errors import InputError

GRID = Geometry((40, 50, 60), (2.0, 2.0, 2.0), (5.0, -7.0, 11.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


def mask_with(*voxels):
    """Mask on GRID of the voxels (x, y, z)."""
    array = np.zeros(GRID.shape, np.uint8)
    for x, y, z in voxels:
        array[z, y, x] = 1
    return image_from_array(array, GRID)


def test_the_box_holds_both_masks_and_the_margin_and_ends_with_the_grid():
    box = box_of([mask_with((10, 20, 30)), mask_with((15, 1, 31))], 5.0)
    # 5 mm are 3 voxels of 2 mm; y would begin at -2.
    assert box.size == (12, 24, 8)
    assert box.origin == pytest.approx((5.0 + 2 * 7, -7.0, 11.0 + 2 * 27))
    assert box.spacing == GRID.spacing and box.direction == GRID.direction


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 39), st.integers(0, 49), st.integers(0, 59)), min_size=1, max_size=4),
    st.floats(0, 30),
)
def test_what_is_cut_lies_where_it_lay(voxels, margin):
    image = image_from_array(np.random.RandomState(0).rand(*GRID.shape).astype(np.float32), GRID)
    box = box_of([mask_with(*voxels)], margin)
    part = cut(image, box)
    assert Geometry.of(part).matches(box)
    for x, y, z in voxels:
        point = image.TransformIndexToPhysicalPoint((x, y, z))
        assert part[part.TransformPhysicalPointToIndex(point)] == image[x, y, z]


def test_a_box_elsewhere_is_no_part_of_an_image():
    with pytest.raises(InputError, match='not a part of the grid'):
        cut(mask_with((1, 1, 1)), GRID._replace(size=(3, 3, 3), origin=(6.0, -7.0, 11.0)))
    with pytest.raises(InputError, match='empty'):
        box_of([mask_with()], 3.0)


def test_the_continued_field_is_the_same_inside_and_follows_its_weight_outside():
    box = GRID._replace(size=(10, 12, 14), origin=tuple(GRID.index_to_world((12, 20, 25))))
    field = np.random.RandomState(1).normal(size=box.shape + (3,)).astype(np.float32)
    found = array_view(continued(image_from_array(field, box), GRID))
    assert (found[25:39, 20:32, 12:22] == field).all()
    # By definition, at some voxels: the value of the nearest voxel of the box, one factor per axis.
    for z, y, x in np.random.RandomState(2).randint(0, (60, 50, 40), (200, 3)):
        expected, place = 1.0, []
        for k, first, side in ((z, 25, 14), (y, 20, 12), (x, 12, 10)):
            near = min(max(k - first, 0), side - 1)
            far = 2.0 * abs(k - first - near)
            expected *= 0.5 + 0.5 * np.cos(np.pi * min(far / FADE, 1.0))
            place.append(near)
        assert found[z, y, x] == pytest.approx(expected * field[tuple(place)], abs=1e-5)


@pytest.mark.parametrize('size', [5.0, 40.0])
def test_fading_out_does_not_fold(size):
    grid = Geometry.identity((150, 120, 140), (2.0, 2.0, 2.0))
    box = grid._replace(size=(30, 30, 30), origin=(120.0, 90.0, 110.0))
    field = np.zeros(box.shape + (3,), np.float32)
    field[...] = (size, -size, size)
    found = continued(image_from_array(field, box), grid)
    assert jacobian_determinant(array_view(found), grid.spacing).min() > 0
    assert np.abs(array_view(found)[0, 0, 0]).max() < size / 2


def test_a_field_on_its_own_grid_is_unchanged():
    field = image_from_array(np.ones(GRID.shape + (3,), np.float32), GRID)
    assert continued(field, GRID) is field


def test_the_margin_of_a_pyramid_is_that_of_each_network_or_none():
    networks = {stage: SimpleNamespace(setting=dict(SETTING, stage=stage)) for stage in (4, 2, 1)}
    networks[4].setting['InputMargin'], networks[2].setting['InputMargin'] = 16, 8
    assert Model(networks, [4, 2]).margins == {4: 16, 2: 8}
    assert Model(networks, [4, 2, 1]).margins is None
