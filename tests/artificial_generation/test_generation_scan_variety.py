"""Scans drawn anew for every item: what changes, by how much, and what must not."""

import numpy as np
import pytest
import SimpleITK as sitk
from generation_volumes import make_item
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from functions.artificial_generation import lung_density, scanner_differences
from functions.artificial_generation.field_of_view_cuts import LEAST_LEFT, draw_cuts
from functions.artificial_generation.item_specification import ItemSpecification
from functions.artificial_generation.mask_errors import erring_mask
from functions.artificial_generation.scanner_differences import Scanner, noise_volume, scanned, slice_weights
from functions.artificial_generation.training_item import get_item, produce
from functions.image.resample import downsample
from functions.image.volume_io import array_view
from functions.setting.artificial_generation_setting import SCAN_VARIETY
from functions.setting.errors import InputError

ALL = {'Cut': 1, 'Density': 1, 'ContrastAgent': 1, 'Noise': [5, 45], 'Kernel': 1, 'SliceThickness': [1, 5]}
ALL.update(MaskError=4, MaskPiece=1)
DEFAULTS = {key.name: key.default for key in SCAN_VARIETY}
ARRAYS = ('im', 'deformed_im', 'dvf', 'mask', 'lung')
seeds = st.integers(0, 2**31)


def vary(setting, **variety):
    setting['InputMask'] = 'Lung'
    setting['deform_exp']['3D_max7_D14_K']['ScanVariety'] = variety
    return setting


def assert_same(a, b):
    for name in ARRAYS:
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes(), name


# ---- items


@pytest.mark.parametrize('margin', [None, 5])
def test_variety_changes_no_file_and_is_the_same_from_files_and_memory(setting, info, margin):
    info = dict(info, dsmooth=9)
    setting['InputMargin'] = margin
    description = ItemSpecification(setting, info).made_from()
    plain = make_item(vary(setting), info)
    vary(setting, **ALL)
    assert ItemSpecification(setting, info).made_from() == description
    in_memory = make_item(setting, info)
    assert produce(setting, info) == (True, 'no manifest')
    vary(setting)
    assert produce(setting, info) == (False, '')
    assert_same(get_item(setting, info), plain)
    assert_same(get_item(vary(setting, **ALL), info), in_memory)
    assert margin or in_memory.dvf.tobytes() == plain.dvf.tobytes()
    assert in_memory.im.shape != plain.im.shape or (in_memory.im != plain.im).any()


@pytest.mark.parametrize('dsmooth', [0, 5, 19, 33, 47])
def test_outside_of_the_field_of_view_there_is_no_lung_and_no_value(setting, info, dsmooth):
    info = dict(info, dsmooth=dsmooth)
    whole = make_item(vary(setting), info)
    item = make_item(vary(setting, Cut=1), info)
    for now, before in ((item.im, whole.im), (item.deformed_im, whole.deformed_im)):
        gone = now != np.where(before == -2048, before, np.maximum(before, -1024))
        assert (now[gone] == -2048).all()
        assert np.count_nonzero(now != -2048) >= LEAST_LEFT * np.count_nonzero(before != -2048)
    for name in ('lung', 'mask'):
        seen = getattr(item, name) != 0
        box = tuple(slice(found.min(), found.max() + 1) for found in np.nonzero(seen))
        np.testing.assert_array_equal(getattr(item, name)[box], getattr(whole, name)[box])
    assert ((item.deformed_im != -2048) == (item.lung != 0)).all()
    assert (item.im != whole.im).any() or (item.deformed_im != whole.deformed_im).any()


def test_errors_of_masks_leave_the_lung_of_the_loss(setting, info):
    whole = make_item(vary(setting), info)
    item = make_item(vary(setting, MaskError=6), info)
    np.testing.assert_array_equal(item.lung, whole.lung)
    for now, before in ((item.im, whole.im), (item.deformed_im, whole.deformed_im)):
        both = (now != -2048) & (before != -2048)
        np.testing.assert_array_equal(now[both], np.maximum(before[both], -1024))
        assert ((now == -2048) != (before == -2048)).any()


