"""The deformation categories by name. A new one is a module with a ``field`` function and one line in
``CATEGORY_PREFIXES`` of :mod:`functions.setting.artificial_generation_setting`.

``field(shape_zyx, spacing, rng, options, inputs)`` returns the DVF, float32 [z, y, x, 3], components (x, y, z)
in mm. ``rng`` is a ``numpy.random.RandomState``, ``options`` are the settings of the deformation experiment with
``deform_number``, ``stage`` and ``dvf_pad``, ``inputs`` is a :class:`CategoryInputs`.
"""

import importlib

import numpy as np
import SimpleITK as sitk

from ..image.masks import bounding_box
from ..setting.artificial_generation_setting import CATEGORY_PREFIXES
from ..setting.errors import InputError, require_known

CATEGORIES = {name: importlib.import_module('.' + name, __package__).field for name in CATEGORY_PREFIXES}
#: Voxels around the lungs that the Canny filter needs to find the edges inside them.
EDGE_MARGIN = 6


def category(name):
    """The field function of a category; :class:`UnknownNameError` when there is none of that name."""
    return CATEGORIES[require_known('deformation category', name, CATEGORIES)]


class CategoryInputs:
    """Inputs of a deformation category, on the grid of the field.

    :param image: int16 [z, y, x], HU.
    :param lung: uint8 [z, y, x], or None when lung masks are switched off.
    :param mask: uint8 [z, y, x], the MaskToZero mask, or None.
    :param options: settings of the deformation experiment, for the Canny thresholds.

    ``products`` collects by-products to be kept, such as B-spline coefficients and edges.
    """

    def __init__(self, image, lung, mask, options):
        self.image, self._lung, self._mask, self._options = image, lung, mask, options
        self.has_mask, self.products = mask is not None, {}

    @property
    def mask(self):
        """MaskToZero mask, uint8 [z, y, x]; :class:`InputError` when there is none."""
        if self._mask is None:
            raise InputError("This deformation category needs MaskToZero: set it to 'Torso' or 'Lung'.")
        return self._mask

    @property
    def lung(self):
        """Lung mask, uint8 [z, y, x]; :class:`InputError` when lung masks are switched off."""
        if self._lung is None:
            raise InputError('This deformation category needs the lung mask: set UseLungMask to True.')
        return self._lung

    @property
    def edges(self):
        """Canny edges in the bounding box of the lungs, bool [z, y, x]; False outside that box."""
        if 'edges' not in self.products:
            edges = np.zeros(self.image.shape, dtype=bool)
            box = bounding_box(self.lung, EDGE_MARGIN)
            block = sitk.GetImageFromArray(np.ascontiguousarray(self.image[box], dtype=np.float32))
            thresholds = [float(self._options[f'Canny_{which}Threshold']) for which in ('Lower', 'Upper')]
            edges[box] = sitk.GetArrayFromImage(sitk.CannyEdgeDetection(block, *thresholds)) > 0
            self.products['edges'] = edges
        return self.products['edges']
