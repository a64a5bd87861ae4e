"""What an experiment's folder says about itself."""

import json
import os
import subprocess
import sys

import numpy as np
import SimpleITK

import functions
from functions.reading.image_items import item_name
from functions.setting import setting_utils as su
from functions.setting.code_version import code_version
from functions.setting.text_files import read_json
from functions.tf_utils.backend import tf
from functions.training.run_record import write_run_record


def test_settings_code_packages_command_and_data(setting, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['RunRegNet3D.py', '--stage', '4'])
    folder = su.address_generator(setting, 'ModelFolder')
    assert write_run_record(setting) == folder + 'about0.json'
    assert write_run_record(setting, goes_on_from=30) == folder + 'about1.json'
    about = read_json(folder + 'about1.json')
    assert read_json(folder + about['settings'])['stage'] == setting['stage']
    assert about['settings'] == 'setting1.txt' and about['goes_on_from'] == 30
    assert about['command_line'] == ['RunRegNet3D.py', '--stage', '4']
    assert about['packages']['numpy'] == np.__version__
    assert about['packages']['SimpleITK'] == SimpleITK.__version__
    assert about['packages']['tensorflow'] == tf.__version__
    assert about['python'] == '.'.join(str(number) for number in sys.version_info[:3])
    items = su.get_im_info_list_from_train_mode(setting, 'Training')
    assert about['data']['Training'] == [item_name(item) for item in items] and len(items) == 6
    assert len(about['data']['Validation']) == 2
    json.dumps(about)


def git(folder, *words):
    environment = dict(
        os.environ, GIT_AUTHOR_NAME='a', GIT_AUTHOR_EMAIL='a', GIT_COMMITTER_NAME='a', GIT_COMMITTER_EMAIL='a'
    )
    return subprocess.check_output(('git', '-C', folder) + words, env=environment).decode().strip()


def test_version_of_code_with_and_without_git(tmp_path):
    folder = str(tmp_path / 'code')
    os.makedirs(folder + '/functions')
    with open(folder + '/functions/a.py', 'w') as stream:
        stream.write('A = 1\n')
    without = code_version(folder + '/functions')
    assert (without['commit'], without['changed']) == (None, None) and len(without['checksum']) == 32
    git(folder, 'init', '-q')
    git(folder, 'add', '.')
    git(folder, 'commit', '-q', '-m', 'first')
    assert code_version(folder + '/functions') == {
        'version': functions.__version__,
        'commit': git(folder, 'rev-parse', 'HEAD'),
        'changed': False,
        'checksum': without['checksum'],
    }
    with open(folder + '/functions/a.py', 'w') as stream:
        stream.write('A = 2\n')
    changed = code_version(folder + '/functions')
    assert changed['changed'] is True and changed['checksum'] != without['checksum']
