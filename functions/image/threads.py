"""Threads of ITK within a block of code."""

import contextlib

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
