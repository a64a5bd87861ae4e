"""Registration of two scans on any grids, masks given or made, results on the grid of the fixed image."""

import collections
import contextlib
import logging
import time
import typing
from concurrent import futures
from typing import Any, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import SimpleITK as sitk

from ..elastix.affine import register_affine, require_overlap
from ..elastix.registration import AFFINE_FILE
from ..image import dvf as dvf_algebra
from ..image.geometry import Geometry
from ..image.masks import require_nonempty
from ..image.resample import resample_to, warp_in_threads
from ..image.threads import in_threads, itk_threads
from ..image.transforms import total_dvf, total_transform
from ..image.volume_io import array_view, image_from_array
from ..measure import likeness, regularity, similarity
from ..measure.masked_values import unless_empty, values_inside
from ..measure.orientation import swapped_sides
from ..preprocessing.hounsfield import LOWEST
from ..preprocessing.morphology import within
from ..setting.errors import InputError, unknown_name
from ..setting.schema import PRECISIONS, number
from .both_ways import lengths, mean_of_both, there_and_back
from .candidates import Candidates
from .expected_error import DOUBTFUL, predict_error
from .folding_removal import remove_folding
from .input_scan import SPACING, image_of, isotropic_scan, judge_lungs, mask_on, read_scan
from .mask_box import box_of, continued, cut
from .multi_stage import COMPOSITIONS, WorkingPair, register_images
from .network_pyramid import Model, open_model, require_memory
from .refinement import refine

LOGGER = logging.getLogger(__name__)

_CHOICES = {
    'input_mask': ('model', 'Lung', 'Torso', 'none'),
    'grid': ('native', 'isotropic'),
    'composition': COMPOSITIONS,
    'affine_mask': ('auto', 'Torso', 'Lung', None),
    'likeness': likeness.MODULES,
    'precision': PRECISIONS,
}
#: Bytes of a field up to which it is written while the moving image is being warped, and both scans are prepared at a
#: time.
_ALONGSIDE = 5e8
_BYTES_OF_FIELD = 12.0  # per voxel


class Options(typing.NamedTuple):
    """Options of :func:`register`.

    Masks are files, images or arrays on the grids of their images; the one the networks need is made if it is not
    given.
    ``on_fields`` is called in another thread with (affine transform or None, nonrigid field, total field) as soon as
    they are known, to write them while the moving image is being warped; the fields are copies. ``on_single_shot`` is
    called with the :class:`Registration` of the single shot before that is refined.
    """

    fixed_lung: object = None
    fixed_torso: object = None
    moving_lung: object = None
    moving_torso: object = None
    series: tuple = (None, None)  # of fixed and moving: UID or number where a DICOM folder holds several
    spacing: tuple = (None, None)  # of fixed and moving where they are arrays: (x, y, z) mm
    origin: tuple = (None, None)  # likewise; None: (0, 0, 0)
    affine: object = None  # 'elastix', 'sitk', 'none' or a transform file; None: elastix if installed, else sitk
    affine_mask: object = 'auto'  # around the lungs or in the torso, whichever is better; or 'Torso', 'Lung', None
    affine_parameters: str = AFFINE_FILE  # elastix's parameter file
    affine_folder: object = None  # keeps the files elastix wrote
    input_mask: str = 'model'  # as in training; or 'Lung' (as published, after training with 'Torso'), 'Torso', 'none'
    grid: str = 'native'  # of the results: that of the fixed image, or 'isotropic': 1 mm, identity direction
    composition: str = 'exact'  # or 'additive', as the published code adds fields
    diffeomorphic: bool = False  # remove folding from the field; the measures report the change
    outside: float = float(LOWEST)  # HU of the moved image where there is no moving image
    both_ways: bool = False  # also moving to fixed: a map of the residual, and the mean of both fields if it is better
    refine: object = None  # seconds in which the field is fitted to this pair (functions.registration.refinement)
    error_map: bool = True  # predict the error of the result, where the networks come with one that does
    keep_all_stages: bool = False  # also what makes the images less alike
    likeness: str = 'local_correlation'  # how alike they are: a measure of functions.measure.likeness
    trained: bool = True  # False: an implausible field is used with a warning instead of refused
    threads: object = None  # of TensorFlow, ITK and elastix; None: all cores
    memory: object = None  # bytes one forward pass may use
    precision: str = 'float32'  # of the networks opened here; or 'bfloat16', 'auto'
    on_fields: object = None
    on_single_shot: object = None


