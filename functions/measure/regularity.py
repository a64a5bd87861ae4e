"""Regularity of a deformation, from the Jacobian determinant J of p + u(p) inside a mask.

Folding is the percentage of voxels with J <= 0. Standard deviations are those of the population; std_log is that of
log(clip(J + offset, 1e-9, 1e9)), the offset being 0, and 3 under the protocol of Learn2Reg, which also leaves out two
voxels at each side of the grid. J is that of the physical mapping, whatever the direction of the grid
(:func:`functions.image.dvf.jacobian_determinant`); ITK's own filter ignores direction and is not used.
"""

from typing import Dict, Union

import numpy as np
import SimpleITK as sitk

from .masked_values import as_array, unless_empty, values_inside
from .protocols import get_protocol


def folding(jacobian, mask=None):
    """Percentage of voxels whose Jacobian determinant is not positive; parameters and errors as :func:`summary`."""
    return summary(jacobian, mask)['folding']


def summary(
    jacobian: Union[np.ndarray, sitk.Image], mask: Union[np.ndarray, sitk.Image, None] = None, protocol: str = 'dirlab'
) -> Dict[str, float]:
    """Dictionary of n and folded (voxels), folding (%), mean, std, std_log, min and max of J.

    :param jacobian, mask: images on one grid, or arrays [z, y, x] of one shape; mask None: everywhere.
    :raises InputError: grids or shapes that differ, an empty mask, or values that are not finite.
    """
    conventions = get_protocol(protocol)
    (values,) = values_inside({'the Jacobian': jacobian}, mask, conventions.border)
    folded = int(np.count_nonzero(values <= 0))
    logarithm = np.log(np.clip(values + conventions.log_offset, 1e-9, 1e9))
    numbers = {'n': values.size, 'folded': folded, 'folding': 100.0 * folded / values.size}
    numbers.update({name: float(getattr(values, name)()) for name in ('mean', 'std', 'min', 'max')})
    return dict(numbers, std_log=float(logarithm.std()))


def field_summary(jacobian, dvf, mask=None):
    """What ``results.json`` says of a field.

    :param jacobian, dvf: images of the Jacobian determinant and of the displacement (mm) on one grid.
    :param mask: mask on that grid; None or empty: everywhere.
    :return: {'folding_percent', 'jacobian': {min, max, mean, std}, 'displacement_mm': {median, p95, max}}.
    """
    mask = unless_empty(mask)
    numbers = summary(jacobian, mask)
    vectors = as_array(dvf)
    vectors = vectors.reshape(-1, 3) if mask is None else vectors[as_array(mask) != 0]
    length = np.sqrt(np.square(vectors.astype(np.float32)).sum(axis=-1))
    percentiles = {'median': 50, 'p95': 95, 'max': 100}
    return {
        'folding_percent': numbers['folding'],
        'jacobian': {key: numbers[key] for key in ('min', 'max', 'mean', 'std')},
        'displacement_mm': {name: float(np.percentile(length, share)) for name, share in percentiles.items()},
    }
