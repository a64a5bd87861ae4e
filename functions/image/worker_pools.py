"""Where parallel steps work: processes or threads of this machine, or workers of dask.distributed."""

import contextlib
import logging
import os
import queue
import signal
import socket
import sys
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed

import SimpleITK as sitk
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import ShutdownExecutorError, TerminatedWorkerError

from .. import __version__
from ..setting.errors import InputError, MissingFileError, RegNetError
from ..setting.operating_system import die_with
from ..setting.progress import Progress
from .threads import itk_threads

#: Attempts at a task whose worker dies, and what to say then.
ATTEMPTS = 2
GIVEN_UP = f'its worker process ended unexpectedly {ATTEMPTS} times: killed or out of memory (try fewer workers)'
_THREADS = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', 'ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS')
_CONNECT_S = 10
_chosen = {'backend': 'loky', 'address': None, 'client': None}


def choose_backend(backend=None, address=None):
    """Let every parallel step from now on use a backend.

    :param backend: 'loky' or None, processes; 'threading', threads of this process; 'dask', workers of a cluster.
    :param address: of the scheduler of dask.distributed, such as 'tcp://head:8786'.
    :raises InputError: an address without 'dask', or 'dask' without one.
    :raises MissingFileError: dask.distributed is not installed.
    :raises RegNetError: there is no scheduler at the address, or its workers lack this version of RegNet.
    """
    backend = backend or 'loky'
    if (backend == 'dask') != bool(address):
        given = f'--scheduler {address} goes with' if address else '--scheduler ADDRESS is needed by'
        raise InputError(f'{given} --backend dask (settings: cluster_scheduler, cluster_backend).')
    if _chosen['client'] is not None and address != _chosen['address']:
        _chosen['client'].close()
        _chosen['client'] = None
    if address and _chosen['client'] is None:
        _chosen['client'] = _connect(address)
    _chosen.update(backend=backend, address=address)


def _connect(address):
    try:
        import distributed
    except ImportError as error:
        raise MissingFileError('--backend dask needs dask.distributed (pip install distributed).') from error
    for name in ('client', 'utils'):  # a scheduler that is gone is told in one sentence
        logging.getLogger(f'distributed.{name}').setLevel(logging.CRITICAL)
    try:
        host, _, port = address.rpartition('://')[2].rpartition(':')
        socket.create_connection((host.strip('[]'), port), _CONNECT_S).close()
        client = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
    except Exception as error:
        raise RegNetError(f'The scheduler {address} cannot be reached: {error}.') from error
    try:
        others = sorted(set(client.run(_version).values()) - {__version__})
    except ImportError as error:
        client.close()
        raise RegNetError(f'The workers of {address} cannot import RegNet ({error}): set their PYTHONPATH.') from error
    if others:
        client.close()
        raise RegNetError(f'The workers of {address} have RegNet {", ".join(others)}, not {__version__}.')
    return client


def _version():
    return __version__


def cluster_size():
    """Tasks that the cluster does at a time; None without a cluster."""
    client = _chosen['client']
    return None if client is None else sum(client.nthreads().values())


def worker_pool(n_workers, threads):
    """A pool of the chosen backend: an executor that also has ``end``, which ends it at once.

    :param n_workers, threads: processes, and threads of each; a cluster has its own number, of one thread each.
    """
    if _chosen['client'] is not None:
        return _Cluster(_chosen['client'])
    return _Threads(n_workers) if _chosen['backend'] == 'threading' else _Processes(n_workers, threads)


def worker_deaths():
    """The exceptions of tasks whose worker died."""
    of_cluster = sys.modules.get('distributed.scheduler')
    return (TerminatedWorkerError, ShutdownExecutorError) + ((of_cluster.KilledWorker,) if of_cluster else ())


def result_of(future):
    """What a task of a pool returns; raises what it raises.

    :raises RegNetError: the scheduler of the cluster is gone.
    """
    try:
        return future.result()
    except CancelledError as error:
        address = _chosen['address']
        raise RegNetError(f'The scheduler {address} is gone. What was finished is kept.') from error


class _Processes(ProcessPoolExecutor):
    """Processes, which end with this one however it ends."""

    # Not joblib's reusable pool: joblib.Parallel owns it and fails on finding it changed.
    def __init__(self, n_workers, threads):
        # Freed volumes go back to the system (glibc would otherwise keep those of up to 32 MB).
        variables = dict(dict.fromkeys(_THREADS, str(threads)), MALLOC_MMAP_THRESHOLD_='1048576')
        start = {'initializer': _start_worker, 'initargs': (os.getpid(), threads)}
        super().__init__(max_workers=n_workers, timeout=60, env=variables, **start)

    def end(self):
        """Kill the processes; futures that are not done raise one of :func:`worker_deaths`."""
        # What is submitted but not handed over yet would make the pool's own thread fail, with a traceback.
        _empty(self._work_ids)
        self.shutdown(wait=True, kill_workers=True)


class _Threads(ThreadPoolExecutor):
    """Threads of this process, in which ITK has one thread for each."""

    def __init__(self, n_workers):
        super().__init__(n_workers)
        self._limit = contextlib.ExitStack()
        self._limit.enter_context(itk_threads(1))

    def shutdown(self, wait=True):
        super().shutdown(wait)
        self._limit.close()

    def end(self):
        """End when the running tasks have."""
        _empty(self._work_queue)
        self.shutdown()


class _Cluster:
    """Workers of dask.distributed, which does again the tasks of those that die."""

    def __init__(self, client):
        self._client, self._executor = client, client.get_executor(pure=False)

    def submit(self, function, *arguments, **options):
        return self._executor.submit(_on_cluster, os.getcwd(), function, arguments, options)

    def shutdown(self, wait=True):
        self._executor.shutdown(wait)

    def end(self):
        """Forget what is not done; a task that runs goes on to its end."""
        if self._client.status == 'running':  # the scheduler is there
            self._executor.shutdown(wait=False)


def _empty(tasks):
    with contextlib.suppress(queue.Empty):
        while True:
            tasks.get_nowait()


def _start_worker(parent, threads):
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides what becomes of the work
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def _on_cluster(folder, function, arguments, options):
    os.chdir(folder)  # paths may be relative to it
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    return function(*arguments, **options)


def in_parallel(function, jobs, n_workers, title):
    """``function(*job)`` of every job, by workers that share the processors, with a progress bar.

    :param n_workers: None: one for every two processors; 1: in this process.
    :raises RegNetError: a process was killed, besides what the function raises.
    """
    processors = os.cpu_count() or 2
    n_workers = max(1, min(processors // 2 if n_workers is None else int(n_workers), len(jobs)))
    threads = max(1, processors // n_workers)
    bar = Progress(total=len(jobs), desc=title, leave=False)
    if n_workers == 1 and cluster_size() is None:
        with bar, itk_threads(threads):
            results = []
            for job in jobs:
                results.append(function(*job))
                bar.update()
            return results
    pool = worker_pool(n_workers, threads)
    try:
        futures = [pool.submit(function, *job) for job in jobs]
        for future in as_completed(futures):
            result_of(future)
            bar.update()
        return [future.result() for future in futures]
    except worker_deaths() as error:
        raise RegNetError(f'{title}: a process was killed, perhaps out of memory (try fewer --workers).') from error
    finally:
        bar.close()
        pool.end()
