"""What is wrong with the networks that training starts from and that registration uses."""

import os
import re

from functions.setting import schema
from functions.setting.addresses import address_generator
from functions.setting.errors import RegNetError, join_numbers, nearest_hint
from functions.setting.schema import ABSENT, Key, choice, either, whole
from functions.setting.trained_models import find_experiment, saved_steps

_STAGES = {'stage1': 1, 'stage2': 2, 'stage4': 4}
_BASE_REGISTRATION = choice('Identity', 'Affine')
_STEP = schema.Kind(
    lambda value: (
        whole(0).accepts(value) or (isinstance(value, str) and bool(re.match(r'(Last|Auto|Best|\d+)\Z', value)))
    ),
    "'Last', 'Auto', 'Best' or a whole number",
)
_AUTO = either(choice('Auto'), whole(0))
_WHERE = [
    Key('NetworkLoad', schema.TEXT, ABSENT, 'experiment the weights come from'),
    Key('GlobalStepLoad', _STEP, ABSENT, "its checkpoint; 'Last' where left out"),
]
#: Keys of ``LoadedNetwork``, and of an entry of ``network_dict``.
LOADED_NETWORK_KEYS = _WHERE + [
    Key('BatchSize', _AUTO, ABSENT, "batch size it was trained with; 'Auto': what its settings say"),
    Key('itr_load', _AUTO, ABSENT, "first iteration; 0 where left out, 'Auto': continue counting"),
    Key('semi_epoch_load', _AUTO, ABSENT, "first semi-epoch; 0 where left out, 'Auto': continue counting"),
]
NETWORK_KEYS = _WHERE + [
    Key('NetworkDesign', schema.TEXT, ABSENT, 'network of that experiment'),
    Key('R', _AUTO, ABSENT, 'half side of the image patch'),
    Key('Ry', _AUTO, ABSENT, 'half side of the DVF patch'),
    Key('Ry_erode', _AUTO, ABSENT, 'voxels removed at the border of every tile'),
    Key('MaskToZero', schema.MASK, ABSENT, 'mask the network was trained with'),
    Key('stage', schema.STAGE, ABSENT, 'the stage again'),
]


def loaded_network_problems(setting):
    """Problems of ``LoadedNetwork``: None, or {'NetworkLoad': experiment, 'GlobalStepLoad': step}."""
    entry = setting.get('LoadedNetwork')
    return [] if entry is None else _entry_problems(setting, 'LoadedNetwork', entry, LOADED_NETWORK_KEYS)


def registration_problems(setting):
    """What a registration needs; nothing is asked of settings that name no network to register with.

    The experiment being trained has no checkpoint yet, every other one must have.
    """
    networks = setting.get('network_dict')
    if networks is None:
        return []
    stages = setting.get('stage_list', [])
    problem = _BASE_REGISTRATION.problem('BaseReg', setting.get('BaseReg', 'Identity'))
    problems = [problem] if problem else []
    problems += [
        f'network_dict has no {key!r}, which stage_list {stages} needs.'
        for key in dict.fromkeys(f'stage{stage}' for stage in stages)
        if key not in networks
    ]
    for key, entry in networks.items():
        where = f'network_dict.{key}'
        if key not in _STAGES:
            names = ', '.join(_STAGES)
            problems.append(f'{where} is not a setting; accepted: {names}.{nearest_hint(key, _STAGES)}')
            continue
        # Stages that this registration leaves out need no checkpoint.
        problems += _entry_problems(setting, where, entry, NETWORK_KEYS, _STAGES[key] in stages)
        problems += _repeated_key_problems(where, entry, _STAGES[key])
    return problems


def _entry_problems(setting, where, entry, keys, used=True):
    if not isinstance(entry, dict):
        return [f"{where} is {entry!r}; accepted: a dictionary with 'NetworkLoad', the name of an experiment."]
    problems = schema.key_problems(entry, keys, where + '.')
    if 'NetworkLoad' not in entry:
        problems.append(f'{where}.NetworkLoad is missing; it is the name of a trained experiment.')
    return problems or (_checkpoint_problems(setting, where, entry) if used else [])


def _repeated_key_problems(where, entry, stage):
    """Problems of the keys that repeat what a network's own settings say."""
    from functions.network.description import NETWORKS

    if not isinstance(entry, dict):
        return []
    problems = []
    if schema.STAGE.accepts(entry.get('stage')) and entry['stage'] != stage:
        problems.append(f'{where}.stage is {entry["stage"]}; accepted: {stage}.')
    design = entry.get('NetworkDesign')
    if schema.TEXT.accepts(design) and design not in NETWORKS:
        problems.append(choice(*sorted(NETWORKS)).problem(f'{where}.NetworkDesign', design))
    return problems


def _checkpoint_problems(setting, where, entry):
    if 'log_root_folder' not in setting or 'current_experiment' not in setting:
        return []
    experiment, step = entry['NetworkLoad'], str(entry.get('GlobalStepLoad', 'Last'))
    try:
        place, name = find_experiment(setting, experiment)
        prefix = address_generator(place, 'saved_model', current_experiment=name)
        if prefix == address_generator(setting, 'saved_model'):
            return []
        steps = saved_steps(place, name)
    except RegNetError as error:
        return [f'{where}.NetworkLoad: {error}']
    folder = os.path.dirname(prefix)
    if not steps:
        return [f'{where}.NetworkLoad: {experiment} has no checkpoint in {folder}.']
    if step.isdigit() and int(step) not in steps:
        there = join_numbers(steps)
        return [f'{where}.GlobalStepLoad: {experiment} has no checkpoint of step {step} in {folder}; there is {there}.']
    return []
