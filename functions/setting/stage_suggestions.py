"""Suggestions for training at a stage: deformations, their repetition, sizes of chunks and batches."""

import collections

from . import schema
from .image_lists import dsmoothlist_by_deform_exp, repeat_dsmooth_numbers

_FIELDS = 'deform_exp repeat repeat_other validation_repeat training validation class_balanced'
_Rule = collections.namedtuple('_Rule', _FIELDS)
_REPEAT_2 = {'Resp': 3, 'NoResp': 5, 'SingleOnly': 15}

#: Stage -> rule; ``repeat_other``: AGModes with another number of repetitions; sizes are (NumberOfImagesPerChunk,
#: SamplesPerImage, BatchSize).
_RULES = {
    1: _Rule('3D_max7_D14_K', 2, {'SingleOnly': 5}, 1, (16, 50, 15), (10, 500, 50), [2, 7]),
    2: _Rule('3D_max15_D14_K', 2, _REPEAT_2, 2, (40, 20, 15), (60, 10, 50), [1.5, 4, 15]),
    4: _Rule('3D_max20_D14_K', 5, {'SingleOnly': 15}, 5, (80, 5, 15), (200, 10, 50), [1.5, 8, 20]),
}
#: Whole images, as the U-Net was trained at stage 4.
_FULL_IMAGE = ((40, 20, 5), (200, 50, 10))


def suggested_stage_setting(stage, ag_mode='Resp', full_image=False):
    """The published choices for stage 1, 2 or 4, of patches or, with ``full_image``, whole images: settings, of which
    NetworkTraining and NetworkValidation have NumberOfImagesPerChunk, SamplesPerImage, BatchSize.

    :param ag_mode: see :func:`functions.setting.image_lists.dsmoothlist_by_deform_exp`, also for the validation list.
    """
    rule = _RULES[schema.STAGE.require('stage', stage)]
    training, validation = dsmoothlist_by_deform_exp(rule.deform_exp, ag_mode)
    sizes = _FULL_IMAGE if full_image else (rule.training, rule.validation)
    names = ('NumberOfImagesPerChunk', 'SamplesPerImage', 'BatchSize')
    repeat = rule.repeat_other.get(ag_mode, rule.repeat)
    return {
        'deform_exp': rule.deform_exp,
        'TrainingDSmoothList': repeat_dsmooth_numbers(training, rule.deform_exp, repeat),
        'ValidationDSmoothList': repeat_dsmooth_numbers(validation, rule.deform_exp, rule.validation_repeat),
        'NetworkTraining': dict(zip(names, sizes[0])),
        'NetworkValidation': dict(zip(names, sizes[1])),
        'ClassBalanced': list(rule.class_balanced),
    }
