"""Means of the losses of many steps, and a check that training has not diverged."""

import collections

import numpy as np

from ..setting.errors import InputError

#: Keys of sums, one per class, that :class:`Averages` turns into mean errors.
CLASS_ERROR, CLASS_VOXELS = 'class_error', 'class_voxels'

_WINDOW, _ENOUGH = 100, 20  # losses remembered, and the least number needed to judge the next one


def class_tags(limits):
    """Names of the mean errors per class of displacement, e.g. error_mm_0-2 and error_mm_2-7 for [2, 7]."""
    edges = [0.0] + list(limits)
    return [f'error_mm_{low:g}-{high:g}' for low, high in zip(edges, edges[1:])]


class Averages:
    """Means weighted by the number of samples, one weight for all quantities.

    The mean error of a class is its sum over voxels divided by its number of voxels; empty classes are left out.

    :param tags: of the classes, see :func:`class_tags`.
    """

    def __init__(self, tags=()):
        self._tags = tags
        self._sums, self._count = collections.defaultdict(float), 0

    def add(self, values, samples):
        """Add the values of a step of ``samples`` samples."""
        for key, value in values.items():
            factor = 1 if key in (CLASS_ERROR, CLASS_VOXELS) else samples
            self._sums[key] = self._sums[key] + np.asarray(value, dtype=float) * factor
        self._count += samples

    def means(self):
        """Dictionary name -> mean as float."""
        sums = dict(self._sums)
        classes = zip(self._tags, sums.pop(CLASS_ERROR, []), sums.pop(CLASS_VOXELS, []))
        means = {key: float(value) / max(self._count, 1) for key, value in sums.items()}
        means.update({tag: float(error / voxels) for tag, error, voxels in classes if voxels > 0})
        return means


class LossWatch:
    """Stops a training whose loss is NaN or infinite, or exceeds ``limit`` (None: any) times the usual loss.

    The usual loss is the 90 % quantile of the last 100 (at least 20): a few batches of large motion are no explosion.
    """

    def __init__(self, limit):
        self._limit = limit
        self._losses = collections.deque(maxlen=_WINDOW)

    def check(self, values, iteration, items):
        """Check the values of a step, name -> scalar with ``loss``, made from a batch of ``items`` (names).

        :raises InputError: naming the problem, the iteration and the items.
        """
        wrong = [f'{name} is {value}' for name, value in sorted(values.items()) if not np.all(np.isfinite(value))]
        loss = float(values['loss'])
        if not wrong and self._limit is not None and len(self._losses) >= _ENOUGH:
            usual = float(np.percentile(self._losses, 90))
            if loss > self._limit * usual:
                limit = f'LossLimit = {self._limit:g} times the usual {usual:.4g}'
                wrong = [f'the loss is {loss:.4g}, more than {limit}']
        if wrong:
            stop = f'Training stops at iteration {iteration}: {"; ".join(wrong)}. The batch held: {", ".join(items)}'
            raise InputError(f'{stop}. This step is not saved. Lower LearningRate_Base or check these items.')
        self._losses.append(loss)
