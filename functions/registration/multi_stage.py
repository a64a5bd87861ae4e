"""Multi-stage single-shot registration on one grid (arXiv 1908.10235, section 3.5): one forward pass per stage, the
fields composed exactly."""

import collections
import logging

import numpy as np

from ..image import dvf as dvf_algebra
from ..image import masks, resample
from ..image.transforms import total_dvf
from ..image.volume_io import Geometry, array_view, image_from_array, require_same_grid
from ..setting.errors import InputError
from ..setting.schema import PYRAMID
from .mask_box import box_of, continued, cut

LOGGER = logging.getLogger(__name__)
COMPOSITIONS = ('exact', 'additive')
#: mm; larger displacements mean that the scans were not taken in the same pose, which no network here is trained for.
LARGEST = 100.0

WorkingPair = collections.namedtuple('WorkingPair', 'fixed moving masks original', defaults=(None, None))
"""Images (SimpleITK, HU) on one grid with identity direction. ``masks``: (fixed, moving) masks outside which the
networks see the default value, or None. ``original``: (image, affine) that ``moving`` was resampled from,
image(affine(p)), affine None for none; at stage 1 the moving image is then interpolated once instead of twice."""


def check_stages(stages, networks):
    """Raise :class:`InputError` unless ``stages`` is a pyramid, and ``networks`` (stage -> anything) has all of them.

    A stage may be repeated: another pass of its network, on what the passes before left.
    """
    if not PYRAMID.accepts(list(stages)):
        raise InputError(
            f"The pyramid {list(stages)} is not possible (setting 'stage_list'). Accepted: {PYRAMID.text}."
        )
    missing = [str(stage) for stage in dict.fromkeys(stages) if stage not in networks]
    if missing:
        available = ', '.join(map(str, sorted(networks))) or 'none'
        raise InputError(f'There is no network for stage {", ".join(missing)}; there are networks for {available}.')


def register_images(
    pair, predict, stages, default=-2048.0, composition='exact', margins=None, trained=True, candidates=None, voxel=1
):
    """Register two images on their common grid.

    At every stage both images are down-sampled, the moving one is warped by the field U found so far, and the
    network's field u_s is composed with it: u(p) = u_s(p) + U(p + u_s(p)).

    :param pair: :class:`WorkingPair`.
    :param predict: dictionary stage -> function (moving array, fixed array) -> [z, y, x, 3] mm.
    :param stages: see :func:`check_stages`.
    :param default: HU outside the masks, as in training.
    :param composition: 'exact', or 'additive' as published (u_s + U, both at p).
    :param margins: dictionary stage -> mm around both masks outside which nothing is computed and the field fades out
        (see :mod:`functions.registration.mask_box`); None: the whole images are used.
    :param trained: False: an implausible field is a warning (see :func:`check_field`).
    :param candidates: :class:`functions.registration.candidates.Candidates`, which decides what passes are kept; None:
        all are.
    :param voxel: the stage at which the grid of the pair is, no coarser than ``stages``.
    :return: (dvf, stage_dvfs): the displacement field, mm, fixed to moving, on the grid of the pair, and a dictionary
        stage -> total field after that stage, on its grid, of the stages that are kept.
    :raises InputError: other stages or grids, an empty mask, or an implausible field.
    """
    check_stages(stages, predict)
    if composition not in COMPOSITIONS:
        raise InputError(f"composition {composition!r} is unknown. Accepted: 'exact', 'additive'.")
    require_same_grid(pair.fixed, pair.moving, 'the fixed image', 'the moving image')
    for mask, name in zip(pair.masks or (), ('fixed', 'moving')):
        require_same_grid(pair.fixed, mask, 'the fixed image', f'the {name} mask')
        masks.require_nonempty(mask, f'the {name} mask')
    total, stage_dvfs = None, {}
    for stage in stages:
        if candidates is not None and not candidates.needs_pass(stage):
            continue
        box = box_seen(pair, None if margins is None else margins[stage])
        (moving, fixed), grid, total = seen_by_pass(pair, box, stage, total, default, voxel)
        found = predict[stage](moving, fixed)
        found = np.asarray(found, np.float32)
        after = field = image_from_array(found, grid)
        if total is not None and composition == 'exact':
            after = dvf_algebra.compose(field, total)
        elif total is not None:
            after = image_from_array(found + array_view(total), grid)
        check_field(found, array_view(after), stage, trained)
        if candidates is None or candidates.keeps_pass(stage, after):
            total = stage_dvfs[stage] = after
    if total is None:
        total = image_from_array(np.zeros(box.shape + (3,), np.float32), box)
    return continued(dvf_algebra.resample_dvf(total, box), pair.fixed), stage_dvfs


