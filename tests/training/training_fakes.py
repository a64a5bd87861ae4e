"""Tiny training items that need no file, and what a training on them leaves."""

import contextlib
import json
import os
from unittest import mock

import numpy as np
from scipy import ndimage

import functions.setting.setting_utils as su
from functions.artificial_generation.training_item import Item
from functions.network.description import network_description
from functions.setting.atomic import write_text
from functions.setting.seeds import random_state
from functions.setting.text_files import read_json_lines
from functions.tf_utils.backend import tf
from functions.training import trainer, training_log
from functions.training.graph import TrainingGraph
from functions.training.trainer import train

#: (settings, their network) -> training graph. Building one takes longer than the steps.
_GRAPHS = {}


def smooth_noise(random, shape, sigma):
    volume = ndimage.gaussian_filter(random.standard_normal(shape), sigma)
    return volume / np.abs(volume).max()


def make_item(setting, im_info, write=None):
    """A textured cube and the same cube pulled along x by a constant that differs from item to item."""
    del setting, write
    random = random_state('training test', im_info['cn'], im_info['dsmooth'])
    shape = (24, 26, 25)
    image = 500.0 * smooth_noise(random, shape, 1.5) - 500.0
    shift = random.uniform(-2.0, 2.0)
    deformed = ndimage.shift(image, (0, 0, -shift), order=1, mode='nearest')
    dvf = np.zeros(shape + (3,), np.float32)
    dvf[..., 0] = shift
    ones = np.ones(shape, np.uint8)
    values = {
        'im': image.astype(np.int16),
        'deformed_im': deformed.astype(np.int16),
        'dvf': dvf,
        'mask': ones,
        'lung': ones,
        'spacing': (1.0, 1.0, 1.0),
        'im_info': im_info,
    }
    return Item(**{name: values[name] for name in Item._fields})


def graph_of(setting):
    """The :class:`TrainingGraph` of settings, built once."""
    # But for its name and its length, which no graph knows.
    training = dict(setting['NetworkTraining'], MaxIterations=None)
    used = json.dumps(dict(setting, current_experiment=None, NetworkTraining=training), sort_keys=True)
    key = used, network_description(setting['NetworkDesign'])
    if key not in _GRAPHS:
        _GRAPHS[key] = TrainingGraph(setting)
    return _GRAPHS[key]


def run(setting, iterations, draws=False, **arguments):
    """Train on one thread, with the items above unless others are given.

    :param draws: the curve of the training, which takes as long as the rest of a validation.
    """
    setting['NetworkTraining']['MaxIterations'] = iterations
    without = mock.patch.object(training_log, 'draw_curve', lambda _, path: write_text(path, 'curve'))
    with mock.patch.object(trainer, 'TrainingGraph', graph_of), contextlib.nullcontext() if draws else without:
        return train(setting, threads=1, make_item=arguments.pop('make_item', make_item), **arguments)


def log_lines(setting, kind):
    """Lines of log.jsonl of one kind, 'train' or 'validation'."""
    lines = read_json_lines(os.path.join(su.address_generator(setting, 'ModelFolder'), 'log.jsonl'))
    return [line for line in lines if line['kind'] == kind]


def losses(setting):
    """Iteration -> training loss."""
    return {line['iteration']: line['loss'] for line in log_lines(setting, 'train')}


def graph_nodes(setting):
    """Names of the operations of the graph that TensorBoard shows."""
    folder, names = su.address_generator(setting, 'summary_train'), set()
    for name in [name for name in os.listdir(folder) if 'tfevents' in name]:
        for event in tf.train.summary_iterator(os.path.join(folder, name)):
            if event.HasField('graph_def'):
                names |= {node.name for node in tf.GraphDef.FromString(event.graph_def).node}
    return names


def tensorboard(setting, request):
    """What TensorBoard's files in a folder hold: scalars as tag -> step -> value, and the tags of images."""
    folder, scalars, images = su.address_generator(setting, request), {}, set()
    for name in sorted(os.listdir(folder)):
        if 'tfevents' not in name:
            continue
        for event in tf.train.summary_iterator(os.path.join(folder, name)):
            for value in event.summary.value:
                if value.HasField('image'):
                    images.add(value.tag)
                else:
                    scalars.setdefault(value.tag, {})[event.step] = value.simple_value
    return scalars, images
