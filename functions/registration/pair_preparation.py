"""A pair before its networks run: images and masks at 1 mm, the affine registration, and the working grid."""

import collections
import itertools
import logging

import numpy as np
import SimpleITK as sitk

from ..elastix.affine import register_affine, require_overlap
from ..image.geometry import Geometry
from ..image.masks import require_nonempty
from ..image.resample import resample_to
from ..image.threads import in_threads
from ..image.volume_io import array_view, image_from_array
from ..measure.orientation import swapped_sides
from ..preprocessing.morphology import within
from ..setting.errors import InputError
from .candidates import Candidates
from .input_scan import SPACING, image_of, isotropic_scan, judge_lungs, read_scan
from .mask_box import box_of, cut
from .multi_stage import WorkingPair
from .network_pyramid import require_memory

LOGGER = logging.getLogger(__name__)

#: Voxels of a scan up to which there is memory for two things at a time: a field of these takes 0.5 GB.
MOST_AT_ONCE = 5e8 / 12
#: mm around the lungs in which an affine registration compares the images.
_AROUND_LUNGS = 8.0

Prepared = collections.namedtuple('Prepared', 'fixed moving lungs mask_name affine pair candidates')
"""``fixed``, ``moving``: :class:`functions.registration.input_scan.Scan`; ``lungs``: what their lung masks hold;
``mask_name``: mask the networks need, or None; ``affine``: AffineResult; ``pair``: :class:`WorkingPair`;
``candidates``: :class:`functions.registration.candidates.Candidates`; its ``linear`` is the affine transform used."""


def read_pair(fixed, moving, options):
    """The scans of a pair as they are; raises :class:`InputError` unless they overlap."""
    roles = ('fixed', 'moving')
    sources = [image_of(*image) for image in zip((fixed, moving), roles, options.spacing, options.origin)]
    lungs, torsos = (options.fixed_lung, options.moving_lung), (options.fixed_torso, options.moving_torso)
    fixed, moving = in_threads(read_scan, sources, roles, lungs, torsos, options.series)
    require_overlap(fixed.native, moving.native)
    return fixed, moving


def prepare_pair(fixed, moving, model, options, clock):
    """Images, masks, affine, and the moving image on the working grid.

    :param fixed, moving, model: as for :func:`functions.registration.single_pair.register`; the model is open.
    :param options: :class:`functions.registration.pair_options.Options`.
    :param clock: :class:`functions.registration.step_clock.StepClock` that takes the time.
    :return: :class:`Prepared`.
    """
    mask_name = {'model': model.mask, 'none': None}.get(options.input_mask, options.input_mask)
    with clock('reading'):
        raw = read_pair(fixed, moving, options)
    with clock('isotropic grid and masks'):
        is_small = all(scan.native.GetNumberOfPixels() <= MOST_AT_ONCE for scan in raw)
        fixed, moving = in_threads(isotropic_scan, raw, [mask_name] * 2, workers=1 + is_small)
        _warn_of_orientation(fixed, moving)
        lungs = judge_lungs(fixed, moving)
    if options.refine is not None and not lungs:
        raise InputError(
            'Refinement (--refine) is done in the lungs and needs the lung masks of both images: give --fixed_lung and '
            '--moving_lung.'
        )
    for network in [model.networks[stage] for stage in model.stages]:
        limit = getattr(network, 'memory', None)  # of networks that a user brings nothing is known
        require_memory(network.setting, limit, fixed.image, fixed.masks.get(mask_name))
    with clock('affine'):
        candidates = Candidates(fixed, moving, options.keep_all_stages, options.likeness)
        affine = _affine(fixed, moving, options, candidates)
    with clock('moving image to the working grid'):
        pair = _working_pair(fixed, moving, mask_name, candidates.linear, model)
    return Prepared(fixed, moving, lungs, mask_name, affine, pair, candidates)


def _affine(fixed, moving, options, candidates):
    """The best :class:`functions.elastix.affine.AffineResult`; its transform is the identity where none is used."""
    errors = []
    results = _affine_results(fixed, moving, options, errors)
    first = next(results, None)
    if first is None:
        raise errors[0]
    if first.method == 'none':
        return first
    best = candidates.best_affine(itertools.chain([first], results))
    return best if candidates.linear is not None else best._replace(transform=sitk.AffineTransform(3))


