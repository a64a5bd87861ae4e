"""Data sets: one record each, holding its types, names, cases and the patterns of its own file addresses.

The fields of a pattern are those of :mod:`functions.setting.address_fields`; a tuple of patterns is indexed by
``type_im``. Adding a data set is one record here; own images need none: :func:`register_own_images` in a script, or
``Data/data_sets.json`` beside the images.
"""

import collections
import copy
import os

from . import schema
from .errors import InputError, MissingFileError, require_known
from .schema import ABSENT, Key, list_of, whole
from .text_files import read_json

OWN_DATA_SETS_FILE = 'data_sets.json'

_CASES = schema.either(whole(1, 100000), list_of(whole(1), least=1))
_PREFIX = schema.either(schema.choice(''), schema.NAME)
# fmt: off
#: Keys of an entry of ``OwnDataSets``.
DESCRIPTION = [
    Key('types', list_of(schema.NAME, least=1), ABSENT, 'names of the images of a case'),
    Key('cases', _CASES, ABSENT, 'how many cases there are, or their numbers'),
    Key('CNList', _CASES, ABSENT, 'the same'),
    Key('folder', schema.PATTERN, ABSENT, 'where its files are; default: {data_root}<key>/'),
    Key('expPrefix', _PREFIX, ABSENT, "text before a case number; default: 'case'"),
    Key('ext', schema.choice('.mha', '.nii', '.nii.gz', '.nrrd'), ABSENT, "extension of its images; default: '.mha'"),
    Key('DefaultPixelValue', schema.number(-32768, 32767), ABSENT, 'value outside an image [HU]; default: -2048'),
    Key('VoxelSize', schema.SIZE3, ABSENT, 'of the prepared images [mm]'),
    Key('AffineRegistration', schema.FLAG, ABSENT, 'as for the data sets of the project'),
    Key('addresses', schema.MAPPING, ABSENT, 'request -> pattern, replacing the standard one'),
    Key('expected_tre', schema.MAPPING, ABSENT, 'case -> mean landmark distance before registration [mm]'),
    Key('expected_tre_pair', list_of(whole(0), length=2), ABSENT, 'its types [fixed, moving]'),
]
_DESCRIPTION_KEYS = [key.name for key in DESCRIPTION]
#: Fields that ``setting['data'][key]`` carries.
_SETTING_FIELDS = ('ext', 'ImageByte', 'types', 'expPrefix', 'DefaultPixelValue', 'VoxelSize', 'AffineRegistration',
                   'UnsureLandmarkAvailable', 'CNList')
# fmt: on
_FIELDS = (
    'key types expPrefix CNList addresses ext ImageByte DefaultPixelValue VoxelSize AffineRegistration '
    'UnsureLandmarkAvailable expected_tre expected_tre_pair patients layout raw_grids'
)
_DEFAULTS = ('.mha', 2, -2048, [1, 1, 1], True, False, {}, None, (), None, {})


class DataSet(collections.namedtuple('DataSet', _FIELDS, defaults=_DEFAULTS)):
    """One data set.

    ``types`` are the names of the images of a case, indexed by ``type_im``; ``CNList`` the case numbers, from 1;
    ``ImageByte`` the bytes of a voxel (int16); ``DefaultPixelValue`` the value [HU] outside an image; ``VoxelSize`` is
    that of the prepared images [mm]; ``addresses`` maps a request to its pattern; ``expected_tre`` maps a case to the
    mean landmark distance [mm] before registration, where known, of ``expected_tre_pair``, the types (fixed, moving)
    that are usually registered; ``patients`` are folder codes by case, where the data set has any; ``layout`` names how
    the data set is distributed (:mod:`functions.preprocessing.downloaded_packs`), None when there is nothing to
    download; ``raw_grids`` maps a case to the (size, spacing), x y z, of its images when their files do not say it.
    """

    __slots__ = ()

    def settings(self):
        """The keys that ``setting['data'][key]`` carries, as fresh objects."""
        return {name: copy.deepcopy(getattr(self, name)) for name in _SETTING_FIELDS}

    def type_list(self):
        """The types as shown in messages: '0 (T00), 1 (T10)'."""
        return ', '.join(f'{number} ({name})' for number, name in enumerate(self.types))

    def type_name(self, type_im):
        """Name of type ``type_im``; an InputError when there is no such type."""
        if not whole(0, len(self.types) - 1).accepts(type_im):
            raise InputError(f'type_im {type_im!r} is not in data set {self.key}; accepted: {self.type_list()}.')
        return self.types[type_im]


