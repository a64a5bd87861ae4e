"""Making one item in memory: field, warp, augmentations."""

import collections

import numpy as np

from functions.artificial_generation.augmentation import Scene, augment_all
from functions.artificial_generation.categories import category
from functions.artificial_generation.category_inputs import CategoryInputs
from functions.artificial_generation.displacement_limits import largest
from functions.artificial_generation.masked_image import (
    array_or_none,
    dvf_image,
    mask_of,
    padded_geometry,
    warp_masked_image,
)
from functions.image.dvf import jacobian_determinant
from functions.image.geometry import Geometry
from functions.image.volume_io import array_view, image_from_array
from functions.setting.errors import InputError

#: ``deformed``: MaskedImage on the fixed grid; ``dvf``: ITK vector image (mm), ``dvf_pad`` voxels larger on every
#: side; ``products``: by-products by name; ``intermediate``: list of (augmentation names, int16 array) before
#: the last.
Made = collections.namedtuple('Made', ('deformed', 'dvf', 'products', 'intermediate'))


def make_deformed(spec, moving):
    """Deform an image.

    :param spec: :class:`functions.artificial_generation.item_specification.ItemSpecification`.
    :param moving: :class:`functions.artificial_generation.masked_image.MaskedImage`: original or next image and masks.
    :return: :class:`Made`.
    :raises InputError: the category cannot work with this image (too small, no mask, no edges).
    """
    geometry, pad = Geometry.of(moving.im), spec.dvf_pad
    dvf, products = _field(spec, moving, padded_geometry(geometry, pad))
    inner = dvf if pad == 0 else dvf[pad:-pad, pad:-pad, pad:-pad]
    warped = warp_masked_image(moving, inner, spec.record.DefaultPixelValue)
    scene = Scene(
        geometry.spacing,
        array_or_none(warped.torso),
        array_or_none(warped.lung),
        lambda: jacobian_determinant(array_view(inner), geometry.spacing, geometry.direction),
        spec.random,
        dict(spec.options, noise_sigma=spec.options['Im_NoiseSigma']),
    )
    results = augment_all(
        array_view(warped.im), spec.sequence, scene, keep=spec.options['WriteIntermediateIntensityAugmentation']
    )
    products.update(scene.products)
    deformed = warped if len(spec.sequence) == 1 else warped._replace(im=image_from_array(results[-1][1], geometry))
    return Made(deformed, dvf, products, results[:-1])


def _field(spec, moving, geometry):
    """DVF as ITK image on ``geometry`` (``dvf_pad`` larger than the image) and the category's by-products."""
    pad = spec.dvf_pad
    inputs = CategoryInputs(
        _framed(array_view(moving.im), pad, spec.record.DefaultPixelValue),
        _framed(array_or_none(moving.lung), pad, 0),
        _framed(array_or_none(mask_of(moving, spec.mask_name)), pad, 0),
        spec.options,
    )
    # Contiguous at once, so that the category's own layout is freed before ITK's copy is made.
    make, rng = category(spec.method), spec.random(spec.method)
    field = np.ascontiguousarray(make(geometry.shape, geometry.spacing, rng, spec.options, inputs))
    if spec.method != 'zero' and largest(field) == 0:
        extent = ' x '.join(f'{n * s:g}' for n, s in zip(geometry.size, geometry.spacing))
        raise InputError(
            f'The {spec.method} field is identically zero on a volume of {extent} mm (x, y, z); choose a bigger image.'
        )
    return dvf_image(field, geometry), inputs.products


def _framed(array, pad, value):
    if array is None or pad == 0:
        return array
    return np.pad(array, pad, mode='constant', constant_values=value)
