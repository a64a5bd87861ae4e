"""Claims on shared work: a lock file that one process creates exclusively and keeps alive.

Nobody waits for a claim: a process that does not get it does something else and looks again later, or refuses its
command. The lock of a dead process of this machine is taken over at once; one of another machine, or of this one before
it was started again, when its heartbeat (the file's modification time) is further from now than the deadline. Losing a
race for one item is harmless: results are deterministic and files are replaced whole.
"""

import contextlib
import functools
import json
import logging
import os
import stat
import threading
import time
import uuid

from ..setting import processes
from ..setting.atomic import publish_new, remove, sweep_stale_temporaries, temporary_path
from ..setting.errors import DiskError, InputError, InUseError
from ..setting.operating_system import alone_with, patiently, replace_open
from ..setting.parts import part_name
from ..setting.processes import is_alive, start_time

LOGGER = logging.getLogger(__name__)

DEADLINE_S = 600.0
FOLDER_LOCK = '.lock'


@contextlib.contextmanager
def claim(lock_path, deadline_s=DEADLINE_S):
    """Yield True when the work guarded by ``lock_path`` is ours, False when a living process holds it.

    :param lock_path: the lock file, removed when the ``with`` block ends; its folder is made when missing.
    :param deadline_s: age in seconds of the last heartbeat after which a lock of another machine is void.
    :raises DiskError: the folder cannot be written.
    """
    with _held(lock_path, deadline_s) as text:
        yield text is not None


@contextlib.contextmanager
def claim_folder(folder, lock_name=FOLDER_LOCK):
    """Work alone in ``folder``: what dead writers left there and below is removed, other processes are refused.

    The folder is made when missing, and removed again if nothing was put into it.

    :param lock_name: where different kinds of work share a folder: name of the lock file of this kind.
    :return: a function that raises :class:`DiskError` if the folder is no longer ours: it was removed or replaced, or
        another machine took it over because this one stood still. Call it before finished work is moved in.
    :raises InputError: it is a file.
    :raises InUseError: another process works there.
    :raises DiskError: the folder cannot be written.
    """
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise InputError(f'{folder} is a file; a folder is needed.')
    lock_path, missing = os.path.join(os.path.abspath(folder), lock_name), _missing_folders(folder)

    def require_ours():
        if _read(lock_path) != text:
            what = 'removed, replaced or taken over by another process'
            raise DiskError(f'{folder} was {what}; nothing more is written.')

    try:
        with _held(lock_path, DEADLINE_S) as text:
            if text is None:
                raise InUseError(f'{folder} is in use by {_owner(lock_path)}; nothing was done.')
            sweep_stale_temporaries(folder, below=True)
            yield require_ours
    finally:
        with contextlib.suppress(OSError):
            for made in missing:
                os.rmdir(made)


def part_lock(part):
    """Name of the lock of a folder for one who does part 'k/n' of its work; of the whole folder for None."""
    return f'.part{part_name(part)}.lock' if part else FOLDER_LOCK


def release_void(lock_path):
    """Remove the lock of a process that was killed just after it had finished: finished work is used without a claim,
    also where nothing may be written.
    """
    if os.path.lexists(lock_path):
        with contextlib.suppress(DiskError), claim(lock_path):
            pass


def _missing_folders(folder):
    """The folders that making ``folder`` would make, the lowest first."""
    missing, folder = [], os.path.abspath(folder)
    while not os.path.lexists(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    return missing


def _owner(lock_path):
    """Who holds a lock, for a message."""
    try:
        owner = json.loads(_read(lock_path))
        who = f'process {int(owner["pid"])} on {str(owner["host"]).split()[0]}'
        if owner['host'] == processes.host():
            return who
        last = max(0.0, time.time() - os.stat(lock_path).st_mtime)
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return 'another process'
    return f'{who} (last seen {last:.0f} s ago; it counts as gone after {DEADLINE_S:.0f} s)'


@contextlib.contextmanager
def _held(lock_path, deadline_s):
    """Yield the content of the lock file while it is ours, None when a living process holds it."""
    lock_path = os.path.abspath(lock_path)
    owner = {'host': processes.host(), 'pid': os.getpid(), 'started': start_time(os.getpid())}
    text = json.dumps(dict(owner, token=uuid.uuid4().hex))
    if not _acquire(lock_path, text, deadline_s):
        yield None
        return
    done = threading.Event()
    beat = threading.Thread(target=_beat, args=(lock_path, text, done, min(deadline_s / 4, 30)), daemon=True)
    beat.start()
    try:
        yield text
    finally:
        done.set()
        beat.join()
        if _read(lock_path) == text:
            remove(lock_path)


def _beat(lock_path, text, done, interval):
    while not done.wait(interval):
        if _read(lock_path) == text:
            with contextlib.suppress(OSError):
                os.utime(lock_path)


def _acquire(lock_path, text, deadline_s):
    temporary = temporary_path(lock_path)
    try:
        os.makedirs(os.path.dirname(lock_path), exist_ok=True)
        with open(temporary, 'w', encoding='utf-8') as stream:
            stream.write(text)
        if publish_new(temporary, lock_path):
            return True
        if not stat.S_ISREG(os.stat(lock_path).st_mode):  # opening a pipe would wait for ever
            raise OSError('something that is not a file has its name')
        # The clock of the file system, not ours, tells the age of a lock on a shared disk.
        now, found = os.stat(temporary).st_mtime, _read(lock_path)
        if found is None:
            return publish_new(temporary, lock_path)
        return _is_void(lock_path, found, now, deadline_s) and _take_over(temporary, lock_path, found)
    except FileNotFoundError:
        return False  # its owner has just released it; looked at again later
    except OSError as error:
        raise DiskError(f'Cannot make the lock file {lock_path}: {error.strerror or error}.') from error
    finally:
        remove(temporary)


def _take_over(temporary, lock_path, found):
    """Replace the void lock whose content is ``found`` by ours; False when another process was quicker."""
    # The kernel's lock on the void file lets one process at a time pass; later ones see that the name belongs to
    # another file. Without such locks two may pass at once and do the same work twice.
    with alone_with(lock_path) as void:
        if void is None or void.read() != found:
            return False
        if not os.path.samestat(os.fstat(void.fileno()), os.stat(lock_path)):
            return False
        replace_open(void, temporary)
    LOGGER.warning('Took over %s from a process that is gone: %s', lock_path, found)
    return True


def _read(path):
    try:
        if not os.path.isfile(path):
            return None
        with patiently(functools.partial(open, path, encoding='utf-8', errors='replace')) as stream:
            return stream.read()
    except OSError:
        return None


def _is_void(lock_path, found, now, deadline_s):
    """True when the process that wrote ``found`` is gone (this host) or silent for too long (another one)."""
    try:
        owner = json.loads(found)
        host, pid, started = owner['host'], int(owner['pid']), owner['started']
        started = None if started is None else float(started)
    except (ValueError, KeyError, TypeError):
        host, pid, started = None, 0, None
    if host == processes.host():
        return not is_alive(pid, started)
    try:
        # Either way: a clock that was set back leaves heartbeats of the future.
        return abs(now - os.stat(lock_path).st_mtime) > deadline_s
    except OSError:
        return True
