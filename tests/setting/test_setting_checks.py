"""The check: everything wrong is told at once, everything right passes, no long work without its files."""

import copy
import itertools
import logging
import os

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import functions.setting.setting_utils as su
from functions.setting import kinds, schema
from functions.setting.artificial_generation_setting import (
    CATEGORY_PREFIXES,
    DEFORM_KEYS,
    deform_exp_problems,
    load_deform_exp_setting,
)
from functions.setting.checks import find_warnings
from functions.setting.data_sets import DESCRIPTION
from functions.setting.errors import InputError, MissingFileError

ENTRY = {
    'data': 'DIR-Lab_4D',
    'deform_exp': '3D_max7_D14_K',
    'TrainingCNList': [1, 2],
    'TrainingTypeImList': [0, 5],
    'TrainingDSmoothList': [0, 5, 13],
    'TrainingDeformedImExt': ['Clean', 'Sponge', 'Noise'],
    'ValidationCNList': [3],
    'ValidationTypeImList': [0],
    'ValidationDSmoothList': [0],
}
PAIRS = {'data': 'DIR-Lab_4D', 'TestingCNList': [4], 'TestingPairList': [[0, 5]], 'TestingSpacing': 'RS1'}


def valid(*entries):
    setting = su.initialize_setting('MyExp', 'Root')
    su.load_setting_from_data_dict(setting, list(entries) or [ENTRY, PAIRS])
    setting['ClassBalanced'] = su.load_suggested_class_balanced(setting)
    return su.load_network_setting(setting, 'unet1')


def problems_after(change, *entries):
    setting = valid(*entries)
    change(setting)
    return su.find_problems(setting)


def test_a_good_setting_has_no_problem():
    assert su.find_problems(valid()) == []
    assert su.check_setting(valid()) is None


def test_all_problems_at_once_one_line_each():
    setting = valid()
    setting.update(stage=3, UseLungMsk=True, Randomness='yes', ClassBalanced=[2, 9])
    setting['NetworkTraining'].update(BatchSise=3, BatchSize=0)
    setting['DataExpDict'][0].update(TrainingCNList=[1, 11], TrainingTypeIm=[0])
    with pytest.raises(InputError) as caught:
        su.check_setting(setting)
    lines = str(caught.value).splitlines()
    assert lines[0] == 'The settings have 8 problems:' and len(lines) == 9
    for text in [
        'stage is 3; accepted: one of 1, 2, 4.',
        "UseLungMsk is not a setting. Did you mean 'UseLungMask'?",
        "Randomness is 'yes'; accepted: True or False.",
        'NetworkTraining.BatchSize is 0',
        "NetworkTraining.BatchSise is not a setting. Did you mean 'BatchSize'?",
        'ClassBalanced ends at 9 mm, above MaxDeform of 3D_max7_D14_K, 7 mm',
        'TrainingCNList has 11; the cases of DIR-Lab_4D are 1 to 10.',
        "TrainingTypeIm is not a setting. Did you mean 'TrainingTypeImList'?",
    ]:
        assert sum(text in line for line in lines) == 1, text


def put(key, value, *path):
    def change(setting):
        target = setting
        for step in path:
            target = target[step]
        target[key] = value

    return change


def entry(key, value, number=0):
    return put(key, value, 'DataExpDict', number)