_Prepared = collections.namedtuple('_Prepared', 'fixed moving lungs mask_name affine pair candidates')
"""``fixed``, ``moving``: :class:`functions.registration.input_scan.Scan`; ``lungs``: what their lung masks hold;
``mask_name``: mask the networks need, or None; ``affine``: AffineResult; ``pair``: :class:`WorkingPair`;
``candidates``: :class:`functions.registration.candidates.Candidates`; its ``linear`` is the affine transform used."""
Predicted = collections.namedtuple('Predicted', 'field stage_dvfs residual facts')
"""``field``: nonrigid field on the working grid; ``stage_dvfs``: fields of the stages; ``residual``: length of the
residual of there and back on the working grid, or None; ``facts``: what the measures say of them."""
#: mm around the lungs in which an affine registration compares the images.
_AROUND_LUNGS = 8.0


class Registration:
    """The registration of one pair. Images are SimpleITK images.

    :ivar dvf: total displacement field u(p) = A(p + v(p)) - p, float32 mm, fixed to moving, on the grid of the results.
    :ivar nonrigid: v alone, on the same grid.
    :ivar stage_dvfs: dictionary stage -> v after that stage, on the grid of the stage; not of stages left out.
    :ivar affine: :class:`functions.elastix.affine.AffineResult`; its ``transform`` is A.
    :ivar linear: A, None where no affine transform is used.
    :ivar moved: the moving image on that grid, int16; ``outside`` where there is no moving image.
    :ivar jacobian: determinant of the Jacobian of the physical mapping p + u(p), float32.
    :ivar fixed, moving: the images in HU on their own grids.
    :ivar inverse_consistency: length of the residual u(p) + v(p + u(p)) of there and back, u and v the total fields of
        the networks, also where ``dvf`` is their mean; float32 mm, on that grid; None unless registered both ways.
    :ivar expected_error: how far ``dvf`` is expected to be off, as a network predicts it (see
        :mod:`functions.registration.expected_error`); float32 mm, on that grid, 0 outside the mask of the networks;
        None without such a network.
    :ivar error_map: :class:`functions.registration.expected_error.ErrorMap` that this is the mean of, or None.
    :ivar lung: mask of the fixed image on the grid of the results in which measures are taken; None: everywhere.
    :ivar lungs: dictionary 'fixed', 'moving' -> what their lung masks hold; empty without them; JSON-able.
    :ivar measures: dictionary: what is used (:meth:`functions.registration.candidates.Candidates.record`), similarity
        before and after, folding, displacements; JSON-able.
    :ivar settings: dictionary of the options and networks used; JSON-able.
    :ivar seconds: dictionary step -> wall time; passes of one stage add up.
    :ivar total_seconds: wall time of all steps.
    """

    def __init__(self, prepared, nonrigid, dvf, stage_dvfs):
        self.fixed, self.moving = prepared.fixed.native, prepared.moving.native
        self.affine, self.linear = prepared.affine, prepared.candidates.linear
        self.nonrigid, self.dvf, self.stage_dvfs = nonrigid, dvf, stage_dvfs
        self.moved = self.jacobian = self.lung = self.inverse_consistency = None
        self.expected_error = self.error_map = None
        self.lungs = prepared.lungs
        self.measures, self.settings, self.seconds, self.total_seconds = {}, {}, {}, 0.0

    @property
    def transform(self) -> sitk.Transform:
        """The total transform, fixed to moving points, as a new sitk.CompositeTransform (48 bytes a voxel)."""
        return total_transform(self.affine.transform, self.nonrigid)

    def inverse(self, iterations: int = 40, tolerance: float = 1e-2) -> Tuple[sitk.Image, float]:
        """Inverse displacement field, moving to fixed, on the moving image's grid.

        :return: (field, residual): the largest error in mm of the inverse of the nonrigid part, which is found by
            fixed-point iteration.
        """
        inverse, residual = dvf_algebra.invert(self.nonrigid, iterations, tolerance)
        back = sitk.AffineTransform(self.affine.transform.GetInverse())
        return dvf_algebra.compose(total_dvf(back, None, Geometry.of(self.moving)), inverse), residual


