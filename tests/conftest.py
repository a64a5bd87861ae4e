"""Shared by all tests: the slow flag, and plotting without a screen."""
import os

import pytest

os.environ.setdefault('MPLBACKEND', 'Agg')


def pytest_addoption(parser):
    parser.addoption('--run-slow', action='store_true', help='also run the tests marked slow (minutes)')


def pytest_collection_modifyitems(config, items):
    if config.getoption('--run-slow'):
        return
    skip = pytest.mark.skip(reason='slow; run with --run-slow')
    for item in items:
        if 'slow' in item.keywords:
            item.add_marker(skip)
