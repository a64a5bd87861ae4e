"""The beginning of every script: folders, defaults, data sets and network of a setting."""

import copy
import os
from typing import Any, Dict, Optional, Sequence

from . import kinds, schema
from .address_fields import DATA_FOLDER, LOG_FOLDER
from .artificial_generation_setting import get_deform_exp
from .code_version import INSTALLED, REPOSITORY
from .data_sets import get_data_set, own_description, read_own_data_sets
from .errors import InputError, require_known
from .experiment_files import plain


def _folder(path):
    path = os.path.expanduser(path).replace(os.sep, '/')
    return path if path.endswith('/') else path + '/'


def root_address_generator(where_to_run: str = 'Auto') -> Dict[str, str]:
    """Root folders.

    'Root' is the current folder; 'Auto' the folder of the repository (of the installed package: the current folder),
    unless the environment variables ``REGNET_ROOT`` and ``REGNET_DATA`` are set; 'Cluster' requires both variables.

    :return: dictionary with RootFolder, log_root_folder and DataFolder; folders end in ``/``.
    :raises UnknownNameError: another ``where_to_run``. :raises InputError: 'Cluster' without its variables.
    """
    require_known('place to run', where_to_run, schema.KEYS['where_to_run'].kind.names)
    given = {name: os.environ.get(name) for name in ('REGNET_ROOT', 'REGNET_DATA')}
    missing = ', '.join(name for name, value in given.items() if not value)
    if where_to_run == 'Cluster' and missing:
        needed = 'the environment variables REGNET_ROOT (folder of all output) and REGNET_DATA (folder of the images)'
        raise InputError(f"where_to_run 'Cluster' needs {needed}; missing: {missing}.")
    if where_to_run == 'Root':
        root, data = './', './' + DATA_FOLDER
    else:
        root = _folder(given['REGNET_ROOT'] or ('.' if INSTALLED else REPOSITORY))
        data = _folder(given['REGNET_DATA'] or root + DATA_FOLDER)
    return {'RootFolder': root, 'log_root_folder': root + LOG_FOLDER, 'DataFolder': data}


def initialize_setting(current_experiment: str, where_to_run: Optional[str] = None) -> Dict[str, Any]:
    """A dictionary of all settings with their defaults and the data sets of ``data_sets.json``.

    :param current_experiment: name of the experiment, or 'Sub/Name'.
    :param where_to_run: 'Root', 'Auto' (also None) or 'Cluster', see :func:`root_address_generator`.
    """
    where_to_run = 'Auto' if where_to_run is None else where_to_run
    setting = schema.defaults('General', 'Training')
    setting.update(root_address_generator(where_to_run))
    setting.update(where_to_run=where_to_run, current_experiment=current_experiment)
    setting['OwnDataSets'] = read_own_data_sets(setting['DataFolder'])
    setting['data'] = {'SPREAD': load_data_setting('SPREAD')}
    setting['DataList'] = ['SPREAD']
    return setting


def load_data_setting(selected_data, setting=None):
    """The keys of a data set (types, expPrefix, ext, DefaultPixelValue, VoxelSize [mm], CNList, ...), a fresh copy.

    :param setting: needed only for own data sets that another process registered.
    :raises UnknownNameError: there is no such data set; the message lists the known ones.
    """
    return get_data_set(selected_data, setting).settings()


