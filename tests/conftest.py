"""Shared by all tests: the slow flag, plotting without a screen, and Ctrl-C as a terminal gives it."""

import os
import signal

import pytest

os.environ.setdefault('MPLBACKEND', 'Agg')
if 'PYTEST_XDIST_WORKER_COUNT' in os.environ:
    # Processes that run beside each other share the cores instead of each taking all of them.
    _THREADS = str(max(1, os.cpu_count() // int(os.environ['PYTEST_XDIST_WORKER_COUNT'])))
    for _name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS'):
        os.environ.setdefault(_name, _THREADS)


def pytest_addoption(parser):
    parser.addoption('--run-slow', action='store_true', help='also run the tests marked slow (minutes)')


def pytest_configure(config):
    del config
    # A shell starts its background jobs with SIGINT ignored, and so would be the children that tests interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config, items):
    if config.getoption('--run-slow'):
        return
    skip = pytest.mark.skip(reason='slow; run with --run-slow')
    for item in items:
        if 'slow' in item.keywords:
            item.add_marker(skip)
