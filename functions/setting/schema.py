"""The one table of settings: what each key means, what it accepts and its default; a new setting is one line.

:func:`defaults` builds the dictionaries ``initialize_setting`` starts from, :func:`key_problems` checks values against
the table, and :func:`describe` prints it.
"""

import collections
import copy
import itertools
import numbers

from .errors import nearest_hint
from .kinds import (
    ANYTHING,
    EXPERIMENT,
    FLAG,
    FOLDER,
    MAPPING,
    NAME,
    PATH,
    TEXT,
    Kind,
    choice,
    either,
    increasing,
    list_of,
    number,
    optional,
    whole,
)

#: Default of keys that are set by loading data or a network, or only by the user.
ABSENT = object()


#: A setting: ``kind`` is a :class:`Kind` or, for a dictionary of settings, a list of keys.
Key = collections.namedtuple('Key', 'name kind default meaning')


def _is_pyramid(value):
    # A stage that follows itself is another pass of its network, on what the passes before left.
    return isinstance(value, (list, tuple)) and _ONE_PASS.accepts([stage for stage, _ in itertools.groupby(value)])


#: Augmentation -> module of ``artificial_generation`` that makes it.
AUGMENTATION_MODULES = {'Clean': None, 'Sponge': 'sponge', 'Noise': 'noise', 'Occluded': 'occlusion'}
MASKS = ('Torso', 'Lung')
STAGE_LISTS = ([4, 2, 1], [4, 2], [4], [2, 1], [2], [1])
AG_MODES = ('Resp', 'NoResp', 'SingleOnly', 'MixedOnly', 'SingleResp', 'Visualization')
#: Of the numbers in networks that register.
PRECISIONS = ('auto', 'float32', 'bfloat16')
PATHOLOGIES = ('none', 'emphysema', 'nodule', 'opacity')
TRAIN_MODES = ('Training', 'Validation', 'Testing')

#: Libraries count in 32 bits.
_COUNT = 2**31 - 1
#: Threads and processes that a command may be told to use.
MOST_PROCESSES = 1024
#: Where parallel steps work, see :func:`functions.image.worker_pools.choose_backend`.
BACKENDS = ('loky', 'threading', 'dask')
_BYTES = Kind(
    lambda value: isinstance(value, numbers.Real) and not isinstance(value, bool) and 0 < value < 2**60, 'bytes above 0'
)
MASK = optional(choice(*MASKS))
STAGE = choice(1, 2, 4)
_DIGITS = Kind(lambda value: isinstance(value, str) and value.isdecimal() and len(value) < 19, 'digits', json=TEXT.json)
STEP = either(choice('Last', 'Best', 'Auto'), whole(0), _DIGITS)._replace(
    text="'Last', 'Best', 'Auto' or a whole number"
)
SIZE3 = list_of(number(above=0, most=1000), length=3)
_SIDE = optional(whole(1, 1024))
PAIR_MODE = choice('real', 'synthetic')
_BOUNDS = increasing(number(above=0), most=250, strictly=True)
_ONE_PASS = choice(*STAGE_LISTS)
PYRAMID = Kind(
    _is_pyramid,
    _ONE_PASS.text + ', each stage once or several times in a row',
    json={'type': 'array', 'items': STAGE.json, 'minItems': 1},
)


def _auto_or(kind):
    return either(choice('Auto'), kind)


def _range(least, most):
    return increasing(number(least, most), length=2)


