"""Augmentation ``Noise``: Gaussian noise with a random offset, inside the torso."""

import numpy as np


def augment(image, scene):
    """I' = I + N(mean, sigma), mean ~ U(-a, a) truncated to whole HU; sigma and a: settings of the experiment. Values
    are drawn slice by slice, only for the voxels inside.
    """
    rng, average = scene.random('add_noise'), scene.options['Im_NoiseAverage']
    mean = int(rng.uniform(-average, average))
    for z, plane in enumerate(image):
        inside = np.ones(plane.shape, bool) if scene.torso is None else scene.torso[z] > 0
        plane[inside] += rng.normal(mean, scene.options['noise_sigma'], size=int(inside.sum()))
    return image
