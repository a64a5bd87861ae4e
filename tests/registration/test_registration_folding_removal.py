"""Folding is removed where it is, the rest of the field is unchanged, and the change is reported."""

import numpy as np
import pytest
import SimpleITK as sitk
from oracle import GRIDS, SETTING, chest_image, grid_image, motion, points_of

from functions.image.dvf import jacobian_determinant
from functions.image.volume_io import image_from_array
from functions.registration import folding_removal, register
from functions.registration.folding_removal import LEAST, remove_folding
from functions.setting.errors import InputError


def folding_field(grid, amplitude, width=5.0):
    """The smooth motion with a fold of ``width`` mm in the middle: a tissue that turns over along z."""
    image = grid_image(*grid)
    points = points_of(image)
    field = 0.3 * motion(points)
    distance = points - points.reshape(-1, 3).mean(axis=0)
    field[..., 2] -= amplitude * distance[..., 2] * np.exp(-(distance**2).sum(-1) / (2 * width**2))
    return image_from_array(field.astype(np.float32), image)


def determinant(image):
    return jacobian_determinant(sitk.GetArrayFromImage(image), image.GetSpacing(), image.GetDirection())


@pytest.mark.parametrize('kind', sorted(GRIDS))
@pytest.mark.parametrize('amplitude', [1.5, 4.0])
def test_folding_is_removed_and_the_rest_is_unchanged(kind, amplitude):
    folded = folding_field(GRIDS[kind], amplitude)
    before = determinant(folded)
    assert (before <= 0).sum() >= 10
    regular, report = remove_folding(folded)
    after = determinant(regular)
    assert after.min() >= LEAST
    assert report['folded_before'] == (before <= 0).sum() and report['folded_after'] == 0
    change = np.linalg.norm(sitk.GetArrayFromImage(regular) - sitk.GetArrayFromImage(folded), axis=-1)
    assert report['max_change_mm'] == pytest.approx(change.max(), abs=1e-4)
    assert report['mean_change_mm'] == pytest.approx(change.mean(), abs=1e-4)
    points = points_of(folded)
    away = np.linalg.norm(points - points.reshape(-1, 3).mean(axis=0), axis=-1) > 24
    assert away.any() and change[away].max() < 0.15
    assert change.max() < 2.5 * amplitude


def test_a_field_that_does_not_fold_is_left_alone():
    field = folding_field(GRIDS['isotropic'], 0.2)
    regular, report = remove_folding(field)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(regular), sitk.GetArrayFromImage(field))
    assert report == {'folded_before': 0, 'folded_after': 0, 'rounds': 0, 'mean_change_mm': 0.0, 'max_change_mm': 0.0}


def test_noise_of_a_network_becomes_a_field_without_folds():
    image = grid_image((30, 28, 26), (1.0, 1.0, 1.0))
    noise = np.random.RandomState(0).normal(0, 1.0, (26, 28, 30, 3)).astype(np.float32)
    regular, report = remove_folding(image_from_array(noise, image))
    assert determinant(regular).min() >= LEAST and report['rounds'] >= 1


def test_what_never_stops_folding_is_an_error(monkeypatch):
    monkeypatch.setattr(folding_removal, 'LEAST', 3.0)
    with pytest.raises(InputError, match='still folds'):
        remove_folding(folding_field(((12, 12, 12), (1.0, 1.0, 1.0)), 2.0))


class Folding:
    """A network of stage 1 that answers a field with a fold in it."""

    setting, step = dict(SETTING, stage=1), 1

    def predict(self, moving, fixed, default):
        z, y, x = np.indices(fixed.shape, dtype=np.float32)
        r = [axis - (n - 1) / 2.0 for axis, n in zip((z, y, x), fixed.shape)]
        bump = np.exp(-sum(axis**2 for axis in r) / 50.0)
        return np.stack([0 * bump + 2, 0 * bump + 1, -1.6 * r[0] * bump], -1).astype(np.float32)

    def close(self):
        pass


def test_a_registration_reports_folding_and_takes_it_out_on_request():
    fixed, lung = chest_image(grid_image(*GRIDS['isotropic']))
    found = {}
    for diffeomorphic in (False, True):
        result = register(
            fixed,
            fixed,
            {1: Folding()},
            fixed_lung=lung,
            moving_lung=lung,
            affine='none',
            diffeomorphic=diffeomorphic,
            keep_all_stages=True,
        )
        inside = sitk.GetArrayFromImage(lung) != 0
        expected = 100.0 * (determinant(result.dvf)[inside] <= 0).mean()
        assert result.measures['folding_percent'] == pytest.approx(expected)
        found[diffeomorphic] = result
    assert found[False].measures['folding_percent'] > 0.1 and found[True].measures['folding_percent'] == 0
    assert found[True].measures['diffeomorphic']['folded_before'] > 0
    assert 'diffeomorphic' not in found[False].measures
