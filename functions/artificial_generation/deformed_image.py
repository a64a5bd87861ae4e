"""Making one item in memory: field, warp, augmentations; and the "next" image of items with dsmooth > 0.

A next image is the original, deformed once by a single-frequency field of the coarsest grid up to NextIm_MaxDeform,
without mask, then by the sponge model and a little noise (paper, section 2.2.5), so that repeated deformations of one
scan do not always show the same anatomy.
"""

import collections

import numpy as np

from ..image.geometry import Geometry
from ..image.masks import bounding_box, box_of_both
from ..image.volume_io import array_view, image_from_array
from ..setting.errors import InputError
from .augmentation import Scene, augment_all
from .categories import CategoryInputs, category
from .displacement_limits import largest
from .masked_image import array_or_none, mask_of, warp_masked_image
from .residual_affine import add_affine

#: ``deformed``: MaskedImage on the fixed grid; ``dvf``: ITK vector image (mm), ``dvf_pad`` voxels larger on every side;
#: ``products``: by-products by name; ``intermediate``: (augmentation names, int16 array) of every step before the last.
Made = collections.namedtuple('Made', ('deformed', 'dvf', 'products', 'intermediate'))
#: Intensity augmentations of a next image.
NEXT_SEQUENCE = ['Clean', 'Sponge', 'Noise']


def make_deformed(spec, moving, all_of_it=True):
    """Deform an original or next image ``moving``, a :class:`functions.artificial_generation.masked_image.MaskedImage`.

    :param all_of_it: False: only the part of the image that an item shows (:func:`shown_box`) is right.
    :return: :class:`Made`.
    :raises InputError: the category cannot work with this image (too small, no mask, no edges).
    """
    geometry, pad = Geometry.of(moving.im), spec.dvf_pad
    dvf, products = _field(spec, moving, _larger(geometry, pad))
    inner = dvf if pad == 0 else dvf[pad:-pad, pad:-pad, pad:-pad]

    def box_of(deformed):
        inside = [array_or_none(mask_of(volumes, spec.input_mask)) for volumes in (moving, deformed)]
        return shown_box(spec, inside, geometry.spacing)

    warped = warp_masked_image(moving, inner, spec.record.DefaultPixelValue, None if all_of_it else box_of)
    scene = Scene(warped, inner, spec.random, dict(spec.options, noise_sigma=spec.options['Im_NoiseSigma']))
    keep = spec.options['WriteIntermediateIntensityAugmentation']
    results = augment_all(array_view(warped.im), spec.sequence, scene, keep)
    products.update(scene.products)
    if len(spec.sequence) > 1:
        warped = warped._replace(im=image_from_array(results[-1][1], geometry))
    return Made(warped, dvf, products, results[:-1])


def shown_box(spec, inside, spacing):
    """The part of the grid that an item shows, slices z, y, x: the box of both input masks ([z, y, x], of the moving
    and the fixed image) and InputMargin around it; all of it without InputMargin.
    """
    if spec.input_margin is None:
        return (slice(None),) * 3
    return box_of_both(inside, spacing, spec.input_margin)


def _field(spec, moving, geometry):
    """DVF as ITK image on ``geometry``, and the category's by-products."""
    pad = spec.dvf_pad
    inputs = CategoryInputs(
        _padded(array_view(moving.im), pad, spec.record.DefaultPixelValue),
        _padded(array_or_none(moving.lung), pad, 0),
        _padded(array_or_none(mask_of(moving, spec.mask_name)), pad, 0),
        spec.options,
    )
    dvf = _draw(spec.method, geometry, spec.random(spec.method), spec.options, inputs)
    if spec.method != 'zero' and largest(array_view(dvf)) == 0:
        extent = ' x '.join(f'{n * s:g}' for n, s in zip(geometry.size, geometry.spacing))
        what = f'The {spec.method} field is identically zero on a volume of {extent} mm (x, y, z)'
        raise InputError(f'{what}; use a bigger image.')
    # Experiments of older settings have no ResidualAffine.
    least, most = spec.options.get('ResidualAffine', (0, 0))
    if most > 0:
        rng, lung = spec.random('residual affine'), array_or_none(moving.lung)
        around = np.ones(geometry.shape, bool) if lung is None else _padded(lung, pad, 0)
        box, displacement = bounding_box(around), rng.uniform(least, most)
        field = add_affine(array_view(dvf).copy(), rng, geometry.spacing, box, displacement)
        dvf = image_from_array(field, geometry)
    return dvf, inputs.products


def _draw(method, geometry, rng, options, inputs):
    """DVF of a category as ITK image."""
    # Contiguous, so that the planes of the components are freed before ITK makes its copy.
    make = category(method)
    field = np.ascontiguousarray(make(geometry.shape, geometry.spacing, rng, options, inputs), dtype=np.float32)
    return image_from_array(field, geometry)


def _larger(geometry, pad):
    """Grid that is ``pad`` voxels larger on every side."""
    return geometry._replace(
        size=tuple(n + 2 * pad for n in geometry.size),
        origin=tuple(o - pad * s for o, s in zip(geometry.origin, geometry.spacing)),
    )


def _padded(array, pad, value):
    return array if array is None or pad == 0 else np.pad(array, pad, 'constant', constant_values=value)


def make_next(spec, original):
    """Next image and masks of an item with dsmooth > 0, from the original at its stage and padding.

    :return: (MaskedImage, DVF as ITK vector image in mm, by-products by name, among them ``coefficients``).
    :raises InputError: the volume is too small for the grid.
    """
    geometry = Geometry.of(original.im)
    options = dict(spec.options, dvf_pad=0, noise_sigma=spec.options['NextIm_SigmaN'], deform_number=0)
    options.update(MaxDeform=options['NextIm_MaxDeform'], SingleFrequency_MaxDeformRatio=[1.0])
    inputs = CategoryInputs(array_view(original.im), None, None, options)
    dvf = _draw('single_frequency', geometry, spec.random('single_frequency', 'Next'), options, inputs)
    warped = warp_masked_image(original, dvf, spec.record.DefaultPixelValue)
    scene = Scene(warped, dvf, lambda purpose: spec.random(purpose, 'Next'), options)
    result = augment_all(array_view(warped.im), NEXT_SEQUENCE, scene)[-1][1]
    return warped._replace(im=image_from_array(result, geometry)), dvf, inputs.products
