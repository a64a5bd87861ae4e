"""Pictures of sections: cells in rows and columns, each of several sections of one quantity with a colour bar."""

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from PIL import Image
from scipy import ndimage

from .sections import extent, in_plane, pixel_positions, points_near, sample

LUNG_WINDOW = (-1350.0, 150.0)  # HU: level -600, width 1500
DIFFERENCE_WINDOW = 400.0  # HU, symmetric
PADDING = -1500.0  # HU: anything below was never scanned
LANDMARK_SLAB = 5.0  # mm: landmarks this near to a section are drawn in it
SQUARE = 20.0  # mm: side of the squares of a checkerboard
SMALLEST_ERROR = 0.05  # mm: errors below this are drawn alike
DPI = 100
EDGE, HEADER = 0.25, 1.0  # inches, as all that follows

_BAR, _GAP, _TITLE, _MARGIN = 0.95, 0.06, 0.36, 0.02
_NARROWEST, _LOWEST = 4.4, 1.9  # of a cell with its title or its curves
_ARROWS = {'angles': 'xy', 'scale_units': 'xy', 'scale': 1, 'width': 0.004, 'headwidth': 4, 'headlength': 4.5}
_OUTLINE, _GRID, _POINT, _BEFORE, _AFTER = '#29d3ff', '#ffcc33', '#ffe14d', '#c0392b', '#1f6fb4'


def new_figure(width, height, dpi=DPI):
    """An empty white figure of a size in inches, outside pyplot's global state."""
    # Slightly more than whole pixels, so that the renderer does not round one away.
    figure = Figure(figsize=(width + 1e-4, height + 1e-4), dpi=dpi, facecolor='white')
    FigureCanvasAgg(figure)
    return figure


def png_bytes(figure, reduced=False):
    """A figure as bytes of a PNG; ``reduced``: with a palette of 256 colours, smaller, but colour scales have steps."""
    stream = io.BytesIO()
    if reduced:
        figure.canvas.draw()
        picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert('RGB')
        picture.quantize(256).save(stream, format='PNG', optimize=True)
    else:
        figure.savefig(stream, format='png', dpi=figure.dpi)
    return stream.getvalue()


def differences(first, fixed, section):
    """first - fixed in HU on a section, NaN where either was not scanned."""
    a, b = (sample(image, section, default=2 * PADDING) for image in (first, fixed))
    return np.where((a > PADDING) & (b > PADDING), a - b, np.nan)


