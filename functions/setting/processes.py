"""Which processes are alive, and where a process number means anything."""

import socket

import psutil

from .operating_system import machine_marks


def host():
    """Where process numbers mean something: this machine since it started, and its namespace of numbers."""
    # Containers and virtual machines may share a name, and a machine that starts again uses the numbers again.
    return ' '.join([socket.gethostname(), *machine_marks()])


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
