"""``check_setting``: reports everything that is wrong with a setting at once, before any long work starts."""

import itertools
import logging
import math
import operator
from typing import Any, Dict, List

from . import artificial_generation_setting as experiments
from . import kinds, schema
from .address_fields import pattern_problem
from .data_sets import get_data_set, own_data_set
from .errors import InputError, RegNetError, join_numbers
from .experiment_files import plain
from .image_lists import mode_entries
from .network_checks import loaded_network_problems, passes_before_problems, registration_problems
from .original_files import own_image_errors, single_items

LOGGER = logging.getLogger(__name__)
_REQUIRED = ('RootFolder', 'log_root_folder', 'DataFolder', 'current_experiment', 'stage')


def find_problems(setting: Dict[str, Any]) -> List[str]:
    """Every problem of ``setting`` as a list of sentences; empty when it can be used."""
    problems = [f'{key} is missing; begin with initialize_setting.' for key in _REQUIRED if key not in setting]
    found = {key: schema.key_problems({key: value}) for key, value in setting.items()}
    # The other checks see only values of the right kind.
    usable = {key: setting[key] for key in setting if not found[key]}
    checks = [_own_data_sets, _own_images, _data, _no_training_item, _deformations, _network, _patches, _devices]
    checks += [loaded_network_problems, passes_before_problems, registration_problems, _json]
    problems += itertools.chain(*found.values(), *(check(usable) for check in checks))
    problems += _training(setting) if 'DataExpDict' in usable else []
    return list(dict.fromkeys(problems))


def check_setting(setting: Dict[str, Any]) -> None:
    """Refuse a setting that cannot be used, and log warnings about unusual choices.

    The InputError lists every problem on its own line, with the nearest valid name for a misspelt one.
    """
    problems = find_problems(setting)
    if problems:
        lines = '\n'.join(f'  - {problem}' for problem in problems)
        raise InputError(f'The settings have {len(problems)} problem{"s" if len(problems) > 1 else ""}:\n{lines}')
    for warning in find_warnings(setting):
        LOGGER.warning(warning)


def _own_data_sets(setting):
    problems = []
    for key, description in setting.get('OwnDataSets', {}).items():
        try:
            record = own_data_set(key, description)
        except RegNetError as error:
            problems.append(str(error))
            continue
        for request, pattern in sorted(record.addresses.items()):
            found = [pattern_problem(text) for text in (pattern if isinstance(pattern, tuple) else [pattern])]
            problems += [f'Data set {key!r}, address {request}: {problem}.' for problem in found if problem]
    return problems


def _own_images(setting):
    # With never_generate_image the originals are not needed.
    return [str(error) for error in own_image_errors(setting, files=not setting.get('never_generate_image'))]


def _data(setting):
    problems = []
    for number, entry in enumerate(setting.get('DataExpDict', ())):
        where = f'Entry {number} of data_exp_dict ({entry.get("data")})'
        problems += schema.key_problems(entry, schema.ENTRY, where + ': ')
        try:
            record = get_data_set(entry.get('data'), setting)
        except RegNetError as error:
            problems.append(f'{where}: {error}')
            continue
        for mode in schema.TRAIN_MODES:
            if any(mode + key in entry for key in schema.MODE_KEYS):
                problems += [f'{where}: {problem}' for problem in _mode_problems(entry, mode, record)]
    return problems


def _needed(entry, mode):
    return ('CNList', 'PairList') if mode + 'PairList' in entry else ('CNList', 'TypeImList', 'DSmoothList')


def _mode_problems(entry, mode, record):
    # Values of the wrong kind have been reported.
    values = [(key, entry.get(mode + key.name)) for key in schema.MODE]
    given = {key.name: value for key, value in values if key.kind.accepts(value)}
    needed = _needed(entry, mode)
    problems = [f'{mode}{key} is missing.' for key in needed if mode + key not in entry]
    if 'PairList' not in needed and not entry.get('deform_exp'):
        problems.append(f'deform_exp is missing, and {mode}PairList too.')
    unknown = sorted(set(given.get('CNList', ())) - set(record.CNList))
    if unknown:
        cases = join_numbers(record.CNList)
        problems.append(f'{mode}CNList has {join_numbers(unknown)}; the cases of {record.key} are {cases}.')
    types = {*given.get('TypeImList', ()), *itertools.chain(*given.get('PairList', ()))}
    unknown = sorted(number for number in types if number >= len(record.types))
    if unknown:
        types = record.type_list()
        problems.append(f'{mode} has the types {join_numbers(unknown)}; those of {record.key} are {types}.')
    if given.get('Spacing') == 'Raw' and 'OriginalImRaw' not in record.addresses:
        problems.append(f"{mode}Spacing is 'Raw', but {record.key} has isotropic images only ('RS1').")
    names = list(given.get('DeformedImExt', ['Clean']))
    if names[0] != 'Clean' or 'Clean' in names[1:]:
        problems.append(f"{mode}DeformedImExt is {names}; it must begin with 'Clean', once.")
    return problems


