"""Threads of ITK within a block of code, and processes that share the processors."""

import contextlib
import os
import queue
import signal
from concurrent.futures import as_completed

import SimpleITK as sitk
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import ShutdownExecutorError, TerminatedWorkerError

from ..setting.errors import RegNetError
from ..setting.operating_system import die_with
from ..setting.progress import Progress

WORKER_DIED = (TerminatedWorkerError, ShutdownExecutorError)
#: Attempts at a task whose worker dies, and what to say then.
ATTEMPTS = 2
GIVEN_UP = f'its worker process ended unexpectedly {ATTEMPTS} times: killed or out of memory (try fewer workers)'
_THREADS = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', 'ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS')


@contextlib.contextmanager
def itk_threads(number):
    """Let ITK filters use ``number`` threads inside the ``with`` block; None leaves their number as it is."""
    # The limit is that of the process: 1 in workers that share a machine.
    if number is None:
        yield
        return
    former = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(int(number))
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(former)


def worker_pool(n_workers, threads):
    """A pool of processes, each with ``threads`` threads, which end with this one however it ends."""
    # Not joblib's reusable pool: joblib.Parallel owns it and fails on finding it changed.
    # Freed volumes go back to the system (glibc would otherwise keep those of up to 32 MB).
    variables = dict(dict.fromkeys(_THREADS, str(threads)), MALLOC_MMAP_THRESHOLD_='1048576')
    start = {'initializer': _start_worker, 'initargs': (os.getpid(), threads)}
    return ProcessPoolExecutor(max_workers=n_workers, timeout=60, env=variables, **start)


def end_pool(pool):
    """Kill the processes of a pool; futures that are not done raise one of WORKER_DIED."""
    # What is submitted but not handed over yet would make the pool's own thread fail, with a traceback.
    with contextlib.suppress(queue.Empty):
        while True:
            pool._work_ids.get_nowait()
    pool.shutdown(wait=True, kill_workers=True)


def _start_worker(parent, threads):
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides what becomes of the work
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def in_parallel(function, jobs, n_workers, title):
    """``function(*job)`` of every job, in processes that share the processors, with a progress bar.

    :param n_workers: None: one for every two processors; 1: in this process.
    :raises RegNetError: a process was killed, besides what the function raises.
    """
    processors = os.cpu_count() or 2
    n_workers = max(1, min(processors // 2 if n_workers is None else int(n_workers), len(jobs)))
    threads = max(1, processors // n_workers)
    bar = Progress(total=len(jobs), desc=title, leave=False)
    if n_workers == 1:
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
            future.result()
            bar.update()
        return [future.result() for future in futures]
    except WORKER_DIED as error:
        raise RegNetError(f'{title}: a process was killed, perhaps out of memory (try fewer --workers).') from error
    finally:
        bar.close()
        end_pool(pool)
