"""Trained networks by name: experiments, sets of them such as ``chest``, and their checkpoints; without TensorFlow."""

import collections
import contextlib
import logging
import os
import re

from .address_fields import KNOWN_STEPS
from .addresses import address_generator
from .checkpoint_records import SHAPE, record_problem
from .code_version import REPOSITORY
from .errors import InputError, MissingFileError, RegNetError
from .experiment_files import address_of_folder, read_setting, settings_number
from .image_lists import mode_entries
from .kinds import FLAG, TEXT, mapping_of, optional, whole
from .loaders import load_registration_setting
from .schema import LOADED_NETWORK, PYRAMID, STAGE, STEP, key_problems
from .text_files import read_record

LOGGER = logging.getLogger(__name__)

#: The folder of the experiments and sets that come with the project.
SHIPPED = os.path.join(REPOSITORY, 'Experiments')
#: The set used when no model is named.
DEFAULT_SET = 'chest'

#: Keys of ``network_dict`` and of the file of a set: the network of errors; whether passes are symmetric.
ERROR_MAP, SYMMETRIC = 'error_map', 'symmetric'

NetworkSet = collections.namedtuple('NetworkSet', 'networks stages error_map symmetric', defaults=(None, False))
"""``networks``: dictionary stage -> experiment (name or folder); ``stages``: the pyramid they are made for;
``error_map``: experiment of a network that predicts the error of their results, or None; ``symmetric``: whether every
pass is the mean of its way there and back."""


def network_set(name):
    """The :class:`NetworkSet` of ``Experiments/<name>.json`` of the project; None without such a file."""
    path = os.path.join(SHIPPED, f'{name}.json')
    if os.path.basename(str(name)) != name or not os.path.isfile(path):
        return None
    shape = {'networks': mapping_of(TEXT), 'stages': PYRAMID, ERROR_MAP: optional(TEXT), SYMMETRIC: optional(FLAG)}
    content = read_record(path, shape)
    if not content['networks'] or set(content['networks']) - {'1', '2', '4'}:
        raise InputError(f'{path}: networks must name an experiment for some of the stages 1, 2 and 4, and no others.')
    networks = {int(stage): os.path.join(SHIPPED, folder) for stage, folder in content['networks'].items()}
    error_map = content.get(ERROR_MAP)
    error_map = error_map and os.path.join(SHIPPED, error_map)
    return NetworkSet(networks, content['stages'], error_map, bool(content.get(SYMMETRIC)))


def find_experiment(setting, name):
    """Where an experiment is: (setting, experiment) for :func:`address_generator`.

    :param setting: its own experiments come before those that come with the project.
    :param name: name of an experiment, or its folder; None: the current experiment of ``setting``.
    """
    if name is None or _is_experiment(setting, name):
        return setting, name
    shipped = {'log_root_folder': SHIPPED + '/'}
    if os.path.isdir(name):
        return address_of_folder(name)
    return (shipped, name) if _is_experiment(shipped, name) else (setting, name)


def experiment_folder(setting, name):
    """The folder of an experiment, without a trailing slash."""
    setting, experiment = find_experiment(setting, name)
    return address_generator(setting, 'log_folder', current_experiment=experiment).rstrip('/')


def _is_experiment(setting, name):
    try:
        return os.path.isdir(address_generator(setting, 'log_folder', current_experiment=name))
    except RegNetError:
        return False


def read_model_setting(setting, experiment=None):
    """The newest settings file of an experiment; a MissingFileError when it has none or does not exist."""
    setting, name = find_experiment(setting, experiment)
    number = settings_number(setting, name) if 'log_root_folder' in setting else None
    if number is None:
        accepted = f'the name or folder of a trained experiment, or a set ({DEFAULT_SET})'
        raise MissingFileError(f'{experiment}: no settings file (train/Model/setting0.txt). Accepted: {accepted}.')
    return read_setting(setting, name, number)


def networks_of(model, setting=None):
    """The networks that ``model`` names, as a :class:`NetworkSet`.

    :param model: a set, an experiment (name or folder), a list of one per stage, or a dictionary stage -> experiment.
    :param setting: where experiments are looked for first, see :func:`find_experiment`.
    :raises MissingFileError, InputError: no such experiment, two for one stage, or a stage other than 4, 2 and 1.
    """
    if isinstance(model, dict):
        named = [(stage, os.fspath(experiment)) for stage, experiment in model.items()]
    else:
        models = [os.fspath(name) for name in (model if isinstance(model, (list, tuple)) else [model])]
        found = network_set(models[0]) if len(models) == 1 and not os.path.isdir(models[0]) else None
        if found is not None:
            return found
        named = [(read_model_setting(setting or {}, name).get('stage'), name) for name in models]
    networks = {}
    for stage, experiment in named:
        if not STAGE.accepts(stage):
            raise InputError(f'{experiment}: a network for stage {stage!r} is not possible; accepted: 4, 2, 1.')
        if stage in networks:
            raise InputError(f'{networks[stage]} and {experiment} are both for stage {stage}; give one of them.')
        networks[stage] = experiment
    return NetworkSet(networks, sorted(networks, reverse=True))


