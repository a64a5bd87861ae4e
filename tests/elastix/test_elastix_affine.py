"""Affine registration by every way, on a small textured volume whose transform is known; files; bad input."""

import logging
import os
import stat

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from functions.elastix import affine as A
from functions.elastix import simpleitk_affine as S
from functions.elastix.programs import is_available
from functions.elastix.transform_files import write_linear_transform
from functions.image.geometry import Geometry
from functions.image.transforms import affine_from_matrix, write_affine
from functions.setting.errors import InputError, MissingFileError, UnknownNameError

METHODS = [
    'sitk',
    pytest.param(
        'elastix',
        marks=pytest.mark.skipif(
            not is_available(), reason='elastix is not on the PATH (Debian: apt-get install elastix)'
        ),
    ),
]
CENTRE = (20.0, -30.0, 40.0)


def grid(size, spacing, seed):
    """Oblique grid (seed None: identity direction) around CENTRE."""
    direction = np.eye(3)
    if seed is not None:
        direction = np.linalg.qr(np.random.RandomState(seed).randn(3, 3))[0]
        direction[:, 0] *= np.sign(np.linalg.det(direction))
    half = direction @ (np.array(spacing) * (np.array(size) - 1) / 2)
    return Geometry(tuple(size), tuple(spacing), tuple(np.array(CENTRE) - half), tuple(direction.ravel()))


def image_on(array, geometry):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    return image


def known(seed=0, shift=(3.0, -2.0, 4.0)):
    rng = np.random.RandomState(seed)
    affine = sitk.AffineTransform(3)
    affine.SetMatrix((np.eye(3) + rng.uniform(-0.06, 0.06, (3, 3))).ravel().tolist())
    affine.SetTranslation(shift)
    affine.SetCenter(CENTRE)
    return affine


@pytest.fixture(scope='module')
def texture():
    """A soft body of 90 mm with structure inside, in air."""
    geometry = grid((64, 64, 64), (1.9,) * 3, None)
    noise = ndimage.gaussian_filter(np.random.RandomState(1).randn(64, 64, 64), 2.5)
    z, y, x = np.mgrid[-1:1:64j, -1:1:64j, -1:1:64j]
    body = 1 / (1 + np.exp(30 * (np.sqrt((x / 0.8) ** 2 + (y / 0.65) ** 2 + (z / 0.75) ** 2) - 1)))
    return image_on((-1000 + body * (900 + 500 * noise / np.abs(noise).max())).astype(np.float32), geometry)


def seen(texture, geometry, transform=None, default=-1000.0):
    """The texture on a grid, ``image(transform(p)) = texture(p)``, int16."""
    back = sitk.Transform(3, sitk.sitkIdentity) if transform is None else transform.GetInverse()
    reference = image_on(np.zeros(geometry.shape, np.uint8), geometry)
    return sitk.Cast(
        sitk.Resample(texture, reference, back, sitk.sitkBSpline, default, sitk.sitkFloat32), sitk.sitkInt16
    )


def pair(texture, transform, oblique=True):
    fixed = seen(texture, grid((50, 52, 48), (2.0, 1.9, 2.1), 3 if oblique else None))
    return fixed, seen(texture, grid((60, 56, 58), (1.8, 2.1, 1.9), 5 if oblique else None), transform)


def body_of(image):
    return sitk.Cast(image > -600, sitk.sitkUInt8)


def error(found, truth):
    """Mean distance in mm over the body."""
    points = np.array(CENTRE) + np.random.RandomState(2).uniform(-35, 35, (200, 3))
    return np.mean(
        [np.linalg.norm(np.subtract(found.TransformPoint(p), truth.TransformPoint(p))) for p in points.tolist()]
    )


def affine_of(*arguments, **options):
    return A.register_affine(*arguments, **options).transform


# ---- known transforms


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('masks', [False, True])
def test_a_known_transform_is_found_on_oblique_anisotropic_grids(texture, method, masks):
    truth = known()
    fixed, moving = pair(texture, truth)
    result = A.register_affine(
        fixed, moving, method, body_of(fixed) if masks else None, body_of(moving) if masks else None, threads=1
    )
    assert error(sitk.AffineTransform(3), truth) > 4.5
    assert error(result.transform, truth) < 0.25
    assert isinstance(result.transform, sitk.AffineTransform) and result.method == method
    assert result.after > 0.98 > result.before and result.seconds > 0


@pytest.mark.once
@pytest.mark.parametrize('method', METHODS)
def test_images_that_hardly_overlap_are_brought_together(texture, method):
    truth = known(shift=(90.0, -20.0, 10.0))
    fixed = seen(texture, grid((50, 52, 48), (2.0, 1.9, 2.1), None))
    moving_grid = grid((60, 56, 58), (1.8, 2.1, 1.9), None)
    moved_there = tuple(np.array(moving_grid.origin) + (85.0, -15.0, 5.0))
    moving = seen(texture, moving_grid._replace(origin=moved_there), truth)
    assert error(affine_of(fixed, moving, method, threads=1), truth) < 0.25


