"""Threads of ITK within a block of code, and images in threads of Python.

SimpleITK moves the memory of an image whose array is asked for while a filter in another thread reads it, and either
may then read what has been freed. So an image whose array is needed belongs to one thread at a time; ``sitk.Image``
copies, which share their memory until then, are for others.
"""

import collections
import contextlib
from concurrent import futures

import SimpleITK as sitk


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


def in_slabs(function, n):
    """Call ``function`` with contiguous parts of ``range(n)``, such as slices, one for each thread that ITK may use."""
    n_threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    edges = [n * number // n_threads for number in range(n_threads + 1)]
    with futures.ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(function, map(range, edges, edges[1:])))


def in_threads(function, *arguments, workers=2):
    """``map`` in threads, as a list; of an image that is given more than once every call gets its own copy.

    :param arguments: lists of equal length.
    """
    given = collections.Counter(id(one) for values in arguments for one in values if isinstance(one, sitk.Image))
    arguments = [[sitk.Image(one) if given[id(one)] > 1 else one for one in values] for values in arguments]
    with futures.ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, *arguments))
