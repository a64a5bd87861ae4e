"""Registration of two scans on any grids, masks given or made, results on the grid of the fixed image."""

import logging
from concurrent import futures
from typing import Any, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import SimpleITK as sitk

from ..image import dvf as dvf_algebra
from ..image.geometry import Geometry
from ..image.resample import resample_to, warp_in_threads
from ..image.threads import itk_threads
from ..image.transforms import total_dvf, total_transform
from ..image.volume_io import array_view, image_from_array
from ..measure import regularity, similarity
from ..measure.masked_values import unless_empty, values_inside
from .expected_error import DOUBTFUL, predict_error
from .field_prediction import predict_field, refine_field
from .input_scan import mask_on
from .network_pyramid import Model, open_model
from .pair_options import checked_options
from .pair_preparation import MOST_AT_ONCE, prepare_pair
from .step_clock import StepClock

LOGGER = logging.getLogger(__name__)


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
    :param options: see :class:`functions.registration.pair_options.Options`.
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


def _opened(model, stages, options, clock):
    """(Model, whether it has to be closed here)."""
    if isinstance(model, Model):
        is_same = stages is None or list(stages) == model.stages
        more = model.folders, model.error_map, model.symmetric
        return (model if is_same else Model(model.networks, stages, *more)), False
    if isinstance(model, dict) and model and all(hasattr(network, 'predict') for network in model.values()):
        return Model(model, stages), False
    with clock('opening the networks'):
        return open_model(model, stages, options.threads, options.memory, options.precision), True


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
        alongside = dvf.GetNumberOfPixels() <= MOST_AT_ONCE
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
        'symmetric': model.is_symmetric(options.symmetric, options.both_ways),
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
