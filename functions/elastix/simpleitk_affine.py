"""Affine registration by SimpleITK, and the 2 mm images (at least air) on which every affine registration is judged."""

import logging

import numpy as np
import SimpleITK as sitk

from ..image.geometry import Geometry, grid_resampler
from ..image.threads import itk_threads
from ..image.transforms import affine_from_matrix
from ..image.volume_io import array_view
from ..setting.errors import InputError
from ..setting.seeds import random_state

LOGGER = logging.getLogger(__name__)

_AIR, _BODY = -1024.0, -300.0  # HU
_SMALL = 2.0  # mm
_SAMPLES = 30000
# With fewer bins or faster relaxation the optimiser stops short of the optimum.
_BINS = 64
_OPTIMIZER = {'learningRate': 2.0, 'minStep': 1e-3, 'numberOfIterations': 200, 'relaxationFactor': 0.9}
_LEAST_SIDE = 12  # voxels along every axis of a pyramid level
#: Voxels along every axis, if there are as many, of what elastix registers: from fewer a transform is less exact.
EXACT_SIDE = 96
_SCALE = 1.6  # largest change of size in a start
_CLEARLY_BETTER = 0.1  # of correlations


def _factors(image, spacing, least_side):
    axes = zip(image.GetSpacing(), image.GetSize())
    return [min(max(1, int(spacing / s + 0.5)), max(1, n // least_side)) for s, n in axes]


def small_image(image, spacing=_SMALL, least_side=_LEAST_SIDE):
    """Means over blocks of about ``spacing`` mm, float32, nothing below air; blocks are shorter along axes that would
    have fewer than ``least_side`` of them.
    """
    values = sitk.Maximum(sitk.Cast(image, sitk.sitkFloat32), _AIR)
    return sitk.BinShrink(values, _factors(image, spacing, least_side))


def small_mask(mask, spacing=_SMALL, least_side=_LEAST_SIDE):
    """uint8 mask of the blocks of :func:`small_image` that are at least half inside ``mask``."""
    inside = sitk.Cast(sitk.NotEqual(mask, 0), sitk.sitkFloat32)
    return sitk.GreaterEqual(sitk.BinShrink(inside, _factors(mask, spacing, least_side)), 0.5)


def correlation(fixed, moving, transform=None, mask=None):
    """Correlation coefficient of ``fixed`` and the transformed ``moving``; outside ``moving`` is air.

    :param transform: sitk transform, fixed to moving points; None: identity.
    :param mask: uint8 image on the grid of ``fixed``; None: everywhere.
    :return: -1 to 1; 0 if either image is constant inside the mask.
    """
    resampler = grid_resampler(Geometry.of(fixed), default=array_view(moving).min())
    if transform is not None:
        resampler.SetTransform(transform)
    inside = slice(None) if mask is None else array_view(mask) != 0
    values = [array_view(image)[inside].ravel().astype(np.float64) for image in (resampler.Execute(moving), fixed)]
    return 0.0 if min(part.std() for part in values) == 0 else float(np.corrcoef(*values)[0, 1])


def initial_transform(fixed, moving, fixed_mask=None, moving_mask=None):
    """The best of a few starts: none, the translation between the image centres or between the centres of the masks
    (without masks, of the bodies), and that with the masks' extent, if it is better by 0.1.

    :param fixed, moving: images of :func:`small_image`; masks of :func:`small_mask`, or None.
    :return: sitk.AffineTransform, centred on the fixed mask, body or image.
    """
    coarse_fixed, coarse_moving = small_image(fixed, 4 * _SMALL), small_image(moving, 4 * _SMALL)
    coarse_mask = None if fixed_mask is None else small_mask(fixed_mask, 4 * _SMALL)
    if coarse_mask is not None and not array_view(coarse_mask).any():
        coarse_mask = None
    middles = [_middle(image) for image in (fixed, moving)]
    pairs = ((fixed, fixed_mask), (moving, moving_mask))
    centres, extents = zip(*[_centre_and_extent(image > _BODY if mask is None else mask) for image, mask in pairs])
    centre = middles[0] if centres[0] is None else centres[0]
    starts = [(np.ones(3), centre), (np.ones(3), centre + middles[1] - middles[0])]
    if all(at is not None for at in centres) and (fixed_mask is None) == (moving_mask is None):
        starts.append((np.ones(3), centres[1]))
        if fixed_mask is not None and np.all(extents[0] > 0):
            starts.append((np.clip(extents[1] / extents[0], 1 / _SCALE, _SCALE), centres[1]))
    transforms = [affine_from_matrix(np.diag(scale), to - scale * centre, centre) for scale, to in starts]
    scores = [correlation(coarse_fixed, coarse_moving, transform, coarse_mask) for transform in transforms]
    best = int(np.argmax(scores[:3]))
    # A registration finds small differences in size by itself.
    if scores[-1] > scores[best] + _CLEARLY_BETTER:
        best = len(scores) - 1
    scale, shift = np.round(starts[best][0], 2).tolist(), np.round(starts[best][1] - centre, 1).tolist()
    text = 'Affine registration starts from the translation %s mm and the scale %s (correlation %.3f)'
    LOGGER.info(text, shift, scale, scores[best])
    return transforms[best]


def _middle(image):
    geometry = Geometry.of(image)
    return geometry.index_to_world((np.array(geometry.size) - 1) / 2.0)


def _centre_and_extent(mask):
    """Mean and standard deviation of the points inside a mask along x, y and z in mm; None and None if it is empty."""
    inside = array_view(mask) != 0
    if not inside.any():
        return None, None
    points = Geometry.of(mask).index_to_world(np.argwhere(inside)[:, ::-1])
    return points.mean(axis=0), points.std(axis=0)


def affine(fixed, moving, fixed_mask=None, moving_mask=None, initial=None):
    """Affine registration by SimpleITK: mutual information, coarse to fine, regular step gradient descent.

    :param fixed, moving: images of :func:`small_image`; masks of :func:`small_mask`, or None.
    :param initial: sitk.AffineTransform to start from; the centre is kept. None: identity.
    :return: sitk.AffineTransform, fixed to moving points.
    :raises InputError: ITK failed, for example because nothing overlaps.
    """
    transform = sitk.AffineTransform(3) if initial is None else sitk.AffineTransform(initial)
    try:
        # The metric is summed by one thread, so that the transform is the same on every machine. A SimpleITK filter
        # keeps the number of threads in force when it was created.
        with itk_threads(1):
            method = _method(fixed, fixed_mask, moving_mask)
            method.SetInitialTransform(transform, True)
            method.Execute(fixed, moving)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        hint = 'Check that the images and masks show the same region.'
        raise InputError(f'The affine registration by SimpleITK failed: {reason} {hint}') from error
    LOGGER.debug('SimpleITK: %s', method.GetOptimizerStopConditionDescription())
    return transform


def _method(fixed, fixed_mask, moving_mask):
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetInterpolator(sitk.sitkLinear)
    if fixed_mask is not None:
        method.SetMetricFixedMask(fixed_mask)
    if moving_mask is not None:
        method.SetMetricMovingMask(moving_mask)
    shrink = [f for f in (4, 2, 1) if min(fixed.GetSize()) // f >= _LEAST_SIDE] or [1]
    inside = 1.0 if fixed_mask is None else max(float(array_view(fixed_mask).mean()), 1e-3)
    voxels = np.prod(fixed.GetSize(), dtype=float) * inside
    share = [min(1.0, _SAMPLES * f**3 / voxels) for f in shrink]
    seed = int(random_state('affine registration').randint(1, 2**31 - 1))
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentagePerLevel(share, seed)
    method.SetShrinkFactorsPerLevel(shrink)
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetSmoothingSigmasPerLevel([f / 2.0 if f > 1 else 0.0 for f in shrink])
    rate = {'gradientMagnitudeTolerance': 1e-7, 'estimateLearningRate': method.Never}
    method.SetOptimizerAsRegularStepGradientDescent(**_OPTIMIZER, **rate)
    method.SetOptimizerScalesFromPhysicalShift()
    return method
