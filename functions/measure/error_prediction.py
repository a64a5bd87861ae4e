"""How well the error of a registration is predicted, at points where it is known."""

import numpy as np
import SimpleITK as sitk
from scipy.stats import spearmanr

from ..image.resample import values_at
from .tre import THRESHOLDS

#: Titles of what :func:`agreement` finds, and its keys, in the order of a table.
ROWS = [('true, mean (mm)', 'mean_true'), ('expected, mean (mm)', 'mean_expected')]
ROWS += [('mean absolute difference (mm)', 'mean_absolute_difference'), ('rank correlation', 'rank_correlation')]
ROWS += [(f'{name} within {mm} mm (%)', f'{name}_within_{mm}') for mm in THRESHOLDS for name in ('true', 'expected')]
ROWS += [('landmarks where an error is expected', 'n')]


def components(image):
    """The scalar images of a map of expected errors; the first is the error in mm."""
    count = image.GetNumberOfComponentsPerPixel()
    return [image] if count == 1 else [sitk.VectorIndexSelectionCast(image, k) for k in range(count)]


def predicted_at(image, points):
    """What a map of expected errors says at points (n, 3) mm: float64 (n, components), NaN where it says nothing.

    It is interpolated linearly in physical space. It says nothing outside its grid, nor where the nearest voxel is 0,
    as outside the mask; beside such voxels the others count alone, or the error would be said to fall there.

    :param image: one component in mm; further ones are 0 where that is 0.
    """
    parts = components(image)
    seen = parts[0] > 0
    weight, inside = values_at(seen, points)
    inside &= values_at(seen, points, order=0)[0] != 0
    found = np.full((len(points), len(parts)), np.nan)
    for k, part in enumerate(parts):
        found[inside, k] = values_at(part, points)[0][inside] / weight[inside]
    return found


def agreement(errors, expected, within=None):
    """How predicted errors go with the true ones.

    :param errors, expected: true and expected error of every point, (n,) mm.
    :param within: predicted probabilities that the error is at most each of THRESHOLDS, (n, 4), or None.
    :return: JSON-able dictionary: n, mean_true, mean_expected, mean_absolute_difference (mm; None without points),
        rank_correlation (Spearman's; None for fewer than three points or where one of both is constant), and, with
        ``within``, true_within_1 and expected_within_1 to _5: percentage of the points.
    """
    errors, expected = (np.asarray(values, np.float64) for values in (errors, expected))
    sizes = {'true': errors, 'expected': expected, 'absolute_difference': np.abs(expected - errors)}
    found = {'n': len(errors)}
    found.update({f'mean_{name}': float(values.mean()) if len(errors) else None for name, values in sizes.items()})
    has_order = len(errors) > 2 and np.ptp(errors) > 0 and np.ptp(expected) > 0
    found['rank_correlation'] = float(spearmanr(errors, expected)[0]) if has_order else None
    if within is not None and len(errors):
        for mm, said in zip(THRESHOLDS, np.transpose(within)):
            found[f'true_within_{mm}'] = 100.0 * float(np.mean(errors <= mm))
            found[f'expected_within_{mm}'] = 100.0 * float(np.mean(said))
    return found
