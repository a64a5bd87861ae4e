"""Commands in processes that cost nothing to start: a server has loaded everything once and forks for each.

Every command is a process of its own, with its own group, that can be killed; it can also kill or stop itself just
before its n-th step, where a step is anything that changes files: making, renaming, removing, flushing.
"""

import builtins
import codecs
import contextlib
import ctypes
import importlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATIENCE_S = 240
NOBODY = 65534
#: How :meth:`Server.start` runs a command as one who has no right to what is root's, or was forbidden to everybody.
ANOTHER_USER = {'user': NOBODY} if os.geteuid() == 0 else {}
_STEPS = ('replace', 'rename', 'link', 'remove', 'unlink', 'mkdir', 'rmdir', 'fsync')


class Server:
    """Starts commands; ``modules`` are loaded first."""

    def __init__(self, modules):
        folders = [
            REPOSITORY,
            os.path.dirname(os.path.abspath(__file__)),
            *(os.path.join(REPOSITORY, 'tests', name) for name in ('registration', 'training')),
        ]
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(folders), MPLBACKEND='Agg', TF_CPP_MIN_LOG_LEVEL='3')
        environment.update(PYTHONDONTWRITEBYTECODE='1', OMP_NUM_THREADS='1')
        command = [sys.executable, os.path.abspath(__file__)] + list(modules)
        streams = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE, 'stderr': subprocess.DEVNULL}
        self._process = subprocess.Popen(command, env=environment, universal_newlines=True, **streams)
        self._lock, self._outputs = threading.Lock(), tempfile.mkdtemp(prefix='commands')

    def ask(self, **request):
        with self._lock:
            self._process.stdin.write(json.dumps(request) + '\n')
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def start(self, words, target='RunRegNet3D:main', **how):
        """A :class:`Command` that has just begun.

        :param target: 'module:function', called with the words.
        :param how: cwd; kill_at, stop_at, the number of the step before which it kills or stops itself; stop_once, a
            file: it stops before its first step after that is there; user, whose rights it has; powerless: root does
            without its power over files; bytes, the largest file it may write.
        """
        output = tempfile.NamedTemporaryFile(dir=self._outputs, delete=False)
        output.close()
        return Command(self, self.ask(words=list(words), target=target, output=output.name, **how), output.name)

    def run(self, words, **how):
        """The exit code and what was printed."""
        command = self.start(words, **how)
        return command.wait(), command.printed()

    def close(self):
        self._process.stdin.close()
        self._process.wait(timeout=PATIENCE_S)
        self._process.stdout.close()
        shutil.rmtree(self._outputs)


