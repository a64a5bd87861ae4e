"""A random affine on top of a field: an affine indeed, of the size asked for, and nothing when off."""

import numpy as np
import pytest
from generation_volumes import make_item
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.artificial_generation.item_specification import ItemSpecification
from functions.artificial_generation.residual_affine import add_affine, draw_matrix

SPACING = (2.0, 3.0, 4.0)
BOX = (slice(4, 16), slice(3, 20), slice(5, 25))


def places(shape):
    z, y, x = np.meshgrid(*[np.arange(n) * s for n, s in zip(shape, SPACING[::-1])], indexing='ij')
    return np.stack([x, y, z], axis=-1)


def fitted(points, moved):
    """Least-squares affine of points (n, 3): matrix and shift."""
    solution = np.linalg.lstsq(np.column_stack([points, np.ones(len(points))]), moved, rcond=None)[0]
    return solution[:3].T, solution[3]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), size=st.floats(0.1, 30))
def test_an_affine_of_the_size_asked_for_is_composed(seed, size):
    shape = (20, 24, 28)
    points = places(shape)
    alone = add_affine(np.zeros(shape + (3,), np.float32), np.random.RandomState(seed), SPACING, BOX, size)
    matrix, shift = fitted(points.reshape(-1, 3), (points + alone).reshape(-1, 3))
    np.testing.assert_allclose(points @ matrix.T + shift, points + alone, atol=1e-3)
    around = np.linalg.norm(alone[4:16, 3:20, 5:25], axis=-1).max()
    assert 0.05 * size < around <= size * 1.001
    # Rotation up to 4 degrees, 5 % of scale, some shear.
    assert np.abs(matrix - np.eye(3)).max() < 0.2
    # On top of another field: A(p + u(p)).
    u = np.random.RandomState(seed).uniform(-5, 5, size=shape + (3,)).astype(np.float32)
    both = add_affine(u.copy(), np.random.RandomState(seed), SPACING, BOX, size)
    np.testing.assert_allclose(points + both, (points + u) @ matrix.T + shift, atol=2e-3)


def test_drawn_matrices_lie_within_their_limits():
    for seed in range(50):
        values = np.linalg.svd(draw_matrix(np.random.RandomState(seed)))[1]
        assert values.min() > 0.9 and values.max() < 1.1


@pytest.mark.parametrize('dsmooth', [5, 13])
def test_the_setting_adds_it_to_every_category(setting, info, dsmooth):
    info = dict(info, dsmooth=dsmooth, deformed_im_ext=['Clean'])
    description, plain = ItemSpecification(setting, info).made_from(), make_item(setting, info)
    assert 'ResidualAffine' not in description['options']
    setting['deform_exp'][info['deform_exp']]['ResidualAffine'] = [3, 3]
    assert ItemSpecification(setting, info).made_from() != description
    item = make_item(setting, info)
    points = np.stack(np.meshgrid(*[np.arange(n) * 4.0 for n in item.im.shape], indexing='ij')[::-1], axis=-1)
    before, after = [(points + one.dvf).reshape(-1, 3) for one in (plain, item)]
    matrix, shift = fitted(before, after)
    np.testing.assert_allclose(before @ matrix.T + shift, after, atol=1e-3)
    assert np.linalg.norm(item.dvf - plain.dvf, axis=-1)[plain.lung != 0].max() == pytest.approx(2, abs=1.8)
    assert make_item(setting, info).dvf.tobytes() == item.dvf.tobytes()


def test_descriptions_of_other_categories_do_not_name_the_later_ones(setting, info):
    names = ItemSpecification(setting, info).made_from()['options']
    assert not [name for name in names if name.startswith('Sliding_')]
    setting['deform_exp'][info['deform_exp']]['DeformMethods'] = ['sliding']
    assert 'Sliding_MaxDeformRatio' in ItemSpecification(setting, info).made_from()['options']
