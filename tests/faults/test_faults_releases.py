"""Experiments of every earlier version load and register: ``releases/`` holds the settings that each of them wrote."""

import glob
import json
import os

import pytest
from model_folders import add_checkpoint
from small_inputs import REPOSITORY, register_words

import functions.setting.setting_utils as su
from functions.setting.artificial_generation_setting import DEFORM_KEYS, get_deform_exp

ROW = 'experiments of earlier versions'
HERE = os.path.dirname(os.path.abspath(__file__))
RELEASES = sorted(glob.glob(os.path.join(HERE, 'releases', '*.json')))
RELEASES += sorted(glob.glob(os.path.join(REPOSITORY, 'Experiments', 'RegNet', '*', 'train', 'Model', 'setting0.txt')))


def read(path):
    with open(path, encoding='utf-8') as stream:
        return json.load(stream)


@pytest.mark.parametrize('path', RELEASES, ids=lambda path: path[len(REPOSITORY) + 1 :])
def test_settings_pass_the_check_and_are_complete(path, faults):
    setting = dict(read(path), OwnImages={}, **su.root_address_generator('Root'))
    for key in ('network_dict', 'LoadedNetwork'):
        setting.pop(key, None)  # images and other networks need not be here
    with faults(ROW):
        assert su.find_problems(setting) == []
        for name in setting['deform_exp']:
            assert set(get_deform_exp(setting, name)) == set(DEFORM_KEYS)


@pytest.mark.parametrize('record', ['recorded', 'published'])
@pytest.mark.parametrize('path', RELEASES[:4], ids=os.path.basename)
def test_they_register(path, record, tmp_path, server, inputs, faults, is_long):
    if record == 'published' and path != RELEASES[0] and not is_long:
        pytest.skip('one of them without a record; all with --faults-long')
    place = {'log_root_folder': f'{tmp_path}/', 'current_experiment': 'RegNet/old'}
    su.write_setting(read(path), su.address_generator(place, 'ModelFolder') + 'setting0.txt')
    prefix = add_checkpoint(place, 7)
    if record == 'published':
        # Checkpoints of the published code have a graph and no record.
        os.remove(prefix + '.json')
        open(prefix + '.meta', 'w').close()
    with faults(ROW):
        words = register_words(inputs, tmp_path / 'out')
        words[words.index('--model') + 1] = str(tmp_path / 'RegNet' / 'old')
        command = server.start(words)
        assert command.wait() == 0, command.printed()
        assert (tmp_path / 'out' / 'results.json').is_file()