def _no_training_item(setting):
    """Lists of training cases, types and deformations that together give no item."""
    empty = []
    for entry in setting.get('DataExpDict', ()):
        if not any('Training' + key in entry for key in schema.MODE_KEYS):
            continue
        lists = {'Training' + key: entry.get('Training' + key) for key in _needed(entry, 'Training')}
        # Missing lists and values that are not lists have been reported.
        if not all(isinstance(value, (list, tuple)) for value in lists.values()) or all(lists.values()):
            return []
        empty += [key for key, value in lists.items() if not value]
    names = ' and '.join(dict.fromkeys(empty))
    return [f'data_exp_dict has keys of Training but no training item: {names} is empty.'] if empty else []


def _experiments(setting):
    """The usable deformation experiments of the entries, name -> content, and the problems of their names."""
    contents, problems = {}, []
    for name in [entry['deform_exp'] for entry in setting.get('DataExpDict', ()) if entry.get('deform_exp')]:
        try:
            content = experiments.get_deform_exp(setting, name)
        except RegNetError as error:
            problems.append(str(error))
            continue
        if not experiments.deform_exp_problems(name, content):
            contents[name] = content
    return contents, problems


def _deformations(setting):
    contents, problems = _experiments(setting)
    for name, content in setting.get('deform_exp', {}).items():
        problems += experiments.deform_exp_problems(name, content)
    margin, pad = setting.get('InputMargin'), f'DVFPad_S{setting.get("stage")}'
    if margin is not None and setting.get(pad):
        problems.append(f'InputMargin is {margin}; with it {pad} must be 0.')
    for name, content in contents.items():
        mask = content['MaskToZero']
        if margin is not None and not setting.get('InputMask') and mask is None:
            problems.append(f'InputMargin is {margin}, but neither InputMask nor MaskToZero of {name} names a mask.')
        if mask is not None and setting.get(f'Use{mask}Mask') is False:
            problems.append(f'{name}: MaskToZero is {mask!r} but Use{mask}Mask is False.')
        if 'respiratory_motion' in content['DeformMethods'] and mask is None:
            problems.append(f"{name}: respiratory_motion needs MaskToZero 'Torso' or 'Lung'.")
        if setting.get('UseLungMask') is False:
            needing = [method for method in ('respiratory_motion', 'sliding') if method in content['DeformMethods']]
            needing += ['ScanVariety'] * bool(content['ScanVariety'])
            problems += [f'{name}: {what} needs the lung masks, but UseLungMask is False.' for what in needing]
        last = setting.get('ClassBalanced', [0])[-1]
        if last > content['MaxDeform']:
            problems.append(f'ClassBalanced ends at {last} mm, above MaxDeform of {name}, {content["MaxDeform"]} mm.')
    return problems


def _network(setting):
    from ..network.description import NETWORKS, network_description

    problems = []
    name, full_image = setting.get('NetworkDesign'), setting.get('FullImage')
    if name in NETWORKS:
        description = network_description(name)
        if full_image and not description.full_image:
            problems.append(f'FullImage must be False: {name} predicts only the middle of its input.')
        normalisation = setting.get('normalization')
        if description.reads_hu and normalisation is not None:
            problems.append(f'normalization is {normalisation!r}; {name} reads HU, so that only None is accepted.')
        too_little = description.memory_problem(setting.get('MaximumMemory') or math.inf)
        problems += [f'MaximumMemory: {too_little}'] if too_little else []
        inspects = setting.get('NetworkTraining', {}).get('inspecting_regularization_weight')
        if description.predicts == 'error' and inspects:
            problems.append(f'inspecting_regularization_weight must be False: {name} has no bending energy.')
        unit = setting.get('SizeUnit', description.size_unit)
        if unit % description.size_unit:
            problems.append(f'SizeUnit is {unit}; {name} takes multiples of {description.size_unit}.')
    elif name is not None:
        problems.append(kinds.choice(*sorted(NETWORKS)).problem('NetworkDesign', name))
    for key, side in setting.get('PadTo', {}).items():
        if side is not None and full_image and not _valid_side(setting, side):
            problems.append(f'PadTo.{key} is {side}; {name} takes sides of {_side_rule(setting)}.')
    if setting.get('only_generate_image') and setting.get('never_generate_image'):
        problems.append('only_generate_image and never_generate_image exclude each other.')
    return problems


