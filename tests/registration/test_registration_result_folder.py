"""The folder of results: whole, never over another's, and every tool gets the same out of it as we do."""

import gzip
import json
import os
import struct

import numpy as np
import pytest
import SimpleITK as sitk
import transformix_calls
from oracle import CENTRE, GRIDS, Oracle, chest_image, grid_image, motion

from functions.elastix.__main__ import main as elastix_command
from functions.elastix.programs import is_available
from functions.image.claim import claim_folder
from functions.image.geometry import Geometry
from functions.image.point_files import read_points, write_points
from functions.image.transforms import affine_from_matrix, write_affine
from functions.registration import apply, register, result_folder
from functions.setting.errors import InputError, MissingFileError

needs_elastix = pytest.mark.skipif(
    not is_available(), reason='elastix and transformix are not on the PATH (Debian: apt-get install elastix)'
)
AFFINE = affine_from_matrix(
    np.eye(3) + np.array([[0.03, -0.02, 0.01], [0.04, 0.02, 0.0], [-0.01, 0.03, -0.02]]), (2.0, -3.0, 1.5), CENTRE
)


@pytest.fixture(scope='module')
def pair():
    fixed, lung = chest_image(grid_image(*GRIDS['oblique']))
    moving, moving_lung = chest_image(grid_image((80, 74, 46), (1.1, 1.2, 1.9), GRIDS['oblique'][2].T), seed=1)
    return fixed, lung, moving, moving_lung


def registered(pair, affine, **options):
    fixed, lung, moving, moving_lung = pair
    options.update(fixed_lung=lung, moving_lung=moving_lung, affine=affine, keep_all_stages=True)
    return register(fixed, moving, Oracle(fixed, [4]).networks(), **options)


@pytest.fixture(scope='module', params=['none', 'affine'])
def written(request, pair, tmp_path_factory):
    """(registration, folder of its results) without and with an affine transform."""
    folder = tmp_path_factory.mktemp(request.param)
    affine = 'none'
    if request.param == 'affine':
        affine = str(folder / 'given.tfm')
        write_affine(AFFINE, affine)
    registration = registered(pair, affine)
    write(registration, str(folder / 'out'), inverse=True)
    return registration, str(folder / 'out')


def write(registration, folder, inverse=False, overwrite=False, file_format='mha'):
    with claim_folder(folder) as require_ours, result_folder.Draft(
        folder, file_format, overwrite, require_ours
    ) as draft:
        return draft.finish(registration, inverse)


def read(folder, name):
    return sitk.ReadImage(os.path.join(folder, name))


def array(image):
    return sitk.GetArrayFromImage(image)


def test_everything_is_there_and_on_the_fixed_grid_to_the_last_bit(pair, written):
    registration, folder = written
    with_affine = registration.affine.method != 'none'
    expected = {
        'displacement.mha',
        'transform.h5',
        'moved.mha',
        'jacobian.mha',
        'fixed_lung.nii.gz',
        'inverse.mha',
        'results.json',
        'TransformParameters.0.txt',
    }
    if with_affine:
        expected |= {'displacement_nonrigid.mha', 'affine.tfm', 'TransformParameters.1.txt'}
    assert set(os.listdir(folder)) == expected
    for name in ('displacement.mha', 'moved.mha', 'jacobian.mha'):
        assert Geometry.of(read(folder, name)) == Geometry.of(pair[0])
    lung = read(folder, 'fixed_lung.nii.gz')
    assert lung.GetPixelID() == sitk.sitkUInt8 and Geometry.of(lung).matches(Geometry.of(pair[0]))
    np.testing.assert_array_equal(array(lung), array(pair[1]))
    assert Geometry.of(read(folder, 'inverse.mha')) == Geometry.of(pair[2])
    assert read(folder, 'displacement.mha').GetPixelID() == sitk.sitkVectorFloat32
    assert read(folder, 'moved.mha').GetPixelID() == sitk.sitkInt16
    assert not [name for name in os.listdir(os.path.dirname(folder)) if name.startswith('.')]


