"""TransformParameters files: read exactly, and the real transformix does with ours what SimpleITK does."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk
import transformix_calls
from elastix_truths import (
    FIXED_GRID,
    a_field,
    an_affine,
    image_on,
    inner_points,
    mapped,
    moving_image,
    needs_elastix,
    total,
)

from functions.elastix import transform_files as F
from functions.elastix.parameter_files import format_parameters, read_parameters
from functions.elastix.registration import deformation_field
from functions.image.transforms import total_dvf, write_total_transform
from functions.image.volume_io import array_view, write_image
from functions.setting.errors import InputError, MissingFileError

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def euler(zyx):
    transform = sitk.Euler3DTransform((11.0, -7.0, 30.0), 0.1, -0.2, 0.15, (1.0, 2.0, -3.0))
    transform.SetComputeZYX(zyx)
    return transform


def write_kind(path, kind, transform, centre=(11.0, -7.0, 30.0), initial=F.NO_INITIAL, **more):
    parameters = F.linear_parameters(an_affine(), FIXED_GRID, initial=initial)
    parameters.update(
        Transform=kind,
        NumberOfParameters=len(transform.GetParameters()),
        TransformParameters=list(transform.GetParameters()),
        CenterOfRotationPoint=list(centre),
        **more,
    )
    path.write_text(format_parameters(parameters))
    return str(path)


KINDS = [
    ('AffineTransform', an_affine(), {}),
    ('EulerTransform', euler(False), {'ComputeZYX': 'false'}),
    ('EulerTransform', euler(True), {'ComputeZYX': 'true'}),
    ('EulerTransform', euler(False), {}),
    ('TranslationTransform', sitk.TranslationTransform(3, (1.0, -2.0, 3.0)), {}),
]


@pytest.mark.parametrize('kind, truth, more', KINDS)
def test_linear_transforms_are_read_exactly(tmp_path, kind, truth, more):
    path = write_kind(tmp_path / 't.txt', kind, truth, **more)
    np.testing.assert_allclose(
        mapped(F.read_linear_transform(path), inner_points()), mapped(truth, inner_points()), atol=1e-10
    )


@needs_elastix
@pytest.mark.parametrize('kind, truth, more', KINDS)
def test_linear_transforms_are_what_transformix_takes_them_for(tmp_path, kind, truth, more):
    path = write_kind(tmp_path / 't.txt', kind, truth, **more)
    np.testing.assert_allclose(
        transformix_calls.transform_points(inner_points(), path, threads=1),
        mapped(F.read_linear_transform(path), inner_points()),
        atol=2e-6,
    )


def chain(folder):
    """Euler after affine: T(p) = euler(affine(p))."""
    F.write_linear_transform(str(folder / 'first.txt'), an_affine(), FIXED_GRID)
    return write_kind(folder / 'second.txt', 'EulerTransform', euler(False), initial=str(folder / 'first.txt'))


def test_the_initial_transform_comes_first(tmp_path):
    truth = mapped(euler(False), mapped(an_affine(), inner_points()))
    found = mapped(F.read_linear_transform(chain(tmp_path)), inner_points())
    np.testing.assert_allclose(found, truth, atol=1e-9)


@needs_elastix
def test_the_initial_transform_comes_first_in_transformix_too(tmp_path):
    truth = mapped(euler(False), mapped(an_affine(), inner_points()))
    found = transformix_calls.transform_points(inner_points(), chain(tmp_path), threads=1)
    np.testing.assert_allclose(found, truth, atol=2e-6)


def test_an_affine_transform_goes_through_a_file_to_the_last_bit(tmp_path):
    F.write_linear_transform(str(tmp_path / 'a.txt'), an_affine(), FIXED_GRID)
    again = F.read_linear_transform(str(tmp_path / 'a.txt'))
    assert again.GetParameters() == an_affine().GetParameters()
    assert again.GetCenter() == an_affine().GetCenter()


# ---- affine after nonrigid, in the real transformix


def write_both(folder, affine, extension='.mha'):
    path = os.path.join(str(folder), 'DVF' + extension)
    write_image(a_field(), path)
    return F.write_total_transform(str(folder), path, FIXED_GRID, affine)


@needs_elastix
@pytest.mark.parametrize('with_affine', [False, True])
def test_transformix_makes_the_image_that_simpleitk_makes_of_our_h5(tmp_path, with_affine):
    affine = an_affine() if with_affine else None
    path = write_both(tmp_path, affine)
    theirs = transformix_calls.transform_image(moving_image(), path, threads=1)
    write_total_transform(affine, a_field(), str(tmp_path / 'total.h5'))
    reference = image_on(np.zeros(FIXED_GRID.shape, np.uint8), FIXED_GRID)
    ours = sitk.Resample(
        moving_image(),
        reference,
        sitk.ReadTransform(str(tmp_path / 'total.h5')),
        sitk.sitkBSpline,
        -2048.0,
        sitk.sitkFloat32,
    )
    assert theirs.GetPixelID() == sitk.sitkInt16
    for get in ('GetSize', 'GetSpacing', 'GetOrigin', 'GetDirection'):
        assert getattr(theirs, get)() == getattr(reference, get)()
    difference = np.abs(array_view(theirs) - array_view(ours))[1:-1, 1:-1, 1:-1]
    assert difference.max() < 1.01  # transformix cuts off what follows the point
    assert (array_view(ours) > -2048).mean() > 0.9


@needs_elastix
def test_transformix_takes_points_where_simpleitk_takes_them(tmp_path):
    truth = mapped(total(an_affine(), a_field()), inner_points())
    found = transformix_calls.transform_points(inner_points(), write_both(tmp_path, an_affine()), threads=1)
    np.testing.assert_allclose(found, truth, atol=2e-6)
    swapped = (
        mapped(an_affine(), inner_points())
        + mapped(total(sitk.AffineTransform(3), a_field()), inner_points())
        - inner_points()
    )
    assert np.abs(swapped - truth).max() > 0.05


@needs_elastix
@pytest.mark.parametrize('extension', ['.mha', '.nii.gz', '.nrrd'])
def test_transformix_returns_the_total_field(tmp_path, extension):
    found = deformation_field(write_both(tmp_path, an_affine(), extension), threads=1)
    # At the outermost voxels rounding decides whether transformix is still inside the field.
    inner = (slice(1, -1),) * 3
    truth = array_view(total_dvf(an_affine(), a_field()))
    np.testing.assert_allclose(array_view(found)[inner], truth[inner], atol=1e-4)
    assert found.GetPixelID() == sitk.sitkVectorFloat32


@needs_elastix
def test_transformix_moves_masks(tmp_path):
    mask = sitk.Cast(moving_image() > 0, sitk.sitkUInt8) * 3
    found = transformix_calls.transform_mask(mask, write_both(tmp_path, an_affine()), threads=1)
    reference = image_on(np.zeros(FIXED_GRID.shape, np.uint8), FIXED_GRID)
    truth = sitk.Resample(mask, reference, total(an_affine(), a_field()), sitk.sitkNearestNeighbor, 0.0)
    assert found.GetPixelID() == sitk.sitkUInt8 and set(np.unique(array_view(found))) == {0, 1}
    different = (array_view(found) != (array_view(truth) > 0))[1:-1, 1:-1, 1:-1]
    assert different.mean() < 2e-3


# ---- folders

STRANGE = ['with space', 'ünï-çødé', "quote'and(brackets)[x]"]


@needs_elastix
@pytest.mark.parametrize('name', STRANGE + ['a,b & 50% #1'])
def test_strange_folders(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    path = write_both(folder, an_affine())
    truth = mapped(total(an_affine(), a_field()), inner_points())
    np.testing.assert_allclose(transformix_calls.transform_points(inner_points(), path, threads=1), truth, atol=2e-6)


def call_transformix_as_a_user(path, out, working_directory):
    """Points through transformix without our help."""
    (out / 'p.txt').write_text('point\n1\n{} {} {}\n'.format(*inner_points()[0]))
    subprocess.check_output(['transformix', '-def', 'p.txt', '-tp', path, '-out', '.'], cwd=working_directory)
    return transformix_calls.read_output_points(str(out / 'outputpoints.txt')).output_point[0]


@needs_elastix
@pytest.mark.parametrize('name', STRANGE)
def test_our_files_work_from_any_working_directory(tmp_path, name):
    folder, elsewhere = tmp_path / name, tmp_path / 'elsewhere'
    folder.mkdir()
    elsewhere.mkdir()
    path = write_both(folder, an_affine())
    truth = mapped(total(an_affine(), a_field()), inner_points()[:1])[0]
    np.testing.assert_allclose(call_transformix_as_a_user(path, elsewhere, str(elsewhere)), truth, atol=2e-6)


@needs_elastix
def test_characters_elastix_refuses_leave_bare_names_that_work_inside_the_folder(tmp_path, caplog):
    folder = tmp_path / 'a & b'
    folder.mkdir()
    path = write_both(folder, an_affine())
    assert 'inside this folder' in caplog.text
    truth = mapped(total(an_affine(), a_field()), inner_points()[:1])[0]
    found = call_transformix_as_a_user(os.path.basename(path), folder, str(folder))
    np.testing.assert_allclose(found, truth, atol=2e-6)


@pytest.mark.parametrize('by_command', [False, True])
def test_a_moved_folder_is_put_right(tmp_path, by_command):
    old, new = tmp_path / 'old', tmp_path / 'new place'
    old.mkdir()
    name = os.path.basename(write_both(old, an_affine()))
    (old / 'notes.txt').write_text('(not elastix "/somewhere/DVF.mha")\n')
    with open(str(old / name), 'a') as stream:
        stream.write('// a comment that stays\n')
    shutil.move(str(old), str(new))
    if by_command:
        done = subprocess.run(
            [sys.executable, '-m', 'functions.elastix', 'rewrite', str(new)], cwd=REPOSITORY, stdout=subprocess.PIPE
        )
        assert done.returncode == 0 and done.stdout.count(b'rewritten') == 2
    else:
        assert len(F.rewrite_paths(str(new))) == 2
    outer, field = F.read_chain(str(new / name))
    assert field[F.FIELD_KEY] == [str(new / 'DVF.mha')]
    assert read_parameters(str(new / name))[F.INITIAL_KEYS[0]] == [str(new / 'TransformParameters.0.txt')]
    assert 'a comment that stays' in (new / name).read_text()
    assert '/somewhere/' in (new / 'notes.txt').read_text()
    assert F.rewrite_paths(str(new)) == []


def test_rewriting_never_makes_a_file_build_upon_itself(tmp_path):
    first, second = tmp_path / 'affine', tmp_path / 'bspline'
    first.mkdir()
    second.mkdir()
    F.write_linear_transform(str(first / 'TransformParameters.0.txt'), an_affine(), FIXED_GRID)
    F.write_linear_transform(
        str(second / 'TransformParameters.0.txt'),
        an_affine(),
        FIXED_GRID,
        initial=str(first / 'TransformParameters.0.txt'),
    )
    assert F.rewrite_paths(str(second)) == []
    assert len(F.read_chain(str(second / 'TransformParameters.0.txt'))) == 2


# ---- errors


def test_errors_of_reading(tmp_path):
    path = tmp_path / 't.txt'
    write_kind(path, 'BSplineTransform', sitk.TranslationTransform(3, (1.0, 2.0, 3.0)))
    with pytest.raises(InputError, match='BSplineTransform'):
        F.read_linear_transform(str(path))
    write_kind(path, 'AffineTransform', sitk.TranslationTransform(3, (1.0, 2.0, 3.0)))
    with pytest.raises(InputError, match='12 TransformParameters'):
        F.read_linear_transform(str(path))
    write_kind(path, 'TranslationTransform', sitk.TranslationTransform(3, (1.0, float('nan'), 3.0)))
    with pytest.raises(InputError, match='damaged'):
        F.read_linear_transform(str(path))
    write_kind(path, 'TranslationTransform', sitk.TranslationTransform(3, (1.0, 2.0, 3.0)), initial=str(path))
    with pytest.raises(InputError, match='its own initial'):
        F.read_linear_transform(str(path))
    write_kind(path, 'TranslationTransform', sitk.TranslationTransform(3, (1.0, 2.0, 3.0)), initial='/gone.txt')
    with pytest.raises(MissingFileError, match='rewrite'):
        F.read_linear_transform(str(path))
    path.write_text('(Metric "x")\n')
    with pytest.raises(InputError, match='Transform is missing'):
        F.read_linear_transform(str(path))
    chain(tmp_path)
    path.write_text((tmp_path / 'second.txt').read_text().replace('"Compose"', '"Add"'))
    with pytest.raises(InputError, match='Add'):
        F.read_linear_transform(str(path))


def test_errors_of_writing_and_rewriting(tmp_path, capsys):
    with pytest.raises(MissingFileError, match='DVF'):
        F.write_total_transform(str(tmp_path), str(tmp_path / 'DVF.mha'), FIXED_GRID)
    write_image(a_field(), str(tmp_path / 'DVF.mha'))
    with pytest.raises(InputError, match='in the folder of its parameter files'):
        F.write_total_transform(str(tmp_path / 'other'), str(tmp_path / 'DVF.mha'), FIXED_GRID)
    with pytest.raises(MissingFileError, match='no TransformParameters'):
        F.rewrite_paths(str(tmp_path))
    F.write_total_transform(str(tmp_path), str(tmp_path / 'DVF.mha'), FIXED_GRID, an_affine())
    os.remove(str(tmp_path / 'DVF.mha'))
    with pytest.raises(MissingFileError, match='DVF.mha'):
        F.rewrite_paths(str(tmp_path))
    from functions.elastix.__main__ import main

    assert main(['rewrite', str(tmp_path)]) == 2 and 'DVF.mha' in capsys.readouterr().err


def test_output_points_are_parsed(tmp_path):
    path = tmp_path / 'outputpoints.txt'
    path.write_text(
        'Point\t0\t; InputIndex = [ 1 2 3 ]\t; InputPoint = [ 1.5 -2 3e1 ]\t; '
        'OutputIndexFixed = [ 4 5 6 ]\t; OutputPoint = [ 7.25 8 9 ]\t; '
        'Deformation = [ 5.75 10 -21 ]\t; OutputIndexMoving = [ 0 0 0 ]\n'
    )
    found = transformix_calls.read_output_points(str(path))
    assert found.input_index.tolist() == [[1, 2, 3]] and found.input_index.dtype == np.int64
    assert found.input_point.tolist() == [[1.5, -2.0, 30.0]]
    assert found.output_index_fixed.tolist() == [[4, 5, 6]]
    assert found.output_point.tolist() == [[7.25, 8.0, 9.0]]
    assert found.deformation.tolist() == [[5.75, 10.0, -21.0]]
    path.write_text('Point 0; InputIndex = [ 1 2 ]\n')
    with pytest.raises(InputError, match='outputpoints.txt'):
        transformix_calls.read_output_points(str(path))
    assert transformix_calls.transform_points(np.zeros((0, 3)), 'any').shape == (0, 3)
