"""The one table of settings: what each key means, what it accepts and its default.

:func:`defaults` builds the dictionaries ``initialize_setting`` starts from, :func:`key_problems` judges values by the
table, and :func:`describe` prints it. A new setting is one line here.
"""

import collections
import copy
import itertools
import math
import numbers

from functions.setting.errors import InputError, nearest_hint

#: Default of keys that are set by loading data or a network, or that exist only when a person sets them.
ABSENT = object()


class Kind(collections.namedtuple('Kind', 'accepts text names')):
    """A kind of value: ``accepts(value)`` -> bool, ``text`` says what is accepted, ``names`` lists its words."""

    __slots__ = ()

    def __new__(cls, accepts, text, names=()):
        return super().__new__(cls, accepts, text, names)

    def problem(self, name, value):
        """The sentence that says why ``value`` cannot be the setting ``name``; None when it can."""
        if self.accepts(value):
            return None
        items = value if isinstance(value, (list, tuple)) else [value]
        words = [item for item in items if isinstance(item, str) and item not in self.names]
        hint = nearest_hint(words[0], self.names) if words else ''
        return f'{name} is {value!r}; accepted: {self.text}.{hint}'


#: A setting: ``kind`` is a :class:`Kind` or, for a dictionary of settings, a list of keys.
Key = collections.namedtuple('Key', 'name kind default meaning')


def whole(least=None, most=None):
    """Whole numbers in a range."""

    def accepts(value):
        return isinstance(value, numbers.Integral) and not isinstance(value, bool) and _within(value, least, most)

    return Kind(accepts, 'a whole number' + _range_text(least, most))


def number(least=None, most=None, above=None):
    """Finite numbers in a range; ``above`` excludes its end."""

    def accepts(value):
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
        return is_number and _within(value, least, most) and (above is None or value > above)

    if above is None:
        return Kind(accepts, 'a number' + _range_text(least, most))
    return Kind(accepts, f'a number above {above}' + ('' if most is None else f' up to {most}'))


def _within(value, least, most):
    return (least is None or value >= least) and (most is None or value <= most)


def _range_text(least, most):
    if least is not None and most is not None:
        return f' from {least} to {most}'
    return f' from {least}' if least is not None else ''


def choice(*values):
    """One of ``values`` (texts, whole numbers, None or lists of them); True and 1.0 do not pass for 1."""

    def same(value, other):
        if isinstance(other, list):
            return isinstance(value, list) and len(value) == len(other) and all(map(same, value, other))
        if isinstance(other, int):
            return whole().accepts(value) and value == other
        return value is None if other is None else isinstance(value, str) and value == other

    text = 'one of ' + ', '.join(repr(value) for value in values)
    names = tuple(value for value in values if isinstance(value, str))
    return Kind(lambda value: any(same(value, other) for other in values), text, names)


def optional(kind):
    """``kind`` or None."""
    return Kind(lambda value: value is None or kind.accepts(value), kind.text + ', or None', kind.names)


def list_of(kind, length=None, least=0, most=None):
    """A list whose items are all of ``kind``."""
    count = f'{length} ' if length else f'at most {most} ' if most else ''

    def accepts(value):
        is_list = isinstance(value, (list, tuple)) and _within(len(value), least, most)
        return is_list and len(value) == (length or len(value)) and all(map(kind.accepts, value))

    return Kind(accepts, f'a list of {count}items, each {kind.text}', kind.names)


def increasing(kind, length=None, most=None, strictly=False):
    """A list of numbers of ``kind``, none smaller than the one before (``strictly``: each larger)."""
    items = list_of(kind, length, least=1, most=most)

    def accepts(value):
        if not items.accepts(value):
            return False
        return all(a < b or (a == b and not strictly) for a, b in zip(value, value[1:]))

    return Kind(accepts, items.text + ', increasing')


def either(*kinds):
    """Any of ``kinds``."""
    text = ', or '.join(kind.text for kind in kinds)
    return Kind(lambda value: any(kind.accepts(value) for kind in kinds), text)


