"""Refinement: from a field that is nearly right to the one in which the images agree, and never to a worse one."""

import json
import os

import numpy as np
import pytest
import SimpleITK as sitk
from oracle import CENTRE, GRIDS, SETTING, chest_image, grid_image

from functions.image.spline_weights import spline_matrix
from functions.image.transforms import affine_from_matrix, write_affine
from functions.image.volume_io import image_from_array, write_image
from functions.registration import pair_lists, refinement, register
from functions.registration.network_pyramid import Model
from functions.registration.result_folder import read_result, read_results
from functions.setting.errors import InputError

TRUE = np.array([2.0, -3.0, 4.0])  # mm, the shift of the moving image


class Shift:
    """A network that answers one displacement everywhere."""

    step = 1

    def __init__(self, value):
        self.value, self.setting = value, dict(SETTING, stage=4)

    def predict(self, moving, fixed, default):
        return np.full(fixed.shape + (3,), self.value, np.float32)

    def close(self):
        pass


@pytest.fixture(scope='module')
def scans():
    fixed, lung = chest_image(grid_image(*GRIDS['isotropic']))
    moving, moving_lung = sitk.Image(fixed), sitk.Image(lung)
    for image in (moving, moving_lung):
        image.SetOrigin((np.array(fixed.GetOrigin()) + TRUE).tolist())
    return fixed, moving, {'fixed_lung': lung, 'moving_lung': moving_lung}


def run(scans, value, **options):
    options = dict({'affine': 'none', 'refine': 300, 'threads': 1, **scans[2]}, **options)
    return register(scans[0], scans[1], {4: Shift(value)}, **options)


def error(found, scans):
    lung = sitk.GetArrayFromImage(scans[2]['fixed_lung']) != 0
    return np.linalg.norm(sitk.GetArrayFromImage(found.dvf)[lung] - TRUE, axis=1).mean()


def test_a_field_that_is_nearly_right_becomes_right_also_after_an_affine(scans, tmp_path, monkeypatch):
    monkeypatch.setattr(refinement, 'BLOCKS', 25)
    monkeypatch.setattr(refinement, 'EVERY', 6)
    lung = scans[2]['fixed_lung']
    # x and y change places, so that no mix-up of axes passes. The affine is the whole truth, which the network spoils.
    turned, centre = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), CENTRE
    affine, path = affine_from_matrix(turned, TRUE + centre - turned @ centre), str(tmp_path / 'affine.tfm')
    write_affine(affine, path)
    grid = (np.array(lung.GetOrigin()) + TRUE).tolist(), lung.GetSpacing(), lung.GetDirection()
    back = lung.GetSize(), affine.GetInverse()
    moving = sitk.Resample(scans[0], *back, sitk.sitkBSpline, *grid, -1000)
    masks = {'fixed_lung': lung, 'moving_lung': sitk.Resample(lung, *back, sitk.sitkNearestNeighbor, *grid, 0)}
    spoiled, options = (0.9, -0.5, 0.4), {'affine': path, 'refine': 300, 'threads': 1, 'keep_all_stages': True}
    found = register(scans[0], moving, {4: Shift(spoiled)}, **masks, **options)
    inside = sitk.GetArrayFromImage(lung) != 0
    left = np.linalg.norm(sitk.GetArrayFromImage(found.nonrigid)[inside], axis=1)
    assert found.measures['used'] == 'affine + 4 + refined'
    assert left.mean() < 0.25 * np.linalg.norm(spoiled) and found.measures['folding_percent'] == 0
    facts = found.measures['refinement']
    assert facts['stopped'] == 'no further improvement' and facts['iterations'] == facts['looks'][-1][0]
    looks, steps = np.array(facts['looks']), np.loadtxt(facts['steps'][1:], delimiter=',')
    assert looks[-1, 1] > looks[0, 1] and looks[0, 3] == 0 and (looks[:, 4] > 0.5).all()
    assert facts['steps'][0] == refinement.STEPS and steps[:, 0].tolist() == list(range(1, facts['iterations'] + 1))
    np.testing.assert_allclose(steps[0, 4], 1, atol=1e-4)  # nothing is bent before the first step
    assert found.measures['result'] == 'refined' and found.measures['left_out'] == []


