"""Checks of the networks that training starts from and that registration uses."""

import os

from . import kinds, schema
from .addresses import address_generator
from .errors import RegNetError, join_numbers, nearest_hint
from .trained_models import ERROR_MAP, SYMMETRIC, find_experiment, saved_steps


def loaded_network_problems(setting):
    """Problems of ``LoadedNetwork``."""
    entry = setting.get('LoadedNetwork')
    return [] if entry is None else _entry_problems(setting, 'LoadedNetwork', entry, schema.LOADED_NETWORK)


def registration_problems(setting):
    """Problems of ``network_dict``, if any, whose experiments but the one being trained need a checkpoint, and of
    BaseReg.
    """
    networks = setting.get('network_dict')
    if networks is None:
        return []
    base, known = setting.get('BaseReg', 'Identity'), kinds.choice('Identity', 'Affine')
    problems = [] if known.accepts(base) else [known.problem('BaseReg', base)]
    stages, more = setting.get('stage_list', []), {ERROR_MAP: None}
    return problems + _pyramid_problems(setting, 'network_dict', networks, stages, 'stage', more, (SYMMETRIC,))


def passes_before_problems(setting):
    """Problems of the networks of ``PassesBefore``."""
    before = setting.get('PassesBefore') or {}
    networks = {stage: {'NetworkLoad': name} for stage, name in before.get('networks', {}).items()}
    stages = before.get('stages', []) if networks else []
    stage, voxel = setting.get('stage'), before.get('voxel')
    voxel = stage if voxel is None else voxel
    if networks and all(map(schema.STAGE.accepts, (stage, voxel))) and voxel > min([stage, *stages]):
        text = f'PassesBefore.voxel is {voxel}; accepted: no more than the stage ({stage}) and any of {stages}.'
        return [text]
    return _pyramid_problems(setting, 'PassesBefore.networks', networks, stages)


def _pyramid_problems(setting, name, networks, stages, prefix='', more=None, flags=()):
    """``more``: further keys of ``networks``, which are used whatever the stages -> None; ``flags``: keys that are True
    or False.
    """
    keys = dict({f'{prefix}{stage}': stage for stage in (1, 2, 4)}, **more or {})
    missing = [f'{prefix}{stage}' for stage in dict.fromkeys(stages) if f'{prefix}{stage}' not in networks]
    problems = [f'{name} has no {key!r}, which the pyramid {stages} needs.' for key in missing]
    for key, entry in networks.items():
        where, stage = f'{name}.{key}', keys.get(key)
        if key in flags:
            problems += [] if kinds.FLAG.accepts(entry) else [kinds.FLAG.problem(where, entry)]
            continue
        if key not in keys:
            known = [*keys, *flags]
            problems.append(f'{where} is not a setting; accepted: {", ".join(known)}.{nearest_hint(key, known)}')
            continue
        # Stages that this registration leaves out need no checkpoint.
        problems += _entry_problems(setting, where, entry, schema.NETWORK, stage is None or stage in stages)
        problems += _repeated_key_problems(where, entry, stage)
    return problems


def _entry_problems(setting, where, entry, keys, used=True):
    if not isinstance(entry, dict):
        return [f"{where} is {entry!r}; accepted: a dictionary with 'NetworkLoad', the name of an experiment."]
    problems = schema.key_problems(entry, keys, where + '.')
    if 'NetworkLoad' not in entry:
        problems.append(f'{where}.NetworkLoad is missing; it is the name of a trained experiment.')
    return problems or (_checkpoint_problems(setting, where, entry) if used else [])


def _repeated_key_problems(where, entry, stage):
    """Problems of the keys that repeat the network's own settings."""
    from ..network.description import NETWORKS

    if not isinstance(entry, dict):
        return []
    problems = []
    if stage and schema.STAGE.accepts(entry.get('stage')) and entry['stage'] != stage:
        problems.append(f'{where}.stage is {entry["stage"]}; accepted: {stage}.')
    design = entry.get('NetworkDesign')
    if kinds.TEXT.accepts(design) and design not in NETWORKS:
        problems.append(kinds.choice(*sorted(NETWORKS)).problem(f'{where}.NetworkDesign', design))
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
        text = f'{experiment} has no checkpoint of step {step} in {folder}; there is {join_numbers(steps)}.'
        return [f'{where}.GlobalStepLoad: {text}']
    return []
