"""One SLURM for all tests of this folder that need it."""

import local_slurm
import pytest


@pytest.fixture(scope='module')
def slurm(tmp_path_factory):
    if local_slurm.missing():
        pytest.skip(local_slurm.missing())
    found = local_slurm.LocalSlurm(tmp_path_factory.mktemp('slurm'))
    yield found
    found.stop()
