"""Packs as people download them, written from the phantom, come out where the phantom's truth is."""

import os
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from raw_packs import GRIDS, Patient, small_record, write_4dct, write_copd, write_spread

import functions.setting.setting_utils as su
from functions.image.volume_io import array_view, read_image
from functions.preprocessing import public_data_sets
from functions.preprocessing.public_data_sets import prepare_data_set
from functions.setting import data_sets
from functions.setting.errors import InputError, MissingFileError, UnknownNameError

pytestmark = pytest.mark.once

EMPTY = ((3, 0), (0, 2))  # slices (bottom, top) of inhale and exhale that COPDgene has filled with zeros


def setting_in(folder):
    return dict(su.initialize_setting('packs', 'Root'), RootFolder=str(folder) + '/', DataFolder=str(folder) + '/Data/')


@pytest.fixture(scope='module')
def fourd(tmp_path_factory):
    """(setting, patients, folder of the packs, report), cases 1 and 8 prepared by two processes."""
    folder = tmp_path_factory.mktemp('4dct')
    patients = {cn: Patient(cn, GRIDS[cn]) for cn in (1, 8)}
    for cn, patient in patients.items():
        write_4dct(folder / 'packs', cn, patient)
    record = small_record('DIR-Lab_4D', patients)
    with registered(record):
        setting = setting_in(folder)
        report = prepare_data_set(setting, 'DIR-Lab_4D', str(folder / 'packs'), n_workers=2)
    return setting, patients, folder / 'packs', report


@pytest.fixture(scope='module')
def copd(tmp_path_factory):
    folder = tmp_path_factory.mktemp('copd')
    patients = {cn: Patient(cn, GRIDS[cn]) for cn in (1, 2)}
    for cn, patient in patients.items():
        write_copd(folder / 'packs', cn, patient, EMPTY)
    with registered(small_record('DIR-Lab_COPD', patients)):
        setting = setting_in(folder)
        report = prepare_data_set(setting, 'DIR-Lab_COPD', str(folder / 'packs'), n_workers=1)
    return setting, patients, folder / 'packs', report


class registered:
    """A record in the registry for as long as it is needed."""

    def __init__(self, record):
        self.record = record

    def __enter__(self):
        self.before = data_sets.DATA_SETS[self.record.key]
        data_sets.register_data_set(self.record)

    def __exit__(self, *_):
        data_sets.register_data_set(self.before)


def address(setting, request, data, cn, type_im, other=1):
    pair = [{'data': data, 'cn': cn, 'type_im': k} for k in (type_im, other)]
    return su.address_generator(setting, request, data=data, cn=cn, type_im=type_im, pair_info=pair, stage=1)


def read_table(path, header=0):
    return np.loadtxt(path, skiprows=header, ndmin=2)


def _misfit(image, truth, torso, seen, shift):
    """Mean squared difference inside the torso when the truth is shifted by ``shift`` mm."""
    moved = sitk.Resample(truth, image, sitk.TranslationTransform(3, shift.tolist()), sitk.sitkLinear, -1000)
    inside = seen & (array_view(torso) > 0)
    inside[:3] = inside[-3:] = False  # there a shifted truth has no values
    return ((array_view(image)[inside] - array_view(moved)[inside].astype(float)) ** 2).mean()


def agrees_with_truth(setting, data, cn, type_im, patient, phase):
    """The prepared image is the phantom's phase, voxel for voxel in physical space, and so are the masks."""
    image, lung, torso = [
        read_image(address(setting, request, data, cn, type_im))
        for request in ('OriginalIm', 'OriginalLung', 'OriginalTorso')
    ]
    assert image.GetPixelID() == sitk.sitkInt16 and lung.GetPixelID() == torso.GetPixelID() == sitk.sitkUInt8
    assert image.GetSpacing() == (1, 1, 1) and image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    truth, true_lung, _ = patient.case.phase(phase)
    for volume in (truth, true_lung):
        volume.SetOrigin((0, 0, 0))
    seen = array_view(image) > -1500
    assert 0.5 < seen.mean() < 1
    assert (array_view(image)[~seen] == -2048).all()
    for axis in np.eye(3):
        before, here, after = [_misfit(image, truth, torso, seen, step * axis) for step in (-1, 0, 1)]
        # the lowest point of a parabola through three shifts: nearer than half a voxel of the pack
        assert here < before and here < after
        offset = 0.5 * (before - after) / (before - 2 * here + after)
        assert abs(offset) < 0.25
    expected = array_view(sitk.Resample(true_lung, lung, sitk.Transform(), sitk.sitkNearestNeighbor, 0)) > 0
    found = array_view(lung) > 0
    assert 2.0 * (found & expected).sum() / (found.sum() + expected.sum()) > 0.88
    assert array_view(torso)[found].all()
    return image