AUGMENTATION_NAMES = ('Clean', 'Sponge', 'Noise', 'Occluded')
MASKS = ('Torso', 'Lung')
STAGE_LISTS = ([4, 2, 1], [4, 2], [4], [2, 1], [2], [1])
AG_MODES = ('Resp', 'NoResp', 'SingleOnly', 'MixedOnly', 'SingleResp', 'Visualization')
PATHOLOGIES = ('none', 'emphysema', 'nodule', 'opacity')

FLAG = Kind(lambda value: isinstance(value, bool), 'True or False')
TEXT = Kind(lambda value: isinstance(value, str) and bool(value), 'text')
FOLDER = Kind(lambda value: isinstance(value, str) and value.endswith('/'), 'a folder ending in /')
MAPPING = Kind(lambda value: isinstance(value, dict), 'a dictionary')
MASK = optional(choice(*MASKS))
STAGE = choice(1, 2, 4)
SIZE3 = list_of(number(above=0), length=3)
_ONE_PASS = choice(*STAGE_LISTS)
#: A pyramid; a stage that follows itself is another pass of its network, on what the passes before left.
PYRAMID = Kind(
    lambda value: (
        isinstance(value, (list, tuple)) and _ONE_PASS.accepts([stage for stage, _ in itertools.groupby(value)])
    ),
    _ONE_PASS.text + ', each stage once or several times in a row',
)


def _range(least, most):
    return increasing(number(least, most), length=2)


# One key a line: the table is read as one.
# fmt: off
_GENERAL = [
    Key('where_to_run', choice('Root', 'Auto', 'Cluster'), 'Auto',
        'where the folders are: current folder, repository, or REGNET_ROOT and REGNET_DATA'),
    Key('RootFolder', FOLDER, ABSENT, 'root of everything that is made'),
    Key('log_root_folder', FOLDER, ABSENT, 'experiments: checkpoints, logs, results'),
    Key('DataFolder', FOLDER, ABSENT, 'images'),
    Key('current_experiment', TEXT, ABSENT, 'name of the experiment, or Sub/Name'),
    Key('stage', STAGE, 1, 'down-sampling factor of the network and voxel size [mm] of its level'),
    Key('UseLungMask', FLAG, True, 'read, deform and write lung masks'),
    Key('UseTorsoMask', FLAG, True, 'the same for torso masks; sampling and augmentations stay inside'),
    Key('verbose_image', FLAG, False, 'also write intermediate images (NextDVF, stages of a registration)'),
    Key('WriteDVFStatistics', FLAG, False, 'write DVF histogram, Jacobian image and its histogram'),
    Key('ParallelSearching', FLAG, True, 'search classes of several images at a time'),
    Key('DVFPad_S1', whole(0), 0, 'voxels by which DVF arrays of stage 1 exceed the image on every side'),
    Key('DVFPad_S2', whole(0), 0, 'the same at stage 2'),
    Key('DVFPad_S4', whole(0), 0, 'the same at stage 4'),
    Key('VoxelSize', SIZE3, [1, 1, 1], 'voxel size [mm] of prepared images'),
    Key('Dim', choice(3), 3, 'dimensions; only 3 works'),
    Key('Augmentation', FLAG, False, 'flip images and DVFs along the axes, another way every semi-epoch'),
    Key('WriteBSplineTransform', FLAG, False, 'write B-spline transforms and their coefficients'),
    Key('verbose', FLAG, True, 'more logging'),
    Key('NumberOfThreads', optional(whole(1)), None, 'threads of TensorFlow; None: all cores'),
    Key('MaximumMemory', optional(number(above=0)), None,
        'bytes one forward pass may take; None: half of the free memory'),
    Key('XLA', FLAG, False, 'let XLA compile the graphs; pays off on a GPU when sizes stay the same'),
    Key('Composition', choice('exact', 'additive'), 'exact',
        'how the fields of the stages are composed; additive as published'),
    Key('normalization', choice(None, 'linear', 'lung'), None,
        "intensities given to a network: HU, 'linear' = (HU + 1000) / 4095, or 'lung' = scaled to about -1 .. 1"),
    Key('DVFUnit', choice('mm', 'voxel'), 'mm', 'unit in which the network predicts; results are always in mm'),
    Key('DownSampling', choice('bspline'), 'bspline', 'low-pass of the pyramid, for training and registration alike'),
    Key('DownSamplingByGPU', FLAG, False, 'accepted for older scripts; there is one down-sampling rule'),
    Key('InputMask', MASK, None,
        'mask outside which a network sees the default value; None: MaskToZero of the deformation experiment'),
    Key('InputMargin', optional(number(0)), None,
        'mm around the input masks of a pair beyond which nothing is trained on or predicted, and the field fades out; '
        'None: whole images'),
    Key('SpongeModel', choice('published', 'physical'), 'published',
        'how intensities follow the change of volume: HU divided by the determinant, or density multiplied by it'),
    Key('Phantom', [
        Key('Size', list_of(whole(64), length=3), [300, 220, 280], 'size of a case, x, y, z [voxel = mm]'),
        Key('Landmarks', whole(1), 300, 'landmarks of the pair T00, T50'),
        Key('LandmarksAllPhases', whole(1), ABSENT, 'how many of them are known in every phase'),
        Key('Descent', _range(1, 40), ABSENT, 'descent of the diaphragm [mm], a range patients are drawn from'),
        Key('ChestExpansion', _range(0, 12), ABSENT, 'movement of the sternum [mm], a range'),
        Key('Anatomy', number(0, 1.5), ABSENT, 'how far patients differ in shape'),
        Key('Pathology', list_of(choice(*PATHOLOGIES), least=1), ABSENT, 'each patient has one of these'),
        Key('LungHU', _range(-980, -600), ABSENT, 'parenchyma at maximum inhale [HU], a range'),
        Key('Contrast', _range(-30, 400), ABSENT, 'enhancement of blood [HU], a range'),
        Key('Noise', _range(0, 200), ABSENT, 'standard deviation of the noise [HU], a range'),
        Key('SliceThickness', _range(1, 10), ABSENT, 'slices [mm] that are averaged, a range'),
        Key('FieldOfView', optional(_range(0.5, 2)), ABSENT, 'scanned circle as a fraction of the width, a range'),
        Key('Table', FLAG, ABSENT, 'the table below the back'),
    ], ABSENT, 'the breathing thorax'),
    Key('SPREAD_Patients', optional(list_of(TEXT)), None, 'folder codes of the SPREAD patients by case; NA when None'),
    Key('OwnImages', MAPPING, {}, 'files or DICOM folders of own data sets: data -> case -> one path per type'),
    Key('OwnDataSets', MAPPING, {}, 'descriptions of own data sets, by name'),
]

