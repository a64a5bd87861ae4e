"""A picture of the error that is expected of a registration, with the true error at landmarks on top."""

import numpy as np

from functions.evaluation.section_drawing import LANDMARK_SLAB, LUNG_WINDOW, PADDING, new_figure
from functions.evaluation.sections import choose_sections, extent, in_plane, points_near, sample
from functions.setting.atomic import publish


def error_map_picture(path, fixed, lung, expected, points, errors, title):
    """Write a coronal and a sagittal section through the landmark with the largest error as PNG.

    :param fixed, lung: fixed image (HU) and its lung mask, which chooses the sections.
    :param expected: image of the expected error, mm; 0 where nothing is said.
    :param points, errors: landmarks of the fixed image (n, 3) and their true errors (n,), mm.
    """
    worst = points[np.argmax(errors)]
    sections = [one._replace(position=float(worst[one.normal])) for one in choose_sections(fixed, lung)[:2]]
    sizes = np.array([np.diff(extent(section))[::2] for section in sections])
    scale, left, top = min(4.5 / sizes[:, 1].max(), 12 / sizes[:, 0].sum()), 0.2, 0.75
    tall = sizes[:, 1].max() * scale
    width, height = sizes[:, 0].sum() * scale + 1.5, tall + top + 0.2
    figure = new_figure(width, height)
    largest = float(np.clip(np.percentile(errors, 98), 1.0, 10.0))
    style = {'cmap': 'plasma', 'vmin': 0, 'vmax': largest}
    for section, (across, up) in zip(sections, sizes * scale):
        axes = figure.add_axes([left / width, 0.2 / height, across / width, up / height])
        edges = extent(section)
        axes.set(xticks=[], yticks=[], xlim=edges[:2], ylim=edges[2:])
        place = {'origin': 'lower', 'extent': edges, 'aspect': 'equal', 'interpolation': 'bilinear'}
        grey = sample(fixed, section, default=2 * PADDING)
        axes.imshow(grey, cmap='gray', vmin=LUNG_WINDOW[0], vmax=LUNG_WINDOW[1], **place)
        said = sample(expected, section, default=0.0)
        axes.imshow(np.where((said > 0) & (sample(lung, section) > 0), said, np.nan), alpha=0.75, **style, **place)
        near = points_near(section, points, LANDMARK_SLAB)
        dots = in_plane(section, points[near])
        shown = axes.scatter(*dots.T, c=errors[near], s=42, edgecolors='white', linewidths=1, zorder=5, **style)
        left += across + 0.1
    bar = figure.colorbar(
        shown, cax=figure.add_axes([(left + 0.05) / width, 0.3 / height, 0.15 / width, (tall - 0.2) / height])
    )
    bar.set_label('error (mm)')
    text = f'{title}\nexpected error (colour) and true error (dots: landmarks within {LANDMARK_SLAB:g} mm)'
    figure.text(0.2 / width, 1 - 0.1 / height, text, va='top', fontsize=11)
    with publish(path) as temporary:
        figure.savefig(temporary, format='png', dpi=figure.dpi)
