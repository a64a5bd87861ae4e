"""Regularity of a deformation, from the Jacobian determinant J of p + u(p) inside a mask.

========================  ==================================================================================
Number                    Definition
========================  ==================================================================================
folding (%)               100 * voxels of the mask with J <= 0 / voxels of the mask
std                       population standard deviation of J
std_log                   population standard deviation of log(clip(J + offset, 1e-9, 1e9)); the offset is 0,
                          and 3 under the protocol of Learn2Reg
========================  ==================================================================================
"""
import numpy as np
import SimpleITK as sitk

from functions.image.dvf import jacobian_determinant_of
from functions.image.geometry import require_same_grid
from functions.setting.errors import InputError, unknown_name

LOG_OFFSET = {'dirlab': 0.0, 'learn2reg': 3.0}


def folding(jacobian, mask):
    """Per cent of the voxels of `mask` (non-zero) whose Jacobian determinant is not positive.

    :param jacobian, mask: arrays [z, y, x] of one shape, or images on one grid.
    :raises InputError: other shapes or grids, an empty mask, values that are not finite.
    """
    values = _inside(jacobian, mask)
    return 100.0 * float(np.count_nonzero(values <= 0)) / values.size


def summary(jacobian, mask, protocol='dirlab'):
    """dict of folding (%), folded (voxels), n (voxels of the mask), mean, std, std_log, min, max."""
    if protocol not in LOG_OFFSET:
        raise unknown_name('protocol', protocol, sorted(LOG_OFFSET))
    values = _inside(jacobian, mask)
    folded = int(np.count_nonzero(values <= 0))
    logarithm = np.log(np.clip(values + LOG_OFFSET[protocol], 1e-9, 1e9))
    return {'n': int(values.size), 'folded': folded, 'folding': 100.0 * folded / values.size,
            'mean': float(values.mean()), 'std': float(values.std()), 'std_log': float(logarithm.std()),
            'min': float(values.min()), 'max': float(values.max())}


def dvf_summary(dvf, mask, protocol='dirlab'):
    """:func:`summary` of a displacement image (mm) inside a mask on the same grid, whatever its direction."""
    require_same_grid(dvf, mask, 'the DVF', 'the mask')
    return summary(jacobian_determinant_of(dvf), mask, protocol)


def _inside(jacobian, mask):
    """The values inside the mask, float64 (n,)."""
    if isinstance(jacobian, sitk.Image) and isinstance(mask, sitk.Image):
        require_same_grid(jacobian, mask, 'the Jacobian', 'the mask')
    jacobian, mask = _array(jacobian), _array(mask)
    if jacobian.shape != mask.shape:
        raise InputError('The Jacobian {} and the mask {} must have the same shape.'.format(
            jacobian.shape, mask.shape))
    values = jacobian[mask != 0].astype(np.float64)
    if values.size == 0:
        raise InputError('The mask is empty; regularity is measured inside it.')
    if not np.all(np.isfinite(values)):
        raise InputError('{} values of the Jacobian are not finite.'.format(
            int(np.sum(~np.isfinite(values)))))
    return values


def _array(image):
    return sitk.GetArrayViewFromImage(image) if isinstance(image, sitk.Image) else np.asarray(image)
