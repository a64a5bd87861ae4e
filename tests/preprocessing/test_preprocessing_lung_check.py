"""Lung masks of made chests as they come: padded, on a table, with fluid, dense or full of air; and what is said."""

import logging

import numpy as np
import pytest
import SimpleITK as sitk
from chest import chest, dice
from scipy import ndimage

from functions.preprocessing.chest_masks import lung_mask
from functions.preprocessing.hounsfield import load_ct, outside_field_of_view
from functions.preprocessing.isotropic import mask_to_isotropic, to_isotropic
from functions.preprocessing.lung_check import lung_report, problems, warn, warn_of_difference


def test_the_test_patient_of_the_main_command_is_no_reason_to_warn():
    exhale = {'right_ml': 320, 'left_ml': 290, 'median_hu': -820, 'border_percent': 0.0, 'parts': 2}
    assert problems(exhale) == []
    assert 'l in all instead of' in problems(dict(exhale, right_ml=250, left_ml=220))[0]


@pytest.fixture(scope='module')
def made():
    """(hu int16, right lung, left lung, torso) as arrays, 3 mm."""
    image, right, left, torso = chest()
    return np.maximum(sitk.GetArrayFromImage(image), -1020), right, left, torso


def scan(hu, spacing=(3.0, 3.0, 3.0)):
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing(spacing)
    return image


def found(hu):
    return sitk.GetArrayFromImage(lung_mask(scan(hu))) > 0


def report_of(hu, lung=None):
    image = scan(hu)
    mask = lung_mask(image) if lung is None else scan(lung.astype(np.uint8))
    return lung_report(mask_to_isotropic(mask, 2.0), to_isotropic(image, 2.0))


def disk(shape, radius):
    y, x = np.ogrid[: shape[1], : shape[2]]
    inside = (y - shape[1] / 2 + 5) ** 2 + (x - (shape[2] - 1) / 2) ** 2 < (radius / 3.0) ** 2
    return np.broadcast_to(inside, shape)


NARROW, ROUND = 105, 118  # mm, radius of what is seen: less than the lungs, and the lungs


@pytest.mark.once
@pytest.mark.parametrize(
    'radius, value', [(NARROW, -1024), (NARROW, 0), (NARROW, 65535), (ROUND, -2000), (ROUND, -3024), (ROUND, 0)]
)
def test_padding_around_the_field_of_view_is_neither_lung_nor_tissue(made, radius, value):
    hu, right, left, _ = made
    seen = disk(hu.shape, radius)
    image = load_ct(scan(np.where(seen, hu.astype(np.int32), value)))
    assert (sitk.GetArrayFromImage(image)[~seen] == -1024).all()
    outside = sitk.GetArrayFromImage(outside_field_of_view(image)) != 0
    # Tissue of just that value may cling to it.
    assert outside[~seen].all() and outside[seen].mean() < (0.002 if value == 0 else 1e-9)
    lung = found(sitk.GetArrayFromImage(image))
    assert not lung[~seen].any()
    assert dice(lung, (right | left) & seen) > 0.98


def test_65535_beside_unsigned_values_is_padding(made):
    seen = disk(made[0].shape, NARROW)
    stored = np.where(seen, made[0].astype(np.int32) + 1024, 65535).astype(np.uint16)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(load_ct(scan(stored))), np.where(seen, made[0], -1024))


def test_an_image_without_padding_is_left_as_it_is(made):
    image = scan(made[0])
    assert outside_field_of_view(image) is None
    assert load_ct(image) is image


