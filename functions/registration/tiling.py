"""Tiles of a volume, chosen from the memory there is, so that the tiled prediction equals the one in one piece.

Per axis, tiles start at multiples of the network's pooling phase, overlap by its receptive margin only, and each output
voxel belongs to exactly one tile. Networks whose output is as large as their input are meant here (``unet1``).
"""
import collections
import itertools

from functions.setting.errors import InputError

Span = collections.namedtuple('Span', 'start stop keep_start keep_stop')
"""One tile along one axis: input voxels start..stop, of whose output keep_start..keep_stop are kept (volume voxels)."""


def axis_spans(size, tile, margin, phase):
    """Tiles along one axis.

    :param size: padded size of the volume, a valid size of the network.
    :param tile: side of a tile, a valid size, at most ``size``.
    :param margin: (before, after) receptive margin in voxels.
    :param phase: tiles start at multiples of it.
    :return: list of :class:`Span` that covers 0..size once.
    :raises InputError: the tile is not larger than its margins.
    """
    if tile >= size:
        return [Span(0, size, 0, size)]
    before = -(-margin[0] // phase) * phase
    step = (tile - before - margin[1]) // phase * phase
    if step < phase:
        raise InputError('A tile of {} voxels leaves nothing inside the receptive margins {} + {}.'.format(tile, before, margin[1]))
    spans, start, kept = [], 0, 0
    while True:
        start = min(start, size - tile)
        last = start + tile == size
        stop = size if last else start + tile - margin[1]
        spans.append(Span(start, start + tile, kept, stop))
        if last:
            return spans
        kept = stop
        # The next tile must see `before` voxels ahead of the first one it keeps.
        start = (kept - before) // phase * phase


def choose_tiles(description, shape, memory):
    """Tiles of a volume so that one forward pass stays within ``memory`` bytes.

    The axis that costs most is cut first, so that few, large tiles result.

    :param description: the network's description.
    :param shape: padded volume (z, y, x), valid sizes.
    :param memory: bytes.
    :return: list of (Span, Span, Span).
    :raises InputError: even the smallest tile does not fit.
    """
    margin, phase, unit = description.receptive_margin(), description.phase, description.size_unit
    tile = list(shape)
    smallest = description.smallest_valid_size(sum(margin) + 2 * phase)
    while description.peak_bytes(tile) > memory:
        axis = max(range(3), key=lambda i: tile[i])
        if tile[axis] - unit < smallest:
            raise InputError('{} needs {:.1f} GB for its smallest tile {}, and {:.1f} GB may be used; free memory or raise the '
                             "setting 'MaximumMemory' (bytes).".format(
                                 description.name, description.peak_bytes(tile) / 1e9, tuple(tile), memory / 1e9))
        tile[axis] -= unit
    spans = [axis_spans(shape[i], tile[i], margin, phase) for i in range(3)]
    return list(itertools.product(*spans))
