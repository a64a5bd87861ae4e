"""The map between phases: invertible, composable, sliding, positive, and equal to the DVF that is written."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import map_coordinates

from functions.phantom.breathing import Breathing, check_type, true_dvf
from functions.phantom.case import Case
from functions.setting.errors import InputError


def random_points(case, count=4000, seed=0, margin=3.0):
    half = 0.5 * np.array(case.patient.size) - margin
    return np.random.RandomState(seed).uniform(-1, 1, (count, 3)) * half


def lung_points(case, depth=0.0, **kwargs):
    points = random_points(case, **kwargs)
    return points[case.anatomy.lung(*points.T) < -depth]


def test_amplitude_is_zero_at_inhale_and_one_at_exhale():
    amplitudes = [Breathing.amplitude(type_im) for type_im in range(10)]
    assert amplitudes[0] == 0 and amplitudes[5] == 1
    assert np.all(np.diff(amplitudes[:6]) > 0) and np.all(np.diff(amplitudes[5:]) < 0)


@pytest.mark.parametrize('type_im', [1, 5, 8])
def test_inverse_of_the_map(small_case, type_im):
    points = random_points(small_case)
    there = np.stack(small_case.breathing.forward(*points.T, type_im=type_im), axis=1)
    back = np.stack(small_case.breathing.inverse(*there.T, type_im=type_im), axis=1)
    assert np.linalg.norm(there - points, axis=1).max() > 0.5
    assert np.abs(back - points).max() < 1e-3


def test_phases_compose(small_case):
    points = random_points(small_case)
    transform = small_case.breathing.transform
    by_way_of_t30 = transform(transform(points, 0, 3), 3, 5)
    assert np.allclose(by_way_of_t30, transform(points, 0, 5), atol=1e-6)
    assert np.allclose(transform(transform(points, 5, 2), 2, 5), points, atol=1e-6)


def test_inspiration_and_expiration_take_different_ways(small_case):
    points = random_points(small_case)
    difference = small_case.breathing.transform(points, 0, 2) - small_case.breathing.transform(points, 0, 8)
    assert 0.05 < np.linalg.norm(difference, axis=1).max() < 5


@pytest.mark.parametrize('pair', [(0, 5), (5, 0), (3, 5)])
def test_dvf_equals_the_map_at_voxels_and_landmarks(small_case, pair):
    fixed, moving = pair
    dvf = true_dvf(small_case, fixed, moving)
    assert dvf.GetPixelID() == sitk.sitkVectorFloat32 and dvf.GetSize() == small_case.patient.size
    rng = np.random.RandomState(1)
    for index in [[int(rng.randint(side)) for side in dvf.GetSize()] for _ in range(50)]:
        world = np.array([dvf.TransformIndexToPhysicalPoint(index)])
        centre = small_case.patient.centre
        moved = small_case.breathing.transform(world - centre, fixed, moving) + centre
        assert np.allclose(dvf.GetPixel(index), (moved - world)[0], atol=1e-2)
    start, end = small_case.landmarks(fixed), small_case.landmarks(moving)
    at = [dvf.TransformPhysicalPointToContinuousIndex(point) for point in start]
    field = sitk.GetArrayFromImage(dvf)
    at = np.array(at).T[::-1]
    found = np.stack([map_coordinates(field[..., k], at, order=1) for k in range(3)], axis=1)
    assert np.abs(start + found - end).max() < 0.1


@pytest.mark.parametrize('cn', [1, 2, 3, 4])
def test_jacobian_is_positive(cn):
    case = Case(cn, {'Size': [96, 80, 88]})
    points = random_points(case, count=3000)
    determinant = case.breathing.determinant(*points.T, type_im=5)
    inside = case.anatomy.lung(*points.T) < 0
    assert determinant.min() > 0.2
    assert determinant[inside].min() > 0.3 and determinant[inside].max() < 1.2
    assert determinant[inside].mean() < 0.95  # exhaling


def test_jacobian_of_the_dvf_image_by_finite_differences(small_case, small_volumes):
    field = sitk.GetArrayFromImage(true_dvf(small_case, 0, 5)).astype(np.float64)
    gradient = np.empty(field.shape + (3,))
    for component in range(3):
        for axis, derivative in enumerate(np.gradient(field[..., component])):
            gradient[..., component, 2 - axis] = derivative
    determinant = np.linalg.det(gradient + np.eye(3))
    lung = small_volumes[0].lung > 0.999
    assert determinant[lung].min() > 0.2
    z, y, x = [index[::7] for index in np.nonzero(lung)]
    points = np.stack([x, y, z], axis=1) - 0.5 * (np.array(small_case.patient.size) - 1)
    analytic = small_case.breathing.determinant(*points.T, type_im=5)
    inner = small_case.anatomy.lung(*points.T) < -2
    assert np.abs(determinant[z, y, x] - analytic)[inner].max() < 0.05


def test_direction_and_decay_of_the_motion(small_case):
    """From inhale to exhale the diaphragm rises; the apex hardly moves."""
    patient = small_case.patient
    xi, eta = np.array([-0.5]), np.array([patient.dome_eta])
    dome = small_case.anatomy.diaphragm(xi, eta)
    x, y = small_case.frame.bend(xi, eta, dome)
    rise = small_case.breathing.transform(np.stack([x, y, dome], axis=1), 0, 5)[0, 2] - dome[0]
    assert abs(rise - patient.descent) < 1.5
    assert patient.descent >= 10
    points = lung_points(small_case, count=20000)
    up = small_case.breathing.transform(points, 0, 5)[:, 2] - points[:, 2]
    high = points[:, 2] > patient.apex_z - 0.1 * patient.size[2]
    assert high.sum() > 5 and np.abs(up[high]).max() < 0.25 * patient.descent


def test_lungs_slide_along_ribs_that_stay(small_case):
    """Across the side wall u_z drops from many millimetres to nearly none."""
    eta, z = np.zeros(1), np.array([-0.1 * small_case.patient.size[2]])
    motion = []
    for xi in (-0.96, -1.16):
        x, y = small_case.frame.bend(np.array([xi]), eta, z)
        point = np.stack([x, y, z], axis=1)
        motion.append((small_case.breathing.transform(point, 0, 5) - point)[0])
    assert motion[0][2] > 4 and abs(motion[1][2]) < 0.1
    assert np.linalg.norm(motion[1]) < 3


def test_sliding_is_along_the_wall():
    """With a chest that does not move, what lies at the inner chest wall at inhale lies there at exhale."""
    case = Case(1, {'Size': [120, 96, 110], 'ChestExpansion': [0, 0]})
    rng = np.random.RandomState(3)
    angle, z = rng.uniform(0, 2 * np.pi, 300), rng.uniform(-0.35, 0.35, 300) * case.patient.size[2]
    xi, eta = np.cos(angle), np.sin(angle)
    x, y = case.frame.bend(xi, eta, z)
    moved = case.breathing.transform(np.stack([x, y, z], axis=1), 0, 5)
    assert (moved[:, 2] - z).max() > 4
    xi_moved, eta_moved = case.frame.straighten(*moved.T)
    assert np.abs(case.frame.wall(xi_moved, eta_moved) - case.frame.wall(xi, eta)).max() < 0.05


@pytest.mark.parametrize('size', [[64, 64, 64], [200, 100, 64], [64, 64, 200]])
def test_the_deepest_breath_does_not_fold_any_box(size):
    for cn in range(1, 6):
        case = Case(cn, {'Size': size, 'Descent': [40, 40], 'ChestExpansion': [12, 12], 'Anatomy': 1.5})
        points = random_points(case, count=3000)
        for type_im in (3, 5, 7):
            assert case.breathing.determinant(*points.T, type_im=type_im).min() > 0.05
        there = case.breathing.transform(points, 0, 5)
        back = np.stack(case.breathing.inverse(*there.T, type_im=5), axis=1)
        assert np.abs(back - points).max() < 0.02


@pytest.mark.parametrize('bad', [-1, 10, 1.5, '5', None, True])
def test_phases_that_do_not_exist(small_case, bad):
    with pytest.raises(InputError, match='type_im'):
        check_type(bad)
    with pytest.raises(InputError, match='type_im'):
        true_dvf(small_case, 0, bad)
