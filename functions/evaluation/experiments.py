"""The finished registrations of experiments, found at their addresses."""

import collections
import logging
import os
import re

from ..image.manifest import check_outputs, listed_files
from ..setting import setting_utils as su
from ..setting.addresses import result_address
from ..setting.errors import InputError, RegNetError, unknown_name
from ..setting.experiment_files import settings_number
from ..setting.kinds import number, optional
from ..setting.text_files import read_record
from .measured_pairs import Result
from .pair_record import pair_name

LOGGER = logging.getLogger(__name__)

#: One experiment: name; setting (dictionary); pairs it had to register ([fixed, moving] each); step (text) of the
#: checkpoint whose results were found, or None; results: list of :class:`functions.evaluation.measured_pairs.Result`;
#: missing: one text for each pair without a result.
Experiment = collections.namedtuple('Experiment', 'name setting pairs step results missing')

_PLACES = ('RootFolder', 'DataFolder', 'log_root_folder', 'where_to_run')


def open_experiment(setting, name, own_settings=True):
    """The :class:`Experiment` of a name, as in ``current_experiment``, or of a set of networks such as ``chest``.

    :param setting: says where everything is.
    :param own_settings: take pairs, pyramid and networks from its newest settings file, if there is one; False: from
        ``setting``.
    :raises UnknownNameError: there is no such experiment. :raises InputError: its settings name no pair to register.
    """
    folder = su.address_generator(setting, 'log_folder', current_experiment=name).rstrip('/')
    if not os.path.isdir(folder):
        others, part = os.path.dirname(folder), name.rpartition('/')[0]
        found = sorted(os.listdir(others)) if os.path.isdir(others) else []
        raise unknown_name('experiment', name, [part + '/' + other if part else other for other in found])
    number = settings_number(setting, name) if own_settings else None
    known = dict(setting, current_experiment=name)
    if number is not None:
        # Folders may have moved, or be elsewhere on this machine.
        places = {key: setting[key] for key in _PLACES if key in setting}
        known = dict(su.read_setting(setting, name, number), current_experiment=name, **places)
    if su.network_set(name):
        known = su.register_only(known, name)
    pairs = su.get_im_info_list_from_train_mode(known, 'Testing', load_mode='Pair', stage=1)
    if not pairs:
        remedy = 'give some by --setting FILE'
        raise InputError(f'The settings of {name} name no pair to register (TestingCNList, TestingPairList); {remedy}.')
    step = _step(known, name, pairs)
    results, missing = [], []
    for pair in pairs:
        dvf, moved, errors = [None] * 3 if step is None else _paths(known, pair, step)
        if dvf is None or not os.path.isfile(dvf):
            missing.append(f'{name} has no result for {pair_name(pair)}')
            continue
        facts = result_facts(dvf)
        problem = check_outputs(os.path.dirname(dvf), facts.get('outputs', []))[0]
        if problem:
            missing.append(f'{name} has no whole result for {pair_name(pair)}: {problem}')
            continue
        moved = moved if os.path.isfile(moved) else None
        # Another registration may have left one.
        written = [output['path'] for output in facts.get('outputs') or []]
        errors = errors if os.path.basename(errors) in written else None
        symmetric = facts.get('symmetric', False)  # earlier versions knew one way only
        results.append(Result(name, pair, dvf, None, moved, facts.get('seconds'), errors, symmetric))
    return Experiment(name, known, pairs, step, results, missing)


def result_facts(path):
    """What ``registration.json`` beside a result says; {} where there is none."""
    path = os.path.join(os.path.dirname(path), 'registration.json')
    shape = {'seconds': optional(number(0)), 'outputs': listed_files()}
    return read_record(path, shape) if os.path.isfile(path) else {}


def _paths(setting, pair, step):
    return [result_address(setting, request, pair, step) for request in ('dvf_s0', 'MovedIm', 'error_map')]


def _step(setting, name, pairs):
    """Step of the checkpoint of the last stage: that of the settings if it has results, else the newest with some."""
    entry = setting.get('network_dict', {}).get(f'stage{setting["stage_list"][-1]}') or {}
    wanted = []
    try:
        wanted = [su.get_global_step(setting, entry.get('GlobalStepLoad', 'Last'), entry.get('NetworkLoad') or name)]
    except RegNetError as error:
        LOGGER.info('%s: %s The newest results are used.', name, error)
    for step in wanted + _steps_on_disk(setting, pairs):
        if any(os.path.isfile(_paths(setting, pair, step)[0]) for pair in pairs):
            if wanted and step != wanted[0]:
                LOGGER.warning('%s has no results of step %s; those of step %s are used.', name, wanted[0], step)
            return step
    return None


def _steps_on_disk(setting, pairs):
    """Steps of the folders of results, newest first."""
    found = set()
    for data in {pair[0]['data'] for pair in pairs}:
        address = su.address_generator(setting, 'result_step_folder', data=data, step='0')
        folder, name = os.path.split(address.rstrip('/'))
        for entry in os.listdir(folder) if os.path.isdir(folder) else []:
            found.update(map(int, re.findall('^' + re.escape(name[:-1]) + r'(\d+)$', entry)))
    return [str(step) for step in sorted(found, reverse=True)]
