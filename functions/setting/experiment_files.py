"""What an experiment's folder says about itself: its settings, its checkpoints and where its training
stands."""

import logging
import os
import re

import numpy as np

from functions.setting.addresses import address_generator
from functions.setting.atomic import read_json, temporary_path, write_json
from functions.setting.errors import InputError, MissingFileError, unknown_name
from functions.setting.placeholders import known_step

LOGGER = logging.getLogger(__name__)
_NETWORK_KEYS = ('NetworkLoad', 'GlobalStepLoad', 'BatchSize', 'itr_load', 'semi_epoch_load')


def address_of_folder(folder):
    """(setting, experiment) under which the addresses of an experiment's folder are found, wherever it
    lies."""
    parent, name = os.path.split(os.path.abspath(folder))
    root, sub = os.path.split(parent)
    return {'log_root_folder': root.rstrip('/') + '/'}, f'{sub}/{name}'


def plain(value, where='setting'):
    """A copy of ``value`` as JSON can carry it: NumPy numbers and arrays, tuples and ranges become numbers
    and lists.

    :param where: what it is, for the message.
    :raises InputError: something JSON has no form for, with the path to it.
    """
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise InputError(f'{where}: the key {key!r} is not text, so it cannot be written as JSON.')
        return {key: plain(item, f'{where}[{key!r}]') for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), where)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (list, tuple, range)):
        return [plain(item, f'{where}[{i}]') for i, item in enumerate(value)]
    if isinstance(value, float) and (value != value or value in (float('inf'), float('-inf'))):
        raise InputError(f'{where} is {value}, which JSON cannot carry.')
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise InputError(
        f'{where} is a {type(value).__name__}; settings are texts, numbers, True, False, None, lists and dictionaries.'
    )


def write_setting(setting, setting_address=None):
    """Write the settings as JSON (sorted keys, indent 4).

    :param setting_address: file to write; None: the first free ``setting<k>.txt``, k from 0, of the
        experiment's model folder, which never replaces an older one, not even when two processes write at a
        time.
    :return: the file's address.
    """
    content = plain(setting)
    if setting_address is not None:
        write_json(setting_address, content)
        return setting_address
    folder = address_generator(setting, 'ModelFolder')
    number = 0
    while True:
        address = f'{folder}setting{number}.txt'
        if _write_new(address, content):
            return address
        number += 1


