"""Binary dilations built from shifted copies along one axis; they touch only the array they are given."""

import numpy as np


def dilate_axis(mask, axis, before, after):
    """Dilate along one axis: a voxel becomes True if one of the ``before`` voxels below or ``after`` above it
    is.

    :param mask: bool array.
    :return: new bool array of the same shape.
    """
    result = mask.copy()
    n = mask.shape[axis]
    source, target = np.moveaxis(mask, axis, 0), np.moveaxis(result, axis, 0)
    for k in range(1, min(before, n - 1) + 1):
        target[k:] |= source[: n - k]
    for k in range(1, min(after, n - 1) + 1):
        target[: n - k] |= source[k:]
    return result


def cube(mask, radius=1):
    """Dilation with a full (2 radius + 1)^3 cube."""
    for axis in range(3):
        mask = dilate_axis(mask, axis, radius, radius)
    return mask


def neighbours_6(mask):
    """Dilation with the 6-neighbourhood."""
    result = dilate_axis(mask, 0, 1, 1)
    for axis in (1, 2):
        result |= dilate_axis(mask, axis, 1, 1)
    return result


def neighbours_18(mask):
    """Dilation with the 18-neighbourhood: the three 3 x 3 squares through the centre."""
    along_0 = dilate_axis(mask, 0, 1, 1)
    along_1 = dilate_axis(mask, 1, 1, 1)
    result = dilate_axis(along_0, 1, 1, 1)
    result |= dilate_axis(along_0, 2, 1, 1)
    result |= dilate_axis(along_1, 2, 1, 1)
    return result


def one_sided(mask, axis, radius=4):
    """Dilation with a (2 radius + 1)^3 cube of which only the half up to the centre is filled along ``axis``.

    The mask grows by ``radius`` to both sides on the other axes and only towards lower indices on ``axis``.
    """
    for other in range(3):
        mask = dilate_axis(mask, other, 0 if other == axis else radius, radius)
    return mask


def within(mask, block, margin, operation):
    """Dilate inside ``block`` only, in place; voxels up to ``margin`` outside it still spread into it.

    :param mask: bool [z, y, x].
    :param block: three slices with explicit start and stop inside the volume.
    :param operation: function of a bool array.
    """
    outer = tuple(slice(max(0, s.start - margin), min(n, s.stop + margin)) for s, n in zip(block, mask.shape))
    inner = tuple(slice(s.start - o.start, s.stop - o.start) for s, o in zip(block, outer))
    mask[block] = operation(mask[outer])[inner]
    return mask