def moved_by(mm):
    """A refinement that only shifts the field."""

    def refine(pair, lungs, field, *given):
        return image_from_array(sitk.GetArrayFromImage(field) + np.float32(mm), field), {}

    return refine


def test_what_is_no_better_is_left_out_in_one_sentence(scans, monkeypatch, caplog):
    monkeypatch.setattr('functions.registration.field_prediction.refine', moved_by(2))
    found = run(scans, TRUE)
    assert found.measures['used'] == '4' and error(found, scans) < 1e-3
    assert found.measures['likeness']['4 + refined'] < found.measures['likeness']['4']
    assert found.measures['result'] == 'single shot' and found.measures['left_out'] == ['refinement']
    assert 'no more alike' in caplog.text

    def folded(pair, lungs, field, *given):
        array = sitk.GetArrayFromImage(field)
        return image_from_array(array - 1.5 * np.arange(array.shape[2], dtype=np.float32)[:, None], field), {}

    monkeypatch.setattr('functions.registration.field_prediction.refine', folded)
    assert run(scans, TRUE).measures['refinement'] == {'left_out': 'the lung would fold.'}
    monkeypatch.undo()
    same = scans[0], scans[0], {'fixed_lung': scans[2]['fixed_lung'], 'moving_lung': scans[2]['fixed_lung']}
    found = run(same, 0.001)
    assert found.measures['refinement'] == {'left_out': 'the two images are the same.'}
    monkeypatch.setattr(refinement, 'SIDE', 500)
    assert 'refinement needs' in run(scans, TRUE).measures['refinement']['left_out']


def test_the_field_is_judged_as_it_is_written_without_folding(scans, monkeypatch):
    monkeypatch.setattr('functions.registration.field_prediction.refine', moved_by(0.5))
    moves = []

    def removed(field, mask):
        moved = image_from_array(sitk.GetArrayFromImage(field) + np.float32(moves.pop(0)), field)
        return moved, {'rounds': 1}

    monkeypatch.setattr('functions.registration.field_prediction.remove_folding', removed)
    moves[:] = [0.3, 3]  # what is removed brings the refined field away from the truth that it had found
    found = run(scans, TRUE - 1.0, diffeomorphic=True)
    assert found.measures['used'] == '4 + folding removed' and found.measures['left_out'] == ['refinement']
    assert error(found, scans) == pytest.approx(0.7 * 3**0.5, abs=1e-3)
    moves[:] = [0.3, 0.1]
    found = run(scans, TRUE - 1.0, diffeomorphic=True)
    assert found.measures['result'] == 'refined' and error(found, scans) == pytest.approx(0.1 * 3**0.5, abs=1e-3)
    written = run(scans, TRUE - 0.1, refine=None).measures['likeness']['4']
    assert found.measures['likeness'][found.measures['used']] == pytest.approx(written, abs=1e-6)
    moves[:] = [-20, 0]
    found = run(scans, TRUE, diffeomorphic=True)
    assert found.measures['used'] == 'none' and found.measures['left_out'] == ['4 + folding removed', 'refinement']
    assert not sitk.GetArrayViewFromImage(found.dvf).any() and found.stage_dvfs == {}
    moves[:] = [-20]
    found = run(scans, TRUE, diffeomorphic=True, keep_all_stages=True, refine=None)
    assert found.measures['used'] == '4 + folding removed' and found.measures['left_out'] == []

    def folds_on(field, mask):
        if moves:
            raise InputError('The field still folds.')
        moves.append(1)
        return field, {'rounds': 0}

    moves[:] = []
    monkeypatch.setattr('functions.registration.field_prediction.remove_folding', folds_on)
    found = run(scans, TRUE, diffeomorphic=True)
    assert found.measures['refinement'] == {'left_out': 'The field still folds.'} and error(found, scans) < 1e-3