def test_the_record_says_what_was_done(pair, written):
    registration, folder = written
    with open(os.path.join(folder, 'results.json')) as stream:
        record = json.load(stream)
    assert record['settings']['stages'] == [4] and record['settings']['input_mask'] == 'Lung'
    assert record['settings']['networks']['4']['normalization'] == 'lung'
    assert record['measures']['folding_percent'] == 0 and record['measures']['measured_inside'] == 'Lung'
    assert set(record['measures']['intensity']) >= {'before', 'after'}
    assert record['measures']['used'].endswith('4') and record['measures']['used'] in record['measures']['likeness']
    assert record['seconds']['network of stage 4'] > 0 and record['seconds']['writing'] > 0
    assert record['versions']['numpy'] == np.__version__ and record['versions']['tensorflow']
    assert record['affine']['method'] == registration.affine.method
    for role, mask in (('fixed', pair[1]), ('moving', pair[3])):
        volume = array(mask).sum() * np.prod(mask.GetSpacing()) / 1000
        found = record['lungs'][role]
        assert found['right_ml'] + found['left_ml'] == pytest.approx(volume, rel=0.1, abs=3), role


def test_simpleitk_with_our_files_makes_our_moved_image(pair, written):
    registration, folder = written
    fixed, _, moving, _ = pair
    field = sitk.ReadImage(os.path.join(folder, 'displacement.mha'), sitk.sitkVectorFloat64)
    for transform in (
        sitk.ReadTransform(os.path.join(folder, 'transform.h5')),
        sitk.DisplacementFieldTransform(field),
        registration.transform,
    ):
        moved = sitk.Resample(moving, fixed, transform, sitk.sitkBSpline, -1024.0, sitk.sitkFloat32)
        difference = np.abs(array(moved) - array(read(folder, 'moved.mha')))
        # Ours is rounded to whole HU.
        assert difference.max() < 0.6


@needs_elastix
def test_transformix_makes_our_moved_image_and_points(pair, written):
    registration, folder = written
    with open(os.path.join(folder, 'results.json')) as stream:
        parameter_file = os.path.join(folder, json.load(stream)['transformix'])
    moved = array(transformix_calls.transform_image(pair[2], parameter_file, default=-1024.0, threads=1)).astype(float)
    ours = array(read(folder, 'moved.mha')).astype(float)
    inner = (slice(1, -1),) * 3  # the outermost voxels aside: transformix has no field at the very edge
    difference = np.abs(moved - ours)[inner]
    assert np.percentile(difference, 99.5) <= 1 and (difference > 2).mean() < 1e-3
    index = np.random.RandomState(0).uniform(0.1, 0.9, (20, 3)) * (np.array(pair[0].GetSize()) - 1)
    points = Geometry.of(pair[0]).index_to_world(index)
    expected = [registration.transform.TransformPoint(point) for point in points.tolist()]
    np.testing.assert_allclose(
        transformix_calls.transform_points(points, parameter_file, threads=1), expected, atol=1e-4
    )


@needs_elastix
def test_transformix_finds_its_files_again_after_the_folder_has_moved(written, tmp_path):
    import shutil

    _, folder = written
    moved = str(tmp_path / 'elsewhere')
    shutil.copytree(folder, moved)
    text = open(os.path.join(moved, 'TransformParameters.0.txt')).read()
    assert os.path.abspath(folder) in text and moved not in text
    assert elastix_command(['rewrite', moved]) == 0
    text = open(os.path.join(moved, 'TransformParameters.0.txt')).read()
    assert moved in text and os.path.abspath(folder) not in text


def test_the_inverse_leads_back(pair, written):
    registration, folder = written
    inside = CENTRE + np.random.RandomState(1).uniform(-12, 12, (50, 3))
    there = np.array([registration.transform.TransformPoint(point) for point in inside.tolist()])
    field = sitk.DisplacementFieldTransform(sitk.ReadImage(os.path.join(folder, 'inverse.mha'), sitk.sitkVectorFloat64))
    back = np.array([field.TransformPoint(point) for point in there.tolist()])
    assert np.linalg.norm(there - inside, axis=1).max() > 5
    assert np.linalg.norm(back - inside, axis=1).max() < 0.2
    with open(os.path.join(folder, 'results.json')) as stream:
        assert json.load(stream)['measures']['inverse_residual_mm'] < 0.2


