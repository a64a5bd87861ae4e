"""Pictures of a report: a coronal, a sagittal and an axial section of one thing beside each other, as PNG in
memory."""

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image

from functions.evaluation import sections as pl
from functions.evaluation.section_drawing import DPI, PADDING, Cells, draw_arrows, draw_success

WIDTH = 11.0  # inches of every picture
TILE = 20.0  # mm: side of the squares of a checkerboard
_GAP, _BAR, _MARGIN, _TALLEST = 0.06, 1.0, 0.02, 4.6


class Views(Cells):
    """The cells of the registration picture with three sections, one cell to a picture.

    :param fixed: fixed image, HU. :param lung: its lung mask, or None.
    """

    def __init__(self, fixed, lung=None):
        sections = pl.choose_views(fixed, lung)
        edges = [pl.extent(plane) for plane in sections]
        self._sizes = [(edge[1] - edge[0], edge[3] - edge[2]) for edge in edges]
        across = WIDTH - _BAR - _MARGIN - 2 * _GAP
        self._scale = min(
            across / sum(size[0] for size in self._sizes), _TALLEST / max(size[1] for size in self._sizes)
        )
        Cells.__init__(self, None, None, sections, fixed, lung)

    def png(self, draw, reduced=False):
        """What ``draw(self)`` draws, as bytes of a PNG; ``reduced``: see :func:`png_bytes`."""
        height = max(size[1] for size in self._sizes) * self._scale + 2 * _MARGIN
        self.figure = _figure(WIDTH, height)
        self.layout = _Page(WIDTH, height)
        draw(self)
        return png_bytes(self.figure, reduced)

    def _title(self, row, column, title):
        """None: captions are text of the page."""

    def _places(self, row, column):
        left, places = _MARGIN, []
        for width, height in self._sizes:
            width, height = width * self._scale, height * self._scale
            places.append((left, (self.layout.height - height) / 2, width, height))
            left += width + _GAP
        self._right = left
        return places

    def _bar_place(self, row, column):
        height = self.layout.height
        return self._right + 0.04, 0.1 * height, 0.13, 0.8 * height

    def checkerboard(self, image):
        """Squares of the fixed image and of another one in turn; edges must go on across their borders."""
        for axes, plane, fixed in zip(self._cell(0, 0, ''), self.sections, self.fixed_sections):
            other = pl.sample(image, plane, default=2 * PADDING)
            across, up = (np.floor(mm / TILE).astype(int) for mm in pl.pixel_positions(plane))
            self._anatomy(axes, plane, np.where((across + up[:, None]) % 2, other, fixed))

    def magnitude(self, dvf):
        """Length of the displacement in colour over the fixed image, with arrows true to scale."""
        fields = [pl.sample(dvf, plane) for plane in self.sections]
        lengths = np.concatenate([np.linalg.norm(field, axis=-1).ravel() for field in fields])
        largest = max(1.0, float(np.percentile(lengths, 99.8)))
        cell = self._cell(0, 0, '')
        for axes, plane, fixed, field in zip(cell, self.sections, self.fixed_sections, fields):
            length = np.linalg.norm(field, axis=-1)
            self._anatomy(axes, plane, fixed)
            self._show(axes, plane, length, cmap='turbo', vmin=0, vmax=largest, alpha=0.45, interpolation='bilinear')
            draw_arrows(axes, plane, field)
        self._bar(0, 0, ScalarMappable(Normalize(0, largest), 'turbo'), 'displacement (mm)', extend='max')

    def jacobian(self, jacobian, folded):
        """Change of volume; a red ring for every folded voxel, projected onto the sections; dots where they
        are many.

        :param folded: (n, 3) mm.
        """
        few = len(folded) <= 100
        for axes, plane in zip(self.volume_change(0, 0, jacobian), self.sections):
            points = pl.in_plane(plane, folded)
            axes.scatter(
                points[:, 0],
                points[:, 1],
                s=22 if few else 3,
                edgecolors='#e3140b',
                zorder=6,
                facecolors='none' if few else '#e3140b',
                linewidths=0.9 if few else 0,
                alpha=1.0 if few else 0.5,
            )

    def errors(self, points, vectors, largest):
        """All landmarks, projected onto the sections, with a line along the error of each.

        :param points, vectors: (n, 3) mm. :param largest: mm, end of the colours.
        """
        lengths = np.linalg.norm(vectors, axis=1)
        shown = None
        for axes, plane, fixed in zip(self._cell(0, 0, ''), self.sections, self.fixed_sections):
            self._anatomy(axes, plane, fixed).set_alpha(0.55)
            start = pl.in_plane(plane, points)
            lines = np.stack([start, start + pl.in_plane(plane, vectors)], axis=1)
            shown = LineCollection(lines, array=lengths, cmap='plasma', linewidths=1.5, zorder=5)
            shown.set_clim(0, largest)
            axes.add_collection(shown)
            axes.scatter(
                start[:, 0], start[:, 1], c=lengths, s=6, cmap='plasma', vmin=0, vmax=largest, zorder=6, linewidths=0
            )
        self._bar(0, 0, shown, 'landmark error (mm)', extend='max')


class _Page:
    """Size of a picture in inches, as :class:`Cells` asks for it."""

    def __init__(self, width, height):
        self.width, self.height = width, height


def success_png(before, after):
    """Share of landmarks below every error, before and after, (n, 3) mm: bytes of a PNG."""
    figure = _figure(6.4, 3.6)
    draw_success(figure.add_axes([0.1, 0.15, 0.87, 0.81]), before, after)
    return png_bytes(figure)


def curves_png(lines):
    """Loss and mean error of the DVF against iterations.

    :param lines: dictionaries of an experiment's ``log.jsonl``: kind ('train' or 'validation'), iteration,
        and loss, error_mm where they were measured.
    :return: bytes of a PNG, or None where there is nothing to draw.
    """
    figure, drawn = _figure(WIDTH, 3.4), False
    for place, (key, label) in enumerate((('loss', 'loss'), ('error_mm', 'mean error of the DVF (mm)'))):
        axes = figure.add_axes([0.07 + 0.5 * place, 0.15, 0.41, 0.8])
        for kind, style in (
            ('train', {'linewidth': 1.0, 'color': '#7fa8d1'}),
            ('validation', {'linewidth': 2.0, 'color': '#c0392b', 'marker': 'o', 'markersize': 3}),
        ):
            points = [
                (line['iteration'], line[key])
                for line in lines
                if line.get('kind') == kind and line.get(key) is not None
            ]
            if points:
                axes.plot([x for x, _ in points], [y for _, y in points], label=kind, **style)
                drawn = True
        axes.set_xlabel('iteration')
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        axes.grid(True, color='0.9')
        if axes.lines:
            axes.legend(frameon=False)
    return png_bytes(figure) if drawn else None


def _figure(width, height):
    # A hair more than whole pixels, so that the renderer does not round one away.
    figure = Figure(figsize=(width + 1e-4, height + 1e-4), dpi=DPI, facecolor='white')
    FigureCanvasAgg(figure)
    return figure


def png_bytes(figure, reduced=False):
    """A figure as bytes of a PNG.

    :param reduced: of 256 colours, a third to a half of the size; not for scales of colour, which it would
        break into steps.
    """
    stream = io.BytesIO()
    if reduced:
        figure.canvas.draw()
        picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert('RGB')
        picture.quantize(256).save(stream, format='PNG', optimize=True)
    else:
        figure.savefig(stream, format='png', dpi=DPI)
    return stream.getvalue()
