"""Units of a network's input and output: HU to network units, network units to millimetres.

Training and registration read the same setting ``normalization`` from the model's folder.
"""

from .backend import tf


def lung(images):
    """HU in [-1000, 200] shifted and scaled to [-1, 1].

    Bone and contrast agent are clipped, and the value outside the mask (-2048) becomes that of air, so that the largest
    steps in the input are those of the anatomy, not of the mask's edge.
    """
    return (tf.clip_by_value(images, -1000.0, 200.0) + 400.0) / 600.0


#: Setting -> function of the images; None and 'linear' are as published.
NORMALISATIONS = {None: lambda images: images, 'linear': lambda images: (images + 1000.0) / 4095.0, 'lung': lung}


def normalisation(name):
    """The function of the setting ``normalization``.

    :raises KeyError: unknown name; the message lists the accepted ones.
    """
    if name not in NORMALISATIONS:
        raise KeyError(f'normalization {name!r} is not known. Accepted: {", ".join(map(repr, NORMALISATIONS))}.')
    return NORMALISATIONS[name]


def millimetres_per_unit(dvf_unit, stage):
    """Millimetres per unit of the network's raw output.

    :param dvf_unit: the setting ``DVFUnit``: 'mm', as published, or 'voxel', the voxel size of the stage.
    :raises KeyError: another unit.
    """
    units = {'mm': 1.0, 'voxel': float(stage)}
    if dvf_unit not in units:
        raise KeyError(f'DVFUnit {dvf_unit!r} is not known. Accepted: {", ".join(map(repr, units))}.')
    return units[dvf_unit]