def box_seen(pair, margin):
    """The part of the grid of a pair that a network sees, with ``margin`` mm around the masks; None: all of it."""
    whole = margin is None or pair.masks is None
    return Geometry.of(pair.fixed) if whole else box_of(pair.masks, margin)


def seen_by_pass(pair, box, stage, total, default, voxel=1):
    """What a network sees at a stage, after a field so far.

    :param pair, stage, default, voxel: see :func:`register_images`.
    :param box: see :func:`box_seen`.
    :param total: field so far on any grid, or None.
    :return: ((moving, fixed) arrays in HU, their :class:`Geometry`, ``total`` on it).
    """
    fixed, moving, (fixed_mask, moving_mask), total = at_stage(pair, box, stage, total, default, voxel)
    images = _masked(moving, moving_mask, default), _masked(fixed, fixed_mask, default)
    return images, Geometry.of(moving), total


def at_stage(pair, box, stage, total, default, voxel=1):
    """A pair with the voxels of a stage, the moving image and its mask warped by a field so far.

    :param pair, box, stage, total, default, voxel: see :func:`seen_by_pass`.
    :return: (fixed image, moving image, (fixed mask, moving mask), ``total``) on one grid; masks None without any.
    """
    factor = stage // voxel
    fixed, moving = [resample.downsample(cut(image, box), factor) for image in (pair.fixed, pair.moving)]
    masks_here = [resample.downsample_mask(cut(mask, box), factor) for mask in pair.masks or ()]
    fixed_mask, moving_mask = masks_here or (None, None)
    if total is not None:
        total = dvf_algebra.resample_dvf(total, Geometry.of(moving))
        moving_mask = None if moving_mask is None else resample.warp(moving_mask, total, 'nearest', 0)
        source, affine = (moving, None) if stage > 1 or pair.original is None else pair.original
        field = total if affine is None else total_dvf(affine, total)
        moving = resample.warp_in_threads(source, field, default, moving_mask)
    return fixed, moving, (fixed_mask, moving_mask), total


def _masked(image, mask, default):
    array = array_view(image)
    return array if mask is None else masks.apply_mask(array, array_view(mask), default)


def check_field(found, total, stage, trained=True):
    """Refuse a field that no working network would return.

    :param found, total: the field a network returned, and the total one after it; [z, y, x, 3] mm.
    :param trained: False: the network may hardly be trained, so that only NaN is an error and the rest a warning.
    :raises InputError: zero everywhere, NaN, or a total beyond :data:`LARGEST` mm.
    """
    # NumPy's maximum of values with NaN is NaN, Python's need not be.
    largest = float(np.max([np.abs(plane).max() for plane in total]))
    if not found.any():
        problem = f'The network of stage {stage} returned a field that is zero everywhere: it is not trained.'
    elif largest <= LARGEST:
        return
    else:
        problem = (
            f'The network of stage {stage} leads to displacements of up to {largest:.3g} mm; {LARGEST:g} mm are '
            'plausible. It is hardly trained or damaged, or the images are unlike its training images (HU? chest?).'
        )
    if trained or not np.isfinite(largest):
        raise InputError(problem)
    LOGGER.warning('%s This run trained it, so its result is shown all the same.', problem)