_LOADED = [
    Key('data', MAPPING, ABSENT, 'data set -> its record (load_setting_from_data_dict)'),
    Key('DataList', list_of(TEXT), ABSENT, 'data set of every entry of DataExpDict'),
    Key('DataExpDict', list_of(MAPPING), ABSENT, 'which images of which data set with which deformations'),
    Key('deform_exp', MAPPING, ABSENT, 'deformation experiment -> its content'),
    Key('DeformExpList', list_of(TEXT), ABSENT, 'deformation experiment of every entry of DataExpDict'),
    Key('NetworkDesign', TEXT, ABSENT, 'network (load_network_setting)'),
    Key('R', whole(0), ABSENT, 'half side of the image patch, 2 R + 1 voxels'),
    Key('Ry', whole(0), ABSENT, 'half side of the DVF patch, 2 Ry + 1 voxels'),
    Key('ImPad_S1', whole(0), ABSENT, 'voxels images are padded by on every side, R - Ry'),
    Key('ImPad_S2', whole(0), ABSENT, 'the same at stage 2'),
    Key('ImPad_S4', whole(0), ABSENT, 'the same at stage 4'),
    Key('Margin', whole(0), ABSENT, 'least distance [voxel] of patch centres from the border, Ry + 1'),
    Key('SizeUnit', whole(1), ABSENT,
        'valid sides of the network are SizeUnit k + SizeOffset; a multiple of it pads whole images to fewer sizes'),
    Key('SizeOffset', whole(0), ABSENT, 'see SizeUnit'),
]

