"""The time that the steps of a registration take."""

import collections
import contextlib
import time


class StepClock:
    """Wall time of named steps; ``steps`` are those that add up to the whole."""

    def __init__(self):
        self.seconds, self.steps = collections.OrderedDict(), []

    @contextlib.contextmanager
    def part(self, name):
        start = time.time()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.time() - start, 3)

    @contextlib.contextmanager
    def __call__(self, step):
        with self.part(step):
            yield
        if step not in self.steps:
            self.steps.append(step)