@pytest.mark.parametrize(
    'change, text',
    [
        (put('stage', True), 'stage is True'),
        (put('stage', '1'), "stage is '1'"),
        (put('stage', None), 'stage is None'),
        (put('stage', 4.0), 'stage is 4.0; accepted: one of 1, 2, 4.'),
        (put('stage', np.int64(4)), None),
        (put('stage_list', [4.0, 2]), 'stage_list is [4.0, 2]; accepted: one of [4, 2, 1]'),
        (put('current_experiment', ''), "current_experiment is ''"),
        (put('Dim', 2), 'Dim is 2; accepted: one of 3.'),
        (put('RootFolder', '/data'), 'a folder ending in /'),
        (put('VoxelSize', [1, 1]), 'a list of 3 items'),
        (put('VoxelSize', [1, 1, 0]), 'VoxelSize is [1, 1, 0]'),
        (put('DVFPad_S4', -1), 'DVFPad_S4 is -1'),
        (put('normalization', 'Linear'), "None, 'linear', 'lung'"),
        (put('DVFUnit', 'cm'), "'mm', 'voxel'"),
        (put('AGMode', 'resp'), "'Resp', 'NoResp'"),
        (put('ClassRule', 'any'), 'largest_component'),
        (put('NetworkTraining', 7), 'NetworkTraining is 7; accepted: a dictionary.'),
        (
            put('LearningRate_Base', 0, 'NetworkTraining'),
            'NetworkTraining.LearningRate_Base is 0; accepted: a number above 0',
        ),
        (put('reg_weight', float('nan'), 'NetworkTraining'), 'NetworkTraining.reg_weight is nan'),
        (put('MaxIterations', 1e7, 'NetworkTraining'), 'a whole number from 1'),
        # whole images: a batch may be larger than the number of patches
        (put('BatchSize', 10**4, 'NetworkTraining'), None),
        (put('Size', [300, 220], 'Phantom'), 'Phantom.Size is [300, 220]'),
        (put('Landmark', 3, 'Phantom'), "Phantom.Landmark is not a setting. Did you mean 'Landmarks'?"),
        (put('PadTo', {'stage3': 125}), "PadTo.stage3 is not a setting. Did you mean 'stage"),
        (put('PadTo', {'stage4': 'x'}), "PadTo.stage4 is 'x'"),
        (put('PadTo', {'stage4': 126}), 'unet1 takes sides of 8 k + 5'),
        (put('PadTo', {'stage4': 125}), None),
        (put('NetworkDesign', 'unet7'), 'unet1'),
        (put('Ry', 63), 'R (62) must be at least Ry (63).'),
        (put('ClassBalanced', [7, 2]), 'each a number above 0, increasing'),
        (put('ClassBalanced', []), 'ClassBalanced is []'),
        (put('ClassBalanced', [2, 7.5]), 'above MaxDeform of 3D_max7_D14_K, 7 mm'),
        (put('ClassBalanced', [7]), None),
        (put('UseTorsoMask', False), "MaskToZero is 'Torso' but UseTorsoMask is False"),
        (put('UseLungMask', False), 'respiratory_motion needs the lung masks'),
        (put('Cut', 2, 'deform_exp', '3D_max7_D14_K', 'ScanVariety'), 'ScanVariety.Cut is 2; accepted: a number'),
        (put('MaskToZero', None, 'deform_exp', '3D_max7_D14_K'), "needs MaskToZero 'Torso' or 'Lung'"),
        (put('MaskToZero', 'torso', 'deform_exp', '3D_max7_D14_K'), "MaskToZero is 'torso'"),
        (put('only_generate_image', 'True'), "only_generate_image is 'True'"),
        (put('stage_list', [1, 2]), '[4, 2, 1]'),
        (put('verbose', np.True_), 'verbose is'),
        (put('x', lambda: 0, 'data'), 'JSON cannot carry; accepted: texts, finite numbers'),
        (put(3, 1, 'data'), 'is not text'),
        (entry('data', 'DIRLab'), "Did you mean 'DIR-Lab_4D' or"),
        (entry('deform_exp', '3D_max7'), "'3D_max7' is not a known"),
        (entry('TrainingCNList', 3), 'TrainingCNList is 3; accepted: a list'),
        (entry('TrainingCNList', [0]), 'TrainingCNList is [0]'),
        (entry('TrainingTypeImList', [0, 10]), 'Training has the types 10; those of DIR-Lab_4D are 0 (T00), 1 (T10)'),
        (
            entry('TrainingDSmoothList', [-1]),
            'TrainingDSmoothList is [-1]; accepted: a list of items, each a whole number from 0',
        ),
        (entry('TrainingDeformedImExt', ['Sponge']), "must begin with 'Clean', once"),
        (entry('TrainingDeformedImExt', ['Clean', 'Noise', 'Clean']), "must begin with 'Clean', once"),
        (entry('TrainingDeformedImExt', ['Clean', 'Noisy']), "'Clean', 'Sponge', 'Noise', 'Occluded'"),
        (entry('TrainingDeformedImExt', []), 'TrainingDeformedImExt is []'),
        (entry('TestingPairList', [[0, 10]], 1), 'has the types 10'),
        (entry('TestingPairList', [[0]], 1), 'TestingPairList is [[0]]'),
        (entry('TestingSpacing', 'RS2', 1), "'RS1', 'Raw'"),
        (entry('TestingSpacing', 'Raw', 1), None),
        (entry('ValidationSpacing', 'Raw'), None),
    ],
)
def test_each_problem_is_told_once(change, text):
    problems = problems_after(change)
    if text is None:
        assert problems == []
    else:
        assert len(problems) == 1, problems
        assert text in problems[0]


