"""Trained networks by name: experiments, sets of them such as ``chest``, and the checkpoints they hold.

Training, registration and evaluation ask here which checkpoint a name and a step mean. Needs no TensorFlow.
"""

import collections
import logging
import os
import re

from functions.setting.address_fields import KNOWN_STEPS
from functions.setting.addresses import address_generator
from functions.setting.atomic import read_json
from functions.setting.checkpoint_records import record_problem
from functions.setting.errors import InputError, MissingFileError, RegNetError, unknown_name
from functions.setting.experiment_files import address_of_folder, read_setting, settings_number
from functions.setting.image_lists import mode_entries
from functions.setting.loaders import load_registration_setting
from functions.setting.schema import STAGE

LOGGER = logging.getLogger(__name__)

#: The folder of the experiments and sets that come with the project.
SHIPPED = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), 'Experiments')
#: The set that is used where no model is named.
DEFAULT_SET = 'chest'

NetworkSet = collections.namedtuple('NetworkSet', 'networks stages')
"""``networks``: dictionary stage -> experiment (name or folder); ``stages``: the passes they are made for."""

_LOADED_NETWORK_KEYS = ('NetworkLoad', 'GlobalStepLoad', 'BatchSize', 'itr_load', 'semi_epoch_load')


# ---- names


def network_set(name):
    """The :class:`NetworkSet` of ``Experiments/<name>.json`` of the project; None where there is no such set."""
    path = os.path.join(SHIPPED, f'{name}.json')
    if os.path.basename(str(name)) != name or not os.path.isfile(path):
        return None
    content = read_json(path)
    networks = {int(stage): os.path.join(SHIPPED, folder) for stage, folder in content['networks'].items()}
    return NetworkSet(networks, content['stages'])


def find_experiment(setting, name):
    """Where an experiment lies: (setting, experiment) for :func:`address_generator`.

    :param setting: its own experiments come first, then those that come with the project.
    :param name: name of an experiment, or its folder; None: the current experiment of ``setting``.
    """
    if name is None or _is_experiment(setting, name):
        return setting, name
    shipped = {'log_root_folder': SHIPPED + '/'}
    if os.path.isdir(name):
        return address_of_folder(name)
    return (shipped, name) if _is_experiment(shipped, name) else (setting, name)


def experiment_folder(setting, name):
    """The folder of an experiment, without a slash at its end."""
    setting, experiment = find_experiment(setting, name)
    return address_generator(setting, 'log_folder', current_experiment=experiment).rstrip('/')


def _is_experiment(setting, name):
    try:
        return os.path.isdir(address_generator(setting, 'log_folder', current_experiment=name))
    except RegNetError:
        return False


def read_model_setting(setting, experiment=None):
    """The newest settings file of an experiment.

    :raises MissingFileError: the experiment does not exist or has none, so how its network was trained is unknown.
    """
    setting, name = find_experiment(setting, experiment)
    number = settings_number(setting, name) if 'log_root_folder' in setting else None
    if number is None:
        raise MissingFileError(
            f'{experiment}: no settings file (train/Model/setting0.txt ...). Accepted: the name or folder of a trained '
            f'experiment, such as Experiments/RegNet/my_experiment, or a set, such as {DEFAULT_SET}.'
        )
    return read_setting(setting, name, number)


def networks_of(model, setting=None):
    """The networks that ``model`` names, as a :class:`NetworkSet`.

    :param model: name of a set, name or folder of an experiment, a list of these with one experiment per stage, or
        a dictionary stage -> experiment.
    :param setting: where experiments are looked for first, see :func:`find_experiment`.
    :raises MissingFileError, InputError: no such experiment, two for one stage, or a stage other than 4, 2 and 1.
    """
    if isinstance(model, dict):
        networks = {stage: os.fspath(experiment) for stage, experiment in model.items()}
    else:
        models = [os.fspath(name) for name in (model if isinstance(model, (list, tuple)) else [model])]
        found = network_set(models[0]) if len(models) == 1 and not os.path.isdir(models[0]) else None
        if found is not None:
            return found
        networks = {}
        for experiment in models:
            stage = read_model_setting(setting or {}, experiment).get('stage')
            if stage in networks:
                raise InputError(f'{networks[stage]} and {experiment} are both for stage {stage}; give one of them.')
            networks[stage] = experiment
    for stage, experiment in networks.items():
        if not STAGE.accepts(stage):
            raise InputError(f'{experiment}: a network for stage {stage!r} is not possible; accepted: 4, 2, 1.')
    return NetworkSet(networks, sorted(networks, reverse=True))


