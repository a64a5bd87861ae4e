"""The deformation categories against their formulas and limits."""

import numpy as np
import pytest
from scipy import ndimage

from functions.artificial_generation import dilation, mixed_frequency, respiratory_motion
from functions.artificial_generation.categories import CATEGORIES, CategoryInputs, category
from functions.artificial_generation.deformed_image import make_next
from functions.artificial_generation.displacement_limits import background_to_zero, normalise
from functions.artificial_generation.item_specification import ItemSpecification
from functions.artificial_generation.original_images import load_original
from functions.image.volume_io import array_view
from functions.setting.artificial_generation_setting import load_deform_exp_setting
from functions.setting.errors import InputError, UnknownNameError
from functions.setting.seeds import random_state


def options_of(experiment, number, stage=1, **changes):
    options = load_deform_exp_setting(experiment)
    options.update(deform_number=number, stage=stage, dvf_pad=0)
    options.update(changes)
    return options


def make(thorax, name, options, seed=0, mask=True):
    inputs = CategoryInputs(thorax.im, thorax.lung, thorax.torso if mask else None, options)
    return category(name)(thorax.im.shape, thorax.spacing, random_state(name, seed), options, inputs), inputs


def test_published_amplitudes_of_unmasked_single_frequency(thorax):
    """320 x 240 x 280 mm without mask: measured ranges of the published method (three cases each), widened by
    a quarter."""
    for experiment, stage, number, low, high in [
        ('3D_max7_D14_K', 1, 0, 2.7, 3.2),
        ('3D_max7_D14_K', 1, 1, 5.9, 7.0),
        ('3D_max7_D14_K', 1, 2, 5.3, 7.0),
        ('3D_max7_D14_K', 1, 3, 7.0, 7.0),
        ('3D_max7_D14_K', 1, 4, 7.0, 7.0),
        ('3D_max20_D14_K', 4, 2, 10.2, 13.2),
        ('3D_max20_D14_K', 4, 3, 15.3, 18.4),
        ('3D_max20_D14_K', 4, 4, 14.9, 19.7),
    ]:
        sizes = [
            np.abs(make(thorax, 'single_frequency', options_of(experiment, number, stage), seed, mask=False)[0]).max()
            for seed in range(6)
        ]
        assert 0.75 * low < np.mean(sizes) < 1.25 * high, (experiment, number, sizes)


def test_single_frequency_stops_at_the_mask(thorax):
    dvf, _ = make(thorax, 'single_frequency', options_of('3D_max7_D14_K', 4))
    # 8 mm of smoothing at 4 mm voxels, cut at four standard deviations: 8 voxels beyond the mask nothing
    # moves.
    far = ~ndimage.binary_dilation(thorax.torso, iterations=1, structure=np.ones((19, 19, 19)))
    assert far.any() and not dvf[far].any()
    assert np.abs(dvf[thorax.torso > 0]).max() > 3


def test_background_width_grows_with_the_maximum():
    mask = np.zeros((40, 5, 5), np.uint8)
    mask[:20] = 1
    for maximum in (7.0, 14.0):
        field = np.ones((3, 40, 5, 5), np.float32)
        background_to_zero(field, mask, 8, maximum, (4.0, 4.0, 4.0))
        expected = ndimage.gaussian_filter1d(mask[:, 0, 0].astype(float), 2 * maximum / 7, mode='nearest')
        np.testing.assert_allclose(field[2, :, 3, 1], expected, atol=1e-6)


def test_normalise_scales_down_only():
    field = np.array([1.0, -4.0, 2.0], np.float32)
    np.testing.assert_allclose(normalise(field.copy(), 2.0), [0.5, -2, 1])
    np.testing.assert_allclose(normalise(field.copy(), 10.0), field)


# ---- respiratory motion


@pytest.mark.parametrize('spacing', [(1.0, 1.0, 1.0), (2.0, 2.0, 2.0), (4.0, 4.0, 4.0)])
def test_breathing_formula_in_millimetres_at_every_stage(spacing):
    s = spacing[0]
    shape = tuple(int(n / s) for n in (160, 120, 80))
    lung = np.zeros(shape, np.uint8)
    lung[int(20 / s) : int(140 / s), int(24 / s) : int(100 / s), int(16 / s) : int(64 / s)] = 1
    t0, s0, shift = 15.0, 0.12, 4.0
    u_y, u_z = respiratory_motion.breathing(shape, spacing, lung, t0, s0, shift)
    d, top, y_max = int(20 / s), int(140 / s) - 1, int(100 / s) - 1
    half = (top - d) / 2.0
    for k in range(shape[0]):
        if k < d:
            f = 1.0
        elif k < d + half:
            f = 1 - np.log(1 + (k - d) * 1.3 / half) / np.log(2.3)
        else:
            f = 0.0
        assert u_z[k] == pytest.approx(t0 * f, abs=1e-9)
        centre = np.round(y_max - shift / s)
        np.testing.assert_allclose(u_y[k], -(np.arange(shape[1]) - centre) * s * s0 * f, atol=1e-9)