def test_patch_mode_checks_sides_and_batches():
    def patches(setting):
        setting.update(FullImage=False, R=20, Ry=20)
        setting['NetworkTraining'].update(NumberOfImagesPerChunk=2, SamplesPerImage=3, BatchSize=7)

    problems = problems_after(patches)
    assert problems == [
        'R is 20, a side of 41 voxels; unet1 takes sides of 8 k + 5.',
        'NetworkTraining: BatchSize 7 exceeds the 6 samples of a chunk.',
    ]
    assert problems_after(lambda setting: setting.update(FullImage=False, R=18, Ry=18)) == []


@pytest.mark.parametrize('key', ['R', 'Ry', 'ClassBalanced', 'BatchSize', 'SamplesPerImage', 'NumberOfImagesPerChunk'])
def test_what_training_needs_is_missed_before_the_work(key):
    def take(setting, **changes):
        setting.update(FullImage=False, R=18, Ry=18, **changes)
        (setting if key in setting else setting['NetworkTraining']).pop(key)

    in_queue = key not in ('R', 'Ry', 'ClassBalanced')
    assert problems_after(take) == ['NetworkTraining.' * in_queue + f'{key} is missing.']
    assert problems_after(lambda setting: take(setting, only_generate_image=True)) == []
    assert problems_after(lambda setting: take(setting) or setting['DataExpDict'].pop(0)) == []  # nothing to train on

    def take_from_whole_images(setting):
        take(setting)
        setting['FullImage'] = True

    of_patches = key in ('R', 'Ry', 'ClassBalanced', 'SamplesPerImage')
    assert len(problems_after(take_from_whole_images)) == (not of_patches)


@pytest.mark.parametrize('stage', [4.0, 3, True, '4', None, [4]])
def test_a_stage_that_cannot_be_is_one_line_everywhere(stage):
    setting = dict(su.initialize_setting('a', 'Root'), stage=stage)
    for ask in (lambda: su.suggested_stage_setting(stage), lambda: su.load_network_setting(setting, 'unet1')):
        with pytest.raises(InputError) as caught:
            ask()
        assert str(caught.value) == f'stage is {stage!r}; accepted: one of 1, 2, 4.'


def test_the_address_of_a_fractional_stage_is_refused():
    setting = su.initialize_setting('a', 'Root')
    with pytest.raises(InputError, match=r'stage is 4\.0; accepted: one of 1, 2, 4'):
        su.address_generator(setting, 'Im', stage=4.0)


def test_a_pyramid_of_fractional_stages_is_refused():
    with pytest.raises(InputError, match=r'\[4, 2, 1\]'):
        su.load_registration_setting(su.initialize_setting('a', 'Root'), [4.0])


@pytest.mark.parametrize('key', ['TrainingCNList', 'TrainingTypeImList', 'TrainingDSmoothList'])
def test_training_without_any_item(key):
    problems = problems_after(entry(key, []))
    assert problems == [f'data_exp_dict has keys of Training but no training item: {key} is empty.']
    # another entry that has items, no training at all, or no validation item: fine
    assert problems_after(entry(key, []), ENTRY, dict(ENTRY, ValidationCNList=[4])) == []
    assert problems_after(lambda setting: setting['DataExpDict'].pop(0)) == []
    assert problems_after(entry(key.replace('Training', 'Validation'), [])) == []


def test_raw_spacing_needs_raw_images():
    entry_ = {'data': 'SPREAD', 'TestingCNList': [1], 'TestingPairList': [[0, 1]], 'TestingSpacing': 'Raw'}
    problems = problems_after(lambda setting: None, ENTRY, entry_)
    assert len(problems) == 1 and "SPREAD has isotropic images only ('RS1')" in problems[0]


