"""``check_setting``: everything that is wrong with a setting, told at once, before any long work starts."""

import collections
import logging

from functions.setting import schema
from functions.setting.artificial_generation_setting import get_deform_exp, load_deform_exp_setting
from functions.setting.data_sets import get_data_set, own_data_set
from functions.setting.errors import InputError, RegNetError
from functions.setting.experiment_files import plain
from functions.setting.key_checks import join_numbers, key_problems, nearest_hint
from functions.setting.network_checks import loaded_network_problems, registration_problems
from functions.setting.originals import single_items
from functions.setting.own_image_checks import own_image_errors
from functions.setting.placeholders import pattern_problem

LOGGER = logging.getLogger(__name__)
_REQUIRED = ('RootFolder', 'log_root_folder', 'DataFolder', 'current_experiment', 'stage')
_WHOLE_FROM_0 = schema.list_of(schema.whole(0))
_ENTRY_KINDS = {
    'CNList': schema.list_of(schema.whole(1)),
    'TypeImList': _WHOLE_FROM_0,
    'DSmoothList': _WHOLE_FROM_0,
    'DeformedImExt': schema.list_of(schema.choice(*schema.AUGMENTATION_NAMES), least=1),
    'PairList': schema.list_of(schema.list_of(schema.whole(0), length=2)),
    'Spacing': schema.choice('RS1', 'Raw'),
}

#: Settings of older scripts that are accepted but change nothing.
_WITHOUT_EFFECT = (
    'ParallelSearching',
    'ParallelGeneration1stEpoch',
    'DetailedNetworkSummary',
    'UseMask',
    'MaskToZero',
    'WriteNoDVF',
    'WriteMasksForLSTM',
    'PaddingForDownSampling',
    'Reg_Affine_Parameter',
    'Reg_BSpline_Parameter',
    'Reg_Affine_Mask',
    'Reg_BSpline_Mask',
    'Reg_NumberOfThreads',
)

#: What the program relies on in the content of a deformation experiment, whatever its categories read.
_CONTENT_KINDS = {
    'DeformMethods': schema.list_of(schema.TEXT, least=1),
    'MaxDeform': schema.number(above=0),
    'MaskToZero': schema.optional(schema.choice(*schema.MASKS)),
    'Canny_LowerThreshold': schema.number(0),
    'Canny_UpperThreshold': schema.number(0),
}


def find_problems(setting):
    """Every problem of ``setting`` as a list of sentences; empty when it can be used."""
    problems = [f'{key} is missing; begin with initialize_setting.' for key in _REQUIRED if key not in setting]
    good = {}
    for key, value in setting.items():
        found = key_problems({key: value}, list(schema.KEYS.values()))
        problems += found
        if not found:
            good[key] = value
    # What is of the wrong kind has been told; the other checks see the rest.
    for check in (
        _own_data_sets,
        _own_images,
        _data,
        _no_training_item,
        _deformations,
        _magnitude_classes,
        _network,
        _patches,
        loaded_network_problems,
        registration_problems,
        _json,
    ):
        problems += check(good)
    return list(collections.OrderedDict.fromkeys(problems))


def check_setting(setting):
    """Refuse a setting that cannot be used, and warn about what is unusual.

    :raises InputError: lists every problem on a line of its own, with the nearest valid name for a misspelt
        one.
    """
    problems = find_problems(setting)
    if problems:
        lines = '\n'.join('  - ' + problem for problem in problems)
        raise InputError(
            'The settings have {} problem{}:\n{}'.format(len(problems), 's' if len(problems) > 1 else '', lines)
        )
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
            for text in pattern if isinstance(pattern, tuple) else [pattern]:
                problem = pattern_problem(text)
                if problem:
                    problems.append(f'Data set {key!r}, address {request}: {problem}.')
    return problems


def _own_images(setting):
    # Who takes images that are made elsewhere needs what they are made from no more.
    return [str(error) for error in own_image_errors(setting, files=not setting.get('never_generate_image'))]


def _entries(setting):
    """Entries of DataExpDict that have a usable data set, with its record."""
    for entry in setting.get('DataExpDict', ()):
        try:
            yield entry, get_data_set(entry.get('data'), setting)
        except RegNetError:
            continue


def _data(setting):
    problems = []
    for number, entry in enumerate(setting.get('DataExpDict', ())):
        where = 'Entry {} of data_exp_dict ({})'.format(number, entry.get('data'))
        for key in entry:
            if key not in schema.ENTRY_KEYS:
                problems.append(f'{where}: {key} is not a key.{nearest_hint(key, schema.ENTRY_KEYS)}')
        try:
            record = get_data_set(entry.get('data'), setting)
        except RegNetError as error:
            problems.append(f'{where}: {error}')
            continue
        for mode in schema.TRAIN_MODES:
            problems += _mode(where, entry, mode, record)
    return problems


def _needed(entry, mode):
    return ('CNList', 'PairList') if mode + 'PairList' in entry else ('CNList', 'TypeImList', 'DSmoothList')


