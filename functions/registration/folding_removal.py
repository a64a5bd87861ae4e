"""Removal of folding from a displacement field, which is left alone where it does not fold."""

import logging

import numpy as np
from scipy import ndimage

from ..image.dvf import jacobian_determinant
from ..image.volume_io import array_view, image_from_array
from ..setting.errors import InputError

LOGGER = logging.getLogger(__name__)

#: The smallest Jacobian determinant accepted.
LEAST = 0.05
_ROUNDS = 60
_WIDTH = 1.5  # voxels, of the smoothing in the first round
_GROWTH = 1.1


def remove_folding(dvf, mask=None):
    """Smooth a field where its Jacobian determinant is below :data:`LEAST`, and only there.

    In every round these places and their surroundings are blended with a Gaussian-smoothed copy, a little wider each
    time, until none is left.

    :param dvf: displacement image, mm.
    :param mask: where the change of the field is measured (lung); None: everywhere.
    :return: (field, report): ``folded_before`` and ``folded_after`` (voxels with a determinant <= 0),
        ``rounds``, and the change of the field inside the mask, ``mean_change_mm`` and ``max_change_mm``.
    :raises InputError: folding is left after the last round.
    """
    first = array_view(dvf)
    field = first.copy()
    spacing, direction = dvf.GetSpacing(), dvf.GetDirection()
    jacobian = jacobian_determinant(field, spacing, direction)
    folded = int(np.count_nonzero(jacobian <= 0))
    rounds, width = 0, _WIDTH
    while jacobian.min() < LEAST:
        if rounds == _ROUNDS:
            left = int(np.count_nonzero(jacobian <= 0))
            raise InputError(
                f'The field still folds after {rounds} rounds of smoothing ({left} voxels), unlike any field of a '
                'trained network. Register without --diffeomorphic and inspect the field.'
            )
        _smooth_at(field, jacobian < LEAST, width)
        jacobian = jacobian_determinant(field, spacing, direction)
        rounds, width = rounds + 1, width * _GROWTH
    change = np.sqrt(np.square(field - first).sum(axis=-1))
    change = change if mask is None else change[array_view(mask) != 0]
    report = {'folded_before': folded, 'folded_after': int(np.count_nonzero(jacobian <= 0)), 'rounds': rounds}
    report.update(mean_change_mm=float(change.mean()), max_change_mm=float(change.max()))
    text = ', '.join(f'{name} {value:.4g}' for name, value in report.items())
    LOGGER.info('Folding removed: %s', text)
    return image_from_array(field, dvf), report


def _smooth_at(field, folded, width):
    """Blend ``field`` with its smoothed self around the ``folded`` voxels, in their bounding box only."""
    reach = int(np.ceil(8 * width))
    box = tuple(slice(max(places.min() - reach, 0), places.max() + reach + 1) for places in np.nonzero(folded))
    weight = ndimage.binary_dilation(folded[box], iterations=1 + int(width)).astype(np.float32)
    weight = ndimage.gaussian_filter(weight, width, mode='nearest')[..., None]
    part = field[box]
    smooth = np.stack([ndimage.gaussian_filter(part[..., i], width, mode='nearest') for i in range(3)], -1)
    part += weight * (smooth - part)
