"""Folders of experiments with seeded weights, for the tests of this folder."""

import atexit
import functools
import glob
import os
import shutil
import tempfile

from oracle import SETTING

from functions.setting import setting_utils as su
from functions.setting.atomic import write_json
from functions.setting.checkpoint_records import RECORD_FORMAT, describe_file
from tests.network.seeded_weights import SeededNetwork


@functools.lru_cache(None)
def seeded_weights():
    """Path prefix of a checkpoint of unet1, saved once for the process."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with SeededNetwork('unet1') as network:
        network.save(os.path.join(folder, 'net.ckpt'))
    return os.path.join(folder, 'net.ckpt')


def make_model(root, name='tiny', stage=4, step=7, leave_out=(), **changes):
    """Folder of an experiment below ``root``: settings, and a checkpoint of unet1 with its record.

    :param step: None: no weights.
    :param leave_out: settings that are missing.
    """
    setting = {'log_root_folder': str(root) + '/', 'current_experiment': 'RegNet/' + name}
    content = {key: value for key, value in dict(SETTING, stage=stage, **changes).items() if key not in leave_out}
    su.write_setting(content, su.address_generator(setting, 'ModelFolder') + 'setting0.txt')
    if step is not None:
        add_checkpoint(setting, step)
    return os.path.join(str(root), 'RegNet', name)


def add_checkpoint(setting, step):
    """A checkpoint and its record; returns TensorFlow's prefix."""
    prefix = su.address_generator(setting, 'saved_model_with_step', step=str(step))
    os.makedirs(os.path.dirname(prefix), exist_ok=True)
    weights = seeded_weights()
    for path in glob.glob(weights + '.*'):
        shutil.copy(path, prefix + path[len(weights) :])
    files = {os.path.basename(path): describe_file(path) for path in glob.glob(prefix + '.*')}
    record = {'format': RECORD_FORMAT, 'step': step, 'files': files, 'state': {}}
    write_json(su.address_generator(setting, 'saved_state_with_step', step=str(step)), record)
    return prefix
