"""The image a deformation with dsmooth > 0 starts from: the original, deformed once into a "next" patient.

Single frequency of the coarsest grid up to NextIm_MaxDeform, sponge model and a little noise (paper, section
2.2.5), so that repeated deformations of one scan do not always show the same anatomy.
"""

import numpy as np

from functions.artificial_generation import single_frequency
from functions.artificial_generation.augmentation import Scene, augment_all
from functions.artificial_generation.category_inputs import CategoryInputs
from functions.artificial_generation.masked_image import array_or_none, dvf_image, warp_masked_image
from functions.image.dvf import jacobian_determinant
from functions.image.geometry import Geometry
from functions.image.volume_io import array_view, image_from_array

#: What happens to the intensities of a next image.
SEQUENCE = ['Clean', 'Sponge', 'Noise']


def make_next(spec, original):
    """Next image and masks.

    :param spec: :class:`~functions.artificial_generation.item_specification.ItemSpecification`; dsmooth > 0.
    :param original: :class:`functions.artificial_generation.masked_image.MaskedImage` at the item's stage and padding.
    :return: (MaskedImage, DVF as ITK vector image in mm, B-spline coefficients [3, gz, gy, gx]).
    :raises InputError: the volume is too small for the grid.
    """
    geometry = Geometry.of(original.im)
    options = dict(spec.options, dvf_pad=0, noise_sigma=spec.options['NextIm_SigmaN'])
    inputs = CategoryInputs(array_view(original.im), None, None, options)
    # Contiguous at once, so that the planes of the components are freed before ITK's copy is made.
    field = np.ascontiguousarray(
        single_frequency.next_field(
            geometry.shape, geometry.spacing, spec.random('single_frequency', 'Next'), options, inputs
        )
    )
    dvf = dvf_image(field, geometry)
    del field
    warped = warp_masked_image(original, dvf, spec.record.DefaultPixelValue)
    scene = Scene(
        geometry.spacing,
        array_or_none(warped.torso),
        array_or_none(warped.lung),
        lambda: jacobian_determinant(array_view(dvf), geometry.spacing, geometry.direction),
        lambda purpose: spec.random(purpose, 'Next'),
        options,
    )
    result = augment_all(array_view(warped.im), SEQUENCE, scene)[-1][1]
    return warped._replace(im=image_from_array(result, geometry)), dvf, inputs.products['coefficients']