def _no_training_item(setting):
    """Lists of training cases, types and deformations that together name nothing."""
    empty = []
    for entry in setting.get('DataExpDict', ()):
        if not any('Training' + key in entry for key in schema.MODE_KEYS):
            continue
        lists = {'Training' + key: entry.get('Training' + key) for key in _needed(entry, 'Training')}
        # What is missing or no list has been told.
        if not all(isinstance(value, (list, tuple)) for value in lists.values()) or all(lists.values()):
            return []
        empty += [key for key, value in lists.items() if not value]
    if not empty:
        return []
    return [
        'data_exp_dict has keys of Training but no training item: {} is empty.'.format(
            ' and '.join(collections.OrderedDict.fromkeys(empty))
        )
    ]


def _mode(where, entry, mode, record):
    problems, given = [], {}
    for key in schema.MODE_KEYS:
        if mode + key not in entry:
            continue
        value = entry[mode + key]
        if not _ENTRY_KINDS[key].accepts(value):
            problems.append(f'{where}: {mode}{key} is {value!r}; accepted: {_ENTRY_KINDS[key].text}.')
        else:
            given[key] = value
    if not any(mode + key in entry for key in schema.MODE_KEYS):
        return problems
    needed = _needed(entry, mode)
    for key in needed:
        if mode + key not in entry:
            problems.append(f'{where}: {mode}{key} is missing.')
    if 'PairList' not in needed and not entry.get('deform_exp'):
        problems.append(f'{where}: deform_exp is missing, and {mode}PairList too.')
    unknown = sorted(set(given.get('CNList', ())) - set(record.CNList))
    if unknown:
        problems.append(
            '{}: {}CNList has the case{} {}; {} has {}.'.format(
                where,
                mode,
                's' if len(unknown) > 1 else '',
                join_numbers(unknown),
                record.key,
                join_numbers(record.CNList),
            )
        )
    types = set(given.get('TypeImList', ())) | {t for pair in given.get('PairList', ()) for t in pair}
    unknown = sorted(t for t in types if t >= len(record.types))
    if unknown:
        problems.append(
            '{}: {} names the type{} {}; {} has {}.'.format(
                where,
                mode,
                's' if len(unknown) > 1 else '',
                join_numbers(unknown),
                record.key,
                ', '.join(f'{i} ({name})' for i, name in enumerate(record.types)),
            )
        )
    if given.get('Spacing') == 'Raw' and 'OriginalImRaw' not in record.addresses:
        problems.append(f"{where}: {mode}Spacing is 'Raw', but {record.key} has isotropic images only ('RS1').")
    names = list(given.get('DeformedImExt', ()))
    if names and (names[0] != 'Clean' or 'Clean' in names[1:]):
        problems.append(f"{where}: {mode}DeformedImExt is {names}; it must begin with 'Clean', once.")
    return problems


def _experiments(setting):
    """(name, content) of the deformation experiments in use, each once, as far as they exist."""
    names = [entry.get('deform_exp') for entry, _ in _entries(setting)]
    for name in collections.OrderedDict.fromkeys(name for name in names if name and isinstance(name, str)):
        try:
            content = get_deform_exp(setting, name)
        except RegNetError:
            continue
        if not _content_problems(name, content):
            yield name, content


def _content_problems(name, content):
    if not isinstance(content, dict):
        return [f'deform_exp.{name} is {content!r}; accepted: a dictionary.']
    standard = load_deform_exp_setting('3D_max20_D14')
    problems = [
        f'{name}: {key} is not a key of a deformation experiment.{nearest_hint(key, standard)}'
        for key in content
        if key not in standard
    ]
    problems += [f'{name}: {key} is missing.' for key in standard if key not in content]
    return problems + [
        f'{name}: {key} is {content[key]!r}; accepted: {kind.text}.'
        for key, kind in _CONTENT_KINDS.items()
        if key in content and not kind.accepts(content[key])
    ]


def _deformations(setting):
    problems = []
    for entry, _ in _entries(setting):
        if entry.get('deform_exp'):
            try:
                get_deform_exp(setting, entry['deform_exp'])
            except RegNetError as error:
                problems.append(str(error))
    for name, content in setting.get('deform_exp', {}).items():
        problems += _content_problems(name, content)
    for name, content in _experiments(setting):
        mask = content['MaskToZero']
        if mask is not None and setting.get(f'Use{mask}Mask') is False:
            problems.append(f'{name}: MaskToZero is {mask!r} but Use{mask}Mask is False.')
        if 'respiratory_motion' in content['DeformMethods']:
            if mask is None:
                problems.append(f"{name}: respiratory_motion needs MaskToZero 'Torso' or 'Lung'.")
            if setting.get('UseLungMask') is False:
                problems.append(f'{name}: respiratory_motion needs the lung masks, but UseLungMask is False.')
    return problems