@pytest.fixture
def once(scans, tmp_path):
    """A function that registers these scans, as files, into a folder by a network that is 0.5 mm wrong."""
    files = {}
    for name, image in dict(scans[2], fixed=scans[0], moving=scans[1]).items():
        files[name] = str(tmp_path / f'{name}.mha')
        sitk.WriteImage(image, files[name])

    def once(**options):
        model = Model({4: Shift(TRUE + 0.5)}, [4])
        folder = str(tmp_path / 'results')
        return pair_lists.register_and_write(folder, files, model, affine='none', threads=1, **options)

    return once


def test_where_the_refinement_is_left_out_only_the_record_is_written_again(once, monkeypatch, tmp_path):
    written = []

    def counted(image, path):
        written.append(os.path.basename(path))
        write_image(image, path)

    monkeypatch.setattr('functions.registration.result_folder.write_image', counted)
    monkeypatch.setattr('functions.registration.field_prediction.refine', moved_by(2))
    found, record = once(refine=10)
    assert sorted(written) == ['displacement.mha', 'fixed_lung.nii.gz', 'jacobian.mha', 'moved.mha']
    folder = str(tmp_path / 'results')
    assert read_results(folder).record == json.loads(json.dumps(record))
    assert record['measures']['left_out'] == ['refinement'] and 'no more alike' in str(record['measures']['refinement'])
    assert {'refinement', 'writing'} <= set(record['seconds']) and found.total_seconds >= record['seconds'][
        'refinement'
    ]
    np.testing.assert_allclose(
        sitk.GetArrayFromImage(read_result(read_results(folder)))[9, 9, 9], TRUE + 0.5, atol=1e-4
    )
    assert once(refine=10, verify=True)[0] is None
    monkeypatch.setattr('functions.registration.field_prediction.refine', moved_by(-0.5))
    written.clear()
    once(refine=10, overwrite=True)
    assert len(written) == 8


def test_interrupted_in_the_middle_the_single_shot_is_there_and_is_refined_by_the_next_run(once, monkeypatch, tmp_path):
    folder = str(tmp_path / 'results')

    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr('functions.registration.field_prediction.refine', interrupted)
    with pytest.raises(KeyboardInterrupt):
        once(refine=10)
    record = read_results(folder).record
    assert record['measures']['result'] == 'single shot' and record['measures']['used'] == '4'
    field = sitk.GetArrayFromImage(read_result(read_results(folder)))
    np.testing.assert_allclose(field[20, 20, 20], TRUE + 0.5, atol=1e-4)
    monkeypatch.setattr('functions.registration.field_prediction.refine', moved_by(-0.5))
    _, record = once(refine=10)
    assert record['measures']['result'] == 'refined' and record['seconds']['refinement'] >= 0
    np.testing.assert_allclose(sitk.GetArrayFromImage(read_result(read_results(folder)))[20, 20, 20], TRUE, atol=1e-4)
    assert once(refine=10)[0] is None
    with pytest.raises(InputError, match='--overwrite'):
        once()


def test_what_cannot_be_refined_is_refused_in_one_sentence(scans):
    with pytest.raises(InputError, match='--fixed_lung and --moving_lung'):
        run(scans, 1.0, fixed_lung=None, moving_lung=None, input_mask='none')
    for seconds in (0, -1, float('nan'), 'long'):
        with pytest.raises(InputError, match='refine .*above 0'):
            run(scans, 1.0, refine=seconds)


def test_the_spline_is_that_of_itk():
    control = np.random.RandomState(0).normal(size=(9, 10, 11, 3)).astype(np.float32)
    found = refinement._everywhere(control, (21, 25, 29))
    images = [sitk.GetImageFromArray(np.ascontiguousarray(control[..., i]).astype(np.float64)) for i in range(3)]
    for image in images:
        image.SetSpacing((4.0,) * 3)
        image.SetOrigin((-4.0,) * 3)
    spline = sitk.BSplineTransform(images, 3)
    for z, y, x in ((0, 0, 0), (3, 9, 14), (11, 20, 2), (20, 24, 28)):
        moved = np.array(spline.TransformPoint((float(x), float(y), float(z)))) - (x, y, z)
        np.testing.assert_allclose(found[z, y, x], moved, atol=1e-5)
    assert spline_matrix(np.array([0]), np.array([0.0]), 4) == pytest.approx(np.array([[1, 4, 1, 0]]) / 6)
