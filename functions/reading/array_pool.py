"""Reuse of the memory of batches (a hundred megabytes each): page faults of new memory take as long as filling it."""

import sys

import numpy as np


def _references(arrays, number):
    """Reference count of an array of a list."""
    return sys.getrefcount(arrays[number])


# Every view, and every view of a view, holds a reference to the array that owns the memory.
_UNUSED = _references([np.empty(0)], 0)


class ArrayPool:
    """Provides uninitialised float32 arrays; memory of at most ``most`` of them is reused, and only when no array
    refers to it, so a batch may be kept.
    """

    def __init__(self, most):
        self._most, self._largest, self._owners = most, 0, []

    def empty(self, shape):
        """A C-contiguous float32 array of ``shape`` with arbitrary content."""
        size = int(np.prod(shape, dtype=np.int64))
        unused = [n for n in range(len(self._owners)) if _references(self._owners, n) == _UNUSED]
        for number in unused:
            if self._owners[number].size >= size:
                return self._owners[number][:size].reshape(shape)
        if unused and len(self._owners) == self._most:
            del self._owners[unused[0]]  # too small; a larger one takes its place
        if len(self._owners) == self._most:
            return np.empty(shape, dtype=np.float32)
        # The last batch of a chunk is smaller; its memory must serve the others too.
        self._largest = max(self._largest, size)
        self._owners.append(np.empty(self._largest, dtype=np.float32))
        return self._owners[-1][:size].reshape(shape)