@pytest.mark.parametrize('cn', [1, 8])
@pytest.mark.parametrize('type_im', [0, 5])
def test_preprocessing_packs_4dct_images_lie_where_the_phantom_says(fourd, cn, type_im):
    setting, patients, _, _ = fourd
    agrees_with_truth(setting, 'DIR-Lab_4D', cn, type_im, patients[cn], type_im)


def test_preprocessing_packs_4dct_originals_hold_every_stored_voxel(fourd):
    setting, patients, _, report = fourd
    assert report[:4] == ('DIR-Lab_4D', [1, 8], 20, 0)
    raw = read_image(address(setting, 'OriginalImNonIsotropic', 'DIR-Lab_4D', 1, 3))
    stored = patients[1].stored(3)[::-1].astype(int) - 1024
    np.testing.assert_array_equal(array_view(raw), np.where(stored == -3024, -2048, stored))
    assert (raw.GetSize(), raw.GetSpacing(), raw.GetOrigin()) == (GRIDS[1][0], GRIDS[1][1], (0, 0, 0))
    for request in ('OriginalLungRaw', 'OriginalTorsoRaw'):
        mask = read_image(address(setting, request, 'DIR-Lab_4D', 1, 3))
        assert mask.GetSize() == raw.GetSize() and array_view(mask).any()


def check_points(setting, data, cn, type_im, other, patient, phase, count, dropped=0):
    truth = patient.points(phase, count)
    world = read_table(address(setting, 'LandmarkPoint_tr', data, cn, type_im, other))
    assert world.shape == truth.shape
    assert (np.abs(world - truth) <= 0.5 * np.array(patient.spacing) + 1e-3).all()
    with open(address(setting, 'LandmarkPoint_elx', data, cn, type_im, other)) as stream:
        assert stream.readline().split() + stream.readline().split() == ['point', str(len(truth))]
        np.testing.assert_array_equal(np.loadtxt(stream), world)
    index = read_table(address(setting, 'LandmarkIndex_tr', data, cn, type_im, other))
    again = read_table(address(setting, 'LandmarkIndex_elx', data, cn, type_im, other), 2)
    np.testing.assert_array_equal(again, index)
    raw = read_image(address(setting, 'OriginalImNonIsotropic', data, cn, type_im))
    found = [raw.TransformContinuousIndexToPhysicalPoint(row.tolist()) for row in index]
    np.testing.assert_allclose(found, world, atol=1e-3)
    np.testing.assert_allclose(raw.GetOrigin()[2], dropped * patient.spacing[2])
    return world


@pytest.mark.parametrize('cn', [1, 8])
def test_preprocessing_packs_4dct_landmarks_are_the_phantoms(fourd, cn):
    setting, patients, _, _ = fourd
    patient = patients[cn]
    fixed, moving = [check_points(setting, 'DIR-Lab_4D', cn, k, 5 - k, patient, k, None) for k in (0, 5)]
    before = np.linalg.norm(moving - fixed, axis=1).mean()
    assert before == pytest.approx(patient.expected(5), abs=1e-3)
    exact = np.linalg.norm(patient.points(5) - patient.points(0), axis=1).mean()
    assert before == pytest.approx(exact, abs=0.15)
    for type_im in range(6):
        check_points(setting, 'DIR-Lab_4D', cn, type_im, 1 if type_im != 1 else 2, patient, type_im, 20)
    rows = read_table(address(setting, 'LandmarkIndex', 'DIR-Lab_4D', cn, 5, 0))
    np.testing.assert_array_equal(rows, patient.numbers(5))


@pytest.mark.parametrize('cn', [1, 2])
def test_preprocessing_packs_copd_without_its_empty_slices(copd, cn):
    setting, patients, _, report = copd
    assert report[:4] == ('DIR-Lab_COPD', [1, 2], 4, 0)
    patient = patients[cn]
    world = []
    for type_im, phase, (below, above) in zip((0, 1), (0, 5), EMPTY):
        raw = read_image(address(setting, 'OriginalImNonIsotropic', 'DIR-Lab_COPD', cn, type_im))
        assert raw.GetSize()[2] == patient.size[2] - below - above
        agrees_with_truth(setting, 'DIR-Lab_COPD', cn, type_im, patient, phase)
        world.append(check_points(setting, 'DIR-Lab_COPD', cn, type_im, 1 - type_im, patient, phase, None, below))
    assert np.linalg.norm(world[1] - world[0], axis=1).mean() == pytest.approx(patient.expected(5), abs=1e-3)


