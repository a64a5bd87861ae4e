"""Deformation experiments: one base and, for every name, only what differs from it.

Units: ``MaxDeform``, ``t0`` and grid spacings in mm (triples in x, y, z order); smoothing sigmas of images in voxels of
stage 1, of B-spline grids in grid points; intensities in HU. Lists have one value per deform_number D of their method.
Borders of B-spline grids are narrower where an image has no room for them.
"""

import copy
import functools
from typing import Any

from .errors import InputError, require_known
from .kinds import FLAG, NAME, choice, increasing, list_of, number, whole
from .schema import MASK, Key, key_problems

#: Category, and module of ``artificial_generation`` that makes it -> the prefix of the keys that hold one value for
#: each of its deformations.
CATEGORY_PREFIXES = {
    'respiratory_motion': 'RespiratoryMotion_',
    'single_frequency': 'SingleFrequency_',
    'mixed_frequency': 'MixedFrequency_',
    'translation': 'Translation_',
    'sliding': 'Sliding_',
    'zero': 'Zero_',
}

_MAXIMUM = number(above=0, most=100)
_SIGMA = number(0, 100)
_each = functools.partial(list_of, least=1)
_SPACINGS = _each(list_of(number(1, 1000), length=3))
_BORDERS = _each(list_of(whole(0, 100), length=3))
_GRID_SIGMAS = _each(list_of(_SIGMA, length=3))
_RATIOS = _each(number(above=0, most=10))


def _isotropic(*spacings):
    return [[spacing] * 3 for spacing in spacings]


