"""The rules of Windows for a process on Linux, as a plugin: ``pytest -p tests.windows_rules``.

Files that this process or a child has open (as /proc tells) can neither be replaced nor removed, read-only ones cannot
be flushed, links cannot be made, functions and modules of POSIX do not exist, text is in code page 1252 unless told
otherwise.
"""

import builtins
import errno
import fcntl
import glob
import io
import os
import signal
import subprocess
import sys
import types

# What asks for the system when it is loaded, and must see the real one.
import numpy  # noqa: F401
import psutil
import pytest
import SimpleITK  # noqa: F401

ABSENT = ('fcntl', 'resource', 'pwd', 'grp', 'termios')
ABSENT_IN_OS = ('statvfs', 'fork', 'getuid', 'geteuid', 'sync', 'mkfifo', 'killpg', 'setsid', 'waitid')
ABSENT_SIGNALS = ('SIGKILL', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGALRM', 'SIGPIPE', 'SIGSTOP')
os_replace, os_rename, os_remove, os_fsync, os_kill = os.replace, os.rename, os.remove, os.fsync, os.kill
os_open, popen = builtins.open, subprocess.Popen.__init__


def _forbid_open(path):
    """Raise what Windows does when a process has ``path`` open."""
    real, processes = os.path.realpath(path), [psutil.Process()] + psutil.Process().children(recursive=True)
    for link in (link for process in processes for link in glob.glob(f'/proc/{process.pid}/fd/*')):
        try:
            if os.readlink(link) == real:
                raise PermissionError(errno.EACCES, 'The process cannot access the file', str(path))
        except FileNotFoundError:
            pass


def replace(source, target):
    _forbid_open(source)
    _forbid_open(target)
    if os.path.isdir(target):
        raise PermissionError(errno.EACCES, 'Access is denied', str(target))
    os_replace(source, target)


def rename(source, target):
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, 'The file exists', str(target))
    _forbid_open(source)
    os_rename(source, target)


def remove(path, **more):
    if not more:
        _forbid_open(path)
    os_remove(path, **more)


def fsync(number):
    if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, 'Bad file descriptor')
    os_fsync(number)


def symlink(source, target, **more):
    raise OSError(errno.EPERM, 'A required privilege is not held by the client', str(target))


def kill(number, what):
    if sys._getframe(1).f_code.co_filename == subprocess.__file__:
        return os_kill(number, what)
    raise AssertionError(f'os.kill({number}, {what}) would end that process')


def open_text(path, mode='r', buffering=-1, encoding=None, *more, **named):
    if 'b' not in mode and encoding is None and named.get('encoding') is None:
        encoding = 'cp1252'
    return os_open(path, mode, buffering, encoding, *more, **named)


def start(self, *words, **named):
    if named.get('preexec_fn') is not None:
        raise ValueError('preexec_fn is not supported on Windows platforms')
    popen(self, *words, **named)


def locking(number, mode, length):
    """msvcrt.locking of a byte that nobody waits for."""
    assert (mode, length) == (2, 1)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise PermissionError(errno.EACCES, 'Permission denied') from error


def imported_as_on_windows():
    """Load the module that knows the systems as Windows would."""
    for name in ABSENT:
        sys.modules[name] = None
    sys.modules['msvcrt'] = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
    name, platform, os.name, sys.platform = os.name, sys.platform, 'nt', 'win32'
    import functions.setting.operating_system  # noqa: F401

    os.name, sys.platform = name, platform


imported_as_on_windows()


@pytest.fixture(autouse=True)
def windows(monkeypatch, tmp_path):
    """The rules while a test runs; pytest makes its folder before."""
    del tmp_path
    for owner, names in ((os, ABSENT_IN_OS), (signal, ABSENT_SIGNALS)):
        for name in names:
            monkeypatch.delattr(owner, name)
    for function in (replace, rename, remove, fsync, symlink, kill):
        monkeypatch.setattr(os, function.__name__, function)
    monkeypatch.setattr(os, 'unlink', remove)
    monkeypatch.setattr(builtins, 'open', open_text)
    monkeypatch.setattr(io, 'open', open_text)
    monkeypatch.setattr(subprocess.Popen, '__init__', start)
    monkeypatch.setattr(subprocess.Popen, 'kill', subprocess.Popen.terminate)