class Command:
    """A running command: ``pid`` and what it printed."""

    def __init__(self, server, pid, output):
        self._server, self.pid, self._output = server, pid, output

    def wait(self, stopped=False):
        """The exit code, -9 of a killed one."""
        code = self._server.ask(wait=self.pid, stopped=stopped)
        if code is None:
            os.killpg(self.pid, signal.SIGKILL)
            raise AssertionError(f'still running after {PATIENCE_S} s:\n{self.printed()}')
        return code

    def wait_until_stopped(self):
        """Return when the command has stopped itself (``stop_at``); :meth:`go_on` continues it."""
        assert self.wait(stopped=True) == 'stopped', self.printed()

    def go_on(self):
        """Continue a stopped command and :meth:`wait` for its end."""
        os.kill(self.pid, signal.SIGCONT)
        return self.wait()

    def error(self, count=1):
        """The last line of the errors, after the time; no traceback; fails unless there are ``count`` (None: any)."""
        printed = self.printed()
        assert 'Traceback' not in printed, printed
        errors = [line for line in printed.splitlines() if re.match(r'\d\d:\d\d:\d\d ERROR ', line)]
        assert errors and count in (None, len(errors)), printed
        return errors[-1].split(' ERROR ')[1]

    def kill(self):
        """SIGKILL to this process alone, not to its children."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def printed(self):
        with open(self._output, encoding='utf-8', errors='replace') as stream:
            return stream.read()

    def steps(self):
        """How many steps it took, once it has ended."""
        return int(self.printed().rpartition('steps: ')[2])


# ---- in the server


def serve(modules):
    sys.dont_write_bytecode = True
    for name in ('utf-8-sig', 'ascii'):
        codecs.lookup(name)  # a command with the rights of another user may not read the library
    for name in modules:
        importlib.import_module(name)
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    running = set()
    for line in sys.stdin:
        request = json.loads(line)
        if 'wait' in request:
            answer = _end_of(request['wait'], os.WUNTRACED if request['stopped'] else 0)
            if answer != 'stopped':
                running.discard(request['wait'])
        else:
            answer = os.fork()
            if answer == 0:
                answers.close()
                sys.stdin.close()
                os._exit(_run(request))
            running.add(answer)
        answers.write(json.dumps(answer) + '\n')
        answers.flush()
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def _end_of(pid, flags):
    """What :meth:`Command.wait` returns; None when it takes too long."""
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(PATIENCE_S)
    try:
        status = os.waitpid(pid, flags)[1]
    except TimeoutError:
        return None
    finally:
        signal.alarm(0)
    if os.WIFSTOPPED(status):
        return 'stopped'
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _too_long(*_):
    raise TimeoutError


def _give_up_power():
    """Do without all of root's capabilities, so that the rights of files count; returns whether that was permitted."""
    nothing, version_3 = (ctypes.c_uint32 * 6)(), (ctypes.c_uint32 * 2)(0x20080522, 0)
    return ctypes.CDLL(None).capset(version_3, nothing) == 0


def _become(user):
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def _run(request):
    """Run one command in this forked process and return its exit code."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(request['output'], os.O_WRONLY), 1)
    os.dup2(1, 2)
    os.chdir(request.get('cwd') or '/')
    if request.get('user'):
        _become(request['user'])
    if request.get('powerless'):
        assert _give_up_power()
    if request.get('bytes'):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (request['bytes'], request['bytes']))
    signals = {request.get('kill_at'): signal.SIGKILL, request.get('stop_at'): signal.SIGSTOP}
    steps = _count_steps(signals, request.get('stop_once'))
    module, name = request['target'].split(':')
    from functions.setting.errors import sentence_of

    try:
        code = getattr(importlib.import_module(module), name)(request['words'])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) or error.code is None else print(error.code) or 1
    except BaseException as error:  # of a function that is no command by itself, as RunRegNet3D.main ends then
        sentence, code = sentence_of(error), 2
        if sentence is None:
            traceback.print_exc()
            code = 99
        else:
            print(f'00:00:00 ERROR {sentence}')
    print(f'\nsteps: {steps[0]}')
    sys.stdout.flush()
    sys.stderr.flush()
    return code or 0


def _count_steps(signals, stop_once=None):
    """Count what changes files from now on, in all threads; before a step in ``signals`` send that to this process, and
    stop it before the first one that finds the file ``stop_once``."""
    count, lock, awaited = [0], threading.Lock(), [stop_once] if stop_once else []

    def step():
        with lock:
            count[0] += 1
            if count[0] in signals:
                os.kill(os.getpid(), signals[count[0]])
            if awaited and os.path.exists(awaited[0]):
                awaited.pop()
                os.kill(os.getpid(), signal.SIGSTOP)

    def counted(function, changes=lambda *arguments: True):
        def call(*arguments, **named):
            if changes(*arguments):
                step()
            return function(*arguments, **named)

        return call

    for name in _STEPS:
        setattr(os, name, counted(getattr(os, name)))
    builtins.open = counted(builtins.open, lambda path, mode='r', *rest: set(mode) & set('wxa+'))
    return count


if __name__ == '__main__':
    serve(sys.argv[1:])
