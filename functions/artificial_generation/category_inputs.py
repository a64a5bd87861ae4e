"""What a category may look at besides its random numbers: the image, its masks, and things derived from
them."""

import numpy as np
import SimpleITK as sitk

from functions.image.masks import bounding_box
from functions.setting.errors import InputError

# Canny needs the neighbours of the neighbours of an edge voxel; anything further does not reach the lungs.
EDGE_MARGIN = 6


class CategoryInputs:
    """Inputs of a deformation category, on the grid of the field.

    :param image: int16 [z, y, x], HU.
    :param lung: uint8 [z, y, x] or None when no lung mask is used.
    :param mask: uint8 [z, y, x], the MaskToZero mask, or None.
    :param options: settings of the deformation experiment (Canny thresholds are read from it).

    ``products`` collects by-products a category wants to be kept, e.g. B-spline coefficients and edges.
    """

    def __init__(self, image, lung, mask, options):
        self.image = image
        self._lung = lung
        self._mask = mask
        self._options = options
        self._edges = None
        self.products = {}

    @property
    def has_mask(self):
        """True when motion is to be suppressed outside a mask."""
        return self._mask is not None

    @property
    def mask(self):
        """MaskToZero mask, uint8 [z, y, x].

        :raises InputError: there is none.
        """
        if self._mask is None:
            raise InputError("This deformation category needs MaskToZero: set it to 'Torso' or 'Lung'.")
        return self._mask

    @property
    def lung(self):
        """Lung mask, uint8 [z, y, x].

        :raises InputError: lung masks are switched off.
        """
        if self._lung is None:
            raise InputError('This deformation category needs the lung mask: set UseLungMask to True.')
        return self._lung

    @property
    def edges(self):
        """Canny edges of the image around the lungs, bool [z, y, x]; False away from the lungs' bounding
        box."""
        if self._edges is None:
            self._edges = canny_near(
                self.image, self.lung, self._options['Canny_LowerThreshold'], self._options['Canny_UpperThreshold']
            )
            self.products['edges'] = self._edges
        return self._edges


def canny_near(image, mask, lower, upper):
    """ITK's Canny edges of the float image, computed in the bounding box of ``mask`` only: bool [z, y, x]."""
    edges = np.zeros(image.shape, dtype=bool)
    box = bounding_box(mask, EDGE_MARGIN)
    block = sitk.GetImageFromArray(np.ascontiguousarray(image[box], dtype=np.float32))
    found = sitk.CannyEdgeDetection(block, float(lower), float(upper))
    edges[box] = sitk.GetArrayViewFromImage(found) > 0
    return edges
