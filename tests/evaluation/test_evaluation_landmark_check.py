"""Correct packs pass, and each way to misread voxel numbers stops, even when both lists share it."""

import os

import numpy as np
import pytest
import SimpleITK as sitk
from raw_packs import GRIDS, Patient, small_record, write_4dct, write_rows, write_spread

import functions.setting.setting_utils as su
from functions.evaluation import landmark_check
from functions.phantom.phantom import make_case
from functions.preprocessing.public_data_sets import prepare_data_set
from functions.setting import data_sets
from functions.setting.errors import InputError, UnknownNameError

pytestmark = pytest.mark.once

DATA = 'DIR-Lab_4D'


class ThreePhases(Patient):
    """A patient whose other phases look like T00: no landmark is compared with them."""

    def volume(self, type_im):
        return Patient.volume(self, type_im if type_im in (0, 2, 5) else 0)


@pytest.fixture(scope='module')
def packs(tmp_path_factory):
    """(setting, patients, folder of the packs) of two cases whose images are prepared."""
    folder = tmp_path_factory.mktemp('gate')
    patients = {1: ThreePhases(1, GRIDS[1]), 6: ThreePhases(2, GRIDS[6])}
    for cn, patient in patients.items():
        write_4dct(folder / 'packs', cn, patient)
    setting = dict(
        su.initialize_setting('gate', 'Root'), RootFolder=str(folder) + '/', DataFolder=str(folder) + '/Data/'
    )
    before = data_sets.DATA_SETS[DATA]
    data_sets.register_data_set(small_record(DATA, patients))
    yield setting, patients, folder / 'packs'
    data_sets.register_data_set(before)


def pairs_of(cases, types=(0, 5)):
    return [[{'data': DATA, 'cn': cn, 'type_im': k} for k in types] for cn in cases]


def prepared(packs, change_fixed=None, change_moving=None):
    """Prepare case 1 with landmarks of T00 and T50 changed as (numbers, size of the volume) -> numbers."""
    setting, patients, folder = packs
    for type_im, phase, change in ((0, 'T00', change_fixed), (5, 'T50', change_moving)):
        numbers = patients[1].numbers(type_im)
        path = os.path.join(str(folder), 'Case1Pack', 'ExtremePhases', f'case1_300_{phase}_xyz.txt')
        write_rows(path, numbers if change is None else change(numbers, patients[1].size))
    prepare_data_set(setting, DATA, str(folder), cases=[1], n_workers=1)
    return landmark_check.check_landmarks(setting, pairs_of([1]))


def test_evaluation_landmark_check_right_packs_pass(packs):
    prepare_data_set(packs[0], DATA, str(packs[2]), n_workers=1)
    opened = landmark_check.check_landmarks(packs[0], pairs_of([1, 6]))
    opened.require()
    assert opened.problems() == []
    for row, patient in zip(opened.rows, (packs[1][1], packs[1][6])):
        assert row.tre == pytest.approx(patient.expected(5), abs=1e-3) and row.expected == patient.expected(5)
        assert row.n == 60 and row.inside >= 99 and row.types == ('T00', 'T50')
    lines = opened.table().splitlines()
    assert len(lines) == 4 and f'{packs[1][6].expected(5):.2f}' in lines[3] and 'right' in lines[3]
    # the pair the other way round has the same distance
    landmark_check.check_landmarks(packs[0], pairs_of([1], (5, 0))).require()


def z_flipped(numbers, size):
    return np.column_stack([numbers[:, :2], size[2] + 1 - numbers[:, 2]])


def from_zero(numbers, size):
    return numbers - 1


def swapped(numbers, size):
    return numbers[:, [1, 0, 2]]


CHANGES = {
    'z counted from the other end': z_flipped,
    'x and y swapped': swapped,
    'voxels counted from 0 instead of 1': from_zero,
}


@pytest.mark.parametrize('name', sorted(CHANGES))
def test_evaluation_landmark_check_stops_what_both_lists_share(packs, name):
    """The mean distance is the right one; only the images reveal the error."""
    opened = prepared(packs, CHANGES[name], CHANGES[name])
    assert opened.rows[0].tre == pytest.approx(packs[1][1].expected(5), abs=0.02)
    with pytest.raises(InputError, match=f'Results would be meaningless.*case 1.*with {name}'):
        opened.require()
    assert 'WRONG' in opened.table()


@pytest.mark.parametrize('name', sorted(CHANGES))
@pytest.mark.parametrize('which', [0, 1])
def test_evaluation_landmark_check_stops_what_one_list_has(packs, name, which):
    """The mean distance is wrong; the explanation has both values and names the misreading."""
    changes = [None, None]
    changes[which] = CHANGES[name]
    opened = prepared(packs, *changes)
    expected, where = packs[1][1].expected(5), ('fixed', 'moving')[which]
    with pytest.raises(InputError) as caught:
        opened.require()
    text = str(caught.value)
    assert f'{expected:.2f} ± 0.05 mm is expected' in text
    assert f'{opened.rows[0].tre:.2f} mm' in text
    assert f'{name} in the {where} landmarks' in text.replace(' (DIR-Lab)', '')


