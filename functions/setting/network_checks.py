"""What is wrong with the networks that training begins from and that registration uses."""

import os
import re

from functions.setting import schema
from functions.setting.addresses import address_generator
from functions.setting.errors import RegNetError
from functions.setting.key_checks import join_numbers, key_problems, nearest_hint
from functions.setting.trained_models import find_experiment, saved_steps

#: 'Affine': by elastix, or SimpleITK where there is none.
_BASE_REGISTRATIONS = ('Identity', 'Affine')
_STAGES = {'stage1': 1, 'stage2': 2, 'stage4': 4}
_STEP = schema.Kind(
    lambda value: (
        schema.whole(0).accepts(value) or isinstance(value, str) and bool(re.match(r'(Last|Auto|Best|[0-9]+)\Z', value))
    ),
    "'Last', 'Auto', 'Best' or a whole number",
)
_RADIUS = schema.either(schema.choice('Auto'), schema.whole(0))


def _key(name, kind, meaning):
    return schema.Key(name, kind, schema.ABSENT, meaning)


_WHERE = [
    _key('NetworkLoad', schema.TEXT, 'experiment the weights come from'),
    _key('GlobalStepLoad', _STEP, "its checkpoint; 'Last' where left out"),
]
_COUNT = schema.either(schema.choice('Auto'), schema.whole(0))
#: Keys of ``LoadedNetwork``, and of an entry of ``network_dict``.
LOADED_NETWORK_KEYS = _WHERE + [
    _key('BatchSize', _COUNT, "batch size it was trained with; 'Auto': what its settings say"),
    _key('itr_load', _COUNT, "first iteration; 0 where left out, 'Auto': goes on counting"),
    _key('semi_epoch_load', _COUNT, "first semi-epoch; 0 where left out, 'Auto': goes on counting"),
]
NETWORK_KEYS = _WHERE + [
    _key('NetworkDesign', schema.TEXT, 'network of that experiment'),
    _key('R', _RADIUS, 'half side of the image patch'),
    _key('Ry', _RADIUS, 'half side of the DVF patch'),
    _key('Ry_erode', _RADIUS, 'voxels removed at the border of every tile'),
    _key('MaskToZero', schema.optional(schema.choice(*schema.MASKS)), 'mask the network was trained with'),
    _key('stage', schema.STAGE, 'the stage again'),
]


def loaded_network_problems(setting):
    """Problems of ``LoadedNetwork``: None, or {'NetworkLoad': experiment, 'GlobalStepLoad': step}."""
    if setting.get('LoadedNetwork') is None:
        return []
    return _entry_problems(setting, 'LoadedNetwork', setting['LoadedNetwork'], LOADED_NETWORK_KEYS)


def registration_problems(setting):
    """What a registration needs; nothing is asked of settings that name no network to register with.

    The experiment being trained has no checkpoint yet, every other one must have.
    """
    networks = setting.get('network_dict')
    if networks is None:
        return []
    problems = []
    if setting.get('BaseReg') not in (None,) + _BASE_REGISTRATIONS:
        problems.append(
            'BaseReg is {!r}; accepted: {}.{}'.format(
                setting['BaseReg'],
                ', '.join(map(repr, _BASE_REGISTRATIONS)),
                nearest_hint(setting['BaseReg'], list(_BASE_REGISTRATIONS)),
            )
        )
    stages = setting.get('stage_list', [])
    problems += [
        f'network_dict has no {key!r}, which stage_list {stages} needs.'
        for key in (f'stage{stage}' for stage in stages)
        if key not in networks
    ]
    for key, entry in networks.items():
        where = f'network_dict.{key}'
        if key not in _STAGES:
            problems.append(
                '{} is not a setting; accepted: {}.{}'.format(
                    where, ', '.join(sorted(_STAGES)), nearest_hint(key, list(_STAGES))
                )
            )
            continue
        # Stages that this registration leaves out need no checkpoint.
        problems += _entry_problems(setting, where, entry, NETWORK_KEYS, _STAGES[key] in stages)
        problems += _stage_and_design(where, entry, _STAGES[key])
    return problems


def _entry_problems(setting, where, entry, keys, used=True):
    if not isinstance(entry, dict):
        return [f"{where} is {entry!r}; accepted: a dictionary with 'NetworkLoad', the name of an experiment."]
    problems = key_problems(entry, keys, where + '.')
    if 'NetworkLoad' not in entry:
        problems.append(f'{where}.NetworkLoad is missing; it is the name of a trained experiment.')
    return problems or (_checkpoint_problems(setting, where, entry) if used else [])


def _stage_and_design(where, entry, stage):
    """Problems of the keys that repeat what a network's own settings say."""
    from functions.network.description import NETWORKS

    problems = []
    if isinstance(entry, dict):
        if schema.STAGE.accepts(entry.get('stage')) and entry['stage'] != stage:
            problems.append('{}.stage is {}; accepted: {}.'.format(where, entry['stage'], stage))
        design = entry.get('NetworkDesign')
        if schema.TEXT.accepts(design) and design not in NETWORKS:
            problems.append(
                '{}.NetworkDesign is {!r}; accepted: {}.{}'.format(
                    where, design, ', '.join(sorted(NETWORKS)), nearest_hint(design, list(NETWORKS))
                )
            )
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
    if not steps:
        return [f'{where}.NetworkLoad: {experiment} has no checkpoint in {os.path.dirname(prefix)}.']
    if step.isdigit() and int(step) not in steps:
        return [
            f'{where}.GlobalStepLoad: {experiment} has no checkpoint of step {step} in {os.path.dirname(prefix)}; '
            f'there is {join_numbers(steps)}.'
        ]
    return []