# ---- other formats


def nrrd_header(path):
    with open(path, 'rb') as stream:
        return stream.read(2000).split(b'\n\n')[0].decode().splitlines()


@pytest.mark.parametrize('ending', ['nrrd', 'nii.gz'])
def test_other_formats_hold_the_same_and_say_that_they_are_displacement_fields(written, tmp_path, ending):
    registration, folder = written
    other = str(tmp_path / 'out')
    write(registration, other, inverse=True, file_format=ending)
    stems = {name.split('.')[0]: name for name in os.listdir(folder)}
    assert {name.split('.')[0]: name for name in os.listdir(other)} == {
        stem: f'{stem}.{ending}' if name.endswith(('.mha', '.nii.gz')) else name for stem, name in stems.items()
    }
    for stem, name in stems.items():
        if name.endswith(('.mha', '.nii.gz')):
            ours, theirs = read(folder, name), read(other, f'{stem}.{ending}')
            assert Geometry.of(theirs).matches(ours, 1e-10 if 'nii' not in name + ending else 1e-4)
            assert theirs.GetPixelID() == ours.GetPixelID()
            np.testing.assert_array_equal(array(theirs), array(ours))
    if ending == 'nrrd':  # what 3D Slicer opens as a transform
        header = nrrd_header(os.path.join(other, 'displacement.nrrd'))
        assert 'kinds: vector domain domain domain' in header and 'space: left-posterior-superior' in header
    else:  # a vector per voxel, as ITK and ANTs read it
        with gzip.open(os.path.join(other, 'displacement.nii.gz')) as stream:
            header = stream.read(348)
        assert struct.unpack('<6h', header[40:52])[0::5] == (5, 3) and struct.unpack('<h', header[68:70]) == (1007,)
    assert result_folder.problem_of(other) == ''
    sitk.WriteImage(registration.moving, str(tmp_path / 'moving.mha'))
    for inverse in (False, True):
        out = [
            apply.apply_to_image(one, str(tmp_path / 'moving.mha'), str(tmp_path / name), inverse=inverse)
            for one, name in ((folder, f'a{inverse}.mha'), (other, f'b{inverse}.mha'))
        ]
        difference = np.abs(np.subtract(*[array(sitk.ReadImage(path)).astype(int) for path in out]))
        assert difference.max() <= (1 if ending == 'nii.gz' else 0)  # NIfTI rounds the geometry
    flip = os.path.join(other, f'displacement.{ending}')
    with open(flip, 'r+b') as stream:
        stream.seek(-9, os.SEEK_END)
        stream.write(b'XX')
    with pytest.raises(InputError, match=f'displacement.{ending} is not what was written'):
        apply.apply_to_image(other, str(tmp_path / 'moving.mha'), str(tmp_path / 'c.mha'))


def test_results_in_another_format_replace_those_before(written, tmp_path):
    registration = written[0]
    write(registration, str(tmp_path), file_format='nrrd')
    write(registration, str(tmp_path), overwrite=True)
    assert (tmp_path / 'moved.mha').exists() and not [name for name in os.listdir(str(tmp_path)) if 'nrrd' in name]


@needs_elastix
@pytest.mark.parametrize('ending', ['nrrd', 'nii.gz'])
def test_transformix_takes_every_format(written, tmp_path, ending):
    registration = written[0]
    write(registration, str(tmp_path / 'out'), file_format=ending)
    name = 'TransformParameters.0.txt' if registration.affine.method == 'none' else 'TransformParameters.1.txt'
    points = CENTRE + np.random.RandomState(3).uniform(-12, 12, (10, 3))
    expected = [registration.transform.TransformPoint(point) for point in points.tolist()]
    found = transformix_calls.transform_points(points, str(tmp_path / 'out' / name), threads=1)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize('ending', ['mha', 'nii.gz', 'nrrd', 'h5'])
