"""Figures of a comparison: notched box plots of a measure, true against estimated displacement."""

import numpy as np

from ..setting.atomic import publish
from ..setting.errors import InputError, require_known
from .section_drawing import expected_errors, new_figure

#: measure -> (label of the axis, function of error vectors (n, 3)).
MEASURES = {
    'TRE': ('target registration error (mm)', lambda error: np.linalg.norm(error, axis=1)),
    'x': ('error along x, right-left (mm)', lambda error: error[:, 0]),
    'y': ('error along y, anterior-posterior (mm)', lambda error: error[:, 1]),
    'z': ('error along z, inferior-superior (mm)', lambda error: error[:, 2]),
}
COLOURS = ('#1f6fb4', '#3aa655', '#e08e0b', '#8e44ad', '#16a2b8', '#c0392b', '#7f8c8d', '#a0522d')
_DPI = 150
_BOXES = {'notch': True, 'widths': 0.7, 'patch_artist': True, 'manage_ticks': False}
_MEDIAN, _OUTLIERS = {'color': 'black'}, {'marker': '.', 'markersize': 3}


def box_plot(path, comparison, measure='TRE', per_pair=False):
    """Notched box plots: boxes from the first to the third quartile, notches at the 95 % interval of the median,
    whiskers of at most 1.5 boxes, all landmarks beyond as points.

    :param path: .png, .pdf or .svg.
    :param measure: 'TRE', or the signed error along 'x', 'y' or 'z'.
    :param per_pair: one group of boxes for each pair instead of one box of all landmarks.
    :return: the values shown, {name of the group: {method: (n,)}}.
    :raises InputError: no landmarks. :raises UnknownNameError: another measure.
    """
    require_known('measure of a box plot', measure, MEASURES)
    label, of_vectors = MEASURES[measure]
    methods, names = comparison.methods, comparison.names
    if not names:
        raise InputError('The compared results have no landmarks to draw.')
    groups = names if per_pair else [f'all {len(names)} pairs']
    shown, step = {group: {} for group in groups}, len(methods) + 1.0
    figure = new_figure(max(5.0, 1.5 + 0.45 * len(methods) * len(groups)), 5.0, _DPI)
    axes = figure.add_subplot(111)
    first = np.arange(len(groups)) * step
    for k, method in enumerate(methods):
        vectors = comparison.vectors(method)
        values = [of_vectors(v) for v in (vectors if per_pair else [np.concatenate(vectors)])]
        for group, one in zip(groups, values):
            shown[group][method] = one
        colour = COLOURS[k % len(COLOURS)]
        box = {'facecolor': colour, 'edgecolor': 'black', 'linewidth': 0.8}
        axes.boxplot(values, positions=first + k, boxprops=box, medianprops=_MEDIAN, flierprops=_OUTLIERS, **_BOXES)
        axes.plot([], [], 's', color=colour, markersize=9, label=method)
    axes.set_xticks(first + 0.5 * (len(methods) - 1))
    axes.set_xticklabels(groups, rotation=30 if per_pair else 0, ha='right' if per_pair else 'center')
    axes.set(ylabel=label, xlim=(-1, len(groups) * step - 1), ylim=(0, None) if measure == 'TRE' else None)
    axes.grid(True, axis='y', color='0.88')
    axes.set_axisbelow(True)
    axes.legend(fontsize=9, framealpha=0.95)
    _save(figure, path)
    return shown


def scatter_plot(path, comparison, method):
    """True against estimated displacement of every landmark, one panel for each axis, with the line of identity.

    :return: (true, estimated), (n, 3) mm each, as shown.
    :raises InputError: no landmarks. :raises UnknownNameError: a method that is not compared.
    """
    require_known('compared method', method, comparison.methods)
    if not comparison.names:
        raise InputError('The compared results have no landmarks to draw.')
    true, estimated = (np.concatenate(comparison.vectors(method, what)) for what in ('true', 'estimated'))
    figure = new_figure(13.0, 4.6, _DPI)
    for axis, name in enumerate('xyz'):
        axes = figure.add_subplot(1, 3, axis + 1)
        both = true[:, axis], estimated[:, axis]
        limits = np.min(both) - 1.0, np.max(both) + 1.0
        axes.plot(limits, limits, color='0.5', linewidth=1)
        axes.plot(*both, '.', color=COLOURS[0], markersize=4, alpha=0.6)
        axes.set(xlabel=f'true displacement along {name} (mm)', ylabel='estimated (mm)')
        axes.set(xlim=limits, ylim=limits, aspect='equal')
        axes.grid(True, color='0.9')
    figure.suptitle(f'{method}: {len(true)} landmarks')
    _save(figure, path)
    return true, estimated


def expected_plot(path, comparison, method):
    """Expected against true error of the landmarks of a method that expects errors."""
    _save(expected_errors(*comparison.expected_errors(method)[:2]), path)


def _save(figure, path):
    with publish(path) as temporary:
        figure.savefig(temporary, dpi=_DPI, bbox_inches='tight')
