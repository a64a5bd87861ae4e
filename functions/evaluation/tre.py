"""Target registration error (TRE): how far landmarks are from where the registration puts them.

The error vector of landmark k is `moving_k - (fixed_k + u(fixed_k))` in mm, its length is the TRE. Standard
deviations are those of the population (ddof 0), success rates are per cent of landmarks strictly below the
threshold.
"""

import itertools

import numpy as np
import SimpleITK as sitk

from functions.image.dvf import sample_dvf
from functions.image.points import index_to_world, world_to_index
from functions.setting.errors import InputError, unknown_name

THRESHOLDS = (1, 2, 3, 5)
PERCENTILES = (5, 25, 75, 90, 95)


def error_vectors(fixed_points, moving_points, dvf=None, interpolation='linear', snap_to=None, after=None):
    """What is missing from the estimated position of every landmark to its true one.

    :param fixed_points, moving_points: (n, 3) mm.
    :param dvf: displacement image (mm, fixed to moving); None: no registration.
    :param after: sitk.Transform applied to where the DVF leads, p -> T(p + u(p)): the affine registration
        that came before the DVF was found. None: the DVF leads to the moving image itself.
    :param interpolation: 'linear' reads the DVF at the landmark itself, 'nearest' at the nearest voxel.
    :param snap_to: image or geometry; the estimated positions are first moved to the nearest voxel centre of
        it (the convention of tables made by displaying voxels), None leaves them alone.
    :return: float64 (n, 3) mm.
    :raises InputError: shapes that do not fit, or numbers that are not finite.
    """
    fixed_points, moving_points = _corresponding(fixed_points, moving_points)
    estimated = fixed_points
    if dvf is not None:
        if interpolation == 'nearest':
            positions = _nearest_voxel(fixed_points, dvf)
        elif interpolation == 'linear':
            positions = fixed_points
        else:
            raise unknown_name('interpolation of the DVF at landmarks', interpolation, ('linear', 'nearest'))
        estimated = fixed_points + sample_dvf(dvf, positions)
    if after is not None:
        estimated = np.array([after.TransformPoint(point.tolist()) for point in estimated])
    if snap_to is not None:
        estimated = _nearest_voxel(estimated, snap_to)
    return moving_points - estimated


def summary(errors):
    """The numbers of a TRE table.

    :param errors: (n, 3) error vectors or (n,) lengths, mm.
    :return: dict of n, mean, std, median, min, max, p5 p25 p75 p90 p95, below_1 below_2 below_3 below_5 (%);
        from vectors also, for each axis x y z, mae_x and mae_std_x (of the absolute error), error_x and
        error_std_x (signed).
    :raises InputError: no landmark at all, or errors that are not finite.
    """
    errors = np.asarray(errors, dtype=np.float64)
    if errors.ndim not in (1, 2) or (errors.ndim == 2 and errors.shape[1] != 3) or errors.size == 0:
        raise InputError(f'TRE needs at least one landmark, errors of shape (n,) or (n, 3); got {errors.shape}.')
    if not np.all(np.isfinite(errors)):
        raise InputError(
            f'The errors of {int(np.sum(~np.isfinite(errors).reshape(len(errors), -1).all(axis=1)))} landmarks are not finite.'
        )
    length = np.linalg.norm(errors, axis=1) if errors.ndim == 2 else errors
    if np.any(length < 0):
        raise InputError('TRE is a length and cannot be negative; give vectors as (n, 3).')
    numbers = {
        'n': int(len(length)),
        'mean': float(length.mean()),
        'std': float(length.std()),
        'median': float(np.median(length)),
        'min': float(length.min()),
        'max': float(length.max()),
    }
    for percent in PERCENTILES:
        numbers[f'p{percent}'] = float(np.percentile(length, percent))
    for threshold in THRESHOLDS:
        numbers[f'below_{threshold}'] = float(100.0 * np.mean(length < threshold))
    if errors.ndim == 2:
        for axis, name in enumerate('xyz'):
            absolute = np.abs(errors[:, axis])
            numbers['mae_' + name] = float(absolute.mean())
            numbers['mae_std_' + name] = float(absolute.std())
            numbers['error_' + name] = float(errors[:, axis].mean())
            numbers['error_std_' + name] = float(errors[:, axis].std())
    return numbers


def merged_summary(errors_per_case):
    """Several cases together, in the two ways found in papers.

    :param errors_per_case: list of (n_k,) or (n_k, 3) errors.
    :return: {'pooled': summary of all landmarks as one set, 'over_cases': {'n', 'mean', 'std', 'median'}:
        statistics of the mean TRE of the cases, every case counting the same}.
    """
    errors_per_case = [np.asarray(errors, dtype=np.float64) for errors in errors_per_case]
    means = np.array([summary(errors)['mean'] for errors in errors_per_case])
    if len({errors.ndim for errors in errors_per_case}) > 1:
        raise InputError('Cases to be merged must all be error vectors (n, 3) or all be lengths (n,).')
    if len(means) == 0:
        raise InputError('No case to merge.')
    return {
        'pooled': summary(np.concatenate(errors_per_case)),
        'over_cases': {
            'n': int(len(means)),
            'mean': float(means.mean()),
            'std': float(means.std()),
            'median': float(np.median(means)),
        },
    }


