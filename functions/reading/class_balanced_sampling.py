"""Class-balanced choice of patch centres by the size of the motion.

The limits [t0, t1, ..., tk] (mm) give the bands [0, t0), [t0, t1), ..., [t(k-1), tk]; the last band also takes what is
above tk. A centre is a voxel of the deformed (fixed) grid inside the mask, at least ``margin`` voxels away from every
border. Two rules give the class of a centre:

* ``largest_component``: the band of the largest of the three magnitudes, so every centre has exactly one class;
* ``all_components``: the published rule, all three magnitudes within the band; centres whose components are in
  different bands are never chosen (61 % of a uniform +-7 mm field with [2, 7]).
"""

import logging
from collections import namedtuple

import numpy as np

from ..setting.errors import InputError

LOGGER = logging.getLogger(__name__)

ClassIndices = namedtuple('ClassIndices', 'indices counts')
ClassIndices.__doc__ = """Centres of one image, sorted by class.

indices: (n,) int32 flat voxel indices in C order of the [z, y, x] grid, class 0 first, ascending within a class.
counts: (number of classes,) int64, how many of them belong to each class.
"""

_SLAB_BYTES = 2**20  # planes are taken together while their DVF fits the processor's cache
_NO_CLASS = 255


def class_indices(dvf, mask, limits, margin, rule='largest_component'):
    """Flat indices of all possible patch centres of one image, by class: :class:`ClassIndices`.

    :param dvf: float32 [z, y, x, 3], mm.
    :param mask: [z, y, x] on the same (deformed) grid, non-zero inside; None: everywhere.
    :param limits, rule: increasing upper limits of the bands, mm; 'largest_component' or 'all_components'.
    :param margin: centres keep this many voxels to every border.
    """
    shape = dvf.shape[:3]
    if mask is not None and mask.shape != shape:
        raise InputError(f'The sampling mask has the size {mask.shape} but the DVF {shape} (z, y, x).')
    if shape[0] * shape[1] * shape[2] >= 2**31:
        raise InputError(f'An image of {shape} voxels is too large to be indexed with 32 bits.')
    code = _class_of_voxels(dvf, mask, limits, margin, rule)
    slabs = _slabs(code[0].size, len(code))
    counts = [[np.count_nonzero(code[slab] == number) for slab in slabs] for number in range(len(limits))]
    counts = np.array(counts, dtype=np.int64)
    # Filled in place: collecting and joining the parts would touch twice the memory.
    indices = np.empty(int(counts.sum()), dtype=np.int32)
    end = 0
    for number in range(len(limits)):
        for slab, count in zip(slabs, counts[number]):
            part = indices[end : end + count]
            part[...] = np.flatnonzero(code[slab].reshape(-1) == number)
            part += np.int32(slab.start * code[0].size)
            end += int(count)
    return ClassIndices(indices, counts.sum(axis=1))


def fitting_margin(mask, margin):
    """``margin``, halved until a voxel of ``mask`` [z, y, x] keeps it to every border (in a slab, say)."""
    while margin and not mask[tuple(slice(margin, n - margin) for n in mask.shape)].any():
        margin //= 2
    return margin


