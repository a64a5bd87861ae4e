"""Claims on shared work: a lock file that one process creates exclusively and keeps alive.

Nobody waits for a claim: a process that does not get it does something else and looks again later. The lock of a dead
process of this machine is taken over at once; one of another machine when its heartbeat (the file's modification time)
is older than the deadline. Losing a race is harmless: results are deterministic and files are replaced whole.
"""

import contextlib
import json
import logging
import os
import socket
import threading
import uuid

from functions.setting.atomic import temporary_path
from functions.setting.errors import DiskError
from functions.setting.processes import is_alive, start_time

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

LOGGER = logging.getLogger(__name__)


@contextlib.contextmanager
def claim(lock_path, deadline_s=600.0):
    """Yield True when the work guarded by ``lock_path`` is ours, False when a living process holds it.

    :param lock_path: the lock file, removed when the ``with`` block ends; its folder is made when missing.
    :param deadline_s: age in seconds of the last heartbeat after which a lock of another machine is void.
    :raises DiskError: the folder cannot be written.
    """
    lock_path = os.path.abspath(lock_path)
    owner = {'host': _host(), 'pid': os.getpid(), 'started': start_time(os.getpid()), 'token': uuid.uuid4().hex}
    text = json.dumps(owner)
    if not _acquire(lock_path, text, deadline_s):
        yield False
        return
    done = threading.Event()
    beat = threading.Thread(target=_beat, args=(lock_path, text, done, min(deadline_s / 4, 30)), daemon=True)
    beat.start()
    try:
        yield True
    finally:
        done.set()
        beat.join()
        if _read(lock_path) == text:
            with contextlib.suppress(OSError):
                os.remove(lock_path)


def _beat(lock_path, text, done, interval):
    while not done.wait(interval):
        if _read(lock_path) == text:
            with contextlib.suppress(OSError):
                os.utime(lock_path)


def _acquire(lock_path, text, deadline_s):
    temporary = temporary_path(lock_path)
    try:
        os.makedirs(os.path.dirname(lock_path), exist_ok=True)
        with open(temporary, 'w') as stream:
            stream.write(text)
        if _create(temporary, lock_path, text):
            return True
        # The clock of the file system, not ours, tells the age of a lock on a shared disk.
        now, found = os.stat(temporary).st_mtime, _read(lock_path)
        if found is None:
            return _create(temporary, lock_path, text)
        return _is_void(lock_path, found, now, deadline_s) and _take_over(temporary, lock_path, found)
    except FileNotFoundError:
        return False  # its owner has just released it; looked at again later
    except OSError as error:
        raise DiskError(f'Cannot make the lock file {lock_path}: {error.strerror or error}.') from error
    finally:
        with contextlib.suppress(OSError):
            os.remove(temporary)


def _create(temporary, lock_path, text):
    """Create the lock file with its content in one exclusive step; False when it exists."""
    try:
        os.link(temporary, lock_path)
        return True
    except FileExistsError:
        return False
    except OSError:
        # No hard links on this file system: exclusive creation, the content a moment later.
        try:
            descriptor = os.open(lock_path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return False
        with os.fdopen(descriptor, 'w') as stream:
            stream.write(text)
        return True


def _take_over(temporary, lock_path, found):
    """Replace the void lock whose content is ``found`` by ours; False when another process was quicker.

    The kernel's lock on the void file lets one process at a time pass; later ones see that the name belongs to another
    file. Without such locks two may pass at once and do the same work twice.
    """
    with open(lock_path, 'r+') as void:
        if fcntl is not None:
            try:
                fcntl.flock(void, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError:
                pass  # a file system without locks
        if void.read() != found or not os.path.samestat(os.fstat(void.fileno()), os.stat(lock_path)):
            return False
        os.replace(temporary, lock_path)
    LOGGER.warning('Took over %s from a process that is gone: %s', lock_path, found)
    return True


def _read(path):
    try:
        with open(path) as stream:
            return stream.read()
    except OSError:
        return None


def _is_void(lock_path, found, now, deadline_s):
    """True when the process that wrote ``found`` is gone (this host) or silent for too long (another host)."""
    try:
        owner = json.loads(found)
        host, pid, started = owner['host'], int(owner['pid']), owner['started']
        started = None if started is None else float(started)
    except (ValueError, KeyError, TypeError):
        host, pid, started = None, 0, None
    if host == _host():
        return not is_alive(pid, started)
    try:
        return now - os.stat(lock_path).st_mtime > deadline_s
    except OSError:
        return True


def _host():
    """Name of this machine and of the namespace of its process numbers, since containers may share the name."""
    space = ''
    with contextlib.suppress(OSError):
        space = os.readlink('/proc/self/ns/pid')
    return socket.gethostname() + space
