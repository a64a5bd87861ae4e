"""Binary dilations from copies shifted along one axis; they touch only the array they are given."""

import numpy as np


def dilate_axis(mask, axis, before, after):
    """Dilate a bool array along one axis: True where one of ``before`` voxels below or ``after`` above is True."""
    result, n = mask.copy(), mask.shape[axis]
    source, target = np.moveaxis(mask, axis, 0), np.moveaxis(result, axis, 0)
    for k in range(1, min(before, n - 1) + 1):
        target[k:] |= source[: n - k]
    for k in range(1, min(after, n - 1) + 1):
        target[: n - k] |= source[k:]
    return result


def cube(mask):
    """Dilation with a 3 x 3 x 3 cube."""
    for axis in range(3):
        mask = dilate_axis(mask, axis, 1, 1)
    return mask


def neighbours_6(mask):
    """Dilation with the 6-neighbourhood."""
    result = dilate_axis(mask, 0, 1, 1)
    for axis in (1, 2):
        result |= dilate_axis(mask, axis, 1, 1)
    return result


def neighbours_18(mask):
    """Dilation with the 18-neighbourhood: the three 3 x 3 squares through the centre."""
    along_0, along_1 = (dilate_axis(mask, axis, 1, 1) for axis in (0, 1))
    return dilate_axis(along_0, 1, 1, 1) | dilate_axis(along_0, 2, 1, 1) | dilate_axis(along_1, 2, 1, 1)


def one_sided(mask, axis):
    """Dilation by 4 voxels to both sides, along ``axis`` towards lower indices only."""
    for other in range(3):
        mask = dilate_axis(mask, other, 0 if other == axis else 4, 4)
    return mask


def within(mask, block, margin, operation):
    """Dilate by ``operation`` (bool array -> bool array) inside ``block`` only, in place; voxels up to ``margin``
    outside it still spread into it. The block is three slices with explicit ends inside the volume.
    """
    outer = tuple(slice(max(0, s.start - margin), min(n, s.stop + margin)) for s, n in zip(block, mask.shape))
    inner = tuple(slice(s.start - o.start, s.stop - o.start) for s, o in zip(block, outer))
    mask[block] = operation(mask[outer])[inner]
