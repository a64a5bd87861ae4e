"""The count itself: a broken promise is not counted as kept."""

import pytest
from fault_count import Faults


def test_a_broken_promise_is_a_fault_without_a_kept_promise():
    faults = Faults()
    with faults('row'):
        pass
    with pytest.raises(AssertionError), faults('row'):
        raise AssertionError
    assert faults.counts == {'row': [2, 1]}


def test_the_count_is_printed(faults):
    with faults('the count of faults'):
        assert faults.counts['the count of faults'] == [1, 0]
