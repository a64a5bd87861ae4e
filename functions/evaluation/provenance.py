"""Where a result comes from, for its report: settings, versions, training."""

import collections
import json
import os
import platform

import matplotlib
import numpy as np
import scipy
import SimpleITK as sitk

from ..setting import setting_utils as su
from ..setting.experiment_files import newest_number, settings_number
from ..setting.kinds import ANYTHING, MAPPING, list_of, optional
from ..setting.result_names import RESULTS
from ..setting.text_files import read_record
from ..setting.trained_models import ERROR_MAP, find_experiment
from .experiments import result_facts

#: facts: list of (name, text); texts: list of (title, text), shown on demand; curves: list of (network, bytes of the
#: PNG that its training drew).
_ABOUT = {'code': optional(MAPPING), 'packages': optional(MAPPING), 'command_line': optional(list_of(ANYTHING))}
Source = collections.namedtuple('Source', 'facts texts curves')


def experiment_source(experiment):
    """:class:`Source` of an experiment: its settings, and the training of every network it used."""
    setting, networks, texts, curves = experiment.setting, [], [], []
    stages = setting.get('stage_list', [])
    facts = [('experiment', experiment.name), ('pyramid', _text(stages)), ('checkpoint', f'step {experiment.step}')]
    facts.append(('affine registration before', setting.get('BaseReg', 'none')))
    for stage in stages:
        entry = setting.get('network_dict', {}).get(f'stage{stage}') or {}
        networks.append(entry.get('NetworkLoad') or experiment.name)
        design = entry.get('NetworkDesign', 'design as trained')
        facts.append((f'network of stage {stage}', f'{networks[-1]}, {design}'))
    errors = setting.get('network_dict', {}).get(ERROR_MAP)
    if errors:
        networks.append(errors['NetworkLoad'])
        facts.append(('network of errors', errors['NetworkLoad']))
    for network in dict.fromkeys(networks):
        place, name = find_experiment(setting, network)
        folder = su.address_generator(place, 'ModelFolder', current_experiment=name)
        facts += [(f'{network}: {what}', text) for what, text in _about(folder)]
        curve = os.path.join(folder, 'Plots', 'training_curve.png')
        if os.path.isfile(curve):
            with open(curve, 'rb') as stream:
                curves.append((network, stream.read()))
        number = settings_number(place, name)
        if number is not None:
            texts.append((f'All settings of {network}', _json(su.read_setting(place, name, number))))
    return Source(facts + [versions()], texts, curves)


def result_source(source, result):
    """:class:`Source` of a result, from the source of its experiment, or None, and the record beside it."""
    path = result.dvf or result.affine
    recorded = result_facts(path) if path else {}
    facts = [('result', path), ('affine transform', result.affine if result.dvf else None)]
    facts += [(name, recorded.get(name)) for name in ('InputMask', 'masks', 'method', 'parameters', 'stages')]
    facts += _passes(recorded)
    known = source or Source([versions()], [], [])
    texts = [('registration.json', _json(recorded))] if recorded else []
    facts = [(name, _text(value)) for name, value in facts if value]
    return Source(facts + known.facts, known.texts + texts, known.curves)


def folder_source(folder, record):
    """:class:`Source` of a folder of results of ``--register``, from the content of its ``results.json``."""
    settings = record['settings']
    names = ('fixed', 'moving', 'stages', 'affine', 'input_mask', 'composition', 'grid')
    facts = [('result', os.path.abspath(folder))] + [(name, settings.get(name)) for name in names] + _passes(record)
    seconds = {name: f'{value:.1f}' for name, value in (record.get('seconds') or {}).items()}
    facts += [('registered with', _listed(record.get('versions') or {})), ('seconds', _listed(seconds))]
    facts = [(name, _text(value)) for name, value in facts if value]
    return Source(facts + [versions()], [(RESULTS, _json(record))], [])


def _passes(record):
    """Which passes a registration used and left out, and how well it agrees with the way back, as its record says."""
    measures = record.get('measures') or {}
    found = [measures.get(name) for name in ('expected_error_mm', 'inverse_consistency_mm')]
    expected, residual = [lengths and 'mean {mean:.2f} mm, 95 % {p95:.2f} mm'.format(**lengths) for lengths in found]
    facts = [
        ('kind of result', measures.get('result')),
        ('passes used', measures.get('used')),
        ('passes left out', measures.get('left_out')),
    ]
    return facts + [('expected error', expected), ('there and back again', residual)]


def versions():
    """What the report was made with: (name, text)."""
    packages = {package.__name__: package.__version__ for package in (matplotlib, np, scipy)}
    packages.update(Python=platform.python_version(), SimpleITK=sitk.Version.VersionString())
    return 'evaluated with', _listed(packages)


def _about(folder):
    """What the newest ``about<k>.json`` of a model says: list of (name, text)."""
    number = newest_number(folder, 'about', '.json')
    if number is None:
        return []
    about = read_record(os.path.join(folder, f'about{number}.json'), _ABOUT)
    code = about.get('code') or {}
    state = f'{code.get("commit") or "no commit"}{" with changes" if code.get("changed") else ""}'
    found = {
        'trained': about.get('started'),
        'command line': ' '.join(map(str, about.get('command_line') or [])),
        'Python': about.get('python'),
        'system': about.get('system'),
        'packages': _listed(about.get('packages') or {}),
        'code': f'{state}, checksum {code.get("checksum")}' if code else None,
    }
    return [(name, str(text)) for name, text in found.items() if text]


def _listed(packages):
    """Names and versions as one text."""
    return ', '.join(f'{name} {version}' for name, version in sorted(packages.items()))


def _text(value):
    return ', '.join(str(item) for item in value) if isinstance(value, list) else str(value)


def _json(content):
    return json.dumps(content, indent=2, sort_keys=True)