def _write_new(address, content):
    """Write ``address`` unless it exists; whole or not at all."""
    if os.path.exists(address):
        return False
    draft = temporary_path(address)
    write_json(draft, content)
    try:
        os.link(draft, address)
    except FileExistsError:
        return False
    except OSError:
        # A file system without links: claim the name, then fill it in one step.
        try:
            os.close(os.open(address, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return False
        os.replace(draft, address)
        return True
    finally:
        if os.path.exists(draft):
            os.remove(draft)
    return True


def read_setting(setting, current_experiment=None, number=0):
    """Settings an experiment was run with: ``setting<number>.txt`` of its model folder.

    :raises MissingFileError: there is none.
    """
    folder = address_generator(setting, 'ModelFolder', current_experiment=current_experiment)
    return read_json(f'{folder}setting{number}.txt')


def newest_number(folder, stem, extension):
    """The largest k of the files ``<stem><k><extension>`` of a folder; None where there is none."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    matches = [re.match(re.escape(stem) + r'(\d+)' + re.escape(extension) + '$', name) for name in names]
    return max((int(match.group(1)) for match in matches if match), default=None)


def settings_number(setting, current_experiment=None):
    """Number of the newest settings file of an experiment, or None."""
    folder = address_generator(setting, 'ModelFolder', current_experiment=current_experiment)
    return newest_number(folder, 'setting', '.txt')


def saved_steps(setting, current_experiment=None, recorded=False):
    """Global steps of the checkpoints of an experiment, ascending.

    Where checkpoints have records (written last, so that a half-written checkpoint has none), only those
    count.

    :param recorded: True: checkpoints without a record (of the published code) never count.
    """
    prefix = address_generator(setting, 'saved_model', current_experiment=current_experiment)
    folder, name = os.path.split(prefix)
    found = {'json': set(), 'index': set(), 'meta': set()}
    for file_name in os.listdir(folder) if os.path.isdir(folder) else []:
        match = re.match(re.escape(name) + r'-(\d+)\.(json|index|meta)$', file_name)
        if match:
            found[match.group(2)].add(int(match.group(1)))
    return sorted(found['json'] if recorded else found['json'] or found['index'] | found['meta'])


def get_global_step(setting, requested_global_step, current_experiment):
    """The step of a checkpoint as text.

    :param requested_global_step: 'Last' (largest saved), 'Best' (smallest validation error as the last
        checkpoint knows it; the last one where there was no validation), 'Auto' (step a published experiment
        is used at, else '0') or a number.
    :raises MissingFileError: 'Last' or 'Best' of an experiment without checkpoints.
    :raises InputError: anything else.
    """
    if requested_global_step == 'Auto':
        return known_step(current_experiment)
    if requested_global_step in ('Last', 'Best'):
        steps = saved_steps(setting, current_experiment)
        if not steps:
            folder = os.path.dirname(address_generator(setting, 'saved_model', current_experiment=current_experiment))
            raise MissingFileError(f'{folder}/ holds no checkpoint; train {current_experiment} first.')
        best = None
        if requested_global_step == 'Best':
            best = best_step(_recorded_state(setting, current_experiment, str(steps[-1])))
        return str(steps[-1] if best is None else best)
    text = str(requested_global_step)
    if isinstance(requested_global_step, bool) or not re.match(r'^\d+$', text):
        raise InputError(
            f"GlobalStepLoad {requested_global_step!r} is not possible; accepted: 'Last', 'Best', 'Auto' or a whole "
            'number.'
        )
    return text


def load_network(setting, loaded_network):
    """Fill in where a training goes on.

    :param loaded_network: {'NetworkLoad': experiment or None, 'GlobalStepLoad': see :func:`get_global_step`,
        'BatchSize', 'itr_load', 'semi_epoch_load': 'Auto' or a number}; what is left out is 'Last' and
        'Auto'. 'Auto' comes from what the experiment's folder says as JSON: BatchSize from its first
        settings, iteration and semi-epoch from the record of the checkpoint; without a record (published
        code) the iteration follows from step and batch size, and the semi-epoch begins anew.
    :return: a dictionary of the same keys, all resolved: GlobalStepLoad text, the others whole numbers.
        Without an experiment to load, everything begins at 0.
    :raises UnknownNameError, InputError, MissingFileError: a misspelt key, a wrong value, nothing there.
    """
    given = dict(loaded_network or {})
    for key in given:
        if key not in _NETWORK_KEYS:
            raise unknown_name('key of the network to load', key, _NETWORK_KEYS)
    experiment = given.get('NetworkLoad')
    if experiment is None:
        return {'NetworkLoad': None, 'GlobalStepLoad': None, 'BatchSize': None, 'itr_load': 0, 'semi_epoch_load': 0}
    step = get_global_step(setting, given.get('GlobalStepLoad', 'Last'), experiment)
    batch_size = _number(given, 'BatchSize')
    if batch_size is None:
        batch_size = read_setting(setting, experiment)['NetworkTraining']['BatchSize']
    iteration, semi_epoch = _number(given, 'itr_load'), _number(given, 'semi_epoch_load')
    if iteration is None or semi_epoch is None:
        recorded = _recorded_state(setting, experiment, step)
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
    value = given.get(key, 'Auto')
    if value == 'Auto':
        return None
    least = 1 if key == 'BatchSize' else 0
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{key} {value!r} is not possible; accepted: 'Auto' or a whole number.")
    return value


def best_step(state):
    """Step of the best checkpoint that a checkpoint's state knows, or None."""
    return (state.get('best') or {}).get('step')


def _recorded_state(setting, experiment, step):
    address = address_generator(setting, 'saved_state_with_step', current_experiment=experiment, step=step)
    try:
        return read_json(address).get('state') or {}
    except MissingFileError:
        LOGGER.warning(
            '%s does not exist, so where the sampling stood is not known; its semi-epochs begin at 0.', address
        )
        return {}
