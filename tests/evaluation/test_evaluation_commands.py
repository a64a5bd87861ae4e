"""--prepare, --evaluate and --report of the main script: packs and experiments in, tables and pages out,
and one line for bad input."""

import json
import logging
import os
import re

import numpy as np
import pytest
import SimpleITK as sitk
from evaluation_experiment import STEP, make_cases, pairs_of, register, setting_in, train
from raw_packs import GRIDS, Patient, small_record, write_4dct, write_copd, write_rows, write_spread

import functions.setting.setting_utils as su
import RunRegNet3D
from functions.evaluation import folder_report
from functions.evaluation.pair_landmarks import read_landmarks
from functions.image.geometry import Geometry
from functions.image.point_files import write_points
from functions.image.resample import warp
from functions.image.volume_io import array_view, image_from_array
from functions.setting import data_sets
from functions.setting.atomic import write_json

pytestmark = pytest.mark.once

DATA = 'DIR-Lab_4D'


def run(words, folder, monkeypatch, caplog):
    """Exit code of the script with everything below a folder."""
    monkeypatch.chdir(folder)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        return RunRegNet3D.main(['--where_to_run', 'Root'] + words)


@pytest.fixture
def packs(tmp_path):
    """(folder, patient): one pack of 4DCT, with a record of its landmark distance."""
    patient = Patient(1, GRIDS[1])
    write_4dct(tmp_path / 'packs', 1, patient)
    before = data_sets.DATA_SETS[DATA]
    data_sets.register_data_set(small_record(DATA, {1: patient}))
    yield tmp_path, patient
    data_sets.register_data_set(before)


def test_evaluation_commands_prepare_ends_with_the_landmark_check(packs, monkeypatch, caplog, capsys):
    folder, patient = packs
    words = ['--prepare', DATA, '--from', str(folder / 'packs'), '--cases', '1', '--workers', '1']
    assert run(words, folder, monkeypatch, caplog) == 0
    shown = capsys.readouterr().out
    assert 'TRE before mm' in shown and f'{patient.expected(5):.2f}' in shown and 'right' in shown
    setting = su.initialize_setting('any', 'Root')
    for request in ('OriginalIm', 'OriginalLung', 'OriginalTorso'):
        assert os.path.isfile(su.address_generator(setting, request, data=DATA, cn=1, type_im=5, stage=1))
    # The moving landmarks with their z from the wrong end: everything is converted, and then it stops.
    numbers = patient.numbers(5)
    write_rows(
        str(folder / 'packs' / 'Case1Pack' / 'ExtremePhases' / 'case1_300_T50_xyz.txt'),
        np.column_stack([numbers[:, :2], patient.size[2] + 1 - numbers[:, 2]]),
    )
    assert run(words, folder, monkeypatch, caplog) == 2
    assert 'Results would be meaningless' in caplog.text
    assert 'z counted from the other end in the moving landmarks' in caplog.text
    assert 'WRONG' in capsys.readouterr().out


@pytest.fixture
def known():
    """Registers data sets for the duration of a test."""
    before = dict(data_sets.DATA_SETS)
    yield data_sets.register_data_set
    for name in ('DIR-Lab_COPD', 'SPREAD'):
        data_sets.register_data_set(before[name])