def _affine_results(fixed, moving, options, errors):
    """The result of each pair of masks, one after another; of those that fail, the error goes to ``errors``."""
    keep = options.threads, options.affine_folder, options.affine_parameters
    # Not at a time: starting elastix while another thread multiplies matrices can stop that for ever (OpenBLAS ends its
    # threads before a fork).
    for masks in _affine_masks(fixed, moving, options):
        try:
            yield register_affine(fixed.image, moving.image, options.affine, *masks, *keep)
        except InputError as error:
            errors.append(error)


def _affine_masks(fixed, moving, options):
    """Pairs of masks to try the affine registration in; a pair of None where the images do not both have a mask."""
    lungs, torsos, asked = [
        [scan.masks.get(key) for scan in (fixed, moving)] for key in ('Lung', 'Torso', options.affine_mask)
    ]
    if options.affine_mask != 'auto':
        pairs = [asked]
    elif options.affine in (None, 'elastix', 'sitk') and None not in lungs:
        pairs = [[_around(lung) for lung in lungs], torsos]
    else:
        pairs = [torsos]
    return [pair for pair in pairs if None not in pair] or [[None, None]]


def _around(lung):
    """The lungs and what lies around them, for an affine registration that follows chest wall and diaphragm."""
    return image_from_array(within(array_view(lung) != 0, _AROUND_LUNGS, SPACING).view(np.uint8), lung)


def _warn_of_orientation(fixed, moving):
    lungs = [scan.masks['Lung'] for scan in (fixed, moving)]
    if any(lung is None for lung in lungs):
        return
    swapped, before, after = swapped_sides(fixed.image, moving.image, *lungs)
    if swapped:
        LOGGER.warning(
            '%s seems to lie with %s swapped against %s (correlation %.2f as it is, %.2f swapped): check the '
            'orientation in both files.',
            *(moving.name, swapped, fixed.name, before, after),
        )


def _working_pair(fixed, moving, mask_name, linear, model):
    """:class:`WorkingPair` on the grid of the fixed image, or on the box around the masks that the networks need."""
    # Coarser voxels, or the next stage's own interpolation, hide the difference.
    interpolator = 'bspline' if model.stages[0] == 1 else 'linear'
    work = box = Geometry.of(fixed.image)
    fixed_image, source, masks = fixed.image, moving.image, None
    if mask_name is not None:
        masks = [fixed.masks[mask_name], _bring(moving.masks[mask_name], work, linear, 'nearest', 0)]
        require_nonempty(masks[1], f'The {mask_name.lower()} mask of {moving.name} on the grid of the fixed image')
        if model.margins is not None:
            margin = max(model.margins.values())
            box = box_of(masks, margin)
            fixed_image, masks = cut(fixed_image, box), [cut(mask, box) for mask in masks]
            source = cut(source, box_of([moving.masks[mask_name]], margin))
    moving_image = _bring(source, box, linear, interpolator, model.default)
    return WorkingPair(fixed_image, moving_image, masks, (source, linear))


def _bring(image, grid, affine, interpolator, default):
    """``image(A(p))`` on ``grid``; nothing is interpolated where that changes nothing."""
    if affine is None and Geometry.of(image) == grid:
        return image
    return resample_to(image, grid, interpolator, default, transform=affine)


def other_way_round(prepared, model, options):
    """The pair the other way round: moving to fixed, after the inverse of the affine transform."""
    fixed, moving, affine = prepared.moving, prepared.fixed, prepared.affine
    candidates = Candidates(fixed, moving, options.keep_all_stages, options.likeness)
    if prepared.candidates.linear is not None:
        affine = affine._replace(transform=sitk.AffineTransform(affine.transform.GetInverse()))
        candidates.best_affine([affine])
    pair = _working_pair(fixed, moving, prepared.mask_name, candidates.linear, model)
    return Prepared(fixed, moving, prepared.lungs, prepared.mask_name, affine, pair, candidates)
