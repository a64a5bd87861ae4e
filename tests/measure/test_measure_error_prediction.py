"""Expected errors: read at points on a grid of any direction, and compared with the true ones."""

import numpy as np
import pytest
from oblique_images import image_of, points_inside, positions

from functions.measure.error_prediction import agreement, predicted_at

SIZE = (12, 10, 8)
SLOPE, OFFSET = np.array([0.05, -0.03, 0.02]), 12.0


def truth_at(points):
    return OFFSET + points @ SLOPE


def linear_map(components=1, columns=SIZE[0]):
    """A map on an oblique grid whose value at every point is :func:`truth_at`, and twice that in a second component;
    only the first columns say something."""
    value = truth_at(positions(image_of(np.zeros(SIZE[::-1], np.float32))))
    value[..., columns:] = 0
    array = value if components == 1 else np.stack([value, 2 * value], -1)
    return image_of(array.astype(np.float32), vector=components > 1)


@pytest.mark.parametrize('components', [1, 2])
def test_a_linear_map_is_read_exactly_on_an_oblique_grid(components):
    image = linear_map(components)
    points = points_inside(image)
    truth = truth_at(points)
    np.testing.assert_allclose(predicted_at(image, points), np.stack([truth, 2 * truth][:components], 1), rtol=1e-5)


def test_points_outside_the_grid_or_the_mask_are_left_out():
    image = linear_map(columns=6)
    index = [[5, 4, 3], [5.4, 4, 3], [-0.4, 4, 3], [5.6, 4, 3], [-0.6, 4, 3], [3, 4, 7.6], [8, 4, 3]]
    points = np.array([image.TransformContinuousIndexToPhysicalPoint(list(map(float, place))) for place in index])
    found = predicted_at(image, points)[:, 0]
    assert np.isnan(found).tolist() == [False] * 3 + [True] * 4
    # Beside the mask the value is that of its last voxel, not one that falls to 0.
    np.testing.assert_allclose(found[:2], truth_at(points[0]), rtol=1e-5)
    assert np.isnan(predicted_at(image, points[3:])).all()


def test_agreement_of_known_numbers():
    errors, expected = np.array([0.5, 1.0, 2.5, 6.0]), np.array([1.0, 0.5, 2.0, 4.0])
    within = np.array([[0.5, 0.9, 1.0, 1.0], [0.9, 1.0, 1.0, 1.0], [0.1, 0.6, 0.8, 1.0], [0.0, 0.1, 0.2, 0.5]])
    found = agreement(errors, expected, within)
    assert (found['n'], found['mean_true'], found['mean_expected']) == (4, 2.5, 1.875)
    assert found['mean_absolute_difference'] == pytest.approx((0.5 + 0.5 + 0.5 + 2) / 4)
    assert found['rank_correlation'] == pytest.approx(0.8)  # 1 - 6 (1 + 1) / (4 * 15)
    assert [found[f'true_within_{mm}'] for mm in (1, 2, 3, 5)] == [50.0, 50.0, 75.0, 75.0]
    np.testing.assert_allclose([found[f'expected_within_{mm}'] for mm in (1, 2, 3, 5)], [37.5, 65.0, 75.0, 87.5])
    assert 'true_within_1' not in agreement(errors, expected)


@pytest.mark.parametrize(
    'errors, expected', [([1, 2], [1, 2]), ([1, 2, 3], [2, 2, 2]), ([1, 1, 1], [1, 2, 3]), ([], [])]
)
def test_there_is_no_rank_correlation_of_few_or_constant_values(errors, expected):
    found = agreement(errors, expected)
    assert found['rank_correlation'] is None and found['n'] == len(errors)
    assert (found['mean_absolute_difference'] is None) == (not errors)
