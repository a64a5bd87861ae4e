"""Settings that cannot be used: refused early, all problems at once, or they run to the end; names stay in place."""

import copy
import json
import os

import pytest
from small_inputs import tree

import functions.setting.setting_utils as su
from functions.setting.errors import RegNetError

NAMES = 'names in settings that would leave their folder'
BAD_NAMES = ['../up', '..', '.', '', 'a/b', '/etc', 'a\\b', 'nul\0', 'line\nfeed', '\ud800', 'x' * 300, 'ä' * 150, '.x']


def own(**description):
    """Settings of an own data set of two cases that trains on the fly."""
    entry = {'data': 'Mine', 'deform_exp': '3D_max7_D14_K', 'TrainingDeformedImExt': ['Clean']}
    entry.update(TrainingCNList=[1, 2], TrainingTypeImList=[0], TrainingDSmoothList=[0])
    return {'OwnDataSets': {'Mine': dict({'types': ['scan'], 'cases': 2}, **description)}, 'DataExpDict': [entry]}


def named(place, name):
    """Changes of settings that have ``name`` at a place that becomes a part of a path."""
    if place == 'data set':
        return {'OwnDataSets': {name: {'types': ['scan']}}}
    if place in ('types', 'expPrefix', 'ext'):
        return own(**{place: [name] if place == 'types' else name})
    if place == 'deform_exp':
        return {'deform_exp': {name: {}}, 'DataExpDict': [dict(own()['DataExpDict'][0], deform_exp=name)]}
    return {place: [name] if place == 'SPREAD_Patients' else name}


PLACES = ['data set', 'types', 'expPrefix', 'ext', 'deform_exp', 'SPREAD_Patients', 'current_experiment', 'BaseReg']
PLACES += ['Reg_BSpline_Folder', 'Reg_Affine_Parameter']


@pytest.mark.parametrize('place', PLACES)
def test_a_name_is_a_name(place, faults):
    setting = su.load_registration_setting(su.initialize_setting('Mine', 'Root'), [4])
    for name in BAD_NAMES:
        good_part = place == 'current_experiment' and name == 'a/b'
        if (place == 'expPrefix' and not name) or good_part:
            continue  # Sub/Name, and no prefix
        changed = dict(copy.deepcopy(setting), **named(place, name))
        with faults(NAMES):
            assert su.find_problems(changed), name


@pytest.mark.parametrize('folder', ['../elsewhere', '{data_root}../up', 'nul\0', 'x' * 300])
def test_folders_of_own_data_sets_do_not_climb(folder, faults):
    setting = su.initialize_setting('Mine', 'Root')
    for description in ({'folder': folder}, {'addresses': {'OriginalIm': folder + '/{p}{ext}'}}):
        with faults(NAMES):
            assert su.find_problems(dict(setting, **own(**description)))


@pytest.mark.parametrize('name', ['../../up', '..', 'a\\b', 'nul\0'])
def test_addresses_refuse_what_was_not_checked(name, faults):
    setting = su.initialize_setting('Mine', 'Root')
    setting['deform_exp'] = {name: copy.deepcopy(su.load_setting_from_data_dict(setting, own()['DataExpDict'][:0]))}
    for request, arguments in [
        ('DFolder', {'deform_exp': name}),
        (
            'BaseRegFolder',
            {'base_reg': name, 'pair_info': [{'data': 'SPREAD', 'cn': 1, 'type_im': 0, 'spacing': 'RS1'}] * 2},
        ),
        ('log_folder', {'current_experiment': name}),
        (
            'DVFBSpline',
            {'bspline_folder': name, 'pair_info': [{'data': name, 'cn': 1, 'type_im': 0, 'spacing': 'RS1'}] * 2},
        ),
    ]:
        with faults(NAMES), pytest.raises(RegNetError):
            su.address_generator(setting, request, **arguments)


def test_the_command_writes_nothing_outside(tmp_path, server, faults, monkeypatch):
    changes = dict(own(types=['../../outside'], expPrefix='../'), current_experiment='../../outside')
    (tmp_path / 'root').mkdir()
    (tmp_path / 'settings.json').write_text(json.dumps(changes))
    before = tree(tmp_path)
    with faults(NAMES):
        words = ['-w', 'Root', '--setting', str(tmp_path / 'settings.json')]
        command = server.start(words, cwd=str(tmp_path / 'root'))
        assert command.wait() == 2 and 'Traceback' not in command.printed()
        assert 'current_experiment' in command.printed() and 'types is' in command.printed()
        assert tree(tmp_path) == before, os.listdir(str(tmp_path))
