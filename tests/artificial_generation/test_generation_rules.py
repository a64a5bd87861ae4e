"""Rules that hold for every seed, category and stage: maxima, scaling, no silent zero field, millimetres."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from generation_volumes import make_item, make_thorax, write_thorax

from functions.artificial_generation import (
    bspline_field,
    categories,
    mixed_frequency,
    original_images,
    respiratory_motion,
    single_frequency,
)
from functions.artificial_generation.categories import CategoryInputs, category
from functions.artificial_generation.training_item import get_item
from functions.setting import setting_utils as su
from functions.setting.artificial_generation_setting import deform_method_and_number, load_deform_exp_setting
from functions.setting.errors import InputError, UnknownNameError
from functions.setting.seeds import random_state

SEEDS = 12
#: Largest |component| in mm, one value per deform_number, written out: ratio * M, times 1.2 for breathing.
LARGEST = {
    '3D_max7_D14_K': {
        'single_frequency': [3.5, 7, 7, 7, 7],
        'mixed_frequency': [7] * 4,
        'respiratory_motion': [8.4] * 4,
        'zero': [0],
    },
    '3D_max15_D14_K': {
        'single_frequency': [7.5, 15, 15, 15, 15],
        'mixed_frequency': [15] * 4,
        'respiratory_motion': [18] * 4,
        'zero': [0],
    },
    '3D_max20_D14_K': {
        'single_frequency': [20] * 5,
        'mixed_frequency': [20] * 4,
        'respiratory_motion': [24] * 4,
        'zero': [0],
    },
    '3D_max15_SingleFrequency_Visualization': {'single_frequency': [15] * 3},
}
STAGES = {'3D_max7_D14_K': 1, '3D_max15_D14_K': 2, '3D_max20_D14_K': 4, '3D_max15_SingleFrequency_Visualization': 1}


@pytest.fixture(scope='module')
def coarse():
    """The thorax of 320 x 240 x 280 mm at 8 mm: many fields in little time."""
    return make_thorax((35, 30, 40), (8.0, 8.0, 8.0))


def options_of(experiment, number, **changes):
    options = dict(load_deform_exp_setting(experiment), deform_number=number, stage=STAGES[experiment], dvf_pad=0)
    options.update(changes)
    return options


def make(volumes, name, options, seed=0):
    inputs = CategoryInputs(volumes.im, volumes.lung, volumes.torso, options)
    return category(name)(volumes.im.shape, volumes.spacing, random_state(name, seed), options, inputs)


@pytest.mark.once
@pytest.mark.parametrize('experiment', sorted(LARGEST))
def test_maxima_over_many_seeds(coarse, experiment):
    methods = load_deform_exp_setting(experiment)['DeformMethods']
    reached = {}
    for dsmooth in range(len(methods)):
        name, number = deform_method_and_number(methods, dsmooth)
        largest = LARGEST[experiment][name][number]
        for seed in range(SEEDS):
            dvf = make(coarse, name, options_of(experiment, number), seed)
            assert dvf.shape == coarse.im.shape + (3,) and dvf.dtype == np.float32
            size = np.abs(dvf).max()
            assert size <= largest * (1 + 1e-5), (name, number, seed)
            assert name == 'zero' or size > 0.1 * largest, (name, number, seed)
            reached[name] = max(reached.get(name, 0), size / max(largest, 1))
    # The limit is used, not only kept: for every category some seed comes to it.
    assert all(share > 0.85 for name, share in reached.items() if name != 'zero'), reached


@pytest.mark.parametrize('name', ['single_frequency', 'mixed_frequency'])
@pytest.mark.parametrize('experiment', ['3D_max7_D14_K', '3D_max20_D14_K'])
def test_normalisation_scales_and_does_nothing_else(coarse, name, experiment):
    for number in range(4):
        largest = LARGEST[experiment][name][number]
        for seed in range(3):
            raw = make(coarse, name, options_of(experiment, number, DVFNormalization=False), seed)
            scaled = make(coarse, name, options_of(experiment, number), seed)
            factor = min(1.0, largest / np.abs(raw).max())
            np.testing.assert_allclose(scaled, raw * factor, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    'module, low, high', [(single_frequency, 0, 1.7), (respiratory_motion, 0, 1.7), (mixed_frequency, 1, 2)]
)
def test_coefficients_obey_the_rule_of_their_category(coarse, monkeypatch, module, low, high):
    """max |c| in units of m: at most 1.7 for single frequency and breathing, 1 to 2 for mixed frequency."""
    seen, draw, name = [], bspline_field.random_field, module.__name__.split('.')[-1]

    def spy(rng, shape, spacing, grid, maximum, *more, **named):
        field, coefficients = draw(rng, shape, spacing, grid, maximum, *more, **named)
        seen.append(np.abs(coefficients).max() / maximum)
        return field, coefficients

    monkeypatch.setattr(bspline_field, 'random_field', spy)
    for experiment in ('3D_max7_D14_K', '3D_max15_D14_K', '3D_max20_D14_K'):
        for number in range(4):
            for seed in range(4):
                make(coarse, name, options_of(experiment, number), seed)
    if low > 0:
        # Smoothed as strongly as this, the coefficients are small until they are scaled up.
        smooth = options_of('3D_max7_D14_K', 0, MixedFrequency_GridSmoothingSigma=[[6, 6, 6]])
        make(coarse, name, smooth)
        assert seen.pop() == pytest.approx(low, rel=1e-6)
    assert len(seen) == 48
    assert low * (1 - 1e-6) <= min(seen) and max(seen) <= high * (1 + 1e-6), (min(seen), max(seen))


def test_grids_of_the_visualisation_have_40_30_and_20_mm(setting, info):
    name = '3D_max15_SingleFrequency_Visualization'
    setting['deform_exp'][name] = load_deform_exp_setting(name)
    setting['WriteBSplineTransform'] = True
    for dsmooth, grid in enumerate((40, 30, 20)):
        item = get_item(setting, dict(info, deform_exp=name, dsmooth=dsmooth))
        assert 3 < np.abs(item.dvf).max() <= 15 * (1 + 1e-5)
        image = sitk.ReadImage(
            su.address_generator(
                setting, 'BSplineTransformIm', data='Phantom_4D', cn=1, deform_exp=name, dsmooth=dsmooth, stage=1
            )
        )
        mesh = np.round(np.array([320, 240, 280]) / grid)
        assert image.GetSize() == tuple(int(n) + 3 for n in mesh)
        np.testing.assert_allclose(image.GetSpacing(), [320, 240, 280] / mesh, rtol=0.02)


# ---- never silent


def without(volumes, *names):
    return volumes._replace(**{name: np.zeros_like(getattr(volumes, name)) for name in names})


def test_a_field_that_would_be_zero_is_an_error_with_its_cause(coarse):
    small = make_thorax((8, 8, 8), (2.0, 2.0, 2.0))
    for name in ('single_frequency', 'respiratory_motion', 'mixed_frequency'):
        options = options_of('3D_max7_D14_K', 0, Canny_LowerThreshold=1.0, Canny_UpperThreshold=2.0)
        setting = {'single': 'Single', 'respiratory': 'Respiratory', 'mixed': 'Mixed'}[name.split('_')[0]]
        message = f'16 x 16 x 16 mm .* grid of 50 .* smaller {setting}[a-zA-Z]+_BSplineGridSpacing in deform_exp'
        with pytest.raises(InputError, match=message):
            make(small, name, options)
    for name in ('single_frequency', 'respiratory_motion'):
        with pytest.raises(InputError, match=name + ' field is identically zero: MaskToZero leaves nothing'):
            make(without(coarse, 'torso'), name, options_of('3D_max7_D14_K', 0))
    with pytest.raises(InputError, match='lung mask is empty'):
        make(without(coarse, 'lung'), 'respiratory_motion', options_of('3D_max7_D14_K', 0))
    with pytest.raises(InputError, match='emptied again; lower MixedFrequency_BlockRadius .1000'):
        make(
            coarse,
            'mixed_frequency',
            options_of('3D_max7_D14_K', 0, MixedFrequency_BlockRadius=1000, MixedFrequency_Np=[2]),
        )
    with pytest.raises(InputError, match='mixed_frequency field is identically zero: the image has no edge'):
        make(without(coarse, 'im'), 'mixed_frequency', options_of('3D_max7_D14_K', 0))


# ---- images cut through the lungs

WHOLE, MIDDLE, RIGHT = slice(None), slice(27, 43), slice(0, 40)  # MIDDLE: 64 mm
CUTS = {'slab': (MIDDLE, WHOLE, WHOLE), 'one lung': (WHOLE, WHOLE, RIGHT), 'both': (MIDDLE, WHOLE, RIGHT)}


def cut_thorax(thorax, box):
    return thorax._replace(im=thorax.im[box], lung=thorax.lung[box], torso=thorax.torso[box])


@pytest.mark.once
@pytest.mark.parametrize('name', CUTS)
def test_every_deformation_of_an_image_cut_through_the_lungs_can_be_made(setting, info, thorax, name):
    volumes = cut_thorax(thorax, CUTS[name])
    write_thorax(setting, volumes)
    for dsmooth in range(28):
        item = make_item(setting, dict(info, deform_exp='3D_max20_D14_K', dsmooth=dsmooth))
        inside = item.lung > 0
        assert 0.5 < inside.sum() / volumes.lung.sum() < 2
        u = item.dvf.astype(float)
        # What moves in from outside the field of view is neither lung nor torso.
        from_index = np.moveaxis(np.indices(inside.shape), 0, -1) + u[..., ::-1] / 4
        outside = ((from_index < -0.5) | (from_index > np.array(inside.shape) - 0.5)).any(axis=-1)
        assert not item.lung[outside].any() and not item.mask[outside].any()
        assert len(np.unique(item.deformed_im[outside])) <= 1
        gradient = np.stack([np.stack(np.gradient(u[..., k], 4.0)[::-1], axis=-1) for k in range(3)], axis=-2)
        assert (np.linalg.det(np.eye(3) + gradient)[inside] > 0).all()
        assert np.abs(u[inside]).max() > 0.5 or dsmooth % 14 == 13


def test_a_border_without_room_is_said_once_in_the_record_of_an_item(setting, info, thorax, tmp_path, caplog):
    def remarks():
        records = [json.loads(path.read_text()) for path in sorted(tmp_path.rglob('*.json'))]
        return sorted(record['remark'] for record in records if 'remark' in record)

    caplog.set_level('INFO')
    write_thorax(setting, cut_thorax(thorax, CUTS['slab']), cn=2)
    info = dict(info, deform_exp='3D_max20_D14_K', dsmooth=16)
    get_item(setting, info)
    assert list(tmp_path.rglob('*manifest*.json')) and remarks() == []
    expected = [
        'RespiratoryMotion_SetGridBorderToZero is [2, 2, 2] (z, y, x), but the image has room for [0, 2, 2] only.',
        'SingleFrequency_SetGridBorderToZero is [1, 1, 1] (z, y, x), but the image has room for [0, 1, 1] only.',
    ]
    for _ in range(2):
        get_item(setting, dict(info, cn=2))
        assert remarks() == expected
        assert [caplog.text.count(sentence) for sentence in expected] == [1, 1]


def test_a_new_category_is_one_function_and_one_line_and_cannot_be_silently_zero(setting, info, monkeypatch):
    def shear(shape_zyx, spacing, rng, options, inputs):
        dvf = np.zeros(tuple(shape_zyx) + (3,), np.float32)
        dvf[..., 0] = rng.uniform(size=shape_zyx[0])[:, None, None]
        return dvf

    monkeypatch.setitem(categories.CATEGORIES, 'shear', shear)
    setting['deform_exp']['3D_max7_D14_K']['DeformMethods'] = ['shear']
    written = get_item(setting, dict(info, dsmooth=1))
    read = get_item(setting, dict(info, dsmooth=1))
    assert written.dvf[..., 0].any() and not written.dvf[..., 1:].any()
    assert written.dvf.tobytes() == read.dvf.tobytes()
    monkeypatch.setitem(categories.CATEGORIES, 'shear', categories.CATEGORIES['zero'])
    with pytest.raises(InputError, match='shear field is identically zero on a volume of 320 x 240 x 280 mm'):
        make_item(setting, dict(info, dsmooth=0))


# ---- stages, repetition


@pytest.mark.parametrize('stage', [1, 2, 4])
@pytest.mark.parametrize('name', sorted(categories.CATEGORIES))
def test_fields_are_in_millimetres_at_every_stage(setting, info, name, stage):
    """The deformed image is ITK's resampling of the staged original through the DVF as it is, and a
    category's field at stage s is as long as at stage 1."""
    setting['deform_exp']['3D_max7_D14_K']['DeformMethods'] = [name]
    item = get_item(setting, dict(info, stage=stage, deformed_im_ext=['Clean']))
    original = sitk.ReadImage(su.address_generator(setting, 'OriginalIm', data='Phantom_4D', cn=1, stage=stage))
    assert original.GetSpacing() == (4.0 * stage,) * 3
    field = sitk.GetImageFromArray(item.dvf.astype(float), isVector=True)
    field.CopyInformation(original)
    warped = sitk.Resample(
        sitk.Cast(original, sitk.sitkFloat32),
        original,
        sitk.DisplacementFieldTransform(field),
        sitk.sitkBSpline,
        -2048.0,
    )
    inside = item.mask > 0
    np.testing.assert_allclose(item.deformed_im[inside], sitk.GetArrayFromImage(warped)[inside], atol=0.51)
    if name == 'respiratory_motion':
        base = np.flatnonzero(item.lung.any(axis=(1, 2)))[0] + 4 // stage
        u_z = item.dvf[base, ..., 2][item.lung[base] > 0].mean()
        assert 3 < u_z < 8.4, u_z
    elif name != 'zero':
        assert 1.5 < np.abs(item.dvf).max() <= 7 * (1 + 1e-5)


