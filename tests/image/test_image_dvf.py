"""Displacement-field algebra against analytic truth and ITK's filters."""

import numpy as np
import pytest
import SimpleITK as sitk
from image_truths import image_of, oblique_geometry, smooth_noise, voxel_points

from functions.image import dvf as D
from functions.image.dvf import transform_points
from functions.image.geometry import Geometry
from functions.image.threads import itk_threads
from functions.image.transforms import affine_from_matrix, total_dvf
from functions.setting.errors import InputError

INNER = (slice(1, -1),) * 3


def field_of(function, geometry):
    """Field image whose displacement at each voxel's physical point is ``function(points)``."""
    return image_of(function(voxel_points(geometry)).astype(np.float32), geometry)


# ---- Jacobian


@pytest.mark.parametrize('seed', range(4))
def test_jacobian_of_a_linear_field_on_an_oblique_grid_borders_included(seed):
    rng = np.random.RandomState(seed)
    matrix = rng.uniform(-0.4, 0.4, (3, 3))
    geometry = oblique_geometry((7, 9, 8), seed)
    field = field_of(lambda p: p @ matrix.T, geometry)
    truth = np.linalg.det(np.eye(3) + matrix)
    np.testing.assert_allclose(D.array_view(D.jacobian_determinant_of(field)), truth, atol=2e-5)


def test_jacobian_pairs_component_and_axis():
    """u_x = 0.1 x stretches, u_x = 0.1 z only shears: a swap of x and z would change both."""
    geometry = Geometry.identity((6, 7, 8), (1.0, 2.0, 3.0))
    points = voxel_points(geometry)
    u = np.zeros(geometry.shape + (3,), np.float32)
    u[..., 0] = 0.1 * points[..., 0]
    np.testing.assert_allclose(D.jacobian_determinant(u, geometry.spacing), 1.1, atol=1e-5)
    u[..., 0] = 0.1 * points[..., 2]
    np.testing.assert_allclose(D.jacobian_determinant(u, geometry.spacing), 1.0, atol=1e-5)


@pytest.mark.parametrize('flip', [False, True])
def test_jacobian_of_a_sinusoidal_field_on_an_oblique_grid(flip):
    geometry = oblique_geometry((40, 36, 30), 5, (0.7, 0.9, 1.1))
    if flip:  # a left-handed grid: the determinant of the mapping must not change its sign
        turned = np.array(geometry.direction).reshape(3, 3)
        turned[:, 1] *= -1
        geometry = geometry._replace(direction=tuple(turned.ravel()))
    rng = np.random.RandomState(2)
    waves, phases = rng.uniform(-0.12, 0.12, (3, 3)), rng.uniform(0, 6, 3)
    amplitudes = np.array([7.0, 5.0, 6.0])
    field = field_of(lambda p: amplitudes * np.sin(p @ waves.T + phases), geometry)
    points = voxel_points(geometry)
    slopes = amplitudes * np.cos(points @ waves.T + phases)
    truth = np.linalg.det(np.eye(3) + slopes[..., :, None] * waves)
    assert truth.max() - truth.min() > 0.5
    result = D.array_view(D.jacobian_determinant_of(field))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result[INNER], truth[INNER], atol=0.02)
    assert np.abs(result[INNER] - truth[INNER]).mean() < 0.002


@pytest.mark.parametrize('spacing', [(1.0, 1.0, 1.0), (0.8, 1.7, 3.0)])
def test_jacobian_equals_itk_inside_and_numpy_gradient_everywhere(spacing):
    rng = np.random.RandomState(0)
    geometry = Geometry.identity((12, 14, 16), spacing, (5.0, 6.0, 7.0))
    field = smooth_noise(rng, geometry.shape + (3,), 1.5) * np.float32(4)
    image = image_of(field, geometry)
    result = D.array_view(D.jacobian_determinant_of(image))
    itk = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(image))
    np.testing.assert_allclose(result[INNER], itk[INNER], atol=1e-5)
    gradient = [np.gradient(field[..., i].astype(np.float64), *spacing[::-1])[::-1] for i in range(3)]
    truth = np.linalg.det(np.eye(3) + np.moveaxis(np.array(gradient), (0, 1), (-2, -1)))
    np.testing.assert_allclose(result, truth, atol=1e-5)


