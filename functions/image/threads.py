"""How many threads ITK may use in a stretch of code; importing this changes nothing."""

import contextlib

import SimpleITK as sitk


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
