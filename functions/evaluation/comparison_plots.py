"""Figures of a comparison: notched box plots of a measure, true against estimated displacement."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from functions.setting.atomic import publish
from functions.setting.errors import InputError, unknown_name

#: measure -> (label of the axis, function of error vectors (n, 3)).
MEASURES = {
    'TRE': ('target registration error (mm)', lambda error: np.linalg.norm(error, axis=1)),
    'x': ('error along x, right-left (mm)', lambda error: error[:, 0]),
    'y': ('error along y, anterior-posterior (mm)', lambda error: error[:, 1]),
    'z': ('error along z, inferior-superior (mm)', lambda error: error[:, 2]),
}
COLOURS = ('#1f6fb4', '#3aa655', '#e08e0b', '#8e44ad', '#16a2b8', '#c0392b', '#7f8c8d', '#a0522d')
_DPI = 150


def box_plot(path, comparison, measure='TRE', per_pair=False, before=True):
    """Notched box plots: boxes from the first to the third quartile, notches the 95 % interval of the median,
    whiskers 1.5 times the box, all farther landmarks as points.

    :param path: file to write, .png, .pdf or .svg.
    :param comparison: :class:`functions.evaluation.comparison.Comparison`.
    :param measure: 'TRE', or the signed error along 'x', 'y' or 'z'.
    :param per_pair: one group of boxes for each pair instead of one box of all landmarks.
    :param before: show the error before the DVF first.
    :return: the values shown, {name of the group: {name of the box: (n,)}}.
    :raises InputError: no landmarks; UnknownNameError: another measure.
    """
    if measure not in MEASURES:
        raise unknown_name('measure of a box plot', measure, MEASURES)
    label, of_vectors = MEASURES[measure]
    boxes = [('before', comparison.vectors(comparison.methods[0], 'error_base'))] if before else []
    boxes += [(name, comparison.vectors(name)) for name in comparison.methods]
    names = comparison.names(landmarks=True)
    if not names:
        raise InputError('The compared results have no landmarks to draw.')
    groups = names if per_pair else [f'all {len(names)} pairs']
    shown = {group: {} for group in groups}
    figure = _figure(max(5.0, 1.5 + 0.45 * len(boxes) * len(groups)), 5.0)
    axes = figure.add_subplot(111)
    for k, (name, vectors) in enumerate(boxes):
        values = [of_vectors(v) for v in (vectors if per_pair else [np.concatenate(vectors)])]
        shown_here = dict(zip(groups, values))
        for group in groups:
            shown[group][name] = shown_here[group]
        colour = '0.75' if before and k == 0 else COLOURS[(k - before) % len(COLOURS)]
        places = np.arange(len(groups)) * (len(boxes) + 1.0) + k
        axes.boxplot(
            values,
            notch=True,
            positions=places,
            widths=0.7,
            patch_artist=True,
            manage_ticks=False,
            boxprops={'facecolor': colour, 'edgecolor': 'black', 'linewidth': 0.8},
            medianprops={'color': 'black'},
            flierprops={'marker': '.', 'markersize': 3},
        )
        axes.plot([], [], 's', color=colour, markersize=9, label=name)
    middle = np.arange(len(groups)) * (len(boxes) + 1.0) + 0.5 * (len(boxes) - 1)
    axes.set_xticks(middle)
    axes.set_xticklabels(groups, rotation=30 if per_pair else 0, ha='right' if per_pair else 'center')
    axes.set_ylabel(label)
    axes.set_xlim(-1, len(groups) * (len(boxes) + 1.0) - 1)
    if measure == 'TRE':
        axes.set_ylim(bottom=0)
    axes.grid(True, axis='y', color='0.88')
    axes.set_axisbelow(True)
    axes.legend(fontsize=9, framealpha=0.95)
    _save(figure, path)
    return shown


def scatter_plot(path, comparison, method):
    """True against estimated displacement of every landmark, one panel for each axis, with the line on which
    they are equal.

    :return: (true, estimated), (n, 3) mm each, as shown.
    :raises InputError: no landmarks; UnknownNameError: a method that is not compared.
    """
    if method not in comparison.methods:
        raise unknown_name('compared method', method, comparison.methods)
    if not comparison.names(landmarks=True):
        raise InputError('The compared results have no landmarks to draw.')
    true, estimated = (np.concatenate(comparison.vectors(method, what)) for what in ('true', 'estimated'))
    figure = _figure(13.0, 4.6)
    for axis, name in enumerate('xyz'):
        axes = figure.add_subplot(1, 3, axis + 1)
        both = np.concatenate([true[:, axis], estimated[:, axis]])
        low, high = both.min() - 1.0, both.max() + 1.0
        axes.plot([low, high], [low, high], color='0.5', linewidth=1)
        axes.plot(true[:, axis], estimated[:, axis], '.', color=COLOURS[0], markersize=4, alpha=0.6)
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        axes.set_aspect('equal')
        axes.set_xlabel(f'true displacement along {name} (mm)')
        axes.set_ylabel('estimated (mm)')
        axes.grid(True, color='0.9')
        axes.set_axisbelow(True)
    figure.suptitle(f'{method}: {len(true)} landmarks')
    _save(figure, path)
    return true, estimated


def _figure(width, height):
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor='white')
    FigureCanvasAgg(figure)
    return figure


def _save(figure, path):
    with publish(path) as temporary:
        figure.savefig(temporary, dpi=_DPI, bbox_inches='tight')