@pytest.mark.parametrize('key', ['TrainingCNList', 'TrainingTypeImList', 'TrainingDSmoothList'])
def test_incomplete_entries(key):
    problems = problems_after(lambda setting: setting['DataExpDict'][0].pop(key))
    assert len(problems) == 1 and problems[0].endswith(f'{key} is missing.')


def test_pairs_without_cases():
    problems = problems_after(lambda setting: setting['DataExpDict'][1].pop('TestingCNList'))
    assert problems == ['Entry 1 of data_exp_dict (DIR-Lab_4D): TestingCNList is missing.']


def test_only_generating_and_never_generating_exclude_each_other():
    problems = problems_after(lambda setting: setting.update(only_generate_image=True, never_generate_image=True))
    assert problems == ['only_generate_image and never_generate_image exclude each other.']


def test_an_empty_dictionary_lacks_the_beginning():
    problems = su.find_problems({})
    assert len(problems) == 5 and all('initialize_setting' in problem for problem in problems)


#: Values no key of a deformation experiment accepts, except where FITTING says so.
NONSENSE = ['x', -1e4, 1e9, float('nan'), [], {}, [-1e4], [[-1e4, 0, 0]], ['x'] * 14, 0.5j, [None], [[2, 1]], [[1, 2]]]


@pytest.mark.parametrize('key', sorted(DEFORM_KEYS))
def test_nonsense_in_a_deformation_experiment_is_told(key):
    name = '3D_max7_D14_K'
    content = load_deform_exp_setting(name)
    content['DeformMethods'] = list(CATEGORY_PREFIXES) * 2
    assert deform_exp_problems(name, content) == []
    fitting = [[[1, 2]]] if key == 'MixedFrequency_SigmaRange' else []  # refused all the same: one value for two
    nonsense = [value for value in NONSENSE if value != {} or key != 'ScanVariety']
    for value in nonsense + [None] * (key != 'MaskToZero') + [True] * (DEFORM_KEYS[key].kind is not kinds.FLAG):
        problems = deform_exp_problems(name, dict(content, **{key: value}))
        assert len(problems) == 1 and problems[0].startswith(f'{name}: {key} '), (value, problems)
        assert 'accepted: ' in problems[0] or value in fitting
    missing = {other: content[other] for other in content if other != key}
    assert deform_exp_problems(name, missing) == []  # as settings of earlier versions


@pytest.mark.parametrize(
    'what, change', [('ScanVariety', {'ScanVariety': {'Cut': 0.5}}), ('sliding', {'DeformMethods': ['sliding']})]
)
def test_what_needs_the_lung_masks(what, change):
    setting = valid()
    setting['UseLungMask'] = False
    setting['deform_exp']['3D_max7_D14_K'].update(change)
    assert f'3D_max7_D14_K: {what} needs the lung masks, but UseLungMask is False.' in su.find_problems(setting)


def test_every_problem_of_scan_variety_is_told():
    wrong = {'Cut': 1.5, 'LungHU': [-700, -900], 'Noise': 20, 'Cutt': 0.5}
    problems = deform_exp_problems('mine', dict(load_deform_exp_setting('3D_max7_D14_K'), ScanVariety=wrong))
    assert [problem.split(' is ')[0] for problem in problems] == [f'mine: ScanVariety.{key}' for key in wrong]
    assert "'Cut'" in problems[3]