def use_networks(setting, model, stages=None):
    """Let registration use trained networks: put ``network_dict`` and the pyramid into ``setting``.

    :param model: see :func:`networks_of`.
    :param stages: the pyramid; None: as the set says, else every stage there is a network for.
    """
    found = networks_of(model, setting)
    load_registration_setting(setting, found.stages if stages is None else stages)
    setting['network_dict'] = {
        f'stage{stage}': {'NetworkLoad': experiment, 'GlobalStepLoad': 'Last', 'stage': stage}
        for stage, experiment in found.networks.items()
    }
    return setting


def register_only(setting, model, stages=None):
    """A copy of ``setting`` that trains nothing and registers its testing pairs with ``model``, as
    :func:`use_networks` puts it in."""
    entries = [
        {key: value for key, value in entry.items() if not key.startswith(('Training', 'Validation'))}
        for entry in setting.get('DataExpDict', [])
    ]
    return use_networks(dict(setting, DataExpDict=entries), model, stages)


def trains(setting):
    """Whether the settings name anything to train on."""
    return bool(mode_entries(setting, 'Training'))


# ---- checkpoints


def saved_steps(setting, current_experiment=None, recorded=False):
    """Global steps of the checkpoints of an experiment, ascending.

    Where checkpoints have records (written last, so that a half-written checkpoint has none), only those count.

    :param recorded: True: checkpoints without a record, such as those of the published code, never count.
    """
    prefix = address_generator(setting, 'saved_model', current_experiment=current_experiment)
    folder, name = os.path.split(prefix)
    found = {'json': set(), 'index': set(), 'meta': set()}
    for file_name in os.listdir(folder) if os.path.isdir(folder) else []:
        match = re.match(re.escape(name) + r'-(\d+)\.(json|index|meta)$', file_name)
        if match:
            found[match.group(2)].add(int(match.group(1)))
    return sorted(found['json'] if recorded else found['json'] or found['index'] | found['meta'])


def checkpoint_problem(setting, experiment, step):
    """None when a checkpoint is whole, else what is wrong with it.

    Checkpoints of the published code have no record and cannot be checked; their graph (.meta) tells them apart.
    """
    prefix = address_generator(setting, 'saved_model_with_step', step=str(step), current_experiment=experiment)
    record = address_generator(setting, 'saved_state_with_step', step=str(step), current_experiment=experiment)
    if not os.path.isfile(record) and all(os.path.isfile(prefix + ending) for ending in ('.meta', '.index')):
        return None
    return record_problem(record)


def newest_step(setting, experiment=None):
    """Step of the newest whole checkpoint, or None; warns about those that are not whole."""
    for step in reversed(saved_steps(setting, experiment)):
        problem = checkpoint_problem(setting, experiment, step)
        if problem is None:
            return step
        prefix = address_generator(setting, 'saved_model', current_experiment=experiment)
        LOGGER.warning('%s: checkpoint of step %d cannot be used (%s); the one before is tried.', prefix, step, problem)
    return None


def resolve_step(setting, step, experiment=None):
    """The global step that a setting means.

    :param step: 'Last' (newest whole checkpoint), 'Best' (smallest validation error that the newest one knows of;
        the newest where there was no validation), 'Auto' (the step a published experiment is used at, else as
        'Last', 0 without any checkpoint), or a number.
    :raises MissingFileError: 'Last' or 'Best' of an experiment without whole checkpoints.
    :raises InputError: anything else.
    """
    if step == 'Auto' and experiment in KNOWN_STEPS:
        return int(KNOWN_STEPS[experiment])
    if step not in ('Last', 'Best', 'Auto'):
        if isinstance(step, bool) or not re.match(r'^\d+$', str(step)):
            raise InputError(
                f"GlobalStepLoad {step!r} is not possible; accepted: 'Last', 'Best', 'Auto' or a whole number."
            )
        return int(step)
    setting, experiment = find_experiment(setting, experiment)
    newest = newest_step(setting, experiment)
    if newest is None:
        if step == 'Auto':
            return 0
        folder = os.path.dirname(address_generator(setting, 'saved_model', current_experiment=experiment))
        raise MissingFileError(
            f'{folder}/ holds no checkpoint that can be used; train the experiment, or copy its whole folder again.'
        )
    best = best_step(_recorded_state(setting, experiment, newest)) if step == 'Best' else None
    usable = best is not None and checkpoint_problem(setting, experiment, best) is None
    return best if usable else newest