def test_the_median_of_the_lungs_is_the_one_drawn(setting, info):
    info = dict(info, dsmooth=13, deformed_im_ext=['Clean'])  # zero: both images show the same
    item = make_item(vary(setting, Density=1, LungHU=[-955, -955], LungHUDifference=40), info)
    medians = [np.median(image[item.lung != 0]) for image in (item.im, item.deformed_im)]
    assert max(abs(median + 955) for median in medians) <= 21
    assert medians[0] != medians[1]


def test_variety_without_lung_masks_is_refused(setting, info):
    with pytest.raises(InputError, match='ScanVariety needs the lung masks'):
        make_item(dict(vary(setting, Cut=1), UseLungMask=False, InputMask='Torso'), info)


# ---- fields of view


def ellipsoids(shape, spacing):
    z, y, x = [(np.arange(n) + 0.5) / n * 2 - 1 for n in shape]
    z, y = z[:, None, None], y[:, None]
    return sum(
        (((x - side) / 0.35) ** 2 + (y / 0.8) ** 2 + (z / 0.9) ** 2 < 1).astype(np.uint8) for side in (-0.5, 0.5)
    )


@settings(max_examples=60, deadline=None)
@given(seed=seeds, jitter=st.floats(0, 40), smallest=st.floats(20, 100))
def test_cuts_leave_enough_and_lie_near_each_other(seed, jitter, smallest):
    spacing, lung = (3.0, 4.0, 5.0), ellipsoids((50, 40, 70), (3.0, 4.0, 5.0))
    moved = np.roll(lung, 2, axis=0)
    seen = draw_cuts(np.random.RandomState(seed), [lung, moved], spacing, jitter, smallest)
    ends = np.array([[part.indices(n)[:2] for part, n in zip(one, lung.shape)] for one in seen])
    for one, mask in zip(seen, (lung, moved)):
        assert np.count_nonzero(mask[one]) >= LEAST_LEFT * np.count_nonzero(mask)
        height = np.count_nonzero(lung[one].any(axis=(1, 2))) * 5
        assert height >= min(smallest, 225) - 5
    if (ends != [(0, n) for n in lung.shape]).any(axis=(1, 2)).all():
        # Both are cut: the planes differ by the jitter and the rounding to voxels.
        assert (np.abs(ends[0] - ends[1]) * np.array(spacing)[::-1, None] <= jitter + 5).all()


def test_every_kind_of_cut_is_drawn():
    lung, found = ellipsoids((50, 40, 70), (5.0, 5.0, 5.0)), set()
    for seed in range(60):
        moving, fixed = draw_cuts(np.random.RandomState(seed), [lung, lung], (5.0, 5.0, 5.0), 20, 60)
        for part in (moving, fixed):
            cut = [(s.indices(n)[0] > 1, s.indices(n)[1] < n - 1) for s, n in zip(part, lung.shape)]
            found.add(tuple(np.ravel(cut)))
    # base, top, both; front, back; left, right; nothing (one image spared)
    assert len(found) == 8


# ---- density


@settings(max_examples=100, deadline=None)
@given(st.floats(-985, -700), st.floats(-990, -700), st.floats(0.8, 1.25))
def test_density_tables_increase_and_move_the_median_only(median, new, contrast):
    table = lung_density.density_table(median, new, contrast)
    hu = np.arange(-32768, 32768)
    assert (np.diff(table) >= 0).all()
    assert np.interp(median, hu, table) == pytest.approx(new, abs=1)
    np.testing.assert_array_equal(table[hu > 40], hu[hu > 40])


@pytest.mark.parametrize('enhancement', [-150, -50, 100, 400])
def test_contrast_agent_shows_in_vessels_only(enhancement):
    table, hu = lung_density.contrast_agent_table(enhancement), np.arange(-32768, 32768)
    assert (np.diff(table) > 0).all()
    np.testing.assert_array_equal(table[hu < -300], hu[hu < -300])
    np.testing.assert_allclose(table[hu > 50], hu[hu > 50] + enhancement)


def test_a_table_is_applied_to_every_int16_value():
    table = np.random.RandomState(0).uniform(size=65536).astype(np.float32)
    image = np.array([-32768, -1024, -1, 0, 1, 32767], np.int16)
    np.testing.assert_array_equal(lung_density.apply_table(image, table), table[image.astype(int) + 32768])


# ---- scanner