@pytest.mark.once
@pytest.mark.parametrize('method', METHODS)
def test_the_scanned_circle_does_not_matter(texture, method):
    """Voxels of -2048 around what was scanned count as air."""
    truth = known()
    fixed, moving = pair(texture, truth, oblique=False)
    array = sitk.GetArrayFromImage(moving)
    array[:, :8], array[:, -8:] = -2048, -2048
    moving = image_on(array, Geometry.of(moving))
    assert error(affine_of(fixed, moving, method, threads=1), truth) < 0.4


@pytest.mark.once
def test_simpleitk_gives_the_same_twice_and_with_other_threads(texture):
    fixed, moving = pair(texture, known())
    default = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    found = [affine_of(fixed, moving, 'sitk', body_of(fixed), threads=threads).GetParameters() for threads in (1, 4)]
    assert found[0] == found[1]
    assert sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == default


def test_the_body_centre_is_where_it_is():
    array = np.zeros((20, 22, 24), np.uint8)
    array[3:8, 10:15, 16:21] = 1
    geometry = grid((24, 22, 20), (2.0, 1.9, 2.1), 3)
    centre = image_on(array, geometry).TransformIndexToPhysicalPoint((18, 12, 5))
    found, extent = S._centre_and_extent(image_on(array, geometry))
    np.testing.assert_allclose(found, centre, atol=1e-9)
    steps = np.array([np.std(range(5))] * 3) * geometry.spacing  # along the axes of the grid, which are oblique
    variances = (np.array(geometry.direction).reshape(3, 3) * steps) ** 2
    np.testing.assert_allclose(extent, np.sqrt(variances.sum(axis=1)), atol=1e-9)
    assert S._centre_and_extent(image_on(array * 0, geometry)) == (None, None)


@pytest.mark.parametrize('scale', [(1.0, 1.0, 1.35), (0.9, 0.95, 0.7)])
def test_a_mask_of_another_extent_gives_the_start_its_scale(texture, scale):
    """Deep breaths lengthen lungs by more than the optimisers find by themselves."""
    truth = affine_from_matrix(np.diag(scale), np.array(CENTRE) * (1 - np.array(scale)) + (4.0, -3.0, 12.0), CENTRE)
    fixed, moving = pair(texture, truth)
    masks = [S.small_mask(body_of(image)) for image in (fixed, moving)]
    images = [S.small_image(image) for image in (fixed, moving)]
    assert error(S.initial_transform(*images, *masks), truth) < 2 < 6 < error(sitk.AffineTransform(3), truth)
    # Without masks, or with nearly the same extent, the start is a translation.
    for start in (S.initial_transform(*images), S.initial_transform(images[0], images[0], masks[0], masks[0])):
        np.testing.assert_array_equal(start.GetMatrix(), np.eye(3).ravel())


def test_correlation_is_numpys(texture):
    fixed, moving = pair(texture, known(), oblique=False)
    resampled = sitk.Resample(
        sitk.Cast(moving, sitk.sitkFloat32),
        fixed,
        known(),
        sitk.sitkLinear,
        float(sitk.GetArrayViewFromImage(moving).min()),
    )
    inside = sitk.GetArrayFromImage(body_of(fixed)) > 0
    truth = np.corrcoef(*[sitk.GetArrayFromImage(image)[inside] for image in (fixed, resampled)])[0, 1]
    found = S.correlation(
        sitk.Cast(fixed, sitk.sitkFloat32), sitk.Cast(moving, sitk.sitkFloat32), known(), body_of(fixed)
    )
    assert found == pytest.approx(truth, abs=1e-5)
    assert S.correlation(fixed * 0 + 3.0, sitk.Cast(moving, sitk.sitkFloat32)) == 0.0


# ---- none, files, default


def test_none_changes_nothing(texture):
    fixed, moving = pair(texture, known())
    result = A.register_affine(fixed, moving, 'none')
    assert result.transform.GetParameters() == sitk.AffineTransform(3).GetParameters()
    assert result.before == result.after


@pytest.mark.parametrize('name', ['a.tfm', 'a.h5', 'a.txt', 'TransformParameters.0.txt'])
def test_transforms_from_files(texture, tmp_path, name):
    truth = known()
    fixed, moving = pair(texture, truth)
    path = str(tmp_path / 'a folder' / name)
    if name.startswith('Transform'):
        write_linear_transform(path, truth, fixed)
    else:
        write_affine(truth, path)
    result = A.register_affine(fixed, moving, path)
    assert result.transform.GetParameters() == pytest.approx(truth.GetParameters(), abs=1e-12)
    assert result.method == path and result.after > result.before


