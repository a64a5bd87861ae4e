"""Deformation experiments and what is suggested per stage."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functions.setting.setting_utils as su
from functions.setting import artificial_generation_setting as ags
from functions.setting.errors import InputError, UnknownNameError

K_NAMES = ['3D_max7_D14_K', '3D_max15_D14_K', '3D_max20_D14_K']
NAMES = K_NAMES + ['3D_max20_D14', '3D_max15_SingleFrequency_Visualization']


def cubes(*spacings):
    return [[spacing, spacing, spacing] for spacing in spacings]


DOCUMENTED = {
    '3D_max7_D14_K': (
        7,
        cubes(50, 45, 35, 25, 20),
        [0.5, 1, 1, 1, 1],
        [[50, 50, 50], [40, 40, 40], [25, 25, 35], [20, 20, 30]],
        [5, 10],
        15,
    ),
    '3D_max15_D14_K': (
        15,
        cubes(60, 50, 45, 40, 35),
        [0.5, 1, 1, 1, 1],
        [[60, 60, 60], [50, 50, 40], [40, 40, 80], [35, 35, 80]],
        [7, 12],
        22,
    ),
    '3D_max20_D14_K': (
        20,
        cubes(80, 70, 60, 50, 45),
        [1, 1, 1, 1, 1],
        [[80, 80, 80], [60, 60, 60], [50, 50, 50], [45, 45, 60]],
        [10, 15],
        30,
    ),
}


@pytest.mark.parametrize('name', K_NAMES)
def test_documented_differences(name):
    content = ags.load_deform_exp_setting(name)
    largest, single, ratio, mixed, sigma, t0 = DOCUMENTED[name]
    assert content['MaxDeform'] == largest
    assert content['SingleFrequency_BSplineGridSpacing'] == content['RespiratoryMotion_BSplineGridSpacing'] == single
    assert content['SingleFrequency_MaxDeformRatio'] == ratio
    assert content['MixedFrequency_BSplineGridSpacing'] == mixed
    assert content['MixedFrequency_SigmaRange'] == [sigma] * 4
    assert set(content['RespiratoryMotion_t0']) == {t0}


@pytest.mark.parametrize('name', K_NAMES)
def test_documented_common_values(name):
    content = ags.load_deform_exp_setting(name)
    assert [
        content['DeformMethods'].count(method)
        for method in ('respiratory_motion', 'single_frequency', 'mixed_frequency', 'zero')
    ] == [4, 5, 4, 1]
    expected = {
        'DVFNormalization': True,
        'MaskToZero': 'Torso',
        'Canny_LowerThreshold': 50.0,
        'Im_NoiseSigma': 10,
        'Canny_UpperThreshold': 100.0,
        'Im_NoiseAverage': 10,
        'Occlusion_NumberOfEllipse': 10,
        'Occlusion_IntensityRange': [-800, -780],
        'Occlusion_Max_a': 15,
        'NextIm_SigmaN': 2,
        'NextIm_MaxDeform': 15,
        'MixedFrequency_BlockRadius': 20,
        'RespiratoryMotion_s0': [0.12] * 5,
        'MixedFrequency_Np': [200, 150, 150, 150],
        'SingleFrequency_BackgroundSmoothingSigma': [8] * 5,
        'SingleFrequency_SetGridBorderToZero': cubes(1, 1, 2, 2, 2),
        'MixedFrequency_MaxDeformRatio': [1] * 4,
        'RespiratoryMotion_SingleFrequency_MaxDeformRatio': [0.5] * 5,
        'WriteIntermediateIntensityAugmentation': False,
    }
    assert {key: content[key] for key in expected} == expected


def test_the_alias_equals_its_experiment():
    assert ags.load_deform_exp_setting('3D_max20_D14') == ags.load_deform_exp_setting('3D_max20_D14_K')


@pytest.mark.parametrize('name', NAMES)
def test_every_category_has_values_for_each_of_its_numbers(name):
    content = ags.load_deform_exp_setting(name)
    prefixes = {
        'respiratory_motion': 'RespiratoryMotion_',
        'single_frequency': 'SingleFrequency_',
        'mixed_frequency': 'MixedFrequency_',
    }
    for method, prefix in prefixes.items():
        count = content['DeformMethods'].count(method)
        lists = {key: value for key, value in content.items() if key.startswith(prefix) and isinstance(value, list)}
        assert lists and all(len(value) >= count for value in lists.values()), prefix


def test_the_visualisation_experiment():
    name = '3D_max15_SingleFrequency_Visualization'
    content = ags.load_deform_exp_setting(name)
    assert content['DeformMethods'] == ['single_frequency'] * 3 and content['MaxDeform'] == 15
    assert content['SingleFrequency_BSplineGridSpacing'] == cubes(40, 30, 20)
    assert su.dsmoothlist_by_deform_exp(name, 'Visualization') == ([0, 1, 2], [])
    assert su.dsmoothlist_by_deform_exp(name, 'SingleOnly')[0] == [0, 1, 2]
    assert su.dsmoothlist_by_deform_exp(name, 'MixedOnly')[0] == []


def change_everything(value):
    for item in value:
        if isinstance(item, list):
            change_everything(item)
    value.append('changed')


@pytest.mark.parametrize('name', NAMES)
def test_copies_are_fresh_to_the_last_list(name):
    first, before = ags.load_deform_exp_setting(name), copy.deepcopy(ags.load_deform_exp_setting(name))
    first['MixedFrequency_SigmaRange'][0][0] = -1
    assert first['MixedFrequency_SigmaRange'][1][0] != -1
    for value in first.values():
        if isinstance(value, list):
            change_everything(value)
    assert ags.load_deform_exp_setting(name) == before


def test_unknown_experiments_are_errors():
    with pytest.raises(KeyError, match='3D_max15_D14_K'):
        ags.load_deform_exp_setting('3D_max15_D9')


AG_LISTS = {
    'Resp': (list(range(14)), [0, 5, 10]),
    'NoResp': (list(range(4, 14)), [5, 8, 10]),
    'SingleOnly': (list(range(4, 9)), [5, 6, 8]),
    'MixedOnly': (list(range(9, 13)), [9, 10, 12]),
    'SingleResp': (list(range(9)) + [13], [4, 8, 10]),
    'Visualization': ([], []),
}


@pytest.mark.parametrize('mode', sorted(AG_LISTS))
@pytest.mark.parametrize('name', K_NAMES)
def test_documented_lists_of_the_modes(name, mode):
    assert su.dsmoothlist_by_deform_exp(name, mode) == AG_LISTS[mode]


def test_unknown_mode_and_experiment():
    with pytest.raises(ValueError, match='SingleOnly'):
        su.dsmoothlist_by_deform_exp(K_NAMES[0], 'SinlgeOnly')
    with pytest.raises(KeyError):
        su.dsmoothlist_by_deform_exp('3D_max1', 'Resp')


@settings(max_examples=40, deadline=None)
@given(numbers=st.lists(st.integers(0, 13), unique=True), repeat=st.integers(0, 6))
def test_repeating_keeps_the_category_and_never_repeats_a_number(numbers, repeat):
    repeated = su.repeat_dsmooth_numbers(numbers, '3D_max7_D14_K', repeat)
    assert len(set(repeated)) == len(repeated) == repeat * len(numbers)
    assert repeated[: len(numbers)] == (numbers if repeat else [])
    assert [number % 14 for number in repeated] == numbers * repeat


def test_repeating_with_another_number_of_methods(monkeypatch):
    monkeypatch.setitem(ags.DEFORM_EXPERIMENTS, 'four', {'DeformMethods': ['zero'] * 4})
    assert su.repeat_dsmooth_numbers([0], 'four', 3) == [0, 4, 8]
    assert su.repeat_dsmooth_numbers([0, 1], 'four', 2) == [0, 1, 4, 5]


class TestOwnExperiments:
    def test_differences_from_a_base(self, monkeypatch):
        monkeypatch.setattr(ags, 'DEFORM_EXPERIMENTS', dict(ags.DEFORM_EXPERIMENTS))
        ags.register_deform_exp('mine', '3D_max7_D14_K', MaxDeform=5, DeformMethods=['zero'])
        content = ags.load_deform_exp_setting('mine')
        assert (content['MaxDeform'], content['DeformMethods']) == (5, ['zero'])
        assert content['SingleFrequency_BSplineGridSpacing'] == cubes(50, 45, 35, 25, 20)
        # Another process knows it from the setting alone.
        setting = su.load_setting_from_data_dict(
            su.initialize_setting('a', 'Root'), [{'data': 'SPREAD', 'deform_exp': 'mine'}]
        )
        monkeypatch.delitem(ags.DEFORM_EXPERIMENTS, 'mine')
        assert su.address_generator(setting, 'DFolder', dsmooth=3).endswith(
            '/mine/SPREAD/Fixed/ExpLung1/Dsmooth3/zero_D0/'
        )

    def test_misspelt_keys_and_names(self):
        with pytest.raises(UnknownNameError, match='MaxDeform'):
            ags.register_deform_exp('mine', MaxDeforn=5)
        with pytest.raises(InputError, match='without slashes'):
            ags.register_deform_exp('a/b')


class TestStageRules:
    @pytest.mark.parametrize(
        'stage, mode, repeats',
        [
            (1, 'Resp', 2),
            (1, 'SingleOnly', 5),
            (1, 'MixedOnly', 2),
            (2, 'Resp', 3),
            (2, 'NoResp', 5),
            (2, 'SingleOnly', 15),
            (2, 'SingleResp', 2),
            (4, 'Resp', 5),
            (4, 'NoResp', 5),
            (4, 'SingleOnly', 15),
        ],
    )
    def test_training_repeats(self, stage, mode, repeats):
        rule = su.suggested_stage_setting(stage, mode)
        once = AG_LISTS[mode][0]
        assert rule['TrainingDSmoothList'] == [number + 14 * turn for turn in range(repeats) for number in once]

    @pytest.mark.parametrize('stage, repeats', [(1, 1), (2, 2), (4, 5)])
    def test_validation_uses_the_validation_numbers(self, stage, repeats):
        numbers = su.suggested_stage_setting(stage, 'NoResp')['ValidationDSmoothList']
        assert numbers == [number + 14 * turn for turn in range(repeats) for number in (5, 8, 10)]

    def test_sizes(self):
        rule = su.suggested_stage_setting(4, full_image=True)
        assert rule['NetworkTraining'] == {'NumberOfImagesPerChunk': 40, 'SamplesPerImage': 20, 'BatchSize': 5}
        rule = su.suggested_stage_setting(2)
        assert rule['deform_exp'] == '3D_max15_D14_K' and rule['ClassBalanced'] == [1.5, 4, 15]
        assert rule['NetworkValidation'] == {'NumberOfImagesPerChunk': 60, 'SamplesPerImage': 10, 'BatchSize': 50}

    @pytest.mark.parametrize('stage', [0, 3, '1', True, None])
    def test_other_stages(self, stage):
        with pytest.raises(ValueError, match='1, 2, 4'):
            su.suggested_stage_setting(stage)
