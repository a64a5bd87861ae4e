"""A pair with a known answer: points of one validation item whose motion is known, and the images to predict it from.

The target registration error of such a pair needs no registration: at a point p of the fixed image it is
|predicted dvf(p) - true dvf(p)|.
"""

from collections import namedtuple

import numpy as np

from ..setting import seeds
from ..setting.errors import InputError
from . import patches
from .chunk_loader import Chunk
from .image_items import hold_item, item_name

MAXIMUM_POINTS = 300
_PATCHES = 15

SyntheticPair = namedtuple('SyntheticPair', 'name images index truth')
SyntheticPair.__doc__ = """The points of a pair, in the order of the patches they lie in.

name: of the item. images: float32 [n, z, y, x, 2] to predict from: one whole image, or patches.
index: int (points, 4): sample and z, y, x voxel in what the network predicts. truth: float32 (points, 3), mm.
"""


def read_synthetic_pair(reader):
    """The pair of the first item of a list, read by :class:`functions.reading.chunk_image.Images`, with the same points
    every time.

    :return: :class:`SyntheticPair` with at most MAXIMUM_POINTS points inside the lung or, without one, the mask.
    :raises ItemError: the item cannot be read or generated. :raises InputError: it has no point at all.
    """
    options, im_info = reader.options, reader.im_info_list_full[0]
    inside = []

    def look_at_masks(setting, im_info, write=None):
        item = reader.loader.make_item(setting, im_info, write=write)
        inside.append(np.flatnonzero(item.lung if item.lung.any() else item.mask))
        return item

    held = hold_item(reader.loader.setting, im_info, look_at_masks, options)
    random = seeds.random_state('synthetic pair', item_name(im_info))
    if inside[0].size == 0:
        raise InputError(f'{held.name}: neither lung nor mask has a voxel for the synthetic pair.')
    chunk = Chunk(0, 0, options)
    # No more than a batch: that many patches are known to fit.
    rows = np.zeros((1 if options.full_image else min(_PATCHES, options.batch_size), 3), dtype=np.int32)
    if not options.full_image:
        rows[:, 0] = random.choice(inside[0], len(rows))
    chunk.grow(held, rows)
    images, dvf, _, _ = chunk.cut(0, chunk.n_samples)
    if options.full_image:
        corners = [patches.corner_of(dvf.shape[1:4], held.dvf.shape[:3])]
    else:
        corners = np.stack(np.unravel_index(rows[:, 0], held.dvf.shape[:3]), axis=1) - options.radius_dvf
    mask = np.zeros(held.dvf.shape[:3], dtype=bool)
    mask.reshape(-1)[inside[0]] = True
    size, most = dvf.shape[1:4], MAXIMUM_POINTS // len(corners)
    parts = [_points(mask, corner, size, sample, most, random) for sample, corner in enumerate(corners)]
    index = np.concatenate(parts)
    return SyntheticPair(held.name, images, index, dvf[tuple(index.T)])


def _points(mask, corner, size, sample, most, random):
    """At most ``most`` voxels of the box at ``corner`` that are inside: (n, 4) sample, z, y, x in the box."""
    box = np.zeros(size, dtype=bool)
    patches.copy_box(box, mask, [int(c) for c in corner], False)
    found = np.flatnonzero(box)
    found = found[random.permutation(found.size)[:most]]
    return np.column_stack([np.full(found.size, sample)] + list(np.unravel_index(found, size)))


def pair_errors(pair, predicted):
    """Target registration errors of a pair.

    :param predicted: float [n, z', y', x', 3], mm, what the network predicts from ``pair.images``.
    :return: dictionary: tre_mm (mean), tre_median_mm, tre_p95_mm, and tre_before_mm, the mean without any registration.
    """
    errors = np.linalg.norm(predicted[tuple(pair.index.T)] - pair.truth, axis=1)
    return {
        'tre_mm': float(errors.mean()),
        'tre_median_mm': float(np.median(errors)),
        'tre_p95_mm': float(np.percentile(errors, 95)),
        'tre_before_mm': float(np.linalg.norm(pair.truth, axis=1).mean()),
    }