def test_preprocessing_packs_spread(tmp_path):
    patients = [Patient(cn, GRIDS[1]) for cn in (1, 2)]
    write_spread(tmp_path / 'packs', patients, ['PATA01', 'PATB02'])
    setting = dict(setting_in(tmp_path), SPREAD_Patients=['PATA01', 'PATB02'])
    report = prepare_data_set(setting, 'SPREAD', str(tmp_path / 'packs'), n_workers=1)
    assert report[:4] == ('SPREAD', [1, 2], 4, 0)
    for cn, patient in enumerate(patients, 1):
        for type_im, phase in ((0, 0), (1, 5)):
            image = read_image(address(setting, 'OriginalIm', 'SPREAD', cn, type_im))
            assert image.GetSpacing() == (1, 1, 1) and image.GetOrigin() == pytest.approx((11.0, -7.5, 30.0))
            truth = patient.points(phase) + [11.0, -7.5, 30.0]
            path = address(setting, 'LandmarkPoint_tr', 'SPREAD', cn, type_im)
            np.testing.assert_allclose(read_table(path), truth, atol=1e-3)
            path = address(setting, 'LandmarkPoint_elx', 'SPREAD', cn, type_im)
            np.testing.assert_allclose(read_table(path, 2), truth, atol=1e-3)
        assert np.loadtxt(address(setting, 'UnsurePoints', 'SPREAD', cn, 0)).sum() == 12
    assert prepare_data_set(setting, 'SPREAD', str(tmp_path / 'packs'), n_workers=1).made == 0
    with pytest.raises(InputError, match='SPREAD_Patients'):
        prepare_data_set(setting_in(tmp_path), 'SPREAD', str(tmp_path / 'packs'))


def test_preprocessing_packs_spread_where_it_lies(tmp_path):
    """Prepared from the folder its own addresses name: sources stay as they are."""
    folder = tmp_path / 'Data' / 'lung_dataset' / 'SPREAD'
    write_spread(folder, [Patient(1, GRIDS[1])], ['PATA01'])
    setting = dict(setting_in(tmp_path), SPREAD_Patients=['PATA01'])
    source = address(setting, 'LandmarkPoint_elx', 'SPREAD', 1, 0)
    before = open(source).read()
    assert prepare_data_set(setting, 'SPREAD', str(folder), cases=[1], n_workers=1).made == 2
    assert open(source).read() == before
    assert len(read_table(address(setting, 'LandmarkPoint_tr', 'SPREAD', 1, 0))) == 60


def test_preprocessing_packs_are_resumed(tmp_path, monkeypatch, caplog):
    patient = Patient(1, GRIDS[2])
    write_copd(tmp_path / 'packs', 1, patient)
    setting, made, pack = setting_in(tmp_path), [], str(tmp_path / 'packs' / 'copd1')
    original = public_data_sets.dirlab_raw.read_raw
    with registered(small_record('DIR-Lab_COPD', {1: patient})):

        def fails_second(path, *rest):
            if made:
                raise InputError('interrupted')
            made.append(path)
            return original(path, *rest)

        monkeypatch.setattr(public_data_sets.dirlab_raw, 'read_raw', fails_second)
        with pytest.raises(InputError, match='eBHCT.img: interrupted'):
            prepare_data_set(setting, 'DIR-Lab_COPD', str(tmp_path / 'packs'), n_workers=1)
        monkeypatch.setattr(public_data_sets.dirlab_raw, 'read_raw', original)

        def run():
            return prepare_data_set(setting, 'DIR-Lab_COPD', pack, n_workers=1)[2:4]

        assert run() == (1, 1)
        assert run() == (0, 2)
        # a damaged result, and landmarks that are gone, are made again
        lung = address(setting, 'OriginalLung', 'DIR-Lab_COPD', 1, 1)
        with open(lung, 'r+b') as stream:
            stream.truncate(1000)
        points = address(setting, 'LandmarkPoint_tr', 'DIR-Lab_COPD', 1, 0)
        os.remove(points)
        assert run() == (1, 1)
        assert os.path.exists(points) and array_view(read_image(lung)).any()
        # another grid is another image
        record = small_record('DIR-Lab_COPD', {1: patient})
        other = record._replace(raw_grids={1: (patient.size, (1.0, 1.0, 2.0))})
        data_sets.register_data_set(other)
        assert run() == (2, 0)


def damaged(fourd, tmp_path, change, text, error=InputError, cases=(1,)):
    """A copy of the packs with something wrong with it: one clear error and nothing written."""
    packs = tmp_path / 'packs'
    shutil.copytree(str(fourd[2] / 'Case1Pack'), str(packs / 'Case1Pack'))
    change(packs / 'Case1Pack')
    with registered(small_record('DIR-Lab_4D', fourd[1])), pytest.raises(error, match=text):
        prepare_data_set(setting_in(tmp_path), 'DIR-Lab_4D', str(packs), cases=cases, n_workers=1)
    assert not (tmp_path / 'Data').exists()


