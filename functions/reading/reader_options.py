"""What the reader takes from the settings dictionary, checked in one place before anything long starts."""

import numbers
from collections import namedtuple

from functions.setting.errors import InputError, unknown_name

TRAIN_MODES = ('Training', 'Validation')
CLASS_MODES = ('1stEpoch', 'Thread', 'Direct')
CLASS_RULES = ('largest_component', 'all_components')
SAMPLE_INSIDE = ('mask', 'lung')

ReaderOptions = namedtuple(
    'ReaderOptions',
    [
        'train_mode',
        'stage',
        'images_per_chunk',
        'samples_per_image',
        'batch_size',
        'queue_size',
        'class_limits',
        'class_rule',
        'replacement',
        'compensate',
        'sample_inside',
        'radius_image',
        'radius_dvf',
        'margin',
        'full_image',
        'size_unit',
        'size_offset',
        'lung_weight',
        'augmentation',
        'randomness',
        'seed',
        'start_chunk',
        'on_the_fly',
        'never_generate',
        'write_indices',
        'lead_in',
    ],
)


def read_options(setting, train_mode, images_per_chunk=None, samples_per_image=None, stage=None, full_image=None):
    """Collect the reader's part of ``setting``.

    Top-level keys: stage, R, Ry, Margin (default Ry + 1), ClassBalanced [mm], ClassRule ('largest_component'
    or 'all_components'), SampleReplacement (True), CompensateShortClasses (False), SampleInside ('mask' or
    'lung'), FullImage (False, also for None), SizeUnit (8), SizeOffset (5), Augmentation (False),
    Randomness (True), start_chunk (0), OnTheFly (False), never_generate_image (False), CacheIndices (False),
    LeadIn (True).
    In NetworkTraining or NetworkValidation: NumberOfImagesPerChunk, SamplesPerImage, BatchSize, MaxQueueSize
    (20 and 10). LungWeight and Seed (0: the published streams) are read from NetworkTraining for both, so
    that the two losses can be compared.

    :param train_mode: 'Training' or 'Validation'.
    :param images_per_chunk, samples_per_image, stage, full_image: override the setting when not None.
    :raises InputError: one error that lists every problem found.
    """
    if train_mode not in TRAIN_MODES:
        raise unknown_name('train_mode', train_mode, TRAIN_MODES)
    reader = _Reader(setting)
    network = reader.section('Network' + train_mode)
    is_full = reader.flag('FullImage', False) if full_image is None else bool(full_image)
    radius_dvf = 0 if is_full else reader.whole('Ry', None, 0)
    options = ReaderOptions(
        train_mode=train_mode,
        stage=reader.whole('stage', 1, 1, given=stage),
        images_per_chunk=reader.whole('NumberOfImagesPerChunk', None, 1, network, images_per_chunk),
        samples_per_image=(1 if is_full else reader.whole('SamplesPerImage', None, 1, network, samples_per_image)),
        batch_size=reader.whole('BatchSize', None, 1, network),
        queue_size=reader.whole('MaxQueueSize', 20 if train_mode == 'Training' else 10, 1, network),
        class_limits=() if is_full else reader.limits('ClassBalanced'),
        class_rule=reader.choice('ClassRule', CLASS_RULES),
        replacement=reader.flag('SampleReplacement', True),
        compensate=reader.flag('CompensateShortClasses', False),
        sample_inside=reader.choice('SampleInside', SAMPLE_INSIDE),
        radius_image=0 if is_full else reader.whole('R', None, 0),
        radius_dvf=radius_dvf,
        margin=0 if is_full else reader.whole('Margin', (radius_dvf or 0) + 1, 0),
        full_image=is_full,
        size_unit=reader.whole('SizeUnit', 8, 1),
        size_offset=reader.whole('SizeOffset', 5, 0),
        lung_weight=reader.positive('LungWeight', 1.0, reader.section('NetworkTraining')),
        augmentation=reader.flag('Augmentation', False) and train_mode == 'Training',
        randomness=reader.flag('Randomness', True),
        seed=reader.whole('Seed', 0, 0, reader.section('NetworkTraining')),
        # A first chunk other than 0 is a wish about training; validation always covers everything.
        start_chunk=reader.whole('start_chunk', 0, 0) if train_mode == 'Training' else 0,
        on_the_fly=reader.flag('OnTheFly', False) and train_mode == 'Training',
        never_generate=reader.flag('never_generate_image', False),
        write_indices=reader.flag('CacheIndices', False),
        # Whole images are served as they come anyway.
        lead_in=reader.flag('LeadIn', True) and train_mode == 'Training' and not is_full,
    )
    if not reader.problems and options.radius_image < options.radius_dvf:
        reader.problems.append(f'R ({options.radius_image}) must not be smaller than Ry ({options.radius_dvf})')
    if setting.get(f'DVFPad_S{options.stage}', 0) not in (0, None):
        reader.problems.append(f'DVFPad_S{options.stage} must be 0: the DVF lies on the grid of the image')
    if reader.problems:
        raise InputError('The reader cannot use these settings: {}.'.format('; '.join(reader.problems)))
    return options


class _Reader:
    """Reads typed values and collects the problems instead of stopping at the first one."""

    def __init__(self, setting):
        self.setting = setting
        self.problems = []

    def section(self, name):
        value = self.setting.get(name, {})
        if not isinstance(value, dict):
            self.problems.append(f'{name} must be a dictionary, not {value!r}')
            return {}
        return value

    def _get(self, key, default, where=None, given=None):
        return given if given is not None else (self.setting if where is None else where).get(key, default)

    def whole(self, key, default, least, where=None, given=None):
        value = self._get(key, default, where, given)
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
            shown = 'is missing' if value is None else f'is {value!r}'
            self.problems.append(f'{key} {shown}; a whole number of at least {least} is needed')
            return least
        return int(value)

    def positive(self, key, default, where):
        value = self._get(key, default, where)
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < value < float('inf'):
            self.problems.append(f'{key} is {value!r}; a number above 0 is needed')
            return default
        return float(value)

    def flag(self, key, default):
        value = self.setting.get(key)
        value = default if value is None else value
        if not isinstance(value, bool):
            self.problems.append(f'{key} is {value!r}; True or False is needed')
            return default
        return value

    def choice(self, key, accepted):
        value = self.setting.get(key, accepted[0])
        if value not in accepted:
            self.problems.append('{} is {!r}; accepted: {}'.format(key, value, ', '.join(accepted)))
            return accepted[0]
        return value

    def limits(self, key):
        value = self.setting.get(key)
        good = (
            isinstance(value, (list, tuple))
            and len(value) > 0
            and all(isinstance(v, numbers.Real) and not isinstance(v, bool) and v > 0 for v in value)
        )
        if not good or any(b <= a for a, b in zip(value, value[1:])) or len(value) > 250:
            self.problems.append(f'{key} is {value!r}; increasing limits in mm are needed, for example [2, 7]')
            return (1.0,)
        return tuple(float(v) for v in value)
