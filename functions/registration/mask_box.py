"""The box around the lungs in which networks work that were trained inside their masks only (``InputMargin``).

Nothing outside the box is resampled, warped or predicted. Outside it the field is continued by the values at the faces
of the box, which fade out, so that motion neither stops at a face nor goes on for ever.
"""

import numpy as np

from ..image.dvf import require_dvf
from ..image.geometry import Geometry
from ..image.masks import bounding_box
from ..image.volume_io import array_view, image_from_array
from ..setting.errors import InputError

#: mm over which the field fades out beyond the box, at least.
FADE = 60.0
# Fading adds at most pi / 2 / _GENTLE to the gradient of the field, so it causes no folding by itself.
_GENTLE = 3.0


def box_of(masks, margin):
    """Grid of the smallest box around all ``masks``, wider by ``margin`` mm within their common grid.

    :param masks: mask images on one grid, not empty.
    :return: :class:`Geometry`.
    :raises InputError: a mask is empty.
    """
    geometry = Geometry.of(masks[0])
    wide = np.ceil(margin / np.array(geometry.spacing[::-1]))
    boxes = [bounding_box(array_view(mask), wide) for mask in masks]
    low = [min(part.start for part in parts) for parts in zip(*boxes)][::-1]
    high = [max(part.stop for part in parts) for parts in zip(*boxes)][::-1]
    size, origin = tuple(b - a for a, b in zip(low, high)), tuple(float(c) for c in geometry.index_to_world(low))
    return Geometry(size, geometry.spacing, origin, geometry.direction)


def cut(image, box):
    """The part of ``image`` that lies on the grid ``box`` (see :func:`box_of`)."""
    if Geometry.of(image) == box:
        return image
    low = _corner(Geometry.of(image), box)
    return image[tuple(slice(a, a + n) for a, n in zip(low, box.size))]


def continued(dvf, grid):
    """A field on a larger grid: unchanged inside its own, its edge fading out to zero beyond.

    :param dvf: field on a box of ``grid``.
    :param grid: :class:`Geometry` or image with the same spacing and direction.
    :return: float32 field on ``grid``; ``dvf`` itself where that is its grid.
    """
    dvf, grid = require_dvf(dvf), Geometry.of(grid)
    if Geometry.of(dvf) == grid:
        return dvf
    field, low = array_view(dvf), _corner(grid, Geometry.of(dvf))[::-1]
    fade = max(FADE, _GENTLE * float(max(field.max(), -field.min())))
    result = np.zeros(grid.shape + (3,), np.float32)
    inside = [slice(a, a + n) for a, n in zip(low, field.shape)]
    # Axis by axis, each continuing the result of the one before: the value at the edge times a weight.
    before, after = [], []
    for axis in range(3):
        step = grid.spacing[2 - axis]
        reach = int(np.ceil(fade / step)) - 1
        weight = (0.5 + 0.5 * np.cos(np.pi * step * np.arange(1, reach + 1) / fade)).astype(np.float32)
        before.append(weight[: low[axis]][::-1])
        after.append(weight[: grid.shape[axis] - inside[axis].stop])
    for plane, source in zip(result[inside[0]], field):
        plane[inside[1], inside[2]] = source
        _continue(np.moveaxis(plane, 1, 0)[:, inside[1]], inside[2], before[2], after[2])
        _continue(plane, inside[1], before[1], after[1])
    _continue(result, inside[0], before[0], after[0])
    return image_from_array(result, grid)


def _continue(array, inside, before, after):
    """Continue ``array`` along its first axis beyond the part ``inside``."""
    for number, weight in enumerate(before, inside.start - len(before)):
        np.multiply(array[inside.start], weight, out=array[number])
    for number, weight in enumerate(after, inside.stop):
        np.multiply(array[inside.stop - 1], weight, out=array[number])


def _corner(grid, box):
    """Index (x, y, z) of the first voxel of ``box`` in ``grid``."""
    index = grid.world_to_index(box.origin)
    low = np.rint(index).astype(int)
    if np.abs(index - low).max() > 1e-3 or (low < 0).any() or (low + box.size > np.array(grid.size)).any():
        raise InputError(f'The box ({box}) is not a part of the grid ({grid}).')
    return [int(i) for i in low]
