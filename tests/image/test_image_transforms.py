"""Affine after nonrigid, exactly composed: against SimpleITK's transforms and analytic truth."""

import os

import numpy as np
import pytest
import SimpleITK as sitk
from image_truths import image_of, oblique_geometry, smooth_noise, voxel_points

from functions.image import transforms as T
from functions.image.geometry import Geometry
from functions.image.resample import warp
from functions.image.volume_io import array_view
from functions.setting.errors import InputError, MissingFileError


def an_affine(seed=0):
    rng = np.random.RandomState(seed)
    affine = sitk.AffineTransform(3)
    affine.SetMatrix((np.eye(3) + rng.uniform(-0.15, 0.15, (3, 3))).ravel().tolist())
    affine.SetTranslation(rng.uniform(-5, 5, 3).tolist())
    affine.SetCenter(rng.uniform(-50, 50, 3).tolist())
    return affine


def a_field(size=(14, 16, 12), amplitude=3.0, seed=1, spacing=(1.3, 0.8, 2.1)):
    geometry = oblique_geometry(size, seed, spacing)
    noise = smooth_noise(np.random.RandomState(seed), geometry.shape + (3,), 3.0)
    return image_of(amplitude * noise, geometry)


def inside_points(field, number=40, seed=2):
    """Points between the voxel centres of a field, (n, 3)."""
    index = np.random.RandomState(seed).uniform(0, 1, (number, 3)) * (np.array(field.GetSize()) - 1)
    return np.array([field.TransformContinuousIndexToPhysicalPoint(row) for row in index.tolist()])


def mapped(transform, points):
    return np.array([transform.TransformPoint(point) for point in np.asarray(points).tolist()])


# ---- affine


def test_matrix_and_offset_agree_with_simpleitk():
    affine, points = an_affine(), np.random.RandomState(0).uniform(-200, 200, (20, 3))
    matrix, offset = T.matrix_and_offset(affine)
    np.testing.assert_allclose(points @ matrix.T + offset, mapped(affine, points), atol=1e-10)
    again = T.affine_from_matrix(matrix, offset, (3.0, 4.0, 5.0))
    np.testing.assert_allclose(mapped(again, points), mapped(affine, points), atol=1e-10)
    assert again.GetCenter() == (3.0, 4.0, 5.0)