def test_ants_applies_our_transforms(written, tmp_path, ending):
    ants = pytest.importorskip('ants')  # optional: pip install antspyx
    registration, folder = written
    if ending in ('nii.gz', 'nrrd'):
        folder = str(tmp_path / 'out')
        write(registration, folder, file_format=ending)
    transform = os.path.join(folder, 'transform.h5' if ending == 'h5' else f'displacement.{ending}')
    for name, image in (('fixed', registration.fixed), ('moving', registration.moving)):
        sitk.WriteImage(sitk.Cast(image, sitk.sitkFloat32), str(tmp_path / f'{name}.nii.gz'))
    images = [ants.image_read(str(tmp_path / f'{name}.nii.gz')) for name in ('fixed', 'moving')]
    theirs = ants.apply_transforms(*images, [transform], interpolator='linear', defaultvalue=-1024).numpy().T
    ours = apply.apply_to_image(folder, str(tmp_path / 'moving.nii.gz'), str(tmp_path / 'ours.mha'), default=-1024)
    ours = array(sitk.ReadImage(ours))
    seen = (ours > -1024) & (theirs > -1024)
    assert seen.mean() > 0.8 and (seen == ((ours > -1024) | (theirs > -1024))).mean() > 0.999
    assert np.abs(ours - theirs)[seen].max() < 0.5


# ---- applying


def test_the_moving_image_itself_becomes_the_moved_one(pair, written, tmp_path):
    _, folder = written
    sitk.WriteImage(pair[2], str(tmp_path / 'other.nii.gz'))
    out = apply.apply_to_image(folder, str(tmp_path / 'other.nii.gz'), str(tmp_path / 'out.mha'), 'bspline', -1024)
    difference = np.abs(array(sitk.ReadImage(out)).astype(int) - array(read(folder, 'moved.mha')))
    assert np.percentile(difference, 99) <= 1  # NIfTI rounds the geometry


def test_labels_keep_their_values(pair, written, tmp_path):
    registration, folder = written
    labels = sitk.Cast(pair[3], sitk.sitkUInt16) * 700 + sitk.Cast(pair[2] > -500, sitk.sitkUInt16) * 3
    sitk.WriteImage(labels, str(tmp_path / 'seg.nrrd'))
    out = sitk.ReadImage(
        apply.apply_to_image(folder, str(tmp_path / 'seg.nrrd'), str(tmp_path / 'seg_moved.nrrd'), 'nearest', 0)
    )
    expected = sitk.Resample(labels, pair[0], registration.transform, sitk.sitkNearestNeighbor, 0)
    assert out.GetPixelID() == sitk.sitkUInt16 and Geometry.of(out).matches(Geometry.of(pair[0]))
    assert (array(out) != array(expected)).mean() < 1e-3
    assert set(np.unique(array(out))) <= {0, 3, 700, 703}


@pytest.mark.parametrize('name', ['points.csv', 'points.fcsv', 'points.mrk.json', 'points.txt'])
def test_points_go_there_and_come_back(written, tmp_path, name):
    registration, folder = written
    points = CENTRE + np.random.RandomState(2).uniform(-12, 12, (15, 3))
    write_points(str(tmp_path / name), points)
    there, residual = apply.apply_to_points(folder, str(tmp_path / name), str(tmp_path / ('there' + name)))
    expected = [registration.transform.TransformPoint(point) for point in points.tolist()]
    np.testing.assert_allclose(read_points(there).points, expected, atol=2e-3)
    assert residual == 0
    back, residual = apply.apply_to_points(folder, there, str(tmp_path / ('back' + name)), inverse=True)
    np.testing.assert_allclose(read_points(back).points, points, atol=5e-3)
    assert residual < 5e-3


