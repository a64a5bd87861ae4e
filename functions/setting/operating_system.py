"""What differs between Linux, macOS and Windows. No other module asks on which system it runs."""

import contextlib
import ctypes
import errno
import functools
import os
import re
import shutil
import signal
import sys
import time

try:
    import fcntl
    import resource
except ImportError:  # not on Windows
    fcntl = resource = None
try:
    import msvcrt
except ImportError:  # only on Windows
    msvcrt = None

_WINDOWS = os.name == 'nt'
_LIBC = ctypes.CDLL(None) if sys.platform.startswith('linux') else None
_PR_SET_PDEATHSIG = 1
#: Numbers of the error that says that nobody reads a pipe any more.
CLOSED_PIPE = (errno.EPIPE, errno.EINVAL) if _WINDOWS else (errno.EPIPE,)
#: An open file cannot be replaced or removed on Windows: attempts before the last, and seconds between.
_ATTEMPTS, _PAUSE_S = (40 if _WINDOWS else 0), 0.05
_NO_WINDOWS_NAME = re.compile(r'.*[<>:"|?*\\].*|.*[ .]|(con|prn|aux|nul|com\d|lpt\d)(\..*)?', re.IGNORECASE)


def machine_marks():
    """What tells this machine since it started, and its namespace of process numbers, from others; [] elsewhere than
    on Linux.
    """
    marks = []
    with contextlib.suppress(OSError), open('/proc/sys/kernel/random/boot_id', encoding='ascii') as stream:
        marks.append(stream.read().strip())
    with contextlib.suppress(OSError):
        marks.append(os.readlink('/proc/self/ns/pid'))
    return marks


def die_with(parent):
    """On Linux: let this process be killed when its parent, the process of that number, dies; at once if it has."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def dying_with_this():
    """Arguments of ``subprocess`` for a program that is killed, on Linux, when this process dies."""
    return {} if _LIBC is None else {'preexec_fn': functools.partial(die_with, os.getpid())}


def was_killed(code):
    """Whether the exit code of a program is that of the system killing it, perhaps for want of memory."""
    return -code == getattr(signal, 'SIGKILL', None)


def receive(number):
    """Let this process receive a signal that was held back."""
    if hasattr(signal, 'raise_signal'):  # not in Python 3.7
        signal.raise_signal(number)
    else:
        os.kill(os.getpid(), number)


def address_space():
    """Bytes to which ``ulimit -v`` limits this process; infinite where there is no such limit."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0] if resource else -1
    return float('inf') if resource is None or limit == resource.RLIM_INFINITY else limit


def can_be_name(text):
    """False for what Windows, when this is Windows, cannot call a file."""
    return not (_WINDOWS and _NO_WINDOWS_NAME.fullmatch(text))


def patiently(action, *arguments):
    """``action(*arguments)``, on Windows again for two seconds while another process has the file open."""
    for _ in range(_ATTEMPTS):
        try:
            return action(*arguments)
        except PermissionError:
            time.sleep(_PAUSE_S)
    return action(*arguments)


def flush_to_disk(path):
    """Return when the content of a file is on the disk."""
    # Windows flushes only what may be written.
    with open(path, 'r+b') as stream:
        os.fsync(stream.fileno())


def replace(source, target):
    """Rename a file or folder, in one step; a file, or an empty folder, that has the name is replaced."""
    patiently(os.replace, source, target)


@contextlib.contextmanager
def alone_with(path):
    """Yield a file opened to be read and replaced, or None when another process is alone with it."""
    with contextlib.ExitStack() as opened:
        stream = opened.enter_context(
            patiently(functools.partial(open, path, 'r+', encoding='utf-8', errors='replace'))
        )
        try:
            if fcntl is not None:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            elif msvcrt is not None:
                # Of another file, as this one must be closed to be replaced; it stays while others have it open.
                guard = path + '.guard'
                opened.callback(_forget, guard)
                msvcrt.locking(opened.enter_context(open(guard, 'a')).fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            # On POSIX others say that the file system has no locks.
            stream = stream if fcntl and not isinstance(error, BlockingIOError) else None
        yield stream


def _forget(guard):
    with contextlib.suppress(OSError):
        os.remove(guard)


def replace_open(stream, source):
    """Replace the file that ``stream`` has open."""
    if _WINDOWS:
        stream.close()
    replace(source, stream.name)


def alias(path, name):
    """Let the file ``path`` also be called ``name``: a link, or a copy on Windows, where few may make links."""
    (shutil.copyfile if _WINDOWS else os.symlink)(path, name)