def _slabs(plane_bytes, n_planes, first=0):
    """Slices over planes ``first`` to ``n_planes``, each about _SLAB_BYTES."""
    step = max(1, _SLAB_BYTES // max(1, plane_bytes))
    return [slice(start, min(start + step, n_planes)) for start in range(first, n_planes, step)]


def _class_of_voxels(dvf, mask, limits, margin, rule):
    """uint8 class of every voxel, _NO_CLASS where it has none or must not be a centre."""
    code = np.full(dvf.shape[:3], _NO_CLASS, dtype=np.uint8)
    planes, rows, columns = _box(code.shape, mask, margin)
    for slab in _slabs(dvf[0].nbytes, planes.stop, planes.start):
        box = (slab, rows, columns)
        _class_of_box(code[box], dvf[box], None if mask is None else mask[box], limits, rule)
    return code


def _box(shape, mask, margin):
    """Slices of the smallest box with all of the mask that keeps ``margin`` voxels to every border."""
    low, high = [margin] * 3, [length - margin for length in shape]
    if mask is not None:
        plane = mask.max(axis=0)
        for axis, line in enumerate((mask.max(axis=(1, 2)), plane.max(axis=1), plane.max(axis=0))):
            found = np.flatnonzero(line)
            if found.size == 0:
                return [slice(0, 0)] * 3
            low[axis] = max(low[axis], int(found[0]))
            high[axis] = min(high[axis], int(found[-1]) + 1)
    return [slice(start, max(start, stop)) for start, stop in zip(low, high)]


def _class_of_box(code, dvf, mask, limits, rule):
    """Write the class of every voxel of a box."""
    size = np.abs(dvf)
    largest = np.maximum(np.maximum(size[..., 0], size[..., 1]), size[..., 2])
    band = _band(largest, limits)
    if rule == 'all_components':
        smallest = np.minimum(np.minimum(size[..., 0], size[..., 1]), size[..., 2])
        band |= _no_class(_band(smallest, limits) != band)
    if mask is not None:
        band |= _no_class(mask == 0)
    code[...] = band


def _band(size, limits):
    """uint8 number of the band of every magnitude; what lies above the last limit belongs to the last band."""
    band = np.zeros(size.shape, dtype=np.uint8)
    for limit in limits[:-1]:
        band += size >= np.float32(limit)
    return band


def _no_class(outside):
    """_NO_CLASS (all bits) where true, else 0: or-ed to the classes it is much faster than a masked assignment."""
    return np.negative(outside.view(np.uint8))


def wanted_per_class(samples_per_image, n_images, n_classes):
    """Nominal number of samples per class of a chunk: round(samples * images / classes), half to even, at least 1."""
    return max(1, int(round(samples_per_image * n_images / n_classes))) if n_images else 0


def lead_in_share(samples_per_image, image, n_classes):
    """Samples per class of image number ``image`` of a lead-in; over a chunk they sum to :func:`wanted_per_class`."""
    after, before = (wanted_per_class(samples_per_image, n, n_classes) for n in (image + 1, image))
    return after - before


def share_out(wanted, available, compensate):
    """Number of samples to take from each class, (classes,) int64: ``wanted``, or fewer where there are not enough.

    :param wanted: nominal number per class, one for all or one for each.
    :param available: (classes,) number of centres of each class in the chunk.
    :param compensate: share what short classes lack equally among the others.
    """
    available = np.asarray(available, dtype=np.int64)
    wanted = np.broadcast_to(wanted, available.shape)
    given = np.minimum(wanted, available)
    missing = int(wanted.sum()) - int(given.sum())
    while compensate and missing > 0:
        open_classes = np.flatnonzero(given < available)
        if open_classes.size == 0:
            break
        # An equal share for each, the remainder to the first ones, but no more than available.
        share = np.full(open_classes.size, missing // open_classes.size, dtype=np.int64)
        share[: missing % open_classes.size] += 1
        share = np.minimum(share, (available - given)[open_classes])
        given[open_classes] += share
        missing -= int(share.sum())
    return given


def draw_samples(per_item, wanted, random_state, replacement=True, compensate=False):
    """Draw the samples of a chunk: class by class over all its images, then shuffled.

    :param per_item: list of :class:`ClassIndices`, one for each image of the chunk.
    :param wanted: nominal number of samples per class, one for all or one for each.
    :param random_state: ``numpy.random.RandomState``.
    :param replacement: True draws with replacement, as published; False never takes a centre twice in a chunk.
    :return: (n, 3) int32 rows [flat voxel index, image number in the chunk, class], and the (classes,) counts given.
    """
    counts = np.array([entry.counts for entry in per_item], dtype=np.int64)
    given = share_out(wanted, counts.sum(axis=0), compensate)
    starts = np.cumsum(counts, axis=1) - counts  # where each class begins in each image's indices
    rows = []
    for number, n_samples in enumerate(given):
        ends = np.cumsum(counts[:, number])
        drawn = _draw(int(ends[-1]), int(n_samples), random_state, replacement)
        image = np.searchsorted(ends, drawn, side='right')
        local = drawn - (ends - counts[:, number])[image] + starts[image, number]
        block = np.empty((n_samples, 3), dtype=np.int32)
        block[:, 1], block[:, 2] = image, number
        for one in np.unique(image):
            chosen = image == one
            block[chosen, 0] = per_item[one].indices[local[chosen]]
        rows.append(block)
    rows = np.concatenate(rows)
    return rows[random_state.permutation(len(rows))], given


def _draw(total, n_samples, random_state, replacement):
    if replacement or n_samples == 0:
        return random_state.randint(0, max(total, 1), n_samples, dtype=np.int64)
    if 2 * n_samples >= total:
        return random_state.permutation(total)[:n_samples].astype(np.int64)
    # The first n different values of a uniform stream are a sample without replacement; a permutation of hundreds of
    # millions of centres would take gigabytes.
    taken = np.empty(0, dtype=np.int64)
    while taken.size < n_samples:
        more = random_state.randint(0, total, n_samples - taken.size, dtype=np.int64)
        taken = np.unique(np.concatenate([taken, more]))
    return taken


def report_classes(given, wanted, limits, where):
    """Log how many samples each band gave, as a warning when one gave fewer than the nominal number."""
    edges, ends = [0.0] + list(limits), [')'] * (len(limits) - 1) + [']']
    text = ', '.join(f'[{low:g}, {high:g}{end} mm: {n}' for low, high, end, n in zip(edges, limits, ends, given))
    if np.any(np.asarray(given) < wanted):
        LOGGER.warning('%s: too few centres in some bands for %d samples each: %s', where, wanted, text)
    else:
        LOGGER.info('%s: samples per band: %s', where, text)
