"""The real elastix on small images whose transform is known."""

import os

import numpy as np
import pytest
import SimpleITK as sitk
import transformix_calls
from elastix_truths import an_affine, image_on, inner_points, mapped, needs_elastix, textured_pair

from functions.elastix import registration as R
from functions.elastix.parameter_files import read_parameters, write_parameters
from functions.elastix.transform_files import read_linear_transform
from functions.image.dvf import sample_dvf
from functions.image.geometry import Geometry
from functions.setting.errors import InputError, MissingFileError

QUICK = {'MaximumNumberOfIterations': 100, 'NumberOfSpatialSamples': 1000}


def changed(folder, path=R.AFFINE_FILE, **changes):
    """Path of a copy of a parameter file with other parameters."""
    copy = str(folder / 'changed.txt')
    write_parameters(copy, dict(read_parameters(path), **changes))
    return copy


def whole(image, value=1):
    return image_on(np.full(image.GetSize()[::-1], value, np.uint8), Geometry.of(image))


def error_of(transform, truth, image):
    points = inner_points(Geometry.of(image), 200)
    return np.linalg.norm(mapped(transform, points) - mapped(truth, points), axis=1).mean()


@needs_elastix
def test_affine_finds_a_known_transform_and_keeps_its_files(tmp_path):
    truth, folder = an_affine(size=0.05), tmp_path / 'ke pt ü'
    fixed, moving = textured_pair(truth)
    masks = whole(fixed), whole(moving, 7)
    found = R.affine(fixed, moving, changed(tmp_path, **QUICK), *masks, threads=1, folder=str(folder))
    assert error_of(sitk.AffineTransform(3), truth, fixed) > 1.5
    assert error_of(found, truth, fixed) < 0.2
    assert sorted(os.listdir(str(folder))) == ['TransformParameters.0.txt', 'elastix.log', 'parameters.txt']
    kept = read_linear_transform(str(folder / 'TransformParameters.0.txt'))
    assert kept.GetParameters() == found.GetParameters()
    assert read_parameters(str(folder / 'parameters.txt'))['MaximumNumberOfIterations'] == [100]


@needs_elastix
def test_affine_begins_where_it_is_told(tmp_path):
    truth = an_affine(size=0.05)
    fixed, moving = textured_pair(truth)
    still = changed(
        tmp_path,
        MaximumNumberOfIterations=1,
        NumberOfResolutions=1,
        ImagePyramidSchedule=[1, 1, 1],
        AutomaticParameterEstimation='false',
        SP_a=1e-9,
    )
    found = R.affine(fixed, moving, still, initial=truth, threads=1)
    assert error_of(found, truth, fixed) < 1e-3


@needs_elastix
@pytest.mark.parametrize('resolutions', [1, 3])
def test_bspline_returns_the_total_field_on_the_fixed_grid(tmp_path, resolutions):
    truth, folder = an_affine(size=0.05), tmp_path / 'b spline'
    fixed, moving = textured_pair(truth)
    near = sitk.AffineTransform(truth)
    near.SetTranslation((np.array(truth.GetTranslation()) + (1.0, -1.0, 0.5)).tolist())
    quick = changed(tmp_path, R.BSPLINE_FILES[resolutions], **QUICK)
    field = R.bspline(fixed, moving, quick, whole(fixed), None, near, threads=1, folder=str(folder))
    assert Geometry.of(field) == Geometry.of(fixed) and field.GetPixelID() == sitk.sitkVectorFloat32
    points = inner_points(Geometry.of(fixed), 200)
    errors = np.linalg.norm(points + sample_dvf(field, points) - mapped(truth, points), axis=1)
    assert error_of(near, truth, fixed) == pytest.approx(1.5) and errors.mean() < 0.75
    # What is kept is the same transform, initial one included.
    again = transformix_calls.transform_points(points, str(folder / 'TransformParameters.0.txt'), threads=1)
    np.testing.assert_allclose(again, points + sample_dvf(field, points), atol=0.1)
    assert (folder / 'elastix.log').exists() and (folder / 'InitialTransform.txt').exists()


@needs_elastix
def test_what_elastix_complains_of_is_told(tmp_path):
    fixed, moving = textured_pair(an_affine())
    far = sitk.Image(moving)
    far.SetOrigin((5000.0, 0.0, 0.0))
    with pytest.raises(InputError, match='elastix failed: .*(sample|Too many)'):
        R.affine(fixed, far, changed(tmp_path, **QUICK), threads=1, folder=str(tmp_path / 'kept'))
    assert 'parameters' in (tmp_path / 'kept' / 'elastix.log').read_text()
    with pytest.raises(InputError, match='NoSuchMetric'):
        R.affine(fixed, moving, changed(tmp_path, Metric='NoSuchMetric'), threads=1)


def test_bad_input_is_refused_before_elastix_runs(tmp_path, monkeypatch):
    fixed, moving = textured_pair(an_affine())
    with pytest.raises(InputError, match='fixed image is empty'):
        R.affine(fixed, moving, R.AFFINE_FILE, whole(fixed, 0))
    with pytest.raises(InputError, match='same grid'):
        R.affine(fixed, moving, R.AFFINE_FILE, None, whole(fixed))
    with pytest.raises(MissingFileError, match='nowhere'):
        R.affine(fixed, moving, str(tmp_path / 'nowhere.txt'))
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(MissingFileError, match='install'):
        R.affine(fixed, moving, R.AFFINE_FILE)
