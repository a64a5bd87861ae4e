"""Numbers about a registration that need no landmarks: intensities before and after, folding,
displacements."""

import logging

import numpy as np

from functions.image.geometry import Geometry
from functions.image.resample import resample_to
from functions.image.volume_io import array_view

LOGGER = logging.getLogger(__name__)

#: mm between the voxels at which intensities are compared; more tell nothing new.
COMPARED = 2.0


def intensities(fixed, moving, moved, mask, affine, outside):
    """How alike the images are: before, after the affine registration, and after all.

    :param fixed, moved: images on one grid, HU; ``moving`` on any.
    :param mask: on the grid of ``fixed``: where to look; None: everywhere.
    :param affine: sitk transform, or None.
    :param outside: HU where there is no moving image.
    :return: {'intensity': {'before', 'affine' (with an affine), 'after': {'correlation',
        'mean_absolute_difference'}}, 'worse': whether the correlation fell, 'worse_than_affine': whether it
        is below that of the affine alone}.
    """
    step = [max(1, int(round(COMPARED / spacing))) for spacing in fixed.GetSpacing()]
    few = fixed[:: step[0], :: step[1], :: step[2]]
    inside = None if mask is None else array_view(mask)[:: step[2], :: step[1], :: step[0]] != 0
    if inside is not None and not inside.any():
        inside = None
    still = array_view(few)
    seen = {
        'before': array_view(resample_to(moving, Geometry.of(few), 'linear', outside)),
        'after': array_view(moved)[:: step[2], :: step[1], :: step[0]],
    }
    if affine is not None:
        seen['affine'] = array_view(resample_to(moving, Geometry.of(few), 'linear', outside, transform=affine))
    found = {name: _alike(still, array, inside) for name, array in seen.items()}
    before, after = found['before']['correlation'], found['after']['correlation']
    return {
        'intensity': found,
        'worse': after < before,
        'worse_than_affine': after < found['affine']['correlation'] if 'affine' in found else None,
    }


def _alike(fixed, moved, inside):
    fixed, moved = [(array if inside is None else array[inside]).astype(np.float64).ravel() for array in (fixed, moved)]
    difference = float(np.abs(fixed - moved).mean())
    fixed, moved = fixed - fixed.mean(), moved - moved.mean()
    norm = np.sqrt((fixed**2).sum() * (moved**2).sum())
    return {
        'correlation': float((fixed * moved).sum() / norm) if norm > 0 else 0.0,
        'mean_absolute_difference': difference,
    }


def folding(jacobian, mask):
    """Per cent of the voxels of ``mask`` (None: all) whose Jacobian determinant is not positive."""
    values = _values(array_view(jacobian), mask)
    return 100.0 * float(np.count_nonzero(values <= 0)) / values.size


def regularity(jacobian, dvf, mask):
    """{'folding_percent', 'jacobian': {min, max, mean, std}, 'displacement_mm': {median, p95, max}} inside
    ``mask``."""
    values = _values(array_view(jacobian), mask).astype(np.float64)
    length = np.sqrt(np.square(_values(array_view(dvf), mask).astype(np.float32)).sum(axis=-1))
    return {
        'folding_percent': folding(jacobian, mask),
        'jacobian': {
            'min': float(values.min()),
            'max': float(values.max()),
            'mean': float(values.mean()),
            'std': float(values.std()),
        },
        'displacement_mm': {
            'median': float(np.median(length)),
            'p95': float(np.percentile(length, 95)),
            'max': float(length.max()),
        },
    }


def _values(array, mask):
    inside = None if mask is None else array_view(mask) != 0
    if inside is None or not inside.any():
        return array.reshape((-1,) + array.shape[3:])
    return array[inside]


def say(found):
    """Log what was measured; a pair that got worse is a warning."""
    before, after = found['intensity']['before'], found['intensity']['after']
    LOGGER.info(
        'Inside %s: correlation %.4f before, %.4f after; mean absolute difference %.1f HU before, '
        '%.1f after; '
        'displacement median %.2f mm, at most %.2f mm; folding %.4f %%',
        found['measured_inside'],
        before['correlation'],
        after['correlation'],
        before['mean_absolute_difference'],
        after['mean_absolute_difference'],
        found['displacement_mm']['median'],
        found['displacement_mm']['max'],
        found['folding_percent'],
    )
    if found['worse']:
        LOGGER.warning(
            'The images are less alike after the registration than before (correlation %.4f '
            'before, %.4f after). '
            'Look at the moved image; is the pair like those the model was trained on?',
            before['correlation'],
            after['correlation'],
        )
    elif found['worse_than_affine']:
        LOGGER.warning(
            'The images are less alike than after the affine registration alone (correlation '
            '%.4f after it, '
            '%.4f in the end).',
            found['intensity']['affine']['correlation'],
            after['correlation'],
        )
