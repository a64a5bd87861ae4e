"""Many pairs: correct numbers, resumed, and failures listed."""

import json
import os
import shutil

import numpy as np
import pytest
import SimpleITK as sitk

import functions.setting.setting_utils as su
from functions.evaluation import measured_pairs as mp
from functions.evaluation.comparison import Comparison
from functions.evaluation.measured_pairs import Result, measure_results
from functions.image.resample import warp
from functions.image.volume_io import array_view, image_from_array
from functions.phantom.phantom import make_case
from functions.setting.errors import InputError

pytestmark = pytest.mark.once

DATA = 'Phantom_4D'


def pair_of(cn):
    return [{'data': DATA, 'cn': cn, 'type_im': k} for k in (0, 5)]


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """(setting, results): two small patients, 'registered' by half of and by the whole truth."""
    folder = tmp_path_factory.mktemp('cohort')
    setting = dict(
        su.initialize_setting('cohort', 'Root'), RootFolder=str(folder) + '/', DataFolder=str(folder) + '/Data/'
    )
    setting['Phantom'] = {'Landmarks': 50, 'LandmarksAllPhases': 20}
    tasks = []
    for cn in (1, 2):
        make_case(setting, cn, size=(72, 64, 68))
        truth = su.address_generator(setting, 'TrueDVF', data=DATA, cn=cn, pair_info=pair_of(cn), stage=1)
        dvf = sitk.ReadImage(truth)
        path = su.address_generator(setting, 'OriginalIm', data=DATA, cn=cn, type_im=5, stage=1)
        moving = sitk.ReadImage(path)
        half, moved = str(folder / f'half{cn}.mha'), str(folder / f'moved{cn}.mha')
        sitk.WriteImage(image_from_array(array_view(dvf) * 0.5, dvf), half)
        sitk.WriteImage(warp(moving, dvf), moved)
        tasks += [
            Result('before', pair_of(cn)),
            Result('half', pair_of(cn), half),
            Result('truth', pair_of(cn), truth, moved=moved, seconds=3.0),
        ]
    return setting, tasks


def test_evaluation_measured_pairs_measures_what_is_there(made, tmp_path):
    setting, tasks = made
    found = measure_results(setting, tasks, str(tmp_path), n_workers=2)
    assert found.failures == [] and found.made == 6
    assert [record['method'] for record in found.records] == ['before', 'half', 'truth'] * 2
    for before, half, truth in (found.records[:3], found.records[3:]):
        assert truth['tre']['mean'] < 0.05 and before['tre']['mean'] > 3
        assert half['tre']['mean'] == pytest.approx(before['tre']['mean'] / 2, rel=0.05)
        assert before['tre'] == before['tre_before'] and 'regularity' not in before
        assert truth['regularity']['n'] > 1000 and truth['seconds'] == 3.0
        assert truth['overlap']['after']['mask']['dice'] > 0.95 > truth['overlap']['before']['mask']['dice']
        assert truth['intensity']['after']['ncc'] > truth['intensity']['before']['ncc'] + 0.1
    rows = {row['method']: row for row in Comparison(found.records).rows()}
    assert rows['truth']['TRE mm'] < 0.05 and rows['half']['pairs'] == 2
    assert rows['before']['Dice'] < rows['half']['Dice'] < rows['truth']['Dice']
    assert rows['before']['folding %'] is None and rows['truth']['folding %'] is not None


def test_evaluation_measured_pairs_are_resumed(made, tmp_path):
    setting, tasks = made
    tasks = [task for task in tasks if task.method == 'half']
    first = measure_results(setting, tasks[:1], str(tmp_path), n_workers=1)
    again = measure_results(setting, tasks, str(tmp_path), n_workers=1)
    assert (first.made, again.made) == (1, 1) and again.records[0] == first.records[0]
    assert measure_results(setting, tasks, str(tmp_path), 'learn2reg', n_workers=1).made == 2
    # a record that is damaged
    name = sorted(os.listdir(str(tmp_path)))[1]
    (tmp_path / name).write_text('{"method"')
    assert measure_results(setting, tasks, str(tmp_path), 'learn2reg', n_workers=1).made == 1


