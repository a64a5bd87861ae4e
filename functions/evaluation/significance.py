"""Is the difference of two methods on the same landmarks or cases more than chance?"""

import numpy as np
from scipy import stats

from functions.setting.errors import InputError


def paired_wilcoxon(first, second):
    """Two-sided p-value of Wilcoxon's signed-rank test of paired numbers.

    Zero differences are shared by both ranks (``zsplit``), so that ties count as no difference instead of
    being forgotten. Landmarks of one case are not independent of each other: a p-value over landmarks says
    that the two results differ on these cases, one over cases that they would on others.

    :param first, second: (n,) numbers that correspond.
    :return: float in [0, 1]; 1.0 where all differences are zero.
    :raises InputError: other shapes, no number, or numbers that are not finite.
    """
    first, second = (np.asarray(values, dtype=np.float64) for values in (first, second))
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise InputError(f'Paired numbers are needed; got {first.shape} and {second.shape}.')
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InputError('Paired numbers must be finite.')
    if np.array_equal(first, second):
        return 1.0
    return float(stats.wilcoxon(first, second, zero_method='zsplit').pvalue)