def image_addresses(root):
    """Patterns of images and masks under ``root`` (ends in ``/``), one folder ``mha/{p}/`` per case."""
    folder = root + 'mha/{p}/'
    return {
        'OriginalFolder': folder,
        'OriginalIm': folder + '{p}_{type}_RS1{S}{P}{ext}',
        'OriginalLung': folder + 'Lung_Filled/{p}_{type}_Lung_Filled_RS1{S}{P}{ext}',
        'OriginalTorso': folder + 'Torso/{p}_{type}_Torso_RS1{S}{P}{ext}',
        'OriginalImRaw': folder + '{p}_{type}{S}{P}{ext}',
        'OriginalLungRaw': folder + 'Lung_Filled/{p}_{type}_Lung_Filled{S}{P}{ext}',
        'OriginalTorsoRaw': folder + 'Torso/{p}_{type}_Torso{S}{P}{ext}',
        'DilatedLandmarksIm': folder + 'dilatedLandmarks{cn}_{type}_Landmarks_RS1{S}{P}{ext}',
        'DilatedLandmarksImNonIsotropic': folder + 'dilatedLandmarks{cn}_{type}{S}{P}{ext}',
        'OriginalImNonIsotropic': folder + '{p}_{type}{ext}',
        'OriginalImNonIsotropicFolder': folder,
    }


def landmark_addresses(folder, stem, index=True, exact=False):
    """Patterns of landmark files in ``folder``.

    ``stem`` is the common beginning of the names, with ``{kind}`` in place of ``xyz`` (voxel index) or ``world`` (mm).
    ``index`` adds the file as distributed (1-based index), ``exact`` the full-precision file of phantoms and users.
    """
    xyz, world = folder + stem.replace('{kind}', 'xyz'), folder + stem.replace('{kind}', 'world')
    patterns = {
        'OriginalLandmarkFolder': folder,
        'LandmarkIndex_tr': xyz + '_tr.txt',
        'LandmarkIndex_elx': xyz + '_elx.txt',
        'LandmarkPoint_tr': world + '_tr.txt',
        'LandmarkPoint_elx': world + '_elx.txt',
    }
    if index:
        patterns['LandmarkIndex'] = xyz + '.txt'
    if exact:
        patterns['LandmarkPointExact'] = world + '_exact.txt'
    return patterns


def _spread_addresses():
    result = '{root}Elastix/LungExp/{p}/Result/'
    truth = '{data_root}lung_dataset/SPREAD/SPREADgroundTruth/'
    baseline = truth + '{patient}_baseline_1_Cropped_point'
    follow_up = truth + 'Consensus/{patient4}_b1f1_point'
    patient = '{data_root}lung_dataset/SPREAD/{patient}/'
    return {
        'OriginalFolder': result,
        'OriginalIm': result + '{type}ImageFullRS1{S}{P}{ext}',
        'OriginalLung': result + '{type}MaskFullRS1{S}{P}{ext}',
        'OriginalTorso': result + '{type}TorsoFullRS1{S}{P}{ext}',
        'DilatedLandmarksIm': result + 'DilatedLandmarksFullRS1{S}{P}{ext}',
        'OriginalImNonIsotropic': (patient + 'baseline_1.mhd', patient + 'followup_1.mhd'),
        'OriginalLandmarkFolder': truth,
        'LandmarkPoint_tr': (baseline + '_trunc.txt', follow_up + '_trunc.txt'),
        'LandmarkPoint_elx': (baseline + '.txt', follow_up + '.txt'),
        'UnsurePoints': truth + 'Consensus/{patient4}_b1f1_unsure.txt',
    }


def _phantom_addresses():
    root = '{data_root}Phantom/'
    patterns = image_addresses(root)
    patterns.update(landmark_addresses(root + 'points/{p}/', '{p}_{K}_{type}_{kind}', exact=True))
    patterns['TrueDVF'] = root + 'dvf/{p_fixed}/DVF_{type_fixed}_{type_moving}{ext}'
    patterns['PhantomManifest'] = root + 'mha/{p}/manifest.json'
    return patterns


def _by_case(*values):
    return dict(enumerate(values, start=1))


