"""Shared by all tests: the flags, plotting without a screen, Ctrl-C as a terminal gives it, and the count of faults."""

import os
import signal
import sys

import pytest

os.environ.setdefault('MPLBACKEND', 'Agg')
if 'PYTEST_XDIST_WORKER_COUNT' in os.environ:
    # Processes that run beside each other share the cores instead of each taking all of them.
    _THREADS = str(max(1, os.cpu_count() // int(os.environ['PYTEST_XDIST_WORKER_COUNT'])))
    for _name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS'):
        os.environ.setdefault(_name, _THREADS)


def pytest_addoption(parser):
    parser.addoption('--run-slow', action='store_true', help='also run the tests marked slow (minutes) or once')
    parser.addoption('--faults-long', action='store_true', help='inject every fault of tests/faults, not only a sample')


def pytest_configure(config):
    del config
    # A shell starts its background jobs with SIGINT ignored, and so would be the children that tests interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


#: What tests/faults has injected: row -> [faults, promises kept]. Counted here, where reports of all workers arrive.
FAULTS = {}


def pytest_runtest_logreport(report):
    if report.when == 'teardown':
        for row, (injected, kept) in dict(report.user_properties).get('faults', {}).items():
            counts = FAULTS.setdefault(row, [0, 0])
            counts[:] = counts[0] + injected, counts[1] + kept


def pytest_terminal_summary(terminalreporter):
    if FAULTS:
        terminalreporter.section('faults')
        rows = sorted(FAULTS.items()) + [('all', [sum(column) for column in zip(*FAULTS.values())])]
        for row, (injected, kept) in rows:
            terminalreporter.line(f'{row}: {injected} faults injected, {kept} promises kept')


def pytest_collection_modifyitems(config, items):
    # The longest first: at the end one process would wait for the other.
    items.sort(key=lambda item: 'longest' not in item.keywords)
    if config.getoption('--run-slow'):
        return
    reasons = {'slow': 'slow; run with --run-slow'}
    if sys.version_info < (3, 8):
        reasons['once'] = 'run with current TensorFlow; here with --run-slow'
    for item in items:
        for name in set(reasons) & set(item.keywords):
            item.add_marker(pytest.mark.skip(reason=reasons[name]))