def best_constant_shift(fixed_points, moving_points, criterion='mean'):
    """Error vectors left by the best translation: what any method must beat to have found more than a shift.

    :param criterion: 'mean' removes the mean displacement (least squares); 'median' the geometric median, the
        shift with the lowest possible mean TRE.
    :return: float64 (n, 3) mm.
    """
    error = error_vectors(fixed_points, moving_points)
    shift = error.mean(axis=0)
    if criterion == 'median':
        shift = _geometric_median(error, shift)
    elif criterion != 'mean':
        raise unknown_name('criterion of the best shift', criterion, ('mean', 'median'))
    return error - shift


def mean_field(fixed_points, moving_points, dvfs, box=None, boxes=None):
    """Error vectors left by the mean of other patients' DVFs: what knowing the usual motion alone achieves.

    Without boxes the fields are averaged at equal physical positions. With boxes a landmark is looked up at
    the same relative position in the box of every other patient (for instance of the lungs, see
    :func:`mask_box`).

    :param dvfs: iterable of displacement images (mm); read one at a time, so a generator costs one image of
        memory. With `box` and without `boxes`: iterable of (displacement image, its box).
    :param box: (lower, upper) corners (x, y, z) mm of this patient.
    :param boxes: the same for every one of `dvfs`.
    :return: float64 (n, 3) mm.
    :raises InputError: no field, or boxes that do not correspond to the fields.
    """
    fixed_points, moving_points = _corresponding(fixed_points, moving_points)
    total, count = np.zeros_like(fixed_points), 0
    for dvf, other in _with_boxes(dvfs, box, boxes):
        total += sample_dvf(dvf, fixed_points if other is None else _between_boxes(fixed_points, box, other))
        count += 1
    if count == 0:
        raise InputError('The mean field needs at least one displacement field.')
    return moving_points - fixed_points - total / count


def _with_boxes(dvfs, box, boxes):
    """Pairs of a field and its box (None: no boxes), one at a time."""
    if box is None:
        if boxes is not None:
            raise InputError('The mean field needs the box of this patient beside those of the others.')
        pairs = ((dvf, False) for dvf in dvfs)
    else:
        pairs = dvfs if boxes is None else itertools.zip_longest(dvfs, boxes)
    for dvf, other in pairs:
        if dvf is None or other is None:
            raise InputError('The mean field needs one box for each field, no more and no fewer.')
        yield dvf, other if box is not None else None


def mask_box(mask):
    """Corners of the box around the non-zero voxels of a mask image: (lower, upper), float64 (3,) mm each.

    The box has the axes of physical space, and holds the voxel centres whatever the direction of the image.
    :raises InputError: the mask is empty.
    """
    inside = np.argwhere(sitk.GetArrayViewFromImage(mask) != 0)
    if len(inside) == 0:
        raise InputError('The mask is empty; there is no box around nothing.')
    points = index_to_world(inside[:, ::-1].astype(np.float64), mask)
    return points.min(axis=0), points.max(axis=0)


def check_expected(errors, expected, tolerance=0.05, name='this pair'):
    """The gate before any result: the TRE before registration must be the one published for the data.

    :param expected: mean TRE in mm, None where it is not known (then nothing is checked).
    :raises InputError: the difference exceeds the tolerance: landmarks and image do not speak of the same
        positions.
    """
    if expected is None:
        return
    found = summary(errors)['mean']
    if abs(found - expected) > tolerance:
        raise InputError(
            f'The TRE of {name} before registration is {found:.2f} mm and should be {expected:.2f} ± {tolerance:.2f} mm. Look for '
            'voxel numbers taken for millimetres, a wrong spacing, counting from 0 instead of 1, a flipped '
            'or swapped axis, or the landmarks of another case.'
        )


def _corresponding(fixed_points, moving_points):
    fixed_points = np.asarray(fixed_points, dtype=np.float64)
    moving_points = np.asarray(moving_points, dtype=np.float64)
    for points in (fixed_points, moving_points):
        if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0 or not np.all(np.isfinite(points)):
            raise InputError(f'Landmarks are (n, 3) finite numbers, n at least 1; got shape {points.shape}.')
    if fixed_points.shape != moving_points.shape:
        raise InputError(f'Landmarks must correspond: {len(fixed_points)} fixed and {len(moving_points)} moving ones.')
    return fixed_points, moving_points


def _nearest_voxel(points, image):
    return index_to_world(np.floor(world_to_index(points, image) + 0.5), image)


def _between_boxes(points, box, other):
    lower, upper = (np.asarray(corner, dtype=np.float64) for corner in box)
    other_lower, other_upper = (np.asarray(corner, dtype=np.float64) for corner in other)
    if np.any(upper <= lower) or np.any(other_upper <= other_lower):
        raise InputError('A box is (lower, upper) with every upper coordinate above the lower one.')
    return other_lower + (points - lower) / (upper - lower) * (other_upper - other_lower)


def _geometric_median(vectors, start, iterations=200):
    """Weiszfeld's iteration; lengths are kept off zero, where the minimum may sit on a data point."""
    current = start
    for _ in range(iterations):
        weight = 1.0 / np.maximum(np.linalg.norm(vectors - current, axis=1), 1e-9)
        following = (vectors * weight[:, None]).sum(axis=0) / weight.sum()
        if np.linalg.norm(following - current) < 1e-9:
            break
        current = following
    return current
