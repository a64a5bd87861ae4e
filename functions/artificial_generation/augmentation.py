"""The intensity augmentations by name. A new one is a module with an ``augment`` function and one line here.

``augment(image, scene)`` takes and returns the deformed image, float32 [z, y, x] in HU (it may work in
place); ``scene`` is a :class:`Scene`.
"""

import numpy as np

from functions.artificial_generation import clean, noise, occlusion, sponge
from functions.setting.errors import InputError, unknown_name

AUGMENTATIONS = {
    'Clean': clean.augment,
    'Sponge': sponge.augment,
    'Noise': noise.augment,
    'Occluded': occlusion.augment,
}


class Scene:
    """What an augmentation may look at, all on the grid of the deformed image.

    :param spacing: mm (x, y, z).
    :param torso: uint8 [z, y, x] outside which nothing changes, or None for everywhere.
    :param lung: uint8 [z, y, x] or None.
    :param make_jacobian: function without arguments returning the determinant of p + u(p), float32 [z, y, x].
    :param random: function of a purpose returning its ``numpy.random.RandomState``.
    :param options: settings of the deformation experiment, with ``SpongeModel`` and ``noise_sigma``.

    ``products`` collects by-products to be kept.
    """

    def __init__(self, spacing, torso, lung, make_jacobian, random, options):
        self.spacing = spacing
        self.torso = torso
        self._lung = lung
        self._make_jacobian = make_jacobian
        self.random = random
        self.options = options
        self.products = {}

    @property
    def jacobian(self):
        """Determinant of p + u(p), computed once."""
        if 'jacobian' not in self.products:
            self.products['jacobian'] = self._make_jacobian()
        return self.products['jacobian']

    @property
    def lung(self):
        """Deformed lung mask.

        :raises InputError: lung masks are switched off.
        """
        if self._lung is None:
            raise InputError("'Occluded' needs the lung mask: set UseLungMask to True.")
        return self._lung


def check_sequence(names):
    """Refuse an unusable list of augmentations.

    :raises InputError: empty, or the first is not 'Clean', or 'Clean' again.
    :raises UnknownNameError: an unknown name.
    """
    names = list(names)
    for name in names:
        if name not in AUGMENTATIONS:
            raise unknown_name('intensity augmentation', name, sorted(AUGMENTATIONS))
    if not names or names[0] != 'Clean' or 'Clean' in names[1:]:
        raise InputError(f"deformed_im_ext must start with 'Clean' (once); got {names!r}.")
    return names


def to_int16(image):
    """Round to the nearest integer (half to even) and clip to int16, slice by slice."""
    result = np.empty(image.shape, dtype=np.int16)
    for source, target in zip(image, result):
        target[...] = np.clip(np.rint(source), -32768, 32767)
    return result


def augment_all(clean_image, names, scene, keep=False):
    """Apply a sequence of augmentations.

    :param clean_image: int16 [z, y, x], the warped image.
    :param names: e.g. ['Clean', 'Sponge', 'Noise'].
    :param keep: also return what comes before the last augmentation.
    :return: list of (names so far, int16 image); the last one is the result, and the only one unless
        ``keep``.
    """
    names = check_sequence(names)
    results, image = [(names[:1], clean_image)], None
    for position, name in enumerate(names[1:], start=2):
        if image is None:
            image = clean_image.astype(np.float32)
        image = AUGMENTATIONS[name](image, scene)
        if keep or position == len(names):
            results.append((names[:position], to_int16(image)))
    return results if keep else results[-1:]
