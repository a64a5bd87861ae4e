"""Which processes are alive, and where a process number means anything."""

import contextlib
import ctypes
import os
import signal
import socket
import sys

import psutil

_LIBC = ctypes.CDLL(None) if sys.platform.startswith('linux') else None
_PR_SET_PDEATHSIG = 1


def host():
    """Where process numbers mean something: this machine since it started, and its namespace of numbers."""
    # Containers and virtual machines may share a name, and a machine that starts again uses the numbers again.
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError), open('/proc/sys/kernel/random/boot_id', encoding='ascii') as stream:
        parts.append(stream.read().strip())
    with contextlib.suppress(OSError):
        parts.append(os.readlink('/proc/self/ns/pid'))
    return ' '.join(parts)


def start_time(pid):
    """Seconds from the start of the machine to that of the process; None when the system does not tell."""
    try:
        # Relative to the machine's start, so that setting the clock changes nothing; asked first since psutil keeps it.
        booted = psutil.boot_time()
        return round(psutil.Process(pid).create_time() - booted, 2)
    except (psutil.Error, ValueError, OverflowError):
        return None


def is_alive(pid, started=None):
    """True while process ``pid`` runs; one that began at another time than ``started`` is another process.

    A killed process stays listed as a zombie until its parent looks; it holds nothing any more.
    """
    try:
        status = psutil.Process(pid).status()
    except psutil.AccessDenied:
        return True
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False
    if status in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
        return False
    now = start_time(pid)
    # The system counts its own start in whole seconds.
    return started is None or now is None or abs(now - started) < 2.0


def die_with(parent):
    """On Linux: let this process be killed when its parent, the process of that number, dies; at once if it has."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