def register(
    fixed: Union[str, np.ndarray, sitk.Image],
    moving: Union[str, np.ndarray, sitk.Image],
    model: Union[str, Sequence[str], Mapping[int, Any], Model],
    stages: Optional[Sequence[int]] = None,
    **options: Any,
) -> Registration:
    """Register two CT scans of a chest.

    The work is done at 1 mm on a grid of identity direction that covers the fixed image; the field is brought to the
    grid of the results in physical space.

    :param fixed, moving: .mha, .mhd, .nii, .nii.gz or .nrrd file, folder with one DICOM series, sitk.Image, or array
        [z, y, x] with its ``spacing`` (x to the left, y posterior, z superior), in HU (HU + 1024 is detected, with a
        warning); any grids.
    :param model: as for :func:`functions.registration.network_pyramid.open_model`; or a dictionary stage -> opened
        network, or a :class:`functions.registration.network_pyramid.Model`, which stay open.
    :param stages: [4, 2, 1], [4, 2], [4], [2, 1], [2] or [1]; a stage may be repeated ([4, 4, 2, 1] runs the network of
        stage 4 again on what its first pass left). None: all that ``model`` has.
    :param options: see :class:`Options`.
    :return: :class:`Registration`.
    :raises RegNetError: input that cannot be used, in one sentence that says what to do.
    """
    chosen, clock = checked_options(options), StepClock()
    opened, is_ours = _opened(model, stages, chosen, clock)
    try:
        with itk_threads(chosen.threads):
            prepared = prepare_pair(fixed, moving, opened, chosen, clock)
            found = predict_field(prepared, opened, chosen, clock)
            registration = None
            if chosen.refine is not None:
                if chosen.on_single_shot is not None:
                    registration = _finished(prepared, found, opened, chosen, clock)
                    _complete(registration, prepared, found, opened, chosen, clock)
                    chosen.on_single_shot(registration)
                found = refine_field(prepared, found, chosen, clock)
            if registration is None or found.facts['result'] == 'refined':
                registration = None  # gives its memory back
                registration = _finished(prepared, found, opened, chosen, clock)
            _complete(registration, prepared, found, opened, chosen, clock)
    finally:
        if is_ours:
            opened.close()
    _log(registration.measures)
    steps = ', '.join(f'{key} {clock.seconds[key]:.1f}' for key in clock.steps)
    LOGGER.info('Registered in %.1f s: %s', registration.total_seconds, steps)
    return registration


def _finished(prepared, found, model, options, clock):
    """:class:`Registration` of what was found, but for its record."""
    registration = _to_result_grid(prepared, found, options, clock)
    errors = _expected_error(registration, prepared, found.field, model, options, clock)
    _warp_moving(registration, prepared, options, clock)
    _measure(registration, prepared, found.field, options, clock)
    registration.measures.update(errors)
    return registration


def _complete(registration, prepared, found, model, options, clock):
    """Add to a :class:`Registration` what its record says of how it was made."""
    registration.measures.update(prepared.candidates.record(), **found.facts)
    if 'left_out' in found.facts.get('refinement', ()):
        registration.measures['left_out'].append('refinement')
    registration.settings = _record_of(prepared, model, options)
    registration.seconds, registration.total_seconds = clock.seconds, sum(clock.seconds[key] for key in clock.steps)


def checked_options(options):
    """:class:`Options` from a dictionary of some of them."""
    for name in options:
        if name not in Options._fields:
            raise unknown_name('option of a registration', name, Options._fields)
    options = Options(**options)
    for name, accepted in _CHOICES.items():
        if getattr(options, name) not in accepted:
            raise unknown_name(name.replace('_', ' '), getattr(options, name), accepted)
    for name in ('series', 'spacing', 'origin'):
        value = getattr(options, name)
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise InputError(f'{name} is {value!r}; accepted: two, of the fixed and the moving image, or None.')
    if options.refine is not None:
        number(above=0).require('refine (--refine, seconds)', options.refine)
    return options


def _opened(model, stages, options, clock):
    """(Model, whether it has to be closed here)."""
    if isinstance(model, Model):
        is_same = stages is None or list(stages) == model.stages
        return (model if is_same else Model(model.networks, stages, model.folders, model.error_map)), False
    if isinstance(model, dict) and model and all(hasattr(network, 'predict') for network in model.values()):
        return Model(model, stages), False
    with clock('opening the networks'):
        return open_model(model, stages, options.threads, options.memory, options.precision), True


def read_pair(fixed, moving, options):
    """The scans of a pair as they are; raises :class:`InputError` unless they overlap."""
    roles = ('fixed', 'moving')
    sources = [image_of(*image) for image in zip((fixed, moving), roles, options.spacing, options.origin)]
    lungs, torsos = (options.fixed_lung, options.moving_lung), (options.fixed_torso, options.moving_torso)
    fixed, moving = in_threads(read_scan, sources, roles, lungs, torsos, options.series)
    require_overlap(fixed.native, moving.native)
    return fixed, moving