def _dirlab_grids(*rows):
    """Grids by case from (voxels along x and y, slices, mm along x and y); slices are 2.5 mm apart."""
    return _by_case(*[((side, side, slices), (mm, mm, 2.5)) for side, slices, mm in rows])


_PHASES = ['T00', 'T10', 'T20', 'T30', 'T40', 'T50', 'T60', 'T70', 'T80', 'T90']
_4DCT, _COPD = '{data_root}DIR-Lab/4DCT/', '{data_root}DIR-Lab/COPDgene/'
_4DCT_LANDMARKS = landmark_addresses(_4DCT + 'points/{p}/', 'case{cn}_{K}_{type}_{kind}')
_COPD_LANDMARKS = landmark_addresses(_COPD + 'points/{p}/', 'copd{cn}_300_{type3}_{kind}_r1', index=False)

# fmt: off
_RECORDS = [
    DataSet(
        'SPREAD', ['Fixed', 'Moving'], 'ExpLung', list(range(1, 21)), _spread_addresses(), expected_tre_pair=(0, 1),
        UnsureLandmarkAvailable=True, patients=('NA',) * 21, layout='spread',
    ),
    DataSet(
        'DIR-Lab_4D', _PHASES, 'case', list(range(1, 11)), dict(image_addresses(_4DCT), **_4DCT_LANDMARKS),
        expected_tre=_by_case(3.89, 4.34, 6.94, 9.83, 7.48, 10.89, 11.03, 14.99, 7.92, 7.30), expected_tre_pair=(0, 5),
        layout='dirlab_4dct', raw_grids=_dirlab_grids(
            (256, 94, 0.97), (256, 112, 1.16), (256, 104, 1.15), (256, 99, 1.13), (256, 106, 1.10),
            (512, 128, 0.97), (512, 136, 0.97), (512, 128, 0.97), (512, 128, 0.97), (512, 120, 0.97),
        ),
    ),
    DataSet(
        'DIR-Lab_COPD', ['iBHCT', 'eBHCT'], 'copd', list(range(1, 11)), dict(image_addresses(_COPD), **_COPD_LANDMARKS),
        expected_tre=_by_case(26.33, 21.79, 12.64, 29.58, 30.08, 28.46, 21.60, 26.46, 14.86, 21.81),
        expected_tre_pair=(0, 1), layout='dirlab_copdgene', raw_grids=_dirlab_grids(
            (512, 121, 0.625), (512, 102, 0.645), (512, 126, 0.652), (512, 126, 0.590), (512, 131, 0.647),
            (512, 119, 0.633), (512, 112, 0.625), (512, 115, 0.586), (512, 116, 0.644), (512, 135, 0.742),
        ),
    ),
    DataSet('Phantom_4D', _PHASES, 'case', list(range(1, 201)), _phantom_addresses(), expected_tre_pair=(0, 5)),
]
# fmt: on
#: Every data set known to this process, by key.
DATA_SETS = {record.key: record for record in _RECORDS}
#: Names a user's own data set cannot have.
BUILT_IN = tuple(DATA_SETS)


def register_data_set(record):
    """Add a :class:`DataSet` to the registry, or replace the one with the same key; return it.

    Settings do not carry it, unlike what :func:`register_own_images` describes: register it in every process.
    """
    DATA_SETS[record.key] = record
    return record


