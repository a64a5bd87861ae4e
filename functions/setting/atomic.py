"""Files that appear whole or not at all.

A file is written under a temporary name in its own folder, flushed to disk and renamed to its final name: a reader sees
the old file or the new one, never half of one, and a killed writer leaves only a temporary that the next start removes.
All temporaries, of files and of folders, are named by :func:`temporary_path`.
"""

import contextlib
import errno
import hashlib
import os
import re
import shutil
import time
import uuid

from .errors import DiskError, RegNetError
from .operating_system import flush_to_disk, patiently, replace
from .processes import host, is_alive
from .text_files import json_text

_DISK_FAILURES = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM, errno.EFBIG, errno.EIO)
_DISK_FAILURES += (errno.EISDIR, errno.ENOTDIR, errno.EBUSY, errno.ELOOP, errno.ENAMETOOLONG)
#: Earlier versions wrote no host.
_TEMPORARY = re.compile(r'\..*\.(\d+)-([0-9a-f]{8})?[0-9a-f]{8}(\..*)?', re.DOTALL)
#: Age at which a temporary of another host, or of a number that another process may have now, is abandoned.
_ABANDONED_S = 24 * 3600.0
_swept = set()


def _host_mark():
    return hashlib.blake2b(host().encode(), digest_size=4).hexdigest()


def temporary_path(path):
    """Name of a temporary beside ``path``: ``.name.<pid>-<host><random>.ext``, extension last for SimpleITK."""
    folder, name = os.path.split(os.path.abspath(path))
    stem, dot, extension = name.partition('.')
    return os.path.join(folder, f'.{stem}.{os.getpid()}-{_host_mark()}{uuid.uuid4().hex[:8]}{dot}{extension}')


def is_temporary(name):
    """Whether a name is one of :func:`temporary_path`."""
    return _TEMPORARY.fullmatch(name) is not None


def _is_stale(path):
    """Whether ``path`` is a temporary whose writer is gone: dead on this host, or silent for a day."""
    match = _TEMPORARY.fullmatch(os.path.basename(path))
    if match is None:
        return False
    if match.group(2) == _host_mark() and not is_alive(int(match.group(1))):
        return True
    with contextlib.suppress(OSError):
        # Either way: a clock that was set back leaves files of the future.
        return abs(time.time() - os.lstat(path).st_mtime) > _ABANDONED_S
    return False


def remove(path):
    """Remove a file or a whole folder, if it is there and the system permits."""
    with contextlib.suppress(OSError):
        if os.path.isdir(path) and not os.path.islink(path):
            patiently(shutil.rmtree, path)
        else:
            patiently(os.remove, path)


def sweep_stale_temporaries(folder, below=False):
    """Remove the temporaries in ``folder``, and with ``below`` in all folders below it, whose writers are gone."""
    for place, folders, names in os.walk(folder):
        for path in [os.path.join(place, name) for name in folders + names]:
            if _is_stale(path):
                remove(path)
        if not below:
            break


@contextlib.contextmanager
def publish(path):
    """Yield a temporary path to write to; on leaving without an error it becomes ``path`` in one step.

    The first file of a process in a folder sweeps it.

    :param path: the final file; its folder is made when missing.
    :raises DiskError: the disk is full or the folder cannot be written; the former content of ``path`` is untouched.
    """
    path = os.path.abspath(path)
    temporary = temporary_path(path)
    try:
        folder = os.path.dirname(path)
        os.makedirs(folder, exist_ok=True)
        if folder not in _swept:
            _swept.add(folder)
            sweep_stale_temporaries(folder)
        yield temporary
        flush_to_disk(temporary)
        replace(temporary, path)
    except BaseException as error:
        # Ask while the unfinished file exists: the disk may be full only until it is removed.
        reason = _disk_failure(error, temporary)
        remove(temporary)
        if reason:
            raise _disk_error(path, reason) from error
        raise


@contextlib.contextmanager
def publish_folder(path):
    """Yield a new temporary folder to write into; on leaving without an error it becomes the new folder ``path``.

    :raises DiskError: the disk is full or the folder cannot be written.
    """
    draft = temporary_path(path)
    try:
        with disk_errors(path):
            os.makedirs(draft)
            yield draft
            replace(draft, path)
    finally:
        remove(draft)


def publish_new(draft, path):
    """Give the finished file ``draft`` the name ``path``, in one exclusive step; False when that exists."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    except OSError:
        # No hard links on this file system: claim the name, then fill it in one step.
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return False
        replace(draft, path)
    return True


@contextlib.contextmanager
def disk_errors(path):
    """Turn what a full or missing disk raises inside the ``with`` block into a :class:`DiskError` that names the file,
    or ``path`` where the error does not name one that lasts: for files that are appended to, or written by TensorFlow;
    others are written by :func:`publish`.
    """
    try:
        yield
    except Exception as error:
        reason = _disk_failure(error, path)
        if reason:
            named = getattr(error, 'filename', None)
            known = isinstance(named, str) and not any(map(is_temporary, named.split(os.sep)))
            raise _disk_error(named if known else path, reason) from error
        raise


def _disk_error(path, reason):
    advice = 'Free some space or choose another folder; nothing made before is lost'
    return DiskError(f'Cannot write {path}: {reason}. {advice}.')


def _disk_failure(error, temporary):
    """What is wrong with the disk on which ``temporary`` was to be; None when ``error`` has another cause."""
    if isinstance(error, RegNetError) or not isinstance(error, Exception):
        return None
    folder, code = os.path.dirname(temporary), getattr(error, 'errno', None)
    if not os.path.isdir(folder) or (code == errno.ENOENT and error.filename == temporary):
        return 'its folder was removed or replaced'
    if isinstance(error, OSError):
        return error.strerror or 'the disk is full' if code in _DISK_FAILURES else None
    # TensorFlow's errors contain the system's message, SimpleITK's at best; otherwise look at the free space.
    for code in _DISK_FAILURES:
        if os.strerror(code) in str(error):
            return os.strerror(code)
    if not isinstance(error, RuntimeError):
        return None
    try:
        return 'the disk is full' if shutil.disk_usage(folder).free < 2**20 else None
    except OSError:
        return None


def write_text(path, text):
    """Write ``text`` (UTF-8) to ``path`` whole or not at all."""
    with publish(path) as temporary, open(temporary, 'w', encoding='utf-8', newline='\n') as stream:
        stream.write(text)


def write_json(path, data, seal=True):
    """Write :func:`functions.setting.text_files.json_text`, whole or not at all."""
    write_text(path, json_text(data, seal))
