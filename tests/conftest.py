"""Shared by all tests: the slow flag, plotting without a screen, and Ctrl-C as a terminal gives it."""

import os
import signal

import pytest

os.environ.setdefault('MPLBACKEND', 'Agg')


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