def test_evaluation_commands_prepare_copdgene(tmp_path, known, monkeypatch, caplog, capsys):
    """Two cases, one with slices of zeros above and below, as they are distributed."""
    patients = {1: Patient(1, GRIDS[1]), 2: Patient(2, GRIDS[2])}
    known(small_record('DIR-Lab_COPD', patients))
    write_copd(tmp_path / 'packs', 1, patients[1])
    write_copd(tmp_path / 'packs', 2, patients[2], empty=((0, 0), (2, 0)))
    words = ['--prepare', 'DIR-Lab_COPD', '--from', str(tmp_path / 'packs'), '--cases', '1', '2', '--workers', '1']
    assert run(words, tmp_path, monkeypatch, caplog) == 0
    shown = capsys.readouterr().out
    for patient in patients.values():
        assert f'{patient.expected(5):.2f}' in shown
    setting = su.initialize_setting('any', 'Root')
    for cn in patients:
        for request in ('OriginalIm', 'OriginalLung', 'OriginalTorso'):
            assert os.path.isfile(
                su.address_generator(setting, request, data='DIR-Lab_COPD', cn=cn, type_im=1, stage=1)
            )
    # x and y exchanged in one list of points.
    numbers = patients[1].numbers(5)
    write_rows(str(tmp_path / 'packs' / 'copd1' / 'copd1_300_eBH_xyz_r1.txt'), numbers[:, [1, 0, 2]])
    assert run(words, tmp_path, monkeypatch, caplog) == 2
    assert 'Results would be meaningless' in caplog.text and 'WRONG' in capsys.readouterr().out
    os.remove(str(tmp_path / 'packs' / 'copd2' / 'copd2_iBHCT.img'))
    assert run(words, tmp_path, monkeypatch, caplog) == 2 and 'copd2_iBHCT.img' in caplog.text


def test_evaluation_commands_prepare_spread(tmp_path, known, monkeypatch, caplog, capsys):
    """Its patients' codes are in a settings file; there is no published distance to compare with."""
    known(data_sets.DATA_SETS['SPREAD']._replace(CNList=[1, 2]))
    write_spread(tmp_path / 'packs', [Patient(1, GRIDS[1]), Patient(2, GRIDS[2])], ['ABCD01', 'EFGH02'])
    words = ['--prepare', 'SPREAD', '--from', str(tmp_path / 'packs'), '--cases', '1', '2', '--workers', '1']
    assert run(words, tmp_path, monkeypatch, caplog) == 2 and 'SPREAD_Patients' in caplog.text
    (tmp_path / 'codes.json').write_text(json.dumps({'SPREAD_Patients': ['ABCD01', 'EFGH02']}))
    capsys.readouterr()
    assert run(words + ['--setting', 'codes.json'], tmp_path, monkeypatch, caplog) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum('SPREAD' in entry for entry in lines) == 2
    setting = dict(su.initialize_setting('any', 'Root'), SPREAD_Patients=['ABCD01', 'EFGH02'])
    for request in ('OriginalIm', 'OriginalLung', 'OriginalTorso'):
        assert os.path.isfile(su.address_generator(setting, request, data='SPREAD', cn=2, type_im=1, stage=1))


def test_evaluation_commands_prepare_makes_the_phantom(tmp_path, monkeypatch, caplog, capsys):
    (tmp_path / 'small.json').write_text(
        json.dumps({'Phantom': {'Size': [72, 64, 68], 'Landmarks': 40, 'LandmarksAllPhases': 20}})
    )
    words = ['--prepare', 'Phantom_4D', '--cases', '2', '--setting', 'small.json', '--workers', '1']
    assert run(words, tmp_path, monkeypatch, caplog) == 0
    assert capsys.readouterr().out.splitlines()[2].split()[:4] == ['Phantom_4D', '2', 'T00-T50', '40']
    assert run(['--prepare', 'Phantom_4D', '--cases', '0'], tmp_path, monkeypatch, caplog) == 2
    assert run(['--prepare', 'DIR-Lab', '--from', '.'], tmp_path, monkeypatch, caplog) == 2
    assert 'DIR-Lab_4D' in caplog.text


