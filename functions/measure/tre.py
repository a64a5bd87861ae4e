"""Target registration error (TRE): the distance from where the registration puts landmarks to where they are.

The error vector of landmark k is `moving_k - (fixed_k + u(fixed_k))` in mm; its length is the TRE. Standard deviations
are those of the population (ddof 0), success rates are the percentage of landmarks strictly below the threshold.
"""

from typing import Any, Dict, Sequence, Union

import numpy as np

from ..image.dvf import sample_dvf
from ..image.geometry import Geometry
from ..image.volume_io import array_view
from ..setting.errors import InputError, require_known

THRESHOLDS = (1, 2, 3, 5)
PERCENTILES = (5, 25, 75, 90, 95)


def error_vectors(fixed_points, moving_points, dvf=None, interpolation='linear', snap_to=None, after=None):
    """Vector from the estimated to the true position of every landmark.

    :param fixed_points, moving_points: (n, 3) mm.
    :param dvf: displacement image (mm, fixed to moving); None: no registration.
    :param interpolation: 'linear' reads the DVF at the landmark itself, 'nearest' at the nearest voxel.
    :param snap_to: image or geometry to whose nearest voxel centres estimated positions are moved (as in tables made by
        displaying voxels); None: they stay.
    :param after: sitk.Transform T of the affine registration that preceded the DVF, p -> T(p + u(p)).
    :return: float64 (n, 3) mm.
    :raises InputError: shapes that do not fit, or numbers that are not finite.
    """
    fixed_points, moving_points = _corresponding(fixed_points, moving_points)
    require_known('interpolation of the DVF at landmarks', interpolation, ('linear', 'nearest'))
    estimated = fixed_points
    if dvf is not None:
        positions = _nearest_voxel(fixed_points, dvf) if interpolation == 'nearest' else fixed_points
        estimated = fixed_points + sample_dvf(dvf, positions)
    if after is not None:
        estimated = np.array([after.TransformPoint(point.tolist()) for point in estimated])
    if snap_to is not None:
        estimated = _nearest_voxel(estimated, snap_to)
    return moving_points - estimated


def summary(errors: Union[np.ndarray, Sequence[Any]]) -> Dict[str, float]:
    """The numbers of a TRE table.

    :param errors: (n, 3) error vectors or (n,) lengths, mm.
    :return: dictionary of n, mean, std, median, min, max, p5 p25 p75 p90 p95, below_1 below_2 below_3 below_5 (%); from
        vectors also, for each axis, mae_x and mae_std_x (absolute error), error_x and error_std_x (signed).
    :raises InputError: no landmark, or errors that are not finite.
    """
    errors = np.asarray(errors, dtype=np.float64)
    if errors.ndim not in (1, 2) or (errors.ndim == 2 and errors.shape[1] != 3) or errors.size == 0:
        raise InputError(f'TRE needs at least one landmark, errors of shape (n,) or (n, 3); got {errors.shape}.')
    length = np.linalg.norm(errors, axis=1) if errors.ndim == 2 else errors
    if not np.all(np.isfinite(length)):
        raise InputError(f'The errors of {int(np.sum(~np.isfinite(length)))} landmarks are not finite.')
    if np.any(length < 0):
        raise InputError('TRE is a length and cannot be negative; give vectors as (n, 3).')
    numbers = {name: float(getattr(np, name)(length)) for name in ('mean', 'std', 'median', 'min', 'max')}
    numbers['n'] = len(length)
    numbers.update({f'p{percent}': float(np.percentile(length, percent)) for percent in PERCENTILES})
    numbers.update({f'below_{mm}': float(100.0 * np.mean(length < mm)) for mm in THRESHOLDS})
    if errors.ndim == 2:
        for axis, name in enumerate('xyz'):
            for what, values in (('error', errors[:, axis]), ('mae', np.abs(errors[:, axis]))):
                numbers[f'{what}_{name}'], numbers[f'{what}_std_{name}'] = float(values.mean()), float(values.std())
    return numbers


def merged_summary(errors_per_case):
    """Several cases, at least one, of (n_k,) or (n_k, 3) errors together, in the two ways found in papers.

    :return: {'pooled': :func:`summary` of all landmarks, 'over_cases': {'n', 'mean', 'std'} of the cases' means}.
    """
    if not len(errors_per_case):
        raise InputError('There is no case to merge.')
    means = np.array([summary(errors)['mean'] for errors in errors_per_case])
    return {
        'pooled': summary(np.concatenate(errors_per_case)),
        'over_cases': {'n': len(means), 'mean': float(means.mean()), 'std': float(means.std())},
    }


def best_constant_shift(fixed_points, moving_points):
    """Error vectors, float64 (n, 3) mm, left by the translation of lowest mean TRE (the geometric median of the
    displacements): what a method must beat to have found more than a shift."""
    error = error_vectors(fixed_points, moving_points)
    shift = error.mean(axis=0)
    for _ in range(200):  # Weiszfeld's iteration, with lengths kept off zero
        weight = 1.0 / np.maximum(np.linalg.norm(error - shift, axis=1), 1e-9)
        previous, shift = shift, (error * weight[:, None]).sum(axis=0) / weight.sum()
        if np.linalg.norm(shift - previous) < 1e-9:
            break
    return error - shift


def mean_field(fixed_points, moving_points, fields, box):
    """Error vectors left by the mean of other patients' DVFs: what knowing the usual motion alone achieves.

    A landmark is looked up at the same relative position in the box of every other patient, usually that of the lungs.

    :param fields: iterable of (displacement image in mm, its box), at least one; one at a time is held in memory.
    :param box: :func:`mask_box` of this patient, (lower, upper) corners (x, y, z) mm.
    :return: float64 (n, 3) mm.
    """
    fixed_points, moving_points = _corresponding(fixed_points, moving_points)
    total, count = np.zeros_like(fixed_points), 0
    for dvf, other in fields:
        total += sample_dvf(dvf, _between_boxes(fixed_points, box, other))
        count += 1
    if count == 0:
        raise InputError('The mean field needs at least one displacement field.')
    return moving_points - fixed_points - total / count


def mask_box(mask):
    """Box, along the axes of physical space, of the centres of the non-zero voxels of a mask image, which must not be
    empty: (lower, upper), float64 (3,) mm each.
    """
    inside = np.argwhere(array_view(mask) != 0)
    if len(inside) == 0:
        raise InputError('The mask is empty; it has no box.')
    points = Geometry.of(mask).index_to_world(inside[:, ::-1])
    return points.min(axis=0), points.max(axis=0)


def _corresponding(fixed_points, moving_points):
    fixed_points, moving_points = (np.asarray(points, np.float64) for points in (fixed_points, moving_points))
    for points in (fixed_points, moving_points):
        if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0 or not np.all(np.isfinite(points)):
            raise InputError(f'Landmarks are (n, 3) finite numbers, n at least 1; got shape {points.shape}.')
    if fixed_points.shape != moving_points.shape:
        raise InputError(f'Landmarks must correspond: {len(fixed_points)} fixed, {len(moving_points)} moving.')
    return fixed_points, moving_points


def _nearest_voxel(points, image):
    geometry = Geometry.of(image)
    return geometry.index_to_world(np.floor(geometry.world_to_index(points) + 0.5))


def _between_boxes(points, box, other):
    (lower, upper), (other_lower, other_upper) = np.asarray(box, np.float64), np.asarray(other, np.float64)
    if np.any(upper <= lower) or np.any(other_upper <= other_lower):
        raise InputError('A box is (lower, upper) with every upper coordinate above the lower one.')
    return other_lower + (points - lower) / (upper - lower) * (other_upper - other_lower)