# fmt: off
_SHARE = number(0, 1)
#: Settings of ``ScanVariety``.
SCAN_VARIETY = [
    Key('Cut', _SHARE, 0, 'part of the pairs whose field of view cuts the lungs'),
    Key('CutJitter', number(0, 200), 20, 'by how far the cuts of the two images differ at most [mm]'),
    Key('SmallestSlab', number(10, 1000), 60, 'height of the lungs that cuts at base and top leave at least [mm]'),
    Key('Density', _SHARE, 0, 'part of the pairs whose lungs have another density'),
    Key('LungHU', increasing(number(-1000, -500), 2), [-980, -735], 'its median [HU], from, to'),
    Key('LungHUDifference', number(0, 200), 30, 'by which it differs between the two images at most [HU]'),
    Key('LungContrast', increasing(number(0.2, 5), 2), [0.8, 1.25], 'scale of what differs from it, from, to'),
    Key('ContrastAgent', _SHARE, 0, 'part of the images with another enhancement'),
    Key('ContrastAgentHU', increasing(number(-150, 1000), 2), [-80, 250], 'its change [HU], from, to'),
    Key('Noise', increasing(number(0, 500), 2), [0, 0], 'standard deviation at stage 1 [HU], from, to'),
    Key('Kernel', number(0, 3), 0, 'sigma of the strongest blur in plane [mm]; half of the images are sharpened'),
    Key('SliceThickness', increasing(number(0, 20), 2), [0, 0], '[mm], from, to'),
    Key('MaskError', number(0, 10), 0, 'largest error of the input masks [mm]'),
    Key('MaskPiece', _SHARE, 0, 'part of the input masks that lack a piece or have one too much'),
]
_KEYS = [
    Key('DeformMethods', _each(choice(*CATEGORY_PREFIXES)),
        ['respiratory_motion'] * 4 + ['single_frequency'] * 5 + ['mixed_frequency'] * 4 + ['zero'],
        'category of every deformation; dsmooth counts on modulo their number'),
    Key('MaxDeform', _MAXIMUM, 20, 'largest displacement [mm]'),
    Key('DVFNormalization', FLAG, True, 'scale fields down to the largest displacement allowed'),
    Key('MaskToZero', MASK, 'Torso', 'mask outside which nothing moves and images hold the default value'),
    Key('WriteIntermediateIntensityAugmentation', FLAG, False, 'also write the image before every augmentation'),
    Key('verbose_image', FLAG, False, 'also write NextDVF'),
    Key('UseLungMask', FLAG, True, 'no effect: the setting of this name counts'),
    Key('DeleteStage1Images', FLAG, True, 'no effect'),

    Key('Canny_LowerThreshold', number(0, 10000), 50.0, 'of the edges in the lungs [HU / voxel]'),
    Key('Canny_UpperThreshold', number(0, 10000), 100.0, 'of the edges in the lungs [HU / voxel]'),
    Key('Im_NoiseSigma', number(0, 1000), 10, 'standard deviation of the noise [HU]'),
    Key('Im_NoiseAverage', number(0, 1000), 10, 'half range of its random mean [HU]'),
    Key('Occlusion', FLAG, True, 'no effect: DeformedImExt says whether there are occlusions'),
    Key('Occlusion_NumberOfEllipse', whole(0, 1000), 10, 'occlusions'),
    Key('Occlusion_IntensityRange', increasing(whole(-32768, 32767), 2, strictly=True), [-800, -780], '[HU], from, to'),
    Key('Occlusion_Max_a', number(above=0, most=500), 15, 'largest semi-axis [voxel]'),
    Key('Occlusion_Max_b', number(above=0, most=500), 15, 'the same'),
    Key('Occlusion_Max_c', number(above=0, most=500), 15, 'the same'),

    Key('NextIm_SigmaN', number(0, 1000), 2, 'noise of the undeformed images of dsmooth > 0 [HU]'),
    Key('NextIm_MaxDeform', number(0, 100), 15, 'their largest displacement [mm]; 0: none'),

    Key('ResidualAffine', increasing(number(0, 100), 2), [0, 0],
        'random affine on top of every field: displacement around the lungs [mm], from, to'),
    Key('ScanVariety', SCAN_VARIETY, {}, 'drawn for every item, in memory; {}: images and masks as they are'),

    Key('SingleFrequency_BSplineGridSpacing', _SPACINGS, _isotropic(80, 70, 60, 50, 45), '[mm], x, y, z'),
    Key('SingleFrequency_SetGridBorderToZero', _BORDERS, _isotropic(1, 1, 2, 2, 2), '[grid points], z, y, x'),
    Key('SingleFrequency_GridSmoothingSigma', _GRID_SIGMAS, _isotropic(*[0.8] * 5), '[grid points]'),
    Key('SingleFrequency_BackgroundSmoothingSigma', _each(_SIGMA), [8] * 5, '[voxel]'),
    Key('SingleFrequency_MaxDeformRatio', _RATIOS, [1] * 5, 'of MaxDeform'),

    Key('MixedFrequency_BSplineGridSpacing', _SPACINGS, _isotropic(80, 60, 50) + [[45, 45, 60]], '[mm], x, y, z'),
    Key('MixedFrequency_SetGridBorderToZero', _BORDERS, _isotropic(*[0] * 4), '[grid points], z, y, x'),
    Key('MixedFrequency_GridSmoothingSigma', _GRID_SIGMAS, _isotropic(*[0.5] * 4), '[grid points]'),
    Key('MixedFrequency_SigmaRange', _each(increasing(_SIGMA, 2)), [[10, 15]] * 4, 'smoothing [voxel], from, to'),
    Key('MixedFrequency_MaxDeformRatio', _RATIOS, [1] * 4, 'of MaxDeform'),
    Key('MixedFrequency_BlockRadius', number(above=0, most=500), 20, '[voxel]'),
    Key('MixedFrequency_Np', _each(whole(1, 100000)), [200, 150, 150, 150], 'iterations'),

    Key('RespiratoryMotion_t0', _each(number(-100, 100)), [30] * 5, 'motion of the diaphragm [mm]; below 0: upwards'),
    Key('RespiratoryMotion_s0', _each(number(-1, 1)), [0.12] * 5, 'antero-posterior stretch'),
    Key('RespiratoryMotion_BSplineGridSpacing', _SPACINGS, _isotropic(80, 70, 60, 50, 45), '[mm], x, y, z'),
    Key('RespiratoryMotion_SetGridBorderToZero', _BORDERS, _isotropic(1, 1, 2, 2, 2), '[grid points], z, y, x'),
    Key('RespiratoryMotion_GridSmoothingSigma', _GRID_SIGMAS, _isotropic(*[0.8] * 5), '[grid points]'),
    Key('RespiratoryMotion_BackgroundSmoothingSigma', _each(_SIGMA), [8] * 5, '[voxel]'),
    Key('RespiratoryMotion_MaxDeformRatio', _RATIOS, [1] * 5, 'of MaxDeform'),
    Key('RespiratoryMotion_SingleFrequency_MaxDeformRatio', _RATIOS, [0.5] * 5, 'its B-spline, of MaxDeform'),

    Key('Translation_MaxDeformRatio', _RATIOS, [1] * 4, 'of MaxDeform; a category in none of the shipped lists'),
    Key('Sliding_MaxDeformRatio', _RATIOS, [1] * 5, 'of MaxDeform; a category in none of the shipped lists'),
    Key('Sliding_RandomRatio', _each(number(0, 1)), [0.3] * 5, 'its random part, of that'),
    Key('Sliding_BSplineGridSpacing', _SPACINGS, _isotropic(*[70] * 5), 'of the random part [mm], x, y, z'),

    Key('BsplineGridSpacing_translation', _SPACINGS, _isotropic(*[40] * 4), 'no effect'),
    Key('setGridBorderToZero_translation', _BORDERS, _isotropic(*[1] * 4), 'no effect'),
]
# fmt: on
#: Every key of a deformation experiment by name.
DEFORM_KEYS = {key.name: key for key in _KEYS}
_DEFAULTS = {key.name: key.default for key in _KEYS}
#: Keys that have no effect; any value but the default gives a warning.
LEGACY_DEFORM_KEYS = tuple(key.name for key in _KEYS if key.meaning.startswith('no effect'))


def _smaller(max_deform, spacings, mixed_spacings, sigma_range, t0):
    return {
        'MaxDeform': max_deform,
        'SingleFrequency_BSplineGridSpacing': _isotropic(*spacings),
        'SingleFrequency_MaxDeformRatio': [0.5, 1, 1, 1, 1],
        'MixedFrequency_BSplineGridSpacing': mixed_spacings,
        'MixedFrequency_SigmaRange': [sigma_range] * 4,
        'RespiratoryMotion_t0': [t0] * 5,
        'RespiratoryMotion_BSplineGridSpacing': _isotropic(*spacings),
    }


