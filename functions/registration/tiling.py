"""A volume through a network, whole or in tiles as memory allows; both give the same prediction.

Along each axis tiles start at multiples of the network's pooling phase, overlap by no more than the ends of a tile
change, and each output voxel belongs to exactly one tile.
"""

import collections
import itertools
import logging

import numpy as np

from ..setting.errors import InputError

LOGGER = logging.getLogger(__name__)

#: A warning says so where overlaps let each voxel be computed more often than this.
_MANY = 4

Span = collections.namedtuple('Span', 'start stop keep_start keep_stop')
"""A tile along one axis: input voxels start..stop of the padded volume; of its DVF, which begins at ``start``,
keep_start..keep_stop are kept, counted in the DVF of the whole volume."""


def predict_in_tiles(description, run, moving, fixed, default, memory):
    """The DVF of a pair of volumes on their common grid.

    :param description: :class:`functions.network.description.NetworkDescription`.
    :param run: function (images, corner) -> DVF of a tile. ``images`` is [1, z, y, x, 2] float32, moving and fixed;
        ``corner`` is the voxel (z, y, x) of the volume where the tile begins, negative inside the padding. The DVF is
        [z', y', x', 3], ``description.offset`` voxels smaller at each end.
    :param moving, fixed: [z, y, x] in HU.
    :param default: value of the padding.
    :param memory: bytes one call of ``run`` may use.
    :return: [z, y, x, 3] float32, in the unit of ``run``; as many channels as it gives.
    :raises InputError: shapes differ, or there is too little memory.
    """
    if moving.shape != fixed.shape or fixed.ndim != 3:
        raise InputError(f'predict takes two volumes on one grid; it was given {moving.shape} and {fixed.shape}.')
    offset, shape = description.offset, padded_shape(description, fixed.shape)
    before = [(padded - side) // 2 for padded, side in zip(shape, fixed.shape)]
    inside = tuple(slice(b, b + side) for b, side in zip(before, fixed.shape))
    images = np.full([1] + shape + [2], default, np.float32)
    images[(0,) + inside + (0,)] = moving
    images[(0,) + inside + (1,)] = fixed
    tiles = choose_tiles(description, shape, memory)
    peak = description.peak_bytes([s.stop - s.start for s in tiles[0]]) / 1e9
    sides = 'x'.join(map(str, shape))
    LOGGER.info('%s: %s voxels in %d tile(s) of about %.2f GB', description.name, sides, len(tiles), peak)
    times = sum(np.prod([float(s.stop - s.start) for s in spans]) for spans in tiles) / np.prod(shape)
    if times > _MANY:
        LOGGER.warning(
            'Memory is so short (%.2f GB for a pass) that every voxel is computed %.0f times. With more of it (end '
            'other programs, or MaximumMemory in bytes, --memory in GB) that takes less time.',
            *(memory / 1e9, times),
        )
    dvf = None
    for spans in tiles:
        window = (slice(None),) + tuple(slice(s.start, s.stop) for s in spans)
        output = run(images[window], tuple(s.start - b for s, b in zip(spans, before)))
        if dvf is None:
            dvf = np.empty([description.output_size(side) for side in shape] + [output.shape[-1]], np.float32)
        kept = tuple(slice(s.keep_start, s.keep_stop) for s in spans)
        dvf[kept] = output[tuple(slice(s.keep_start - s.start, s.keep_stop - s.start) for s in spans)]
    inside = tuple(slice(b - offset, b - offset + side) for b, side in zip(before, fixed.shape))
    return np.ascontiguousarray(dvf[inside])


def padded_shape(description, shape):
    """The sides that a network takes for a field of ``shape``."""
    return [description.smallest_valid_size(side + 2 * description.offset) for side in shape]


def axis_spans(description, size, tile):
    """Tiles along one axis.

    :param description: :class:`functions.network.description.NetworkDescription`.
    :param size: side of the padded volume, a valid size of the network.
    :param tile: side of a tile, a valid size, at most ``size``.
    :return: list of :class:`Span` that covers the DVF once.
    :raises InputError: the tile is too small to be put beside another one.
    """
    output = description.output_size(size)
    if tile >= size:
        return [Span(0, size, 0, output)]
    if not description.can_be_joined(tile):
        raise InputError(f'A tile of {tile} voxels is almost all overlap; take at least {description.smallest_tile()}.')
    first, last = description.faithful(tile)
    spans, start, kept = [], 0, 0
    while start + tile < size:
        stop = start + last + 1
        spans.append(Span(start, start + tile, kept, stop))
        # The next tile's first faithful voxel must not lie beyond the first one it keeps.
        kept, start = stop, (stop - first) // description.phase * description.phase
    return spans + [Span(size - tile, size, kept, output)]


def choose_tiles(description, shape, memory):
    """Tiles of a volume so that one forward pass stays within ``memory`` bytes.

    Overlaps are computed twice, so the cut that passes the fewest voxels through the network is taken.

    :param description: the network's description.
    :param shape: padded volume (z, y, x), valid sizes.
    :param memory: bytes.
    :return: list of (Span, Span, Span).
    :raises InputError: even the smallest tile does not fit.
    """
    if description.peak_bytes(shape) <= memory:
        return list(itertools.product(*[axis_spans(description, side, side) for side in shape]))
    cuts = [_cuts(description, side) for side in shape]
    choices = sorted(itertools.product(*cuts), key=lambda cut: np.prod([float(n) * tile for n, tile in cut]))
    for cut in choices:
        tile = [side for _, side in cut]
        if description.peak_bytes(tile) <= memory:
            return list(itertools.product(*[axis_spans(description, side, t) for side, t in zip(shape, tile)]))
    smallest = [min(side for _, side in of_axis) for of_axis in cuts]
    least = description.peak_bytes(smallest) / 1e9
    raise InputError(
        f'{description.name} needs {least:.3g} GB for its smallest tile {tuple(smallest)}, but may use '
        f'{memory / 1e9:.3g} GB; free memory, or raise the limit (MaximumMemory in bytes, --memory in GB).'
    )


def _cuts(description, size):
    """Ways to cut an axis: list of (number of tiles, side of the smallest tile that needs no more)."""
    ways, tile = {}, description.smallest_tile()
    while tile < size:
        ways.setdefault(len(axis_spans(description, size, tile)), tile)
        tile += description.size_unit
    ways[1] = size
    return sorted(ways.items())