def test_preprocessing_packs_refuses_missing_and_short_files(fourd, tmp_path):
    def missing(pack):
        os.remove(str(pack / 'Images' / 'case1_T30_s.img'))
        os.remove(str(pack / 'ExtremePhases' / 'case1_300_T50_xyz.txt'))

    damaged(fourd, tmp_path / 'a', missing, 'case1_T30_s.img; case 1: .*case1_300_T50_xyz.txt', MissingFileError)

    def short(pack):
        with open(str(pack / 'Images' / 'case1_T30_s.img'), 'r+b') as stream:
            stream.truncate(1001)

    damaged(fourd, tmp_path / 'b', short, 'case1_T30_s.img has 1001 bytes; 74 x 61 x 44 voxels .* are 397232 bytes')
    damaged(fourd, tmp_path / 'c', lambda pack: None, 'no pack of DIR-Lab_4D for case 8', MissingFileError, (1, 8))
    damaged(fourd, tmp_path / 'd', lambda pack: None, 'has no case 11', InputError, (11,))


@pytest.mark.parametrize(
    'rows, text',
    [
        (lambda rows: rows[:-1], 'contains 19 landmarks, .*contains 20; they must correspond'),
        (
            lambda rows: rows[:3] + ['5\t0\t7'] + rows[4:],
            'T40.txt: 1 of 20 landmarks lie outside .*row 4, 5 0 7.*from 0',
        ),
        (lambda rows: ['60 90 20'] + rows[1:], 'outside the volume of 74 x 61 x 44 voxels'),
        (lambda rows: ['10.4 12.5 3'] + rows[1:], 'whole voxel numbers; row 1'),
        (
            lambda rows: ['one two three'] + rows[1:],
            "line 1: expected three finite numbers .x y z., found 'one two three'",
        ),
        (lambda rows: ['1 2'] + rows[1:], "line 1: expected three finite numbers .x y z., found '1 2'"),
        (lambda rows: [], 'holds no points'),
    ],
)
def test_preprocessing_packs_refuses_landmarks(fourd, tmp_path, rows, text):
    def change(pack):
        path = str(pack / 'Sampled4D' / 'case1_4D-75_T40.txt')
        lines = open(path).read().splitlines()
        with open(path, 'w') as stream:
            stream.write('\n'.join(rows(lines)) + '\n')

    damaged(fourd, tmp_path, change, text)


def test_preprocessing_packs_finds_other_spellings_and_doubled_folders(fourd, tmp_path):
    """Capital letters differ between packs; an archive unpacked into its own name lies one level deeper."""
    packs = tmp_path / 'packs'
    shutil.copytree(str(fourd[2] / 'Case8Deploy'), str(packs / 'case8deploy' / 'Case8Deploy'))
    pack = packs / 'case8deploy' / 'Case8Deploy'
    (pack / 'ExtremePhases').rename(pack / 'extremePhases')
    (pack / 'Images' / 'case8_T70.img').rename(pack / 'Images' / 'case8_T70_s.img')
    (pack / 'Sampled4D' / 'case8_4D-75_T10.txt').rename(pack / 'Sampled4D' / 'Case8_4D-75_T10.txt')
    record = data_sets.get_data_set('DIR-Lab_4D')
    found = public_data_sets.find_packs(str(packs), record, None, {})
    assert [pack.cn for pack in found] == [8] and len(found[0].images) == 10
    assert len(found[0].points) == 8 and all(os.path.isfile(file.path) for file in found[0].points)


def test_preprocessing_packs_refuses_data_sets_that_are_not_downloaded(tmp_path):
    setting = setting_in(tmp_path)
    with pytest.raises(InputError, match='Phantom_4D is not a data set to be downloaded'):
        prepare_data_set(setting, 'Phantom_4D', str(tmp_path))
    with pytest.raises(UnknownNameError, match='DIR-Lab_4D'):
        prepare_data_set(setting, 'DIR-Lab_4DCT', str(tmp_path))
    with pytest.raises(MissingFileError, match='nowhere does not exist'):
        prepare_data_set(setting, 'DIR-Lab_4D', str(tmp_path / 'nowhere'))
    with pytest.raises(MissingFileError, match='contains no pack of DIR-Lab_COPD'):
        prepare_data_set(setting, 'DIR-Lab_COPD', str(tmp_path))
    record = data_sets.DATA_SETS['DIR-Lab_COPD']
    assert record.raw_grids[4] == ((512, 512, 126), (0.59, 0.59, 2.5))
    (tmp_path / 'copd1').mkdir()
    with pytest.raises(MissingFileError, match='4 of the files .*copd1_iBHCT.img'):
        prepare_data_set(setting, 'DIR-Lab_COPD', str(tmp_path))
