"""Masks: read, checked, applied."""

import numpy as np
import pytest
import SimpleITK as sitk
from image_truths import image_of, oblique_geometry

from functions.image.masks import apply_mask, bounding_box, read_mask, require_nonempty
from functions.setting.errors import InputError, MissingFileError


def stored(tmp_path, array, geometry, name='mask.mha'):
    path = str(tmp_path / name)
    sitk.WriteImage(image_of(array, geometry), path)
    return path


def test_every_label_counts_as_inside(tmp_path):
    geometry = oblique_geometry((4, 5, 6))
    labels = np.random.RandomState(0).randint(0, 4, geometry.shape).astype(np.int16)
    mask = read_mask(stored(tmp_path, labels, geometry), like=geometry)
    assert mask.GetPixelID() == sitk.sitkUInt8
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), labels > 0)
    np.testing.assert_allclose(mask.GetDirection(), geometry.direction)


@pytest.mark.parametrize('kind', [np.float32, np.float64])
def test_a_soft_mask_is_cut_at_one_half_and_that_is_said(tmp_path, kind, caplog):
    geometry = oblique_geometry((4, 5, 6))
    soft = np.random.RandomState(0).rand(*geometry.shape).astype(kind)
    mask = read_mask(stored(tmp_path, soft, geometry, 'soft.nrrd'))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), soft > 0.5)
    assert 'soft.nrrd' in caplog.text and 'cut at one half' in caplog.text
    caplog.clear()
    whole = read_mask(stored(tmp_path, np.rint(3 * soft).astype(kind), geometry))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(whole), np.rint(3 * soft) > 0)
    assert not caplog.records


@pytest.mark.parametrize(
    'array', [np.arange(120) - 5, np.arange(120) * 0.1, np.arange(240) % 200], ids=['HU', 'steps', 'many']
)
def test_what_is_no_mask_is_refused(tmp_path, array):
    geometry = oblique_geometry((array.size // 20, 4, 5))
    path = stored(tmp_path, array.reshape(geometry.shape).astype(np.float32), geometry, 'ct.mha')
    with pytest.raises(InputError, match='ct.mha is no mask: its values go from .* whole labels'):
        read_mask(path)


def test_mask_of_another_grid_empty_or_missing(tmp_path):
    geometry = oblique_geometry((4, 5, 6))
    path = stored(tmp_path, np.ones(geometry.shape, np.uint8), geometry)
    with pytest.raises(InputError, match='mask.mha.*same grid'):
        read_mask(path, like=geometry._replace(size=(4, 5, 7)))
    empty = stored(tmp_path, np.zeros(geometry.shape, np.uint8), geometry, 'empty.mha')
    with pytest.raises(InputError, match='empty.mha is empty'):
        read_mask(empty)
    assert not sitk.GetArrayFromImage(read_mask(empty, required=False)).any()
    with pytest.raises(MissingFileError, match='absent.mha'):
        read_mask(str(tmp_path / 'absent.mha'))


def test_require_nonempty_takes_images_and_arrays():
    full = np.ones((2, 2, 2), np.uint8)
    assert require_nonempty(full, 'lung') is full
    with pytest.raises(InputError, match='The lung mask of case 3 is empty'):
        require_nonempty(sitk.Image(3, 3, 3, sitk.sitkUInt8), 'The lung mask of case 3')


def test_apply_mask_sets_what_is_outside_and_copies():
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    mask = (array % 3 == 0) * 2
    result = apply_mask(array, mask, -2048)
    np.testing.assert_array_equal(result, np.where(array % 3 == 0, array, -2048))
    assert array.min() == 0 and result.dtype == np.int16
    field = np.ones((2, 3, 4, 3), np.float32)
    assert (apply_mask(field, mask, 0).sum(axis=-1) == 3 * (mask > 0)).all()
    with pytest.raises(InputError, match='must be equal'):
        apply_mask(array, mask[1:], 0)


def test_the_bounding_box_is_wider_by_each_axis_margin_and_ends_with_the_array():
    mask = np.zeros((9, 10, 12), bool)
    mask[2, 4, 5] = mask[3, 6, 11] = True
    assert bounding_box(mask) == (slice(2, 4), slice(4, 7), slice(5, 12))
    assert bounding_box(mask, 3) == (slice(0, 7), slice(1, 10), slice(2, 12))
    assert bounding_box(mask, (1, 0, 2)) == (slice(1, 5), slice(4, 7), slice(3, 12))
    with pytest.raises(InputError, match='empty'):
        bounding_box(np.zeros((3, 3, 3), bool))
