"""Where a result comes from, for its report: settings, versions, training."""

import collections
import json
import os
import platform

import matplotlib
import numpy as np
import scipy
import SimpleITK as sitk

from functions.evaluation.experiments import result_facts, settings_number
from functions.setting import setting_utils as su
from functions.setting.atomic import read_json, read_json_lines
from functions.setting.experiment_files import newest_number
from functions.setting.trained_models import find_experiment

#: facts: list of (name, text); texts: list of (title, text), shown when asked for; curves: list of (title,
#: lines of a ``log.jsonl``).
Source = collections.namedtuple('Source', 'facts texts curves')


def experiment_source(experiment):
    """:class:`Source` of an experiment: its settings, and of every network it used the training.

    :param experiment: :class:`functions.evaluation.experiments.Experiment`.
    """
    setting, facts, texts, curves = experiment.setting, [], [], []
    facts.append(('experiment', experiment.name))
    stages = setting.get('stage_list', [])
    facts.append(('pyramid', ', '.join(str(stage) for stage in stages)))
    facts.append(('checkpoint', f'step {experiment.step}'))
    facts.append(('affine registration before', setting.get('BaseReg', 'none')))
    networks = collections.OrderedDict()
    for stage in stages:
        entry = setting.get('network_dict', {}).get(f'stage{stage}') or {}
        network = entry.get('NetworkLoad') or experiment.name
        networks.setdefault(network, []).append(stage)
        facts.append(
            (f'network of stage {stage}', '{}, {}'.format(network, entry.get('NetworkDesign', 'design as trained')))
        )
    for network in networks:
        place, name = find_experiment(setting, network)
        folder = su.address_generator(place, 'ModelFolder', current_experiment=name)
        facts += [(f'{network}: {name}', text) for name, text in _about(folder)]
        lines = journal_lines(os.path.join(folder, 'log.jsonl'))
        if lines:
            curves.append((network, lines))
        number = settings_number(place, name)
        if number is not None:
            texts.append((f'All settings of {network}', _json(su.read_setting(place, name, number))))
    return Source(facts + versions(), texts, curves)


def result_source(source, task):
    """The :class:`Source` of one registration: what is known of its experiment (or None), and what stands
    beside its result."""
    path = task.dvf or task.affine
    facts = result_facts(path) if path else {}
    first = [('result', path)] + ([('affine transform', task.affine)] if task.affine and task.dvf else [])
    first += [
        (name, str(value))
        for name, value in sorted(facts.items())
        if name in ('method', 'masks', 'parameters', 'stages', 'InputMask') and value is not None
    ]
    known = source or Source(versions(), [], [])
    texts = [('registration.json', _json(facts))] if facts else []
    return Source([fact for fact in first if fact[1]] + known.facts, known.texts + texts, known.curves)


def versions():
    """What the report was made with: list of (name, text)."""
    return [
        (
            'evaluated with',
            f'Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}, SimpleITK '
            f'{sitk.Version.VersionString()}, matplotlib {matplotlib.__version__}',
        )
    ]


def journal_lines(path):
    """Lines of a ``log.jsonl``; [] where there is none. A line cut short by a crash is left out."""
    if not os.path.isfile(path):
        return []
    return [line for line in read_json_lines(path) if isinstance(line, dict) and 'iteration' in line]


def _about(folder):
    """What the newest ``about<k>.json`` of a model says: list of (name, text)."""
    number = newest_number(folder, 'about', '.json')
    if number is None:
        return []
    about = read_json(os.path.join(folder, f'about{number}.json'))
    code, packages = about.get('code') or {}, about.get('packages') or {}
    found = [
        ('trained', about.get('started')),
        ('command line', ' '.join(about.get('command_line') or [])),
        ('Python', about.get('python')),
        ('system', about.get('system')),
        ('packages', ', '.join('{} {}'.format(*item) for item in sorted(packages.items()))),
        (
            'code',
            '{}{}, checksum {}'.format(
                code.get('commit') or 'no commit', ' with changes' if code.get('changed') else '', code.get('checksum')
            )
            if code
            else None,
        ),
    ]
    return [(name, str(text)) for name, text in found if text]


def _json(content):
    return json.dumps(content, indent=2, sort_keys=True)