def deformed_grid(dvf, section, every):
    """Lines of a regular grid of points p, ``every`` so many pixels of a section, at p + u(p): list of (k, 2) mm."""
    moved = in_plane(section, sample(dvf, section)) + np.stack(np.meshgrid(*pixel_positions(section)), axis=-1)
    return list(moved[every // 2 :: every]) + list(moved.swapaxes(0, 1)[every // 2 :: every])


def draw_error_curves(axes, before, after):
    """Percentage of landmarks below every error; ``before``, ``after``: error vectors (n, 3) mm."""
    largest = 0.0
    for vectors, colour, name in ((before, _BEFORE, 'before'), (after, _AFTER, 'after')):
        length = np.sort(np.linalg.norm(vectors, axis=1))
        share = 100.0 * np.arange(len(length) + 1) / len(length)
        label = f'{name}: median {np.median(length):.2f}, 95 % {np.percentile(length, 95):.2f} mm'
        axes.step(np.append(0.0, length), share, where='post', color=colour, linewidth=2.2, label=label)
        largest = max(largest, float(length[-1]))
    axes.set(xlim=(0, largest * 1.03 if largest > 0 else 1.0), ylim=(0, 101))
    axes.set(xlabel='landmark error (mm)', ylabel='landmarks below (%)')
    axes.tick_params(labelsize=9)
    axes.grid(True, color='0.88')
    axes.legend(loc='lower right', fontsize=9.5, framealpha=0.95)
    axes.spines['top'].set_visible(False)
    axes.spines['right'].set_visible(False)


def expected_errors(errors, expected):
    """Square figure: expected against true error of points, (n,) mm, with the line of identity, on logarithmic axes
    that put errors below 0.05 mm at that; NaN are left out.
    """
    figure = new_figure(4.6, 4.6)
    axes = figure.add_axes([0.15, 0.12, 0.82, 0.84])
    used = np.isfinite(expected)
    both = [np.maximum(values[used], SMALLEST_ERROR) for values in (errors, expected)]
    limits = 0.8 * SMALLEST_ERROR, 1.25 * max(1.0, *(float(values.max(initial=0)) for values in both))
    axes.plot(limits, limits, color='0.5', linewidth=1)
    axes.plot(*both, '.', color=_AFTER, markersize=5, alpha=0.5, markeredgewidth=0)
    ticks = [mm for mm in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if mm <= limits[1]]
    for axis, scale in ((axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale)):
        scale('log')
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_major_formatter(FuncFormatter(lambda mm, _: f'{mm:g}'))
        axis.set_minor_locator(NullLocator())
    axes.set(xlim=limits, ylim=limits, aspect='equal')
    axes.set(xlabel='true error (mm)', ylabel='expected error (mm)')
    axes.tick_params(labelsize=9)
    axes.grid(True, color='0.88')
    axes.set_axisbelow(True)
    return figure


class SectionCells:
    """Draws cells, row and column counted from the top left, into ``figure``, which :meth:`start` begins.

    :param sections: the sections of every cell, from left to right; flat ones stand on top of each other.
    :param fixed: fixed image, HU; ``lung``: its lung mask, outlined everywhere, or None.
    :param widest, tallest: inches that the sections of a cell may take; all are drawn to one scale.
    """

    def __init__(self, sections, fixed, lung, widest, tallest):
        self.sections, self.fixed = sections, fixed
        self.fixed_sections = [sample(fixed, section, default=2 * PADDING) for section in sections]
        # Smoothed slightly against the staircase of the voxels.
        lungs = [None if lung is None else np.minimum(sample(lung, section), 1) for section in sections]
        self.lung = [None if values is None else ndimage.gaussian_filter(values, 0.7) for values in lungs]
        sizes = np.array([np.diff(extent(section))[::2] for section in sections])
        self.sizes, self.places, (self.section_width, self.section_height) = _arranged(sizes, widest, tallest)

    def start(self, rows, columns):
        """An empty figure with room for titled cells below a header."""
        # Narrow sections would leave no room for titles, low ones none for curves.
        pitch = max(self.section_width + _BAR, _NARROWEST)
        self.row_height = max(self.section_height, _LOWEST)
        row = self.row_height + _TITLE
        self.width = np.ceil((2 * EDGE + columns * pitch) * DPI) / DPI
        self.height = np.ceil((HEADER + rows * row + EDGE) * DPI) / DPI
        self.lefts = [EDGE + k * pitch for k in range(columns)]
        first = self.height - HEADER - _TITLE - self.section_height + 0.04
        self.bottoms = [first - k * row for k in range(rows)]
        self.figure = new_figure(self.width, self.height)

    def single(self, width):
        """An empty figure of a width in inches for one cell without a title."""
        self.width, self.height = width, self.section_height + 2 * _MARGIN
        self.lefts, self.bottoms = [_MARGIN], [_MARGIN]
        self.figure = new_figure(self.width, self.height)

    def anatomy(self, row, column, image, title, points=None, scale_bar=False):
        """An image in the lung window, with the landmarks near the sections."""
        for axes, section in self._cell(row, column, title):
            shown = self._grey(axes, section, sample(image, section, default=2 * PADDING))
            if points is not None:
                near = in_plane(section, points[points_near(section, points, LANDMARK_SLAB)])
                axes.plot(*near.T, '.', color=_POINT, markersize=4, zorder=5)
            if scale_bar:
                _scale_bar(axes, section)
        self._bar(row, column, shown, 'HU')

    def difference(self, row, column, image, title, points=None, errors=None):
        """image - fixed, with a line from every landmark near the sections along its error."""
        window = {'vmin': -DIFFERENCE_WINDOW, 'vmax': DIFFERENCE_WINDOW}
        for axes, section in self._cell(row, column, title):
            axes.set_facecolor('0.8')
            shown = _show(axes, section, differences(image, self.fixed, section), 'black', cmap='RdBu_r', **window)
            if errors is not None:
                near = points_near(section, points, LANDMARK_SLAB)
                lines = _segments(section, points[near], errors[near])
                axes.add_collection(LineCollection(lines, colors='black', linewidths=1.3, zorder=5))
                axes.plot(*lines[:, 0].T, '.', color='black', markersize=3.5, zorder=5)
        self._bar(row, column, shown, 'HU', extend='both')

    def blend(self, row, column, moved, title=''):
        """Fixed in magenta and moved in green: grey where they agree."""
        low, high = LUNG_WINDOW
        for (axes, section), fixed in zip(self._cell(row, column, title), self.fixed_sections):
            both = np.stack([fixed, sample(moved, section, default=2 * PADDING)])
            a, b = np.clip((both - low) / (high - low), 0, 1)
            _show(axes, section, np.stack([a, b, a], axis=-1), interpolation='bilinear')

    def checkerboard(self, row, column, image):
        """Alternate squares of the fixed and another image; edges continue across their borders where they agree."""
        for (axes, section), fixed in zip(self._cell(row, column), self.fixed_sections):
            other = sample(image, section, default=2 * PADDING)
            across, up = (np.floor(mm / SQUARE).astype(int) for mm in pixel_positions(section))
            self._grey(axes, section, np.where((across + up[:, None]) % 2, other, fixed))

    def cumulative_errors(self, row, column, before, after, title):
        """Percentage of landmarks below every error, before and after."""
        self._write_title(row, column, title)
        bottom = self.bottoms[row] + self.section_height - self.row_height + 0.46
        width = max(self.section_width + 0.08, _NARROWEST - _BAR) - 0.7
        draw_error_curves(self._axes(self.lefts[column] + 0.62, bottom, width, self.row_height - 0.5), before, after)

    def grid(self, row, column, dvf, title=''):
        """A regular grid of about 10 mm, displaced, over the fixed image; ``title`` may hold its {spacing}."""
        section = self.sections[0]
        every = max(1, int(round(min(10.0, section.step * _measure(section) / 20) / section.step)))
        cell = self._cell(row, column, title.format(spacing=every * section.step))
        for (axes, section), fixed in zip(cell, self.fixed_sections):
            self._grey(axes, section, fixed)
            lines = deformed_grid(dvf, section, every)
            axes.add_collection(LineCollection(lines, colors=_GRID, linewidths=0.8, alpha=0.9, zorder=3))

    def displacement(self, row, column, dvf, title=''):
        """Length of the displacement in mm, with its in-plane component as arrows, true to scale."""
        fields = [sample(dvf, section) for section in self.sections]
        lengths = [np.linalg.norm(field, axis=-1) for field in fields]
        largest = max(1.0, float(np.percentile(np.concatenate([length.ravel() for length in lengths]), 99.8)))
        for (axes, section), field, length in zip(self._cell(row, column, title), fields, lengths):
            shown = _show(axes, section, length, cmap='viridis', vmin=0, vmax=largest, interpolation='bilinear')
            across, up = pixel_positions(section)
            every = max(1, int(round((_measure(section) - 1) / 17)))
            some = slice(every // 2, None, every)
            arrows = np.moveaxis(in_plane(section, field[some, some]), -1, 0)
            axes.quiver(across[some], up[some], *arrows, color='white', zorder=5, **_ARROWS)
        self._bar(row, column, shown, 'mm', extend='max')

    def volume_change(self, row, column, jacobian, title='', folded=()):
        """The Jacobian determinant, black where it is not positive; red: positions ``folded`` (n, 3) mm, projected."""
        maps = [sample(jacobian, section, default=1.0) for section in self.sections]
        # Symmetric about 1; as wide as the values, but never so narrow that noise looks like motion.
        change = np.abs(np.concatenate([values.ravel() for values in maps]) - 1)
        half = float(np.clip(np.percentile(change, 99.5), 0.2, 1.0))
        rings = {'s': 22, 'facecolors': 'none', 'linewidths': 0.9}
        dots = {'s': 3, 'facecolors': '#e3140b', 'linewidths': 0, 'alpha': 0.5}
        style = rings if len(folded) <= 100 else dots
        for (axes, section), values in zip(self._cell(row, column, title), maps):
            shown = _show(axes, section, values, 'black', cmap='PuOr', vmin=1 - half, vmax=1 + half)
            _show(axes, section, np.where(values <= 0, 1.0, np.nan), None, cmap='gray', vmin=1, vmax=2)
            if len(folded):
                axes.scatter(*in_plane(section, folded).T, edgecolors='#e3140b', zorder=6, **style)
        self._bar(row, column, shown, 'J', extend='both')

    def landmark_errors(self, row, column, points, vectors, largest):
        """All landmarks (n, 3), projected, with lines along their errors, coloured by length up to ``largest`` mm."""
        lengths = np.linalg.norm(vectors, axis=1)
        colours = {'array': lengths, 'cmap': 'plasma', 'clim': (0, largest)}
        style = {'cmap': 'plasma', 'vmin': 0, 'vmax': largest, 'linewidths': 0, 'zorder': 6}
        for (axes, section), fixed in zip(self._cell(row, column), self.fixed_sections):
            self._grey(axes, section, fixed).set_alpha(0.55)
            lines = _segments(section, points, vectors)
            axes.add_collection(LineCollection(lines, linewidths=1.5, zorder=5, **colours))
            shown = axes.scatter(*lines[:, 0].T, c=lengths, s=6, **style)
        self._bar(row, column, shown, 'landmark error (mm)', extend='max')

    def expected_error(self, row, column, expected, points, errors, title=''):
        """A map of the expected error in mm, 0 where it says nothing, over the fixed image; dots of the same colours:
        true errors (n,) mm of the landmarks (n, 3) near the sections.
        """
        largest = float(np.clip(np.percentile(errors, 98), 1.0, 10.0))
        style = {'cmap': 'plasma', 'vmin': 0, 'vmax': largest}
        for (axes, section), fixed in zip(self._cell(row, column, title), self.fixed_sections):
            self._grey(axes, section, fixed)
            said = sample(expected, section, default=0.0)
            shown = _show(axes, section, np.where(said > 0, said, np.nan), None, 'bilinear', alpha=0.75, **style)
            near = points_near(section, points, LANDMARK_SLAB)
            dots = in_plane(section, points[near])
            axes.scatter(*dots.T, c=errors[near], s=42, edgecolors='white', linewidths=1, zorder=5, **style)
        self._bar(row, column, shown, 'error (mm)', extend='max')

    def _cell(self, row, column, title=''):
        """[(empty axes in mm with the outline of the lungs, section)] of a cell."""
        self._write_title(row, column, title)
        cell = []
        for section, lung, (x, y), (width, height) in zip(self.sections, self.lung, self.places, self.sizes):
            axes = self._axes(self.lefts[column] + x, self.bottoms[row] + y, width, height)
            edges = extent(section)
            up_range = edges[2:] if section.vertical == 2 else edges[:1:-1]
            axes.set(facecolor='black', xlim=edges[:2], ylim=up_range, xticks=[], yticks=[])
            for spine in axes.spines.values():
                spine.set_visible(False)
            if lung is not None and lung.max() > 0.5 > lung.min():
                across, up = pixel_positions(section)
                axes.contour(across, up, lung, levels=[0.5], colors=[_OUTLINE], linewidths=0.9, zorder=4)
            cell.append((axes, section))
        return cell

    def _write_title(self, row, column, title):
        place = self.lefts[column] / self.width, (self.bottoms[row] + self.section_height + 0.06) / self.height
        self.figure.text(*place, title, fontsize=12, fontweight='bold', va='bottom')

    def _axes(self, left, bottom, width, height):
        size = self.width, self.height
        return self.figure.add_axes([part / whole for part, whole in zip((left, bottom, width, height), size * 2)])

    def _grey(self, axes, section, values):
        low, high = LUNG_WINDOW
        return _show(axes, section, values, cmap='gray', vmin=low, vmax=high, interpolation='bilinear')

    def _bar(self, row, column, mappable, label, **settings):
        left, height = self.lefts[column] + self.section_width + 0.08, self.section_height
        axes = self._axes(left, self.bottoms[row] + 0.08 * height, 0.13, 0.84 * height)
        bar = self.figure.colorbar(mappable, cax=axes, **settings)
        bar.set_label(label, fontsize=10, labelpad=2)
        axes.tick_params(labelsize=9, length=2, pad=2)
        bar.outline.set_linewidth(0.5)


def _show(axes, section, values, letters='white', interpolation='nearest', **settings):
    """Show values of a section, with the letters of its sides (None: without)."""
    if letters is not None:
        style = {'fontsize': 10, 'zorder': 6, 'color': letters, 'path_effects': _halo(letters)}
        places = (0.012, 0.5, 'left', 'center'), (0.988, 0.5, 'right', 'center'), (0.5, 0.985, 'center', 'top')
        for letter, (x, y, ha, va) in zip(section.letters, places):
            axes.text(x, y, letter, transform=axes.transAxes, ha=ha, va=va, **style)
    place = {'origin': 'lower', 'extent': extent(section), 'aspect': 'equal'}
    return axes.imshow(values, interpolation=interpolation, **place, **settings)


def _measure(section):
    """Pixels that marks are spaced by: the height, or half the width where that is more."""
    return max(section.size[1], section.size[0] / 2)


def _arranged(sizes, widest, tallest):
    """Sections side by side, or in one or two columns where that shows them larger.

    :param sizes: (width, height) of each, mm: (n, 2).
    :return: (their sizes in inches, their (x, y) from the lower left, (width, height) of all).
    """
    numbers = list(range(len(sizes)))
    best = 0, None
    for columns in ([[k] for k in numbers], [numbers], [numbers[:-1], numbers[-1:]]):
        across, up = (_GAP * (count - 1) for count in (len(columns), max(map(len, columns))))
        widths = np.array([sizes[column, 0].max() for column in columns])
        heights = np.array([sizes[column, 1].sum() for column in columns])
        scale = min((widest - across) / widths.sum(), (tallest - up) / heights.max())
        if scale > best[0]:
            best = scale, columns, scale * widths, scale * heights.max() + up, across
    scale, columns, widths, height, across = best
    sizes, places, left = sizes * scale, {}, 0.0
    for column, width in zip(columns, widths):
        bottom = (height - sizes[column, 1].sum() - _GAP * (len(column) - 1)) / 2
        for k in reversed(column):
            places[k] = left, bottom
            bottom += sizes[k, 1] + _GAP
        left += width + _GAP
    return sizes, [places[k] for k in numbers], (widths.sum() + across, height)


def _segments(section, points, vectors):
    """In-plane lines (n, 2, 2) mm from points (n, 3) along vectors (n, 3)."""
    start = in_plane(section, points)
    return np.stack([start, start + in_plane(section, vectors)], axis=1)


def _halo(colour):
    """An edge of opposite brightness, so that letters are legible on any grey."""
    return [withStroke(linewidth=2.2, foreground='white' if colour == 'black' else 'black')]


def _scale_bar(axes, section):
    left, right, bottom, top = extent(section)
    if section.vertical != 2:
        bottom, top = top, bottom
    length = 50.0 if right - left > 120 else 10.0
    x, y = left + 0.04 * (right - left), bottom + 0.04 * (top - bottom)
    style = {'linewidth': 2.5, 'path_effects': [withStroke(linewidth=4.5, foreground='black')]}
    axes.plot([x, x + length], [y, y], color='white', zorder=6, solid_capstyle='butt', **style)
    style = {'color': 'white', 'fontsize': 10, 'ha': 'center', 'va': 'bottom', 'path_effects': _halo('white')}
    axes.text(x + length / 2, y + 0.02 * (top - bottom), f'{length:.0f} mm', zorder=6, **style)
