"""The settings of a run: those of ``RunRegNet3D.py``, changed by a settings file and the command line."""

import contextlib
import copy
import os
import runpy

from ..registration.command_line import symmetric_passes
from ..setting import kinds, schema
from ..setting import setting_utils as su
from ..setting.code_version import REPOSITORY
from ..setting.errors import InputError, RegNetError, unknown_name
from ..setting.text_files import read_json


def script_block():
    """The assignments of ``RunRegNet3D.py`` (that of the repository, or the one installed), by name."""
    return runpy.run_path(os.path.join(REPOSITORY, 'RunRegNet3D.py'), run_name='settings')


def read_changes(path):
    """The settings file as a dictionary; {} without one."""
    changes = read_json(path, edited=True) if path else {}
    if not isinstance(changes, dict) or not isinstance(changes.get('deform_exp', {}), dict):
        raise InputError(f'{path} must hold one JSON object, setting -> value (deform_exp: experiment -> its changes).')
    return changes


def complete_setting(script, arguments, changes=None):
    """The settings of a run: defaults, then the assignments of the script, a settings file and the command line.

    Values that are not accepted stay in the dictionary, so that ``check_setting`` reports all of them at once.

    :param script: the assignments of ``RunRegNet3D.py``, see :func:`script_block`.
    :param arguments: the command line.
    :param changes: content of the settings file (``--setting``), or None.
    :raises UnknownNameError: the file changes a deformation experiment that no entry of DataExpDict uses.
    """
    block, changes = copy.deepcopy(script['setting']), copy.deepcopy(changes or {})
    merge(
        changes,
        {
            'stage': arguments.stage,
            'NetworkDesign': arguments.network,
            'current_experiment': arguments.experiment,
            'where_to_run': arguments.where_to_run,
        },
        keep_none=False,
    )
    chosen = dict(block, **changes)
    stage, network, experiment = chosen['stage'], chosen['NetworkDesign'], chosen['current_experiment']
    if experiment is None:
        experiment = f'phantom_{network}_S{stage}'
    usable_stage = stage if schema.STAGE.accepts(stage) else 4

    place = schema.KEYS['where_to_run'].kind
    result = su.initialize_setting(
        experiment, chosen['where_to_run'] if place.accepts(chosen['where_to_run']) else None
    )
    merge(result, block)
    pyramid = chosen['stage_list']
    if pyramid is None:
        pyramid = changes.get('ImagePyramidSchedule', [usable_stage])
    su.load_registration_setting(result, pyramid if schema.PYRAMID.accepts(pyramid) else [usable_stage])
    network_here = {'NetworkDesign': network, 'NetworkLoad': experiment, 'GlobalStepLoad': 'Last'}
    result['network_dict'] = block['network_dict'] or {f'stage{usable_stage}': dict(network_here, stage=usable_stage)}
    merge(result, changes)
    result.update(stage=usable_stage, current_experiment=experiment, stage_list=pyramid)

    load_data(script, result, changes)
    try:
        su.load_network_setting(result, network)
    except RegNetError:
        result['NetworkDesign'] = network
    merge(result, {key: changes[key] for key in ('R', 'Ry', 'Margin', 'FullImage', 'SizeUnit') if key in changes})
    merge(
        result,
        {
            'NetworkTraining': {'MaxIterations': arguments.max_iterations, 'MaxHours': arguments.max_hours},
            'only_generate_image': arguments.only_generate_image,
            'never_generate_image': arguments.never_generate_image,
            'NumberOfThreads': arguments.threads,
            'Precision': arguments.precision,
            'Symmetric': symmetric_passes(arguments),
            'cluster_backend': arguments.backend,
            'cluster_scheduler': arguments.scheduler,
        },
        keep_none=False,
    )
    return dict(result, stage=stage)


def load_data(script, result, changes):
    """Put data sets, deformation experiments and magnitude classes into the settings ``result``."""
    experiment_changes = kinds.mapping_of(kinds.MAPPING).require('deform_exp', result.pop('deform_exp', {}))
    try:
        if 'DataExpDict' not in changes:
            fill_in_deformations(result['DataExpDict'], result['stage'], result['AGMode'], script['repetitions'])
        su.load_setting_from_data_dict(result, result['DataExpDict'])
    except RegNetError:
        return  # check_setting says what is wrong with the entries
    for name in result['DeformExpList']:
        if 'DataExpDict' not in changes:
            merge(result['deform_exp'][name], script['deform_exp_changes'])
    for name in experiment_changes:
        if name not in result['DeformExpList']:
            raise unknown_name('deformation experiment of DataExpDict', name, result['DeformExpList'])
    merge(result['deform_exp'], experiment_changes)
    if result['DeformExpList'] and 'ClassBalanced' not in result:
        with contextlib.suppress(RegNetError):
            result['ClassBalanced'] = su.load_suggested_class_balanced(result)


def fill_in_deformations(entries, stage, mode, repetitions):
    """Put what is suggested for a stage and AGMode where entries of DataExpDict say None."""
    mode = mode if mode in schema.AG_MODES else 'Resp'
    for entry in entries:
        if entry.get('deform_exp', '') is None:
            entry['deform_exp'] = su.suggested_stage_setting(stage, mode)['deform_exp']
        if entry.get('TrainingDSmoothList', ()) is None:
            training = su.dsmoothlist_by_deform_exp(entry['deform_exp'], mode)[0]
            entry['TrainingDSmoothList'] = su.repeat_dsmooth_numbers(training, entry['deform_exp'], repetitions)
        if entry.get('ValidationDSmoothList', ()) is None:
            entry['ValidationDSmoothList'] = su.dsmoothlist_by_deform_exp(entry['deform_exp'], mode)[1]


def merge(target, changes, keep_none=True):
    """Put ``changes`` into ``target``; dictionaries that are in both are merged key by key, except network_dict."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict) and key != 'network_dict':
            merge(target[key], value, keep_none)
        elif value is not None or keep_none:
            target[key] = copy.deepcopy(value)