def test_voxel_numbers_are_those_of_the_image_the_points_lie_in(pair, written, tmp_path):
    registration, folder = written
    index = np.array([[18, 20, 12], [25, 28, 14]])
    fixed, moving = Geometry.of(pair[0]), Geometry.of(pair[2])
    (tmp_path / 'points.txt').write_text('index\n2\n' + '\n'.join('{} {} {}'.format(*row) for row in index))
    out, _ = apply.apply_to_points(folder, str(tmp_path / 'points.txt'))
    assert os.path.dirname(out) == folder
    expected = moving.world_to_index(
        [registration.transform.TransformPoint(p) for p in fixed.index_to_world(index).tolist()]
    )
    found = np.loadtxt(out, skiprows=2)
    os.remove(out)
    assert np.abs(found - expected).max() <= 0.5 + 1e-6


def test_what_cannot_be_applied_is_refused(pair, written, tmp_path):
    _, folder = written
    write_points(str(tmp_path / 'far.csv'), np.array([CENTRE, CENTRE + 500]))
    with pytest.raises(InputError, match='1 of 2 points lie outside the fixed image'):
        apply.apply_to_points(folder, str(tmp_path / 'far.csv'))
    with pytest.raises(MissingFileError, match='register first'):
        apply.apply_to_image(str(tmp_path), 'x.mha')
    with pytest.raises(MissingFileError, match='does not exist'):
        apply.apply_to_image(folder, str(tmp_path / 'missing.mha'))
    away = grid_image((12, 12, 12), (1.0, 1.0, 1.0), centre=CENTRE + 900)
    ramp = array(away) + np.arange(12, dtype=np.float32)
    image = sitk.GetImageFromArray(ramp)
    image.CopyInformation(away)
    sitk.WriteImage(image, str(tmp_path / 'away.mha'))
    with pytest.raises(InputError, match='does not overlap'):
        apply.apply_to_image(folder, str(tmp_path / 'away.mha'))
    sitk.WriteImage(pair[2], str(tmp_path / 'other.mha'))
    with pytest.raises(InputError, match='would be replaced'):
        apply.apply_to_image(folder, str(tmp_path / 'other.mha'), str(tmp_path / 'other.mha'), overwrite=True)
    with pytest.raises(InputError, match='already exists'):
        apply.apply_to_image(folder, str(tmp_path / 'other.mha'), str(tmp_path / 'far.csv'))


# ---- nothing is overwritten


def test_a_folder_that_holds_anything_is_left_alone(pair, tmp_path):
    registration = registered(pair, 'none')
    (tmp_path / 'notes.txt').write_text('mine')
    with pytest.raises(InputError, match='not empty'):
        write(registration, str(tmp_path))
    assert os.listdir(str(tmp_path)) == ['notes.txt']
    write(registration, str(tmp_path), inverse=True, overwrite=True)
    assert (tmp_path / 'inverse.mha').exists() and (tmp_path / 'notes.txt').read_text() == 'mine'
    write(registration, str(tmp_path), overwrite=True)
    assert not (tmp_path / 'inverse.mha').exists() and (tmp_path / 'notes.txt').read_text() == 'mine'


def test_a_failure_while_writing_leaves_nothing_behind(pair, tmp_path, monkeypatch):
    registration = registered(pair, 'none')

    def fail(*arguments):
        raise InputError('no')

    monkeypatch.setattr(result_folder, 'write_elastix_transform', fail)
    with pytest.raises(InputError):
        write(registration, str(tmp_path / 'out'))
    assert os.listdir(str(tmp_path)) == []


def test_a_record_of_something_else_is_refused(tmp_path):
    (tmp_path / 'results.json').write_text('{"format": 99}')
    with pytest.raises(InputError, match='no such record: format is 99'):
        result_folder.read_results(str(tmp_path))


def test_results_at_1_mm_still_count_voxels_of_the_fixed_image(pair, tmp_path):
    registration = registered(pair, 'none', grid='isotropic')
    write(registration, str(tmp_path / 'out'))
    index = np.array([[22, 25, 13]])
    (tmp_path / 'points.txt').write_text('index\n1\n22 25 13\n')
    apply.apply_to_points(str(tmp_path / 'out'), str(tmp_path / 'points.txt'), str(tmp_path / 'there.csv'))
    point = Geometry.of(pair[0]).index_to_world(index)
    np.testing.assert_allclose(read_points(str(tmp_path / 'there.csv')).points, point + motion(point), atol=0.2)
