"""Registration of two scans as people bring them: any grids, masks given or made, results on the fixed
grid."""

import collections
import contextlib
import logging
import time
from concurrent import futures

import SimpleITK as sitk

from functions.elastix.affine import register_affine, require_overlap
from functions.image import dvf as dvf_algebra
from functions.image.geometry import Geometry
from functions.image.masks import require_nonempty
from functions.image.resample import resample_to, warp
from functions.image.threads import itk_threads
from functions.image.transforms import total_dvf, total_transform
from functions.measure import regularity, similarity
from functions.preprocessing.load import LOWEST
from functions.registration import measures
from functions.registration.folding_removal import remove_folding
from functions.registration.input_scan import isotropic_scan, mask_on, read_scan
from functions.registration.mask_box import box_of, continued, cut
from functions.registration.multi_stage import register_images
from functions.registration.network_pyramid import Model, open_model
from functions.setting.errors import unknown_name

LOGGER = logging.getLogger(__name__)

GRIDS = ('native', 'isotropic')
INPUT_MASKS = ('model', 'Lung', 'Torso', 'none')
COMPOSITIONS = ('exact', 'additive')
#: Bytes of a field up to which it is written while the moving image is being warped.
BESIDE = 5e8
#: Value of the moved image where there is no moving image: air.
OUTSIDE = float(LOWEST)


class Registration:
    """What came out of the registration of one pair. Images are SimpleITK images.

    :ivar dvf: total displacement field, float32 mm, fixed to moving, on the grid of the results: u(p) = A(p +
        v(p)) - p.
    :ivar nonrigid: v alone, on the same grid.
    :ivar affine: :class:`functions.elastix.affine.AffineResult`; its ``transform`` is A.
    :ivar moved: the moving image on that grid, int16, -1024 HU where there is none of it.
    :ivar jacobian: determinant of the Jacobian of the physical mapping p + u(p), float32.
    :ivar fixed, moving: the images in HU on their own grids.
    :ivar lung: mask of the fixed image on the grid of the results that measures are taken in; None:
        everywhere.
    :ivar measures: dictionary: intensities before and after, folding, displacements; JSON-able.
    :ivar settings: dictionary of what was asked for and which networks did it; JSON-able.
    :ivar seconds: dictionary step -> wall time.
    """

    def __init__(self, fixed, moving, affine, nonrigid, dvf, moved, jacobian, lung, seconds):
        self.fixed, self.moving, self.affine, self.nonrigid, self.dvf = fixed, moving, affine, nonrigid, dvf
        self.moved, self.jacobian, self.lung, self.seconds = moved, jacobian, lung, seconds
        self.measures, self.settings = {}, {}

    @property
    def transform(self):
        """The total transform, fixed to moving points, as a new sitk.CompositeTransform (48 bytes a
        voxel)."""
        return total_transform(self.affine.transform, self.nonrigid)

    def inverse(self, iterations=40, tolerance=1e-2):
        """Displacement field of the way back, moving to fixed, on the moving image's grid.

        :return: (field, residual): residual is the largest distance in mm at which the inverse of the
            nonrigid part, found by fixed-point iteration, misses.
        """
        inverse, residual = dvf_algebra.invert(self.nonrigid, iterations, tolerance)
        back = sitk.AffineTransform(self.affine.transform.GetInverse())
        return dvf_algebra.compose(total_dvf(back, None, Geometry.of(self.moving)), inverse), residual


