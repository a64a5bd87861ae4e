"""Running elastix and transformix: as lists of words, inside a folder, with a log, and never outliving us.

elastix 5.0.1 cannot write into a folder whose name holds a space, refuses parameter files that hold a name
with one of ``,;!@#$%&|<>?``, and looks for files named in parameter files in the working directory. So it is
run inside a folder of its own and every name it is given is a plain one in there.
"""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from functions.setting.errors import InputError, MissingFileError

#: Hours after which a run is taken to be stuck; the slowest registration known takes a fraction of one.
DEADLINE_HOURS = 12.0
_LIBC = ctypes.CDLL(None) if sys.platform.startswith('linux') else None
_PR_SET_PDEATHSIG = 1
_CONSOLE = '.console.log'


def find_program(name):
    """Path of ``elastix`` or ``transformix``.

    :raises MissingFileError: it is not there; says how to get it.
    """
    found = shutil.which(name)
    if found is None:
        raise MissingFileError(
            f'{name} was not found on the PATH. Install elastix 5 (Debian, Ubuntu: apt-get install elastix; else '
            'https://elastix.dev), or do without it: SimpleITK has an affine registration as well.'
        )
    return os.path.abspath(found)


def is_available():
    """True when both elastix and transformix can be found."""
    return all(shutil.which(name) for name in ('elastix', 'transformix'))


def elastix_version():
    """Version of elastix, such as ``'5.0.1'``.

    :raises MissingFileError, InputError: it is not there, or does not run.
    """
    program = find_program('elastix')
    try:
        text = subprocess.run(
            [program, '--version'],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
        ).stdout.decode('utf-8', 'replace')
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f'{program} does not run: {error}.') from error
    match = re.search(r'version:?\s*([0-9.]+)', text)
    if match is None:
        raise InputError('{} does not run: {}'.format(program, text.strip()[:200] or 'it says nothing'))
    return match.group(1)


def default_threads():
    """Cores this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def working_folder(keep_log_in=None):
    """A folder of its own for one run, removed on leaving.

    :param keep_log_in: folder that receives ``elastix.log`` and ``transformix.log``, of failed runs as well;
        None: nowhere.
    """
    with tempfile.TemporaryDirectory(prefix='regnet-elastix-') as folder:
        try:
            yield folder
        finally:
            if keep_log_in is not None:
                os.makedirs(keep_log_in, exist_ok=True)
                for name in ('elastix', 'transformix'):
                    # The program's own log, or what it said before it came to write one.
                    logs = [os.path.join(folder, name + ending) for ending in ('.log', _CONSOLE)]
                    for path in [path for path in logs if os.path.exists(path)][:1]:
                        shutil.copyfile(path, os.path.join(keep_log_in, name + '.log'))


def run_program(name, arguments, folder, threads=None, hours=DEADLINE_HOURS):
    """Run ``name`` with ``arguments`` in ``folder``, its output in ``<name>.console.log`` there.

    It ends with us: on any exception, Ctrl-C included, and on Linux also when this process is killed.

    :param name: 'elastix' or 'transformix'.
    :param arguments: list of words; ``-threads`` is added.
    :param folder: working directory; file names in ``arguments`` are relative to it.
    :param threads: None: every core this process may use.
    :param hours: it is stopped after so long.
    :raises MissingFileError: the program is not there.
    :raises InputError: it failed or took too long; the message holds what it said.
    """
    command = [find_program(name)] + [str(word) for word in arguments]
    command += ['-threads', str(int(threads or default_threads()))]
    log_path = os.path.join(folder, name + _CONSOLE)
    parent = os.getpid()

    def die_with_parent():
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

    with open(log_path, 'wb') as log:
        try:
            child = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )
        except OSError as error:
            raise InputError(f'{command[0]} cannot be started: {error.strerror}.') from error
        try:
            code = child.wait(timeout=hours * 3600)
        except subprocess.TimeoutExpired as error:
            raise InputError(f'{name} was stopped: it had not finished after {hours:g} hours.') from error
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    if code:
        raise InputError(f'{name} failed: {_what_it_said(log_path, code)}')


def _what_it_said(log_path, code):
    """The lines of a log that tell why a run failed."""
    if code < 0:
        return 'it was ended by signal {} ({}).'.format(
            -code, 'perhaps there was not enough memory' if -code == signal.SIGKILL else 'it crashed'
        )
    with open(log_path, encoding='utf-8', errors='replace') as stream:
        lines = [line.strip() for line in stream if line.strip()]
    telling = [
        re.sub(r'^Description:\s*(ITK ERROR:\s*)?', '', line)
        for line in lines
        if re.match(r'(Description|ERROR|itk::ERROR)', line)
    ]
    return ' '.join(telling[:3] or lines[-3:] or [f'it said nothing (exit status {code}).'])
