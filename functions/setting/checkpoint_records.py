"""The small JSON record beside a checkpoint, which says which files it consists of and what must be in them."""

import hashlib
import os

from .errors import RegNetError
from .kinds import MAPPING, choice, optional, whole
from .text_files import read_record

RECORD_FORMAT = 1
_STATE = {'iteration': optional(whole(0)), 'position': optional(MAPPING), 'best': optional(MAPPING)}
SHAPE = {'format': choice(RECORD_FORMAT), 'files': MAPPING, 'state': _STATE}


def describe_file(path):
    """Size and checksum of a file."""
    digest = hashlib.blake2b(digest_size=16)
    with open(path, 'rb') as stream:
        for block in iter(lambda: stream.read(1 << 20), b''):
            digest.update(block)
    return {'bytes': os.path.getsize(path), 'checksum': digest.hexdigest()}


def record_problem(record_path):
    """None when the checkpoint beside a record is what that says, else what is wrong with it."""
    try:
        files = read_record(record_path, SHAPE)['files']
    except RegNetError as error:
        return str(error)
    if not files or any(os.path.basename(name) != name for name in files):
        return f'{record_path} does not name the files beside it'
    for name, expected in files.items():
        path = os.path.join(os.path.dirname(record_path), name)
        if not os.path.isfile(path):
            return f'{name} is missing'
        if describe_file(path) != expected:
            return f'{name} is not what was written'
    return None
