"""``unet1``: the U-Net of RegNet (arXiv 1908.10235, section 3.3.1), trained on whole images at stage 4 by default."""
from functions.network.builder import build
from functions.network.description import UNET1


def network(images, bn_training, detailed_summary=False, use_keras=False, **options):
    """The DVF of a pair of images.

    :param images: [n, z, y, x, 2] float32 in HU, channel 0 moving, channel 1 fixed; every side is 8 k + 5.
    :param bn_training: Python bool or boolean tensor.
    :param detailed_summary: also write slice images of the feature maps.
    :param use_keras: refused with a ValueError when true.
    :param options: ``normalise`` and ``noise_key`` of :func:`functions.network.builder.build`.
    :return: [n, z, y, x, 3] float32, the displacement in (x, y, z).
    """
    return build(UNET1, images, bn_training, detailed_summary, use_keras, **options).dvf
