"""Regularity of a deformation, from the Jacobian determinant J of p + u(p) inside a mask.

========================  ==================================================================================
Number                    Definition
========================  ==================================================================================
folding (%)               100 * voxels of the mask with J <= 0 / voxels of the mask
std                       population standard deviation of J
std_log                   population standard deviation of log(clip(J + offset, 1e-9, 1e9)); the offset is 0,
                          and 3 under the protocol of Learn2Reg, which also leaves out two voxels at each side
                          of the grid
========================  ==================================================================================

J is that of the physical mapping, whatever the direction of the grid
(:func:`functions.image.dvf.jacobian_determinant`); ITK's own filter ignores direction and is not used.
"""

import numpy as np
import SimpleITK as sitk

from functions.evaluation.protocols import get_protocol
from functions.image.dvf import jacobian_determinant_of
from functions.image.geometry import require_same_grid
from functions.setting.errors import InputError


def folding(jacobian, mask):
    """Per cent of the voxels of `mask` (non-zero) whose Jacobian determinant is not positive.

    :param jacobian, mask: arrays [z, y, x] of one shape, or images on one grid.
    :raises InputError: other shapes or grids, an empty mask, values that are not finite.
    """
    values = _inside(jacobian, mask)
    return 100.0 * float(np.count_nonzero(values <= 0)) / values.size


def summary(jacobian, mask, protocol='dirlab'):
    """dict of folding (%), folded (voxels), n (voxels of the mask), mean, std, std_log, min, max.

    :param protocol: a name of :data:`functions.evaluation.protocols.PROTOCOLS`.
    """
    protocol = get_protocol(protocol)
    values = _inside(jacobian, mask, protocol.border)
    folded = int(np.count_nonzero(values <= 0))
    logarithm = np.log(np.clip(values + protocol.log_offset, 1e-9, 1e9))
    return {
        'n': int(values.size),
        'folded': folded,
        'folding': 100.0 * folded / values.size,
        'mean': float(values.mean()),
        'std': float(values.std()),
        'std_log': float(logarithm.std()),
        'min': float(values.min()),
        'max': float(values.max()),
    }


def dvf_summary(dvf, mask, protocol='dirlab'):
    """:func:`summary` of a displacement image (mm) inside a mask on the same grid, whatever its direction."""
    require_same_grid(dvf, mask, 'the DVF', 'the mask')
    return summary(jacobian_determinant_of(dvf), mask, protocol)


def _inside(jacobian, mask, border=0):
    """The values inside the mask, float64 (n,), without ``border`` voxels at each side of the grid."""
    if isinstance(jacobian, sitk.Image) and isinstance(mask, sitk.Image):
        require_same_grid(jacobian, mask, 'the Jacobian', 'the mask')
    jacobian, mask = _array(jacobian), _array(mask)
    if jacobian.shape != mask.shape:
        raise InputError(f'The Jacobian {jacobian.shape} and the mask {mask.shape} must have the same shape.')
    if border and min(mask.shape) > 2 * border:
        jacobian, mask = (array[(slice(border, -border),) * 3] for array in (jacobian, mask))
    values = jacobian[mask != 0].astype(np.float64)
    if values.size == 0:
        raise InputError('The mask is empty; regularity is measured inside it.')
    if not np.all(np.isfinite(values)):
        raise InputError(f'{int(np.sum(~np.isfinite(values)))} values of the Jacobian are not finite.')
    return values


def _array(image):
    return sitk.GetArrayViewFromImage(image) if isinstance(image, sitk.Image) else np.asarray(image)
