"""Lists of items: order, content, pairs, permutations."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functions.setting.setting_utils as su
from functions.setting.errors import InputError

ENTRY = {
    'data': 'SPREAD',
    'deform_exp': '3D_max7_D14_K',
    'TrainingCNList': [3, 1],
    'TrainingTypeImList': [1, 0],
    'TrainingDSmoothList': [4, 20],
    'TrainingDeformedImExt': ['Clean', 'Noise'],
    'TrainingSpacing': 'RS1',
    'ValidationCNList': [11],
    'ValidationTypeImList': [0],
    'ValidationDSmoothList': list(range(14)),
    'TestingCNList': [2, 4],
    'TestingPairList': [[0, 1], [1, 0]],
    'TestingSpacing': 'Raw',
}


def load(entries, **more):
    setting = su.load_setting_from_data_dict(su.initialize_setting('a', 'Root'), entries)
    setting.update(more)
    return setting


def test_one_item_in_full():
    assert su.get_im_info_list_from_train_mode(load([ENTRY], stage=2, PadTo={'stage2': None}), 'Training')[1] == {
        'data': 'SPREAD',
        'type_im': 1,
        'cn': 3,
        'deform_exp': '3D_max7_D14_K',
        'dsmooth': 20,
        'deform_method': 'single_frequency',
        'deform_number': 2,
        'deformed_im_ext': ['Clean', 'Noise'],
        'stage': 2,
        'padto': None,
        'spacing': 'RS1',
    }


def test_the_stage_given_goes_before_the_settings():
    items = su.get_im_info_list_from_train_mode(load([ENTRY], PadTo={'stage4': 125}), 'Training', stage=4)
    assert {(item['stage'], item['padto']) for item in items} == {(4, 125)}
    assert all(
        'padto' not in item
        for item in su.get_im_info_list_from_train_mode(load([ENTRY], PadTo={'stage4': 125}), 'Training')
    )


LISTS = st.lists(st.integers(1, 20), min_size=1, max_size=3, unique=True)


@settings(max_examples=30, deadline=None)
@given(
    cases=st.lists(LISTS, min_size=1, max_size=2),
    types=st.permutations([0, 1]),
    numbers=st.lists(st.integers(0, 40), min_size=1, max_size=3, unique=True),
)
def test_order_is_entries_cases_types_deformations(cases, types, numbers):
    entries = [dict(ENTRY, TrainingCNList=cns, TrainingTypeImList=types, TrainingDSmoothList=numbers) for cns in cases]
    items = su.get_im_info_list_from_train_mode(load(entries), 'Training')
    assert [(item['cn'], item['type_im'], item['dsmooth']) for item in items] == [
        triple for cns in cases for triple in itertools.product(cns, types, numbers)
    ]


def test_entries_without_the_mode_are_passed_over():
    other = {
        'data': 'DIR-Lab_4D',
        'deform_exp': '3D_max7_D14_K',
        'ValidationCNList': [1],
        'ValidationTypeImList': [0],
        'ValidationDSmoothList': [0],
    }
    setting = load([other, ENTRY])
    assert {item['data'] for item in su.get_im_info_list_from_train_mode(setting, 'Training')} == {'SPREAD'}
    assert {item['data'] for item in su.get_im_info_list_from_train_mode(setting, 'Validation')} == {
        'SPREAD',
        'DIR-Lab_4D',
    }


def test_real_pairs():
    pairs = su.get_im_info_list_from_train_mode(load([ENTRY]), 'Testing', load_mode='Pair', read_pair_mode='real')
    assert pairs == [
        [
            {'data': 'SPREAD', 'type_im': a, 'cn': cn, 'spacing': 'Raw'},
            {'data': 'SPREAD', 'type_im': b, 'cn': cn, 'spacing': 'Raw'},
        ]
        for cn in (2, 4)
        for a, b in ([0, 1], [1, 0])
    ]


def test_real_pairs_are_isotropic_unless_said():
    entry = {'data': 'DIR-Lab_4D', 'TestingCNList': [1], 'TestingPairList': [[0, 5]]}
    (pair,) = su.get_im_info_list_from_train_mode(load([entry]), 'Testing', load_mode='Pair')
    assert [(image['spacing'], image['type_im']) for image in pair] == [('RS1', 0), ('RS1', 5)]


def test_synthetic_pairs_are_two_equal_copies():
    setting = load([ENTRY])
    single = su.get_im_info_list_from_train_mode(setting, 'Training')
    pairs = su.get_im_info_list_from_train_mode(setting, 'Training', load_mode='Pair', read_pair_mode='synthetic')
    assert pairs == [[item, item] for item in single]
    assert all(first is not second for first, second in pairs)


def test_items_share_nothing():
    setting = load([ENTRY])
    first = su.get_im_info_list_from_train_mode(setting, 'Training')
    first[0]['deformed_im_ext'].append('Sponge')
    assert first[1]['deformed_im_ext'] == ['Clean', 'Noise']
    assert su.get_im_info_list_from_train_mode(setting, 'Training')[0]['deformed_im_ext'] == ['Clean', 'Noise']


@pytest.mark.parametrize(
    'arguments, text',
    [
        ({'train_mode': 'Train'}, "'Training', 'Validation', 'Testing'"),
        ({'load_mode': 'Triple'}, "'Single', 'Pair'"),
        ({'load_mode': 'Pair', 'read_pair_mode': 'unreal'}, "'real', 'synthetic'"),
        ({'train_mode': 'Testing'}, 'TestingTypeImList'),
        ({'load_mode': 'Pair'}, 'TrainingPairList'),
    ],
)
def test_wrong_modes_are_value_errors(arguments, text):
    with pytest.raises(ValueError, match=text):
        su.get_im_info_list_from_train_mode(load([ENTRY]), **dict({'train_mode': 'Training'}, **arguments))


def test_a_missing_experiment_is_named():
    entry = {key: value for key, value in ENTRY.items() if key != 'deform_exp'}
    with pytest.raises(InputError, match='deform_exp'):
        su.get_im_info_list_from_train_mode(load([entry]), 'Training')


def test_no_data():
    with pytest.raises(InputError, match='load_setting_from_data_dict'):
        su.get_im_info_list_from_train_mode(su.initialize_setting('a', 'Root'), 'Training')


class TestRandomList:
    def dsmooths(self, mode, **more):
        items = su.get_random_im_info_list(load([ENTRY]), mode, load_mode='Single', **more)
        return [(item['cn'], item['dsmooth']) for item in items]

    def test_training_is_a_fixed_permutation(self):
        plain = [
            (item['cn'], item['dsmooth']) for item in su.get_im_info_list_from_train_mode(load([ENTRY]), 'Training')
        ]
        assert self.dsmooths('Training') == self.dsmooths('Training')
        assert sorted(self.dsmooths('Training')) == sorted(plain) and self.dsmooths('Training') != plain

    def test_validation_keeps_one_chunk(self):
        assert len(self.dsmooths('Validation')) == 10
        assert set(self.dsmooths('Validation')) < {(11, number) for number in range(14)}

    def test_both_and_reversed(self):
        both = self.dsmooths('Training') + self.dsmooths('Validation')
        assert self.dsmooths('Training+Validation') == both
        assert self.dsmooths('Training+Validation', reverse_order=True) == both[::-1]

    def test_testing_keeps_its_order(self):
        pairs = su.get_random_im_info_list(load([ENTRY]), 'Testing')
        assert pairs == su.get_im_info_list_from_train_mode(load([ENTRY]), 'Testing', load_mode='Pair')