def load_setting_from_data_dict(
    setting: Dict[str, Any], data_exp_dict_list: Sequence[Dict[str, Any]]
) -> Dict[str, Any]:
    """Put the data sets and deformation experiments of ``data_exp_dict_list`` into ``setting``.

    :param data_exp_dict_list: list of dictionaries: ``data``, ``deform_exp`` (may be absent for real pairs) and the
        keys of ``schema.MODE`` (``CNList``, ``TypeImList`` ...) with the prefix Training, Validation or Testing.
    :return: ``setting``, changed: DataExpDict, data, DataList, deform_exp, DeformExpList.
    :raises UnknownNameError: unknown data set or deformation experiment.
    """
    if not kinds.list_of(kinds.MAPPING).accepts(data_exp_dict_list):
        raise InputError('data_exp_dict must be a list of dictionaries, one per data set.')
    entries = plain(list(data_exp_dict_list), 'data_exp_dict')
    kept = setting.get('deform_exp') or {}
    loaded: Dict[str, Any] = {'data': {}, 'deform_exp': {}, 'DataList': [], 'DeformExpList': []}
    for number, entry in enumerate(entries):
        if 'data' not in entry:
            raise InputError(f"Entry {number} of data_exp_dict has no 'data' (name of a data set).")
        data, deform_exp = entry['data'], entry.get('deform_exp')
        description = own_description(data)
        if description is not None:
            setting.setdefault('OwnDataSets', {})[data] = description
        loaded['data'][data] = load_data_setting(data, setting)
        loaded['DataList'].append(data)
        if deform_exp:
            # Keep what a script changed in an experiment that was loaded before.
            content = get_deform_exp({'deform_exp': kept}, deform_exp)
            loaded['deform_exp'][deform_exp] = copy.deepcopy(content)
            loaded['DeformExpList'].append(deform_exp)
    setting.update(loaded, DataExpDict=entries)
    return setting


def load_network_setting(setting, network_name):
    """Put the geometry of a network into ``setting``.

    Sets NetworkDesign, R, Ry, ImPad_S<stage> = R - Ry, Margin = Ry + 1, SizeUnit, SizeOffset (valid sides are
    SizeUnit k + SizeOffset) and, where it is None, FullImage.

    :raises UnknownNameError: there is no such network. :raises InputError: the stage is not 1, 2 or 4.
    """
    # Imported here: addresses do not need the networks.
    from ..network.description import NETWORKS, network_description

    require_known('network', network_name, sorted(NETWORKS))
    schema.STAGE.require('stage', setting['stage'])
    description = network_description(network_name)
    radius, radius_out = description.radius_train
    setting.update(NetworkDesign=network_name, R=radius, Ry=radius_out, Margin=radius_out + 1)
    setting.update(SizeUnit=description.size_unit, SizeOffset=description.size_offset)
    setting[f'ImPad_S{setting["stage"]}'] = radius - radius_out
    if setting.get('FullImage') is None:
        setting['FullImage'] = bool(description.full_image)
    return setting


def load_registration_setting(setting, stage_list=(4, 2, 1)):
    """Put the defaults of a registration into ``setting``; existing keys stay, except those of the pyramid.

    :param stage_list: [4, 2, 1], [4, 2], [4], [2, 1], [2] or [1]; stages may be repeated, as in [4, 4, 2, 1].
    :raises InputError: another pyramid.
    """
    stage_list = schema.PYRAMID.require('stage_list', list(stage_list))
    for key, value in schema.defaults('Registration').items():
        setting.setdefault(key, value)
    folder = '_'.join(f'S{stage}' for stage in stage_list)
    setting.update(stage_list=stage_list, ImagePyramidSchedule=list(stage_list), Reg_BSpline_Folder=folder)
    return setting


def load_suggested_class_balanced(setting):
    """Bounds [mm] of magnitude classes suggested for m, the largest MaxDeform of the deformation experiments: [m] up to
    5 mm, [2, m] up to 7, [1.5, 4, m] up to 15, [1.5, 8, m] up to 25; else an InputError.
    """
    names = setting.get('DeformExpList')
    if not names:
        raise InputError('No deformation experiment is loaded; call load_setting_from_data_dict first.')
    limits = [setting['deform_exp'][name]['MaxDeform'] for name in names]
    largest = max(kinds.list_of(kinds.number(above=0)).require('MaxDeform', limits))
    for limit, lower in ((5, []), (7, [2]), (15, [1.5, 4]), (25, [1.5, 8])):
        if largest <= limit:
            return lower + [largest]
    raise InputError(f'MaxDeform {largest} mm is beyond 25 mm; there is no suggestion, set ClassBalanced yourself.')
