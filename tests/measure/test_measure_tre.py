"""TRE against analytic fields and ITK's displacement transform, on oblique anisotropic grids."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings, strategies
from oblique_images import IDENTITY, affine_dvf, image_of, points_inside

from functions.measure import tre
from functions.setting.errors import InputError, UnknownNameError

MATRIX = [[0.03, -0.02, 0.01], [0.0, 0.05, -0.04], [0.02, 0.01, -0.06]]
SHIFT = [3.0, -2.0, 9.0]


@pytest.fixture(scope='module')
def field():
    return affine_dvf((14, 12, 10), MATRIX, SHIFT)


def test_measure_tre_of_the_true_field_is_zero(field):
    fixed = points_inside(field)
    moving = fixed + fixed @ np.array(MATRIX).T + SHIFT
    assert np.abs(tre.error_vectors(fixed, moving, field)).max() < 1e-4
    assert tre.summary(tre.error_vectors(fixed, moving))['mean'] > 5


def test_measure_tre_of_a_known_remainder(field):
    fixed = points_inside(field)
    moving = fixed + fixed @ np.array(MATRIX).T + SHIFT + [3.0, 0.0, -4.0]
    numbers = tre.summary(tre.error_vectors(fixed, moving, field))
    assert numbers['mean'] == pytest.approx(5, abs=1e-4)
    assert numbers['std'] == pytest.approx(0, abs=1e-4)
    assert [numbers['mae_' + axis] for axis in 'xyz'] == pytest.approx([3, 0, 4], abs=1e-4)
    assert [numbers['error_' + axis] for axis in 'xyz'] == pytest.approx([3, 0, -4], abs=1e-4)


def test_measure_tre_equals_itk_on_a_random_field():
    random = np.random.RandomState(1)
    field = image_of(random.randn(9, 10, 11, 3).astype(np.float32) * 4, vector=True)
    fixed, moving = points_inside(field, seed=5), points_inside(field, seed=6)
    transform = sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))
    moved = np.array([transform.TransformPoint(point.tolist()) for point in fixed])
    np.testing.assert_allclose(tre.error_vectors(fixed, moving, field), moving - moved, atol=1e-4)


def test_measure_tre_nearest_reads_the_voxel_and_snap_lands_on_voxels():
    random = np.random.RandomState(2)
    array = random.randn(9, 10, 11, 3).astype(np.float32) * 4
    field = image_of(array, vector=True)
    fixed, moving = points_inside(field, seed=7), points_inside(field, seed=8)
    index = [field.TransformPhysicalPointToIndex(point.tolist()) for point in fixed]
    displacement = np.array([array[z, y, x] for x, y, z in index])
    found = tre.error_vectors(fixed, moving, field, interpolation='nearest')
    np.testing.assert_allclose(found, moving - fixed - displacement, atol=1e-5)
    snapped = moving - tre.error_vectors(fixed, moving, field, snap_to=field)
    back = np.array([field.TransformPhysicalPointToContinuousIndex(point.tolist()) for point in snapped])
    np.testing.assert_allclose(back, np.round(back), atol=1e-6)
    exact = moving - tre.error_vectors(fixed, moving, field)
    step = back - [field.TransformPhysicalPointToContinuousIndex(point.tolist()) for point in exact]
    assert 0.1 < np.abs(step).max() <= 0.5 + 1e-6


def test_measure_tre_summary_by_hand():
    numbers = tre.summary(np.array([0.5, 1.0, 2.5, 4.0]))
    assert numbers['n'] == 4
    assert numbers['mean'] == 2.0
    assert numbers['std'] == pytest.approx(np.sqrt((2.25 + 1 + 0.25 + 4) / 4))
    assert numbers['median'] == 1.75
    assert (numbers['min'], numbers['max']) == (0.5, 4.0)
    assert [numbers[f'below_{k}'] for k in (1, 2, 3, 5)] == [25, 50, 75, 100]
    assert numbers['p75'] == pytest.approx(2.875)
    assert 'mae_x' not in numbers


@settings(max_examples=20, deadline=None)
@given(strategies.lists(strategies.tuples(*[strategies.floats(-50, 50)] * 3), min_size=1, max_size=20))
def test_measure_tre_summary_is_ordered(vectors):
    numbers = tre.summary(np.array(vectors))
    order = [numbers[key] for key in ('min', 'p5', 'p25', 'median', 'p75', 'p90', 'p95', 'max')]
    assert all(a <= b + 1e-9 for a, b in zip(order, order[1:]))
    assert numbers['min'] - 1e-9 <= numbers['mean'] <= numbers['max'] + 1e-9
    assert numbers['below_1'] <= numbers['below_2'] <= numbers['below_3'] <= numbers['below_5']


@pytest.mark.parametrize('errors', [np.zeros(0), np.zeros((0, 3)), np.zeros((4, 2)), [1.0, np.nan], [1.0, -2.0]])
def test_measure_tre_summary_refuses(errors):
    with pytest.raises(InputError):
        tre.summary(errors)


def test_measure_tre_merged_names_both_conventions():
    merged = tre.merged_summary([np.array([1.0, 1.0, 1.0]), np.array([4.0])])
    assert merged['pooled']['mean'] == pytest.approx(1.75) and merged['pooled']['n'] == 4
    assert merged['over_cases'] == {'n': 2, 'mean': 2.5, 'std': 1.5}
    with pytest.raises(InputError):
        tre.merged_summary([])


def test_measure_tre_best_shift():
    random = np.random.RandomState(3)
    fixed = random.rand(60, 3) * 100
    motion = np.array([2.0, -1.0, 12.0]) + random.randn(60, 3) ** 3
    left = tre.best_constant_shift(fixed, fixed + motion)
    np.testing.assert_allclose(np.ptp(motion - left, axis=0), 0, atol=1e-12)
    best, shift = tre.summary(left)['mean'], (motion - left)[0]
    assert best < np.linalg.norm(motion - motion.mean(axis=0), axis=1).mean()
    # No shift nearby does better: it is the minimum of a convex function.
    for step in np.vstack([np.eye(3), -np.eye(3)]) * 0.05:
        assert np.linalg.norm(motion - shift - step, axis=1).mean() >= best


def test_measure_tre_mean_field_averages():
    box = ((0, 0, 0), (1, 1, 1))
    fields = [(affine_dvf((12, 12, 9), np.zeros((3, 3)), shift), box) for shift in ([0, 0, 4], [2, 0, 8])]
    fixed = points_inside(fields[0][0])
    left = tre.mean_field(fixed, fixed + [1.0, 0.0, 9.0], iter(fields), box)
    np.testing.assert_allclose(left, np.tile([0.0, 0.0, 3.0], (len(fixed), 1)), atol=1e-5)


def test_measure_tre_mean_field_looks_up_relative_positions():
    """The same motion in units of the lungs, in a patient twice the size and elsewhere."""
    geometry = {'spacing': (4.0, 4.0, 4.0), 'origin': (-100.0, -100.0, -100.0), 'direction': IDENTITY}
    other = affine_dvf((60, 60, 60), np.diag([0.0, 0.0, 0.1]), [0, 0, 0], **geometry)
    box, other_box = ((0, 0, 0), (10, 20, 30)), ((-40, -20, -50), (20, 40, 60))
    fixed = np.array([[1.0, 5.0, 12.0], [9.0, 19.0, 30.0]])
    motion = np.zeros((2, 3))
    motion[:, 2] = 0.1 * (-50 + fixed[:, 2] / 30 * 110)
    assert np.abs(tre.mean_field(fixed, fixed + motion, iter([(other, other_box)]), box)).max() < 1e-4
    for fields in ([], [(other, ((0, 0, 0), (1, 1, 0)))]):
        with pytest.raises(InputError):
            tre.mean_field(fixed, fixed, fields, box)


def test_measure_tre_mask_box_in_physical_space():
    array = np.zeros((8, 9, 10), np.uint8)
    array[2:5, 3, 1:7] = 1
    mask = image_of(array)
    corners = np.array(
        [mask.TransformIndexToPhysicalPoint(index) for index in ((1, 3, 2), (6, 3, 2), (1, 3, 4), (6, 3, 4))]
    )
    lower, upper = tre.mask_box(mask)
    np.testing.assert_allclose(lower, corners.min(axis=0), atol=1e-9)
    np.testing.assert_allclose(upper, corners.max(axis=0), atol=1e-9)
    with pytest.raises(InputError, match='empty'):
        tre.mask_box(image_of(np.zeros((3, 3, 3), np.uint8)))


@pytest.mark.parametrize(
    'fixed, moving',
    [
        (np.zeros((3, 3)), np.zeros((4, 3))),
        (np.zeros((0, 3)), np.zeros((0, 3))),
        (np.zeros((3, 2)), np.zeros((3, 2))),
        (np.full((1, 3), np.inf), np.zeros((1, 3))),
    ],
)
def test_measure_tre_refuses_points_that_do_not_correspond(fixed, moving):
    with pytest.raises(InputError):
        tre.error_vectors(fixed, moving)


def test_measure_tre_refuses_unknown_interpolation(field):
    points = points_inside(field)
    with pytest.raises(UnknownNameError, match='linear'):
        tre.error_vectors(points, points, field, interpolation='linaer')
