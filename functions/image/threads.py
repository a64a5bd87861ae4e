"""Threads of ITK within a block of code, and processes that share the processors."""

import contextlib
import os
from concurrent.futures import as_completed

import SimpleITK as sitk
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import ShutdownExecutorError, TerminatedWorkerError
from tqdm import tqdm

from functions.setting.errors import RegNetError
from functions.setting.processes import die_with

WORKER_DIED = (TerminatedWorkerError, ShutdownExecutorError)
_THREADS = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', 'ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS')


@contextlib.contextmanager
def itk_threads(number):
    """Let ITK filters use ``number`` threads inside the ``with`` block (1 in workers that share a machine).

    The limit is that of the process; None leaves it as it is. The former value is restored on leaving.
    """
    if number is None:
        yield
        return
    former = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(int(number))
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(former)


def worker_pool(n_workers, threads, environment=()):
    """A pool of processes, each with ``threads`` threads, which end with this one however it ends.

    Not joblib's reusable pool: joblib.Parallel owns it and fails on finding it changed.

    :param environment: further environment variables, a dictionary.
    """
    variables = dict(dict.fromkeys(_THREADS, str(threads)), **dict(environment))
    start = {'initializer': _start_worker, 'initargs': (os.getpid(), threads)}
    return ProcessPoolExecutor(max_workers=n_workers, timeout=60, env=variables, **start)


def _start_worker(parent, threads):
    die_with(parent)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def in_parallel(function, jobs, n_workers, title):
    """``function(*job)`` of every job, in processes that share the processors, with a progress bar.

    :param n_workers: None: one for every two processors; 1: in this process.
    :raises RegNetError: a process was killed, besides what the function raises.
    """
    processors = os.cpu_count() or 2
    n_workers = max(1, min(processors // 2 if n_workers is None else int(n_workers), len(jobs)))
    threads = max(1, processors // n_workers)
    bar = tqdm(total=len(jobs), desc=title, leave=False)
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
        pool.shutdown(wait=True, kill_workers=True)