@pytest.mark.parametrize('stage', [2, 4])
@pytest.mark.parametrize('width', [0.6, 1.5])
def test_noise_is_what_the_pyramid_leaves_of_it(stage, width):
    """Against noise made at 1 mm and down-sampled."""
    rng = np.random.RandomState(0)
    noise = ndimage.gaussian_filter(rng.standard_normal((80, 80, 80)), width)
    noise = (noise * 3000 / noise.std()).astype(np.float32)
    truth = array_view(downsample(sitk.GetImageFromArray(noise), stage))
    made = noise_volume(rng, truth.shape, 3000, (width,) * 3, np.full(3, float(stage)), stage)
    assert made.std() == pytest.approx(truth.std(), rel=0.12)
    lag = [np.corrcoef(one[1:].ravel(), one[:-1].ravel())[0, 1] for one in (made, truth)]
    assert lag[0] == pytest.approx(lag[1], abs=0.12)


@pytest.mark.parametrize('blur', [-0.3, 0.2, 1.0])
def test_the_kernel_adds_its_variance_and_keeps_the_mean(blur):
    image = np.zeros((3, 21, 21), np.float32)
    image[:, 10, 10] = 1
    result = scanned(image.copy(), Scanner(0, (1, 1, 1), blur, 0, 0), None, (2.0, 2.0, 2.0), 1)
    offset = (np.arange(21) - 10) * 2.0
    assert result[1].sum() == pytest.approx(1, abs=1e-5)
    for axis in (0, 1):
        assert (result[1].sum(axis=axis) * offset**2).sum() == pytest.approx(blur, abs=1e-4)
    flat = np.full((3, 9, 9), -800, np.float32)
    np.testing.assert_allclose(scanned(flat.copy(), Scanner(0, (1, 1, 1), blur, 0, 0), None, (1, 1, 1), 1), flat)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(2, 40), thickness=st.floats(1.01, 8), phase=st.floats(0, 1))
def test_slices_average_and_keep_what_is_flat(n, thickness, phase):
    weights = slice_weights(n, thickness, phase)
    assert weights.shape == (n, n) and weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    ramp = np.arange(n, dtype=float)
    middle = slice(int(2 * thickness) + 1, n - int(2 * thickness) - 1)
    # A slope stays where it is, so slices do not shift the image.
    np.testing.assert_allclose(np.matmul(weights, ramp)[middle], ramp[middle], atol=1e-4)


def test_scanners_lie_within_their_settings():
    variety = dict(DEFAULTS, **ALL)
    drawn = [scanner_differences.draw_scanner(np.random.RandomState(seed), variety) for seed in range(200)]
    assert all(5 <= s.noise <= 45 and 1 <= s.thickness <= 5 and -0.3 <= s.blur <= 1 for s in drawn)
    assert {np.sign(s.blur) for s in drawn} == {-1, 1}


# ---- masks


@settings(max_examples=12, deadline=None)
@given(seed=seeds, largest=st.floats(1, 6), size=st.sampled_from([1.0, 2.0, 4.0]))
def test_masks_err_by_no_more_than_their_setting(seed, largest, size):
    mask = ellipsoids([int(n / size) for n in (80, 60, 90)], (size,) * 3)
    result = erring_mask(mask, np.random.RandomState(seed), (size,) * 3, largest, 0) != 0
    distance = [ndimage.distance_transform_edt(part, sampling=size) for part in (mask, 1 - mask)]
    wrong = result != (mask != 0)
    # From centre to centre of voxels, which the boundary lies between.
    assert np.maximum(*distance)[wrong].max(initial=0) <= largest + np.sqrt(3) * size
    if size < largest:
        assert wrong.any()


def test_pieces_of_masks_are_missing_or_too_much():
    mask, signs = ellipsoids((50, 40, 60), (2.0, 2.0, 2.0)), set()
    for seed in range(12):
        change = erring_mask(mask, np.random.RandomState(seed), (2.0,) * 3, 0, 1).astype(int) - mask
        assert np.unique(change[change != 0]).size == 1
        extent = [np.ptp(found) * 2.0 for found in np.nonzero(change)]
        assert max(extent) <= 40
        signs.add(int(change[change != 0][0]))
    assert signs == {-1, 1}
