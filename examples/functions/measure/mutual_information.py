"""Example of a measure of likeness: how much the HU of one image say about those of the other, in the lungs.

Mattes et al., IEEE Trans Med Imaging 22:120, 2003, with a plain histogram.
"""

import numpy as np
from scipy import ndimage

from ..image.geometry import Geometry
from ..image.volume_io import array_view
from .masked_values import unless_empty

POINTS, BINS, RANGE = 50000, 32, (-1024, 200)


class Comparison:
    """Compares two images where the fixed one has lungs; parameters as :mod:`functions.measure.likeness` says."""

    def __init__(self, fixed, moving, fixed_mask=None, moving_mask=None):
        mask = unless_empty(fixed_mask)
        inside = np.ones(array_view(fixed).shape, bool) if mask is None else array_view(mask) != 0
        places = np.argwhere(inside)
        places = places[:: max(1, len(places) // POINTS)]
        self._points = Geometry.of(fixed).index_to_world(places[:, ::-1])
        self._fixed, self._moving = array_view(fixed)[tuple(places.T)], moving

    def likeness(self, mapping):
        """Mutual information in nats, 0 or more."""
        index = Geometry.of(self._moving).world_to_index(mapping(self._points))
        moving = ndimage.map_coordinates(array_view(self._moving), index.T[::-1], np.float32, order=1, mode='nearest')
        values = [np.clip(image, *RANGE) for image in (self._fixed, moving)]
        joint = np.histogram2d(*values, bins=BINS, range=[RANGE, RANGE])[0] / len(moving)
        apart = np.outer(joint.sum(axis=1), joint.sum(axis=0))
        seen = joint > 0
        return float(np.sum(joint[seen] * np.log(joint[seen] / apart[seen])))
