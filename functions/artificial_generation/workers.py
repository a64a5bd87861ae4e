"""Tasks in single-threaded workers, as many as memory allows, with progress. A dead worker costs only its task."""

import time
from concurrent.futures import FIRST_COMPLETED, wait

import joblib
import numpy as np

from ..image.free_memory import available_memory
from ..image.volume_io import read_geometry
from ..image.worker_pools import ATTEMPTS, GIVEN_UP, cluster_size, result_of, worker_deaths, worker_pool
from ..setting.errors import RegNetError
from ..setting.progress import Progress

#: Peak memory of a worker: libraries, voxels of the item and, when it is down-sampled, of its original.
BASE_BYTES, ITEM_BYTES_PER_VOXEL, ORIGINAL_BYTES_PER_VOXEL = 250 * 2**20, 64, 16
#: Free memory assumed where the system does not say.
UNKNOWN_MEMORY = 4 * 2**30


def bytes_per_worker(specs):
    """Peak memory of a worker for these items, from the headers of their images; unreadable ones do not count."""
    needed = BASE_BYTES
    images = {(spec.address('OriginalIm', stage=1, padto=None), spec.stage, spec.padto) for spec in specs}
    for path, stage, padto in images:
        try:
            original = np.prod(read_geometry(path).size, dtype=float)
        except RegNetError:
            continue
        item = original / stage**3 if padto is None else np.prod(np.broadcast_to(padto, 3), dtype=float)
        original_bytes = ORIGINAL_BYTES_PER_VOXEL * original * (stage > 1)
        needed = max(needed, BASE_BYTES + ITEM_BYTES_PER_VOXEL * item + original_bytes)
    return needed


def default_workers(specs):
    """As many workers as a cluster has, or as there are cores and memory, at least one and not more than items."""
    free = available_memory()
    fitting = int(0.8 * (UNKNOWN_MEMORY if free is None else free) / bytes_per_worker(specs))
    return max(1, min(cluster_size() or min(joblib.cpu_count(), fitting), len(specs)))


def run_tasks(tasks, n_workers, description, show=True):
    """Run ``function(*arguments)`` of every task and yield (number of the task, its result) as they finish.

    :param tasks: list of (function, arguments); functions catch their own exceptions and return (status, reason).
    :param n_workers: 1 runs them here, one after the other.
    :param show: progress bar with images per minute (made, not skipped) and time left.
    """
    if not tasks:
        return
    start, made = time.time(), 0
    here = ((number, function(*arguments)) for number, (function, arguments) in enumerate(tasks))
    results = here if n_workers <= 1 and cluster_size() is None else _in_processes(tasks, n_workers)
    with Progress(total=len(tasks), desc=description, unit='im', disable=not show, smoothing=0.05) as bar:
        try:
            for number, result in results:
                made += result[0] in ('made', 'remade')
                bar.update()
                rate = 60 * made / max(1e-6, time.time() - start)
                bar.set_postfix_str(f'{rate:.1f} images/min', refresh=False)
                yield number, result
        finally:
            results.close()


def _in_processes(tasks, n_workers):
    todo, attempts, pending = list(range(len(tasks)))[::-1], [0] * len(tasks), {}
    executor, kill = worker_pool(n_workers, threads=1), True
    most = 2 * max(n_workers, cluster_size() or 0)
    try:
        while todo or pending:
            # A few queued tasks keep the workers busy; the rest waits here, so that stopping is quick.
            # A task whose worker died runs alone, so that it alone is to blame if that happens again.
            while todo and len(pending) < most and not (attempts[todo[-1]] and pending):
                number = todo.pop()
                attempts[number] += 1
                function, arguments = tasks[number]
                try:
                    future = executor.submit(function, *arguments)
                except worker_deaths():
                    # The tasks lost with the worker are found below.
                    executor = _renewed(executor, n_workers)
                    future = executor.submit(function, *arguments)
                pending[future] = number
                if attempts[number] > 1:
                    break
            finished, _ = wait(list(pending), return_when=FIRST_COMPLETED)
            lost = []
            for future in finished:
                number = pending.pop(future)
                try:
                    result = result_of(future)
                except worker_deaths():
                    lost.append(number)
                else:
                    yield number, result
            if lost:
                lost += pending.values()
                pending, executor = {}, _renewed(executor, n_workers)
                todo += [number for number in lost if attempts[number] < ATTEMPTS]
                for number in lost:
                    if attempts[number] >= ATTEMPTS:
                        yield number, ('failed', GIVEN_UP)
        kill = False
    except GeneratorExit:
        # The caller has stopped (a full disk, say). Running tasks end by themselves, so that nothing is left half made.
        for future in pending:
            future.cancel()
        kill = False
        raise
    finally:
        if kill:
            executor.end()
        else:
            executor.shutdown(wait=True)


def _renewed(executor, n_workers):
    """A fresh pool in place of a broken one."""
    executor.end()
    return worker_pool(n_workers, threads=1)
