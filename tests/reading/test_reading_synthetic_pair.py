"""Points with a known motion: they lie where they should, and a perfect prediction has no error."""

import numpy as np
import pytest
from reading_fakes import a_setting, im_infos, make_item

from functions.reading.image_items import item_name
from functions.reading.synthetic_pair import MAXIMUM_POINTS, pair_errors
from functions.reading.validation_set import ValidationSet

PATCH, WHOLE = a_setting(), a_setting(FullImage=True, SizeUnit=8, SizeOffset=5)


def pair_of(setting, make_item=make_item):
    return ValidationSet(setting, im_info_list_full=im_infos(3), make_item=make_item).synthetic_pair()


def coordinates(setting, im_info, write=None):
    """An item whose moving image, fixed image and DVF say which voxel they are of."""
    item = make_item(setting, im_info)
    z, y, x = np.indices(item.im.shape)
    item.im[...] = 10000 + 900 * z + 30 * y + x
    item.deformed_im[...] = item.im
    item.dvf[...] = np.stack([x, y, z], axis=-1)
    return item


@pytest.mark.parametrize('setting', [PATCH, WHOLE])
def test_points_lie_in_the_lung_and_belong_to_the_patches(setting):
    pair = pair_of(setting, coordinates)
    assert pair.name == item_name(im_infos(3)[0])
    lung = make_item(None, im_infos(1)[0]).lung
    assert 100 < len(pair.truth) <= MAXIMUM_POINTS
    margin = (pair.images.shape[1] - 5) // 2 if setting is PATCH else 0
    for (sample, z, y, x), truth in zip(pair.index, pair.truth):
        vx, vy, vz = (int(value) for value in truth)
        assert lung[vz, vy, vx]
        voxel = pair.images[sample, z + margin, y + margin, x + margin]
        assert voxel.tolist() == [10000 + 900 * vz + 30 * vy + vx] * 2


@pytest.mark.parametrize('setting', [PATCH, WHOLE])
def test_errors_of_known_predictions(setting):
    pair = pair_of(setting)
    side = [5] * 3 if setting is PATCH else list(pair.images.shape[1:4])
    predicted = np.zeros([len(pair.images)] + side + [3], np.float32)
    before = np.linalg.norm(pair.truth, axis=1)
    nothing = pair_errors(pair, predicted)
    assert nothing['tre_mm'] == pytest.approx(before.mean()) == nothing['tre_before_mm']
    assert nothing['tre_p95_mm'] == pytest.approx(np.percentile(before, 95))
    predicted[tuple(pair.index.T)] = pair.truth
    perfect = pair_errors(pair, predicted)
    assert perfect['tre_mm'] == perfect['tre_p95_mm'] == 0 and perfect['tre_before_mm'] > 1
    predicted[..., 1] += 2
    assert pair_errors(pair, predicted)['tre_median_mm'] == pytest.approx(2)


def test_the_points_are_the_same_every_time_and_without_lung_those_of_the_mask():
    first, second = pair_of(PATCH), pair_of(PATCH)
    assert np.array_equal(first.index, second.index) and np.array_equal(first.images, second.images)

    def no_lung(setting, im_info, write=None):
        item = coordinates(setting, im_info)
        item.lung[...] = 0
        return item

    mask = make_item(None, im_infos(1)[0]).mask
    assert all(mask[int(z), int(y), int(x)] for x, y, z in pair_of(WHOLE, no_lung).truth)