def test_evaluation_commands_evaluate_an_experiment(tmp_path, monkeypatch, caplog, capsys):
    setting = setting_in(tmp_path, 'mine', cases=[1])
    make_cases(setting, [1])
    train(setting)
    register(setting, 0.75)
    words = ['--evaluate', 'mine', '--report', '--workers', '1']
    assert run(words, tmp_path, monkeypatch, caplog) == 0
    shown = capsys.readouterr().out
    assert shown.index('TRE before mm') < shown.index('TRE of cases') and 'std log J' in shown
    folder = tmp_path / 'Experiments' / 'RegNet' / 'mine' / 'Results' / 'Evaluation' / 'dirlab'
    assert (folder / 'report.html').is_file() and len(os.listdir(str(folder / 'reports'))) == 1
    assert 'Page: ' in shown and STEP in open(str(folder / 'report.html'), encoding='utf-8').read()
    for bad, text in ((['--evaluate', 'nobody'], 'mine'), (words + ['--references', 'bspline'], 'bspline_1')):
        assert run(bad, tmp_path, monkeypatch, caplog) == 2
        assert text in [entry for entry in caplog.records if entry.levelno == logging.ERROR][-1].getMessage()
    # Landmarks of another place stop it before anything is measured.
    path = su.address_generator(
        setting,
        'LandmarkPointExact',
        data='Phantom_4D',
        cn=1,
        type_im=5,
        stage=1,
        pair_info=[{'data': 'Phantom_4D', 'cn': 1, 'type_im': k} for k in (0, 5)],
    )
    np.savetxt(path, np.loadtxt(path) + [0, 0, 500.0])
    assert run(['--evaluate', 'mine', '--protocol', 'learn2reg'], tmp_path, monkeypatch, caplog) == 2
    assert 'Results would be meaningless' in caplog.text and 'outside the image' in caplog.text
    assert not (folder.parent / 'learn2reg').exists()


@pytest.mark.parametrize(
    'words, text',
    [
        (['--prepare', DATA], '--from FOLDER'),
        (['--from', 'x'], '--prepare DATA'),
        (['--report'], '--evaluate'),
        (['--evaluate', 'a', '--prepare', DATA, '--from', 'x'], 'exclude'),
        (['--cases', '1'], '--prepare'),
        (['--evaluate', 'a', '--protocol', 'mine'], 'dirlab'),
        (['--references', 'affine'], '--evaluate'),
        (['--evaluate', 'a', '--capture_range', '-1'], 'above 0'),
        (['--evaluate', 'a', '--report', 'x'], 'without it'),
        (['--report', 'x', '--prepare', DATA, '--from', 'y'], 'alone'),
        (['--report', 'x', 'y', '--landmarks', 'a', 'b'], 'one folder'),
    ],
)
def test_evaluation_commands_that_do_not_fit_are_refused(words, text, capsys):
    with pytest.raises(SystemExit):
        RunRegNet3D.parse_arguments(words)
    assert text in capsys.readouterr().err


def test_evaluation_commands_references_without_a_name_are_all():
    parsed = RunRegNet3D.parse_arguments(['--evaluate', 'a', 'b', '--references'])
    assert (parsed.evaluate, parsed.references, parsed.protocol) == (['a', 'b'], [], 'dirlab')
    assert RunRegNet3D.parse_arguments(['--evaluate', 'a']).references is None