def test_respiratory_field_is_its_formula_plus_a_limited_spline(thorax):
    options = options_of('3D_max7_D14_K', 0, MaxDeform=1000.0)
    options['RespiratoryMotion_SingleFrequency_MaxDeformRatio'] = [1e-9] * 5
    options['RespiratoryMotion_BackgroundSmoothingSigma'] = [0] * 5
    dvf, _ = make(thorax, 'respiratory_motion', options, 3)
    rng = random_state('respiratory_motion', 3)
    t0, s0, shift = rng.uniform(0.8, 1.1) * 15, rng.uniform(0.8, 1.1) * 0.12, rng.uniform(2, 12)
    u_y, u_z = respiratory_motion.breathing(thorax.im.shape, thorax.spacing, thorax.lung, t0, s0, shift)
    inside = thorax.torso > 0
    for component, expected in ((1, u_y[:, :, None]), (2, u_z[:, None, None])):
        expected = np.broadcast_to(expected, inside.shape)[inside]
        np.testing.assert_allclose(dvf[..., component][inside], expected, atol=1e-4)
    assert not dvf[~inside].any()


def test_exhale_lowers_towards_larger_z(thorax):
    """Exhale: the diaphragm of the fixed image came from further up, u_z > 0."""
    dvf, _ = make(thorax, 'respiratory_motion', options_of('3D_max7_D14_K', 0))
    z = np.flatnonzero(thorax.lung.any(axis=(1, 2)))[0] + 4
    assert dvf[z, ..., 2][thorax.lung[z] > 0].mean() > 4


def test_spline_part_of_respiratory_motion_has_its_own_limit(thorax):
    """Without breathing the field is the spline alone: at most M * 0.5, its z component 0.3 of that."""
    options = options_of('3D_max7_D14_K', 3)
    options['RespiratoryMotion_t0'], options['RespiratoryMotion_s0'] = [0] * 5, [0] * 5
    for seed in range(3):
        dvf, _ = make(thorax, 'respiratory_motion', options, seed)
        assert 1 < np.abs(dvf[..., :2]).max() <= 3.5 * (1 + 1e-5)
        assert np.abs(dvf[..., 2]).max() <= 0.3 * 3.5 * (1 + 1e-5)


# ---- mixed frequency


def test_dilations_equal_scipy():
    mask = np.random.RandomState(0).uniform(size=(17, 14, 19)) > 0.98
    for own, structure in [
        (dilation.cube, np.ones((3, 3, 3))),
        (dilation.neighbours_6, ndimage.generate_binary_structure(3, 1)),
        (dilation.neighbours_18, ndimage.generate_binary_structure(3, 2)),
    ]:
        np.testing.assert_array_equal(own(mask), ndimage.binary_dilation(mask, structure))
    for axis in range(3):
        structure = np.zeros((9, 9, 9), bool)
        structure[tuple(slice(0, 5) if a == axis else slice(None) for a in range(3))] = True
        grown = ndimage.binary_dilation(mask, structure)
        np.testing.assert_array_equal(dilation.one_sided(mask, axis), grown)


def test_dilation_within_a_block_equals_a_masked_whole_one():
    mask = np.random.RandomState(1).uniform(size=(20, 22, 18)) > 0.97
    block = (slice(3, 11), slice(0, 9), slice(10, 18))
    expected = mask.copy()
    expected[block] = ndimage.binary_dilation(mask, ndimage.generate_binary_structure(3, 2))[block]
    dilation.within(mask, block, 1, dilation.neighbours_18)
    np.testing.assert_array_equal(mask, expected)


