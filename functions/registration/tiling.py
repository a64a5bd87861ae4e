"""Tiles of a volume, chosen from the memory there is, so that the tiled prediction equals the one in one
piece.

Per axis, tiles start at multiples of the network's pooling phase, overlap by no more than what the end of a
tile changes, and each output voxel belongs to exactly one tile.
"""

import collections
import itertools

import numpy as np

from functions.setting.errors import InputError

Span = collections.namedtuple('Span', 'start stop keep_start keep_stop')
"""One tile along one axis: input voxels start..stop of the padded volume, of whose DVF keep_start..keep_stop
are kept, counted in the DVF of the volume in one piece; the tile's own DVF begins at ``start`` of that."""


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
    if not _can_be_joined(description, tile):
        raise InputError(
            f'A tile of {tile} voxels leaves too little that its ends do not change; take at least '
            f'{_smallest_tile(description)}.'
        )
    first, last = description.faithful(tile)
    spans, start, kept = [], 0, 0
    while start + tile < size:
        stop = start + last + 1
        spans.append(Span(start, start + tile, kept, stop))
        # The next tile's first faithful voxel must not lie behind the first one it keeps.
        kept, start = stop, (stop - first) // description.phase * description.phase
    return spans + [Span(size - tile, size, kept, output)]


def choose_tiles(description, shape, memory):
    """Tiles of a volume so that one forward pass stays within ``memory`` bytes.

    Of all ways to cut the axes the one is taken in which the fewest voxels pass through the network: what
    overlaps is computed twice, and that is much where a network sees far.

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
    raise InputError(
        f'{description.name} needs {description.peak_bytes(smallest) / 1e9:.1f} GB for its smallest tile '
        f'{tuple(smallest)}, and {memory / 1e9:.1f} GB may be used; free memory or '
        "raise the setting 'MaximumMemory' (bytes)."
    )


def _cuts(description, size):
    """Ways to cut an axis: list of (number of tiles, side of the smallest tile that needs no more of
    them)."""
    ways, tile = {}, _smallest_tile(description)
    while tile < size:
        ways.setdefault(len(axis_spans(description, size, tile)), tile)
        tile += description.size_unit
    ways[1] = size
    return sorted(ways.items())


def _can_be_joined(description, tile):
    first, last = description.faithful(tile)
    # A start is rounded down to the phase, so that up to phase - 1 faithful voxels are computed twice.
    return last - first + 1 >= description.phase


def _smallest_tile(description):
    tile = description.smallest_valid_size(1)
    while not _can_be_joined(description, tile):
        tile = description.smallest_valid_size(tile + 1)
    return tile