def use_networks(setting, model, stages=None, error_map=True):
    """Register with trained networks: put ``network_dict`` and the pyramid into ``setting``.

    :param model: see :func:`networks_of`; ``stages``: the pyramid, None: that of the set, else all that have a network.
    :param error_map: with the network of errors of a set, if it has one.
    """
    found = networks_of(model, setting)
    load_registration_setting(setting, found.stages if stages is None else stages)
    loads = {stage: {'NetworkLoad': name, 'GlobalStepLoad': 'Last'} for stage, name in found.networks.items()}
    setting['network_dict'] = {f'stage{stage}': dict(load, stage=stage) for stage, load in loads.items()}
    setting['network_dict'][SYMMETRIC] = found.symmetric
    if error_map and found.error_map:
        setting['network_dict'][ERROR_MAP] = {'NetworkLoad': found.error_map, 'GlobalStepLoad': 'Last'}
    return setting


def register_only(setting, model, stages=None, error_map=True):
    """A copy of ``setting`` that trains nothing and registers its testing pairs; arguments as :func:`use_networks`."""
    dropped, listed = ('Training', 'Validation'), setting.get('DataExpDict', [])
    entries = [{key: entry[key] for key in entry if not key.startswith(dropped)} for entry in listed]
    return use_networks(dict(setting, DataExpDict=entries), model, stages, error_map)


def is_symmetric(setting):
    """Whether settings register by symmetric passes: as ``Symmetric`` says, else as the networks they name do."""
    wanted = setting.get('Symmetric')
    return setting['network_dict'].get(SYMMETRIC, False) if wanted is None else wanted


def trains(setting):
    """Whether the settings name anything to train on."""
    return bool(mode_entries(setting, 'Training'))


def saved_steps(setting, current_experiment=None, recorded=False):
    """Global steps of the checkpoints of an experiment, ascending. Once there are records, only those count;
    ``recorded``: also before, which leaves out checkpoints of the published code.
    """
    prefix = address_generator(setting, 'saved_model', current_experiment=current_experiment)
    folder, name = os.path.split(prefix)
    # A record is written last, so a half-written checkpoint has none.
    found = {'json': set(), 'index': set(), 'meta': set()}
    for file_name in os.listdir(folder) if os.path.isdir(folder) else []:
        match = re.match(re.escape(name) + r'-(\d+)\.(json|index|meta)$', file_name)
        if match:
            found[match.group(2)].add(int(match.group(1)))
    return sorted(found['json'] if recorded else found['json'] or found['index'] | found['meta'])


def checkpoint_problem(setting, experiment, step):
    """What is wrong with a checkpoint; None when it is whole. Those of the published code have no record and cannot be
    checked; they are recognised by their graph (.meta).
    """
    prefix = address_generator(setting, 'saved_model_with_step', step=str(step), current_experiment=experiment)
    record = address_generator(setting, 'saved_state_with_step', step=str(step), current_experiment=experiment)
    if not os.path.isfile(record) and all(os.path.isfile(prefix + ending) for ending in ('.meta', '.index')):
        return None
    return record_problem(record)


def newest_step(setting, experiment=None):
    """Step of the newest whole checkpoint, or None; logs a warning for each damaged one."""
    for step in reversed(saved_steps(setting, experiment)):
        problem = checkpoint_problem(setting, experiment, step)
        if problem is None:
            return step
        prefix = address_generator(setting, 'saved_model', current_experiment=experiment)
        LOGGER.warning('%s: checkpoint of step %d cannot be used (%s); the one before is tried.', prefix, step, problem)
    return None


