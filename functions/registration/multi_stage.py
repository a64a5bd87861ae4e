"""Multi-stage single-shot registration (arXiv 1908.10235, section 3.5): one forward pass per stage, composed
exactly."""

import collections
import itertools
import logging
import time

import numpy as np

from functions.image import dvf as dvf_algebra
from functions.image import masks, resample
from functions.image.transforms import total_dvf
from functions.image.volume_io import Geometry, array_view, image_from_array, require_same_grid
from functions.registration.mask_box import box_of, continued, cut
from functions.setting.errors import InputError
from functions.setting.schema import STAGE_LISTS

LOGGER = logging.getLogger(__name__)
#: mm; what moves further in a chest was not lain down in the same way, and no network here is trained for it.
LARGEST = 100.0
#: mm that lead out of any image: nothing is interpolated there.
_AWAY = 1e6

RegistrationResult = collections.namedtuple('RegistrationResult', 'dvf moved stage_dvfs seconds')
"""``dvf``: SimpleITK vector image, mm, fixed to moving, on the fixed grid;
``moved``: the moving image on it, or None; ``stage_dvfs``: dictionary stage -> total DVF after that stage, on
its grid; ``seconds``: wall time."""


def check_stages(stages):
    """A stage may follow itself: another pass of its network, on what the passes before left.

    :raises InputError: not one of the pyramids a network can be run through."""
    if [stage for stage, _ in itertools.groupby(stages)] not in STAGE_LISTS:
        raise InputError(
            "The stage list {} is not possible (setting 'stage_list'). Accepted: {}, each stage once or "
            'several times in a row.'.format(list(stages), ', '.join(str(item) for item in STAGE_LISTS))
        )


def register_images(
    fixed,
    moving,
    predict,
    stages,
    fixed_mask=None,
    moving_mask=None,
    default=-2048.0,
    composition='exact',
    with_moved=True,
    original=None,
    margins=None,
):
    """Register two images on one working grid (identity direction).

    At every stage both images are down-sampled by the one rule of the project, the moving one is warped by
    the field found so far, and the network's field u_s is composed with it: u(p) = u_s(p) + U(p + u_s(p)).

    :param fixed, moving: SimpleITK images in HU on the same grid.
    :param predict: dictionary stage -> function (moving array, fixed array) -> [z, y, x, 3] mm.
    :param stages: one of :data:`functions.setting.schema.STAGE_LISTS`; stages may be repeated, as [4, 4, 2, 1].
    :param fixed_mask, moving_mask: masks outside which intensities become ``default``, as in training; or
        None.
    :param composition: 'exact', or 'additive' as published (u_s + U, both at p).
    :param with_moved: also warp the moving image.
    :param original: (image, affine) that ``moving`` was resampled from, image(affine(p)); affine None: not at
        all. At stage 1, the moving image is then interpolated once instead of twice.
    :param margins: dictionary stage -> mm around both masks outside which nothing is looked at (see
        :mod:`functions.registration.mask_box`; the field fades out there), or None: everything is.
    :return: :class:`RegistrationResult`.
    :raises InputError: other stages or grids, an empty mask, or a field that cannot be true (see
        :func:`check_field`).
    """
    check_stages(stages)
    missing = [stage for stage in stages if stage not in predict]
    if missing:
        raise InputError(f'No network was given for stage(s) {missing}.')
    if composition not in ('exact', 'additive'):
        raise InputError(f"composition {composition!r} is unknown. Accepted: 'exact', 'additive'.")
    require_same_grid(fixed, moving, 'the fixed image', 'the moving image')
    for mask, image, name in ((fixed_mask, fixed, 'fixed'), (moving_mask, moving, 'moving')):
        if mask is not None:
            require_same_grid(image, mask, f'the {name} image', f'the {name} mask')
            masks.require_nonempty(mask, f'the {name} mask')
    start = time.time()
    total, stage_dvfs = None, collections.OrderedDict()
    for stage in stages:
        box = Geometry.of(fixed)
        if margins is not None and fixed_mask is not None and moving_mask is not None:
            box = box_of([fixed_mask, moving_mask], margins[stage])
        fixed_s, moving_s = [resample.downsample(cut(image, box), stage) for image in (fixed, moving)]
        fixed_mask_s, moving_mask_s = [
            None if mask is None else resample.downsample_mask(cut(mask, box), stage)
            for mask in (fixed_mask, moving_mask)
        ]
        fixed_array = array_view(fixed_s)
        if fixed_mask_s is not None:
            fixed_array = masks.apply_mask(fixed_array, array_view(fixed_mask_s), default)
        if total is not None:
            total = dvf_algebra.resample_dvf(total, Geometry.of(moving_s))
            moving_mask_s = None if moving_mask_s is None else resample.warp(moving_mask_s, total, 'nearest', 0)
            source, affine = (moving_s, None) if stage > 1 or original is None else original
            moving_s = _warped(source, total if affine is None else total_dvf(affine, total), moving_mask_s, default)
        moving_array = array_view(moving_s)
        if moving_mask_s is not None:
            moving_array = masks.apply_mask(moving_array, array_view(moving_mask_s), default)
        found = np.asarray(predict[stage](moving_array, fixed_array), np.float32)
        check_field(found, stage)
        field = image_from_array(found, moving_s)
        if total is None:
            total = field
        elif composition == 'exact':
            total = dvf_algebra.compose(field, total)
        else:
            total = image_from_array(array_view(field) + array_view(total), moving_s)
        stage_dvfs[stage] = total
    full = total if stages[-1] == 1 else dvf_algebra.resample_dvf(total, box)
    full = continued(full, fixed)
    moved = resample.warp(moving, full, 'bspline', default) if with_moved else None
    seconds = time.time() - start
    LOGGER.info('Registered in %.1f s, stages %s', seconds, list(stages))
    return RegistrationResult(full, moved, stage_dvfs, seconds)


def _warped(image, dvf, mask, default):
    """``image`` warped by ``dvf``, interpolated inside ``mask`` (None: everywhere) only."""
    if mask is not None:
        moves = array_view(dvf).copy()
        moves[array_view(mask) == 0] = _AWAY
        dvf = image_from_array(moves, dvf)
    return resample.warp(image, dvf, 'bspline', default)


def check_field(field, stage):
    """Refuse a field that no network that works would return.

    :param field: [z, y, x, 3] mm.
    :raises InputError: zero everywhere, values that are no numbers, or displacements beyond :data:`LARGEST`
        mm.
    """
    # NumPy's maximum of something with NaN is NaN, Python's need not be.
    largest = float(np.max([np.abs(plane).max() for plane in field]))
    if largest == 0:
        raise InputError(
            f'The network of stage {stage} returned a field that is zero everywhere: its weights are '
            'those of no trained '
            'network. Train it, or name another model.'
        )
    if not largest <= LARGEST:
        raise InputError(
            'The network of stage {} returned displacements of {}; accepted are at most {:g} '
            'mm. Its weights are '
            'damaged or not trained, or the images are far from what it was trained on (HU? '
            'chest?).'.format(stage, 'no number' if np.isnan(largest) else f'up to {largest:.3g} mm', LARGEST)
        )