@pytest.mark.parametrize('size', [(1, 6, 7), (6, 1, 7), (6, 7, 1), (2, 2, 2), (1, 1, 1)])
def test_jacobian_of_thin_volumes(size):
    geometry = Geometry.identity(size)
    matrix = np.diag([0.1, 0.2, 0.3])
    field = field_of(lambda p: p @ matrix, geometry)
    expected = np.prod([1 + matrix[i, i] * (size[i] > 1) for i in range(3)])
    np.testing.assert_allclose(D.array_view(D.jacobian_determinant_of(field)), expected, atol=1e-6)


def test_jacobian_refuses_what_is_no_field():
    with pytest.raises(InputError, match=r'\[z, y, x, 3\]'):
        D.jacobian_determinant(np.zeros((4, 4, 4)), (1, 1, 1))
    with pytest.raises(InputError, match='orthonormal'):
        D.jacobian_determinant(np.zeros((4, 4, 4, 3)), (1, 1, 1), (1, 0, 0, 0, 2, 0, 0, 0, 1))
    with pytest.raises(InputError, match='three values'):
        D.jacobian_determinant_of(sitk.Image(4, 4, 4, sitk.sitkFloat32))


# ---- sampling and change of grid


def clamped(geometry, points):
    """Points moved to the nearest place within the outermost voxel centres of an (oblique) grid."""
    index = np.clip(geometry.world_to_index(points), 0, np.array(geometry.size) - 1)
    return geometry.index_to_world(index)


def linear(points):
    return points @ np.array([[0.1, -0.05, 0.02], [0.03, 0.2, -0.1], [0.0, 0.07, -0.15]]) + [3.0, -2.0, 1.0]


def test_sampling_a_linear_field_is_exact_inside_and_keeps_the_edge_outside():
    geometry = oblique_geometry((9, 8, 10))
    field = field_of(linear, geometry)
    points = geometry.index_to_world(np.random.RandomState(0).uniform(-4, 13, (200, 3)))
    np.testing.assert_allclose(D.sample_dvf(field, points), linear(clamped(geometry, points)), atol=1e-5)


@pytest.mark.parametrize(
    'target',
    [
        oblique_geometry((14, 17, 12), 21, (0.9, 1.1, 1.7)),  # other direction, reaching beyond the field
        oblique_geometry((36, 32, 40), 3, (0.325, 0.2, 0.525)),  # finer grid of the same direction
    ],
)
def test_resampling_a_field_keeps_physical_vectors_and_has_no_zero_rim(target):
    geometry = oblique_geometry((9, 8, 10))
    field = field_of(linear, geometry)
    result = D.resample_dvf(field, target)
    truth = linear(clamped(geometry, voxel_points(target).reshape(-1, 3))).reshape(target.shape + (3,))
    np.testing.assert_allclose(sitk.GetArrayFromImage(result), truth, atol=2e-5)
    assert Geometry.of(result) == target


