"""The settings files of an experiment: numbered, never replaced, read back."""

import itertools
import math
import os
import re

import numpy as np

from .addresses import address_generator
from .atomic import publish_new, remove, temporary_path, write_json
from .errors import InputError
from .text_files import checksum_of, parse_json, read_record, read_text

#: Entry of ``about<k>.json``: checksum of the text of ``setting<k>.txt``, which keeps its published form.
SETTINGS_CHECKSUM = 'settings_checksum'


def address_of_folder(folder):
    """(setting, experiment) for :func:`address_generator`, from the folder of an experiment, wherever it is."""
    parent, name = os.path.split(os.path.abspath(folder))
    root, sub = os.path.split(parent)
    return {'log_root_folder': root.rstrip('/') + '/'}, f'{sub}/{name}'


def plain(value, where='setting'):
    """A copy of ``value``, named ``where`` in messages, for JSON: NumPy numbers and arrays, tuples and ranges become
    numbers and lists.

    :raises InputError: something JSON cannot hold; the message has the path to it.
    """
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise InputError(f'{where}: the key {key!r} is not text, so it cannot be written as JSON.')
        return {key: plain(item, f'{where}[{key!r}]') for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), where)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (list, tuple, range)):
        return [plain(item, f'{where}[{i}]') for i, item in enumerate(value)]
    if value is None or isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    accepted = 'texts, finite numbers, True, False, None, lists and dictionaries'
    raise InputError(f'{where} is {value!r}, which JSON cannot carry; accepted: {accepted}.')


def write_setting(setting, setting_address=None):
    """Write the settings as JSON (sorted keys, indent 4).

    :param setting_address: file to write; None: the first free ``setting<k>.txt``, k from 0, in the experiment's model
        folder; never replaces an older one, even when two processes write at the same time.
    :return: the file's address.
    """
    content = plain(setting)
    if setting_address is not None:
        write_json(setting_address, content, seal=False)
        return setting_address
    folder = address_generator(setting, 'ModelFolder')
    addresses = (f'{folder}setting{number}.txt' for number in itertools.count())
    return next(address for address in addresses if _write_new(address, content))


def _write_new(address, content):
    """Write ``address`` unless it exists; whole or not at all."""
    if os.path.exists(address):
        return False
    draft = temporary_path(address)
    write_json(draft, content, seal=False)
    try:
        return publish_new(draft, address)
    finally:
        remove(draft)


def read_setting(setting, current_experiment=None, number=0):
    """Settings an experiment was run with: ``setting<number>.txt`` of its model folder, else a MissingFileError. They
    are compared with the checksum in ``about<number>.json``, where there is one.
    """
    folder = address_generator(setting, 'ModelFolder', current_experiment=current_experiment)
    path, about = f'{folder}setting{number}.txt', f'{folder}about{number}.json'
    text = read_text(path, 'a JSON file')
    content = parse_json(path, text)
    if not isinstance(content, dict):
        raise InputError(f'{path} must hold one JSON object, setting -> value.')
    recorded = read_record(about, {}).get(SETTINGS_CHECKSUM) if os.path.isfile(about) else None
    if recorded not in (None, checksum_of(text)):
        remedy = f'Copy it again; if you edited it, remove {SETTINGS_CHECKSUM} and checksum from {about}'
        raise InputError(f'{path} is damaged, or was edited: {about} records another checksum. {remedy}.')
    return content


def newest_number(folder, stem, extension):
    """The largest k of the files ``<stem><k><extension>`` of a folder; None when there are none."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    matches = [re.match(re.escape(stem) + r'(\d+)' + re.escape(extension) + '$', name) for name in names]
    return max((int(match.group(1)) for match in matches if match), default=None)


def settings_number(setting, current_experiment=None):
    """Number of the newest settings file of an experiment, or None."""
    folder = address_generator(setting, 'ModelFolder', current_experiment=current_experiment)
    return newest_number(folder, 'setting', '.txt')
