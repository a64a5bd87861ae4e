"""A training of a second that needs no files, as a command: the folder of its settings, the name, and options."""

import json
import os

from functions.network.description import NETWORKS
from functions.setting import setting_utils as su
from tests.network.small_network import SMALL

ITERATIONS = 8


def settings(folder, name):
    """Settings of a training below ``folder``."""
    NETWORKS['small'] = SMALL
    root = str(folder) + '/'
    setting = dict(su.initialize_setting(name, 'Root'), RootFolder=root, DataFolder=root + 'Data/', stage=1)
    setting['log_root_folder'] = root + 'Experiments/'
    modes = {'Training': ([1, 2], [0, 1, 2]), 'Validation': ([3], [0, 1])}
    entry = {'data': 'Phantom_4D', 'deform_exp': '3D_max7_D14_K'}
    for mode, (cases, deformations) in modes.items():
        entry.update({mode + 'CNList': cases, mode + 'TypeImList': [0], mode + 'DSmoothList': deformations})
    su.load_setting_from_data_dict(setting, [entry])
    su.load_network_setting(setting, 'small')
    setting.update(FullImage=False, R=10, Ry=10, Margin=0, ClassBalanced=[2, 7], normalization='lung', DVFUnit='voxel')
    training = {'NumberOfImagesPerChunk': 3, 'SamplesPerImage': 3, 'BatchSize': 2, 'MaxQueueSize': 3}
    setting['NetworkTraining'].update(training, MaxIterations=ITERATIONS, LogInterval=1, ValidationInterval=3)
    setting['NetworkValidation'].update(NumberOfImagesPerChunk=2, SamplesPerImage=2, BatchSize=2, MaxQueueSize=2)
    return setting


def main(words):
    """Train."""
    from training_fakes import run

    folder, name, *options = words
    os.chdir(folder)
    iterations = ITERATIONS + 2 * ('--further' in options)
    run(settings(folder, name), iterations, resume='--fresh' not in options)


def outcome(folder, name):
    """What a finished training leaves: the losses, the checkpoints, and the names of all files but its records."""
    model = os.path.join(str(folder), 'Experiments', 'RegNet', name, 'train', 'Model')
    with open(os.path.join(model, 'log.jsonl')) as stream:
        lines = [json.loads(line) for line in stream]
    kept = ('kind', 'iteration', 'step', 'loss', 'error_mm')
    lines = [{key: line[key] for key in kept if key in line} for line in lines]
    saved = os.path.join(model, 'Saved')
    checkpoints = {}
    for file_name in sorted(os.listdir(saved)):
        with open(os.path.join(saved, file_name), 'rb') as stream:
            checkpoints[file_name] = stream.read() if '.data-' in file_name else b''
    names = [file_name for file_name in os.listdir(model) if not file_name.startswith(('setting', 'about'))]
    plots = os.listdir(os.path.join(model, 'Plots'))
    return {'lines': lines, 'checkpoints': checkpoints, 'names': sorted(names), 'plots': plots}