@pytest.mark.parametrize('fine, stage', [(16, 4), (17, 4), (16, 2), (15, 2)])
def test_upsampling_a_stage_is_free_of_shift_and_rim(fine, stage):
    """Down-sampled voxel i sits at fine voxel stage * i; beyond the last one the field goes on."""
    coarse = Geometry.identity((-(-fine // stage),) * 3, (stage,) * 3, (7.0, 8.0, 9.0))
    target = Geometry.identity((fine,) * 3, (1,) * 3, (7.0, 8.0, 9.0))
    u = smooth_noise(np.random.RandomState(0), coarse.shape + (3,), 0.5)
    result = sitk.GetArrayFromImage(D.resample_dvf(image_of(u, coarse), target))
    np.testing.assert_allclose(result[::stage, ::stage, ::stage], u, atol=1e-6)
    last = stage * (coarse.size[0] - 1)
    for i in range(last, fine):
        np.testing.assert_allclose(result[i, ::stage, ::stage], u[-1], atol=1e-6)


@pytest.mark.parametrize('threads', [2, 3, 9])
def test_the_number_of_threads_changes_no_bit_of_a_jacobian_or_a_total_field(threads):
    geometry, affine = oblique_geometry((6, 5, 7)), affine_from_matrix(np.diag([1.1, 0.9, 1.2]), (1.0, 2.0, 3.0))
    field, found = image_of(np.random.RandomState(0).randn(*geometry.shape, 3).astype(np.float32), geometry), []
    for number in (1, threads):
        with itk_threads(number):
            images = D.jacobian_determinant_of(field), total_dvf(affine, field)
        found.append([sitk.GetArrayFromImage(image) for image in images])
    for one, other in zip(*found):
        np.testing.assert_array_equal(one, other)


# ---- composition and inversion


def test_composing_translations_adds_them():
    a, b = oblique_geometry((6, 7, 8)), oblique_geometry((9, 8, 7), 40)
    first = field_of(lambda p: np.zeros_like(p) + [1.0, 2.0, 3.0], a)
    total = field_of(lambda p: np.zeros_like(p) + [-4.0, 0.5, 2.0], b)
    result = D.compose(first, total)
    expected = np.tile([-3.0, 2.5, 5.0], a.shape + (1,))
    np.testing.assert_allclose(sitk.GetArrayFromImage(result), expected, atol=1e-5)
    assert Geometry.of(result) == a


def test_composing_affine_fields_multiplies_the_matrices_and_is_no_sum():
    outer = oblique_geometry((24, 22, 20), 6, (2.0, 2.0, 2.0))
    inner = oblique_geometry((8, 9, 7), 8, (1.0, 1.2, 0.9))
    a = np.array([[0.05, 0.1, 0.0], [-0.1, 0.05, 0.05], [0.0, 0.05, -0.1]])
    b = np.array([[0.1, -0.1, 0.05], [0.0, 0.15, 0.1], [0.1, 0.0, -0.1]])
    first, total = field_of(lambda p: p @ a.T, inner), field_of(lambda p: p @ b.T, outer)
    points = voxel_points(inner)
    truth = points @ ((np.eye(3) + b) @ (np.eye(3) + a)).T - points
    result = sitk.GetArrayFromImage(D.compose(first, total))
    np.testing.assert_allclose(result, truth, atol=1e-4)
    assert np.abs(points @ (a + b).T - truth).max() > 0.3


def test_composition_leads_points_where_one_after_the_other_does_also_beyond_the_grid():
    rng = np.random.RandomState(4)
    a, b = oblique_geometry((12, 10, 11), 1), oblique_geometry((9, 12, 10), 2)
    first = image_of(smooth_noise(rng, a.shape + (3,), 2.0) * np.float32(8), a)
    total = image_of(smooth_noise(rng, b.shape + (3,), 2.0) * np.float32(5), b)
    points = voxel_points(a).reshape(-1, 3)
    composed = transform_points(points, D.compose(first, total))
    np.testing.assert_allclose(composed, transform_points(transform_points(points, first), total), atol=1e-4)


@pytest.mark.parametrize('seed', [0, 1])
def test_composition_with_the_inverse_is_identity(seed):
    rng = np.random.RandomState(seed)
    geometry = oblique_geometry((30, 28, 26), seed, (1.5, 1.2, 2.0))
    u = image_of(smooth_noise(rng, geometry.shape + (3,), 4.0) * np.float32(4), geometry)
    inverse, residual = D.invert(u, iterations=50, tolerance=1e-3)
    assert residual <= 1e-3
    left = sitk.GetArrayFromImage(D.compose(inverse, u))
    assert np.abs(left).max() <= 1.1e-3
    # The other order is read through another interpolation and holds where the path stays inside.
    inner = (slice(5, -5),) * 3
    assert np.abs(sitk.GetArrayFromImage(D.compose(u, inverse))[inner]).max() < 0.1
    assert np.abs(sitk.GetArrayFromImage(u)).max() == pytest.approx(4)


def test_inverse_of_a_translation_and_of_a_field_that_cannot_be_inverted():
    geometry = oblique_geometry((5, 6, 7))
    inverse, residual = D.invert(field_of(lambda p: np.zeros_like(p) + [3.0, -2.0, 1.0], geometry))
    expected = np.tile([-3.0, 2.0, -1.0], geometry.shape + (1,))
    np.testing.assert_allclose(sitk.GetArrayFromImage(inverse), expected, atol=1e-5)
    assert residual < 1e-4
    rough = np.random.RandomState(0).uniform(-9, 9, geometry.shape + (3,)).astype(np.float32)
    assert D.invert(image_of(rough, geometry), iterations=3)[1] > 0.1


def test_fields_of_double_precision_are_accepted_and_others_refused():
    geometry = oblique_geometry((5, 6, 7))
    double = sitk.Cast(field_of(linear, geometry), sitk.sitkVectorFloat64)
    assert D.require_dvf(double).GetPixelID() == sitk.sitkVectorFloat32
    for bad in (sitk.Image(4, 4, 4, sitk.sitkFloat32), sitk.Image([4, 4], sitk.sitkVectorFloat32, 2), None):
        with pytest.raises(InputError, match='three values'):
            D.require_dvf(bad)
    with pytest.raises(InputError, match=r'\(n, 3\)'):
        D.sample_dvf(double, np.zeros(3))
