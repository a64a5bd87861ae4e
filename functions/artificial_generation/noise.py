"""Augmentation ``Noise``: Gaussian noise with a random offset, inside the torso."""

import numpy as np


def add_noise(image, inside, rng, mean, sigma):
    """Add N(mean, sigma) where ``inside`` is not zero (everywhere if None), in place.

    :param image: float32 [z, y, x].
    :param rng: ``numpy.random.RandomState``; values are drawn slice by slice, for the voxels inside only.
    """
    for z, plane in enumerate(image):
        where = np.ones(plane.shape, bool) if inside is None else inside[z] > 0
        plane[where] += rng.normal(mean, sigma, size=int(where.sum()))
    return image


def augment(image, scene):
    """I' = I + N(mean, sigma), mean ~ U(-a, a) truncated to whole HU; sigma and a: settings of the experiment."""
    rng = scene.random('add_noise')
    average = scene.options['Im_NoiseAverage']
    mean = int(rng.uniform(-average, average))
    return add_noise(image, scene.torso, rng, mean, scene.options['noise_sigma'])