def test_mixed_frequency_empties_blocks_of_each_component():
    rng = np.random.RandomState(0)
    edges = rng.uniform(size=(40, 40, 40)) > 0.9
    lung = np.ones(edges.shape, np.uint8)
    history = []

    def record(iteration, phase, component, block, mask):
        history.append((iteration, phase, component, block))
        if phase == 'emptied':
            assert not mask[block].any()

    kept = mixed_frequency.select(edges, lung, np.random.RandomState(5), 12, (6, 6, 6), record)
    assert kept.shape == (3, 40, 40, 40)
    assert {(phase, component) for _, phase, component, _ in history} == {
        (p, c) for p in ('emptied', 'grown', 'grown one-sided') for c in range(3)
    }
    assert [phase for iteration, phase, c, _ in history if c == 0] == ['emptied'] * 9 + ['grown'] + ['grown one-sided']
    blocks = [{str(block) for _, phase, c, block in history if c == k and phase == 'emptied'} for k in range(3)]
    assert blocks[0] != blocks[1] != blocks[2]
    # Where nothing grew, each component keeps the dilated edges without its own emptied blocks.
    for component in range(3):
        expected = ndimage.binary_dilation(edges, np.ones((3, 3, 3)))
        grown = np.zeros_like(expected)
        for _, phase, c, block in history:
            if c == component and phase == 'emptied':
                expected[block] = False
            elif c == component:
                grown[block] = True
        np.testing.assert_array_equal(kept[component][~grown], expected[~grown])


def test_mixed_frequency_field_rests_in_emptied_blocks(thorax):
    """Far from everything that is kept, the smoothed field of that component is zero."""
    options = options_of('3D_max7_D14_K', 0)
    inputs = CategoryInputs(thorax.im, thorax.lung, thorax.torso, options)
    rng = random_state('mixed_frequency', 1)
    kept = mixed_frequency.select(inputs.edges, inputs.lung, rng, 200, (5, 5, 5))
    dvf, _ = make(thorax, 'mixed_frequency', options, 1)
    for component in range(3):
        reach = int(4 * 10 / 4.0 + 0.5)
        far = ndimage.distance_transform_cdt(~kept[component], 'chessboard') > reach
        assert far.any() and not dvf[far, component].any()
        assert dvf[kept[component], component].any()


def test_mixed_frequency_without_edges_is_an_error(thorax):
    flat = thorax._replace(im=np.zeros_like(thorax.im))
    with pytest.raises(InputError, match='no edge inside the dilated lung'):
        make(flat, 'mixed_frequency', options_of('3D_max7_D14_K', 0))


# ---- the others


def test_translation_is_constant_and_never_zero(thorax):
    for seed in range(20):
        dvf, _ = make(thorax, 'translation', options_of('3D_max7_D14_K', 1), seed)
        assert np.ptp(dvf.reshape(-1, 3), axis=0).max() == 0
        assert 0 < np.abs(dvf[0, 0, 0]).max() <= 7
    rests = np.mean(
        [make(thorax, 'translation', options_of('3D_max7_D14_K', 1), s)[0][0, 0, 0] == 0 for s in range(60)]
    )
    assert 0.08 < rests < 0.32


def test_zero(thorax):
    assert not make(thorax, 'zero', options_of('3D_max7_D14_K', 0))[0].any()


def test_the_field_of_a_next_image_uses_its_own_maximum_and_no_mask(setting, info):
    spec = ItemSpecification(setting, dict(info, dsmooth=17))
    original = load_original(spec)
    dvf = array_view(make_next(spec, original)[1])
    assert 8 < np.abs(dvf).max() <= 15 * (1 + 1e-5)
    assert np.abs(dvf[array_view(original.torso) == 0]).max() > 1


@pytest.mark.parametrize('name', sorted(CATEGORIES))
def test_same_seed_same_bytes_other_seed_other_field(thorax, name):
    options = options_of('3D_max15_D14_K', 1)
    a, b, c = [make(thorax, name, options, seed)[0] for seed in (1, 1, 2)]
    assert a.tobytes() == b.tobytes()
    assert name == 'zero' or a.tobytes() != c.tobytes()


def test_errors_name_what_is_missing(thorax):
    options = options_of('3D_max7_D14_K', 0)
    with pytest.raises(UnknownNameError, match='single_frequency'):
        category('single_frequencies')
    with pytest.raises(InputError, match='MaskToZero'):
        make(thorax, 'respiratory_motion', options, mask=False)
    inputs = CategoryInputs(thorax.im, None, thorax.torso, options)
    with pytest.raises(InputError, match='UseLungMask'):
        category('mixed_frequency')(thorax.im.shape, thorax.spacing, random_state(1), options, inputs)
    thin = np.zeros_like(thorax.lung)
    thin[10, 5:9, 5:9] = 1
    with pytest.raises(InputError, match='one slice only'):
        make(thorax._replace(lung=thin), 'respiratory_motion', options)
