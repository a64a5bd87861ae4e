"""What lies outside the field of view: the one value with which scanners and programs fill the corners of an image."""

import logging

import numpy as np
import SimpleITK as sitk

from ..image.volume_io import array_view, image_from_array

LOGGER = logging.getLogger(__name__)

LOWEST = -1024  # HU; scanners mark what they have not seen with -2000, -3024, …
_AIR, _METAL = -1000, 3000  # HU: a constant in the corners up to the one, or from the other, is no tissue


def outside_field_of_view(image):
    """Where a CT holds nothing but padding: connected with the upright edges of the image and constant.

    :param image: sitk.Image in HU whose third axis is the patient's.
    :return: uint8 image of 0 and 1 on its grid, or None where nothing is padded. Clipped air counts as padding.
    """
    edges = array_view(image)[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    values, counts = np.unique(edges, return_counts=True)
    outside = None
    for value in values[counts >= 0.1 * edges.size]:
        if _AIR < value < _METAL and value != 0:
            continue
        ends = [(x, y) for y in (0, image.GetHeight() - 1) for x in (0, image.GetWidth() - 1)]
        seeds = [ends[edge] + (int(z),) for z, edge in np.argwhere(edges == value)]
        part = sitk.ConnectedThreshold(image, seeds, float(value), float(value))
        outside = part if outside is None else outside | part
    return outside


def blank(image, name):
    """The image with :data:`LOWEST` outside the field of view where that was filled with 0 or a huge value.

    :param name: what to call the image in messages.
    """
    outside = outside_field_of_view(image)
    array = array_view(image)
    wrong = None if outside is None else (array_view(outside) != 0) & (array > _AIR)
    if wrong is None or not wrong.any():
        return image
    share, value = 100.0 * np.count_nonzero(wrong) / wrong.size, array[wrong][0]
    LOGGER.warning('%s: %.0f %% of it is %g HU around the field of view; taken for nothing.', name, share, value)
    return image_from_array(np.where(wrong, array.dtype.type(LOWEST), array), image)