def register(
    fixed,
    moving,
    model,
    stages=None,
    fixed_lung=None,
    fixed_torso=None,
    moving_lung=None,
    moving_torso=None,
    affine=None,
    input_mask='model',
    grid='native',
    composition='exact',
    diffeomorphic=False,
    threads=None,
    memory=None,
    affine_folder=None,
    on_fields=None,
):
    """Register two CT scans of a chest.

    The work is done at 1 mm on a grid of identity direction that covers the fixed image; the field is brought
    to the grid of the results in physical space.

    :param fixed, moving: .mha, .mhd, .nii, .nii.gz or .nrrd file, folder with one DICOM series, or
        sitk.Image, in HU (or HU plus 1024, which is said); any grids.
    :param model: folder of an experiment, list of folders, dictionary stage -> folder, dictionary stage ->
        opened network, or a :class:`functions.registration.network_pyramid.Model`; opened ones stay open.
    :param stages: [4, 2, 1], [4, 2], [4], [2, 1], [2] or [1], each stage once or several times in a row ([4, 4, 2, 1]
        runs the network of stage 4 again on what its first pass left); None: all that ``model`` has.
    :param fixed_lung, fixed_torso, moving_lung, moving_torso: masks (file or image) on the grids of their
        images; the one that the networks need is made where it is not given.
    :param affine: 'elastix', 'sitk', 'none', or the path of a transform file; None: elastix where there is
        one, else sitk.
    :param input_mask: 'model': as in the networks' training; 'Lung', 'Torso' or 'none' instead (the published
        code trains with the torso and registers with the lung).
    :param grid: 'native': results on the grid of the fixed image; 'isotropic': at 1 mm with identity
        direction.
    :param composition: 'exact', or 'additive' as the published code adds fields.
    :param diffeomorphic: correct the field where it folds; what that changes is in the measures.
    :param threads: of TensorFlow, ITK and elastix; None: all cores.
    :param memory: bytes one forward pass may use; see :func:`functions.registration.network_pyramid.open_model`.
    :param affine_folder: keeps what elastix wrote.
    :param on_fields: called with (affine transform or None, nonrigid field, total field) as soon as they are
        known, in another thread, so that they can be written while the moving image is being warped.
    :return: :class:`Registration`.
    :raises RegNetError: whatever cannot be used, in one sentence that says what to do.
    """
    _check_choices(input_mask, grid, composition)
    clock = _Clock()
    opened, ours = _opened(model, stages, threads, memory, clock)
    try:
        with itk_threads(threads):
            return _register(
                opened,
                (fixed, fixed_lung, fixed_torso),
                (moving, moving_lung, moving_torso),
                affine,
                input_mask,
                grid,
                composition,
                diffeomorphic,
                threads,
                affine_folder,
                on_fields,
                clock,
            )
    finally:
        if ours:
            opened.close()


