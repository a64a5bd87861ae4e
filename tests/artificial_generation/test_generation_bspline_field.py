"""B-spline fields against ITK, and the rules for their coefficients."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from functions.artificial_generation import bspline_field
from functions.artificial_generation.bspline_field import coefficient_image, itk_transform
from functions.artificial_generation.smoothing import gaussian_smooth
from functions.image.blas import one_blas_thread
from functions.image.geometry import Geometry
from functions.setting.errors import InputError


def itk_field(coefficients, shape_zyx):
    """The field ITK's own transform gives on an image of unit spacing."""
    size = list(shape_zyx[::-1])
    transform = sitk.BSplineTransformInitializer(
        sitk.Image(size, sitk.sitkUInt8), [n - 3 for n in coefficients.shape[:0:-1]], 3
    )
    transform.SetParameters(coefficients.astype(float).ravel().tolist())
    return sitk.GetArrayFromImage(sitk.TransformToDisplacementField(transform, sitk.sitkVectorFloat64, size))


@settings(max_examples=15, deadline=None)
@given(shape=st.tuples(*[st.integers(4, 19)] * 3), mesh=st.tuples(*[st.integers(1, 6)] * 3), seed=st.integers(0, 99))
def test_equals_itk_on_any_size_and_grid(shape, mesh, seed):
    grid = (3,) + tuple(n + 3 for n in mesh)
    coefficients = np.random.RandomState(seed).uniform(-34, 34, grid).astype(np.float32)
    field = bspline_field.sample_field(coefficients, shape)
    assert field.dtype == np.float32
    np.testing.assert_allclose(np.moveaxis(field, 0, -1), itk_field(coefficients, shape), atol=1e-3 / 4)


@pytest.mark.parametrize(
    'shape, spacing',
    [((33, 41, 29), (1.0, 1.0, 1.0)), ((17, 45, 38), (1.1, 0.9, 2.5)), ((20, 15, 18), (4.0, 4.0, 4.0))],
)
def test_random_field_equals_itk_for_any_spacing(shape, spacing):
    rng = np.random.RandomState(3)
    field, coefficients = bspline_field.random_field(rng, shape, spacing, (15, 12, 14), 7.0, (1, 0, 1), (0.8, 0.5, 0.0))
    np.testing.assert_allclose(np.moveaxis(field, 0, -1), itk_field(coefficients, shape), atol=1e-3)
    geometry = Geometry(shape[::-1], spacing, (-3.0, 10.0, 7.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    physical = sitk.TransformToDisplacementField(
        itk_transform(coefficients, geometry),
        sitk.sitkVectorFloat64,
        list(geometry.size),
        geometry.origin,
        geometry.spacing,
    )
    np.testing.assert_allclose(np.moveaxis(field, 0, -1), sitk.GetArrayFromImage(physical), atol=1e-3)
    image = coefficient_image(coefficients, geometry)
    assert image.GetNumberOfComponentsPerPixel() == 3
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), np.moveaxis(coefficients, 0, -1))
    # A control point's spacing is the domain divided by the mesh, in mm.
    mesh = np.array(coefficients.shape[:0:-1]) - 3
    np.testing.assert_allclose(image.GetSpacing(), (np.array(shape[::-1]) + 0.25) * spacing / mesh)


def test_mesh_divides_the_extent_in_mm():
    assert bspline_field.mesh_size((96, 104, 112), (1.0, 1.0, 1.0), 35).tolist() == [3, 3, 3]
    assert bspline_field.mesh_size((20, 40, 30), (2.0, 1.0, 4.0), (10, 20, 16)).tolist() == [6, 2, 5]


def test_border_is_zero_and_per_axis():
    rng = np.random.RandomState(0)
    c = bspline_field.draw_coefficients(rng, (6, 7, 8), 7.0, (2, 0, 1), 0.5)
    assert c.shape == (3, 11, 10, 9)
    for view in (c[:, :2], c[:, -2:], c[..., :1], c[..., -1:]):
        assert not view.any()
    # y keeps its border (axis with 0), the inside is not empty.
    assert c[:, 3:-3, 0, 3:-3].any() and c[:, 3:-3, -1, 3:-3].any()


@pytest.mark.parametrize('seed', range(5))
def test_coefficient_limits(seed):
    single = bspline_field.draw_coefficients(np.random.RandomState(seed), (5, 5, 5), 7.0, (1, 1, 1), 0.2)
    assert np.abs(single).max() <= 1.7 * 7 * (1 + 1e-6)
    for sigma, expected in ((4.0, 7.0), (0.0, 14.0)):
        mixed = bspline_field.draw_coefficients(
            np.random.RandomState(seed), (5, 5, 5), 7.0, (0, 0, 0), sigma, upper=2.0, lower=1.0
        )
        assert np.abs(mixed).max() == pytest.approx(expected, rel=1e-6)


def test_draw_order_is_x_then_y_then_z():
    c = bspline_field.draw_coefficients(np.random.RandomState(1), (2, 3, 4), 1.0, upper=100.0)
    expected = np.random.RandomState(1).uniform(-4, 4, 3 * 5 * 6 * 7).reshape(3, 7, 6, 5)
    np.testing.assert_allclose(c, expected, rtol=1e-6)


@settings(max_examples=50, deadline=None)
@given(mesh=st.tuples(*[st.integers(1, 9)] * 3), border=st.tuples(*[st.integers(0, 5)] * 3))
def test_a_border_is_as_wide_as_leaves_a_point_to_be_drawn(mesh, border):
    fitting = bspline_field.fitting_border(mesh, border)
    for cells, asked, width in zip(mesh[::-1], border, fitting):
        # Before smoothing, one point more than the border is zero at each end.
        drawn = {w: cells + 3 - 2 * (w + 1) for w in range(1, asked + 1)}
        assert width == max([0] + [w for w, points in drawn.items() if points > 0])
    c = bspline_field.draw_coefficients(np.random.RandomState(0), mesh, 7.0, border)
    assert c.any(axis=(1, 2, 3)).all()
    for axis, width in enumerate(fitting, start=1):
        planes = np.moveaxis(c, axis, 0)
        assert width == 0 or not (planes[: width + 1].any() or planes[-width - 1 :].any())


def test_small_volume_is_an_error_with_its_cause():
    with pytest.raises(InputError, match='10 x 10 x 10 mm .* B-spline grid of 50.* smaller grid spacing'):
        bspline_field.random_field(np.random.RandomState(0), (10, 10, 10), (1.0, 1.0, 1.0), 50, 7.0)


@pytest.mark.parametrize('sigma', [(0.7, 2.0, 8.0), (3.0, 0.0, 1.2)])
def test_smoothing_equals_scipy(sigma):
    volume = np.random.RandomState(0).normal(size=(23, 71, 34)).astype(np.float32)
    expected = ndimage.gaussian_filter(volume.astype(float), sigma, mode='nearest')
    result = gaussian_smooth(volume, sigma)
    assert result is volume
    np.testing.assert_allclose(result, expected, atol=2e-6)


def test_bytes_do_not_depend_on_threads():
    def digest():
        field, _ = bspline_field.random_field(np.random.RandomState(0), (61, 83, 67), (4.0, 4.0, 4.0), 45, 7.0)
        gaussian_smooth(field[0], (2.3, 2.3, 2.3))
        return hashlib.md5(field.tobytes()).hexdigest()

    free = digest()
    with one_blas_thread():
        assert digest() == free
    with ThreadPoolExecutor(2) as pool:
        assert {pool.submit(digest).result() for _ in range(2)} == {free}
