"""Making one item in memory: field, warp, augmentations."""

import collections

import numpy as np

from functions.artificial_generation.augmentation import Scene, augment_all
from functions.artificial_generation.categories import category
from functions.artificial_generation.context import Context
from functions.artificial_generation.limits import largest
from functions.artificial_generation.volumes import array_or_none, dvf_image, mask_of, padded_geometry, warp_volumes
from functions.image.dvf import jacobian_determinant
from functions.image.geometry import Geometry
from functions.image.volume_io import array_view, image_from_array
from functions.setting.errors import InputError

#: ``deformed``: Volumes on the fixed grid; ``dvf``: ITK vector image (mm), ``dvf_pad`` voxels larger on every
#: side; ``products``: by-products by name; ``intermediate``: list of (augmentation names, int16 array) before
#: the last.
Made = collections.namedtuple('Made', ('deformed', 'dvf', 'products', 'intermediate'))


def make_deformed(identity, moving):
    """Deform an image.

    :param identity: :class:`functions.artificial_generation.identity.Identity`.
    :param moving: :class:`functions.artificial_generation.volumes.Volumes`: original or next image and masks.
    :return: :class:`Made`.
    :raises InputError: the category cannot work with this image (too small, no mask, no edges).
    """
    geometry, pad = Geometry.of(moving.im), identity.dvf_pad
    dvf, products = _field(identity, moving, padded_geometry(geometry, pad))
    inner = dvf if pad == 0 else dvf[pad:-pad, pad:-pad, pad:-pad]
    warped = warp_volumes(moving, inner, identity.record.DefaultPixelValue)
    scene = Scene(
        geometry.spacing,
        array_or_none(warped.torso),
        array_or_none(warped.lung),
        lambda: jacobian_determinant(array_view(inner), geometry.spacing, geometry.direction),
        identity.random,
        dict(identity.options, noise_sigma=identity.options['Im_NoiseSigma']),
    )
    results = augment_all(
        array_view(warped.im), identity.sequence, scene, keep=identity.options['WriteIntermediateIntensityAugmentation']
    )
    products.update(scene.products)
    deformed = warped if len(identity.sequence) == 1 else warped._replace(im=image_from_array(results[-1][1], geometry))
    return Made(deformed, dvf, products, results[:-1])


def _field(identity, moving, geometry):
    """DVF as ITK image on ``geometry`` (``dvf_pad`` larger than the image) and the category's by-products."""
    pad = identity.dvf_pad
    context = Context(
        _framed(array_view(moving.im), pad, identity.record.DefaultPixelValue),
        _framed(array_or_none(moving.lung), pad, 0),
        _framed(array_or_none(mask_of(moving, identity.mask_name)), pad, 0),
        identity.options,
    )
    # Contiguous at once, so that the category's own layout is freed before ITK's copy is made.
    make, rng = category(identity.method), identity.random(identity.method)
    field = np.ascontiguousarray(make(geometry.shape, geometry.spacing, rng, identity.options, context))
    if identity.method != 'zero' and largest(field) == 0:
        extent = ' x '.join(f'{n * s:g}' for n, s in zip(geometry.size, geometry.spacing))
        raise InputError(
            f'The {identity.method} field is identically zero on a volume of {extent} mm (x, y, z); choose a bigger '
            'image.'
        )
    return dvf_image(field, geometry), context.products


def _framed(array, pad, value):
    if array is None or pad == 0:
        return array
    return np.pad(array, pad, mode='constant', constant_values=value)