def own_data_set(key, description):
    """Make the record of a user's own data set, named ``key`` as in ``data_exp_dict`` and as its folder in ``Data/``.

    :param description: JSON-able dictionary of the entries in ``DESCRIPTION``; ``types`` is required.
    :raises InputError: something is missing or of the wrong kind. :raises UnknownNameError: a misspelt entry.
    """
    where = f'Data set {key!r}'
    if key in BUILT_IN:
        raise InputError(f'{where}: this name is taken by a data set of RegNet; choose another one.')
    schema.NAME.require('The name of a data set', key)
    if not isinstance(description, dict):
        raise InputError(f'{where}: expected a dictionary with {", ".join(_DESCRIPTION_KEYS)}.')
    for name in description:
        require_known(f'entry of data set {key!r}', name, _DESCRIPTION_KEYS)
    given = {name: value for name, value in description.items() if value is not None}
    problems = schema.key_problems(given, DESCRIPTION) + ([] if 'types' in given else ["'types' is missing."])
    if problems:
        raise InputError(f'{where}: {" ".join(problems)}')
    types = given['types']
    if len(set(types)) != len(types):
        raise InputError(f"{where}: two of its 'types' have the same name.")
    root = (given.get('folder') or '{data_root}' + key).rstrip('/') + '/'
    patterns = image_addresses(root)
    patterns.update(landmark_addresses(root + 'points/{p}/', '{p}_{type}_{kind}', exact=True))
    for request, pattern in given.get('addresses', {}).items():
        patterns[request] = tuple(pattern) if isinstance(pattern, list) else pattern
        if isinstance(pattern, (list, tuple)) and len(pattern) != len(types):
            raise InputError(f'{where}: address {request} has {len(pattern)} patterns for {len(types)} types.')
    names = ('ext', 'DefaultPixelValue', 'VoxelSize', 'AffineRegistration')
    options = {name: given[name] for name in names if name in given}
    if 'expected_tre' in given:
        options.update(_expected(where, given, len(types)))
    cases = given.get('CNList', given.get('cases', 1))
    cases = list(range(1, cases + 1) if whole().accepts(cases) else cases)
    return DataSet(key, list(types), given.get('expPrefix', 'case'), cases, patterns, **options)


def _expected(where, given, n_types):
    pair = tuple(given.get('expected_tre_pair', (0, 1)))
    if max(pair) >= n_types:
        raise InputError(f"{where}: 'expected_tre_pair' names a type that does not exist.")
    try:
        # Keys of JSON are text, so '1' is case 1.
        expected = {int(cn): float(value) for cn, value in given['expected_tre'].items()}
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: 'expected_tre' must map cases to mean landmark distances [mm].") from error
    return {'expected_tre': expected, 'expected_tre_pair': pair}


#: Descriptions given to :func:`register_own_images`; ``setting['OwnDataSets']`` carries them to other processes.
_OWN_DESCRIPTIONS = {}


def register_own_images(key, cases=1, types=('Fixed', 'Moving'), setting=None, **description):
    """Make a user's own images a :class:`DataSet` that can be used as ``data`` everywhere.

    Its files are in ``Data/<key>/mha/case<cn>/``, or are put there when own images are prepared. Settings that use the
    data set carry its description, so that worker processes know it too.

    :param cases: number of cases, or a list of case numbers.
    :param types: names of the images of a case.
    :param setting: when given, the description is put there at once.
    :param description: further entries, as for :func:`own_data_set`.
    """
    cases = list(cases) if isinstance(cases, (tuple, range)) else cases
    description = dict(description, types=list(types), cases=cases)
    if isinstance(description.get('expected_tre'), dict):
        description['expected_tre'] = {str(cn): value for cn, value in description['expected_tre'].items()}
    record = own_data_set(key, description)
    _OWN_DESCRIPTIONS[key] = description
    DATA_SETS[key] = record
    if setting is not None:
        setting.setdefault('OwnDataSets', {})[key] = copy.deepcopy(description)
    return record


def own_description(key):
    """A copy of the description given to :func:`register_own_images` for ``key``; None for other data sets."""
    return copy.deepcopy(_OWN_DESCRIPTIONS.get(key)) if isinstance(key, str) else None


def read_own_data_sets(data_root):
    """Descriptions in ``<data_root>/data_sets.json``; empty without such a file, an InputError when they cannot be
    used.
    """
    path = os.path.join(data_root, OWN_DATA_SETS_FILE)
    try:
        descriptions = read_json(path, edited=True)
    except MissingFileError:
        return {}
    if not isinstance(descriptions, dict):
        raise InputError(f'{path} must be a dictionary: name of a data set -> its description.')
    for key, description in descriptions.items():
        try:
            own_data_set(key, description)
        except (InputError, KeyError) as error:
            raise InputError(f'{path}: {error}') from error
    return descriptions


def _own(setting):
    own = (setting or {}).get('OwnDataSets')
    return own if isinstance(own, dict) else {}


def data_set_names(setting=None):
    """Keys of every data set that can be used with ``setting``."""
    return list({**DATA_SETS, **_own(setting)})


def get_data_set(data, setting=None):
    """The record of ``data``, from ``setting['OwnDataSets']`` or the registry; else an UnknownNameError."""
    require_known('data set', data, data_set_names(setting))
    own = _own(setting)
    return own_data_set(data, own[data]) if data in own else DATA_SETS[data]