@pytest.mark.parametrize('spacing', [8.0, 16.0])
def test_breathing_of_a_category_at_coarse_stages_is_its_formula(spacing):
    """Without spline, smoothing and limit the field is t0 f(z) and (c - y) s0 f(z) in mm for any voxel."""
    shape = tuple(int(n // spacing) for n in (288, 240, 320))
    volumes = make_thorax(shape, (spacing,) * 3)
    options = options_of('3D_max20_D14_K', 0, MaxDeform=1e4)
    options['RespiratoryMotion_SingleFrequency_MaxDeformRatio'] = [1e-9] * 5
    options['RespiratoryMotion_BackgroundSmoothingSigma'] = [0] * 5
    dvf = make(volumes, 'respiratory_motion', options, 5)
    rng = random_state('respiratory_motion', 5)
    t0, s0, shift = rng.uniform(0.8, 1.1) * 30, rng.uniform(0.8, 1.1) * 0.12, rng.uniform(2, 12)
    places = np.argwhere(volumes.lung > 0)
    diaphragm, top, back = places[:, 0].min(), places[:, 0].max(), places[:, 1].max()
    half = (top - diaphragm) / 2.0
    centre = np.round(back - shift / spacing)
    for z, y, x in np.argwhere(volumes.torso > 0)[::7]:
        share = 1.0 if z < diaphragm else 0.0
        if diaphragm <= z < diaphragm + half:
            share = 1 - np.log(1 + (z - diaphragm) * 1.3 / half) / np.log(2.3)
        expected = (0.0, (centre - y) * spacing * s0 * share, t0 * share)
        np.testing.assert_allclose(dvf[z, y, x], expected, atol=1e-4)


@pytest.mark.once
def test_the_same_item_twice_in_a_process_with_others_between(setting, info):
    def digest(dsmooth, stage):
        item = make_item(setting, dict(info, dsmooth=dsmooth, stage=stage))
        return [getattr(item, name).tobytes() for name in ('im', 'deformed_im', 'dvf', 'mask', 'lung')]

    wanted = [(dsmooth, stage) for dsmooth in (0, 5, 9, 13, 14, 23) for stage in (1, 2)]
    first = {key: digest(*key) for key in wanted}
    original_images.clear_cache()
    np.random.seed(7)  # nobody else's random numbers count
    for key in wanted[::-1]:
        assert digest(*key) == first[key], key
    assert len({tuple(value) for value in first.values()}) == len(wanted)


def test_down_sampled_originals_are_made_once(setting, info, thorax, monkeypatch):
    calls, downsample = [], original_images.downsample
    monkeypatch.setattr(original_images, 'downsample', lambda im, stage: calls.append(stage) or downsample(im, stage))
    for dsmooth in (1, 5, 13):
        get_item(setting, dict(info, dsmooth=dsmooth, stage=2))
    original_images.clear_cache()  # as another process would begin
    get_item(setting, dict(info, dsmooth=9, stage=2))
    get_item(setting, dict(info, dsmooth=9, stage=2, deform_exp='3D_max15_D14_K'))
    assert calls == [2]
    write_thorax(setting, thorax, type_im=5)
    get_item(setting, dict(info, dsmooth=5, stage=2, type_im=5))
    get_item(setting, dict(info, dsmooth=5, stage=4))
    assert calls == [2, 2, 4]


def test_the_down_sampling_rule_is_a_setting(setting, info):
    with pytest.raises(UnknownNameError, match='bspline'):
        get_item(dict(setting, DownSampling='stride'), info)
