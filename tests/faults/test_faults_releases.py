"""Experiments of every earlier version load and register: ``releases/`` holds the settings that each of them wrote.

``releases/first/`` is a training: three steps of :data:`SLIM` by the first version that trained (commit 95e850d) under
TensorFlow 1.15, with ``tests/training``'s items; ``field.npy`` is what that version predicted for :func:`waves`.
"""

import glob
import json
import os
import shutil

import numpy as np
import pytest
import small_training
from model_folders import add_checkpoint
from small_inputs import REPOSITORY, register_words
from training_fakes import losses, run

import functions.setting.setting_utils as su
from functions.network.description import NETWORKS, NetworkDescription
from functions.network.layer_kinds import INPUT, NetworkTable, concat, conv, pool, up
from functions.registration.trained_network import TrainedNetwork
from functions.setting.artificial_generation_setting import DEFORM_KEYS, get_deform_exp
from functions.setting.trained_models import checkpoint_path

ROW = 'experiments of earlier versions'
HERE = os.path.dirname(os.path.abspath(__file__))
RELEASES = sorted(glob.glob(os.path.join(HERE, 'releases', '*.json')))
RELEASES += sorted(glob.glob(os.path.join(REPOSITORY, 'Experiments', 'RegNet', '*', 'train', 'Model', 'setting0.txt')))


SLIM = NetworkDescription(
    'slim',
    NetworkTable(
        radius_train=(10, 10),
        layers=(
            conv('R1/first', INPUT, 4, padding='same'),
            pool('R2/pool', 'R1/first'),
            conv('R2/second', 'R2/pool', 4, padding='same'),
            up('Up/up', 'R2/second'),
            concat('Up/concat', 'Up/up', 'R1/first'),
            conv('DVF/DVF_RegNet', 'Up/concat', 3, kernel=1, activation=None, normalise=False),
        ),
    ),
)


def waves(shift_y, shift_x):
    z, y, x = np.mgrid[:11, :11, :11]
    return 300.0 * np.sin(z + 0.5 * y + shift_y) * np.cos(0.3 * x + shift_x) - 500.0


def test_a_training_of_the_first_version_predicts_the_same_and_goes_on(tmp_path, monkeypatch, faults):
    monkeypatch.setitem(NETWORKS, 'slim', SLIM)
    setting = dict(small_training.settings(tmp_path, 'old'), NetworkDesign='slim')
    first = os.path.join(HERE, 'releases', 'first')
    shutil.copytree(first, su.address_generator(setting, 'ModelFolder'))
    with faults(ROW):
        written = su.read_setting(setting, 'old')
        with TrainedNetwork(checkpoint_path(setting), written, threads=1) as network:
            found = network.predict(waves(0.0, 0.0), waves(0.4, 0.2))
        np.testing.assert_allclose(found, np.load(os.path.join(first, 'field.npy')), atol=2e-5)
    with faults(ROW):
        assert run(setting, 5).iteration == 5
        assert sorted(losses(setting)) == [1, 2, 3, 4, 5]


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