def prepare_pair(fixed, moving, model, options, clock):
    """The first half of :func:`register`: images, masks, affine, and the moving image on the working grid.

    :param fixed, moving, model: as for :func:`register`; the model is open.
    :param options: :class:`Options`.
    :param clock: :class:`StepClock` that takes the time.
    """
    mask_name = {'model': model.mask, 'none': None}.get(options.input_mask, options.input_mask)
    with clock('reading'):
        raw = read_pair(fixed, moving, options)
    with clock('isotropic grid and masks'):
        is_small = all(_BYTES_OF_FIELD * scan.native.GetNumberOfPixels() <= _ALONGSIDE for scan in raw)
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
    return _Prepared(fixed, moving, lungs, mask_name, affine, pair, candidates)


def _affine(fixed, moving, options, candidates):
    """The best :class:`functions.elastix.affine.AffineResult`; its transform is the identity where none is used."""
    keep, results, errors = (options.threads, options.affine_folder, options.affine_parameters), [], []
    # Not at a time: starting elastix while another thread multiplies matrices can stop that for ever (OpenBLAS ends its
    # threads before a fork).
    for masks in _affine_masks(fixed, moving, options):
        try:
            results.append(register_affine(fixed.image, moving.image, options.affine, *masks, *keep))
        except InputError as error:
            errors.append(error)
    if not results:
        raise errors[0]
    best = results[0] if results[0].method == 'none' else candidates.best_affine(results)
    return results[0]._replace(transform=sitk.AffineTransform(3)) if best is None else best


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


def predict_field(prepared, model, options, clock):
    """What :func:`register` does with the result of :func:`prepare_pair`; returns :class:`Predicted`."""
    field, stage_dvfs = _predicted(prepared, model, options, clock, 'networks')
    facts, residual = {'result': 'single shot'}, None
    if options.both_ways:
        back = _back(prepared, model, options)
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
        predict = {stage: _timed_prediction(model, stage, clock) for stage in model.stages}
        how = (model.default, options.composition, model.margins, options.trained)
        field, stage_dvfs = register_images(prepared.pair, predict, model.stages, *how, prepared.candidates)
        return continued(field, prepared.fixed.image), stage_dvfs


def _back(prepared, model, options):
    """The pair the other way round: moving to fixed, after the inverse of the affine transform."""
    fixed, moving, affine = prepared.moving, prepared.fixed, prepared.affine
    candidates = Candidates(fixed, moving, options.keep_all_stages, options.likeness)
    if prepared.candidates.linear is not None:
        affine = affine._replace(transform=sitk.AffineTransform(affine.transform.GetInverse()))
        candidates.best_affine([affine])
    pair = _working_pair(fixed, moving, prepared.mask_name, candidates.linear, model)
    return _Prepared(fixed, moving, prepared.lungs, prepared.mask_name, affine, pair, candidates)


def _timed_prediction(model, stage, clock):
    def predict(moving, fixed):
        with clock.part(f'network of stage {stage}'):
            return model.networks[stage].predict(moving, fixed, model.default)

    return predict


def _to_result_grid(prepared, found, options, clock):
    """:class:`Registration` with its fields on the grid of the results."""
    target = Geometry.of(prepared.fixed.native if options.grid == 'native' else prepared.fixed.image)
    with clock('field to the grid of the results'):
        nonrigid = dvf_algebra.resample_dvf(found.field, target)
        dvf = nonrigid if prepared.candidates.linear is None else total_dvf(prepared.candidates.linear, nonrigid)
        registration = Registration(prepared, nonrigid, dvf, found.stage_dvfs)
        if found.residual is not None:
            registration.inverse_consistency = resample_to(found.residual, target, 'linear', 0)
    return registration


def _expected_error(registration, prepared, field, model, options, clock):
    """Add the expected error; returns what the measures say of it."""
    network = model.error_map if options.error_map else None
    if network is None:
        return {}
    with clock('expected error'):
        found = predict_error(network, prepared.pair, field, model.default)
        expected, inside = resample_to(found.expected, registration.dvf, 'linear', 0), None
        if prepared.mask_name is not None:  # beyond it the network sees nothing
            expected = sitk.Mask(expected, mask_on(prepared.fixed, prepared.mask_name, Geometry.of(expected)))
            inside = array_view(resample_to(prepared.pair.masks[0], found.expected, 'nearest', 0)) != 0
        registration.expected_error, registration.error_map, summary = expected, found, found.summary(inside)
    if summary['mean'] > DOUBTFUL:
        LOGGER.warning('The result is doubtful: it is expected to be off by %.1f mm on average.', summary['mean'])
    return {'expected_error_mm': summary}