def test_evaluation_measured_pairs_measure_again_what_changed_but_not_what_was_touched(made, tmp_path):
    setting, tasks = made
    dvf, records = str(tmp_path / 'half.mha'), str(tmp_path / 'records')
    shutil.copyfile(tasks[1].dvf, dvf)
    results = [Result('half', pair_of(1), dvf)]
    first = measure_results(setting, results, records, n_workers=1)
    image = mp.input_paths(setting, pair_of(1))['fixed']
    before = os.stat(image)
    try:
        for path in (dvf, image):
            os.utime(path, (1, 1))
        touched = measure_results(setting, results, records, n_workers=1)
    finally:
        os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (first.made, touched.made) == (1, 0) and touched.records[0]['tre'] == first.records[0]['tre']
    # as many bytes, at the same time, but a voxel in the middle of the lung moves otherwise
    with open(dvf, 'r+b') as stream:
        stream.seek(os.path.getsize(dvf) // 2)
        stream.write(b'\x00' * 4)
    os.utime(dvf, (1, 1))
    assert measure_results(setting, results, records, n_workers=1).made == 1


def test_evaluation_measured_pairs_believe_records_of_sizes_and_times(made, tmp_path):
    """As earlier versions wrote them: they hold while all of that is the same."""
    setting, tasks = made
    (record,) = measure_results(setting, tasks[1:2], str(tmp_path), n_workers=1).records
    record['made_from']['files'] = [
        one and [one['path'], one['bytes'], one['mtime_ns']] for one in record['made_from']['files']
    ]
    (path,) = tmp_path.iterdir()
    path.write_text(json.dumps(record))
    assert measure_results(setting, tasks[1:2], str(tmp_path), n_workers=1).made == 0
    record['made_from']['files'][0][2] += 1
    path.write_text(json.dumps(record))
    assert measure_results(setting, tasks[1:2], str(tmp_path), n_workers=1).made == 1


def test_evaluation_measured_pairs_lists_failures_and_goes_on(made, tmp_path):
    setting, tasks = made
    gone = Result('gone', pair_of(1), str(tmp_path / 'none.mha'))
    torn = str(tmp_path / 'torn.mha')
    with open(tasks[1].dvf, 'rb') as stream, open(torn, 'wb') as copy:
        copy.write(stream.read()[:5000])
    unknown = Result('half', pair_of(7), tasks[1].dvf)
    found = measure_results(
        setting, [gone, tasks[1], Result('torn', pair_of(1), torn), unknown], str(tmp_path), n_workers=2
    )
    assert [record['method'] for record in found.records] == ['half']
    assert [failure[:2] for failure in found.failures] == [
        ('gone', 'Phantom_4D case 1 0-5'),
        ('torn', 'Phantom_4D case 1 0-5'),
        ('half', 'Phantom_4D case 7 0-5'),
    ]
    texts = [failure[2] for failure in found.failures]
    assert 'none.mha does not exist' in texts[0] and 'torn.mha is cut short' in texts[1]
    with pytest.raises(InputError, match='two results of half_Phantom_4D_case_1'):
        measure_results(setting, [tasks[1], tasks[1]], str(tmp_path))


def test_evaluation_measured_pairs_without_landmarks_measures_the_rest(made, tmp_path):
    setting, tasks = made
    pair = pair_of(1)
    path = su.address_generator(setting, 'LandmarkPointExact', data=DATA, cn=1, type_im=5, pair_info=pair, stage=1)
    os.rename(path, path + '.away')
    try:
        record = measure_results(setting, [tasks[2]], str(tmp_path), n_workers=1).records[0]
    finally:
        os.rename(path + '.away', path)
    assert 'tre' not in record and 'exact landmarks' in record['made_from']['without_landmarks']
    assert record['regularity']['folding'] == pytest.approx(
        100.0 * record['regularity']['folded'] / record['regularity']['n']
    )


def test_evaluation_measured_pairs_affine_files_are_read(made, tmp_path):
    """A transform file of ITK: the translation that undoes the mean displacement."""
    setting, tasks = made
    before = measure_results(setting, [tasks[0]], str(tmp_path), n_workers=1).records[0]
    mean = np.array(before['landmarks']['true']).mean(axis=0)
    path = str(tmp_path / 'affine.tfm')
    sitk.WriteTransform(sitk.AffineTransform([1, 0, 0, 0, 1, 0, 0, 0, 1], mean.tolist()), path)
    found = measure_results(setting, [Result('Affine', pair_of(1), affine=path)], str(tmp_path), n_workers=1)
    record = found.records[0]
    left = np.array(before['landmarks']['true']) - mean
    assert record['tre']['mean'] == pytest.approx(np.linalg.norm(left, axis=1).mean(), abs=1e-3)
    assert record['tre'] == record['tre_base'] and record['tre_before'] == before['tre']


def test_evaluation_measured_pairs_synthetic_pairs_have_their_own_files(tmp_path):
    """The deformed image is fixed, the true DVF gives the landmarks."""
    setting = dict(
        su.initialize_setting('cohort', 'Root'),
        RootFolder=str(tmp_path) + '/',
        DataFolder=str(tmp_path) + '/Data/',
        DVFPad_S1=0,
    )
    item = {'data': 'DIR-Lab_4D', 'cn': 1, 'type_im': 0, 'deform_exp': '3D_max7_D14_K', 'dsmooth': 0}
    pair = [dict(item), dict(item)]
    rng = np.random.RandomState(0)
    image = sitk.GetImageFromArray(rng.randint(-900, 100, (12, 13, 14)).astype(np.int16))
    lung = sitk.GetImageFromArray(np.pad(np.ones((8, 9, 10), np.uint8), 2, mode='constant'))
    truth = sitk.GetImageFromArray(np.full((12, 13, 14, 3), 2.0, np.float32), isVector=True)
    paths = mp.input_paths(setting, pair)
    for name, content in zip(
        ('fixed', 'moving', 'fixed_lung', 'moving_lung', 'truth'), (image, image, lung, lung, truth)
    ):
        os.makedirs(os.path.dirname(paths[name]), exist_ok=True)
        sitk.WriteImage(content, paths[name])
    tasks = [Result('before', pair), Result('RegNet', pair, paths['truth'])]
    before, after = measure_results(setting, tasks, str(tmp_path), n_workers=1).records
    assert before['tre']['mean'] == pytest.approx(np.sqrt(12)) and before['tre']['n'] == 300
    assert after['tre']['max'] < 1e-5 and after['regularity']['folding'] == 0
    assert 'Deformed' in paths['fixed'] and 'DeformedDVF' in paths['truth']