_QUEUE = [
    Key('NumberOfImagesPerChunk', whole(1), 16, 'images held in memory at a time'),
    Key('SamplesPerImage', whole(1), 50, 'patches of every image in a chunk (patch mode)'),
    Key('BatchSize', whole(1), 15, 'samples of a step'),
    Key('MaxQueueSize', whole(1), 20, 'batches made ahead'),
]
_QUEUE_VALIDATION = [key._replace(default=default) for key, default in zip(_QUEUE, (10, 500, 50, 10))]

_TRAINING = [
    Key('AGMode', choice(*AG_MODES), 'Resp', 'which deformation categories are used'),
    Key('ClassBalanced', increasing(number(above=0), most=250, strictly=True), ABSENT,
        'upper bounds [mm] of the magnitude classes'),
    Key('ClassRule', choice('largest_component', 'all_components'), 'largest_component',
        'what of a displacement must lie in the class'),
    Key('CompensateShortClasses', FLAG, False, 'fill up from the other classes where a class has too few voxels'),
    Key('SampleReplacement', FLAG, True, 'a voxel may be drawn again within a chunk'),
    Key('SampleInside', choice('mask', 'lung'), 'mask', 'where patch centres lie: the MaskToZero mask, or the lung'),
    Key('OnTheFly', FLAG, False, 'make training items in memory, write nothing'),
    Key('LeadIn', FLAG, True,
        'patch mode: a new training first gets SamplesPerImage patches of every image of the first chunk as they come, '
        'then the chunk'),
    Key('CacheIndices', FLAG, False, 'write the drawn patch centres to disk'),
    Key('MixedPrecision', FLAG, False, 'float16 in training where it is safe, with loss scaling'),
    Key('use_keras', FLAG, False, 'accepted for older scripts; layers need no Keras'),
    Key('start_chunk', whole(0), 0, 'first chunk of the first training semi-epoch'),
    Key('DetailedNetworkSummary', FLAG, False, 'write feature maps to TensorBoard'),
    Key('ParallelGeneration1stEpoch', FLAG, True, 'generate the images of semi-epoch 0 in other processes'),
    Key('Randomness', FLAG, True, 'permute the images every semi-epoch'),
    Key('PadTo', MAPPING, {}, "'stage<n>' -> side images are padded to on disk, or None"),
    Key('FullImage', optional(FLAG), None, 'train on whole images; None: as the network was designed'),
    Key('only_generate_image', FLAG, False, 'generate all images and end'),
    Key('never_generate_image', FLAG, False, 'use images that another process generates'),
    Key('NetworkTraining', _QUEUE + [
        Key('LungWeight', number(above=0), 1.0, 'weight of the loss inside the lung, 1 elsewhere'),
        Key('LearningRate_Base', number(above=0), 1e-3, 'learning rate of Adam'),
        Key('LearningRate_Schedule', choice('constant', 'cosine'), 'constant',
            'course of the learning rate; constant obeys LearningRate_Decay'),
        Key('LearningRate_Decay', optional(number(above=0)), None, 'rate = base * decay ** semi_epoch'),
        Key('MaxIterations', whole(1), 10000000, 'steps'),
        Key('FreezeStatistics', optional(number(0, 1)), None,
            'fraction of MaxIterations after which batch normalisation uses its stored statistics, as registration '
            'does, instead of those of the batch; None: never'),
        Key('LogInterval', whole(1), 25, 'steps between two lines of the log'),
        Key('ValidationInterval', whole(1), 1000, 'steps between two checkpoints with validation'),
        Key('MaxHours', optional(number(above=0)), None, 'time limit'),
        Key('LossLimit', optional(number(above=1)), 100.0,
            'a loss above this many times the 90 % quantile of the last 100 stops the training; None: never'),
        Key('reg_weight', number(0), 0.1, 'weight of the bending energy'),
        Key('inspecting_regularization_weight', FLAG, False,
            'also log the gradients of the Huber loss and of the weighted bending energy'),
        Key('VoxelSize', SIZE3, [1, 1, 1], 'voxel size in the bending energy'),
        Key('Seed', whole(0), 0, 'seed of weights, noise and sampling'),
    ], ABSENT, 'training'),
    Key('NetworkValidation', _QUEUE_VALIDATION, ABSENT, 'validation'),
    Key('LoadedNetwork', optional(MAPPING), None,
        "weights to begin with: {'NetworkLoad': experiment, 'GlobalStepLoad': 'Last', 'Auto', 'Best' or a number, and "
        "'itr_load', 'semi_epoch_load': 'Auto' to continue counting}"),
]