def test_evaluation_landmark_check_stops_voxel_numbers_taken_for_millimetres(packs):
    prepared(packs)
    setting = packs[0]
    paths = [
        su.address_generator(setting, request, data=DATA, cn=1, type_im=k, pair_info=pairs_of([1])[0], stage=1)
        for k in (0, 5)
        for request in ('LandmarkIndex_tr', 'LandmarkPoint_tr')
    ]
    before = [open(path).read() for path in paths]
    try:
        for k in (0, 2):
            with open(paths[k + 1], 'w') as stream:
                stream.write(before[k])
        with pytest.raises(InputError, match='voxel numbers taken for millimetres in both'):
            landmark_check.check_landmarks(setting, pairs_of([1])).require()
    finally:
        for path, text in zip(paths, before):
            with open(path, 'w') as stream:
                stream.write(text)


def test_evaluation_landmark_check_stops_another_spacing(packs):
    """A record whose known value is not that of the landmarks."""
    prepared(packs)
    record = data_sets.DATA_SETS[DATA]
    try:
        data_sets.register_data_set(record._replace(expected_tre={1: packs[1][1].expected(5) + 0.06}))
        with pytest.raises(InputError, match='before registration'):
            landmark_check.check_landmarks(packs[0], pairs_of([1])).require()
        data_sets.register_data_set(record._replace(expected_tre={1: packs[1][1].expected(5) + 0.04}))
        landmark_check.check_landmarks(packs[0], pairs_of([1])).require()
        # another pair of types has no known value: said, and gone on
        row = landmark_check.check_landmarks(packs[0], pairs_of([1], (0, 2))).rows[0]
        assert row.expected is None and row.note == 'no expected value' and row.n == 20
    finally:
        data_sets.register_data_set(record)


def test_evaluation_landmark_check_without_landmarks_masks_or_images(packs, tmp_path):
    setting = dict(packs[0], DataFolder=str(tmp_path) + '/')
    opened = landmark_check.check_landmarks(setting, pairs_of([1]))
    opened.require()
    assert opened.rows[0].n is None and 'no landmarks' in opened.rows[0].note
    prepared(packs)
    lung = su.address_generator(packs[0], 'OriginalLung', data=DATA, cn=1, type_im=0, stage=1)
    os.rename(lung, lung + '.away')
    try:
        opened = landmark_check.check_landmarks(packs[0], pairs_of([1]))
        opened.require()
        assert opened.rows[0].inside is None and 'not compared' in opened.rows[0].note
    finally:
        os.rename(lung + '.away', lung)
    with pytest.raises(UnknownNameError):
        landmark_check.check_landmarks(packs[0], [[dict(im, data='DIRLab') for im in pairs_of([1])[0]]])


def test_evaluation_landmark_check_points_outside_the_image_stop(packs):
    prepared(packs)
    im = su.address_generator(packs[0], 'OriginalIm', data=DATA, cn=1, type_im=0, stage=1)
    whole = sitk.ReadImage(im)
    try:
        sitk.WriteImage(whole[:, :, :20], im)
        with pytest.raises(InputError, match='lie outside the image'):
            landmark_check.check_landmarks(packs[0], pairs_of([1])).require()
    finally:
        sitk.WriteImage(whole, im)


def test_evaluation_landmark_check_landmarks_in_airways_do_not_count_as_misread():
    """Dark at the landmarks and brighter on both sides: neither step is better."""
    array = np.full((20, 20, 20), -850, np.int16)
    rng = np.random.RandomState(0)
    index = rng.randint(4, 16, (80, 3))
    x, y, z = index.T
    array[z, y, x] = -1000
    airways = sitk.GetImageFromArray(array)
    points = index.astype(float)
    assert landmark_check._gain(points, points + [1, 1, -1], airways, True) == 0
    array[z, y, x] = -850
    array[z - 1, y + 1, x + 1] = 0
    vessels = sitk.GetImageFromArray(array)
    assert landmark_check._gain(points, points + [1, 1, -1], vessels, True) > 500
    assert landmark_check._gain(points + [1, 1, -1], points, vessels, True) == 0


def test_evaluation_landmark_check_data_without_expected_values_pass_with_a_note(tmp_path):
    """SPREAD's landmarks without the unsure ones, and the phantom's exact ones, compared with images."""
    setting = dict(
        su.initialize_setting('gate', 'Root'),
        RootFolder=str(tmp_path) + '/',
        DataFolder=str(tmp_path) + '/Data/',
        SPREAD_Patients=['PATA01'],
    )
    write_spread(tmp_path / 'packs', [Patient(1, GRIDS[2])], ['PATA01'])
    prepare_data_set(setting, 'SPREAD', str(tmp_path / 'packs'), n_workers=1)
    setting['Phantom'] = {'Landmarks': 60, 'LandmarksAllPhases': 20}
    make_case(setting, 3, size=(96, 80, 88))
    pairs = landmark_check.usual_pairs(setting, 'SPREAD', [1]) + landmark_check.usual_pairs(setting, 'Phantom_4D', [3])
    assert [[im['type_im'] for im in pair] for pair in pairs] == [[0, 1], [0, 5]]
    opened = landmark_check.check_landmarks(setting, pairs)
    opened.require()
    assert [row.n for row in opened.rows] == [48, 60]
    assert [row.note for row in opened.rows] == ['no expected value'] * 2
    assert min(row.inside for row in opened.rows) > 98
    # the same with every point a voxel off along each axis
    for k in (0, 1):
        path = su.address_generator(setting, 'LandmarkPoint_tr', data='SPREAD', cn=1, type_im=k, stage=1)
        np.savetxt(path, np.loadtxt(path) + [1.0, 1.0, 2.5])
    with pytest.raises(InputError, match='SPREAD case 1.*brighter.*counted from 1 instead of 0'):
        landmark_check.check_landmarks(setting, pairs).require()