def test_padding_is_seen_on_the_grid_of_the_scan_and_masked_on_another(made):
    hu, right, left, _ = made
    seen = disk(hu.shape, NARROW)
    native = scan(np.where(seen, hu, -1024).astype(np.int16))
    image = to_isotropic(native, 2.0)
    mask = sitk.Resample(lung_mask(image, native), native, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    assert dice(sitk.GetArrayFromImage(mask) > 0, (right | left) & seen) > 0.97


def _table(hu, torso, **_):
    """A thin shell across the whole image in touch with the back, foam behind it."""
    back = np.nonzero(torso.any(axis=(0, 2)))[0][-1]
    hu[:, back + 1 :] = -900
    hu[:, back : back + 2] = 60


def _arms(hu, **_):
    y, x = np.ogrid[: hu.shape[1], : hu.shape[2]]
    for centre in (0, hu.shape[2] - 1):
        arm = (y - 36) ** 2 + (x - centre) ** 2 < 14**2
        hu[np.broadcast_to(arm, hu.shape)] = 30


def _gas(hu, lung, **_):
    """Colon below both lungs, a finger's breadth under the right one."""
    z, y, x = np.ogrid[: hu.shape[0], : hu.shape[1], : hu.shape[2]]
    tube = (((z - 6) / 5.0) ** 2 + ((y - 30) / 6.0) ** 2 < 1) & (np.abs(x - 40) < 36)
    hu[tube & ~ndimage.binary_dilation(lung, iterations=2)] = -990


def _emphysema(hu, lung, **_):
    hu[lung & (hu < -700)] -= 80


def _dense(hu, lung, **_):
    hu[lung & (hu < -700)] += 280


@pytest.mark.parametrize('change', [_table, _arms, _gas, _emphysema, _dense])
def test_the_mask_holds_on(made, change):
    hu, right, left, torso = made
    hu, lung = hu.copy(), right | left
    change(hu, lung=lung, torso=torso)
    assert (hu != made[0]).sum() > 500
    mask = found(hu)
    assert dice(mask, lung) > 0.97
    assert not problems(report_of(hu, mask))


def test_a_trachea_that_the_image_cuts_is_no_lung(made):
    hu, right, left, _ = made
    top = np.nonzero((right | left).any(axis=(1, 2)))[0][-1] - 8
    assert dice(found(hu[:top]), (right | left)[:top]) > 0.97


def fluid(made):
    hu, right, left, _ = made
    z, y = np.ogrid[: hu.shape[0], : hu.shape[1]]
    full = left & ((z < 60) & (y > 30))[..., None]
    return np.where(full, 15, hu).astype(np.int16), left & ~full


@pytest.mark.once
def test_what_is_implausible_is_said_in_one_line(made, caplog):
    hu, right, left, torso = made
    whole = report_of(hu)
    assert problems(whole) == []
    for side, lung in (('right_ml', right), ('left_ml', left)):
        assert whole[side] == pytest.approx(lung.sum() * 27e-3, rel=0.03)
    assert -870 < whole['median_hu'] < -830 and whole['border_percent'] == 0 and whole['parts'] in (1, 2)
    lone = np.where(ndimage.binary_dilation(left, iterations=2) & torso, 20, hu).astype(np.int16)
    cases = [
        (report_of(fluid(made)[0]), 'left lung of 0.'),
        (report_of(lone), 'one lung only'),
        (report_of(hu, ~torso), 'median outside'),
        (report_of(hu, (right | left) & (np.arange(80) % 40 < 5)[:, None, None]), 'l in all instead of'),
    ]
    low, high = [np.nonzero((right | left).any(axis=(0, 2)))[0][end] for end in (0, -1)]
    cases.append((report_of(hu[:, low + 8 : high - 8]), '% of its surface at the border of the image'))
    for report, words in cases:
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            warn(report, 'scan.nii.gz', 'Give one.')
        (record,) = caplog.records
        assert words in record.getMessage() and record.getMessage().startswith(
            'scan.nii.gz: the lung mask (right lung '
        )
        assert record.getMessage().endswith('Give one.')


def test_images_that_are_no_likely_pair(made, caplog):
    whole = report_of(made[0])
    exhale = dict(whole, right_ml=0.55 * whole['right_ml'], left_ml=0.6 * whole['left_ml'])
    with caplog.at_level(logging.WARNING):
        warn_of_difference(whole, exhale, 'Look.')
        assert not caplog.records
        for other in (dict(whole, left_ml=0.6 * whole['left_ml']), dict(whole, right_ml=100, left_ml=100)):
            caplog.clear()
            warn_of_difference(whole, other, 'Look.')
            assert 'differ much' in caplog.text and f'{other["left_ml"] / 1000:.2f} l' in caplog.text
    # What the border of an image cuts off is no fluid.
    caplog.clear()
    warn_of_difference(whole, dict(whole, right_ml=100, left_ml=100, border_percent=36.0), 'Look.')
    assert not caplog.records
    # One lung in both images is a pair; the comparison must not divide by what is not there.
    caplog.clear()
    warn_of_difference(dict(whole, left_ml=0), dict(whole, left_ml=0), 'Look.')
    assert not caplog.records
