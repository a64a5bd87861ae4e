"""One volume through a network: padded to a size that it takes, in one piece or in tiles, cut to the
volume."""

import logging

import numpy as np

from functions.registration.tiling import choose_tiles
from functions.setting.errors import InputError

LOGGER = logging.getLogger(__name__)


def sweep(description, run, moving, fixed, default, memory):
    """The DVF of a pair of volumes on their common grid.

    :param description: :class:`functions.network.description.NetworkDescription`.
    :param run: function (images, corner) -> DVF of a tile. ``images`` is [1, z, y, x, 2] float32, moving and
        fixed; ``corner`` is the voxel (z, y, x) of the volume at which the tile begins, negative where that
        is padding. The DVF is [z', y', x', 3], ``description.offset`` voxels smaller at each end.
    :param moving, fixed: [z, y, x] in HU.
    :param default: value of the padding.
    :param memory: bytes one call of ``run`` may use.
    :return: [z, y, x, 3] float32, in the unit of ``run``.
    :raises InputError: shapes differ, or there is too little memory.
    """
    if moving.shape != fixed.shape or fixed.ndim != 3:
        raise InputError(f'predict takes two volumes on one grid; it was given {moving.shape} and {fixed.shape}.')
    offset = description.offset
    shape = [description.smallest_valid_size(side + 2 * offset) for side in fixed.shape]
    before = [(padded - side) // 2 for padded, side in zip(shape, fixed.shape)]
    inside = tuple(slice(b, b + side) for b, side in zip(before, fixed.shape))
    images = np.full([1] + shape + [2], default, np.float32)
    images[(0,) + inside + (0,)] = moving
    images[(0,) + inside + (1,)] = fixed
    tiles = choose_tiles(description, shape, memory)
    LOGGER.info(
        '%s: %s voxels in %d tile(s), %.2f GB estimated for one',
        description.name,
        'x'.join(str(side) for side in shape),
        len(tiles),
        description.peak_bytes([s.stop - s.start for s in tiles[0]]) / 1e9,
    )
    dvf = np.empty([description.output_size(side) for side in shape] + [3], np.float32)
    for spans in tiles:
        window = (slice(None),) + tuple(slice(s.start, s.stop) for s in spans)
        output = run(images[window], tuple(s.start - b for s, b in zip(spans, before)))
        kept = tuple(slice(s.keep_start, s.keep_stop) for s in spans)
        dvf[kept] = output[tuple(slice(s.keep_start - s.start, s.keep_stop - s.start) for s in spans)]
    inside = tuple(slice(b - offset, b - offset + side) for b, side in zip(before, fixed.shape))
    return np.ascontiguousarray(dvf[inside])