def get_global_step(setting, requested_global_step, current_experiment):
    """:func:`resolve_step` as text."""
    return str(resolve_step(setting, requested_global_step, current_experiment))


def checkpoint_path(setting, step='Last', experiment=None):
    """TensorFlow's path prefix of a checkpoint; ``step`` as for :func:`resolve_step`.

    :raises MissingFileError, InputError: there is none of that step, or it is not whole.
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
        raise InputError(f'{prefix}-{step} cannot be restored: {problem.rstrip(".")}.')
    return f'{prefix}-{step}'


def best_step(state):
    """Step of the best checkpoint that a checkpoint's state knows, or None."""
    return (state.get('best') or {}).get('step')


def load_network(setting, loaded_network):
    """Fill in where a training goes on.

    :param loaded_network: {'NetworkLoad': experiment or None, 'GlobalStepLoad': see :func:`resolve_step`, 'BatchSize',
        'itr_load', 'semi_epoch_load': 'Auto' or a number}; left out they are 'Last' and 'Auto'. 'Auto' takes BatchSize
        from the experiment's first settings, iteration and semi-epoch from the checkpoint's record. Without a record
        (published code) the iteration follows from step and batch size, and the semi-epoch starts at 0.
    :return: a dictionary of the same keys, all resolved: GlobalStepLoad text, the others whole numbers. Without an
        experiment to load, counting starts at 0.
    :raises UnknownNameError, InputError, MissingFileError: a misspelt key, a wrong value, nothing there.
    """
    given = dict(loaded_network or {})
    for key in given:
        if key not in _LOADED_NETWORK_KEYS:
            raise unknown_name('key of the network to load', key, _LOADED_NETWORK_KEYS)
    experiment = given.get('NetworkLoad')
    if experiment is None:
        return {'NetworkLoad': None, 'GlobalStepLoad': None, 'BatchSize': None, 'itr_load': 0, 'semi_epoch_load': 0}
    step = get_global_step(setting, given.get('GlobalStepLoad', 'Last'), experiment)
    batch_size, iteration, semi_epoch = (_number(given, key) for key in ('BatchSize', 'itr_load', 'semi_epoch_load'))
    place, name = find_experiment(setting, experiment)
    if batch_size is None:
        batch_size = read_setting(place, name)['NetworkTraining']['BatchSize']
    if iteration is None or semi_epoch is None:
        recorded = _recorded_state(place, name, step)
        if iteration is None:
            iteration = recorded['iteration'] + 1 if 'iteration' in recorded else int(step) // batch_size + 1
        if semi_epoch is None:
            position = recorded.get('position') or {}
            semi_epoch = position['semi_epoch'] + 1 if 'semi_epoch' in position else 0
    return {
        'NetworkLoad': experiment,
        'GlobalStepLoad': step,
        'BatchSize': batch_size,
        'itr_load': iteration,
        'semi_epoch_load': semi_epoch,
    }


def _number(given, key):
    """A count as given, or None for 'Auto'."""
    value = given.get(key, 'Auto')
    if value == 'Auto':
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < (1 if key == 'BatchSize' else 0):
        raise InputError(f"{key} {value!r} is not possible; accepted: 'Auto' or a whole number.")
    return value


def _recorded_state(setting, experiment, step):
    address = address_generator(setting, 'saved_state_with_step', current_experiment=experiment, step=str(step))
    try:
        return read_json(address).get('state') or {}
    except MissingFileError:
        LOGGER.warning('%s does not exist, so the position of the sampling is unknown; it starts at 0.', address)
        return {}
