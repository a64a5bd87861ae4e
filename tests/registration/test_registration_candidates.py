"""A registration is never worse than what it began with: what does not make the images more alike is left out."""

import logging

import numpy as np
import pytest
import SimpleITK as sitk
from oracle import CENTRE, GRIDS, SETTING, chest_image, grid_image

from functions.elastix.affine import AffineResult
from functions.image.transforms import affine_from_matrix, write_affine
from functions.registration import pair_preparation, register

TRUE = 6.0  # mm, the shift of the moving image along every axis


class Shift:
    """A network that answers one displacement everywhere."""

    step = 1

    def __init__(self, stage, value):
        self.value, self.setting, self.calls = value, dict(SETTING, stage=stage), 0

    def predict(self, moving, fixed, default):
        self.calls += 1
        return np.full(fixed.shape + (3,), self.value, np.float32)

    def close(self):
        pass


@pytest.fixture(scope='module')
def scans():
    """Two images, the moving one shifted, and masks as options of a registration."""
    fixed, lung = chest_image(grid_image(*GRIDS['anisotropic']))
    moving, moving_lung = sitk.Image(fixed), sitk.Image(lung)
    for image in (moving, moving_lung):
        image.SetOrigin((np.array(fixed.GetOrigin()) + TRUE).tolist())
    return fixed, moving, {'fixed_lung': lung, 'moving_lung': moving_lung}


def run(scans, networks, stages=None, **options):
    options = dict({'affine': 'none'}, **dict(scans[2], **options))
    return register(scans[0], scans[1], networks, stages, **options)


def displacement(found):
    return float(sitk.GetArrayViewFromImage(found.dvf).mean())


def test_a_pass_that_helps_is_kept(scans):
    found = run(scans, {4: Shift(4, TRUE)})
    assert found.measures['used'] == '4' and found.measures['left_out'] == []
    assert found.measures['likeness']['4'] > found.measures['likeness']['none']
    assert displacement(found) == pytest.approx(TRUE, abs=1e-4)


def test_a_pass_that_harms_is_left_out_with_a_warning(scans, caplog):
    with caplog.at_level(logging.WARNING):
        found = run(scans, {4: Shift(4, -TRUE)})
    assert found.measures['used'] == 'none' and found.measures['left_out'] == ['4']
    assert 'Left out' in caplog.text and displacement(found) == 0 and list(found.stage_dvfs) == []
    np.testing.assert_allclose(sitk.GetArrayViewFromImage(found.jacobian), 1.0, atol=1e-5)


def test_the_next_stage_goes_on_from_what_was_kept(scans):
    networks = {4: Shift(4, TRUE - 1), 2: Shift(2, -4.0), 1: Shift(1, 1.0)}
    found = run(scans, networks)
    assert found.measures['used'] == '4 1' and found.measures['left_out'] == ['4 2']
    assert displacement(found) == pytest.approx(TRUE, abs=1e-2)
    assert sorted(found.stage_dvfs) == [1, 4]


def test_a_network_is_not_asked_again_where_nothing_has_changed(scans):
    networks = {4: Shift(4, -TRUE), 2: Shift(2, -4.0), 1: Shift(1, TRUE)}
    found = run(scans, networks, [4, 4, 2, 1])
    assert networks[4].calls == 1 and found.measures['used'] == '1'


def test_everything_is_kept_on_request(scans, caplog):
    with caplog.at_level(logging.WARNING):
        found = run(scans, {4: Shift(4, -TRUE)}, keep_all_stages=True)
    assert found.measures['used'] == '4' and found.measures['left_out'] == [] and 'Kept' in caplog.text
    assert displacement(found) == pytest.approx(-TRUE, abs=1e-4)


def test_an_affine_is_a_candidate_too(scans, tmp_path):
    path = str(tmp_path / 'affine.tfm')
    write_affine(affine_from_matrix(np.eye(3), (TRUE,) * 3), path)
    found = run(scans, {4: Shift(4, 3.0)}, affine=path)
    assert found.measures['used'] == 'affine' and found.measures['left_out'] == ['affine + 4']
    assert displacement(found) == pytest.approx(TRUE, abs=1e-4)
    write_affine(affine_from_matrix(np.eye(3), (-TRUE,) * 3), path)
    found = run(scans, {4: Shift(4, TRUE)}, affine=path)
    assert found.measures['used'] == '4' and found.measures['left_out'] == ['affine'] and found.linear is None
    assert displacement(found) == pytest.approx(TRUE, abs=1e-4)
    assert found.transform.TransformPoint(CENTRE.tolist()) == pytest.approx((CENTRE + TRUE).tolist(), abs=1e-4)


def test_the_better_of_the_affines_in_lung_and_torso_is_used(scans):
    found = run(
        scans,
        {4: Shift(4, 3.0)},
        affine='sitk',
        fixed_torso=scans[2]['fixed_lung'] * 0 + 1,
        moving_torso=scans[2]['moving_lung'] * 0 + 1,
        threads=1,
    )
    assert found.measures['used'] == 'affine' and displacement(found) == pytest.approx(TRUE, abs=0.5)


@pytest.mark.parametrize('first, asked', [(TRUE, 1), (-TRUE, 2)])
def test_the_torso_is_tried_where_the_lungs_do_not_fit(scans, monkeypatch, first, asked):
    shifts, torsos = [first, TRUE], {key.replace('lung', 'torso'): mask * 0 + 1 for key, mask in scans[2].items()}
    left = list(shifts)

    def registered(*_):
        return AffineResult(affine_from_matrix(np.eye(3), (left.pop(0),) * 3), 'sitk', 0.0, 0.0, 0.0)

    monkeypatch.setattr(pair_preparation, 'register_affine', registered)
    found = run(scans, {4: Shift(4, 3.0)}, affine='sitk', **torsos)
    assert len(shifts) - len(left) == asked
    assert found.measures['used'] == 'affine' and displacement(found) == pytest.approx(TRUE, abs=1e-3)
