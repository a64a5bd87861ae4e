"""Augmentation ``Sponge``: intensities follow the local volume change (paper, section 2.2.4; Staring et al., 2014).

The setting ``SpongeModel`` chooses between two models:

``'published'`` (default)
    I' = I / clip(J, 0.7, 1.3) * k on HU, as published; plausible in the lungs, 0 HU stays 0.
``'physical'``
    I' = (I + 1000) * clip(J, 0.7, 1.3) * k - 1000. HU + 1000 is proportional to density, the DVF maps fixed to moving:
    a voxel of the deformed image holds the mass of J voxels of the undeformed one, so k = 1 conserves mass.
"""

import numpy as np

from ..setting.errors import require_known

MODELS = ('published', 'physical')
LOWEST, HIGHEST = 0.7, 1.3


def sponge_intensity(image, jacobian, k=1.0, model='published'):
    """The formula alone, float32, for ``image`` (HU) and ``jacobian`` (determinant of p + u(p)) of the same shape; an
    UnknownNameError when there is no such model.
    """
    require_known('SpongeModel', model, MODELS)
    volume = np.clip(jacobian, np.float32(LOWEST), np.float32(HIGHEST)).astype(np.float32)
    if model == 'published':
        return image / volume * np.float32(k)
    return (image + np.float32(1000)) * volume * np.float32(k) - np.float32(1000)


def augment(image, scene):
    """Apply the model inside the torso, with k ~ U(0.9, 1.1); float32 [z, y, x], in place."""
    k = scene.random('add_sponge_model').uniform(0.9, 1.1)
    jacobian, inside = scene.jacobian, scene.torso
    # Slab by slab, so that no temporary is as large as the volume.
    for z, plane in enumerate(image):
        new = sponge_intensity(plane, jacobian[z], k, scene.options['SpongeModel'])
        np.copyto(plane, new, where=True if inside is None else inside[z] > 0)
    return image
