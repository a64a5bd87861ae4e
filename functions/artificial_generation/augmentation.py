"""The intensity augmentations by name. A new one is a module with an ``augment`` function and one line in
``AUGMENTATION_MODULES`` of :mod:`functions.setting.schema`.

``augment(image, scene)`` takes and returns the deformed image, float32 [z, y, x] in HU, and may work in place;
``scene`` is a :class:`Scene`.
"""

import importlib

import numpy as np

from ..image.dvf import jacobian_determinant
from ..image.resample import rounded
from ..image.volume_io import array_view
from ..setting.errors import InputError, require_known
from ..setting.schema import AUGMENTATION_MODULES
from .masked_image import array_or_none

#: 'Clean' is the warped image as it is.
AUGMENTATIONS = {
    name: module and importlib.import_module('.' + module, __package__).augment
    for name, module in AUGMENTATION_MODULES.items()
}


class Scene:
    """What an augmentation may use, on the grid of the deformed image.

    :param warped: the deformed :class:`~functions.artificial_generation.masked_image.MaskedImage`; nothing changes
        outside its torso mask, if it has one.
    :param dvf: ITK vector image, mm, on the same grid.
    :param random: function of a purpose returning its ``numpy.random.RandomState``.
    :param options: settings of the deformation experiment, with ``SpongeModel`` and ``noise_sigma``.

    ``products`` collects by-products to be kept.
    """

    def __init__(self, warped, dvf, random, options):
        self.spacing, self._dvf = dvf.GetSpacing(), dvf
        self.torso, self._lung = array_or_none(warped.torso), array_or_none(warped.lung)
        self.random, self.options, self.products = random, options, {}

    @property
    def jacobian(self):
        """Determinant of p + u(p), float32 [z, y, x], computed once."""
        if 'jacobian' not in self.products:
            field = array_view(self._dvf)
            self.products['jacobian'] = jacobian_determinant(field, self.spacing, self._dvf.GetDirection())
        return self.products['jacobian']

    @property
    def lung(self):
        """Deformed lung mask, uint8 [z, y, x]; :class:`InputError` when lung masks are switched off."""
        if self._lung is None:
            raise InputError("'Occluded' needs the lung mask: set UseLungMask to True.")
        return self._lung


def check_sequence(names):
    """The names as a list; :class:`UnknownNameError`, or :class:`InputError` unless only the first is 'Clean'."""
    names = list(names)
    for name in names:
        require_known('intensity augmentation', name, AUGMENTATIONS)
    if not names or names[0] != 'Clean' or 'Clean' in names[1:]:
        raise InputError(f"deformed_im_ext must start with 'Clean' (once); got {names!r}.")
    return names


def augment_all(clean_image, names, scene, keep=False):
    """Apply a sequence of augmentations such as ['Clean', 'Sponge', 'Noise'] to the warped image, int16 [z, y, x].

    :param keep: also return the images before the last augmentation.
    :return: list of (names so far, int16 image), the result last.
    """
    names = check_sequence(names)
    results, image = [(names[:1], clean_image)], None
    for position, name in enumerate(names[1:], 2):
        image = AUGMENTATIONS[name](clean_image.astype(np.float32) if image is None else image, scene)
        if keep or position == len(names):
            results.append((names[:position], rounded(image, clean_image.dtype)))
    return results if keep else results[-1:]