def test_nearest_names_and_list_lengths_of_a_deformation_experiment():
    name = '3D_max7_D14_K'
    content = load_deform_exp_setting(name)

    def problems(**changes):
        return deform_exp_problems(name, dict(content, **changes))

    assert "Did you mean 'single_frequency'?" in problems(DeformMethods=['zero', 'single_freq'])[0]
    assert problems(MaxDefrm=3) == [f"{name}: MaxDefrm is not a setting. Did you mean 'MaxDeform'?"]
    lists = [
        key for key in content if key.startswith(tuple(CATEGORY_PREFIXES.values())) and isinstance(content[key], list)
    ]
    assert len(lists) > 15
    methods = content['DeformMethods'] + ['translation', 'sliding'] * 2
    for key in lists:
        found = problems(DeformMethods=methods, **{key: content[key][:1]})
        assert len(found) == 1 and f'{key} has 1 values for the' in found[0]
    assert 'must not exceed' in problems(Canny_LowerThreshold=101)[0]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3) | st.floats(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


def all_kinds():
    """Every kind of the schema by a name: those with one, those of the settings and of what settings describe."""
    found = {name: value for name, value in {**vars(kinds), **vars(schema)}.items() if isinstance(value, kinds.Kind)}
    tables = [schema.KEYS.values(), schema.ENTRY, schema.NETWORK, schema.LOADED_NETWORK, DESCRIPTION]
    for key in itertools.chain(*tables, DEFORM_KEYS.values()):
        inner = key.kind if isinstance(key.kind, list) else [key]
        found.update({f'{key.name}.{one.name}': one.kind for one in inner if isinstance(one.kind, kinds.Kind)})
    return found


@settings(max_examples=150, deadline=None)
@given(value=JUNK)
@example(None)
@example(10**30)
@example(float('inf'))
@example([None])
@example({'x': []})
def test_every_kind_judges_any_json_value(value):
    for name, kind in all_kinds().items():
        problem = kind.problem(name, value)
        assert problem is None if kind.accepts(value) else problem.startswith(f'{name} '), (name, problem)


def described():
    """Settings with something in every dictionary that a user may fill."""
    setting = su.load_registration_setting(valid(), [4])
    description = {
        'types': ['scan'],
        'cases': 2,
        'folder': 'a/',
        'expPrefix': 'c',
        'ext': '.mha',
        'VoxelSize': [1, 1, 1],
    }
    description.update(addresses={'OriginalIm': 'x/{p}'}, expected_tre={'1': 3.0}, expected_tre_pair=[0, 0])
    setting.update(
        OwnDataSets={'Mine': description}, OwnImages={'Mine': {'1': ['a'], '2': [{'path': 'a', 'series': 3}]}}
    )
    network = {'NetworkLoad': 'x', 'GlobalStepLoad': 3, 'R': 'Auto', 'stage': 4}
    setting.update(network_dict={'stage4': network}, LoadedNetwork=dict(network), PadTo={'stage4': 125})
    return dict(setting, PassesBefore={'networks': {'4': 'x'}, 'stages': [4]}, Phantom={'Size': [70, 70, 70]})


def places(value, place=()):
    """The path of everything in nested dictionaries and lists."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place] * bool(place) + [path for step, one in inside for path in places(one, (*place, step))]


@settings(max_examples=150, deadline=None)
@given(place=st.sampled_from(places(described())), value=JUNK)
def test_any_value_in_any_place_gives_sentences_never_a_crash(place, value):
    setting = described()
    put(place[-1], value, *place[:-1])(setting)
    assert all(isinstance(problem, str) and problem for problem in su.find_problems(setting))


@settings(max_examples=150, deadline=None)
@given(key=st.sampled_from(sorted(schema.KEYS)), value=JUNK)
def test_any_value_anywhere_gives_sentences_never_a_crash(key, value):
    setting = valid()
    setting[key] = value
    assert all(isinstance(problem, str) and problem for problem in su.find_problems(setting))


@settings(max_examples=100, deadline=None)
@given(key=st.sampled_from([key.name for key in schema.ENTRY]), value=JUNK)
def test_any_value_in_an_entry_gives_sentences_never_a_crash(key, value):
    setting = valid()
    setting['DataExpDict'][0][key] = value
    assert all(isinstance(problem, str) and problem for problem in su.find_problems(setting))


@settings(max_examples=40, deadline=None)
@given(key=st.sampled_from(sorted(key for key in schema.KEYS if len(key) > 4)), data=st.data())
def test_a_swapped_letter_is_noticed_with_the_right_name(key, data):
    position = data.draw(st.integers(0, len(key) - 2))
    misspelt = key[:position] + key[position + 1] + key[position] + key[position + 2 :]
    if misspelt in schema.KEYS:
        return
    problems = problems_after(put(misspelt, 1))
    assert len(problems) == 1 and problems[0].startswith(f'{misspelt} is not a setting. Did you mean ')


def test_the_check_changes_nothing():
    setting = valid()
    before = copy.deepcopy(setting)
    su.check_setting(setting)
    assert setting == before


class TestWarnings:
    def test_none_for_an_ordinary_setting(self):
        setting = valid()
        setting['stage'] = 4
        setting['NetworkTraining']['NumberOfImagesPerChunk'] = 12
        assert find_warnings(setting) == []

    def test_unusual_choices_are_logged(self, caplog):
        setting = valid()
        setting.update(
            Randomness=False,
            ParallelSearching=False,
            ParallelGeneration1stEpoch=False,
            use_keras=True,
            DownSamplingByGPU=True,
        )
        with caplog.at_level(logging.WARNING):
            su.check_setting(setting)
        for text in [
            'Randomness is False.',
            'ParallelSearching is False',
            'ParallelGeneration1stEpoch is False',
            'use_keras',
            'DownSamplingByGPU',
            'Whole images at stage 1',
        ]:
            assert text in caplog.text

    def test_every_legacy_setting_warns_and_no_other(self):
        """Each key of the table, one after the other, with a value it accepts and that is not its default."""
        values = [False, True, None, 3, 'SLURM', 'Torso', 'my.txt']
        setting = su.load_registration_setting(valid(), [4])
        before = find_warnings(setting)
        assert not any('no effect' in text for text in before)
        for name in schema.LEGACY:
            key = schema.KEYS[name]
            other = [v for v in values if key.kind.accepts(v) and v != key.default]
            if other:  # PaddingForDownSampling takes its default only
                added = set(find_warnings(dict(setting, **{name: other[0]}))) - set(before)
                assert added == {f'{name} is {other[0]!r}, but this setting has no effect.'}
        for name, value in [('Reg_Affine_Mask', 'Lung'), ('Reg_Affine_Parameter', 'my.txt')]:
            assert find_warnings(dict(setting, **{name: value})) == before

    def test_legacy_keys_of_a_deformation_experiment_warn(self):
        setting = valid()
        setting['deform_exp']['3D_max7_D14_K']['DeleteStage1Images'] = False
        assert '3D_max7_D14_K: DeleteStage1Images is False, but this setting has no effect.' in find_warnings(setting)

    @pytest.mark.parametrize('chunk, warned', [(12, False), (6, False), (5, True), (11, True), (40, False)])
    def test_small_last_chunks(self, chunk, warned):
        setting = valid()  # 12 training items
        setting['NetworkTraining']['NumberOfImagesPerChunk'] = chunk
        assert any(f'the last chunk has only {12 % chunk}' in text for text in find_warnings(setting)) == warned

    def test_items_of_both_training_and_validation(self):
        setting = valid(dict(ENTRY, ValidationCNList=[2], ValidationDSmoothList=[0, 1]))
        assert '1 of 2 validation items are training items too.' in find_warnings(setting)


class TestMissingOriginals:
    @pytest.fixture(autouse=True)
    def elsewhere(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    def make(self, *addresses):
        for address in addresses:
            os.makedirs(os.path.dirname(address), exist_ok=True)
            open(address, 'w').close()

    def test_every_file_once(self):
        missing = su.missing_originals(valid())
        # cases 1 and 2 with two types, case 3 with one, the pair of case 4; an image and two masks each
        assert len(missing) == len(set(missing)) == 3 * (4 + 1 + 2)
        assert './Data/DIR-Lab/4DCT/mha/case4/Torso/case4_T50_Torso_RS1.mha' in missing

    def test_masks_that_are_not_used_are_not_wanted(self):
        setting = valid()
        setting['UseLungMask'] = False
        missing = su.missing_originals(setting)
        assert len(missing) == 14 and not any('Lung' in address for address in missing)

    def test_the_stage_does_not_matter_and_present_files_are_not_listed(self):
        setting = valid()
        setting['stage'] = 4
        missing = su.missing_originals(setting)
        assert all(address.endswith('_RS1.mha') for address in missing)
        self.make(*missing[1:])
        assert su.missing_originals(setting) == missing[:1]
        with pytest.raises(MissingFileError) as caught:
            su.require_originals(setting)
        assert str(caught.value).startswith('Original images or masks are missing (1): ' + missing[0])
        self.make(missing[0])
        su.require_originals(setting)

    def test_the_error_names_ten(self):
        with pytest.raises(FileNotFoundError, match=r'images or masks are missing \(21\).* and 11 more'):
            su.require_originals(valid())
