"""The list of a person's own images: everything wrong with it is told before anything is prepared."""

import copy
import json

import pytest

import functions.setting.setting_utils as su
from functions.preprocessing import own_images as own_images_module
from functions.preprocessing.own_images import MARGIN, prepare_own_images
from functions.setting.errors import InputError, MissingFileError, UnknownNameError


@pytest.fixture
def prepared(monkeypatch):
    """What was asked to be prepared: (path, data set, case, type, margin)."""
    calls = []
    monkeypatch.setattr(
        own_images_module,
        'prepare_image',
        lambda path, setting, data, cn, type_im, series, margin: calls.append(
            (path, data, cn, type_im, margin) + ((series,) if series else ())
        ),
    )
    return calls


@pytest.fixture
def setting(tmp_path, monkeypatch):
    """Two cases of two types; the second case lacks the first one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'scan.nii.gz').write_bytes(b'')
    (tmp_path / 'series').mkdir()
    setting = su.initialize_setting('own', 'Root')
    setting['OwnDataSets'] = {'MyCT': {'types': ['Fixed', 'Moving'], 'cases': 2}}
    setting['OwnImages'] = {'MyCT': {'1': ['scan.nii.gz', 'series'], '2': [None, '~/scan.nii.gz']}}
    return setting


def test_every_image_once(setting, prepared, tmp_path):
    assert su.find_problems(setting) == []
    prepare_own_images(setting)
    assert sorted(prepared) == sorted(
        [
            ('scan.nii.gz', 'MyCT', 1, 0, MARGIN),
            ('series', 'MyCT', 1, 1, MARGIN),
            (str(tmp_path / 'scan.nii.gz'), 'MyCT', 2, 1, MARGIN),
        ]
    )


def test_nothing_listed_is_nothing_to_do(prepared):
    assert prepare_own_images(su.initialize_setting('own', 'Root')) == prepared == []


@pytest.mark.parametrize(
    'own_images, error, text',
    [
        ({'MyTC': {}}, UnknownNameError, "OwnImages: 'MyTC' is not a known data set. Did you mean 'MyCT'"),
        ({'MyCT': ['scan.nii.gz']}, InputError, "OwnImages['MyCT'] is ['scan.nii.gz']; accepted: a dictionary"),
        ({'MyCT': {'3': ['scan.nii.gz', None]}}, InputError, "OwnImages['MyCT'] has the case '3'; MyCT has 1, 2."),
        ({'MyCT': {'one': ['scan.nii.gz', None]}}, InputError, "has the case 'one'; MyCT has 1, 2."),
        ({'MyCT': {'01': ['scan.nii.gz', None]}}, InputError, "has the case '01'; MyCT has 1, 2."),
        ({'MyCT': {'²': ['scan.nii.gz', None]}}, InputError, 'MyCT has 1, 2.'),
        (
            {'MyCT': {'1': ['scan.nii.gz']}},
            InputError,
            "OwnImages['MyCT']['1'] is ['scan.nii.gz']; accepted: a "
            'list of 2, one path for each type (Fixed, Moving), None where the case lacks it.',
        ),
        ({'MyCT': {'1': ['series', 'series', 'series']}}, InputError, 'accepted: a list of 2'),
        ({'MyCT': {'1': 'scan.nii.gz'}}, InputError, "['1'] is 'scan.nii.gz'; accepted: a list of 2"),
        ({'MyCT': {'1': ['scan.nii.gz', 7]}}, InputError, "['1'] has 7 for the type Moving; accepted: the path"),
        ({'MyCT': {'1': ['', None]}}, InputError, "['1'] has '' for the type Fixed"),
        (
            {'MyCT': {'1': ['scan.nii.gz', 'gone.mha']}},
            MissingFileError,
            "OwnImages['MyCT']['1']: gone.mha does not exist.",
        ),
    ],
)
def test_what_cannot_be_prepared_is_told_first(setting, prepared, own_images, error, text):
    # the images of another data set come first and are fine
    good = {'Other': {'1': ['scan.nii.gz']}}
    setting['OwnDataSets']['Other'] = {'types': ['scan']}
    setting['OwnImages'] = dict(good, **own_images)
    with pytest.raises(error) as caught:
        prepare_own_images(setting)
    assert text in str(caught.value) and '\n' not in str(caught.value)
    assert prepared == []
    assert su.find_problems(setting) == [str(caught.value)]


def test_the_list_itself(setting, prepared):
    setting['OwnImages'] = ['scan.nii.gz']
    with pytest.raises(InputError, match='OwnImages is .*; accepted: a dictionary'):
        prepare_own_images(setting)
    assert su.find_problems(setting) == ["OwnImages is ['scan.nii.gz']; accepted: a dictionary."]


def test_the_check_lists_them_with_everything_else(setting):
    setting['OwnImages']['MyCT'].update({'1': ['gone.mha', 'lost'], '2': [3, None], '9': [None, None]})
    setting['Dim'] = 2
    assert len(su.find_problems(setting)) == 5
    # a process that takes what others prepare needs no files, but a list that makes sense
    setting['never_generate_image'] = True
    problems = su.find_problems(setting)
    assert len(problems) == 3 and not any('does not exist' in problem for problem in problems)


def test_a_series_of_a_folder_is_named_in_its_place(setting, prepared):
    entry = {'path': 'series', 'series': 3}
    setting['OwnImages'] = {'MyCT': {'1': ['scan.nii.gz', entry]}}
    assert su.find_problems(setting) == []
    prepare_own_images(setting)
    assert prepared[1] == ('series', 'MyCT', 1, 1, MARGIN, 3)
    for wrong in ({'path': 'series'}, dict(entry, path=3), dict(entry, series=[3])):
        setting['OwnImages'] = {'MyCT': {'1': [None, wrong]}}
        with pytest.raises(InputError, match="for the type Moving; accepted: .*'series': UID or number"):
            prepare_own_images(setting)


def test_case_numbers_of_a_script_may_be_numbers(setting, prepared):
    setting['OwnImages'] = {'MyCT': {2: ['scan.nii.gz', None]}}
    prepare_own_images(setting)
    assert prepared == [('scan.nii.gz', 'MyCT', 2, 0, MARGIN)]
    with pytest.raises(InputError, match='has the case True'):
        prepare_own_images(dict(setting, OwnImages={'MyCT': {True: ['scan.nii.gz', None]}}))


def test_a_description_that_cannot_be_used(setting, prepared):
    setting['OwnDataSets']['MyCT'] = {'types': []}
    before = copy.deepcopy(setting)
    with pytest.raises(InputError, match=r'types is \[\]; accepted: a list'):
        prepare_own_images(setting)
    assert len(su.find_problems(setting)) == 1 and json.dumps(setting) == json.dumps(before)