def test_the_default_is_elastix_where_it_is_and_the_log_says_which(texture, monkeypatch, tmp_path, caplog):
    fixed, moving = pair(texture, known())
    caplog.set_level(logging.INFO)
    monkeypatch.setenv('PATH', str(tmp_path))
    assert A.register_affine(fixed, moving).method == 'sitk'
    assert 'no elastix on the PATH' in caplog.text
    for name in ('elastix', 'transformix'):
        (tmp_path / name).write_text('#!/bin/sh\necho ERROR: a stand-in; exit 1\n')
        os.chmod(str(tmp_path / name), stat.S_IRWXU)
    with pytest.raises(InputError, match='a stand-in'):
        affine_of(fixed, moving)


@pytest.mark.once
def test_elastix_keeps_its_files_where_asked(texture, tmp_path):
    if not is_available():
        pytest.skip('elastix is not on the PATH (Debian: apt-get install elastix)')
    fixed, moving = pair(texture, known())
    folder = str(tmp_path / 'aff ine')
    found = affine_of(fixed, moving, 'elastix', threads=1, folder=folder)
    again = affine_of(fixed, moving, os.path.join(folder, 'TransformParameters.0.txt'))
    assert again.GetParameters() == found.GetParameters() and 'elastix.log' in os.listdir(folder)


def test_the_similarity_of_a_transform_that_does_harm_falls(texture, tmp_path):
    fixed, moving = pair(texture, sitk.AffineTransform(3))
    write_affine(affine_from_matrix(np.eye(3), (12.0, 0.0, 0.0)), str(tmp_path / 'worse.tfm'))
    result = A.register_affine(fixed, moving, str(tmp_path / 'worse.tfm'))
    assert result.after < result.before


# ---- bad input


def test_images_and_masks_that_cannot_be(texture):
    fixed, moving = pair(texture, known())
    far = sitk.Image(moving)
    far.SetOrigin((900.0, 0.0, 0.0))
    for method in ('none', 'sitk'):
        with pytest.raises(InputError, match='does not overlap'):
            affine_of(fixed, far, method)
    with pytest.raises(InputError, match='fixed image is empty'):
        affine_of(fixed, moving, 'sitk', body_of(fixed) * 0)
    with pytest.raises(InputError, match='moving image is empty'):
        affine_of(fixed, moving, 'sitk', None, body_of(moving) * 0)
    with pytest.raises(InputError, match='same grid'):
        affine_of(fixed, moving, 'sitk', body_of(moving))
    array = sitk.GetArrayFromImage(sitk.Cast(moving, sitk.sitkFloat32))
    array[3, 4, 5] = np.nan
    with pytest.raises(InputError, match='moving image contains NaN'):
        affine_of(fixed, image_on(array, Geometry.of(moving)), 'sitk')
    with pytest.raises(InputError, match='3D'):
        affine_of(fixed, sitk.Image([8, 8], sitk.sitkInt16), 'sitk')


def test_methods_and_files_that_cannot_be(texture, tmp_path, monkeypatch):
    fixed, moving = pair(texture, known())
    with pytest.raises(UnknownNameError, match="'elastix'"):
        affine_of(fixed, moving, 'elastics')
    with pytest.raises(MissingFileError, match='nowhere.tfm'):
        affine_of(fixed, moving, str(tmp_path / 'nowhere.tfm'))
    (tmp_path / 'x.txt').write_text('hello')
    with pytest.raises(InputError, match='x.txt'):
        affine_of(fixed, moving, str(tmp_path / 'x.txt'))
    field = sitk.DisplacementFieldTransform(sitk.Image([4, 4, 4], sitk.sitkVectorFloat64))
    sitk.WriteTransform(field, str(tmp_path / 'field.h5'))
    with pytest.raises(InputError, match='field.h5.*not linear'):
        affine_of(fixed, moving, str(tmp_path / 'field.h5'))
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(MissingFileError, match='install'):
        affine_of(fixed, moving, 'elastix')


@pytest.mark.parametrize(
    'matrix', [np.diag([-1.0, 1.0, 1.0]), np.zeros((3, 3)), np.eye(3) * 3, np.diag([1.0, 1.0, 0.3])]
)
def test_degenerate_transforms_are_refused(texture, tmp_path, matrix):
    fixed, moving = pair(texture, known())
    write_affine(affine_from_matrix(matrix, centre=CENTRE), str(tmp_path / 'bad.tfm'))
    with pytest.raises(InputError, match='degenerate'):
        affine_of(fixed, moving, str(tmp_path / 'bad.tfm'))


def test_a_transform_that_leads_outside_is_refused(texture, tmp_path):
    fixed, moving = pair(texture, known())
    write_affine(affine_from_matrix(np.eye(3), (900.0, 0.0, 0.0)), str(tmp_path / 'away.tfm'))
    with pytest.raises(InputError, match='after the affine'):
        affine_of(fixed, moving, str(tmp_path / 'away.tfm'))