def _valid_side(setting, side):
    unit, offset = setting.get('SizeUnit', 1), setting.get('SizeOffset', 0)
    return side >= offset and (side - offset) % unit == 0


def _side_rule(setting):
    return f'{setting.get("SizeUnit", 1)} k + {setting.get("SizeOffset", 0)}'


def _patches(setting):
    problems = []
    if 'R' in setting and 'Ry' in setting and setting['R'] < setting['Ry']:
        problems.append(f'R ({setting["R"]}) must be at least Ry ({setting["Ry"]}).')
    if setting.get('FullImage'):
        return problems
    side = 2 * setting.get('R', 0) + 1
    if 'R' in setting and not _valid_side(setting, side):
        rule = f'{setting.get("NetworkDesign")} takes sides of {_side_rule(setting)}'
        problems.append(f'R is {setting["R"]}, a side of {side} voxels; {rule}.')
    for name in ('NetworkTraining', 'NetworkValidation'):
        queue = setting.get(name, {})
        sizes = [queue.get(key) for key in ('NumberOfImagesPerChunk', 'SamplesPerImage', 'BatchSize')]
        if None not in sizes and sizes[2] > sizes[0] * sizes[1]:
            problems.append(f'{name}: BatchSize {sizes[2]} exceeds the {sizes[0] * sizes[1]} samples of a chunk.')
    return problems


def _devices(setting):
    batch, gpus = setting.get('NetworkTraining', {}).get('BatchSize', 0), max(1, setting.get('NumberOfGPU', 0))
    if batch % gpus == 0 or 'DataExpDict' not in setting or not mode_entries(setting, 'Training'):
        return []
    return [f'NetworkTraining: BatchSize {batch} must be a multiple of NumberOfGPU, {gpus}.']


def missing_for_reading(setting, mode):
    """What is missing to read the items of a mode, 'Training' or 'Validation', as sentences."""
    section = f'Network{mode}'
    is_full, queue = setting.get('FullImage'), setting.get(section, {})
    of_queue = ['NumberOfImagesPerChunk', 'BatchSize'] + ([] if is_full else ['SamplesPerImage'])
    # A queue of the wrong kind has been reported.
    missing = [f'{section}.{key}' for key in of_queue if isinstance(queue, dict) and key not in queue]
    missing += [] if is_full else [key for key in ('R', 'Ry', 'ClassBalanced') if key not in setting]
    return [f'{key} is missing.' for key in missing]


def _training(setting):
    """What is missing to train the network that is loaded; ``DataExpDict`` is of the right kind."""
    given = [mode for mode in ('Training', 'Validation') if mode_entries(setting, mode)]
    if 'Training' not in given or not setting.get('NetworkDesign') or setting.get('only_generate_image'):
        return []
    return list(itertools.chain(*(missing_for_reading(setting, mode) for mode in given)))


def _json(setting):
    try:
        plain(setting)
    except InputError as error:
        return [str(error)]
    return []


def _without_effect(values, keys, legacy, prefix=''):
    changed = [key for key in legacy if key in values and values[key] != keys[key].default]
    return [f'{prefix}{key} is {values[key]!r}, but this setting has no effect.' for key in changed]


def find_warnings(setting):
    """Choices that are allowed but unusual, as sentences; for a setting without problems."""
    warnings = ['Randomness is False.'] if setting.get('Randomness') is False else []
    warnings += _without_effect(setting, schema.KEYS, schema.LEGACY)
    for name, content in setting.get('deform_exp', {}).items():
        warnings += _without_effect(content, experiments.DEFORM_KEYS, experiments.LEGACY_DEFORM_KEYS, f'{name}: ')
    if setting.get('FullImage') and setting.get('stage') in (1, 2):
        warnings.append(f'Whole images at stage {setting["stage"]} take much memory.')
    if 'DataExpDict' not in setting:
        return warnings
    training, validation = (single_items(setting, mode) for mode in ('Training', 'Validation'))
    size = (setting.get('NetworkTraining') or {}).get('NumberOfImagesPerChunk')
    last = len(training) % size if size else 0
    if 0 < last < 10:
        warnings.append(f'{len(training)} training images in chunks of {size}: the last chunk has only {last}.')
    identity = operator.itemgetter('data', 'type_im', 'cn', 'deform_exp', 'dsmooth')
    seen = set(map(identity, training))
    shared = sum(identity(item) in seen for item in validation)
    if shared:
        warnings.append(f'{shared} of {len(validation)} validation items are training items too.')
    return warnings
