"""One SLURM for all tests of this folder that need it."""

import sys

import local_slurm
import pytest


@pytest.fixture(scope='module')
def slurm(tmp_path_factory):
    if sys.version_info < (3, 9):
        pytest.skip('once is enough: with current Python')
    if local_slurm.missing():
        pytest.skip(local_slurm.missing())
    found = local_slurm.LocalSlurm(tmp_path_factory.mktemp('slurm'))
    yield found
    found.stop()
