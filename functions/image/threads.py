"""Threads of ITK within a block of code, and processes that share the processors."""

import contextlib
import os

import SimpleITK as sitk
from joblib import Parallel, delayed
from tqdm import tqdm


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


def in_parallel(function, jobs, n_workers, title):
    """``function(*job)`` of every job, in processes that share the processors, with a progress bar.

    :param n_workers: None: one for every two processors; 1: in this process.
    """
    processors = os.cpu_count() or 2
    n_workers = max(1, min(processors // 2 if n_workers is None else int(n_workers), len(jobs)))
    bar = tqdm(jobs, desc=title, leave=False)
    return Parallel(n_jobs=n_workers, batch_size=1, pre_dispatch=n_workers)(
        delayed(_in_worker)(function, job, max(1, processors // n_workers)) for job in bar
    )


def _in_worker(function, job, threads):
    with itk_threads(threads):
        return function(*job)
