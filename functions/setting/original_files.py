"""The original images and masks that a setting needs, and the files that a user's data sets are made from."""

import itertools
import os
import re

from . import kinds, schema
from .addresses import address_generator
from .data_sets import data_set_names, get_data_set
from .errors import InputError, MissingFileError, RegNetError, join_numbers
from .image_lists import get_im_info_list_from_train_mode


def single_items(setting, mode, pairs=False):
    """Items of a mode as im_info dictionaries, from the entries without pairs; ``pairs``: the pairs of the others."""
    entries = [entry for entry in setting['DataExpDict'] if (mode + 'PairList' in entry) == pairs]
    load_mode = 'Pair' if pairs else 'Single'
    return get_im_info_list_from_train_mode(dict(setting, DataExpDict=entries), mode, load_mode, 'real')


def missing_originals(setting):
    """Original files that the items and pairs of a setting, which has data, need and that do not exist, sorted: the
    isotropic images of stage 1, from which other stages are made, and the masks in use.
    """
    if 'DataExpDict' not in setting:
        raise InputError('The setting has no data; call load_setting_from_data_dict first.')
    wanted = set()
    requests = ['Im'] + [mask for mask in schema.MASKS if setting.get(f'Use{mask}Mask')]
    for mode in schema.TRAIN_MODES:
        for item in itertools.chain(single_items(setting, mode), *single_items(setting, mode, pairs=True)):
            image = {key: item[key] for key in ('data', 'cn', 'type_im', 'spacing') if key in item}
            wanted.update(address_generator(setting, request, dsmooth=0, stage=1, **image) for request in requests)
    return sorted(address for address in wanted if not os.path.isfile(address))


def require_originals(setting):
    """Raise a MissingFileError when original images or masks are missing; it names the first ten."""
    missing = missing_originals(setting)
    if missing:
        named = ', '.join(missing[:10]) + (f' and {len(missing) - 10} more' if len(missing) > 10 else '')
        advice = 'Make or prepare the data set first (docs/train.md, "Train on your own images")'
        raise MissingFileError(f'Original images or masks are missing ({len(missing)}): {named}. {advice}.')


def own_image_errors(setting, files=True):
    """List of errors, to raise or to print, of ``setting['OwnImages']``: UnknownNameError (data set), MissingFileError
    (path), InputError (anything else).

    :param setting: ``OwnImages`` is data set -> case number (text, as JSON has it) -> list of paths, one for each type
        of the data set, None where the case lacks it.
    :param files: whether the paths must exist.
    """
    listed, errors = setting.get('OwnImages', {}), []
    if not isinstance(listed, dict):
        return [InputError(f'OwnImages is {listed!r}; accepted: a dictionary, data set -> case -> list of paths.')]
    for data, cases in listed.items():
        where = f'OwnImages[{data!r}]'
        try:
            record = get_data_set(data, setting)
        except RegNetError as error:
            known = data in data_set_names(setting)
            errors.append(error if known else type(error)(f'OwnImages: {error}'))
            continue
        if not isinstance(cases, dict):
            errors.append(InputError(f'{where} is {cases!r}; accepted: a dictionary, case number -> list of paths.'))
            continue
        for cn, paths in cases.items():
            errors += _case_errors(setting, where, cn, paths, record, files)
    return errors


def path_and_series(entry):
    """(path, series or None) of an entry of ``OwnImages``: a path, or a dictionary with ``path`` and ``series``."""
    if isinstance(entry, dict) and set(entry) == {'path', 'series'}:
        return entry['path'], entry['series']
    return entry, None


def own_image_path(setting, path):
    """A path of ``OwnImages``: relative ones begin at ``OwnImagesFolder``; ~ and $VARIABLE are replaced in both."""
    folder, path = [os.path.expandvars(os.path.expanduser(part)) for part in (setting.get('OwnImagesFolder', ''), path)]
    return os.path.join(folder, path)


def _case_errors(setting, where, cn, paths, record, files):
    is_number = not isinstance(cn, bool) and re.match(r'[1-9][0-9]*\Z', str(cn))
    if not is_number or int(cn) not in record.CNList:
        return [InputError(f'{where} has the case {cn!r}; {record.key} has {join_numbers(record.CNList)}.')]
    where = f'{where}[{cn!r}]'
    if not isinstance(paths, (list, tuple)) or len(paths) != len(record.types):
        accepted = f'a list of {len(record.types)}, one path for each type ({", ".join(record.types)})'
        return [InputError(f'{where} is {paths!r}; accepted: {accepted}, None where the case lacks it.')]
    errors = []
    for name, path in zip(record.types, paths):
        if path is None:
            continue
        entry, (path, series) = path, path_and_series(path)
        if not kinds.PATH.accepts(path) or not (series is None or isinstance(series, (int, str))):
            accepted = "the path of a file or folder, {'path': folder, 'series': UID or number}, or None"
            errors.append(InputError(f'{where} has {entry!r} for the type {name}; accepted: {accepted}.'))
            continue
        path = own_image_path(setting, path)
        if files and not os.path.exists(path):
            errors.append(MissingFileError(f'{where}: {path} does not exist.'))
    return errors