def _warp_moving(registration, prepared, options, clock):
    """Add the moved image and the Jacobian determinant, while the fields are being written."""
    dvf, nonrigid = registration.dvf, registration.nonrigid
    vectors = array_view(dvf)  # taken before the threads begin, see functions.image.threads

    def fields_finished():
        if options.on_fields is not None:
            options.on_fields(prepared.candidates.linear, *map(sitk.Image, (nonrigid, dvf)))
        determinant = dvf_algebra.jacobian_determinant(vectors, dvf.GetSpacing(), dvf.GetDirection())
        return image_from_array(determinant, dvf)

    # What needs one core or the disk runs beside the warp, unless the field is so large that memory would be short.
    with clock('moved image'), futures.ThreadPoolExecutor(1) as pool:
        alongside = _BYTES_OF_FIELD * dvf.GetNumberOfPixels() <= _ALONGSIDE
        rest = pool.submit(fields_finished) if alongside else None
        registration.moved = warp_in_threads(prepared.moving.native, dvf, options.outside)
        registration.jacobian = rest.result() if alongside else fields_finished()


def _measure(registration, prepared, work_field, options, clock):
    """Add the measures, inside the lung, else the torso, else everywhere."""
    with clock('measures'):
        fixed, target = prepared.fixed, Geometry.of(registration.dvf)
        name = next((name for name in ('Lung', 'Torso') if fixed.masks[name] is not None), None)
        inside = registration.lung = None if name is None else mask_on(fixed, name, target)
        shown = fixed.native if options.grid == 'native' else fixed.image
        images = (shown, prepared.moving.native, registration.moved)
        how = (prepared.candidates.linear, registration.dvf, options.outside)
        found = {'intensity': similarity.before_and_after(*images, inside, *how)}
        found.update(regularity.field_summary(registration.jacobian, registration.dvf, inside))
        if registration.inverse_consistency is not None:
            found['inverse_consistency_mm'] = _mean_and_p95(registration.inverse_consistency, inside)
        found['measured_inside'] = name or 'the whole fixed image'
        if target != Geometry.of(work_field):
            jacobian = dvf_algebra.jacobian_determinant_of(work_field)
            found['folding_percent_at_1_mm'] = regularity.folding(jacobian, fixed.masks.get(name))
    registration.measures = found


def _mean_and_p95(image, mask):
    (values,) = values_inside({'the residual of there and back': image}, unless_empty(mask))
    return {'mean': float(values.mean()), 'p95': float(np.percentile(values, 95))}


def _record_of(prepared, model, options):
    """What was asked for and used; JSON-able."""
    masks = {f'fixed {name.lower()}': mask for name, mask in prepared.fixed.given.items()}
    masks.update({f'moving {name.lower()}': mask for name, mask in prepared.moving.given.items()})
    used = {
        name: getattr(options, name)
        for name in ('series', 'grid', 'composition', 'diffeomorphic', 'both_ways', 'refine', 'threads', 'likeness')
    }
    return {
        **used,
        'fixed': prepared.fixed.name,
        'moving': prepared.moving.name,
        'stages': list(model.stages),
        'networks': model.describe(),
        'error_map': model.describe_error_map() if options.error_map else None,
        'affine': prepared.affine.method,
        'input_mask': prepared.mask_name,
        'input_mask_of_training': model.mask,
        'default_value': model.default,
        'masks_given': sorted(name for name, mask in masks.items() if mask is not None),
    }


def _log(measures):
    """Log the measures in one line."""
    found, moved = measures['intensity'], measures['displacement_mm']
    correlations = ', '.join(f'{numbers["correlation"]:.4f} {name}' for name, numbers in found.items())
    differences = ', '.join(f'{numbers["mean_absolute_difference"]:.1f} {name}' for name, numbers in found.items())
    more = ''
    for name, key in (('there and back again', 'inverse_consistency_mm'), ('expected error', 'expected_error_mm')):
        if key in measures:
            more += f'; {name}: mean {measures[key]["mean"]:.2f} mm, 95 % {measures[key]["p95"]:.2f} mm'
    LOGGER.info(
        f'Inside {measures["measured_inside"]}: correlation {correlations}; mean absolute difference {differences} HU; '
        f'displacement median {moved["median"]:.2f} mm, at most {moved["max"]:.2f} mm; '
        f'folding {measures["folding_percent"]:.4f} %{more}'
    )


class StepClock:
    """Wall time of named steps; ``steps`` are those that add up to the whole."""

    def __init__(self):
        self.seconds, self.steps = collections.OrderedDict(), []

    @contextlib.contextmanager
    def part(self, name):
        start = time.time()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.time() - start, 3)

    @contextlib.contextmanager
    def __call__(self, step):
        with self.part(step):
            yield
        if step not in self.steps:
            self.steps.append(step)
