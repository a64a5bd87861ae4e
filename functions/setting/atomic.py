"""Files that appear whole or not at all.

A file is written under a temporary name in its own folder, flushed to disk and renamed to its final name: a reader sees
the old file or the new one, never half of one, and a killed writer leaves only a temporary that the next start removes.
"""

import contextlib
import errno
import json
import logging
import os
import re
import uuid

from functions.setting.errors import DiskError, InputError, MissingFileError
from functions.setting.processes import is_alive

LOGGER = logging.getLogger(__name__)
_DISK_FAILURES = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM, errno.EFBIG)
_TEMPORARY = re.compile(r'^\..+\.(\d+)-[0-9a-f]{8}(\.[A-Za-z0-9]+)*$')


def temporary_path(path):
    """Name of a temporary beside ``path``: ``.name.<pid>-<random>.ext``, with the extension last for SimpleITK."""
    folder, name = os.path.split(os.path.abspath(path))
    stem, dot, extension = name.partition('.')
    return os.path.join(folder, f'.{stem}.{os.getpid()}-{uuid.uuid4().hex[:8]}{dot}{extension}')


@contextlib.contextmanager
def publish(path):
    """Yield a temporary path to write to; on leaving without an error it becomes ``path`` in one step.

    :param path: the final file; its folder is made when missing.
    :raises DiskError: the disk is full or the folder cannot be written; the former content of ``path`` is untouched.
    """
    path = os.path.abspath(path)
    temporary = temporary_path(path)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        yield temporary
        with open(temporary, 'rb') as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        # Ask while the unfinished file exists: the disk may be full only until it is removed.
        reason = _disk_failure(error, path)
        with contextlib.suppress(OSError):
            os.remove(temporary)
        if reason:
            advice = 'Free some space or choose another folder; nothing made before is lost'
            raise DiskError(f'Cannot write {path}: {reason}. {advice}.') from error
        raise


def _disk_failure(error, path):
    """What is wrong with the disk; None when ``error`` has another cause."""
    if isinstance(error, OSError) and not isinstance(error, (MissingFileError, DiskError)):
        return error.strerror or 'the disk is full' if error.errno in _DISK_FAILURES else None
    if isinstance(error, RuntimeError):
        # SimpleITK's errors contain the system's message at best; otherwise look at the free space.
        for code in _DISK_FAILURES:
            if os.strerror(code) in str(error):
                return os.strerror(code)
        try:
            status = os.statvfs(os.path.dirname(path))
        except (OSError, AttributeError):
            return None
        return 'the disk is full' if status.f_bavail * status.f_frsize < 2**20 else None
    return None


def sweep_stale_temporaries(folder):
    """Remove temporaries in ``folder`` (not below it) whose writing process is gone; returns their number."""
    removed, names = 0, []
    with contextlib.suppress(OSError):
        names = os.listdir(folder)
    for name in names:
        match = _TEMPORARY.match(name)
        if match and not is_alive(int(match.group(1))):
            with contextlib.suppress(OSError):
                os.remove(os.path.join(folder, name))
                removed += 1
    return removed


def write_text(path, text):
    """Write ``text`` (UTF-8) to ``path`` whole or not at all."""
    with publish(path) as temporary, open(temporary, 'w', encoding='utf-8', newline='\n') as stream:
        stream.write(text)


def write_json(path, data):
    """Write JSON with sorted keys and an indent of 4, whole or not at all."""
    write_text(path, json.dumps(data, sort_keys=True, indent=4, separators=(',', ': ')) + '\n')


def read_json_lines(path):
    """The lines of a JSON lines file; a line cut short by a crash is skipped with a warning."""
    lines = []
    with open(path, encoding='utf-8') as stream:
        for text in stream:
            try:
                lines.append(json.loads(text))
            except ValueError:
                LOGGER.warning('%s: skipped a line that was cut short.', path)
    return lines


def read_json(path):
    """Read a JSON file.

    :raises MissingFileError: it is not there. :raises InputError: it cannot be read or is not JSON (cut short).
    """
    try:
        with open(path, encoding='utf-8') as stream:
            return json.load(stream)
    except FileNotFoundError as error:
        raise MissingFileError(f'{path} does not exist.') from error
    except OSError as error:
        raise InputError(f'{path} cannot be read as a JSON file: {error.strerror}.') from error
    except ValueError as error:
        raise InputError(f'{path} is not valid JSON: {error}.') from error
