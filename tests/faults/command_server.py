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
import time

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATIENCE_S = 240
_STEPS = ('replace', 'rename', 'link', 'remove', 'unlink', 'mkdir', 'rmdir', 'fsync')


class Server:
    """Starts commands; ``modules`` are loaded first."""

    def __init__(self, modules):
        folders = [
            REPOSITORY,
            os.path.dirname(os.path.abspath(__file__)),
            os.path.join(REPOSITORY, 'tests', 'training'),
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
        :param how: cwd; kill_at, stop_at, the number of the step before which it kills or stops itself; user, whose
            rights it has; powerless: root does without its power over files; bytes, the largest file it may write.
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

    def wait(self):
        """The exit code, -9 of a killed one."""
        for _ in range(PATIENCE_S * 50):
            code = self._server.ask(wait=self.pid)
            if code is not None:
                return code
            time.sleep(0.02)
        os.killpg(self.pid, signal.SIGKILL)
        raise AssertionError(f'still running after {PATIENCE_S} s:\n{self.printed()}')

    def wait_until_stopped(self):
        """Return when the command has stopped itself (``stop_at``); :meth:`go_on` continues it."""
        for _ in range(PATIENCE_S * 50):
            with open(f'/proc/{self.pid}/stat') as stream:
                if stream.read().rpartition(')')[2].split()[0] == 'T':
                    return
            time.sleep(0.02)
        raise AssertionError(f'not stopped after {PATIENCE_S} s:\n{self.printed()}')

    def go_on(self):
        """Continue a stopped command and :meth:`wait` for its end."""
        os.kill(self.pid, signal.SIGCONT)
        return self.wait()

    def error(self):
        """The one line of the error, after the time; fails if there is a traceback or more than one."""
        printed = self.printed()
        assert 'Traceback' not in printed, printed
        errors = [line for line in printed.splitlines() if re.match(r'\d\d:\d\d:\d\d ERROR ', line)]
        assert len(errors) == 1, printed
        return errors[0].split(' ERROR ')[1]

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
            pid, status = os.waitpid(request['wait'], os.WNOHANG)
            ended = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            answer = ended if pid else None
            running.discard(pid)
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


def _run(request):
    """Run one command in this forked process and return its exit code."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(request['output'], os.O_WRONLY), 1)
    os.dup2(1, 2)
    os.chdir(request.get('cwd') or '/')
    if request.get('user'):
        os.setgroups([])
        os.setgid(request['user'])
        os.setuid(request['user'])
    if request.get('powerless'):
        version_3, no_capabilities = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        assert ctypes.CDLL(None).capset(version_3, no_capabilities) == 0
    if request.get('bytes'):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (request['bytes'], request['bytes']))
    steps = _count_steps({request.get('kill_at'): signal.SIGKILL, request.get('stop_at'): signal.SIGSTOP})
    module, name = request['target'].split(':')
    from functions.setting.errors import RegNetError

    try:
        code = getattr(importlib.import_module(module), name)(request['words'])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) or error.code is None else print(error.code) or 1
    except RegNetError as error:  # of a function that is no command by itself
        print(f'00:00:00 ERROR {error}')
        code = 2
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 99
    print(f'\nsteps: {steps[0]}')
    sys.stdout.flush()
    sys.stderr.flush()
    return code or 0


def _count_steps(signals):
    """Count what changes files from now on, in all threads; before a step in ``signals`` send that to this process."""
    count, lock = [0], threading.Lock()

    def step():
        with lock:
            count[0] += 1
            if count[0] in signals:
                os.kill(os.getpid(), signals[count[0]])

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
