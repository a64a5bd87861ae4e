"""Example of an augmentation: HU that drift along the body, as where a scanner is badly calibrated."""

import numpy as np

LARGEST = 40  # HU, at both ends


def augment(image, scene):
    """Add a ramp along z inside the torso, from -d to d HU with d ~ U(-40, 40); float32 [z, y, x], in place."""
    drift = scene.random('add_drift').uniform(-LARGEST, LARGEST) * np.linspace(-1, 1, len(image))
    inside = 1 if scene.torso is None else scene.torso > 0
    image += drift[:, None, None].astype(np.float32) * inside
    return image
