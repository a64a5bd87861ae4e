"""The small JSON record beside a checkpoint, which says which files it consists of and what must be in them."""

import hashlib
import os

from functions.setting.atomic import read_json
from functions.setting.errors import RegNetError

RECORD_FORMAT = 1


def describe_file(path):
    """Size and checksum of a file."""
    digest = hashlib.blake2b(digest_size=16)
    with open(path, 'rb') as stream:
        for block in iter(lambda: stream.read(1 << 20), b''):
            digest.update(block)
    return {'bytes': os.path.getsize(path), 'checksum': digest.hexdigest()}


def record_problem(record_path):
    """None when a checkpoint is what its record says, else what is wrong with it.

    :param record_path: the record; the checkpoint's files lie beside it.
    """
    try:
        record = read_json(record_path)
    except RegNetError as error:
        return str(error)
    if not isinstance(record, dict) or record.get('format') != RECORD_FORMAT or not record.get('files'):
        return 'its record has an unknown format'
    for name, expected in record['files'].items():
        path = os.path.join(os.path.dirname(record_path), name)
        if not os.path.isfile(path):
            return f'{name} is missing'
        if describe_file(path) != expected:
            return f'{name} is not what was written'
    return None
