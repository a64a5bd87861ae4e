"""Running tasks in processes, with progress: one thread each, no more than memory allows.

A worker that dies costs its task only.
"""

import time
from concurrent.futures import FIRST_COMPLETED, wait

import joblib
import SimpleITK as sitk
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import ShutdownExecutorError, TerminatedWorkerError
from tqdm import tqdm

from functions.image.free_memory import available_memory

#: One thread in a worker's libraries, since there is a worker per core; volumes go back to the system when
#: freed (glibc would otherwise keep those of up to 32 MB).
_ENVIRONMENT = {
    'OMP_NUM_THREADS': '1',
    'OPENBLAS_NUM_THREADS': '1',
    'MKL_NUM_THREADS': '1',
    'ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS': '1',
    'MALLOC_MMAP_THRESHOLD_': '1048576',
}
#: Peak memory of a worker: libraries, voxels of the item and, when it is down-sampled, of its original.
BASE_BYTES, ITEM_BYTES_PER_VOXEL, ORIGINAL_BYTES_PER_VOXEL = 250 * 2**20, 64, 16
#: Bytes taken to be free where the system does not say.
UNKNOWN_MEMORY = 4 * 2**30
#: A task whose worker dies is tried so many times.
ATTEMPTS = 2


def bytes_per_worker(specs):
    """Peak memory of a worker for these items, from the headers of their images.

    Images that cannot be read count nothing.
    """
    paths = {(spec.address('OriginalIm', stage=1, padto=None), spec.stage, spec.padto) for spec in specs}
    needed = BASE_BYTES
    for path, stage, padto in paths:
        reader = sitk.ImageFileReader()
        reader.SetFileName(path)
        try:
            reader.ReadImageInformation()
        except RuntimeError:
            continue
        voxels = [max(1, n) for n in reader.GetSize()]
        original = float(voxels[0]) * voxels[1] * voxels[2] if len(voxels) == 3 else 0.0
        item = original / stage**3
        if padto is not None:
            sides = [padto] * 3 if not hasattr(padto, '__len__') else padto
            item = float(sides[0]) * sides[1] * sides[2]
        original_bytes = ORIGINAL_BYTES_PER_VOXEL * original * (stage > 1)
        needed = max(needed, BASE_BYTES + ITEM_BYTES_PER_VOXEL * item + original_bytes)
    return needed


def default_workers(specs):
    """As many workers as there are cores and memory, at least one and not more than items."""
    free = available_memory()
    fitting = int(0.8 * (UNKNOWN_MEMORY if free is None else free) / bytes_per_worker(specs))
    return max(1, min(joblib.cpu_count(), fitting, len(specs)))


def _start_worker():
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def run_tasks(tasks, n_workers, description, show=True):
    """Run ``function(*arguments)`` of every task and yield (number of the task, its result) as they finish.

    :param tasks: list of (function, arguments); functions catch their own exceptions and return (status,
        reason).
    :param n_workers: 1 runs them here, one after the other.
    :param show: progress bar with images per minute (made, not skipped) and time left.
    """
    if not tasks:
        return
    start, made = time.time(), 0
    results = _here(tasks) if n_workers <= 1 else _in_processes(tasks, n_workers)
    with tqdm(total=len(tasks), desc=description, unit='im', disable=not show, smoothing=0.05) as bar:
        try:
            for number, result in results:
                made += result[0] in ('made', 'remade')
                bar.update()
                rate = 60 * made / max(1e-6, time.time() - start)
                bar.set_postfix_str(f'{rate:.1f} images/min', refresh=False)
                yield number, result
        finally:
            results.close()


def _here(tasks):
    for number, (function, arguments) in enumerate(tasks):
        yield number, function(*arguments)


def _executor(n_workers):
    # A pool of our own: joblib's reusable one belongs to joblib.Parallel, which fails on finding it changed.
    return ProcessPoolExecutor(max_workers=n_workers, timeout=60, env=_ENVIRONMENT, initializer=_start_worker)


def _in_processes(tasks, n_workers):
    todo = list(range(len(tasks)))[::-1]
    attempts = [0] * len(tasks)
    pending = {}
    executor, at_ease = _executor(n_workers), False
    try:
        while todo or pending:
            # A few tasks ahead of the workers keep them busy; the rest stays here, so that stopping is quick.
            # A task whose worker died before runs alone, so that it alone is to blame if that happens again.
            while todo and len(pending) < 2 * n_workers:
                if attempts[todo[-1]] and pending:
                    break
                number = todo.pop()
                attempts[number] += 1
                try:
                    future = executor.submit(tasks[number][0], *tasks[number][1])
                except (TerminatedWorkerError, ShutdownExecutorError):
                    # A worker died since the last look; what it took with it is found below.
                    executor = _renewed(executor, n_workers)
                    future = executor.submit(tasks[number][0], *tasks[number][1])
                pending[future] = number
                if attempts[number] > 1:
                    break
            finished, _ = wait(list(pending), return_when=FIRST_COMPLETED)
            broken = []
            for future in finished:
                number = pending.pop(future)
                try:
                    result = future.result()
                except (TerminatedWorkerError, ShutdownExecutorError) as error:
                    broken.append((number, error))
                    continue
                yield number, result
            if broken:
                lost = [number for number, _ in broken] + list(pending.values())
                pending = {}
                executor = _renewed(executor, n_workers)
                for number in lost:
                    if attempts[number] >= ATTEMPTS:
                        yield (
                            number,
                            (
                                'failed',
                                f'its worker process ended unexpectedly, {ATTEMPTS} times: killed, '
                                'or out of memory (try fewer workers)',
                            ),
                        )
                    else:
                        todo.append(number)
        at_ease = True
    except GeneratorExit:
        # Nobody wants the rest (a full disk, say): what runs ends by itself, so that nothing is left half
        # made.
        for future in pending:
            future.cancel()
        at_ease = True
        raise
    finally:
        executor.shutdown(wait=True, kill_workers=not at_ease)


def _renewed(executor, n_workers):
    """A fresh pool in place of a broken one."""
    executor.shutdown(wait=True, kill_workers=True)
    return _executor(n_workers)
