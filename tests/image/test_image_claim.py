"""Claims: one at a time, the dead hold nothing."""

import json
import os
import subprocess
import sys
import threading

import pytest

from functions.image.claim import claim, claim_folder, release_void
from functions.setting.errors import DiskError, InputError

ROOT = os.path.join(os.path.dirname(__file__), '..', '..')
HOLD = """
import sys
sys.path.insert(0, sys.argv[2])
from functions.image.claim import claim
with claim(sys.argv[1]) as ours:
    print(ours, flush=True)
    sys.stdin.readline()
"""


def holder(lock):
    """A process that claims ``lock`` and holds it until its input is closed: (process, what it got)."""
    process = subprocess.Popen(
        [sys.executable, '-c', HOLD, lock, ROOT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, universal_newlines=True
    )
    return process, process.stdout.readline().strip()


def wait(process):
    """Return when a process has ended; where there are zombies it is one."""
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT) if hasattr(os, 'waitid') else process.wait()


def end(process):
    process.stdin.close()
    process.wait(timeout=30)
    process.stdout.close()


def test_second_claim_is_refused_while_the_first_lives_and_the_file_is_gone_afterwards(tmp_path):
    lock = str(tmp_path / 'made here' / 'item.lock')
    with claim(lock) as first:
        with claim(lock) as second:
            assert (first, second) == (True, False)
        owner = json.loads(open(lock).read())
        assert owner['pid'] == os.getpid() and owner['host']
    assert os.listdir(os.path.dirname(lock)) == []
    with claim(lock) as again:
        assert again


def test_a_claim_ends_with_an_exception(tmp_path):
    lock = str(tmp_path / 'item.lock')
    with pytest.raises(ZeroDivisionError), claim(lock):
        raise ZeroDivisionError
    assert not os.path.exists(lock)


def test_claim_of_another_living_process_is_respected_and_that_of_a_killed_one_taken_over(tmp_path):
    lock = str(tmp_path / 'item.lock')
    process, got = holder(lock)
    assert got == 'True'
    try:
        with claim(lock) as ours:
            assert not ours
    finally:
        process.kill()  # not waited for: a zombie holds nothing either
    wait(process)
    with claim(lock) as ours:
        assert ours
        other, got = holder(lock)
        assert got == 'False'
        end(other)
    end(process)
    assert os.listdir(str(tmp_path)) == []


def test_the_lock_of_finished_work_stays_with_the_living_and_is_removed_of_the_dead(tmp_path):
    lock = str(tmp_path / 'item.lock')
    process, _ = holder(lock)
    try:
        release_void(lock)
        assert os.path.exists(lock)
    finally:
        process.kill()
    wait(process)
    release_void(lock)
    release_void(lock)
    end(process)
    assert os.listdir(str(tmp_path)) == []


def test_a_number_used_again_by_another_process_is_not_the_owner(tmp_path):
    lock = tmp_path / 'item.lock'
    with claim(str(lock)):
        owner = json.loads(lock.read_text())
    lock.write_text(json.dumps(dict(owner, started=owner['started'] - 5)))
    with claim(str(lock)) as ours:
        assert ours


def test_lock_of_another_host_is_void_only_after_its_deadline(tmp_path):
    lock = tmp_path / 'item.lock'
    foreign = json.dumps({'host': 'elsewhere', 'pid': 1, 'started': None, 'token': 'x'})
    lock.write_text(foreign)
    with claim(str(lock), deadline_s=600) as ours:
        assert not ours
    assert lock.read_text() == foreign
    past = os.stat(str(lock)).st_mtime - 1000
    os.utime(str(lock), (past, past))
    with claim(str(lock), deadline_s=600) as ours:
        assert ours


@pytest.mark.parametrize('content', ['', '{"host": "elsew', 'null'])
def test_an_unreadable_lock_is_treated_as_that_of_another_host(tmp_path, content):
    lock = tmp_path / 'item.lock'
    lock.write_text(content)
    with claim(str(lock)) as ours:
        assert not ours
    os.utime(str(lock), (1, 1))
    with claim(str(lock)) as ours:
        assert ours


def test_heartbeat_keeps_the_modification_time_fresh(tmp_path):
    lock = str(tmp_path / 'item.lock')
    with claim(lock, deadline_s=0.04):
        os.utime(lock, (1, 1))
        deadline = threading.Event()
        for _ in range(1000):
            if os.stat(lock).st_mtime > 1:
                break
            deadline.wait(0.01)
        assert os.stat(lock).st_mtime > 1


def test_a_claim_taken_over_meanwhile_is_not_removed(tmp_path):
    lock = tmp_path / 'item.lock'
    with claim(str(lock)):
        lock.write_text('somebody else')
    assert lock.read_text() == 'somebody else'


def test_of_many_threads_at_a_dead_lock_one_wins(tmp_path):
    lock = tmp_path / 'item.lock'
    for _ in range(10):
        lock.write_text('')
        os.utime(str(lock), (1, 1))
        winners, barrier = [], threading.Barrier(8)

        def work():
            barrier.wait(timeout=30)
            with claim(str(lock)) as ours:
                winners.append(ours)
                barrier.wait(timeout=30)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
        assert sorted(winners) == [False] * 7 + [True]
        assert not lock.exists()


def test_a_file_instead_of_a_folder_is_refused(tmp_path):
    (tmp_path / 'scan.nii').write_text('a scan')
    wanted = 'scan.nii is a file; a folder is needed'
    with pytest.raises(InputError, match=wanted), claim_folder(str(tmp_path / 'scan.nii')):
        pass
    assert (tmp_path / 'scan.nii').read_text() == 'a scan'


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(DiskError, match='item.lock'), claim(str(tmp_path / 'file' / 'item.lock')):
        pass