# One key a line: the table is read as one.
# fmt: off
_GENERAL = [
    Key('where_to_run', choice('Root', 'Auto', 'Cluster'), 'Auto', 'where the folders are (root_address_generator)'),
    Key('RootFolder', FOLDER, ABSENT, 'root of all output'),
    Key('log_root_folder', FOLDER, ABSENT, 'experiments: checkpoints, logs, results'),
    Key('DataFolder', FOLDER, ABSENT, 'images'),
    Key('current_experiment', EXPERIMENT, ABSENT, 'name of the experiment, or Sub/Name'),
    Key('stage', STAGE, 1, 'down-sampling factor of the network and voxel size [mm] of its level'),
    Key('UseLungMask', FLAG, True, 'read, deform and write lung masks'),
    Key('UseTorsoMask', FLAG, True, 'the same for torso masks; sampling and augmentations stay inside'),
    Key('verbose_image', FLAG, False, 'also write intermediate images (NextDVF, stages of a registration)'),
    Key('WriteDVFStatistics', FLAG, False, 'write DVF histogram, Jacobian image and its histogram'),
    Key('ParallelSearching', FLAG, True, 'search classes of several images at a time'),
    Key('DVFPad_S1', whole(0, 100), 0, 'voxels by which DVF arrays of stage 1 exceed the image on every side'),
    Key('DVFPad_S2', whole(0, 100), 0, 'the same at stage 2'),
    Key('DVFPad_S4', whole(0, 100), 0, 'the same at stage 4'),
    Key('VoxelSize', SIZE3, [1, 1, 1], 'voxel size [mm] of prepared images'),
    Key('Dim', choice(3), 3, 'dimensions; only 3 works'),
    Key('Augmentation', either(FLAG, choice('batch')), False,
        "flip images and DVFs: along other axes every semi-epoch, or 'batch': along axes drawn for every batch"),
    Key('WriteBSplineTransform', FLAG, False, 'write B-spline transforms and their coefficients'),
    Key('verbose', FLAG, True, 'more logging'),
    Key('NumberOfThreads', optional(whole(1, MOST_PROCESSES)), None, 'threads of TensorFlow; None: all cores'),
    Key('MaximumMemory', optional(_BYTES), None, 'bytes for one forward pass; None: half of the free memory'),
    Key('XLA', FLAG, False, 'compile graphs with XLA: faster on a GPU when sizes stay the same; refused without one'),
    Key('Precision', choice(*PRECISIONS), 'float32',
        'of networks that register; auto: bfloat16 where the processor has it and fields hardly change'),
    Key('Composition', choice('exact', 'additive'), 'exact', 'of the DVFs of the stages; additive as published'),
    Key('Symmetric', optional(FLAG), None,
        'register by the mean of every pass and its way back; None: as the set says (chest: True), else False'),
    Key('normalization', choice(None, 'linear', 'lung'), None, 'None: HU; linear: (HU + 1000) / 4095; lung: -1 to 1'),
    Key('DVFUnit', choice('mm', 'voxel'), 'mm', 'unit of the networks output; results are always in mm'),
    Key('DownSampling', choice('bspline'), 'bspline', 'low-pass of the pyramid, for training and registration alike'),
    Key('DownSamplingByGPU', FLAG, False, 'accepted for older scripts'),
    Key('InputMask', MASK, None, 'a network sees the default value outside this mask; None: MaskToZero of deform_exp'),
    Key('InputMargin', optional(number(0, 1000)), None, 'train and predict only this near the input masks [mm]'),
    Key('SpongeModel', choice('published', 'physical'), 'published', 'volume change: HU / det J, or density * det J'),
    Key('Phantom', [
        Key('Size', list_of(whole(64, 2048), length=3), [300, 220, 280], 'size of a case, x, y, z [voxel = mm]'),
        Key('Landmarks', whole(1, 100000), 300, 'landmarks of the pair T00, T50'),
        Key('LandmarksAllPhases', whole(1, 100000), ABSENT, 'how many of them are known in every phase'),
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
    Key('SPREAD_Patients', optional(list_of(NAME)), None, 'folder codes of the SPREAD patients by case; NA when None'),
    Key('OwnImagesFolder', PATH, ABSENT, 'where relative paths of OwnImages begin; may hold $VARIABLE'),
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
    Key('R', whole(0, 1000), ABSENT, 'half side of the image patch, 2 R + 1 voxels'),
    Key('Ry', whole(0, 1000), ABSENT, 'half side of the DVF patch, 2 Ry + 1 voxels'),
    Key('ImPad_S1', whole(0, 1000), ABSENT, 'voxels images are padded by on every side, R - Ry'),
    Key('ImPad_S2', whole(0, 1000), ABSENT, 'the same at stage 2'),
    Key('ImPad_S4', whole(0, 1000), ABSENT, 'the same at stage 4'),
    Key('Margin', whole(0, 1000), ABSENT, 'voxels from patch centres to the border, Ry + 1; less in small images'),
    Key('SizeUnit', whole(1, 1024), ABSENT, 'valid sides are SizeUnit k + SizeOffset; a multiple gives fewer sizes'),
    Key('SizeOffset', whole(0, 1000), ABSENT, 'see SizeUnit'),
]

_QUEUE = [
    Key('NumberOfImagesPerChunk', whole(1, 100000), 16, 'images held in memory at a time'),
    Key('SamplesPerImage', whole(1, 1000000), 50, 'patches of every image in a chunk (patch mode)'),
    Key('BatchSize', whole(1, 100000), 15, 'samples of a step'),
    Key('MaxQueueSize', whole(1, 100000), 20, 'batches made ahead'),
]
_QUEUE_VALIDATION = [key._replace(default=default) for key, default in zip(_QUEUE, (10, 500, 50, 10))]

_TRAINING = [
    Key('AGMode', choice(*AG_MODES), 'Resp', 'which deformation categories are used'),
    Key('ClassBalanced', _BOUNDS, ABSENT, 'upper bounds of the magnitude classes [mm]'),
    Key('ClassRule', choice('largest_component', 'all_components'), 'largest_component',
        'which components of a displacement must lie in the class'),
    Key('CompensateShortClasses', FLAG, False, 'fill up from the other classes where a class has too few voxels'),
    Key('SampleReplacement', FLAG, True, 'a voxel may be drawn again within a chunk'),
    Key('SampleInside', choice('mask', 'lung'), 'mask', 'where patch centres lie: the MaskToZero mask, or the lung'),
    Key('OnTheFly', FLAG, False, 'make training items in memory, write nothing'),
    Key('NumberOfWorkers', whole(0), 0, 'processes that make items on the fly; 0: a thread of the training'),
    Key('LeadIn', FLAG, True, 'patch mode: start on the images of the first chunk as they are read'),
    Key('CacheIndices', FLAG, False, 'write the drawn patch centres to disk'),
    Key('MixedPrecision', FLAG, False, 'float16 in training where it is safe, with loss scaling'),
    Key('use_keras', FLAG, False, 'accepted for older scripts'),
    Key('start_chunk', whole(0, _COUNT), 0, 'first chunk of the first training semi-epoch'),
    Key('DetailedNetworkSummary', FLAG, False, 'write feature maps to TensorBoard'),
    Key('ParallelGeneration1stEpoch', FLAG, True, 'generate the images of semi-epoch 0 in other processes'),
    Key('Randomness', FLAG, True, 'permute the images every semi-epoch'),
    Key('PadTo', [Key(f'stage{n}', _SIDE, ABSENT, 'padded side') for n in (1, 2, 4)], ABSENT, 'padding'),
    Key('FullImage', optional(FLAG), None, 'train on whole images; None: as the network was designed'),
    Key('only_generate_image', FLAG, False, 'generate all images and end'),
    Key('never_generate_image', FLAG, False, 'use images that another process generates'),
    Key('NetworkTraining', _QUEUE + [
        Key('LungWeight', number(above=0, most=1000000), 1.0, 'weight of the loss inside the lung, 1 elsewhere'),
        Key('LearningRate_Base', number(above=0, most=10), 1e-3, 'learning rate of Adam'),
        Key('LearningRate_Schedule', choice('constant', 'cosine'), 'constant', 'LearningRate_Decay needs constant'),
        Key('LearningRate_Decay', optional(number(above=0, most=10)), None, 'rate = base * decay ** semi_epoch'),
        Key('MaxIterations', whole(1, _COUNT), 10000000, 'steps'),
        Key('FreezeStatistics', optional(number(0, 1)), None, 'after this part of MaxIterations use stored statistics'),
        Key('LogInterval', whole(1, _COUNT), 25, 'steps between two lines of the log'),
        Key('ValidationInterval', whole(1, _COUNT), 1000, 'steps between two checkpoints with validation'),
        Key('MaxHours', optional(number(above=0)), None, 'time limit'),
        Key('LossLimit', optional(number(above=1)), 100.0, 'stop at a loss above this multiple of the usual one'),
        Key('reg_weight', number(0, 1000000), 0.1, 'weight of the bending energy'),
        Key('inspecting_regularization_weight', FLAG, False, 'log the gradients of Huber loss and bending energy'),
        Key('VoxelSize', SIZE3, [1, 1, 1], 'voxel size in the bending energy'),
        Key('Seed', whole(0, _COUNT), 0, 'seed of weights, noise and sampling'),
    ], ABSENT, 'training'),
    Key('NetworkValidation', _QUEUE_VALIDATION, ABSENT, 'validation'),
    Key('LoadedNetwork', optional(MAPPING), None, 'initial weights: NetworkLoad, GlobalStepLoad, itr_load ...'),
    Key('PassesBefore', [
        Key('networks', MAPPING, {}, 'stage -> trained experiment'),
        Key('stages', PYRAMID, [4], 'their passes, as in a set'),
        Key('voxel', optional(STAGE), None, 'voxel size [mm] of the images they run on, where finer than the stage'),
        Key('symmetric', FLAG, False, 'each the mean of its way there and back'),
        Key('Fewer', number(0, 1), 0, 'share of the images that go through fewer of them, or none'),
    ], ABSENT, 'passes of trained networks before this one: it is trained on what they leave'),
]

_REGISTRATION = [
    Key('BaseReg', NAME, 'Affine', "registration before the network: 'Identity', or 'Affine' by elastix or SimpleITK"),
    Key('read_pair_mode', PAIR_MODE, 'real', 'pairs of images, or images and their deformed copies'),
    Key('stage_list', PYRAMID, [4, 2, 1], 'pyramid of the registration'),
    Key('ImagePyramidSchedule', PYRAMID, [4, 2, 1], 'the same, under its older name'),
    Key('PaddingForDownSampling', choice('constant'), 'constant', 'accepted for older scripts'),
    Key('WriteNoDVF', FLAG, False, 'do not write the DVF'),
    Key('WriteMasksForLSTM', FLAG, False, 'also write masks of every stage'),
    Key('WriteAfterEachStage', FLAG, True, 'write DVF and moved image after every stage'),
    Key('UseMask', FLAG, True, 'set images to the default value outside their mask before the network'),
    Key('MaskToZero', MASK, 'Lung', 'this mask'),
    Key('Reg_Affine_Parameter', NAME, 'Par0011.affine.txt', 'elastix parameter file'),
    Key('Reg_BSpline_Parameter', TEXT, 'parameters_MI_BSpline_500.txt', 'elastix parameter file'),
    Key('Reg_BSpline_Folder', NAME, 'S4_S2_S1', 'folder of B-spline registrations'),
    Key('Reg_Affine_Mask', MASK, 'Torso', 'mask of the affine registration'),
    Key('Reg_BSpline_Mask', MASK, 'Lung', 'mask of the B-spline registration'),
    Key('Reg_NumberOfThreads', whole(1, MOST_PROCESSES), 7, 'threads of elastix'),
    Key('network_dict', MAPPING, ABSENT,
        "'stage<n>' -> network and checkpoint of that stage; 'error_map': of errors; 'symmetric': True or False"),
]

_CLUSTER = [
    Key('cluster_manager', choice('SLURM', 'OGE'), ABSENT, 'scheduler; default: the one that is on the PATH'),
    Key('cluster_NumberOfCPU', whole(1), ABSENT, 'cores of a job; default: 1'),
    Key('cluster_time', TEXT, ABSENT, 'time limit of a job: minutes or [days-]hours:minutes:seconds'),
    Key('cluster_MemPerCPU', either(TEXT, whole(1)), ABSENT, 'memory per core (SLURM), a number in MB'),
    Key('cluster_Partition', TEXT, ABSENT, 'partition (SLURM)'),
    Key('cluster_NodeList', optional(TEXT), ABSENT, 'nodes (SLURM)'),
    Key('cluster_venv_slurm', TEXT, ABSENT, 'virtual environment (SLURM)'),
    Key('cluster_venv', TEXT, ABSENT, 'virtual environment (Grid Engine)'),
    Key('cluster_queue', TEXT, ABSENT, 'queue (Grid Engine)'),
    Key('cluster_memory', either(TEXT, whole(1)), ABSENT, 'memory of a job, a number in MB'),
    Key('cluster_hostname', optional(TEXT), ABSENT, 'host (Grid Engine)'),
    Key('cluster_Path', TEXT, ABSENT, 'folder of scripts, logs and record; default: cluster/ beside the results'),
    Key('NumberOfGPU', whole(0), ABSENT, 'GPUs of a job that trains or registers; a training divides its batches'),
    Key('cluster_gres', TEXT, ABSENT, 'other resources of these jobs, e.g. gpu:a100:1; default: gpu:NumberOfGPU'),
    Key('cluster_backend', choice(*BACKENDS), ABSENT, 'where parallel steps work: --backend; default: loky'),
    Key('cluster_scheduler', TEXT, ABSENT, 'address of the scheduler of dask.distributed: --scheduler'),
    Key('MainScript', TEXT, ABSENT, 'script a job runs; default: the one that submits it'),
    Key('force_to_only_generate_image', FLAG, ABSENT, 'pass --only_generate_image to the job'),
    Key('force_to_never_generate_image', FLAG, ABSENT, 'training jobs get --never_generate_image'),
    Key('force_to_only_generate_image_for_registration', FLAG, ABSENT, 'the same for registration scripts'),
]
_NETWORK_LOAD = [
    Key('NetworkLoad', PATH, ABSENT, 'experiment the weights come from'),
    Key('GlobalStepLoad', STEP, ABSENT, "its checkpoint; default: 'Last'"),
]
#: Keys of ``LoadedNetwork``.
LOADED_NETWORK = _NETWORK_LOAD + [
    Key('BatchSize', _auto_or(whole(1)), ABSENT, "batch size it was trained with; 'Auto': as in its settings"),
    Key('itr_load', _auto_or(whole(0)), ABSENT, "first iteration; 'Auto': continue counting"),
    Key('semi_epoch_load', _auto_or(whole(0)), ABSENT, "first semi-epoch; 'Auto': continue counting"),
]
#: Keys of an entry of ``network_dict``.
NETWORK = _NETWORK_LOAD + [
    Key('NetworkDesign', TEXT, ABSENT, 'network of that experiment'),
    Key('R', _auto_or(whole(0)), ABSENT, 'half side of the image patch'),
    Key('Ry', _auto_or(whole(0)), ABSENT, 'half side of the DVF patch'),
    Key('Ry_erode', _auto_or(whole(0)), ABSENT, 'voxels removed at the border of every tile'),
    Key('MaskToZero', MASK, ABSENT, 'mask the network was trained with'),
    Key('stage', STAGE, ABSENT, 'the stage again'),
]
#: Keys of an entry of ``DataExpDict`` that follow the name of a mode: ``TrainingCNList``.
MODE = [
    Key('CNList', list_of(whole(1)), ABSENT, 'case numbers'),
    Key('TypeImList', list_of(whole(0)), ABSENT, 'types of the images'),
    Key('DSmoothList', list_of(whole(0, _COUNT)), ABSENT, 'deformations'),
    Key('DeformedImExt', list_of(choice(*AUGMENTATION_MODULES), least=1), ABSENT, 'changes of the deformed image'),
    Key('PairList', list_of(list_of(whole(0), length=2)), ABSENT, 'pairs of types [fixed, moving]'),
    Key('Spacing', choice('RS1', 'Raw'), ABSENT, 'isotropic or original images'),
]
#: Keys of an entry of ``DataExpDict``.
ENTRY = [
    Key('data', ANYTHING, ABSENT, 'name of a data set'),
    Key('deform_exp', ANYTHING, ABSENT, 'name of a deformation experiment'),
] + [key._replace(name=mode + key.name) for mode in TRAIN_MODES for key in MODE]

#: Title -> keys, in the order they are documented.
SECTIONS = {'General': _GENERAL, 'Set by loading data and networks': _LOADED, 'Training': _TRAINING}
SECTIONS.update(Registration=_REGISTRATION, Cluster=_CLUSTER)
#: Every top-level key by name.
KEYS = {key.name: key for keys in SECTIONS.values() for key in keys}
#: Keys of older scripts that have no effect; any value but the default gives a warning.
LEGACY = (
    'ParallelSearching', 'ParallelGeneration1stEpoch', 'use_keras', 'DownSamplingByGPU', 'UseMask', 'MaskToZero',
    'WriteNoDVF', 'WriteMasksForLSTM', 'PaddingForDownSampling', 'Reg_BSpline_Parameter', 'Reg_BSpline_Mask',
    'Reg_NumberOfThreads', 'force_to_only_generate_image', 'force_to_only_generate_image_for_registration',
)
MODE_KEYS = tuple(key.name for key in MODE)
# fmt: on


def key_problems(values, keys=None, prefix=''):
    """Problems of a dictionary of settings and of the dictionaries in it, as sentences.

    :param keys: the :class:`Key` objects it may have; None: every setting.
    :param prefix: text before a key in a message, for example ``'NetworkTraining.'``.
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


def defaults(*titles):
    """A new dictionary with the defaults of sections ``titles``; keys without a default are left out."""
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
    """The tables of all settings as Markdown text."""
    return '\n'.join(line for title, keys in SECTIONS.items() for line in ['### ' + title, '', *table(keys), ''])


def table(keys):
    """Lines of the Markdown table of a list of :class:`Key`."""
    lines = ['| Key | Default | Accepted | Meaning |', '|---|---|---|---|']
    for key in keys:
        nested = key.kind if isinstance(key.kind, list) else []
        lines.append(_row(key.name, key, 'a dictionary' if nested else key.kind.text))
        lines += [_row(f'{key.name}.{inner.name}', inner, inner.kind.text) for inner in nested]
    return lines


def _row(name, key, accepted):
    default = '' if key.default is ABSENT else f'`{key.default!r}`'
    meaning = key.meaning + (' (no effect)' if name in LEGACY else '')
    return f'| `{name}` | {default} | {accepted} | {meaning} |'