def results_folder(folder):
    """A folder of results as --register writes it: half of the truth of a phantom, registered at 1 mm."""
    setting = setting_in(folder, 'any', cases=[1])
    make_cases(setting, [1], size=(96, 80, 88))
    pair = pairs_of(setting)[0]
    images = [
        sitk.ReadImage(su.address_generator(setting, 'OriginalIm', data='Phantom_4D', cn=1, type_im=k, stage=1))
        for k in (0, 5)
    ]
    truth = su.address_generator(setting, 'TrueDVF', data='Phantom_4D', cn=1, pair_info=pair, stage=1)
    truth = sitk.ReadImage(truth)
    dvf = image_from_array(array_view(truth) * 0.5, truth)
    results = folder / 'results'
    results.mkdir()
    sitk.WriteImage(dvf, str(results / 'displacement.mha'))
    sitk.WriteImage(warp(images[1], dvf), str(results / 'moved.mha'))
    # Half of the truth is left; twice that is expected, but nothing in the lower half of the image.
    expected = np.linalg.norm(array_view(truth), axis=-1)
    expected[: len(expected) // 2] = 0
    sitk.WriteImage(image_from_array(expected.astype(np.float32), truth), str(results / 'expected_error.mha'))
    for name, image in zip(('fixed.mha', 'moving.nii.gz'), images):
        sitk.WriteImage(image, str(folder / name))
    write_json(
        str(results / 'results.json'),
        {
            'settings': {'fixed': 'fixed.mha', 'moving': 'moving.nii.gz', 'stages': [4], 'affine': 'none'},
            'format': 1,
            'grids': {
                role: Geometry.of(image)._asdict() for role, image in zip(('fixed', 'moving', 'results'), images * 2)
            },
            'versions': {'python': '3'},
            'seconds': {'networks': 1.0},
            'measures': {'used': 'affine + 4 2', 'left_out': ['affine + 4 2 1']},
        },
    )
    for name, points in zip(('fixed.csv', 'moving.csv'), read_landmarks(setting, pair)):
        write_points(str(folder / name), points)
    return results


def check_expected_errors(record, path):
    """Twice the true error is expected in the upper half of the image, and nothing in the lower one."""
    landmarks, found, image = record['landmarks'], record['expected_error'], sitk.ReadImage(str(path))
    errors = np.linalg.norm(landmarks['error'], axis=1)
    half = image.GetSize()[2] // 2 - 0.5
    upper = [image.TransformPhysicalPointToContinuousIndex(point)[2] >= half for point in landmarks['fixed']]
    assert [value is not None for value in landmarks['expected_mm']] == upper and 5 < sum(upper) < len(upper)
    expected = np.array(landmarks['expected_mm'], float)[upper]
    np.testing.assert_allclose(expected, 2 * errors[upper], rtol=0.05, atol=0.1)
    assert found['n'] == sum(upper) and found['rank_correlation'] > 0.99
    assert found['mean_absolute_difference'] == pytest.approx(errors[upper].mean(), rel=0.05)


def test_evaluation_commands_report_of_registered_files(tmp_path, monkeypatch, caplog, capsys):
    results = results_folder(tmp_path)
    words = ['--report', 'results', '--landmarks', 'fixed.csv', 'moving.csv']
    assert run(words, tmp_path, monkeypatch, caplog) == 0
    assert 'Page: ' in capsys.readouterr().out
    record = json.loads((results / 'RegNet_moving.nii.gz_to_fixed.mha.json').read_text())
    assert record['tre']['mean'] == pytest.approx(record['tre_before']['mean'] / 2, rel=0.02)
    check_expected_errors(record, results / 'expected_error.mha')
    page = (results / 'report.html').read_text(encoding='utf-8')
    assert repr(record['expected_error']['mean_absolute_difference']) in page and 'Expected and true error' in page
    assert repr(record['tre']['mean']) in page and 'moving.nii.gz to fixed.mha' in page
    assert re.search(r'passes used.*affine \+ 4 2<.*passes left out.*affine \+ 4 2 1<', page, re.DOTALL)
    # Without landmarks the rest is measured (the page needs no second drawing); without images or record nothing is.
    monkeypatch.setattr(folder_report, 'registration_report', lambda *given, **options: None)
    capsys.readouterr()
    assert run(words[:2] + ['--json'], tmp_path, monkeypatch, caplog) == 0
    assert json.loads(capsys.readouterr().out) == {'exit_code': 0, 'error': None, 'pages': ['results/report.html']}
    os.remove(str(tmp_path / 'fixed.mha'))
    assert run(words[:2], tmp_path, monkeypatch, caplog) == 2
    assert 'fixed.mha, which does not exist' in caplog.text
    (results / 'results.json').write_text('[]')
    assert run(words[:2], tmp_path, monkeypatch, caplog) == 2 and 'no such record' in caplog.text
    assert run(['--report', '.'], tmp_path, monkeypatch, caplog) == 2 and 'no finished' in caplog.text
