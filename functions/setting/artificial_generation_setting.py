"""Deformation experiments: one base and, for every name, only what differs from it.

Units: ``MaxDeform``, ``t0`` and grid spacings in mm (triples in x, y, z order); smoothing sigmas of images in
voxels of stage 1, of B-spline grids in grid points; intensities in HU. Entries that are lists have one value
per deform_number D of their method.
"""

import collections
import copy

from functions.setting.errors import InputError, unknown_name


def _isotropic(*spacings):
    return [[spacing] * 3 for spacing in spacings]


_BASE = {
    'DeformMethods': (['respiratory_motion'] * 4 + ['single_frequency'] * 5 + ['mixed_frequency'] * 4 + ['zero']),
    'MaxDeform': 20,
    'DVFNormalization': True,
    'MaskToZero': 'Torso',
    'WriteIntermediateIntensityAugmentation': False,
    'verbose_image': False,
    'UseLungMask': True,
    'DeleteStage1Images': True,
    # intensity augmentation
    'Canny_LowerThreshold': 50.0,
    'Canny_UpperThreshold': 100.0,
    'Im_NoiseSigma': 10,
    'Im_NoiseAverage': 10,
    'Occlusion': True,
    'Occlusion_NumberOfEllipse': 10,
    'Occlusion_IntensityRange': [-800, -780],
    'Occlusion_Max_a': 15,
    'Occlusion_Max_b': 15,
    'Occlusion_Max_c': 15,
    # the undeformed images of dsmooth > 0
    'NextIm_SigmaN': 2,
    'NextIm_MaxDeform': 15,
    # single frequency
    'SingleFrequency_BSplineGridSpacing': _isotropic(80, 70, 60, 50, 45),
    'SingleFrequency_SetGridBorderToZero': [[1, 1, 1], [1, 1, 1], [2, 2, 2], [2, 2, 2], [2, 2, 2]],
    'SingleFrequency_GridSmoothingSigma': [[0.8, 0.8, 0.8]] * 5,
    'SingleFrequency_BackgroundSmoothingSigma': [8] * 5,
    'SingleFrequency_MaxDeformRatio': [1, 1, 1, 1, 1],
    # mixed frequency
    'MixedFrequency_BSplineGridSpacing': [[80, 80, 80], [60, 60, 60], [50, 50, 50], [45, 45, 60]],
    'MixedFrequency_SetGridBorderToZero': [[0, 0, 0]] * 4,
    'MixedFrequency_GridSmoothingSigma': [[0.5, 0.5, 0.5]] * 4,
    'MixedFrequency_SigmaRange': [[10, 15]] * 4,
    'MixedFrequency_MaxDeformRatio': [1, 1, 1, 1],
    'MixedFrequency_BlockRadius': 20,
    'MixedFrequency_Np': [200, 150, 150, 150],
    # respiratory motion
    'RespiratoryMotion_t0': [30] * 5,
    'RespiratoryMotion_s0': [0.12] * 5,
    'RespiratoryMotion_BSplineGridSpacing': _isotropic(80, 70, 60, 50, 45),
    'RespiratoryMotion_SetGridBorderToZero': [[1, 1, 1], [1, 1, 1], [2, 2, 2], [2, 2, 2], [2, 2, 2]],
    'RespiratoryMotion_GridSmoothingSigma': [[0.8, 0.8, 0.8]] * 5,
    'RespiratoryMotion_BackgroundSmoothingSigma': [8] * 5,
    'RespiratoryMotion_MaxDeformRatio': [1, 1, 1, 1, 1],
    'RespiratoryMotion_SingleFrequency_MaxDeformRatio': [0.5] * 5,
    # translation (a category, in none of the shipped lists)
    'Translation_MaxDeformRatio': [1, 1, 1, 1],
    'BsplineGridSpacing_translation': _isotropic(40, 40, 40, 40),
    'setGridBorderToZero_translation': [[1, 1, 1]] * 4,
}

_MAX7 = {
    'MaxDeform': 7,
    'SingleFrequency_BSplineGridSpacing': _isotropic(50, 45, 35, 25, 20),
    'SingleFrequency_MaxDeformRatio': [0.5, 1, 1, 1, 1],
    'MixedFrequency_BSplineGridSpacing': [[50, 50, 50], [40, 40, 40], [25, 25, 35], [20, 20, 30]],
    'MixedFrequency_SigmaRange': [[5, 10]] * 4,
    'RespiratoryMotion_t0': [15] * 5,
    'RespiratoryMotion_BSplineGridSpacing': _isotropic(50, 45, 35, 25, 20),
}

