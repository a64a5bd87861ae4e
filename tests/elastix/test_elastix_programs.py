"""Running programs: found or explained, interruptible, never outliving us. Scripts play the programs."""

import os
import signal
import stat
import subprocess
import sys
from unittest import mock

import pytest
from elastix_truths import needs_elastix

from functions.elastix import programs as P
from functions.setting.errors import InputError, MissingFileError

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def stand_in(folder, body, name='elastix'):
    """A shell script that plays a program; returns the folder to look in."""
    path = folder / name
    path.write_text('#!/bin/sh\n' + body)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(folder)


def on_the_path(folder):
    """The programs of ``folder`` are found first."""
    return mock.patch.dict(os.environ, PATH=f'{folder}{os.pathsep}{os.environ["PATH"]}')


def run(tmp_path, body, arguments=(), **more):
    work = tmp_path / 'work'
    work.mkdir()
    programs = tmp_path / 'pro grams'
    programs.mkdir()
    with on_the_path(stand_in(programs, body)):
        P.run_program('elastix', arguments, str(work), threads=3, **more)
    return work


def test_a_missing_program_comes_with_its_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(MissingFileError, match='apt-get install elastix'):
        P.find_program('elastix')
    assert not P.is_available()
    stand_in(tmp_path, 'exit 0')
    assert not P.is_available()
    stand_in(tmp_path, 'exit 0', 'transformix')
    assert P.is_available()


def test_words_arrive_as_they_are_in_the_right_folder_with_threads(tmp_path):
    words = ['a b', '$HOME', "it's", ';', '*', 'ü']
    work = run(tmp_path, 'for w in "$@"; do echo "$w"; done > words; pwd > folder', words)
    assert (work / 'words').read_text(encoding='utf-8').splitlines() == words + ['-threads', '3']
    assert os.path.samefile((work / 'folder').read_text().strip(), str(work))


@pytest.mark.parametrize(
    'body, said',
    [
        ('echo first; echo "ERROR: no such thing"; exit 1', 'elastix failed: ERROR: no such thing'),
        ('echo "Description: ITK ERROR: too few samples"; exit 1', 'elastix failed: too few samples'),
        ('echo only words >&2; exit 3', 'only words'),
        ('exit 3', 'exit status 3'),
        ('kill -KILL $$', 'memory'),
        ('kill -SEGV $$', 'signal 11'),
    ],
)
def test_a_failure_says_what_the_program_said(tmp_path, body, said):
    with pytest.raises(InputError) as error:
        run(tmp_path, body)
    assert said in str(error.value)


def test_a_program_that_is_none(tmp_path):
    (tmp_path / 'elastix').write_bytes(b'\x00\x01')
    (tmp_path / 'elastix').chmod(0o755)
    with on_the_path(tmp_path):
        with pytest.raises(InputError, match='cannot be started'):
            P.run_program('elastix', [], str(tmp_path))
        with pytest.raises(InputError, match='does not run'):
            P.elastix_version()


#: Says its number through a pipe, and, unless it is ended within 20 s, that it has survived.
LONG = 'exec 3>pipe; echo $$ >&3; sleep 20 3>&-; echo survived >&3'


def test_a_stuck_program_is_stopped(tmp_path):
    with pytest.raises(InputError, match='had not finished'):
        run(tmp_path, LONG, hours=1.0 / 3600)
    assert 'survived' not in (tmp_path / 'work' / 'pipe').read_text()


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='only Linux ends a child with its parent')
@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_program_ends_with_us(tmp_path, how):
    programs = stand_in(tmp_path, LONG)
    os.mkfifo(str(tmp_path / 'pipe'))
    code = 'from functions.elastix.programs import run_program; import sys; run_program("elastix", [], sys.argv[1])'
    us = subprocess.Popen(
        [sys.executable, '-c', code, programs],
        cwd=REPOSITORY,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ, PYTHONPATH=REPOSITORY, PATH=f'{programs}{os.pathsep}{os.environ["PATH"]}'),
    )
    try:
        with open(str(tmp_path / 'pipe')) as pipe:
            assert pipe.readline().strip().isdigit()
            us.send_signal(how)
            # The pipe ends with the last process that could write into it.
            assert pipe.read() == ''
    finally:
        us.kill()
        us.wait()


def test_the_log_of_a_failed_run_is_kept(tmp_path):
    programs = stand_in(tmp_path, 'echo it went wrong; exit 1')
    with on_the_path(programs), pytest.raises(InputError), P.working_folder(str(tmp_path / 'kept')) as work:
        P.run_program('elastix', [], work)
    assert (tmp_path / 'kept' / 'elastix.log').read_text() == 'it went wrong\n'
    assert not os.path.exists(work)


@needs_elastix
def test_the_version_of_the_real_one():
    assert P.elastix_version().split('.')[0].isdigit() and '.' in P.elastix_version()
