"""What differs between systems: asked in one module, and the same promises on each of them."""

import ast
import json
import os
import re
import subprocess
import sys
import threading

import pytest

from functions.elastix import programs
from functions.image.claim import claim
from functions.setting import atomic, console, kinds, operating_system, processes
from functions.setting.errors import InputError

pytestmark = pytest.mark.once

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OWNER = 'functions/setting/operating_system.py'
#: modules and attributes that some system lacks or means otherwise
MODULES = {'ctypes', 'fcntl', 'resource', 'pwd', 'grp', 'termios', 'msvcrt', 'winreg'}
NAMES = {
    'os': 'name kill killpg fork getuid geteuid sync fsync fdatasync statvfs replace rename symlink uname mkfifo nice',
    'sys': 'platform',
    'signal': 'SIGKILL SIGHUP SIGUSR1 SIGUSR2 SIGALRM SIGSTOP alarm',
}
#: TensorFlow's room imports no other; where there is no /proc/cpuinfo it knows of no bfloat16.
ALLOWED = {('functions/tf_utils/weights.py', 'os.symlink'), ('functions/tf_utils/sessions.py', '/proc')}


def asked(path):
    """What a file asks of the system that only one module may ask."""
    with open(os.path.join(REPOSITORY, path), encoding='utf-8') as stream:
        tree = ast.parse(stream.read())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split('.')[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            if node.module.split('.')[0] in MODULES:
                yield node.module
            known = NAMES.get(node.module, '').split()
            yield from (f'{node.module}.{alias.name}' for alias in node.names if alias.name in known)
        elif isinstance(node, ast.Attribute) and node.attr in NAMES.get(getattr(node.value, 'id', ''), '').split():
            yield f'{node.value.id}.{node.attr}'
        elif isinstance(node, ast.keyword) and node.arg == 'preexec_fn':
            yield node.arg
        elif str(getattr(node, 's' if sys.version_info < (3, 8) else 'value', '')).startswith('/proc'):
            yield '/proc'


def test_one_module_asks_on_which_system_it_runs():
    found = {}
    for folder, _, names in os.walk(os.path.join(REPOSITORY, 'functions')):
        for name in (name for name in names if name.endswith('.py')):
            path = os.path.relpath(os.path.join(folder, name), REPOSITORY).replace(os.sep, '/')
            found[path] = {(path, what) for what in asked(path)}
    assert {'fcntl', 'ctypes', 'os.name', 'os.replace', '/proc'} <= {what for _, what in found.pop(OWNER)}
    assert set().union(*found.values()) == ALLOWED


READER = 'import sys; stream = open(sys.argv[1]); print("open", flush=True); sys.stdin.readline()'


def reader(path):
    """A process that has ``path`` open until its input ends."""
    streams = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE}
    process = subprocess.Popen([sys.executable, '-c', READER, path], **streams)
    assert process.stdout.readline().strip() == b'open'
    return process


def after(seconds, process):
    """End a reader in a while."""
    thread = threading.Timer(seconds, process.communicate)
    thread.start()
    return thread


@pytest.mark.parametrize('work', ['publish', 'remove', 'release'])
def test_a_file_that_another_process_reads(work, tmp_path):
    path = str(tmp_path / 'file.json')
    if work == 'release':
        with claim(path) as ours:
            assert ours
            ended = after(0.4, reader(path))
    else:
        atomic.write_json(path, {'version': 1})
        ended = after(0.4, reader(path))
        atomic.write_json(path, {'version': 2}) if work == 'publish' else atomic.remove(path)
    ended.join()
    assert os.listdir(str(tmp_path)) == (['file.json'] if work == 'publish' else [])
    if work == 'publish':
        with open(path, encoding='utf-8') as stream:
            assert json.load(stream)['version'] == 2


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path):
    gone = subprocess.Popen([sys.executable, '-c', ''])
    gone.wait()
    lock = tmp_path / 'item.lock'
    lock.write_text(json.dumps({'host': processes.host(), 'pid': gone.pid, 'started': None, 'token': ''}))
    with claim(str(lock)) as ours:
        assert ours and json.loads(lock.read_text())['pid'] == os.getpid()
        with claim(str(lock)) as again:
            assert not again
    assert os.listdir(str(tmp_path)) == []


def test_asking_for_a_process_leaves_it_alive():
    process = subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.readline()'], stdin=subprocess.PIPE)
    assert processes.is_alive(process.pid, processes.start_time(process.pid))
    assert not processes.is_alive(process.pid, processes.start_time(process.pid) + 60)
    assert process.poll() is None
    process.communicate()
    assert process.returncode == 0 and not processes.is_alive(process.pid)


def test_a_folder_appears_whole(tmp_path):
    with atomic.publish_folder(str(tmp_path / 'made')) as draft, open(os.path.join(draft, 'a'), 'w') as stream:
        stream.write('b')
    assert (tmp_path / 'made' / 'a').read_text() == 'b' and os.listdir(str(tmp_path)) == ['made']


def test_another_name_of_a_file(tmp_path):
    (tmp_path / 'a').write_text('b')
    operating_system.alias(str(tmp_path / 'a'), str(tmp_path / '[c]'))
    assert (tmp_path / '[c]').read_text() == 'b'


def test_a_program_is_run(tmp_path, monkeypatch):
    monkeypatch.setattr(programs, 'find_program', lambda name: sys.executable)
    (tmp_path / 'program.py').write_text('import sys; print(sys.argv[1:])')
    programs.run_program('elastix', ['program.py', '-f'], str(tmp_path), threads=1)
    assert "['-f', '-threads', '1']" in (tmp_path / 'elastix.console.log').read_text()
    with pytest.raises(InputError, match='it printed nothing'):
        programs.run_program('elastix', ['-c', 'raise SystemExit(3)'], str(tmp_path), threads=1)


def test_names_that_windows_has_not():
    for name in ('a:b', 'what?', 'con', 'LPT1.mha', 'ends.', 'ends ', 'a|b'):
        assert kinds.NAME.accepts(name) is not operating_system._WINDOWS, name
    for name in ('case1_T00', 'console', 'a b', 'lung.v2', 'com'):
        assert kinds.NAME.accepts(name), name


def test_limits_of_memory_are_known_or_absent():
    assert operating_system.address_space() >= console.LEAST_ADDRESS_SPACE


@pytest.mark.skipif(
    not sys.platform.startswith('linux') or operating_system._WINDOWS, reason='Windows is simulated here'
)
def test_all_of_it_by_the_rules_of_windows():
    command = [sys.executable, '-m', 'pytest', '-q', '-n', '0', '-p', 'no:cacheprovider', '-p', 'tests.windows_rules']
    command += [os.path.abspath(__file__), 'tests/image/test_image_claim.py', '-k', 'not one_module']
    ended = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert ended.returncode == 0, ended.stdout.decode()
    assert int(re.search(rb'(\d+) passed', ended.stdout).group(1)) > 20
