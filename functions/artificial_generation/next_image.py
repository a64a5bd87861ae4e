"""The "next" image, from which deformations with dsmooth > 0 start: the original, deformed once.

A single-frequency field of the coarsest grid up to NextIm_MaxDeform, without mask, then sponge model and a little noise
(paper, section 2.2.5), so that repeated deformations of one scan do not always show the same anatomy.
"""

import numpy as np

from functions.artificial_generation import single_frequency
from functions.artificial_generation.augmentation import Scene, augment_all
from functions.artificial_generation.category_inputs import CategoryInputs
from functions.artificial_generation.masked_image import warp_masked_image
from functions.image.geometry import Geometry
from functions.image.volume_io import array_view, image_from_array

#: Intensity augmentations of a next image.
SEQUENCE = ['Clean', 'Sponge', 'Noise']


def make_next(spec, original):
    """Next image and masks.

    :param spec: :class:`~functions.artificial_generation.item_specification.ItemSpecification`; dsmooth > 0.
    :param original: :class:`functions.artificial_generation.masked_image.MaskedImage` at the item's stage and padding.
    :return: (MaskedImage, DVF as ITK vector image in mm, by-products by name, among them ``coefficients``).
    :raises InputError: the volume is too small for the grid.
    """
    geometry = Geometry.of(original.im)
    options = dict(spec.options, dvf_pad=0, noise_sigma=spec.options['NextIm_SigmaN'], deform_number=0)
    options.update(MaxDeform=options['NextIm_MaxDeform'], SingleFrequency_MaxDeformRatio=[1.0])
    inputs = CategoryInputs(array_view(original.im), None, None, options)
    rng = spec.random('single_frequency', 'Next')
    # Contiguous, so that the planes of the components are freed before ITK makes its copy.
    field = np.ascontiguousarray(single_frequency.field(geometry.shape, geometry.spacing, rng, options, inputs))
    dvf = image_from_array(field, geometry)
    del field
    warped = warp_masked_image(original, dvf, spec.record.DefaultPixelValue)
    scene = Scene(warped, dvf, lambda purpose: spec.random(purpose, 'Next'), options)
    result = augment_all(array_view(warped.im), SEQUENCE, scene)[-1][1]
    return warped._replace(im=image_from_array(result, geometry)), dvf, inputs.products
