"""The faults that a test injects and the promises that hold."""

import contextlib


class Faults:
    """The faults that a test injects, by row of the summary: ``with faults('row'):`` is one fault and its promise."""

    def __init__(self):
        self.counts = {}

    @contextlib.contextmanager
    def __call__(self, row):
        """Inject a fault inside the ``with`` block and check what is promised; an exception breaks the promise."""
        counts = self.counts.setdefault(row, [0, 0])
        counts[0] += 1
        yield
        counts[1] += 1
