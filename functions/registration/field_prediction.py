"""The nonrigid field of a prepared pair: by the networks, of both ways, without folding, refined."""

import collections
import logging

import numpy as np

from ..image import dvf as dvf_algebra
from ..image.geometry import Geometry
from ..image.transforms import total_dvf
from ..image.volume_io import array_view, image_from_array
from ..measure import regularity
from ..setting.errors import InputError
from .both_ways import lengths, mean_of_both, predict_pass, there_and_back
from .folding_removal import remove_folding
from .input_scan import mask_on
from .mask_box import continued, cut
from .multi_stage import register_images
from .pair_preparation import other_way_round
from .refinement import refine

LOGGER = logging.getLogger(__name__)

Predicted = collections.namedtuple('Predicted', 'field stage_dvfs residual facts')
"""``field``: nonrigid field on the working grid; ``stage_dvfs``: fields of the stages; ``residual``: length of the
residual of there and back on the working grid, or None; ``facts``: what the measures say of them."""


def predict_field(prepared, model, options, clock):
    """What the networks make of a prepared pair: :class:`Predicted`."""
    field, stage_dvfs = _predicted(prepared, model, options, clock, 'networks')
    facts, residual = {'result': 'single shot'}, None
    if options.both_ways:
        back = other_way_round(prepared, model, options)
        field_back, _ = _predicted(back, model, options, clock, 'networks, back')
        with clock('there and back'):
            residual = there_and_back(prepared.candidates.linear, field, back.candidates.linear, field_back)
            mean = mean_of_both(field, residual, Geometry.of(prepared.pair.fixed))
            field = mean if prepared.candidates.prefers('mean of both ways', mean) else field
            residual, facts['used_back'] = lengths(residual), back.candidates.used
    if options.diffeomorphic:
        with clock('folding removed'):
            field, facts['diffeomorphic'] = _without_folding(prepared, field)
            changed = facts['diffeomorphic']['rounds'] > 0
            if changed and not prepared.candidates.accepts('folding removed', field):
                field, stage_dvfs = image_from_array(np.zeros_like(array_view(field)), field), {}
    return Predicted(field, stage_dvfs, residual, facts)


def _without_folding(prepared, field):
    """(field, facts) of :func:`functions.registration.folding_removal.remove_folding`."""
    return remove_folding(field, mask_on(prepared.fixed, 'Lung', Geometry.of(field)))


def refine_field(prepared, found, options, clock):
    """:class:`Predicted` with its field fitted to this pair, or as it is where that is no better."""
    with clock('refinement'):
        refined, facts = _refined(prepared, found.field, options)
    if 'left_out' in facts['refinement']:
        LOGGER.warning('The refinement is left out: %s', facts['refinement']['left_out'])
    return found._replace(field=refined, facts=dict(found.facts, **facts))


def _refined(prepared, field, options):
    """(the field, refined unless that is left out; facts)."""
    images, box = (prepared.fixed.image, prepared.moving.image), Geometry.of(prepared.pair.fixed)

    def left_out(why, **facts):
        return field, {'refinement': dict(facts, left_out=why)}

    if Geometry.of(images[0]) == Geometry.of(images[1]) and np.array_equal(*map(array_view, images)):
        return left_out('the two images are the same.')
    lungs, start, found = cut(prepared.fixed.masks['Lung'], box), cut(field, box), {'result': 'refined'}
    try:
        refined, facts = refine(prepared.pair, lungs, start, options.refine, options.threads)
        refined = continued(refined, field)
        if options.diffeomorphic:
            refined, found['diffeomorphic'] = _without_folding(prepared, refined)
    except InputError as error:
        return left_out(str(error))
    before, after = [_folding(total_dvf(prepared.candidates.linear, cut(one, box)), lungs) for one in (field, refined)]
    if after > before:
        return left_out('the lung would fold.', **facts)
    if not prepared.candidates.prefers('refined', refined):
        return left_out('the images are no more alike after it.', **facts)
    return refined, dict(found, refinement=facts)


def _folding(field, mask):
    return regularity.folding(dvf_algebra.jacobian_determinant_of(field), mask)


def _predicted(prepared, model, options, clock, step):
    """(nonrigid field on the working grid, fields of the stages) of the networks."""
    with clock(step):
        symmetric = model.is_symmetric(options.symmetric, options.both_ways)
        predict = {stage: _timed_prediction(model, stage, symmetric, clock) for stage in model.stages}
        how = (model.default, options.composition, model.margins, options.trained)
        field, stage_dvfs = register_images(prepared.pair, predict, model.stages, *how, prepared.candidates)
        return continued(field, prepared.fixed.image), stage_dvfs


def _timed_prediction(model, stage, symmetric, clock):
    def predict(moving, fixed):
        with clock.part(f'network of stage {stage}'):
            return predict_pass(model, stage, symmetric, moving, fixed)

    return predict
