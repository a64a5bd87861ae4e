"""Copies a trained experiment in a form small enough to ship: weights, settings, log and curve.

    python -m functions.training.export Experiments/RegNet/my_experiment Experiments/RegNet/shipped [--step Best]
    [--resumable]

The new folder works with ``--register --model``. With ``--resumable`` the checkpoint keeps the optimiser's slots and
the sampler's position, so that training can continue from it.
"""

import argparse
import glob
import os
import shutil
import sys

from ..image.claim import claim_folder
from ..image.file_check import files_below, require_apart
from ..network.builder import build
from ..network.description import network_description
from ..setting import console
from ..setting import setting_utils as su
from ..setting.atomic import disk_errors, publish, write_json
from ..setting.errors import InputError, MissingFileError
from ..setting.experiment_files import SETTINGS_CHECKSUM, settings_number
from ..setting.text_files import checksum_of, read_record, read_text
from ..setting.trained_models import restoring
from ..tf_utils.backend import tf
from ..tf_utils.normalisation import normalisation
from ..tf_utils.sessions import open_session
from ..tf_utils.weights import restore
from .checkpoints import Checkpoints

#: Settings that describe the machine that trained.
_OF_THE_MACHINE = ('RootFolder', 'DataFolder', 'log_root_folder')
_LOGS = ('log.jsonl', os.path.join('Plots', 'training_curve.png'))


def export(source, target, step='Last', resumable=False):
    """Copy the essential files of an experiment to another folder.

    :param target: new folder; files of an earlier export are replaced, others kept.
    :param step: 'Last', 'Best' or a number.
    :param resumable: keep the whole checkpoint, not only the weights.
    :return: path prefix of the checkpoint written.
    :raises MissingFileError, InputError: there is no such experiment or checkpoint, both folders are the same, or the
        target was trained itself.
    """
    if not os.path.isdir(source):
        raise MissingFileError(f'The experiment {source} does not exist.')
    if os.path.exists(target) and os.path.samefile(source, target):
        raise InputError(f'{source} cannot be exported onto itself; give another folder.')
    setting, experiment = su.address_of_folder(source)
    checkpoints = Checkpoints(setting, experiment=experiment)
    prefix = checkpoints.path(step)
    step = int(prefix.rpartition('-')[2])
    number = settings_number(setting, experiment)
    content = su.read_setting(setting, experiment, number)
    here = su.address_generator(setting, 'ModelFolder', current_experiment=experiment)
    target_setting, target_experiment = su.address_of_folder(target)
    there = su.address_generator(target_setting, 'ModelFolder', current_experiment=target_experiment)
    require_apart(files_below(there), files_below(here))
    for path in glob.glob(glob.escape(there) + 'about*.json'):
        if 'data' in read_record(path, {}):
            raise InputError(f'{target} was trained itself, and its checkpoints would be removed; give another folder.')
    written = Checkpoints(target_setting, experiment=target_experiment)
    about = read_record(f'{here}about{number}.json', {}) if os.path.isfile(f'{here}about{number}.json') else None
    with claim_folder(there):
        _write(content, about, checkpoints, step, written, here, there, resumable)
    return written.path(step)


def _write(content, about, checkpoints, step, written, here, there, resumable):
    """Write what is to be kept of a checkpoint; its record, without which it does not count, comes last."""
    written.retire()
    written.sweep()
    os.makedirs(os.path.dirname(written.prefix), exist_ok=True)
    if resumable:
        for path in checkpoints.files(step):
            _copy(path, os.path.join(os.path.dirname(written.prefix), os.path.basename(path)))
    else:
        _save_weights(content, checkpoints.path(step), f'{written.prefix}-{step}')
    for name in ('setting', 'about'):
        for path in glob.glob(glob.escape(there + name) + '*'):
            os.remove(path)
    su.write_setting({k: v for k, v in content.items() if k not in _OF_THE_MACHINE}, there + 'setting0.txt')
    if about is not None:
        # The items follow from the settings.
        kept = {key: value for key, value in about.items() if key != 'data'}
        kept[SETTINGS_CHECKSUM] = checksum_of(read_text(there + 'setting0.txt'))
        write_json(there + 'about0.json', kept)
    for name in _LOGS:
        if os.path.isfile(here + name):
            _copy(here + name, there + name)
    written.record(step, checkpoints.state(step))


def _copy(source, target):
    with publish(target) as temporary:
        shutil.copyfile(source, temporary)


def _save_weights(setting, source, target):
    """Save the variables of the network only, under their names."""
    description = network_description(setting['NetworkDesign'])
    graph = tf.Graph()
    with graph.as_default():
        images = tf.placeholder(tf.float32, [1, None, None, None, description.input_channels])
        build(description, images, False, normalise=normalisation(setting.get('normalization')))
        saver = tf.train.Saver(tf.global_variables())
    with open_session(graph, 1) as session:
        with restoring(source):
            restore(session, saver, source)
        with disk_errors(target):
            saver.save(session, target, write_meta_graph=False, write_state=False)


def main(words=None):
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('source', metavar='EXPERIMENT')
    parser.add_argument('target', metavar='FOLDER')
    parser.add_argument('--step', default='Last', help="'Last', 'Best' or a number")
    parser.add_argument('--resumable', action='store_true', help='keep what the training needs to go on')
    arguments = parser.parse_args(words)

    def work():
        print(f'Written: {export(arguments.source, arguments.target, arguments.step, arguments.resumable)}')

    return console.by_one_sentence(work)


if __name__ == '__main__':
    sys.exit(main())
