"""A sequence as a short film: every phase as it is, and registered to one of them."""

from matplotlib.animation import PillowWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..setting.atomic import publish

_WINDOW = (-1000, 200)  # HU
_PER_SECOND = 4


def write_animation(path, frames, aspect, fixed):
    """Write a GIF, whole or not at all.

    :param frames: list of (name of the phase, section as it is, section registered), HU ``[z, x]``.
    :param aspect: height of a voxel over its width.
    :param fixed: name of the phase the others are registered to.
    """
    rows, columns = frames[0][1].shape
    figure = Figure(figsize=(8, 4 * min(max(rows * aspect / columns, 0.3), 3) + 0.4), dpi=80)
    FigureCanvasAgg(figure)
    shown = []
    for number, title in enumerate(('as it is', f'registered to {fixed}')):
        axes = figure.add_axes((0.5 * number, 0, 0.5, 0.9))
        axes.axis('off')
        axes.set_title(title, fontsize=10)
        how = {'cmap': 'gray', 'vmin': _WINDOW[0], 'vmax': _WINDOW[1], 'origin': 'lower', 'aspect': aspect}
        shown.append(axes.imshow(frames[0][1 + number], **how))
    label = figure.text(0.01, 0.95, '', fontsize=10)
    writer = PillowWriter(fps=_PER_SECOND)
    with publish(path) as temporary, writer.saving(figure, temporary, figure.dpi):
        for name, *sections in frames:
            label.set_text(name)
            for drawn, section in zip(shown, sections):
                drawn.set_data(section)
            writer.grab_frame()
