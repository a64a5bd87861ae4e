"""How well two images of a chest agree under a mapping: the correlation of vessels and texture in small blocks of lung.

A correlation over the whole lung is ruled by the border of the lung and by its density, which changes with breathing.
Within a block of 12 mm it is ruled by vessels, fissures and the nearby border, whatever the density.
"""

import numpy as np

from ..image.blas import one_blas_thread
from ..image.geometry import Geometry
from ..image.resample import smoothed, values_at
from ..image.threads import in_slabs
from ..image.volume_io import array_view
from ..setting.seeds import random_state
from .masked_values import unless_empty

#: Largest number of blocks, samples along each of their sides, and the distance between samples in mm.
BLOCKS, SIDE, STEP = 1500, 9, 1.5
#: Smallest number, and as many blocks at most for each that has room: in a small lung more would see the same.
_FEWEST, _OVERLAPPING = 100, 4
#: HU; everything denser counts as soft tissue.
_DENSEST = 100


class LocalCorrelation:
    """Compares two images in blocks that lie at random places in the lung of the fixed image, always the same ones.

    :param fixed, moving: scalar sitk images in HU, any grids.
    :param fixed_mask, moving_mask: masks (lungs) on the grids of their images; None or empty: everywhere.
    """

    def __init__(self, fixed, moving, fixed_mask=None, moving_mask=None):
        fixed_mask, moving_mask = unless_empty(fixed_mask), unless_empty(moving_mask)
        inside = np.ones(array_view(fixed).shape, bool) if fixed_mask is None else array_view(fixed_mask) != 0
        places = np.flatnonzero(inside)
        room = len(places) * np.prod(fixed.GetSpacing()) / (SIDE * STEP) ** 3
        self._count = int(np.clip(_OVERLAPPING * room, _FEWEST, BLOCKS))
        centres = places[random_state('LocalCorrelation').randint(len(places), size=self._count)]
        centres = np.stack(np.unravel_index(centres, inside.shape)[::-1], axis=-1)
        side = (np.arange(SIDE) - SIDE // 2) * STEP
        block = np.stack(np.meshgrid(side, side, side, indexing='ij'), axis=-1).reshape(-1, 3)
        self._points = Geometry.of(fixed).index_to_world(centres)[:, None] + block
        # The points of a block, and what their smoothed values depend on, lie within the diagonal of the block.
        reach = np.ceil(SIDE * STEP * np.sqrt(3) / np.array(fixed.GetSpacing())).astype(int)
        low, high = np.maximum(centres.min(axis=0) - reach, 0), centres.max(axis=0) + reach + 1
        near = fixed[tuple(slice(*map(int, ends)) for ends in zip(low, np.minimum(high, fixed.GetSize())))]
        self._fixed, self._in_fixed_image = values_at(comparable(near), self._points)
        self._moving, self._masks = comparable(moving), (fixed_mask, moving_mask)
        self._in_fixed_mask = None if fixed_mask is None else values_at(fixed_mask, self._points, order=0)[0] != 0

    def likeness(self, mapping):
        """Mean correlation of the blocks, each times the part of it on which both images and both masks agree.

        :param mapping: function of points (n, 3) in the fixed image to points in the moving one, mm.
        :return: -1 .. 1; a block that is constant in one of the images counts as 0.
        """
        # Threads of the linear algebra beside these would cost more than they bring.
        with one_blas_thread():
            found = in_slabs(lambda blocks: self._of_blocks(mapping, slice(blocks.start, blocks.stop)), self._count)
        return float(np.mean(np.concatenate(found)))

    def _of_blocks(self, mapping, part):
        """The correlation of each of some blocks, times the part of it that agrees."""
        points = mapping(self._points[part].reshape(-1, 3)).reshape(self._points[part].shape)
        moving, in_moving_image = values_at(self._moving, points)
        used = self._in_fixed_image[part] & in_moving_image
        count = np.maximum(used.sum(axis=1, keepdims=True), 1)
        a, b = [_centred(values, used, count) for values in (self._fixed[part], moving)]
        norm = np.sqrt(np.square(a).sum(axis=1) * np.square(b).sum(axis=1))
        correlation = (a * b).sum(axis=1) / np.maximum(norm, 1.0)
        same = used
        if self._in_fixed_mask is not None and self._masks[1] is not None:
            same = used & ((values_at(self._masks[1], points, order=0)[0] != 0) == self._in_fixed_mask[part])
        return correlation * same.mean(axis=1)


#: The name under which :mod:`functions.measure.likeness` looks for it.
Comparison = LocalCorrelation


def _centred(values, used, count):
    mean = np.where(used, values, 0).sum(axis=1, keepdims=True) / count
    return np.where(used, values - mean, 0)


def comparable(image):
    """float32, clipped at soft tissue, without the noise of single voxels."""
    return smoothed(image, 0.64, -1024, _DENSEST)
