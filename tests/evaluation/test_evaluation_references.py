"""Classical registrations of the same pairs: run once, used again, left out without elastix."""

import functools
import os

import pytest
import SimpleITK as sitk
from evaluation_experiment import make_cases, pairs_of, setting_in

from functions.elastix.affine import register_affine
from functions.elastix.parameter_files import read_parameters, write_parameters
from functions.elastix.programs import is_available
from functions.evaluation import references as ref
from functions.evaluation.measured_pairs import measure_results
from functions.setting.addresses import pair_image_address
from functions.setting.errors import UnknownNameError

pytestmark = pytest.mark.once

QUICK = {'MaximumNumberOfIterations': [60], 'NumberOfSpatialSamples': [2000], 'FinalGridSpacingInPhysicalUnits': [16.0]}


@pytest.fixture(autouse=True)
def by_simpleitk(monkeypatch):
    """The same affine registration with and without elastix installed."""
    monkeypatch.setattr(ref, 'register_affine', functools.partial(register_affine, method='sitk'))


@pytest.fixture(scope='module')
def jobs(tmp_path_factory):
    setting = setting_in(tmp_path_factory.mktemp('references'), 'any', cases=[1])
    make_cases(setting, [1])
    return [(setting, pair) for pair in pairs_of(setting)]


def times(folder):
    return {name: os.stat(os.path.join(folder, name)).st_mtime_ns for name in os.listdir(folder)}


def test_evaluation_references_affine_is_a_file_others_read(jobs, tmp_path):
    made = ref.run_references(jobs, ['affine'], n_workers=1)
    assert made.failures == [] and made.missing == []
    result, (setting, pair) = made.results[0], jobs[0]
    assert result.method == 'affine' and result.dvf is None and result.seconds > 0
    assert sitk.ReadTransform(result.affine).GetDimension() == 3
    record = measure_results(setting, [result], str(tmp_path), n_workers=1).records[0]
    assert record['tre']['mean'] < record['tre_before']['mean'] and 'regularity' not in record
    folder = ref.reference_folder(setting, pair, 'affine')
    os.utime(pair_image_address(setting, 'Im', pair, 0), ns=(5, 5))
    registration = times(folder)['affine.tfm']
    assert ref.run_references(jobs, ['affine'], n_workers=1).results == made.results
    before = times(folder)
    assert ref.run_references(jobs, ['affine'], n_workers=1).results == made.results
    assert times(folder) == before and before['affine.tfm'] == registration
    # A result that is not what was written is made again.
    with open(result.affine, 'a') as stream:
        stream.write('\n')
    ref.run_references(jobs, ['affine'], n_workers=1)
    assert times(folder) != before


@pytest.mark.skipif(not is_available(), reason='elastix is not installed')
def test_evaluation_references_bsplines_by_elastix(jobs, tmp_path, monkeypatch):
    for resolutions, path in ref.by_elastix.BSPLINE_FILES.items():
        quick = str(tmp_path / f'{resolutions}.txt')
        write_parameters(quick, dict(read_parameters(path), **QUICK))
        monkeypatch.setitem(ref.by_elastix.BSPLINE_FILES, resolutions, quick)
    made = ref.run_references(jobs, ref.check_names([]), n_workers=1)
    assert made.failures == []
    assert [result.method for result in made.results] == ['affine', 'bspline_1', 'bspline_3']
    found = measure_results(jobs[0][0], made.results, str(tmp_path / 'records'), n_workers=1)
    records = {record['method']: record for record in found.records}
    for name in ('bspline_1', 'bspline_3'):
        assert records[name]['tre']['mean'] < 0.8 * records[name]['tre_before']['mean']
        overlap = records[name]['overlap']
        assert overlap['after']['mask']['dice'] > overlap['before']['mask']['dice']
        assert records[name]['regularity']['n'] > 1000
    # The time of a B-spline holds that of the affine it stands on.
    assert made.results[1].seconds > made.results[0].seconds
    folder = ref.reference_folder(jobs[0][0], jobs[0][1], 'bspline_1')
    before = times(folder)
    ref.run_references(jobs, ['bspline_1'], n_workers=1)
    assert times(folder) == before


def test_evaluation_references_without_elastix_say_what_is_left_out(jobs, monkeypatch):
    monkeypatch.setattr(ref, 'is_available', lambda: False)
    made = ref.run_references(jobs, ['bspline_1', 'bspline_3'])
    assert made.results == [] and 'bspline_1, bspline_3 left out: elastix and transformix' in made.missing[0]
    made = ref.run_references(jobs, ['affine', 'bspline_3'], n_workers=1)
    assert [result.method for result in made.results] == ['affine'] and len(made.missing) == 1


def test_evaluation_references_failures_are_listed(jobs, monkeypatch):
    def never(fixed, moving, **keywords):
        raise ValueError('it exploded')

    monkeypatch.setattr(ref, 'register_affine', never)
    setting, pair = jobs[0]
    other = [dict(image, cn=9) for image in pair]
    again = [dict(image, type_im=k) for k, image in zip((5, 0), pair)]
    made = ref.run_references([(setting, other), (setting, again)], ['affine'], n_workers=1)
    assert made.results == [] and [failure[:2] for failure in made.failures] == [
        ('affine', 'Phantom_4D case 9 0-5'),
        ('affine', 'Phantom_4D case 1 5-0'),
    ]
    assert 'does not exist' in made.failures[0][2] and 'ValueError: it exploded' in made.failures[1][2]


def test_evaluation_references_names_are_checked(jobs):
    assert ref.check_names(None) == [] and ref.check_names([]) == ['affine', 'bspline_1', 'bspline_3']
    with pytest.raises(UnknownNameError, match='bspline_3'):
        ref.run_references(jobs, ['bspline_2'])
    synthetic = [dict(jobs[0][1][0], deform_exp='3D_max20_D14_K', dsmooth=k) for k in (3, 3)]
    assert ref.reference_folder(jobs[0][0], synthetic, 'affine').endswith('/3D_max20_D14_K_Dsmooth3/')