def linear_transforms():
    euler = sitk.Euler3DTransform((1.0, 2.0, 3.0), 0.1, -0.2, 0.3, (4.0, 5.0, 6.0))
    other = sitk.Euler3DTransform(euler)
    other.SetComputeZYX(True)
    similarity = sitk.Similarity3DTransform(1.1, (0.0, 0.0, 1.0), 0.3, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    composite = sitk.CompositeTransform(3)
    for part in (euler, an_affine(), sitk.TranslationTransform(3, (1.0, 2.0, 3.0))):
        composite.AddTransform(part)
    alone = sitk.CompositeTransform(3)
    alone.AddTransform(an_affine(4))
    return [
        an_affine(),
        euler,
        other,
        similarity,
        sitk.TranslationTransform(3, (7.0, 8.0, 9.0)),
        composite,
        alone,
        sitk.Transform(3, sitk.sitkIdentity),
        sitk.Transform(an_affine(5)),
        sitk.ScaleTransform(3, (1.1, 0.9, 1.2)),
    ]


@pytest.mark.parametrize('number', range(10))
def test_as_affine_takes_every_linear_transform(number):
    transform = linear_transforms()[number]
    points = np.random.RandomState(1).uniform(-200, 200, (20, 3))
    affine = T.as_affine(transform)
    assert isinstance(affine, sitk.AffineTransform)
    np.testing.assert_allclose(mapped(affine, points), mapped(transform, points), atol=1e-9)


@pytest.mark.parametrize('number, truth', [(0, 0), (6, 4), (8, 5)])
def test_as_affine_keeps_the_numbers_of_affine_transforms(number, truth):
    affine = T.as_affine(linear_transforms()[number])
    assert affine.GetParameters() == an_affine(truth).GetParameters()
    assert affine.GetCenter() == an_affine(truth).GetCenter()


def test_as_affine_refuses_what_is_not_linear():
    with pytest.raises(InputError, match='not linear'):
        T.as_affine(sitk.DisplacementFieldTransform(sitk.Cast(a_field(), sitk.sitkVectorFloat64)))
    with pytest.raises(InputError, match='2D'):
        T.as_affine(sitk.AffineTransform(2))
    with pytest.raises(InputError, match='NaN'):
        T.as_affine(sitk.TranslationTransform(3, (float('nan'), 0.0, 0.0)))
    with pytest.raises(InputError, match='str'):
        T.as_affine('affine')


def test_compose_affine_applies_the_inner_one_first():
    outer, inner = an_affine(1), an_affine(2)
    points = np.random.RandomState(1).uniform(-200, 200, (20, 3))
    np.testing.assert_allclose(
        mapped(T.compose_affine(outer, inner), points), mapped(outer, mapped(inner, points)), atol=1e-9
    )


# ---- affine after nonrigid


def test_total_dvf_equals_simpleitk_at_every_voxel():
    affine, field = an_affine(), a_field()
    total = T.total_dvf(affine, field)
    points = voxel_points(Geometry.of(field))
    truth = mapped(affine, (points + array_view(field)).reshape(-1, 3)).reshape(points.shape) - points
    np.testing.assert_allclose(array_view(total), truth, atol=2e-5)
    assert Geometry.of(total) == Geometry.of(field) and total.GetPixelID() == sitk.sitkVectorFloat32
    # The order matters: u first, then A.
    swapped = mapped(affine, points.reshape(-1, 3)).reshape(points.shape) + array_view(field) - points
    assert np.abs(swapped - truth).max() > 0.1


def test_total_dvf_on_another_grid():
    affine, field = an_affine(), a_field()
    inner = oblique_geometry((5, 6, 4), 9, (1.0, 1.0, 1.0))
    points = voxel_points(inner).reshape(-1, 3)
    truth = mapped(T.total_transform(affine, field), points) - points
    np.testing.assert_allclose(array_view(T.total_dvf(affine, field, inner)).reshape(-1, 3), truth, atol=2e-5)


def test_total_dvf_without_one_of_its_parts():
    field = a_field()
    np.testing.assert_array_equal(array_view(T.total_dvf(None, field)), array_view(field))
    points = voxel_points(Geometry.of(field)).reshape(-1, 3)
    np.testing.assert_allclose(
        array_view(T.total_dvf(an_affine(), None, field)).reshape(-1, 3),
        mapped(an_affine(), points) - points,
        atol=2e-5,
    )
    with pytest.raises(InputError, match='grid'):
        T.total_dvf(an_affine(), None)


@pytest.mark.parametrize('affine', [None, an_affine()])
def test_points_go_where_the_composite_transform_takes_them(affine):
    field = a_field()
    points = inside_points(field)
    np.testing.assert_allclose(
        T.apply_to_points(points, affine, field), mapped(T.total_transform(affine, field), points), atol=1e-9
    )


def test_points_come_back():
    affine, field = an_affine(), a_field()
    points = inside_points(field)
    back, residual = T.apply_inverse_to_points(T.apply_to_points(points, affine, field), affine, field)
    np.testing.assert_allclose(back, points, atol=5e-3)
    assert residual.max() < 5e-3 and residual.shape == (len(points),)
    back, residual = T.apply_inverse_to_points(mapped(affine, points), affine)
    np.testing.assert_allclose(back, points, atol=1e-9)
    assert len(T.apply_inverse_to_points(np.zeros((0, 3)), affine, field)[0]) == 0


def test_the_residual_is_what_is_left_when_the_iteration_is_cut_short(monkeypatch):
    monkeypatch.setattr(T, '_MOST_ITERATIONS', 1)
    affine, field = an_affine(), a_field()
    goal = T.apply_to_points(inside_points(field), affine, field)
    back, residual = T.apply_inverse_to_points(goal, affine, field)
    left = np.linalg.norm(T.apply_to_points(back, affine, field) - goal, axis=1)
    np.testing.assert_allclose(residual, left, atol=1e-9)
    assert residual.max() > 0.1


# ---- files


@pytest.mark.parametrize('name', ['a.tfm', 'a.txt', 'a.h5'])
def test_affine_files_are_simpleitks(tmp_path, name):
    path = str(tmp_path / 'with space' / name)
    T.write_affine(an_affine(), path)
    points = np.random.RandomState(1).uniform(-200, 200, (5, 3))
    np.testing.assert_allclose(mapped(sitk.ReadTransform(path), points), mapped(an_affine(), points), atol=1e-9)
    assert T.as_affine(T.read_transform(path)).GetParameters() == pytest.approx(an_affine().GetParameters())


@pytest.mark.parametrize('affine', [None, an_affine()])
def test_the_total_transform_file_is_read_by_simpleitk(tmp_path, affine):
    path = str(tmp_path / 'ünï code' / 'total.h5')
    field = a_field()
    T.write_total_transform(affine, field, path)
    points = inside_points(field)
    read = sitk.ReadTransform(path)
    np.testing.assert_array_equal(mapped(read, points), mapped(T.total_transform(affine, field), points))
    ours, itks = os.path.getsize(path), str(tmp_path / 'itk.h5')
    sitk.WriteTransform(T.total_transform(affine, field), itks)
    assert ours < os.path.getsize(itks)
    assert os.listdir(os.path.dirname(path)) == ['total.h5']


def test_simpleitk_with_our_file_makes_our_moved_image(tmp_path):
    affine, field = an_affine(), a_field()
    geometry = oblique_geometry((20, 24, 22), 6, (1.4, 1.2, 1.3))
    noise = smooth_noise(np.random.RandomState(3), geometry.shape)
    moving = image_of((1000 * noise).astype(np.float32), geometry)
    moved = warp(moving, T.total_dvf(affine, field), 'linear', -2048.0)
    T.write_total_transform(affine, field, str(tmp_path / 'total.h5'))
    theirs = sitk.Resample(moving, field, sitk.ReadTransform(str(tmp_path / 'total.h5')), sitk.sitkLinear, -2048.0)
    difference = np.abs(array_view(moved) - array_view(theirs))
    both = (array_view(moved) > -2000) & (array_view(theirs) > -2000)
    assert difference[both].max() < 0.05 and both.mean() > 0.3
    # Rounding may put a point that lies on the border of the moving image on either side of it.
    assert (difference > 0.05).mean() < 1e-3


def test_bad_transform_files(tmp_path):
    with pytest.raises(MissingFileError, match='nowhere'):
        T.read_transform(str(tmp_path / 'nowhere.tfm'))
    broken = tmp_path / 'broken.h5'
    T.write_total_transform(None, a_field(), str(broken))
    broken.write_bytes(broken.read_bytes()[:3000])
    for path, text in ((broken, None), (tmp_path / 'x.tfm', 'not a transform')):
        if text:
            path.write_text(text)
        with pytest.raises(InputError, match=path.name):
            T.read_transform(str(path))
    sitk.WriteTransform(sitk.AffineTransform(2), str(tmp_path / 'flat.tfm'))
    with pytest.raises(InputError, match='2D'):
        T.read_transform(str(tmp_path / 'flat.tfm'))
    with pytest.raises(InputError, match='.h5'):
        T.write_total_transform(None, a_field(), str(tmp_path / 'total.tfm'))
    with pytest.raises(InputError, match='.tfm'):
        T.write_affine(an_affine(), str(tmp_path / 'affine.mha'))