_MAX15 = {
    'MaxDeform': 15,
    'SingleFrequency_BSplineGridSpacing': _isotropic(60, 50, 45, 40, 35),
    'SingleFrequency_MaxDeformRatio': [0.5, 1, 1, 1, 1],
    'MixedFrequency_BSplineGridSpacing': [[60, 60, 60], [50, 50, 40], [40, 40, 80], [35, 35, 80]],
    'MixedFrequency_SigmaRange': [[7, 12]] * 4,
    'RespiratoryMotion_t0': [22] * 5,
    'RespiratoryMotion_BSplineGridSpacing': _isotropic(60, 50, 45, 40, 35),
}

# Three spatial frequencies of the same amplitude, to be looked at rather than learned from.
_VISUALIZATION = dict(
    _MAX15,
    DeformMethods=['single_frequency'] * 3,
    SingleFrequency_BSplineGridSpacing=_isotropic(40, 30, 20),
    SingleFrequency_SetGridBorderToZero=[[1, 1, 1], [1, 1, 1], [2, 2, 2]],
    SingleFrequency_GridSmoothingSigma=[[0.8, 0.8, 0.8]] * 3,
    SingleFrequency_BackgroundSmoothingSigma=[8] * 3,
    SingleFrequency_MaxDeformRatio=[1, 1, 1],
)

#: Name -> differences from the base.
DEFORM_EXPERIMENTS = collections.OrderedDict(
    [
        ('3D_max7_D14_K', _MAX7),
        ('3D_max15_D14_K', _MAX15),
        ('3D_max20_D14_K', {}),
        ('3D_max20_D14', {}),
        ('3D_max15_SingleFrequency_Visualization', _VISUALIZATION),
    ]
)


def register_deform_exp(name, base='3D_max20_D14', **differences):
    """Add an experiment of the user's own: ``base`` with ``differences``.

    Settings loaded afterwards carry the whole content, so that other processes need no registration.

    :raises UnknownNameError: ``base`` or a key of ``differences`` does not exist.
    """
    content = load_deform_exp_setting(base)
    for key in differences:
        if key not in content:
            raise unknown_name('key of a deformation experiment', key, sorted(content))
    if not isinstance(name, str) or not name or '/' in name:
        raise InputError(f'The name of a deformation experiment must be a plain folder name; got {name!r}.')
    content.update(copy.deepcopy(differences))
    DEFORM_EXPERIMENTS[name] = content


def load_deform_exp_setting(deform_exp):
    """The content of the deformation experiment ``deform_exp``, a fresh dictionary (nothing shared with other
    copies).

    :raises UnknownNameError: there is no such experiment; the message lists those there are.
    """
    if not isinstance(deform_exp, str) or deform_exp not in DEFORM_EXPERIMENTS:
        raise unknown_name('deformation experiment', deform_exp, DEFORM_EXPERIMENTS)
    content = dict(_BASE)
    content.update(DEFORM_EXPERIMENTS[deform_exp])
    # One deep copy per value: entries such as [[5, 10]] * 4 must not share their inner lists either.
    return {key: _unshared(value) for key, value in content.items()}


def _unshared(value):
    return [_unshared(item) for item in value] if isinstance(value, list) else value


def get_deform_exp(setting, deform_exp):
    """The content of ``deform_exp`` as ``setting`` carries it, else as defined here (not to be changed by the
    caller)."""
    carried = setting.get('deform_exp')
    if isinstance(carried, dict) and isinstance(deform_exp, str) and carried.get(deform_exp):
        return carried[deform_exp]
    return load_deform_exp_setting(deform_exp)


def deform_method_and_number(methods, dsmooth):
    """Method of deformation ``dsmooth`` and its rank among the entries of the same method.

    :param methods: ``DeformMethods`` of the experiment, n names; ``dsmooth`` counts on modulo n.
    :return: (method, number), e.g. dsmooth 20 of the shipped lists -> ('single_frequency', 2).
    """
    position = dsmooth % len(methods)
    method = methods[position]
    return method, sum(1 for other in methods[:position] if other == method)
