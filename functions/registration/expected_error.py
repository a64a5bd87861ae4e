"""How far a registration is off, voxel by voxel, as a network predicts it from the images that it aligns.

The network sees what a next pass would see, and was trained where the true error is known (``PassesBefore``). It is
told neither the field nor how that was found, so any field of the pair can be judged.
"""

import collections

import numpy as np
from scipy.special import ndtr

from ..image.resample import resample_to
from ..image.volume_io import array_view, image_from_array
from ..measure.tre import THRESHOLDS
from ..tf_utils.log_normal import SMALLEST
from .multi_stage import box_seen, seen_by_pass

#: mm; where the expected error is larger on average, the registration is doubtful.
DOUBTFUL = 3.0


class ErrorMap(collections.namedtuple('ErrorMap', 'expected mean deviation')):
    """The distribution of the error at every voxel: its mean in mm, and mean and standard deviation of the logarithm of
    (error in mm + SMALLEST); float32 images on one grid.
    """

    def summary(self, mask=None):
        """Mean and 95 % of the expected error, and the share of voxels whose error is within some bounds; JSON-able.

        :param mask: boolean array [z, y, x] on the grid of the map, not empty; None: everywhere.
        """
        inside = Ellipsis if mask is None else mask
        expected, mean, deviation = [array_view(image)[inside].ravel() for image in self]
        within = {str(mm): round(float(share_within(mean, deviation, mm).mean()), 4) for mm in THRESHOLDS}
        return {'mean': float(expected.mean()), 'p95': float(np.percentile(expected, 95)), 'within_mm': within}

    def layers(self, mask=None):
        """One image with the expected error in mm and the probabilities that the error is at most each of THRESHOLDS;
        0 outside ``mask``, an image on any grid (None: nowhere).
        """
        expected, mean, deviation = map(array_view, self)
        layers = np.stack([expected, *[share_within(mean, deviation, mm) for mm in THRESHOLDS]], -1)
        if mask is not None:
            layers[array_view(resample_to(mask, self.expected, 'nearest', 0)) == 0] = 0
        return image_from_array(layers.astype(np.float32), self.expected)


def share_within(mean, deviation, bound):
    """Probability that an error is at most ``bound`` mm; arrays as in :class:`ErrorMap`."""
    return ndtr((np.log(bound + SMALLEST) - mean) / deviation)


def predict_error(network, pair, field, default):
    """:class:`ErrorMap` of a nonrigid field.

    :param network: :class:`functions.registration.trained_network.TrainedNetwork` that predicts errors.
    :param pair: :class:`functions.registration.multi_stage.WorkingPair`.
    :param field: mm, fixed to the moving image of the pair; None: none.
    :param default: HU outside the masks.
    :return: on the part of the grid of the pair that the network sees, with voxels of its stage.
    """
    box = box_seen(pair, network.setting.get('InputMargin'))
    images, grid, _ = seen_by_pass(pair, box, network.stage, field, default)
    mean, deviation = np.moveaxis(network.predict(*images, default), -1, 0)
    expected = np.maximum(np.exp(mean + np.square(deviation) / 2) - SMALLEST, 0)
    return ErrorMap(*[image_from_array(np.ascontiguousarray(a, np.float32), grid) for a in (expected, mean, deviation)])