_REGISTRATION = [
    Key('BaseReg', TEXT, 'Affine', "registration before the network: 'Identity', or 'Affine' by elastix or SimpleITK"),
    Key('read_pair_mode', choice('real', 'synthetic'), 'real', 'pairs of images, or images with their deformed selves'),
    Key('stage_list', PYRAMID, [4, 2, 1], 'pyramid of the registration'),
    Key('ImagePyramidSchedule', PYRAMID, [4, 2, 1], 'the same, under its older name'),
    Key('PaddingForDownSampling', choice('constant'), 'constant', 'accepted for older scripts'),
    Key('WriteNoDVF', FLAG, False, 'do not write the DVF'),
    Key('WriteMasksForLSTM', FLAG, False, 'also write masks of every stage'),
    Key('WriteAfterEachStage', FLAG, True, 'write DVF and moved image after every stage'),
    Key('UseMask', FLAG, True, 'set images to the default value outside their mask before the network'),
    Key('MaskToZero', MASK, 'Lung', 'which mask that is'),
    Key('Reg_Affine_Parameter', TEXT, 'Par0011.affine.txt', 'elastix parameter file'),
    Key('Reg_BSpline_Parameter', TEXT, 'parameters_MI_BSpline_500.txt', 'elastix parameter file'),
    Key('Reg_BSpline_Folder', TEXT, 'S4_S2_S1', 'folder of B-spline registrations'),
    Key('Reg_Affine_Mask', MASK, 'Torso', 'mask of the affine registration'),
    Key('Reg_BSpline_Mask', MASK, 'Lung', 'mask of the B-spline registration'),
    Key('Reg_NumberOfThreads', whole(1), 7, 'threads of elastix'),
    Key('network_dict', MAPPING, ABSENT, "'stage<n>' -> network and checkpoint of that stage"),
]

_CLUSTER = [
    Key('cluster_manager', choice('SLURM', 'OGE'), ABSENT, 'scheduler'),
    Key('cluster_NumberOfCPU', whole(1), ABSENT, 'cores of a job'),
    Key('cluster_MemPerCPU', either(TEXT, whole(1)), ABSENT, 'memory per core (SLURM)'),
    Key('cluster_Partition', TEXT, ABSENT, 'partition (SLURM)'),
    Key('cluster_NodeList', optional(TEXT), ABSENT, 'nodes (SLURM)'),
    Key('cluster_venv_slurm', TEXT, ABSENT, 'virtual environment (SLURM)'),
    Key('cluster_venv', TEXT, ABSENT, 'virtual environment (Grid Engine)'),
    Key('cluster_queue', TEXT, ABSENT, 'queue (Grid Engine)'),
    Key('cluster_memory', either(TEXT, whole(1)), ABSENT, 'memory of a job (Grid Engine)'),
    Key('cluster_hostname', optional(TEXT), ABSENT, 'host (Grid Engine)'),
    Key('cluster_Path', TEXT, ABSENT, 'folder of job files'),
    Key('NumberOfGPU', whole(0), ABSENT, 'GPUs of a job'),
    Key('MainScript', TEXT, ABSENT, 'script a job runs'),
    Key('force_to_only_generate_image', FLAG, ABSENT, 'pass --only_generate_image to the job'),
    Key('force_to_never_generate_image', FLAG, ABSENT, 'pass --never_generate_image to the job'),
    Key('force_to_only_generate_image_for_registration', FLAG, ABSENT, 'the same for registration scripts'),
]
# fmt: on

