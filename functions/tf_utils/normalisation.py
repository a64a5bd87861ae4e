"""What a network is given and what it answers: HU into network units, network units into millimetres.

Training and registration read the same setting, ``normalization``, from the model's folder. Adding a treatment is one
function and one line of ``NORMALISATIONS``.
"""

from functions.tf_utils.backend import tf


def none(images):
    """HU as they are (the published training)."""
    return images


def linear(images):
    """(I + 1000) / 4095, the published ``normalization='linear'``."""
    return (images + 1000.0) / 4095.0


def lung(images):
    """HU in [-1000, 200] shifted and scaled to [-1, 1].

    Bone and contrast are clipped, and what lies outside the mask (-2048) becomes the value of air: the largest steps
    in the input are then those of the anatomy, not of the mask's edge.
    """
    return (tf.clip_by_value(images, -1000.0, 200.0) + 400.0) / 600.0


NORMALISATIONS = {None: none, 'linear': linear, 'lung': lung}


def normalisation(name):
    """The function of the setting ``normalization``.

    :raises KeyError: no such treatment; the message lists those there are.
    """
    if name not in NORMALISATIONS:
        raise KeyError(
            'normalization {!r} is not known. Accepted: {}.'.format(name, ', '.join(map(repr, NORMALISATIONS)))
        )
    return NORMALISATIONS[name]


def millimetres_per_unit(dvf_unit, stage):
    """What one unit of the network's raw output means in mm.

    :param dvf_unit: the setting ``DVFUnit``: 'mm', as published, or 'voxel', the voxel size of the stage.
    :raises KeyError: another unit.
    """
    units = {'mm': 1.0, 'voxel': float(stage)}
    if dvf_unit not in units:
        raise KeyError('DVFUnit {!r} is not known. Accepted: {}.'.format(dvf_unit, ', '.join(map(repr, units))))
    return units[dvf_unit]
