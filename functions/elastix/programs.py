"""Running elastix and transformix in a working folder, with a log; they end when this process does.

elastix 5.0.1 cannot write into a folder whose name contains a space, refuses parameter files with a name that contains
one of ``,;!@#$%&|<>?``, and looks for files named in parameter files in the working directory. It is therefore run in a
temporary folder, and all file names are relative to it.
"""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile

import joblib

from ..setting.atomic import remove, sweep_stale_temporaries, temporary_path
from ..setting.errors import InputError, MissingFileError
from ..setting.operating_system import dying_with_this, was_killed

#: A run that takes longer is stuck: the slowest known registration takes less than an hour.
DEADLINE_HOURS = 12.0
_CONSOLE = '.console.log'


def find_program(name):
    """Path of ``elastix`` or ``transformix``; :class:`MissingFileError`, with how to install it, when not found."""
    found = shutil.which(name)
    if found is None:
        install = 'Install elastix 5 (Debian, Ubuntu: apt-get install elastix; otherwise https://elastix.dev)'
        raise MissingFileError(f'{name} is not on the PATH. {install}, or use the affine registration of SimpleITK.')
    return os.path.abspath(found)


def is_available():
    """Whether both elastix and transformix are on the PATH."""
    return all(shutil.which(name) for name in ('elastix', 'transformix'))


def elastix_version():
    """Version of elastix, for example ``'5.0.1'``; an error where it is not on the PATH (MissingFileError) or does not
    run.
    """
    program, output = find_program('elastix'), {'stdout': subprocess.PIPE, 'stderr': subprocess.STDOUT}
    try:
        done = subprocess.run([program, '--version'], stdin=subprocess.DEVNULL, timeout=60, **output)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f'{program} does not run: {error}.') from error
    text = done.stdout.decode('utf-8', 'replace')
    match = re.search(r'version:?\s*([0-9.]+)', text)
    if match is None:
        raise InputError(f'{program} does not run: {text.strip()[:200] or "it printed nothing"}')
    return match.group(1)


@contextlib.contextmanager
def working_folder(keep_log_in=None):
    """A temporary folder for one run, removed on exit; what killed runs left is removed now.

    :param keep_log_in: folder to which ``elastix.log`` and ``transformix.log`` are copied, also after a failed run.
    """
    sweep_stale_temporaries(tempfile.gettempdir())
    folder = temporary_path(os.path.join(tempfile.gettempdir(), 'regnet-elastix'))
    os.mkdir(folder, 0o700)
    try:
        yield folder
    finally:
        if keep_log_in is not None:
            os.makedirs(keep_log_in, exist_ok=True)
            for name in ('elastix', 'transformix'):
                # The program's own log overwrites its console output.
                for path in (os.path.join(folder, name + ending) for ending in (_CONSOLE, '.log')):
                    if os.path.exists(path):
                        shutil.copyfile(path, os.path.join(keep_log_in, name + '.log'))
        remove(folder)


def run_program(name, arguments, folder, threads=None, hours=DEADLINE_HOURS):
    """Run ``name`` with ``arguments`` in ``folder`` and write its output to ``<name>.console.log`` there.

    It is stopped by any exception, including Ctrl-C, and on Linux also when this process is killed.

    :param name, arguments: 'elastix' or 'transformix'; list of words, to which ``-threads`` is added.
    :param folder: working directory; file names in ``arguments`` are relative to it.
    :param threads, hours: None: all cores this process may use; deadline.
    :raises MissingFileError, InputError: it is not on the PATH; it failed (its output is quoted) or took too long.
    """
    command = [find_program(name), *map(str, arguments), '-threads', str(int(threads or joblib.cpu_count()))]
    log_path = os.path.join(folder, name + _CONSOLE)
    with open(log_path, 'wb') as log:
        streams = {'stdin': subprocess.DEVNULL, 'stdout': log, 'stderr': subprocess.STDOUT, 'cwd': folder}
        life = {'timeout': hours * 3600, **dying_with_this()}
        try:
            code = subprocess.run(command, **streams, **life).returncode
        except OSError as error:
            raise InputError(f'{command[0]} cannot be started: {error.strerror}.') from error
        except subprocess.TimeoutExpired as error:
            raise InputError(f'{name} was stopped: it had not finished after {hours:g} hours.') from error
    if code:
        raise InputError(f'{name} failed: {_failure(log_path, code)}')


def _failure(log_path, code):
    """Why a run failed: the signal, or the errors in its log."""
    if code < 0:
        cause = 'perhaps out of memory' if was_killed(code) else 'it crashed'
        return f'it was ended by signal {-code} ({cause}).'
    with open(log_path, encoding='utf-8', errors='replace') as stream:
        lines = [line.strip() for line in stream if line.strip()]
    errors = [line for line in lines if re.match(r'(Description|ERROR|itk::ERROR)', line)]
    errors = [re.sub(r'^Description:\s*(ITK ERROR:\s*)?', '', line) for line in errors]
    return ' '.join(errors[:3] or lines[-3:] or [f'it printed nothing (exit status {code}).'])