def resolve_step(setting, step, experiment=None):
    """The global step that ``step`` stands for.

    :param step: 'Last' (newest whole checkpoint), 'Best' (smallest validation error according to the newest one; the
        newest itself without validation), 'Auto' (the step a published experiment is used at, else as 'Last', but 0
        without checkpoints), or a number.
    :raises MissingFileError: 'Last' or 'Best' of an experiment without whole checkpoints.
    :raises InputError: anything else.
    """
    if step == 'Auto' and experiment in KNOWN_STEPS:
        return int(KNOWN_STEPS[experiment])
    if STEP.require('GlobalStepLoad', step) not in ('Last', 'Best', 'Auto'):
        return int(step)
    setting, experiment = find_experiment(setting, experiment)
    newest = newest_step(setting, experiment)
    if newest is None:
        if step == 'Auto':
            return 0
        folder = address_generator(setting, 'ModelFolder', current_experiment=experiment) + 'Saved/'
        raise MissingFileError(f'{folder} holds no checkpoint that can be used; train, or copy the whole folder again.')
    best = best_step(_recorded_state(setting, experiment, newest)) if step == 'Best' else None
    usable = best is not None and checkpoint_problem(setting, experiment, best) is None
    return best if usable else newest


def get_global_step(setting, requested_global_step, current_experiment):
    """:func:`resolve_step` as text."""
    return str(resolve_step(setting, requested_global_step, current_experiment))


def checkpoint_path(setting, step='Last', experiment=None):
    """TensorFlow's path prefix of the checkpoint of a ``step`` as for :func:`resolve_step`; an error when there is
    none, or it is damaged.
    """
    step = resolve_step(setting, step, experiment)
    setting, experiment = find_experiment(setting, experiment)
    prefix = address_generator(setting, 'saved_model', current_experiment=experiment)
    steps = saved_steps(setting, experiment)
    if step not in steps:
        available = ', '.join(map(str, steps)) or 'none; train first'
        raise InputError(f'{prefix}: no checkpoint of step {step}. Available: {available}.')
    problem = checkpoint_problem(setting, experiment, step)
    if problem:
        raise _not_restored(f'{prefix}-{step}', problem)
    return f'{prefix}-{step}'


@contextlib.contextmanager
def restoring(prefix):
    """Turn a ValueError inside the ``with`` block into the :class:`InputError` that names the checkpoint."""
    try:
        yield
    except ValueError as error:
        raise _not_restored(prefix, error) from error


def _not_restored(prefix, problem):
    return InputError(f'{prefix} cannot be restored: {str(problem).rstrip(".")}.')


def best_step(state):
    """Step of the best checkpoint according to a checkpoint's state, or None."""
    return (state.get('best') or {}).get('step')


def load_network(setting, loaded_network):
    """Resolve where a training goes on.

    :param loaded_network: None, or a dictionary with the keys of ``LoadedNetwork`` in :mod:`functions.setting.schema`;
        left out they are 'Last' and 'Auto'. 'Auto' takes BatchSize from the experiment's first settings, iteration and
        semi-epoch from the checkpoint's record. Without a record (published code) the iteration follows from step and
        batch size, and the semi-epoch starts at 0.
    :return: a dictionary of the same keys, all resolved: GlobalStepLoad text, the others whole numbers. Without an
        experiment to load, counting starts at 0.
    :raises InputError: a misspelt key or a wrong value. :raises MissingFileError: no such experiment or checkpoint.
    """
    given = {key: value for key, value in (loaded_network or {}).items() if value is not None}
    problems = key_problems(given, LOADED_NETWORK, 'LoadedNetwork.')
    if problems:
        raise InputError(' '.join(problems))
    if 'NetworkLoad' not in given:
        return {'NetworkLoad': None, 'GlobalStepLoad': None, 'BatchSize': None, 'itr_load': 0, 'semi_epoch_load': 0}
    experiment = given['NetworkLoad']
    place, name = find_experiment(setting, experiment)
    step = get_global_step(setting, given.get('GlobalStepLoad', 'Last'), experiment)
    loaded = {key: given.get(key, 'Auto') for key in ('BatchSize', 'itr_load', 'semi_epoch_load')}
    if loaded['BatchSize'] == 'Auto':
        loaded['BatchSize'] = read_setting(place, name)['NetworkTraining']['BatchSize']
    recorded = _recorded_state(place, name, step) if 'Auto' in loaded.values() else {}
    if loaded['itr_load'] == 'Auto':
        loaded['itr_load'] = recorded.get('iteration', int(step) // loaded['BatchSize']) + 1
    if loaded['semi_epoch_load'] == 'Auto':
        position = recorded.get('position') or {}
        loaded['semi_epoch_load'] = whole(-1).require(f'{experiment}: semi_epoch', position.get('semi_epoch', -1)) + 1
    return dict(loaded, NetworkLoad=experiment, GlobalStepLoad=step)


def _recorded_state(setting, experiment, step):
    address = address_generator(setting, 'saved_state_with_step', current_experiment=experiment, step=str(step))
    try:
        return read_record(address, SHAPE)['state']
    except MissingFileError:
        LOGGER.warning('%s does not exist: the position of the sampling is unknown, so it starts at 0.', address)
        return {}
