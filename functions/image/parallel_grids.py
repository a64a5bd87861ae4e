"""A field read on another grid with parallel axes: linear interpolation, one axis after the other."""

import collections

import numpy as np

from .threads import in_slabs

#: Voxels by which an axis may turn away over its length; less than that changes no value that matters.
_TURN = 1e-4

_Ends = collections.namedtuple('_Ends', 'low high weight')
"""Of every position along an axis: the voxels on its two sides, and the weight of the second, float32."""


def positions_along(source, target):
    """Where the voxels of one grid lie in another, axis by axis.

    :param source, target: :class:`functions.image.geometry.Geometry`.
    :return: three arrays (x, y, z) of continuous indices in ``source``; None where the axes are not parallel.
    """
    steps = np.linalg.inv(source.matrix) @ target.matrix
    along = np.diag(steps)
    if (np.abs(steps - np.diag(along)) * np.array(target.size)).max() > _TURN:
        return None
    starts = source.world_to_index(target.origin)
    return [start + step * np.arange(n) for start, step, n in zip(starts, along, target.size)]


def read_along(array, positions):
    """Values of ``array`` at all combinations of positions, edge clamped, in all threads that ITK may use.

    :param array: [z, y, x, c] float32.
    :param positions: see :func:`positions_along`.
    :return: float32, [z', y', x', c].
    """
    x, y, z = [_ends(along, n) for along, n in zip(positions, array.shape[2::-1])]
    result = np.empty([len(along) for along in positions[::-1]] + [array.shape[3]], np.float32)

    def fill(part):
        planes = {}
        for k in part:
            ends = z.low[k], z.high[k]
            # The next slice needs the same planes, or one of them.
            planes = {end: planes[end] if end in planes else _plane(array[end], x, y) for end in ends}
            _blend(planes[ends[0]], planes[ends[1]], z.weight[k], result[k])

    in_slabs(fill, len(result))
    return result


def _ends(along, n):
    along = np.clip(along, 0, n - 1)
    low = along.astype(int)
    return _Ends(low, np.minimum(low + 1, n - 1), (along - low).astype(np.float32))


def _plane(plane, x, y):
    rows = _blend(plane[:, x.low], plane[:, x.high], x.weight[:, None])
    return _blend(rows[y.low], rows[y.high], y.weight[:, None, None])


def _blend(first, second, weight, out=None):
    out = np.subtract(second, first, out=out)
    out *= weight
    out += first
    return out
