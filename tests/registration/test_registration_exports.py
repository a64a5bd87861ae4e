"""Results in the layouts of other programs, judged by what those do with them."""

import glob
import json
import os
import shutil
import subprocess

import numpy as np
import pytest
import SimpleITK as sitk
from oracle import CENTRE, GRIDS, Oracle, chest_image, grid_image, points_of
from scipy.ndimage import map_coordinates

from functions import __version__
from functions.image.claim import claim_folder
from functions.image.transforms import affine_from_matrix, write_affine
from functions.preprocessing.dicom import read_series
from functions.registration import dicom_export, register, result_folder
from functions.registration.exports import require_exportable, write_exports
from functions.registration.pair_lists import Pair, register_pairs
from functions.setting.code_version import own_commit
from functions.setting.errors import InputError
from tests.preprocessing.dicom_files import write_slices

AFFINE = affine_from_matrix(
    np.eye(3) + np.array([[0.03, -0.02, 0], [0.04, 0.02, 0], [0, 0.03, -0.02]]), (2, -3, 1.5), CENTRE
)
STUDY = {'PatientName': 'Müller^Änne', 'PatientID': 'p 7', 'PatientSex': 'F', 'PatientBirthDate': '19500102'}
STUDY.update(StudyInstanceUID='1.2.4', StudyDate='20200304', StudyID='5', PatientPosition='HFS')
PRIVATE = {'InstitutionName': 'Hospital', 'PatientAddress': 'Street 1', 'OperatorsName': 'Somebody'}


def write_scan(folder, image, number, with_headers):
    """A DICOM series of an image, with the headers of a patient if pydicom is there."""
    texts = [[f'{value:.12g}' for value in values] for values in (image.GetDirection(), image.GetSpacing())]

    def place(k):
        position = image.TransformIndexToPhysicalPoint((0, 0, k))
        found = {'0020|0032': '\\'.join(f'{value:.12g}' for value in position), '0028|0030': '\\'.join(texts[1][1::-1])}
        found.update({'0020|0037': '\\'.join(texts[0][0::3] + texts[0][1::3]), '0008|0018': f'1.2.3.{number}.{k + 1}'})
        return found

    write_slices(folder, sitk.GetArrayFromImage(image), place, series=f'1.2.5.{number}')
    for path in glob.glob(os.path.join(folder, '*')) if with_headers else ():
        header = dicom_export.pydicom.dcmread(path)
        header.SpecificCharacterSet = 'ISO_IR 100'
        for name, value in dict(STUDY, FrameOfReferenceUID=f'1.2.6.{number}', **PRIVATE).items():
            setattr(header, name, value)
        header.save_as(path)


@pytest.fixture(scope='module')
def registered(tmp_path_factory):
    """(folder of results with an affine transform, fixed image, moving image): scans are DICOM, oblique, not alike."""
    folder = tmp_path_factory.mktemp('exports')
    grids = grid_image(*GRIDS['oblique']), grid_image((60, 58, 30), (1.2, 1.4, 2.3), GRIDS['oblique'][2].T)
    lungs, images = {}, []
    for number, (role, grid) in enumerate(zip(('fixed', 'moving'), grids)):
        image, _ = chest_image(grid, number)
        write_scan(str(folder / role), image, number, dicom_export.pydicom is not None)
        images.append(read_series(str(folder / role)))
        lungs[role + '_lung'] = sitk.Cast(chest_image(images[-1], number)[1], sitk.sitkUInt8)
    write_affine(AFFINE, str(folder / 'given.tfm'))
    options = dict(lungs, affine=str(folder / 'given.tfm'), keep_all_stages=True)
    paths = [str(folder / role) for role in ('fixed', 'moving')]
    found = register(*paths, Oracle(images[0], [4]).networks(), **options)
    write(found, folder / 'out')
    return folder / 'out', found


def write(found, folder, **options):
    with claim_folder(str(folder)), result_folder.Draft(str(folder), **options) as draft:
        draft.finish(found)


def array(image):
    return sitk.GetArrayFromImage(image)


def inner(values):
    """Away from the border, where interpolators differ."""
    return values[3:-3, 3:-3, 3:-3]


# ---- Learn2Reg