#: Title -> keys, in the order they are documented.
SECTIONS = {
    'General': _GENERAL,
    'Set by loading data and networks': _LOADED,
    'Training': _TRAINING,
    'Registration': _REGISTRATION,
    'Cluster': _CLUSTER,
}
#: Every top-level key by name.
KEYS = {key.name: key for keys in SECTIONS.values() for key in keys}
#: Keys of older scripts that are accepted and change nothing; any value but the default is answered with a warning.
LEGACY = (
    'ParallelSearching',
    'ParallelGeneration1stEpoch',
    'use_keras',
    'DownSamplingByGPU',
    'UseMask',
    'MaskToZero',
    'WriteNoDVF',
    'WriteMasksForLSTM',
    'PaddingForDownSampling',
    'Reg_BSpline_Parameter',
    'Reg_BSpline_Mask',
    'Reg_NumberOfThreads',
) + tuple(key.name for key in _CLUSTER)

#: Keys of an entry of ``DataExpDict``; those of a mode are written with its name in front.
TRAIN_MODES = ('Training', 'Validation', 'Testing')
_WHOLE_FROM_0 = list_of(whole(0))
MODE_KINDS = {
    'CNList': list_of(whole(1)),
    'TypeImList': _WHOLE_FROM_0,
    'DSmoothList': _WHOLE_FROM_0,
    'DeformedImExt': list_of(choice(*AUGMENTATION_NAMES), least=1),
    'PairList': list_of(list_of(whole(0), length=2)),
    'Spacing': choice('RS1', 'Raw'),
}
MODE_KEYS = tuple(MODE_KINDS)
ENTRY_KEYS = ('data', 'deform_exp') + tuple(mode + key for mode in TRAIN_MODES for key in MODE_KEYS)


def key_problems(values, keys=None, prefix=''):
    """Problems of a dictionary of settings and the dictionaries in it, as sentences.

    :param values: the dictionary.
    :param keys: list of :class:`Key` it may have; None: every setting.
    :param prefix: what stands before a key in a message, for example ``'NetworkTraining.'``.
    """
    problems = []
    known = KEYS if keys is None else {key.name: key for key in keys}
    for name, value in values.items():
        if name not in known:
            problems.append(f'{prefix}{name} is not a setting.{nearest_hint(name, known)}')
            continue
        kind = known[name].kind
        if isinstance(kind, list) and isinstance(value, dict):
            problems += key_problems(value, kind, f'{prefix}{name}.')
        else:
            problem = (MAPPING if isinstance(kind, list) else kind).problem(prefix + name, value)
            problems += [problem] if problem else []
    return problems


def require_stage(stage):
    """Return ``stage``, or raise an InputError unless it is 1, 2 or 4 (4.0 would make other addresses)."""
    if not STAGE.accepts(stage):
        raise InputError(STAGE.problem('stage', stage))
    return stage


def defaults(*titles):
    """Fresh dictionary of the defaults of sections ``titles``; keys without a default are left out."""
    return _defaults([key for title in titles for key in SECTIONS[title]])


def _defaults(keys):
    values = {}
    for key in keys:
        if isinstance(key.kind, list):
            values[key.name] = _defaults(key.kind)
        elif key.default is not ABSENT:
            values[key.name] = copy.deepcopy(key.default)
    return values


def describe():
    """The table of all settings as Markdown text."""
    lines = []
    for title, keys in SECTIONS.items():
        lines += ['### ' + title, '', '| Key | Default | Accepted | Meaning |', '|---|---|---|---|']
        for key in keys:
            nested = key.kind if isinstance(key.kind, list) else []
            lines.append(_row(key.name, key, 'a dictionary' if nested else key.kind.text))
            lines += [_row(f'{key.name}.{inner.name}', inner, inner.kind.text) for inner in nested]
        lines.append('')
    return '\n'.join(lines)


def _row(name, key, accepted):
    default = '' if key.default is ABSENT else f'`{key.default!r}`'
    meaning = key.meaning + (' (no effect)' if name in LEGACY else '')
    return f'| `{name}` | {default} | {accepted} | {meaning} |'
