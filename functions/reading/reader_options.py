"""The settings of the reader, checked in one place before any long work starts."""

from collections import namedtuple

from ..setting import schema
from ..setting.checks import missing_for_reading
from ..setting.errors import InputError, unknown_name

TRAIN_MODES = ('Training', 'Validation')
CLASS_MODES = ('1stEpoch', 'Thread', 'Direct')

ReaderOptions = namedtuple(
    'ReaderOptions',
    'train_mode stage images_per_chunk samples_per_image batch_size queue_size class_limits class_rule replacement '
    'compensate sample_inside radius_image radius_dvf margin full_image size_unit size_offset lung_weight augmentation '
    'randomness seed start_chunk on_the_fly n_workers never_generate write_indices lead_in',
)

_USED = ['stage', 'FullImage', 'R', 'Ry', 'Margin', 'SizeUnit', 'SizeOffset', 'DVFPad_S1', 'DVFPad_S2', 'DVFPad_S4']
_USED += ['ClassBalanced', 'ClassRule', 'SampleReplacement', 'CompensateShortClasses', 'SampleInside', 'Augmentation']
_USED += ['Randomness', 'start_chunk', 'OnTheFly', 'never_generate_image', 'CacheIndices', 'LeadIn']
_USED += ['NumberOfWorkers', 'NetworkTraining', 'NetworkValidation']


def read_options(setting, train_mode, images_per_chunk=None, samples_per_image=None, stage=None, full_image=None):
    """The reader's part of ``setting``; :mod:`functions.setting.schema` says what each key accepts.

    R, Ry and ClassBalanced are required for patches; NumberOfImagesPerChunk, SamplesPerImage (patches) and BatchSize in
    NetworkTraining or NetworkValidation always. LungWeight and Seed are those of NetworkTraining in both modes, so that
    the two losses can be compared.

    :param train_mode: 'Training' or 'Validation'.
    :param images_per_chunk, samples_per_image, stage, full_image: override the setting when not None.
    :raises InputError: one error that lists every problem, with the nearest name for an unknown key.
    """
    if train_mode not in TRAIN_MODES:
        raise unknown_name('train_mode', train_mode, TRAIN_MODES)
    section = 'Network' + train_mode
    setting = _overridden(setting, {'stage': stage, 'FullImage': full_image})
    if isinstance(setting.setdefault(section, {}), dict):
        counts = {'NumberOfImagesPerChunk': images_per_chunk, 'SamplesPerImage': samples_per_image}
        setting[section] = _overridden(setting[section], counts)
    is_full = setting.get('FullImage') is True
    problems = _problems(setting, train_mode, is_full)
    if problems:
        raise InputError(f'The reader cannot use these settings: {" ".join(problems)}')
    network, training = setting[section], setting.get('NetworkTraining', {})
    is_training = train_mode == 'Training'
    on_the_fly = is_training and setting.get('OnTheFly', False)
    radius_dvf = 0 if is_full else int(setting['Ry'])
    return ReaderOptions(
        train_mode=train_mode,
        stage=int(setting.get('stage', 1)),
        images_per_chunk=int(network['NumberOfImagesPerChunk']),
        samples_per_image=1 if is_full else int(network['SamplesPerImage']),
        batch_size=int(network['BatchSize']),
        queue_size=int(network.get('MaxQueueSize', 20 if is_training else 10)),
        class_limits=() if is_full else tuple(float(limit) for limit in setting['ClassBalanced']),
        class_rule=setting.get('ClassRule', 'largest_component'),
        replacement=setting.get('SampleReplacement', True),
        compensate=setting.get('CompensateShortClasses', False),
        sample_inside=setting.get('SampleInside', 'mask'),
        radius_image=0 if is_full else int(setting['R']),
        radius_dvf=radius_dvf,
        margin=0 if is_full else int(setting.get('Margin', radius_dvf + 1)),
        full_image=is_full,
        size_unit=int(setting.get('SizeUnit', 8)),
        size_offset=int(setting.get('SizeOffset', 5)),
        lung_weight=float(training.get('LungWeight', 1.0)),
        augmentation=is_training and setting.get('Augmentation', False),
        randomness=setting.get('Randomness', True),
        seed=int(training.get('Seed', 0)),
        # Validation always covers everything.
        start_chunk=int(setting.get('start_chunk', 0)) if is_training else 0,
        on_the_fly=on_the_fly,
        # What is on disk is read faster than it is handed over from another process.
        n_workers=int(setting.get('NumberOfWorkers', 0)) if on_the_fly else 0,
        never_generate=setting.get('never_generate_image', False),
        write_indices=setting.get('CacheIndices', False),
        # Whole images are served one by one in any case.
        lead_in=is_training and not is_full and setting.get('LeadIn', True),
    )


def _overridden(values, changes):
    return dict(values, **{key: value for key, value in changes.items() if value is not None})


def _problems(setting, train_mode, is_full):
    """All problems, as sentences."""
    judged = {key: value for key, value in setting.items() if key in _USED or key not in schema.KEYS}
    problems = schema.key_problems(judged)
    problems += missing_for_reading(dict(setting, FullImage=is_full), train_mode)
    if not is_full and not problems and setting['R'] < setting['Ry']:
        problems.append(f'R ({setting["R"]}) must not be smaller than Ry ({setting["Ry"]}).')
    if setting.get(f'DVFPad_S{setting.get("stage", 1)}'):
        problems.append(f'DVFPad_S{setting.get("stage", 1)} must be 0: the DVF lies on the grid of the image.')
    return problems