def test_learn2reg_evaluation_moves_image_and_landmarks_as_we_do(registered):
    folder, found = registered
    write_exports(str(folder), ['learn2reg'])
    image = sitk.ReadImage(str(folder / 'learn2reg' / 'disp_0000_0001.nii.gz'))
    size = found.fixed.GetSize()
    assert image.GetSize() == size + (3,) and image.GetPixelID() == sitk.sitkFloat32
    # What follows is done as in the challenge's evaluation script, on arrays (x, y, z) as nibabel gives them.
    disp = array(image).transpose(3, 2, 1, 0)
    moving, moved = [array(one).T.astype(float) for one in (found.moving, found.moved)]
    identity = np.meshgrid(*[np.arange(n) for n in size], indexing='ij')
    warped = map_coordinates(moving, identity + disp.transpose(3, 0, 1, 2), order=3, mode='mirror')
    seen = inner(moved > -1024)
    assert seen.mean() > 0.9 and np.percentile(inner(np.abs(warped - moved))[seen], 99.9) <= 1
    landmarks = np.random.RandomState(0).randint(8, np.array(size) - 8, (20, 3))
    there = [found.fixed.TransformIndexToPhysicalPoint([int(i) for i in row]) for row in landmarks]
    there = np.array(
        [found.moving.TransformPhysicalPointToContinuousIndex(found.transform.TransformPoint(p)) for p in there]
    )
    parts = [map_coordinates(disp[..., i], landmarks.T) for i in range(3)]
    tre = np.linalg.norm((landmarks + np.stack(parts, 1) - there) * np.array(found.moving.GetSpacing()), axis=1)
    before = np.linalg.norm((landmarks - there) * np.array(found.moving.GetSpacing()), axis=1)
    assert tre.max() < 1e-3 < 5 < before.max()


def test_learn2reg_names_pairs_by_their_subjects():
    from functions.registration.learn2reg_export import _file_name

    names = ('a/LungCT_0001_0000.nii.gz', 'a/LungCT_0023_0001.nii.gz')
    assert _file_name(*names) == 'disp_0001_0023.nii.gz'
    assert _file_name('fixed.mha', names[1]) == 'disp_0000_0001.nii.gz'


# ---- DICOM


@pytest.fixture(scope='module')
def exported(registered):
    pytest.importorskip('pydicom')
    write_exports(str(registered[0]), ['dicom'])
    return registered[0] / 'dicom'


def slices(exported):
    return [dicom_export.pydicom.dcmread(path) for path in sorted(glob.glob(str(exported / 'moved' / '*')))]


def test_dicom_series_is_the_moved_image_on_the_fixed_grid(registered, exported):
    _, found = registered
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(exported / 'moved')))
    for image in (reader.Execute(), read_series(str(exported / 'moved'))):
        np.testing.assert_array_equal(array(image), array(found.moved))
        corner = [n - 1 for n in image.GetSize()]
        expected = found.fixed.TransformIndexToPhysicalPoint(corner)
        np.testing.assert_allclose(image.TransformIndexToPhysicalPoint(corner), expected, atol=1e-3)


def test_dicom_series_says_what_it_is_and_of_whom_and_nothing_else(registered, exported):
    pydicom, (folder, found) = dicom_export.pydicom, registered
    headers, original = slices(exported), pydicom.dcmread(str(folder.parent / 'fixed' / 's00.dcm'))
    registration = pydicom.dcmread(str(exported / 'registration.dcm'))
    for header in headers + [registration]:
        for name in STUDY:
            assert header.get(name) == original.get(name) or (header is registration and name == 'PatientPosition')
        assert str(header.PatientName) == STUDY['PatientName'] and header.FrameOfReferenceUID == '1.2.6.0'
        assert not [name for name in PRIVATE if name in header]
    assert header.SoftwareVersions == __version__ or list(header.SoftwareVersions) == [__version__, own_commit()]
    uids = [header.SOPInstanceUID for header in headers + [registration]]
    assert len(set(uids)) == len(uids) and all(pydicom.uid.UID(uid).is_valid for uid in uids)
    assert len({header.SeriesInstanceUID for header in headers}) == 1
    assert headers[0].SeriesInstanceUID not in (registration.SeriesInstanceUID, original.SeriesInstanceUID)
    assert all(header.ImageType[0] == 'DERIVED' and header.RescaleType == 'HU' for header in headers)
    # Every slice names the slices of the moving scan that it was made from.
    there = points_of(found.fixed) + array(found.dvf)
    for k in (0, 12):
        points = there[k, ::7, ::7].reshape(-1, 3)
        at = [found.moving.TransformPhysicalPointToContinuousIndex(point)[2] for point in points.tolist()]
        used = {f'1.2.3.1.{n + 1}' for value in at for n in (int(value), int(value) + 1) if 0 <= value < 29}
        named = {item.ReferencedSOPInstanceUID for item in headers[k].SourceImageSequence}
        assert used <= named and len(named) <= len(used) + 6


