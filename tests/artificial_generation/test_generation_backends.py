"""The same work by threads of this process and by workers of dask.distributed, some of which are killed."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time

import cluster_tasks
import pytest
from test_generation_batch import moved, tree

import RunRegNet3D
from functions.artificial_generation import batch
from functions.image import worker_pools
from functions.setting.errors import InputError, MissingFileError, RegNetError

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))


@pytest.fixture
def four(setting):
    """Four small items at stage 2 (8 mm)."""
    setting.update(verbose=False, stage=2)
    setting['DataExpDict'][0]['TrainingDSmoothList'] = [9, 13, 18]
    return setting


@pytest.fixture(autouse=True)
def usual_backend():
    yield
    worker_pools.choose_backend()


def text_of(path):
    """What a file holds so far; '' while it is not there."""
    if not os.path.exists(path):
        return ''
    with open(path, errors='replace') as stream:
        return stream.read()


class Dask:
    """A scheduler and two workers of one thread on the loopback address."""

    def __init__(self, folder):
        variables = {'PYTHONPATH': os.pathsep.join([REPOSITORY, HERE]), 'MPLBACKEND': 'Agg'}
        variables['DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES'] = '1'
        self._folder, self._environment = str(folder), dict(os.environ, **variables)
        file = ['--scheduler-file', self._path('scheduler.json')]
        at_start = ['--host', '127.0.0.1', '--port', '0', '--no-dashboard']
        self.scheduler = self._start('scheduler', *file, *at_start)
        # Nannies start another worker in place of one that is killed.
        of_worker = ['--nthreads', '1', '--host', '127.0.0.1', '--no-dashboard', '--local-directory', self._folder]
        self._wait(self._has_address)
        # Not before: a worker reads the file as soon as it is there, whole or not.
        self._workers = [self._start('worker', *file, *of_worker) for _ in range(2)]
        worker_pools.choose_backend('dask', self.address)
        self._wait(lambda: worker_pools.cluster_size() == 2)

    def _path(self, name):
        return os.path.join(self._folder, name)

    def _has_address(self):
        found = re.search('"address": "([^"]+)"', text_of(self._path('scheduler.json')))
        self.address = found and found.group(1)
        return found is not None

    def _start(self, name, *words):
        with open(self._path(name + '.log'), 'ab') as log:
            command = [sys.executable, '-m', f'distributed.cli.dask_{name}', *words]
            return subprocess.Popen(
                command, env=self._environment, cwd=self._folder, stdout=log, stderr=log, start_new_session=True
            )

    def _wait(self, happened):
        end = time.time() + 60
        while not happened():
            assert time.time() < end, self.log()
            time.sleep(0.1)

    def log(self):
        return '\n'.join(text_of(self._path(name + '.log'))[-3000:] for name in ('scheduler', 'worker'))

    def stop(self):
        for process in self._workers + [self.scheduler]:  # each with its own processes
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope='module')
def dask(tmp_path_factory):
    pytest.importorskip('distributed', reason='dask.distributed is not installed (requirements-cluster.txt)')
    found = Dask(tmp_path_factory.mktemp('dask'))
    yield found
    worker_pools.choose_backend()
    found.stop()


def once_held(place, act):
    """``act`` on the number of the process that is in the middle of a task, once there is one; returns the thread."""

    def watch():
        while not text_of(place):
            time.sleep(0.05)
        act(int(text_of(place)))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


@pytest.mark.once
def test_a_killed_worker_of_a_cluster_loses_nothing(four, dask, tmp_path, monkeypatch):
    alone, together = [moved(four, tmp_path / name) for name in ('one', 'cluster')]
    batch.generate_batch(alone, n_workers=1)
    worker_pools.choose_backend('dask', dask.address)
    monkeypatch.setattr(batch, 'make_one', cluster_tasks.make_one_held)
    os.makedirs(together['RootFolder'])
    place = together['RootFolder'] + cluster_tasks.HELD
    killer = once_held(place, lambda process: os.kill(process, signal.SIGKILL))
    report = batch.generate_batch(together)
    killer.join(60)
    os.remove(place)
    assert len(report.made + report.skipped) + len(report.remade) == 4 and not report.failed + report.left, dask.log()
    expected = tree(alone['RootFolder'])
    assert len(expected) >= 4 * 5 and tree(together['RootFolder']) == expected


def test_threads_make_the_same_files(four, tmp_path):
    alone, together = [moved(four, tmp_path / name) for name in ('one', 'threads')]
    batch.generate_batch(alone, n_workers=1)
    worker_pools.choose_backend('threading')
    assert len(batch.generate_batch(together, n_workers=3).made) == 4
    assert tree(together['RootFolder']) == tree(alone['RootFolder'])
    ((_, process, _),) = set(worker_pools.in_parallel(cluster_tasks.where, [(1,), (1,)], 2, 'test'))
    assert process == os.getpid()


def test_tasks_of_a_cluster_keep_their_order_and_folder(dask, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    worker_pools.choose_backend('dask', dask.address)
    found = worker_pools.in_parallel(cluster_tasks.where, [(k,) for k in range(5)], 1, 'test')
    assert [number for number, _, _ in found] == list(range(5))
    assert os.getpid() not in {process for _, process, _ in found}
    assert {folder for _, _, folder in found} == {str(tmp_path)}
    with pytest.raises(RegNetError, match='^test: a process was killed'):
        worker_pools.in_parallel(cluster_tasks.die, [(1,)], None, 'test')


def test_a_scheduler_that_is_gone_is_one_sentence(dask, tmp_path):
    worker_pools.choose_backend('dask', dask.address)
    place = str(tmp_path / cluster_tasks.HELD)
    once_held(place, lambda process: dask.scheduler.kill())
    with pytest.raises(RegNetError, match='^The scheduler .* is gone. What was finished is kept.$'):
        worker_pools.in_parallel(cluster_tasks.hold, [(place,)], None, 'test')


@pytest.mark.parametrize(
    'words, text',
    [
        ('--scheduler tcp://h:1', '--scheduler tcp://h:1 goes with --backend dask'),
        ('--backend threading --scheduler tcp://h:1', 'goes with --backend dask'),
        ('--backend dask', '--scheduler ADDRESS is needed by --backend dask'),
    ],
)
def test_backends_and_addresses_that_do_not_go_together(tmp_path, monkeypatch, caplog, words, text):
    monkeypatch.chdir(tmp_path)
    assert RunRegNet3D.main(['-w', 'Root', *words.split()]) == 2
    (said,) = [r.getMessage() for r in caplog.records if (r.name, r.levelname) == ('root', 'ERROR')]
    assert text in said and os.listdir('.') == []
    with pytest.raises(InputError, match='goes with'):
        worker_pools.choose_backend('loky', 'tcp://h:1')


@pytest.mark.parametrize('address', ['tcp://127.0.0.1:1', 'nonsense', 'tcp://127.0.0.1:port'])
def test_an_address_that_cannot_be_reached(address):
    pytest.importorskip('distributed', reason='dask.distributed is not installed (requirements-cluster.txt)')
    with pytest.raises(RegNetError, match=f'^The scheduler {address} cannot be reached: .*[.]$'):
        worker_pools.choose_backend('dask', address)


def test_dask_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, 'distributed', None)
    with pytest.raises(
        MissingFileError, match=r'^--backend dask needs dask.distributed \(pip install distributed\)\.$'
    ):
        worker_pools.choose_backend('dask', 'tcp://127.0.0.1:1')
