"""The finished registrations of experiments, found at their addresses."""

import collections
import logging
import os
import re

from functions.evaluation.measured_pairs import Task
from functions.evaluation.pair_record import pair_name
from functions.setting import setting_utils as su
from functions.setting.addresses import result_address
from functions.setting.atomic import read_json
from functions.setting.errors import InputError, RegNetError, unknown_name
from functions.setting.experiment_files import settings_number

LOGGER = logging.getLogger(__name__)

#: One experiment: name; setting (dictionary); pairs it was to register ([fixed, moving] each); step of the
#: checkpoint whose results were found, text, or None; tasks (:class:`functions.evaluation.measured_pairs.Task` of
#: what is there); missing: texts, one for each pair without a result.
Experiment = collections.namedtuple('Experiment', 'name setting pairs step tasks missing')

_PLACES = ('RootFolder', 'DataFolder', 'log_root_folder', 'where_to_run')


def open_experiment(setting, name, own_settings=True):
    """What an experiment has registered.

    :param setting: says where everything is.
    :param name: the experiment, as in ``current_experiment``.
    :param own_settings: take the pairs, pyramid and networks from the newest settings file of the experiment,
        if it has one; False: from ``setting``.
    :return: :class:`Experiment`.
    :raises UnknownNameError: there is no such experiment.
    :raises InputError: its settings name no pair to be registered.
    """
    _require_folder(setting, name)
    number = settings_number(setting, name) if own_settings else None
    if number is None:
        known = dict(setting, current_experiment=name)
    else:
        # Folders may have moved since, or lie elsewhere on this machine.
        known = dict(
            su.read_setting(setting, name, number),
            current_experiment=name,
            **{key: setting[key] for key in _PLACES if key in setting},
        )
    pairs = su.get_im_info_list_from_train_mode(known, 'Testing', load_mode='Pair', stage=1)
    if not pairs:
        raise InputError(
            f'The settings of {name} name no pair to register (TestingCNList, TestingPairList); give '
            'some by --setting FILE.'
        )
    step = _step(known, name, pairs)
    tasks, missing = [], []
    for pair in pairs:
        task = None if step is None else find_task(known, name, pair, step)
        if task is None:
            missing.append(f'{name} has no result for {pair_name(pair)}')
        else:
            tasks.append(task)
    return Experiment(name, known, pairs, step, tasks, missing)


def _require_folder(setting, name):
    folder = su.address_generator(setting, 'log_folder', current_experiment=name).rstrip('/')
    if not os.path.isdir(folder):
        others, part = os.path.dirname(folder), name.rpartition('/')[0]
        found = sorted(os.listdir(others)) if os.path.isdir(others) else []
        raise unknown_name('experiment', name, [part + '/' + other if part else other for other in found])


def find_task(setting, name, pair, step):
    """The :class:`Task` of a registration that is finished, or None."""
    dvf, moved = (result_address(setting, request, pair, step) for request in ('dvf_s0', 'MovedIm'))
    if not os.path.isfile(dvf):
        return None
    return Task(name, pair, dvf, None, moved if os.path.isfile(moved) else None, result_facts(dvf).get('seconds'))


def result_facts(dvf_path):
    """What ``registration.json`` beside a result says; {} where there is none."""
    path = os.path.join(os.path.dirname(dvf_path), 'registration.json')
    facts = read_json(path) if os.path.isfile(path) else {}
    if not isinstance(facts, dict):
        raise InputError(f'{path} does not hold one JSON object.')
    return facts


def _step(setting, name, pairs):
    """Step of the checkpoint of the last stage: the one the settings ask for where it has results, else the
    newest that has."""
    stage = setting['stage_list'][-1]
    entry = setting.get('network_dict', {}).get(f'stage{stage}') or {}
    wanted = None
    try:
        wanted = su.get_global_step(setting, entry.get('GlobalStepLoad', 'Last'), entry.get('NetworkLoad') or name)
    except RegNetError as error:
        LOGGER.info('%s: %s Any results there are will do.', name, error)
    for step in ([] if wanted is None else [wanted]) + _steps_on_disk(setting, pairs):
        if any(os.path.isfile(result_address(setting, 'dvf_s0', pair, step)) for pair in pairs):
            if wanted not in (None, step):
                LOGGER.warning('%s has no results of step %s; those of step %s are taken.', name, wanted, step)
            return step
    return None


def _steps_on_disk(setting, pairs):
    """Steps of the folders of results, newest first."""
    found = set()
    for data in {pair[0]['data'] for pair in pairs}:
        address = su.address_generator(setting, 'result_step_folder', data=data, step='0')
        folder, name = os.path.split(address.rstrip('/'))
        match = [
            re.match(re.escape(name[:-1]) + r'(\d+)$', entry)
            for entry in (os.listdir(folder) if os.path.isdir(folder) else [])
        ]
        found.update(int(m.group(1)) for m in match if m)
    return [str(step) for step in sorted(found, reverse=True)]
