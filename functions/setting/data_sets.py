"""Data sets: a :class:`functions.setting.data_set_record.DataSet` each, in a module of their own.

Adding a data set is such a module and one line here; own images need neither: :func:`register_own_images` in a script,
or ``Data/data_sets.json`` beside the images.
"""

import copy
import importlib
import os
from typing import Any, Dict, Optional, Sequence, Union

from . import kinds, schema
from .data_set_record import DataSet, image_addresses, landmark_addresses
from .errors import InputError, MissingFileError, require_known
from .schema import ABSENT, Key
from .text_files import read_json

OWN_DATA_SETS_FILE = 'data_sets.json'

_CASES = kinds.either(kinds.whole(1, 100000), kinds.list_of(kinds.whole(1), least=1))
_PREFIX = kinds.either(kinds.choice(''), kinds.NAME)
# fmt: off
#: Keys of an entry of ``OwnDataSets``.
DESCRIPTION = [
    Key('types', kinds.list_of(kinds.NAME, least=1), ABSENT, 'names of the images of a case'),
    Key('cases', _CASES, ABSENT, 'how many cases there are, or their numbers'),
    Key('CNList', _CASES, ABSENT, 'the same'),
    Key('folder', kinds.PATTERN, ABSENT, 'where its files are; default: {data_root}<key>/'),
    Key('expPrefix', _PREFIX, ABSENT, "text before a case number; default: 'case'"),
    Key('ext', kinds.choice('.mha', '.nii', '.nii.gz', '.nrrd'), ABSENT, "extension of its images; default: '.mha'"),
    Key('DefaultPixelValue', kinds.number(-32768, 32767), ABSENT, 'value outside an image [HU]; default: -2048'),
    Key('VoxelSize', schema.SIZE3, ABSENT, 'of the prepared images [mm]'),
    Key('AffineRegistration', kinds.FLAG, ABSENT, 'as for the data sets of the project'),
    Key('addresses', kinds.MAPPING, ABSENT, 'request -> pattern, replacing the standard one'),
    Key('expected_tre', kinds.MAPPING, ABSENT, 'case -> mean landmark distance before registration [mm]'),
    Key('expected_tre_pair', kinds.list_of(kinds.whole(0), length=2), ABSENT, 'its types [fixed, moving]'),
]
_DESCRIPTION_KEYS = [key.name for key in DESCRIPTION]
# fmt: on
#: Modules beside this one with the ``RECORDS`` of data sets.
MODULES = ['spread', 'dirlab', 'phantom_4d']
_RECORDS = [record for name in MODULES for record in importlib.import_module('.' + name, __package__).RECORDS]
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
    kinds.NAME.require('The name of a data set', key)
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
    cases = list(range(1, cases + 1) if kinds.whole().accepts(cases) else cases)
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


#: Key -> (description, record) of own data sets that settings describe; an address asks for its record every time.
_MADE = {}
#: Descriptions given to :func:`register_own_images`; ``setting['OwnDataSets']`` carries them to other processes.
_OWN_DESCRIPTIONS = {}


def register_own_images(
    key: str,
    cases: Union[int, Sequence[int]] = 1,
    types: Sequence[str] = ('Fixed', 'Moving'),
    setting: Optional[Dict[str, Any]] = None,
    **description: Any,
) -> DataSet:
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
    if data not in own:
        return DATA_SETS[data]
    if data not in _MADE or _MADE[data][0] != own[data]:
        _MADE[data] = copy.deepcopy(own[data]), own_data_set(data, own[data])
    return _MADE[data][1]
