"""Finished experiments found at their addresses, measured and compared; what is missing is listed."""

import csv
import json
import os

import numpy as np
import pytest
import SimpleITK as sitk
from evaluation_experiment import STEP, expect, make_cases, pairs_of, register, setting_in, train

import functions.setting.setting_utils as su
from functions.evaluation import evaluate_experiments as ev
from functions.evaluation import experiments as found_experiments
from functions.evaluation import measured_pairs
from functions.evaluation.experiments import open_experiment
from functions.image.volume_io import array_view, read_image
from functions.registration.data_set_pairs import register_pair
from functions.setting.atomic import write_json
from functions.setting.errors import InputError, UnknownNameError
from functions.setting.experiment_files import settings_number
from functions.setting.text_files import read_json

pytestmark = pytest.mark.once


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder with the images of two cases."""
    folder = tmp_path_factory.mktemp('experiments')
    make_cases(setting_in(folder, 'any'))
    return folder


@pytest.fixture
def no_figures(monkeypatch):
    """The figures of a comparison are drawn in one test only."""
    monkeypatch.setattr(ev, '_draw', lambda folder, comparison: [])


def experiment_of(folder, name, share=0.5, step=STEP):
    setting = setting_in(folder, name)
    train(setting)
    register(setting, share, step)
    return setting


def test_evaluation_experiments_are_found_by_their_own_settings(folder):
    setting = experiment_of(folder, 'Sub/own')
    present = su.initialize_setting('another', 'Root')
    present.update({key: setting[key] for key in ('RootFolder', 'DataFolder', 'log_root_folder')})
    found = open_experiment(present, 'Sub/own')
    assert (found.name, found.step, found.missing) == ('Sub/own', STEP, [])
    assert found.pairs == pairs_of(setting)
    for result, pair in zip(found.results, found.pairs):
        assert result.pair == pair and result.seconds == 1.5 and result.affine is None
        assert result.dvf == found_experiments.result_address(setting, 'dvf_s0', pair, STEP)
        assert os.path.isfile(result.moved)
    # Of symmetric passes the record says so; those of earlier versions say nothing.
    record = os.path.join(os.path.dirname(found.results[1].dvf), 'registration.json')
    write_json(record, dict(read_json(record), symmetric=True))
    assert [result.symmetric for result in open_experiment(present, 'Sub/own').results] == [False, True]
    # A newer settings file counts, and the roots are those of today.
    su.write_setting(dict(setting_in(folder, 'Sub/own', cases=(2, 5)), RootFolder='/gone/', DataFolder='/gone/'))
    assert settings_number(setting, 'Sub/own') == 1
    newer = open_experiment(present, 'Sub/own')
    assert newer.missing == ['Sub/own has no result for Phantom_4D case 5 0-5'] and len(newer.results) == 1
    assert newer.setting['DataFolder'] == setting['DataFolder']
    # Settings that are given come before those of the experiment.
    assert len(open_experiment(setting, 'Sub/own', own_settings=False).results) == 2
    with pytest.raises(InputError, match='no pair to register'):
        open_experiment(dict(setting, DataExpDict=[]), 'Sub/own', own_settings=False)


def test_evaluation_experiments_take_the_step_that_is_asked_for(folder):
    setting = experiment_of(folder, 'steps', step='40')
    register(setting, 0.9, '120')
    register(setting, 0.9, '9')

    def found(step):
        asked = dict(setting, network_dict={'stage4': {'NetworkLoad': 'steps', 'GlobalStepLoad': step}})
        return open_experiment(asked, 'steps', own_settings=False).step

    # 'Last' knows no checkpoint here, so the newest results are taken; a number that has results comes first.
    assert [found(step) for step in ('Last', 40, 9, 77)] == ['120', '40', '9', '120']
    with pytest.raises(UnknownNameError, match='steps'):
        open_experiment(setting, 'step')
    never = setting_in(folder, 'never')
    train(never)
    assert open_experiment(never, 'never').step is None


def test_evaluation_experiments_synthetic_results_have_folders_of_their_own(folder):
    setting = setting_in(folder, 'synthetic')
    item = {'data': 'Phantom_4D', 'cn': 1, 'type_im': 0, 'deform_exp': '3D_max20_D14_K', 'dsmooth': 1}
    setting.update(read_pair_mode='synthetic', DVFPad_S1=0)
    path = found_experiments.result_address(setting, 'dvf_s0', [item, dict(item)], '40')
    assert path.endswith('/Dsmooth1/DVF_S0.mha') and '/Results/Phantom_4D/3D_max20_D14_K/' in path
    paths = measured_pairs.input_paths(setting, [item, dict(item)])
    # What was deformed is not the original but the new image made from it; of dsmooth 0 it is the original.
    assert 'NextIm' in paths['moving'] and 'NextLung' in paths['moving_lung'] and 'Deformed' in paths['fixed']
    item['dsmooth'] = 0
    paths = measured_pairs.input_paths(setting, [item, dict(item)])
    assert paths['moving'] == su.address_generator(setting, 'OriginalIm', data='Phantom_4D', cn=1, stage=1)


class HalfTheTruth:
    """In place of a network: half of the true field of a pair, on the grid of its stage."""

    def __init__(self, setting, pair):
        truth = su.address_generator(setting, 'TrueDVF', data='Phantom_4D', cn=pair[0]['cn'], pair_info=pair, stage=1)
        self.truth = read_image(truth, expect='vector')
        self.step = STEP
        self.setting = {'InputMask': 'Lung', 'stage': 4, 'NetworkDesign': 'unet1', 'DownSampling': 'bspline'}
        self.setting.update(normalization=None, DVFUnit='mm', data=setting['data'], deform_exp={})

    def predict(self, moving, fixed, default):
        return array_view(self.truth)[::4, ::4, ::4] * 0.5


def test_evaluation_experiments_are_what_registration_writes(folder, tmp_path):
    """Registration writes where evaluation looks."""
    setting = setting_in(folder, 'written', cases=[1])
    train(setting)
    pair = pairs_of(setting)[0]
    written = register_pair(setting, pair, {4: HalfTheTruth(setting, pair)})
    found = open_experiment(setting, 'written')
    assert found.missing == [] and found.step == STEP
    assert found.results[0].seconds == pytest.approx(written.registration.total_seconds)
    record = measured_pairs.measure_results(setting, found.results, str(tmp_path), n_workers=1).records[0]
    assert record['tre']['mean'] == pytest.approx(record['tre_before']['mean'] / 2, rel=0.1)


def test_evaluation_experiments_compared_in_every_style(folder, monkeypatch):
    experiments = [
        open_experiment(experiment_of(folder, name, share), name) for name, share in (('first', 0.5), ('second', 0.8))
    ]
    check = ev.check_experiments(experiments, n_workers=2)
    assert check.rows == ev.check_experiments(experiments, n_workers=1).rows
    check.require()
    assert [row.cn for row in check.rows] == [1, 2]
    found = ev.evaluate(experiments, n_workers=1)
    names = sorted(os.listdir(found.folder))
    assert found.folder.endswith('RegNet/first/Results/Evaluation/dirlab') and found.pages == []
    assert {'comparison.' + ending for ending in ('json', 'txt', 'csv', 'tex', 'md')} <= set(names)
    assert {
        'boxes_TRE.png',
        'boxes_TRE_pairs.png',
        'boxes_z.png',
        'pairs.csv',
        'records',
        'scatter_first.png',
        'scatter_second.png',
    } <= set(names)
    rows = {row['method']: row for row in found.comparison.rows()}
    before = rows['before registration']['TRE mm']
    assert rows['first']['TRE mm'] == pytest.approx(before / 2, rel=0.02)
    assert rows['second']['TRE mm'] == pytest.approx(before / 5, rel=0.05)
    with open(os.path.join(found.folder, 'comparison.csv')) as stream:
        table = {row['method']: float(row['TRE mm']) for row in csv.DictReader(stream)}
    assert table == {name: row['TRE mm'] for name, row in rows.items()}
    with open(os.path.join(found.folder, 'comparison.json')) as stream:
        assert {row['method']: row['TRE mm'] for row in json.load(stream)['rows']} == table
    assert 'Missing' not in found.text and 'case 2' in found.text and found.comparison.protocol in found.text
    monkeypatch.setattr(ev, '_draw', lambda folder, comparison: [])
    # Nothing is measured twice; another protocol has a folder and numbers of its own.
    assert found.measured.made == 6 and ev.evaluate(experiments, n_workers=1).measured.made == 0
    other = ev.evaluate(experiments, protocol='learn2reg', n_workers=1)
    assert other.folder.endswith('learn2reg') and 'log(J + 3)' in other.text
    # Landmarks that were far off are left out on demand, of all methods alike.
    near = ev.evaluate(experiments, n_workers=1, capture_range=6.0).comparison
    assert 0 < near.rows()[0]['n'] < found.comparison.rows()[0]['n']
    with pytest.raises(InputError, match='first, first'):
        ev.evaluate(experiments[:1] * 2)
    with pytest.raises(UnknownNameError, match='dirlab'):
        ev.evaluate(experiments, protocol='dirlb')


def test_evaluation_experiments_expected_errors_of_all_pairs_together(folder, no_figures):
    setting = experiment_of(folder, 'expecting')
    plain = open_experiment(setting, 'expecting')
    before = ev.evaluate([plain], n_workers=1)
    assert before.comparison.expected_rows() == [] and plain.results[0].error_map is None
    paths = expect(setting, (1.5, 0.5))
    experiment = open_experiment(setting, 'expecting')
    assert [result.error_map for result in experiment.results] == paths
    # What others, and results without a map, were measured to be is not measured again.
    found = ev.evaluate([experiment], n_workers=1)
    assert found.measured.made == 2
    errors, expected = [], []
    for record, factor in zip(found.comparison.records('expecting'), (1.5, 0.5)):
        landmarks = record['landmarks']
        used = [value is not None for value in landmarks['expected_mm']]
        errors.append(np.linalg.norm(landmarks['error'], axis=1)[used])
        expected.append(np.array(landmarks['expected_mm'], float)[used])
        np.testing.assert_allclose(expected[-1], factor * errors[-1], rtol=0.05, atol=0.1)
        assert 5 < sum(used) < len(used)
    errors, expected = np.concatenate(errors), np.concatenate(expected)
    table = {row['expected error']: row['expecting'] for row in found.comparison.expected_rows()}
    assert table['landmarks where an error is expected'] == len(errors)
    assert table['mean absolute difference (mm)'] == pytest.approx(np.abs(errors - expected).mean())
    order = [np.argsort(np.argsort(values)) for values in (errors, expected)]
    assert table['rank correlation'] == pytest.approx(np.corrcoef(*order)[0, 1])
    for mm, said in ((1, 10.0), (2, 30.0), (3, 50.0), (5, 90.0)):
        assert table[f'expected within {mm} mm (%)'] == pytest.approx(said)
        assert table[f'true within {mm} mm (%)'] == pytest.approx(100 * np.mean(errors <= mm))
    with open(os.path.join(found.folder, 'expected_errors.csv')) as stream:
        assert {row['expected error']: float(row['expecting']) for row in csv.DictReader(stream)} == table
    assert 'rank correlation' in found.text
    # Fewer landmarks, of both alike; a map that is not that of the results is not theirs.
    near = ev.evaluate([experiment], n_workers=1, capture_range=6.0).comparison
    assert near.expected_rows()[-1]['expecting'] < len(errors)
    register(setting, 0.5)
    plain = open_experiment(setting, 'expecting')
    assert os.path.isfile(paths[0]) and plain.results[0].error_map is None
    again = ev.evaluate([plain], n_workers=1)
    assert again.folder == found.folder and not os.path.exists(os.path.join(found.folder, 'expected_errors.csv'))


def test_evaluation_experiments_missing_and_failing_pairs_are_listed(folder, no_figures):
    setting = experiment_of(folder, 'torn')
    found = open_experiment(setting, 'torn')
    with open(found.results[0].dvf, 'r+b') as stream:
        stream.truncate(5000)
    os.remove(found.results[1].dvf)
    broken = open_experiment(setting, 'torn')
    assert broken.missing == ['torn has no result for Phantom_4D case 2 0-5'] and len(broken.results) == 1
    evaluation = ev.evaluate([broken], n_workers=1, report=True)
    assert [failure[:2] for failure in evaluation.measured.failures] == [('torn', 'Phantom_4D case 1 0-5')]
    assert evaluation.comparison.methods == ['before registration']
    for words in ('torn has no result for Phantom_4D case 2 0-5', 'is cut short', 'Missing or failed'):
        assert words in evaluation.text
    assert len(evaluation.pages) == 1
    with open(evaluation.pages[0], encoding='utf-8') as stream:
        assert 'is cut short' in stream.read()


def test_evaluation_experiments_without_a_common_pair(folder, no_figures):
    for name, cn in (('one', 0), ('two', 1)):
        setting = experiment_of(folder, name)
        os.remove(open_experiment(setting, name).results[cn].dvf)
    experiments = [open_experiment(setting_in(folder, name), name) for name in ('one', 'two')]
    evaluation = ev.evaluate(experiments, n_workers=1)
    assert len(evaluation.comparison.methods) == 2 and len(evaluation.comparison.pairs) == 1
    assert sorted(evaluation.missing) == [
        'one has no result for Phantom_4D case 1 0-5',
        'two has no result for Phantom_4D case 2 0-5',
    ]


def test_evaluation_experiments_facts_beside_a_result(folder, tmp_path):
    assert found_experiments.result_facts(str(tmp_path / 'dvf.mha')) == {}
    write_json(str(tmp_path / 'registration.json'), [1])
    with pytest.raises(InputError, match='registration.json'):
        found_experiments.result_facts(str(tmp_path / 'dvf.mha'))


def test_evaluation_experiments_pages_that_cannot_be_made_are_not_fatal(folder, caplog, no_figures):
    setting = experiment_of(folder, 'paged')
    experiment = open_experiment(setting, 'paged')
    ev.evaluate([experiment], n_workers=1)
    moved = sitk.ReadImage(experiment.results[0].moved)
    record = ev.evaluate([experiment], n_workers=1).measured.records
    sitk.WriteImage(sitk.Compose([moved] * 3), experiment.results[0].moved)
    links = ev._write_reports(str(folder / 'pages'), [(experiment.setting, experiment.results)], record, {}, 1)
    assert [key[1] for key in links] == ['Phantom_4D case 2 0-5'] and 'could not be made' in caplog.text
    assert np.all([os.path.isfile(str(folder / 'pages' / link)) for link in links.values()])
