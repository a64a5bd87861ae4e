"""The set of networks that comes with the project: whole, small, and of use on a patient it has not seen."""

import glob
import os

import numpy as np
import pytest

from functions.measure.regularity import folding
from functions.measure.tre import error_vectors
from functions.phantom.case import Case
from functions.registration import register
from functions.registration.network_pyramid import open_model
from functions.setting.text_files import read_json
from functions.setting.trained_models import DEFAULT_SET, SHIPPED, network_set


def test_every_network_of_the_set_is_whole_small_and_has_its_card_and_recipe():
    folders, stages, error_map, symmetric = network_set(DEFAULT_SET)
    with open_model(DEFAULT_SET, threads=1) as model:
        assert model.stages == stages and set(stages) == set(folders) and model.mask == 'Lung'
        assert model.error_map.description.predicts == 'error' and model.is_symmetric() is symmetric is True
    for stage, folder in [*folders.items(), (model.error_map.stage, error_map)]:
        files = glob.glob(os.path.join(folder, 'train', 'Model', 'Saved', '*'))
        assert sum(os.path.getsize(path) for path in files) < 2e6
        assert os.path.isfile(os.path.join(folder, 'README.md'))
        recipe = read_json(os.path.join(SHIPPED, 'recipes', os.path.basename(folder) + '.json'))
        trained = read_json(os.path.join(folder, 'train', 'Model', 'setting0.txt'))
        assert recipe['stage'] == stage == trained['stage']
        for key in ('InputMask', 'InputMargin', 'normalization', 'DVFUnit', 'SpongeModel', 'OnTheFly'):
            assert trained[key] == recipe[key], key
        for name, value in recipe['NetworkTraining'].items():
            assert trained['NetworkTraining'][name] == value, name


@pytest.fixture(scope='module')
def patient():
    """(fixed, moving, their lungs, landmarks of both) of an unseen patient of 17 cm."""
    case = Case(14, {'Size': [172, 132, 160], 'Landmarks': 60})
    (fixed, fixed_lung, _), (moving, moving_lung, _) = case.phase(0), case.phase(5)
    return fixed, moving, fixed_lung, moving_lung, case.landmarks(0), case.landmarks(5)


def by_stages(patient, stages=None):
    """The patient registered by the set, or some stages of it."""
    fixed, moving, fixed_lung, moving_lung, _, _ = patient
    options = {'fixed_lung': fixed_lung, 'moving_lung': moving_lung, 'affine': 'none'}
    return register(fixed, moving, DEFAULT_SET, stages, **options)


@pytest.fixture(scope='module')
def found(patient):
    return by_stages(patient)


def test_it_registers_a_patient_it_has_not_seen(patient, found):
    fixed_lung, here, there = patient[2], *patient[4:]
    before = np.linalg.norm(error_vectors(here, there), axis=1).mean()
    after = np.linalg.norm(error_vectors(here, there, found.dvf), axis=1).mean()
    assert after < 0.5 * before
    assert folding(found.jacobian, fixed_lung) < 0.05
    assert '4' in found.measures['used'] and '1' in found.measures['used']


def test_it_expects_a_larger_error_where_there_is_one(patient, found):
    results = [by_stages(patient, [4]), found]
    expected = [one.measures['expected_error_mm']['mean'] for one in results]
    true = [np.linalg.norm(error_vectors(*patient[4:], one.dvf), axis=1).mean() for one in results]
    assert true[0] > true[1] and expected[0] > expected[1]


def test_the_same_image_twice_hardly_moves(patient):
    fixed, _, lung = patient[:3]
    options = {'fixed_lung': lung, 'moving_lung': lung, 'affine': 'none', 'keep_all_stages': True}
    found = register(fixed, fixed, DEFAULT_SET, [4, 4, 2], **options)
    assert found.measures['displacement_mm']['median'] < 1.0
