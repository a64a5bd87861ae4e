"""Both ways: the residual of there and back again, and the field between the two."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from oracle import SETTING, grid_image, shifted_chest

from functions.image.geometry import Geometry
from functions.image.transforms import affine_from_matrix, write_affine
from functions.image.volume_io import image_from_array, write_image
from functions.registration import both_ways, pair_lists, register
from functions.registration.network_pyramid import Model
from functions.registration.result_folder import NAMES
from functions.setting.errors import InputError

TRUE = 6.0  # mm, the shift of the moving image along every axis


class ThereAndBack:
    """A network that answers one displacement on the way there, and another one on the way back."""

    step = 1

    def __init__(self, there, back):
        self.values, self.setting = [there, back], dict(SETTING, stage=4)

    def predict(self, moving, fixed, default):
        return np.full(fixed.shape + (3,), self.values.pop(0), np.float32)

    def predict_both_ways(self, moving, fixed, default):
        return self.predict(moving, fixed, default), self.predict(fixed, moving, default)

    def close(self):
        pass


@pytest.fixture(scope='module')
def scans():
    return shifted_chest(grid_image((23, 24, 12), (2.0, 2.0, 4.0)), TRUE)


def run(scans, there, back, **options):
    options = dict({'affine': 'none', 'both_ways': True, **scans[2]}, **options)
    return register(scans[0], scans[1], {4: ThereAndBack(there, back)}, **options)


def test_the_mean_is_used_where_it_is_better_and_the_residual_is_that_of_the_networks(scans):
    found = run(scans, TRUE - 2.0, -TRUE - 2.0)  # the mean of both is right
    assert found.measures['used'] == '4 + mean of both ways' and found.measures['left_out'] == []
    np.testing.assert_allclose(sitk.GetArrayFromImage(found.dvf), TRUE, atol=1e-4)
    np.testing.assert_allclose(sitk.GetArrayFromImage(found.inverse_consistency), 4 * 3**0.5, atol=1e-4)
    assert found.measures['inverse_consistency_mm'] == pytest.approx({'mean': 4 * 3**0.5, 'p95': 4 * 3**0.5}, abs=1e-4)


def test_a_field_that_is_better_than_the_mean_is_kept(scans):
    found = run(scans, TRUE, -TRUE - 2.0)
    assert found.measures['used'] == '4' and found.measures['left_out'] == [] and found.measures['used_back'] == '4'
    np.testing.assert_allclose(sitk.GetArrayFromImage(found.dvf), TRUE, atol=1e-4)


def test_the_mean_lies_half_way_to_the_inverse_of_the_way_back():
    """Against the definition: m = (u + w) / 2 with w the true inverse of the way back."""
    n, bend = 40, 0.05
    x = np.arange(n, dtype=np.float32)
    back = np.zeros((4, 4, n, 3), np.float32)
    back[..., 0] = -(2.0 + bend * x)  # q -> q - 2 - 0.05 q, whose inverse is p -> (p + 2) / 0.95
    there = np.zeros_like(back)
    there[..., 0] = 3.0
    there, back = [image_from_array(field, sitk.Image(n, 4, 4, sitk.sitkFloat32)) for field in (there, back)]
    residual = both_ways.there_and_back(None, there, None, back)
    mean = both_ways.mean_of_both(there, residual, Geometry.of(there))
    expected = (3.0 + (x + 2.0) / (1 - bend) - x) / 2
    np.testing.assert_allclose(sitk.GetArrayFromImage(mean)[2, 2, 5:-8, 0], expected[5:-8], atol=5e-3)


@pytest.mark.parametrize('given, expected', [(True, TRUE), (None, TRUE), (False, TRUE + 1)])
def test_passes_are_the_mean_of_both_of_their_ways_where_the_set_or_the_caller_says_so(scans, given, expected):
    model = Model({4: ThereAndBack(TRUE + 1, -TRUE + 1)}, symmetric=given is not True)
    found = register(scans[0], scans[1], model, affine='none', keep_all_stages=True, symmetric=given, **scans[2])
    np.testing.assert_allclose(sitk.GetArrayFromImage(found.dvf), expected, atol=1e-4)
    assert found.settings['symmetric'] is (given is not False)


def test_each_way_is_found_alone_where_both_are_compared(scans):
    model = Model({4: ThereAndBack(TRUE, -TRUE)}, symmetric=True)  # two answers only
    found = register(scans[0], scans[1], model, affine='none', both_ways=True, **scans[2])
    assert found.settings['symmetric'] is False and sitk.GetArrayFromImage(found.inverse_consistency).max() < 1e-4


def test_a_pass_that_is_inverse_to_its_way_back_stays_as_it_is():
    """p + A p and its inverse, on voxels of 2 mm; and half of what is added to either."""
    matrix = np.array([[0.04, -0.03, 0.02], [0.05, -0.03, 0.01], [-0.02, 0.04, 0.03]])
    points = 2.0 * np.stack(np.meshgrid(*[np.arange(20) - 10] * 3, indexing='ij'), -1)[..., ::-1]
    there, back = points @ matrix.T, points @ (np.linalg.inv(np.eye(3) + matrix) - np.eye(3)).T
    middle = (slice(3, -3),) * 3
    for more, expected in ((0.0, there), (0.5, there - 0.25)):
        found = both_ways.mean_of_pass(there.astype(np.float32), (back + more).astype(np.float32), 2)
        np.testing.assert_allclose(found[middle], expected[middle], atol=2e-3)


def test_the_map_is_written_and_results_without_it_are_not_taken_for_it(scans, tmp_path):
    files = {'fixed': scans[0], 'moving': scans[1], **scans[2]}
    for name, image in files.items():
        files[name] = str(tmp_path / (name + '.mha'))
        write_image(image, files[name])
    folder, affine = str(tmp_path / 'out'), str(tmp_path / 'affine.tfm')
    write_affine(affine_from_matrix(np.diag([1.0, 1.02, 0.97]), (TRUE - 1.0, TRUE, TRUE)), affine)

    def again(there=None, back=None, **options):
        options = dict({'affine': affine, 'keep_all_stages': True, 'file_format': 'nii.gz'}, **options)
        return pair_lists.register_and_write(folder, files, Model({4: ThereAndBack(there, back)}), **options)[0]

    plain = again((1.0, 0.0, 0.0))
    assert plain.inverse_consistency is None and again(both_ways=False) is None
    # The way back begins with the inverse of the affine: A(p + 1) there, A^-1(q) - 1 back agree.
    found = again((1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), both_ways=True, overwrite=True)
    assert found.measures['used_back'] == 'affine + 4' and again(both_ways=True) is None
    assert 'inverse_consistency.nii.gz' in NAMES
    image = sitk.ReadImage(str(tmp_path / 'out' / 'inverse_consistency.nii.gz'))
    assert image.GetSize() == scans[0].GetSize() and sitk.GetArrayFromImage(image).max() < 1e-3
    record = json.loads((tmp_path / 'out' / 'results.json').read_text())
    assert record['measures']['inverse_consistency_mm']['p95'] < 1e-3 and record['settings']['both_ways']
    with pytest.raises(InputError, match='is not empty'):
        again(symmetric=True)
    assert again((1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), symmetric=True, overwrite=True) and again(symmetric=True) is None
    with pytest.raises(InputError, match='is not empty'):
        again(symmetric=False)
