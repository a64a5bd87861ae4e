"""The error map: what the network is shown, what follows from its answer, and that it comes with the results."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from oracle import DEVIATION, MEAN, SETTING, Errors, grid_image, shifted_chest
from scipy import stats

from functions.image.volume_io import array_view, image_from_array, write_image
from functions.measure.tre import THRESHOLDS
from functions.registration import pair_lists, register
from functions.registration.expected_error import ErrorMap
from functions.registration.network_pyramid import Model, check_model_setting
from functions.setting.errors import InputError
from functions.tf_utils.log_normal import SMALLEST

SHIFT = 4.0  # mm, of the moving image along x


class Shift:
    """A network of stage 4 that answers one displacement."""

    step = 1

    def __init__(self, displacement):
        self.displacement, self.setting = displacement, dict(SETTING, stage=4)

    def predict(self, moving, fixed, default):
        return np.broadcast_to(np.float32([self.displacement, 0, 0]), fixed.shape + (3,)).copy()

    def close(self):
        pass


@pytest.fixture(scope='module')
def scans():
    return shifted_chest(grid_image((40, 40, 36), (2.0, 2.0, 2.0)), (SHIFT, 0, 0))


def test_shares_and_means_are_those_of_the_distributions():
    random = np.random.RandomState(2)
    mean, deviation = random.normal(size=(4, 5, 6)), random.uniform(0.2, 1, (4, 5, 6))
    inside, grid = random.uniform(size=mean.shape) < 0.5, sitk.Image(6, 5, 4, sitk.sitkFloat32)
    one = stats.lognorm(deviation, loc=-SMALLEST, scale=np.exp(mean))
    images = [image_from_array(array.astype(np.float32), grid) for array in (one.mean(), mean, deviation)]
    found = ErrorMap(*images).summary(inside)
    assert found['mean'] == pytest.approx(one.mean()[inside].mean(), rel=1e-4)
    assert found['p95'] == pytest.approx(np.percentile(one.mean()[inside], 95), rel=1e-4)
    for bound in THRESHOLDS:
        assert found['within_mm'][str(bound)] == pytest.approx(one.cdf(bound)[inside].mean(), abs=1e-4)


def test_the_network_sees_the_images_as_the_field_aligns_them(scans):
    errors = Errors()
    for displacement in (SHIFT, 0.01):
        model = Model({4: Shift(displacement)}, error_map=errors)
        found = register(scans[0], scans[1], model, affine='none', keep_all_stages=True, **scans[2])
    aligned, apart = errors.unlike
    assert aligned < 0.1 * apart
    expected = stats.lognorm(DEVIATION, loc=-SMALLEST, scale=np.exp(MEAN)).mean()
    lung = array_view(found.lung) != 0
    assert array_view(found.expected_error)[lung] == pytest.approx(expected, rel=1e-4)
    assert not array_view(found.expected_error)[~lung].any() and (~lung).any()
    assert found.measures['expected_error_mm']['mean'] == pytest.approx(expected, rel=1e-4)


def test_the_map_comes_with_the_results_unless_it_is_not_wanted(scans, tmp_path, caplog):
    files = {'fixed': scans[0], 'moving': scans[1], **scans[2]}
    for name, image in files.items():
        files[name] = str(tmp_path / (name + '.mha'))
        write_image(image, files[name])
    folder = tmp_path / 'out'

    def again(errors=None, **options):
        model = Model({4: Shift(SHIFT)}, error_map=errors)
        return pair_lists.register_and_write(str(folder), files, model, affine='none', **options)[0]

    plain = again()
    assert plain.expected_error is None and not (folder / 'expected_error.mha').exists()
    assert again(Errors(), error_map=False) is None  # what is there is just that
    assert again(Errors(), overwrite=True).expected_error is not None and again(Errors()) is None
    image = sitk.ReadImage(str(folder / 'expected_error.mha'))
    assert image.GetSize() == scans[0].GetSize()
    record = json.loads((folder / 'results.json').read_text())
    assert record['measures']['expected_error_mm']['p95'] == pytest.approx(float(sitk.GetArrayFromImage(image).max()))
    assert record['settings']['error_map'] == {'NetworkDesign': 'error_map', 'stage': 2, 'step': 7}
    assert 'doubtful' not in caplog.text


def test_a_large_expected_error_is_a_warning(scans, caplog, monkeypatch):
    monkeypatch.setattr('oracle.MEAN', 2.0)
    register(scans[0], scans[1], Model({4: Shift(SHIFT)}, error_map=Errors()), affine='none', **scans[2])
    assert 'is expected to be off by 8.3 mm on average' in caplog.text


def test_networks_of_fields_and_of_errors_are_not_taken_for_each_other():
    fields, errors = dict(SETTING, stage=4), dict(SETTING, stage=2, NetworkDesign='error_map', normalization=None)
    check_model_setting(errors, 'mine', None, 'error')
    with pytest.raises(InputError, match='does not predict fields'):
        check_model_setting(errors, 'mine', 2)
    with pytest.raises(InputError, match='does not predict errors'):
        check_model_setting(fields, 'mine', None, 'error')
    wrong = Errors()
    wrong.setting['InputMask'] = 'Torso'
    with pytest.raises(InputError, match='another mask'):
        Model({4: Shift(0)}, error_map=wrong)