_MAX7 = _smaller(7, (50, 45, 35, 25, 20), [[50, 50, 50], [40, 40, 40], [25, 25, 35], [20, 20, 30]], [5, 10], t0=15)
_MAX15 = _smaller(15, (60, 50, 45, 40, 35), [[60, 60, 60], [50, 50, 40], [40, 40, 80], [35, 35, 80]], [7, 12], t0=22)
# Three spatial frequencies of the same amplitude, to be looked at rather than learned from.
_VISUALIZATION = dict(
    _MAX15,
    DeformMethods=['single_frequency'] * 3,
    SingleFrequency_BSplineGridSpacing=_isotropic(40, 30, 20),
    SingleFrequency_SetGridBorderToZero=_isotropic(1, 1, 2),
    SingleFrequency_GridSmoothingSigma=_isotropic(*[0.8] * 3),
    SingleFrequency_BackgroundSmoothingSigma=[8] * 3,
    SingleFrequency_MaxDeformRatio=[1, 1, 1],
)

#: Name -> differences from the defaults.
DEFORM_EXPERIMENTS = {
    '3D_max7_D14_K': _MAX7,
    '3D_max15_D14_K': _MAX15,
    '3D_max20_D14_K': {},
    '3D_max20_D14': {},
    '3D_max15_SingleFrequency_Visualization': _VISUALIZATION,
}


def register_deform_exp(name: str, base: str = '3D_max20_D14', **differences: Any) -> None:
    """Add an experiment of your own: ``base`` with ``differences``.

    Settings loaded afterwards carry its whole content, so that other processes need not register it.

    :raises UnknownNameError: ``base`` or a key of ``differences`` does not exist.
    :raises InputError: a value cannot be used.
    """
    content = load_deform_exp_setting(base)
    for key in differences:
        require_known('key of a deformation experiment', key, sorted(content))
    content.update(copy.deepcopy(differences))
    problems = deform_exp_problems(name, content)
    if problems:
        raise InputError(' '.join(problems))
    DEFORM_EXPERIMENTS[name] = content


def load_deform_exp_setting(deform_exp):
    """The content of ``deform_exp``, a deep copy; an UnknownNameError that lists the known ones when there is none."""
    require_known('deformation experiment', deform_exp, DEFORM_EXPERIMENTS)
    content = dict(_DEFAULTS, **DEFORM_EXPERIMENTS[deform_exp])
    return {key: _unshared(value) for key, value in content.items()}


def _unshared(value):
    # In a copy.deepcopy the items of [[5, 10]] * 4 would still be one list.
    return [_unshared(item) for item in value] if isinstance(value, list) else copy.copy(value)


def get_deform_exp(setting, deform_exp):
    """The content of ``deform_exp`` as ``setting`` carries it, else as defined here (read-only)."""
    carried = (setting.get('deform_exp') or {}).get(deform_exp) if isinstance(deform_exp, str) else None
    return _completed(carried) if carried else load_deform_exp_setting(deform_exp)


def _completed(content):
    # Settings of earlier versions lack the keys that came later, whose defaults are what was done before.
    return dict(_DEFAULTS, **content) if isinstance(content, dict) else content


def deform_exp_problems(name, content):
    """What is wrong with the content of the deformation experiment ``name``, as sentences."""
    if not isinstance(content, dict):
        return [f'deform_exp.{name} is {content!r}; accepted: a dictionary.']
    problem = NAME.problem('The name of a deformation experiment', name)
    problems = ([problem] if problem else []) + key_problems(content, _KEYS, f'{name}: ')
    if problems:
        return problems
    content = _completed(content)
    if content['Canny_LowerThreshold'] > content['Canny_UpperThreshold']:
        problems.append(f'{name}: Canny_LowerThreshold must not exceed Canny_UpperThreshold.')
    for category, prefix in CATEGORY_PREFIXES.items():
        count = content['DeformMethods'].count(category)
        for key, value in content.items():
            if key.startswith(prefix) and isinstance(value, (list, tuple)) and len(value) < count:
                needed = f'{count} {category} of DeformMethods'
                problems.append(f'{name}: {key} has {len(value)} values for the {needed}; it needs one for each.')
    return problems


def has_next_image(setting, deform_exp, dsmooth):
    """Whether deformation ``dsmooth`` starts from a next image, not from the original."""
    return dsmooth > 0 and get_deform_exp(setting, deform_exp)['NextIm_MaxDeform'] > 0


def deform_method_and_number(methods, dsmooth):
    """Method of deformation ``dsmooth`` and its rank among the entries of the same method.

    :param methods: ``DeformMethods`` of the experiment, n names; ``dsmooth`` is taken modulo n.
    :return: (method, number), e.g. ('single_frequency', 2) for dsmooth 20 of the shipped lists.
    """
    position = dsmooth % len(methods)
    return methods[position], methods[:position].count(methods[position])