def _register(
    model,
    fixed,
    moving,
    affine_method,
    input_mask,
    grid,
    composition,
    diffeomorphic,
    threads,
    affine_folder,
    on_fields,
    clock,
):
    mask_name = {'model': model.mask, 'none': None}.get(input_mask, input_mask)
    with clock('reading'):
        fixed, moving = [
            read_scan(source, role, lung, torso)
            for role, (source, lung, torso) in (('fixed', fixed), ('moving', moving))
        ]
        require_overlap(fixed.native, moving.native)
    with clock('isotropic grid and masks'):
        fixed, moving = [isotropic_scan(raw, mask_name) for raw in (fixed, moving)]
    work = Geometry.of(fixed.image)
    with clock('affine'):
        torsos = [scan.masks['Torso'] for scan in (fixed, moving)]
        torsos = torsos if None not in torsos else [None, None]
        affine = register_affine(fixed.image, moving.image, affine_method, torsos[0], torsos[1], threads, affine_folder)
    linear = None if affine.method == 'none' else affine.transform
    with clock('moving image to the working grid'):
        # What coarser voxels show, or the next stage warps anew, hides the difference.
        interpolator = 'bspline' if model.stages[0] == 1 else 'linear'
        fixed_image, masks, box, source = fixed.image, [None, None], work, moving.image
        if mask_name is not None:
            masks = [fixed.masks[mask_name], _bring(moving.masks[mask_name], work, linear, 'nearest', 0)]
            require_nonempty(masks[1], f'The {mask_name.lower()} mask of {moving.name} on the grid of the fixed image')
            if model.margins is not None:
                margin = max(model.margins.values())
                box = box_of(masks, margin)
                fixed_image, masks = cut(fixed_image, box), [cut(mask, box) for mask in masks]
                source = cut(source, box_of([moving.masks[mask_name]], margin))
        moving_image = _bring(source, box, linear, interpolator, model.default)
    with clock('networks'):
        predict = {
            stage: _predictor(model.networks[stage], model.default, seconds=clock.seconds) for stage in model.stages
        }
        result = register_images(
            fixed_image,
            moving_image,
            predict,
            model.stages,
            masks[0],
            masks[1],
            model.default,
            composition,
            with_moved=False,
            original=(source, linear),
            margins=model.margins,
        )
    nonrigid, correction = continued(result.dvf, work), None
    if diffeomorphic:
        with clock('folding removed'):
            nonrigid, correction = remove_folding(nonrigid, mask_on(fixed, 'Lung', work))
    del result, masks, moving_image, fixed_image, source
    target = work if grid == 'isotropic' else Geometry.of(fixed.native)
    with clock('field to the grid of the results'):
        work_field = nonrigid
        nonrigid = nonrigid if target == work else dvf_algebra.resample_dvf(nonrigid, target)
        dvf = nonrigid if linear is None else total_dvf(linear, nonrigid)

    def fields_finished():
        if on_fields is not None:
            on_fields(linear, nonrigid, dvf)
        return dvf_algebra.jacobian_determinant_of(dvf)

    # What needs one core, or the disk, goes on beside the warp, unless the field is so large that memory
    # would be short.
    with clock('moved image'), futures.ThreadPoolExecutor(1) as pool:
        beside = 12.0 * dvf.GetNumberOfPixels() <= BESIDE
        rest = pool.submit(fields_finished) if beside else None
        moved = warp(moving.native, dvf, 'bspline', OUTSIDE)
        jacobian = rest.result() if beside else fields_finished()
    with clock('measures'):
        inside_name = next((name for name in ('Lung', 'Torso') if fixed.masks[name] is not None), None)
        inside = None if inside_name is None else mask_on(fixed, inside_name, target)
        registration = Registration(
            fixed.native, moving.native, affine, nonrigid, dvf, moved, jacobian, inside, clock.seconds
        )
        shown = fixed.native if grid == 'native' else fixed.image
        found = similarity.before_and_after(shown, moving.native, moved, inside, linear, OUTSIDE)
        found.update(
            regularity.field_summary(jacobian, dvf, inside), measured_inside=inside_name or 'the whole fixed image'
        )
        if target != work:
            found['folding_percent_at_1_mm'] = regularity.folding(
                dvf_algebra.jacobian_determinant_of(work_field), fixed.masks.get(inside_name)
            )
        if correction is not None:
            found['diffeomorphic'] = correction
    registration.measures = found
    registration.settings = {
        'fixed': fixed.name,
        'moving': moving.name,
        'stages': list(model.stages),
        'networks': model.describe(),
        'affine': affine.method,
        'input_mask': mask_name,
        'input_mask_of_training': model.mask,
        'default_value': model.default,
        'grid': grid,
        'composition': composition,
        'diffeomorphic': bool(diffeomorphic),
        'threads': threads,
        'masks_given': sorted(
            f'{role} {name.lower()}'
            for role, scan in (('fixed', fixed), ('moving', moving))
            for name, mask in scan.given.items()
            if mask is not None
        ),
    }
    measures.say(found)
    LOGGER.info(
        'Registered in %.1f s: %s',
        sum(clock.seconds[key] for key in clock.outer),
        ', '.join(f'{key} {clock.seconds[key]:.1f}' for key in clock.outer),
    )
    return registration


def _check_choices(input_mask, grid, composition):
    for kind, name, accepted in (
        ('input mask', input_mask, INPUT_MASKS),
        ('grid', grid, GRIDS),
        ('composition', composition, COMPOSITIONS),
    ):
        if name not in accepted:
            raise unknown_name(kind, name, accepted)


def _opened(model, stages, threads, memory, clock):
    """(Model, whether it is ours to close)."""
    if isinstance(model, Model):
        return (
            model if stages is None or list(stages) == model.stages else Model(model.networks, stages, model.folders)
        ), False
    if isinstance(model, dict) and model and all(hasattr(network, 'predict') for network in model.values()):
        return Model(model, stages), False
    with clock('opening the networks'):
        return open_model(model, stages, threads, memory), True


def _bring(image, grid, affine, interpolator, default):
    """``image(A(p))`` on ``grid``; nothing is interpolated where that changes nothing."""
    if affine is None and Geometry.of(image) == grid:
        return image
    return resample_to(image, grid, interpolator, default, transform=affine)


def _predictor(network, default, seconds):
    def predict(moving, fixed):
        start = time.time()
        field = network.predict(moving, fixed, default)
        key = 'network of stage {}'.format(network.setting['stage'])
        seconds[key] = round(time.time() - start, 3)
        return field

    return predict


class _Clock:
    """Wall time of named steps; ``outer`` lists those that add up to the whole."""

    def __init__(self):
        self.seconds, self.outer = collections.OrderedDict(), []

    @contextlib.contextmanager
    def __call__(self, step):
        start = time.time()
        yield
        self.seconds[step] = round(time.time() - start, 3)
        self.outer.append(step)
