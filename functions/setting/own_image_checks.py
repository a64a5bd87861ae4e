"""What is wrong with ``OwnImages``, the files and DICOM folders that a user's data sets are made from."""

import os
import re

from functions.setting.data_sets import data_set_names, get_data_set
from functions.setting.errors import InputError, MissingFileError, RegNetError, join_numbers, unknown_name


def own_image_errors(setting, files=True):
    """Everything wrong with ``setting['OwnImages']``, before anything is prepared.

    :param setting: the setting dictionary; ``OwnImages`` is data set -> case number (text, as JSON has it) ->
        list of paths, one for each type of the data set, None where the case lacks it.
    :param files: whether the paths must be there.
    :return: list of errors to raise or to print, one for each problem: UnknownNameError (data set),
        MissingFileError (path), InputError (anything else).
    """
    listed = setting.get('OwnImages', {})
    if not isinstance(listed, dict):
        return [InputError(f'OwnImages is {listed!r}; accepted: a dictionary, data set -> case -> list of paths.')]
    errors = []
    for data, cases in listed.items():
        if data not in data_set_names(setting):
            error = unknown_name('data set', data, data_set_names(setting))
            errors.append(type(error)(f'OwnImages: {error}'))
            continue
        try:
            record = get_data_set(data, setting)
        except RegNetError as error:
            errors.append(error)
            continue
        where = f'OwnImages[{data!r}]'
        if not isinstance(cases, dict):
            errors.append(InputError(f'{where} is {cases!r}; accepted: a dictionary, case number -> list of paths.'))
            continue
        for cn, paths in cases.items():
            errors += _case_errors(where, cn, paths, record, files)
    return errors


def _case_errors(where, cn, paths, record, files):
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
        if not isinstance(path, str) or not path:
            accepted = 'the path of a file or folder, or None'
            errors.append(InputError(f'{where} has {path!r} for the type {name}; accepted: {accepted}.'))
        elif files and not os.path.exists(os.path.expanduser(path)):
            errors.append(MissingFileError(f'{where}: {path} does not exist.'))
    return errors
