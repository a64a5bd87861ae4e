"""Whether the content of two chest images lies alike: what a header that lies about directions would swap."""

import itertools

import numpy as np
from scipy import ndimage

from ..image.masks import bounding_box
from ..image.volume_io import array_view

_SIDE = 24  # voxels
_CLEARLY, _ALIKE = 0.1, 0.6  # by which the correlation has to rise, and what it has to reach
_SWAPPED = ('top and bottom', 'front and back', 'left and right')


def swapped_sides(fixed, moving, fixed_lung, moving_lung):
    """Which sides of two chests have to be swapped to make them alike, found in the box of the lungs.

    The heart and the liver tell left from right, the spine front from back, apex and diaphragm top from bottom.

    :param fixed, moving: images in HU of identity direction, with lung masks on their grids.
    :return: (text, correlation as they are, correlation swapped); the text is '' where nothing need be swapped.
    """
    boxes = [_standardised(image, lung) for image, lung in ((fixed, fixed_lung), (moving, moving_lung))]
    found = {}
    for flips in itertools.product((1, -1), repeat=3):
        turned = boxes[1][tuple(slice(None, None, flip) for flip in flips)]
        found[flips] = float(np.corrcoef(boxes[0].ravel(), turned.ravel())[0, 1])
    straight = found[1, 1, 1]
    best = max(found, key=found.get)
    if found[best] < max(straight + _CLEARLY, _ALIKE):
        return '', straight, straight
    return ' and '.join(name for name, flip in zip(_SWAPPED, best) if flip < 0), straight, found[best]


def _standardised(image, lung):
    """The box of the lungs as a small cube, smoothed; HU from -200 to 300 show bones, heart and liver."""
    box = array_view(image)[bounding_box(array_view(lung) > 0)]
    box = box[tuple(slice(None, None, max(1, n // (2 * _SIDE))) for n in box.shape)]
    shape = np.array(box.shape)
    smooth = ndimage.gaussian_filter(np.clip(box, -200, 300).astype(np.float32), shape / _SIDE / 2)
    return ndimage.zoom(smooth, _SIDE / shape, order=1)