def _magnitude_classes(setting):
    bounds = setting.get('ClassBalanced', [0])
    if any(upper <= lower for lower, upper in zip(bounds, bounds[1:])):
        return [f'ClassBalanced is {list(bounds)}; its bounds must increase.']
    message = 'ClassBalanced ends at {} mm, but MaxDeform of {} is {} mm; the last bound must not exceed it.'
    return [
        message.format(bounds[-1], name, content['MaxDeform'])
        for name, content in _experiments(setting)
        if bounds[-1] > content['MaxDeform']
    ]


def _network(setting):
    problems = []
    name = setting.get('NetworkDesign')
    if name is not None:
        from functions.network.description import network_description

        try:
            description = network_description(name)
        except KeyError as error:
            problems.append(f'NetworkDesign: {error.args[0]}')
        else:
            if setting.get('FullImage') and not description.full_image:
                problems.append(
                    f'FullImage is True, but {name} predicts only the middle of its input; set it to False.'
                )
            unit = setting.get('SizeUnit', description.size_unit)
            if isinstance(unit, int) and unit % description.size_unit:
                problems.append(f'SizeUnit is {unit}; {name} takes multiples of {description.size_unit}.')
        if name == 'crop5_connection' and setting.get('stage') in (1, 2):
            problems.append('NetworkDesign crop5_connection is for stage 4; stage is {}.'.format(setting['stage']))
    for key, side in setting.get('PadTo', {}).items():
        if key not in ('stage1', 'stage2', 'stage4'):
            problems.append(f'PadTo.{key} is not a setting; accepted: stage1, stage2, stage4.')
        elif not schema.optional(schema.whole(1)).accepts(side):
            problems.append(f'PadTo.{key} is {side!r}; accepted: a whole number from 1, or None.')
        elif side is not None and setting.get('FullImage') and not _valid_side(setting, side):
            problems.append(
                'PadTo.{} is {}; {} takes sides of {} k + {}.'.format(
                    key, side, name, setting['SizeUnit'], setting['SizeOffset']
                )
            )
    if setting.get('only_generate_image') and setting.get('never_generate_image'):
        problems.append('only_generate_image and never_generate_image exclude each other.')
    return problems


def _valid_side(setting, side):
    unit, offset = setting.get('SizeUnit', 1), setting.get('SizeOffset', 0)
    return side >= offset and (side - offset) % unit == 0


def _patches(setting):
    problems = []
    if 'R' in setting and 'Ry' in setting and setting['R'] < setting['Ry']:
        problems.append('R ({R}) must be at least Ry ({Ry}).'.format(**setting))
    if setting.get('FullImage'):
        return problems
    if 'R' in setting and not _valid_side(setting, 2 * setting['R'] + 1):
        problems.append(
            'R is {}: a side of {} voxels does not pass through {}, which takes {} k + {}.'.format(
                setting['R'],
                2 * setting['R'] + 1,
                setting.get('NetworkDesign'),
                setting['SizeUnit'],
                setting['SizeOffset'],
            )
        )
    for name in ('NetworkTraining', 'NetworkValidation'):
        queue = setting.get(name, {})
        sizes = [queue.get(key) for key in ('NumberOfImagesPerChunk', 'SamplesPerImage', 'BatchSize')]
        if None not in sizes and sizes[2] > sizes[0] * sizes[1]:
            problems.append(f'{name}: BatchSize {sizes[2]} exceeds the {sizes[0] * sizes[1]} samples of a chunk.')
    return problems


def _json(setting):
    try:
        plain(setting)
    except InputError as error:
        return [str(error)]
    return []


def find_warnings(setting):
    """What is allowed but unusual, as a list of sentences; for a setting without problems."""
    warnings = ['Randomness is False.'] if setting.get('Randomness') is False else []
    warnings += [
        f'{key} is {setting[key]!r}, but this setting has no effect yet.'
        for key in _WITHOUT_EFFECT
        if key in setting and setting[key] != schema.KEYS[key].default
    ]
    if setting.get('use_keras'):
        warnings.append('use_keras has no effect: layers need no Keras.')
    if setting.get('DownSamplingByGPU'):
        warnings.append('DownSamplingByGPU has no effect: training and registration share one down-sampling rule.')
    if setting.get('FullImage') and setting.get('stage') in (1, 2):
        warnings.append('Whole images at stage {} take much memory.'.format(setting['stage']))
    if 'DataExpDict' not in setting:
        return warnings
    single = {mode: single_items(setting, mode) for mode in ('Training', 'Validation')}
    size = (setting.get('NetworkTraining') or {}).get('NumberOfImagesPerChunk')
    if size and 0 < len(single['Training']) % size < 10:
        warnings.append(
            '{} training images in chunks of {}: the last chunk has only {}.'.format(
                len(single['Training']), size, len(single['Training']) % size
            )
        )
    names = ('data', 'type_im', 'cn', 'deform_exp', 'dsmooth')
    seen = {tuple(item[name] for name in names) for item in single['Training']}
    shared = sum(1 for item in single['Validation'] if tuple(item[name] for name in names) in seen)
    if shared:
        warnings.append('{} of {} validation items are training items too.'.format(shared, len(single['Validation'])))
    return warnings
