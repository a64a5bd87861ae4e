"""Faults: what is injected and which promises hold is counted, and printed when pytest ends."""

import pytest
from fault_count import Faults


@pytest.fixture
def faults(record_property):
    found = Faults()
    yield found
    record_property('faults', found.counts)


@pytest.fixture
def is_long(request):
    """Whether --faults-long asks for many faults instead of a seeded sample."""
    return request.config.getoption('--faults-long')
