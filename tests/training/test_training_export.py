"""What is shipped of an experiment predicts the same, is small, and says nothing of the machine; a resumable
export goes on exactly."""

import json
import os

import numpy as np
import pytest
from training_fakes import losses, run

from functions.registration.trained_network import TrainedNetwork
from functions.setting import setting_utils as su
from functions.setting.checkpoint_records import record_problem
from functions.setting.errors import InputError, MissingFileError
from functions.setting.trained_models import read_model_setting
from functions.training.checkpoints import Checkpoints
from functions.training.export import export, main


def folder_of(setting):
    return os.path.dirname(os.path.dirname(os.path.dirname(su.address_generator(setting, 'ModelFolder') + 'x')))


def prediction(prefix, content):
    images = np.random.RandomState(0).normal(-600, 200, (2, 21, 21, 21)).astype(np.float32)
    with TrainedNetwork(prefix, content, 1) as network:
        return network.predict(images[0], images[1])


def everything(folder):
    """Name -> bytes of all files."""
    found = {}
    for where, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(where, name), 'rb') as stream:
                found[os.path.relpath(os.path.join(where, name), folder)] = stream.read()
    return found


def test_the_weights_alone_predict_the_same(setting, tmp_path):
    step = run(setting, 4).step
    source, target = folder_of(setting), str(tmp_path / 'out' / 'RegNet' / 'shipped')
    prefix = export(source, target)
    files = everything(target)
    weights = sum(len(content) for name, content in files.items() if '.data-' in name)
    before = os.path.getsize(Checkpoints(setting).path(step) + '.data-00000-of-00001')
    # Adam keeps two slots for every weight.
    assert weights < 0.5 * before
    assert record_problem(prefix + '.json') is None
    there = read_model_setting(*su.address_of_folder(target))
    np.testing.assert_array_equal(prediction(prefix, there), prediction(Checkpoints(setting).path(step), setting))
    assert {'log.jsonl', 'setting0.txt', 'about0.json'} <= {os.path.basename(name) for name in files}
    assert all(str(tmp_path).encode() not in content for content in files.values())
    # Again, over what is there.
    assert export(source, target) == prefix and sorted(everything(target)) == sorted(files)


def test_a_resumable_export_goes_on_as_if_nothing_had_happened(setting, tmp_path):
    run(setting, 4)
    source, target = folder_of(setting), str(tmp_path / 'elsewhere' / 'RegNet' / 'test')
    export(source, target, resumable=True)
    run(setting, 8)
    undisturbed = losses(setting)
    moved = dict(setting, log_root_folder=str(tmp_path / 'elsewhere') + '/', current_experiment='RegNet/test')
    run(moved, 8)
    assert losses(moved) == pytest.approx(undisturbed, rel=1e-4)
    assert sorted(losses(moved)) == sorted(undisturbed)


def test_what_cannot_be_exported_is_one_line(setting, tmp_path, capsys):
    with pytest.raises(MissingFileError, match='does not exist'):
        export(str(tmp_path / 'nothing'), str(tmp_path / 'out'))
    run(setting, 4)
    with pytest.raises(InputError, match='onto itself'):
        export(folder_of(setting), folder_of(setting))
    with pytest.raises(InputError, match='no checkpoint of step 12345'):
        export(folder_of(setting), str(tmp_path / 'out'), '12345')
    assert main([str(tmp_path / 'nothing'), str(tmp_path / 'out')]) == 2
    assert 'does not exist' in capsys.readouterr().err
    assert main([folder_of(setting), str(tmp_path / 'out'), '--step', 'Best']) == 0
    with open(str(tmp_path / 'out' / 'train' / 'Model' / 'setting0.txt')) as stream:
        assert 'RootFolder' not in json.load(stream)