def test_dicom_registration_leads_from_the_fixed_to_the_moving_scan(registered, exported):
    _, found = registered
    header = dicom_export.pydicom.dcmread(str(exported / 'registration.dcm'))
    assert header.SOPClassUID == '1.2.840.10008.5.1.4.1.1.66.3'
    (item,) = header.DeformableRegistrationSequence
    assert item.SourceFrameOfReferenceUID == '1.2.6.1' and len(item.ReferencedImageSequence) == 30
    assert 'PreDeformationMatrixRegistrationSequence' not in item
    (grid,) = item.DeformableRegistrationGridSequence
    assert tuple(grid.GridDimensions) == found.fixed.GetSize()
    vectors = np.frombuffer(grid.VectorGridData, '<f4').reshape(tuple(grid.GridDimensions)[::-1] + (3,))
    np.testing.assert_array_equal(vectors, array(found.dvf))
    # The standard's equation (C.20.3.1.1), term by term.
    row, column = np.array(grid.ImageOrientationPatient, float).reshape(2, 3)
    axes, start = (row, column, np.cross(row, column)), np.array(grid.ImagePositionPatient, float)
    moving, moved = sitk.Cast(found.moving, sitk.sitkFloat32), array(found.moved)
    for i, j, k in np.random.RandomState(0).randint(8, np.array(grid.GridDimensions) - 8, (50, 3)).tolist():
        registered_point = start + sum(n * s * axis for n, s, axis in zip((i, j, k), grid.GridResolution, axes))
        source = registered_point + vectors[k, j, i]
        np.testing.assert_allclose(source, found.transform.TransformPoint(registered_point.tolist()), atol=1e-3)
        sampled = moving.EvaluateAtPhysicalPoint(source.tolist(), sitk.sitkBSpline)
        assert abs(sampled - moved[k, j, i]) < 1


@pytest.mark.skipif(not shutil.which('dcm2json'), reason='dcmtk is not on the PATH (Debian: apt-get install dcmtk)')
def test_dicom_is_read_by_dcmtk(exported):
    for name in ('registration.dcm', 'moved/0001.dcm'):
        path = str(exported / name)
        dump = subprocess.run(['dcmdump', '-q', path], capture_output=True, check=True)
        assert not dump.stderr, dump.stderr
        if shutil.which('dciodvfy'):  # checks every attribute (Debian: apt-get install dicom3tools)
            judged = subprocess.run(['dciodvfy', path], capture_output=True, check=False).stderr.decode()
            assert 'Error' not in judged, judged
    text = subprocess.check_output(['dcm2json', str(exported / 'registration.dcm')])
    (item,) = json.loads(text.decode())['00640002']['Value']
    assert item['00640005']['Value'][0]['00640007']['Value'] == [44, 50, 26]


def test_dicom_needs_pydicom_and_a_series_of_the_same_patient(registered, tmp_path, monkeypatch):
    folder, found = registered
    with pytest.raises(InputError, match='leave out --isotropic'):
        require_exportable(['learn2reg'], str(tmp_path), 'isotropic')
    if dicom_export.pydicom is not None:
        with pytest.raises(InputError, match='fixed.mha is no DICOM series'):
            require_exportable(['dicom'], str(tmp_path / 'fixed.mha'), 'native')
        pairs = [Pair('one', {'fixed': str(tmp_path)}), Pair('two', {'fixed': str(tmp_path / 'fixed.mha')})]
        with pytest.raises(InputError, match='fixed.mha is no DICOM series'):
            register_pairs(pairs, str(tmp_path / 'pairs'), None, exports=['dicom'])
        assert not (tmp_path / 'pairs').exists()
        shutil.copytree(str(folder), str(tmp_path / 'out'), ignore=shutil.ignore_patterns('dicom'))
        record = json.loads((folder / 'results.json').read_text())
        write_scan(str(tmp_path / 'other'), found.moving, 3, with_headers=False)
        record['settings']['moving'] = str(tmp_path / 'other')
        del record['checksum']
        (tmp_path / 'out' / 'results.json').write_text(json.dumps(record))
        with pytest.raises(InputError, match='different PatientIDs'):
            write_exports(str(tmp_path / 'out'), ['dicom'])
    monkeypatch.setattr(dicom_export, 'pydicom', None)
    with pytest.raises(InputError, match='pip install pydicom'):
        require_exportable(['dicom'], str(tmp_path), 'native')


# ---- whole or not at all


def test_exports_are_made_once_again_when_damaged_and_go_with_their_results(registered, tmp_path):
    _, found = registered
    folder, kinds = tmp_path / 'out', ['learn2reg'] + ['dicom'] * (dicom_export.pydicom is not None)
    write(found, folder, file_format='nrrd')
    write_exports(str(folder), kinds)
    paths = [folder / 'learn2reg' / 'disp_0000_0001.nii.gz'] + [folder / 'dicom' / 'moved' / '0003.dcm'] * (
        len(kinds) - 1
    )
    before = [(path.stat().st_ino, path.read_bytes()) for path in paths]
    write_exports(str(folder), kinds)
    assert [path.stat().st_ino for path in paths] == [one for one, _ in before]
    for path in paths:
        path.write_bytes(b'other')
    write_exports(str(folder), kinds)
    assert [len(path.read_bytes()) for path in paths] == [len(content) for _, content in before]
    write(found, folder, overwrite=True)
    assert not [kind for kind in kinds if (folder / kind).exists()]
    (folder / 'learn2reg').mkdir()
    with pytest.raises(InputError, match='not as an export'):
        write_exports(str(folder), ['learn2reg'])
    assert not [name for name in os.listdir(str(folder)) if name.startswith('.')]
