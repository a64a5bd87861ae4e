"""Drawing for :mod:`docs.figures.generation`: sections of volumes and pages of panels.

Volumes lie on a working grid: axes [z, y, x], identity direction. Sections are shown with superior up; a
coronal one has the patient's right on the left, a sagittal one anterior on the left.
"""

import collections
import string

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from scipy import ndimage

from docs.figures.png import write_png

# HU; wider than a radiologist's lung window, so that lines are seen on soft tissue too.
WINDOW = (-1350.0, 700.0)
DIFFERENCE_WINDOW = 400.0  # HU, symmetric
GRID_STEP = 10.0  # mm between the lines of a deformed grid
DPI = 110
# Inches: edges of the page and of panels, height of the head lines and of titles, room for a bar at the
# right, below.
_EDGE, _GAP, _HEAD, _TITLE, _BAR, _STRIP = 0.2, 0.16, 0.74, 0.32, 0.82, 0.5
_GREYS = 32
_GRID, _LUNG, _TEXT = '#ffc629', '#25d0ff', 10.5

#: A panel of a page in inches: size of its axes, room to its left and below for axis labels; ``bar`` is None
#: or the side of its colour bar or legend, 'right' or 'below'.
Panel = collections.namedtuple('Panel', 'width height left below bar')


class Section:
    """One plane of voxels of a working grid, cropped.

    :param name: 'coronal' (a row y) or 'sagittal' (a column x).
    :param index: number of that row or column.
    :param geometry: :class:`functions.image.geometry.Geometry` of the grid.
    :param box: slices (z, y, x) to be shown.
    """

    def __init__(self, name, index, geometry, box):
        self.name, self.index = name, int(index)
        # Component and axis number (x, y, z) along the horizontal of the picture; the vertical is always z.
        self.across = {'coronal': 0, 'sagittal': 1}[name]
        self.letters = {'coronal': ('R', 'L'), 'sagittal': ('A', 'P')}[name]
        self._box = tuple(box)
        ranges = [np.arange(s.start, s.stop) for s in self._box[::-1]]
        mm = [o + s * r for o, s, r in zip(geometry.origin, geometry.spacing, ranges)]
        self.across_mm, self.up_mm = mm[self.across], mm[2]
        self.all_across_mm, self.all_up_mm = [
            geometry.origin[k] + geometry.spacing[k] * np.arange(geometry.size[k]) for k in (self.across, 2)
        ]
        half = geometry.spacing[self.across] / 2.0, geometry.spacing[2] / 2.0
        self.extent = (
            self.across_mm[0] - half[0],
            self.across_mm[-1] + half[0],
            self.up_mm[0] - half[1],
            self.up_mm[-1] + half[1],
        )
        normal = 1 - self.across
        self.position = geometry.origin[normal] + geometry.spacing[normal] * self.index

    def cut(self, volume):
        """The voxels of the plane, [rows, columns] or [rows, columns, components], row 0 inferior."""
        z, y, x = self._box
        return volume[z, self.index, x] if self.across == 0 else volume[z, y, self.index]

    def __str__(self):
        axis = {'coronal': 'y', 'sagittal': 'x'}[self.name]
        return f'{self.name} at {axis} = {whole_mm(self.position)} mm'

    @property
    def width_mm(self):
        """Width in mm."""
        return self.extent[1] - self.extent[0]

    @property
    def height_mm(self):
        """Height in mm."""
        return self.extent[3] - self.extent[2]


class Page:
    """A figure of titled panels in rows.

    :param title, note: its head lines.
    :param rows: list of rows of equal length, each a list of :class:`Panel`; columns are aligned.
    """

    def __init__(self, title, note, rows):
        widths = [max(p.left + p.width + _BAR * (p.bar == 'right') for p in column) for column in zip(*rows)]
        heights = [_TITLE + max(p.height + p.below + _STRIP * (p.bar == 'below') for p in row) for row in rows]
        self.width = 2 * _EDGE + sum(widths) + _GAP * (len(widths) - 1)
        self.height = _HEAD + sum(heights) + _GAP * (len(rows) - 1) + _EDGE
        self.figure = Figure(figsize=(self.width, self.height), dpi=DPI, facecolor='white')
        FigureCanvasAgg(self.figure)
        lefts = _EDGE + np.cumsum([0.0] + [width + _GAP for width in widths[:-1]])
        tops = self.height - _HEAD - np.cumsum([0.0] + [height + _GAP for height in heights[:-1]])
        self._places = [
            [(left + panel.left, top - _TITLE - panel.height, panel) for left, panel in zip(lefts, row)]
            for top, row in zip(tops, rows)
        ]
        # Colours that must survive the file's palette.
        self._colours = {(255, 255, 255)}
        self._letters = iter(string.ascii_lowercase)
        for up, text, style in (
            (0.27, title, {'fontsize': 15, 'fontweight': 'bold'}),
            (0.56, note, {'fontsize': 10.5, 'color': '0.3'}),
        ):
            self.figure.text(_EDGE / self.width, 1 - up / self.height, text, va='center', **style)

    def axes(self, row, column, title):
        """Empty axes of a panel under its title, lettered in the order of calls."""
        left, bottom, panel = self._places[row][column]
        axes = self._add(left, bottom, panel.width, panel.height)
        axes.set_title(f'({next(self._letters)}) {title}', loc='left', fontsize=11.5, pad=5)
        return axes

    def anatomy(self, row, column, title, section, plane, scale_bar=False):
        """An image in HU; returns its axes."""
        axes = self._section(row, column, title, section)
        shown = self._grey(axes, section, plane)
        self._orient(axes, section, 'white')
        if scale_bar:
            _scale_bar(axes, section)
        self._bar(row, column, shown, 'HU')
        return axes

    def field(self, row, column, title, section, plane, limit, lung=None, signed=True):
        """One component of a field (signed) or its length, in bands of 0.5 or 1 mm up to ``limit`` (whole
        mm); returns its axes."""
        axes = self._section(row, column, title, section)
        step = 1.0 if limit > 8 else 0.5
        if signed:
            # The middle band has zero at its centre, so that rest is white.
            scale = {
                'cmap': self._bands('RdBu_r', 2 * limit / step + 1),
                'vmin': -limit - step / 2,
                'vmax': limit + step / 2,
            }
        else:
            scale = {'cmap': self._bands('viridis', limit / step), 'vmin': 0.0, 'vmax': limit}
        shown = _show(axes, section, plane, interpolation='nearest', **scale)
        outline(axes, section, lung, '0.15' if signed else 'white')
        self._orient(axes, section, 'black' if signed else 'white')
        self._bar(row, column, shown, 'mm')
        return axes

    def difference(self, row, column, title, section, plane, lung=None):
        """A difference of two images in HU; returns its axes."""
        axes = self._section(row, column, title, section)
        shown = _show(
            axes,
            section,
            plane,
            cmap=self._bands('RdBu_r', 41),
            vmin=-DIFFERENCE_WINDOW,
            vmax=DIFFERENCE_WINDOW,
            interpolation='nearest',
        )
        outline(axes, section, lung, '0.15')
        self._orient(axes, section, 'black')
        self._bar(row, column, shown, 'HU', extend='both')
        return axes

    def labels(self, row, column, title, section, image, classes):
        """Coloured voxel classes over an image; returns its axes.

        :param classes: list of (name, colour, boolean plane); later ones cover earlier ones.
        """
        axes = self._section(row, column, title, section)
        self._grey(axes, section, image)
        codes = np.zeros(image.shape, dtype=np.uint8)
        for code, (_, _, plane) in enumerate(classes, start=1):
            codes[plane] = code
        colours = [colour for _, colour, _ in classes]
        _show(
            axes,
            section,
            np.ma.masked_equal(codes, 0),
            cmap=ListedColormap(colours),
            vmin=0.5,
            vmax=len(colours) + 0.5,
            interpolation='nearest',
        )
        axes.legend(
            handles=[Patch(color=colour, label=name) for name, colour, _ in classes],
            loc='upper center',
            bbox_to_anchor=(0.5, 0.0),
            ncol=len(classes),
            fontsize=_TEXT,
            frameon=False,
            handlelength=1,
            handletextpad=0.5,
            columnspacing=1.5,
            borderaxespad=0.3,
        )
        self._orient(axes, section, 'white')
        return axes

    def save(self, path):
        """Write a PNG, whole or not at all.

        :raises DiskError: it cannot be written.
        """
        write_png(self.figure, path, DPI, sorted(self._colours))

    def _grey(self, axes, section, plane):
        # Blends with grid lines stay yellow.
        line = np.array(to_rgb(_GRID))
        for grey in np.linspace(0.0, 1.0, 6):
            for share in np.linspace(0.25, 1.0, 5):
                self._certain(share * line + (1 - share) * grey)
        return _show(
            axes,
            section,
            plane,
            cmap=self._bands('gray', _GREYS),
            vmin=WINDOW[0],
            vmax=WINDOW[1],
            interpolation='bilinear',
        )

    def _certain(self, colour):
        self._colours.add(tuple(int(round(255 * float(value))) for value in colour[:3]))

    def _bands(self, name, count):
        """A colour map in ``count`` steps, which are easier to read off than shades, and compress well."""
        steps = ScalarMappable(cmap=name).to_rgba(np.linspace(0, 1, int(round(count))))
        for colour in steps:
            self._certain(colour)
        return ListedColormap(steps)

    def _add(self, left, bottom, width, height):
        return self.figure.add_axes([left / self.width, bottom / self.height, width / self.width, height / self.height])

    def _section(self, row, column, title, section):
        axes = self.axes(row, column, title)
        axes.set_facecolor('0.8')
        axes.set_xlim(section.extent[:2])
        axes.set_ylim(section.extent[2:])
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)
        return axes

    def _orient(self, axes, section, colour):
        halo = [withStroke(linewidth=2, foreground='white' if colour == 'black' else 'black')]
        for letter, x, y, across, up in (
            (section.letters[0], 0.012, 0.5, 'left', 'center'),
            (section.letters[1], 0.988, 0.5, 'right', 'center'),
            ('S', 0.5, 0.985, 'center', 'top'),
        ):
            axes.text(
                x,
                y,
                letter,
                transform=axes.transAxes,
                fontsize=_TEXT,
                color=colour,
                ha=across,
                va=up,
                zorder=6,
                path_effects=halo,
            )

    def _bar(self, row, column, mappable, unit, **settings):
        left, bottom, panel = self._places[row][column]
        if panel.bar is None:
            return
        if panel.bar == 'right':
            axes = self._add(left + panel.width + 0.08, bottom + 0.06 * panel.height, 0.13, 0.88 * panel.height)
        else:
            axes = self._add(left + 0.1 * panel.width, bottom - 0.2, 0.8 * panel.width, 0.13)
            settings['orientation'] = 'horizontal'
        bar = self.figure.colorbar(mappable, cax=axes, **settings)
        if panel.bar == 'right':
            bar.set_label(unit, fontsize=_TEXT, labelpad=1)
        else:
            axes.text(1.03, 0.5, unit, transform=axes.transAxes, fontsize=_TEXT, va='center')
        bar.outline.set_linewidth(0.5)
        axes.tick_params(labelsize=9.5, length=2, pad=2)


def deformed_grid(axes, section, field):
    """The lines of a regular grid in the undeformed image, carried along with it: p + u(p) at whole steps.

    :param field: plane of the DVF, [rows, columns, 3], mm.
    """
    for coordinate, component in ((section.across_mm[None, :], section.across), (section.up_mm[:, None], 2)):
        values = coordinate + field[..., component]
        levels = np.arange(np.ceil(values.min() / GRID_STEP), values.max() / GRID_STEP) * GRID_STEP
        axes.contour(
            section.across_mm,
            section.up_mm,
            values,
            levels=levels,
            colors=[_GRID],
            linewidths=0.8,
            linestyles='solid',
            alpha=0.9,
            zorder=3,
        )


def outline(axes, section, mask, colour=_LUNG):
    """The border of a mask's plane; None draws nothing."""
    if mask is None:
        return
    smooth = ndimage.gaussian_filter((mask > 0).astype(np.float32), 0.7)
    if smooth.max() > 0.5 > smooth.min():
        axes.contour(section.across_mm, section.up_mm, smooth, levels=[0.5], colors=[colour], linewidths=0.9, zorder=4)


def plain_axes(axes, legend):
    """Grid lines, no frame, and the legend of a plot of curves."""
    axes.tick_params(labelsize=9.5)
    axes.grid(True, color='0.9')
    axes.set_axisbelow(True)
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)
    axes.legend(loc=legend, fontsize=9.5, framealpha=0.95, handlelength=1.4, borderpad=0.3)


def length(field):
    """Length of vectors [..., 3], float32."""
    return np.linalg.norm(field.astype(np.float64), axis=-1).astype(np.float32)


def common_limit(planes):
    """Upper end of a colour bar, in whole mm."""
    return max(1.0, float(np.ceil(max(np.abs(plane).max() for plane in planes))))


def whole_mm(value):
    """A number without decimals, with a true minus sign."""
    return f'{value:.0f}'.replace('-', '\u2212')


def _show(axes, section, plane, **settings):
    return axes.imshow(plane, origin='lower', extent=section.extent, aspect='equal', **settings)


def _scale_bar(axes, section):
    length = 50.0
    left, bottom = section.extent[0] + 0.04 * section.width_mm, section.extent[2] + 0.04 * section.height_mm
    axes.plot(
        [left, left + length],
        [bottom, bottom],
        color='white',
        linewidth=2.5,
        zorder=6,
        solid_capstyle='butt',
        path_effects=[withStroke(linewidth=4.5, foreground='black')],
    )
    axes.text(
        left + length / 2,
        bottom + 0.015 * section.height_mm,
        f'{length:g} mm',
        color='white',
        fontsize=_TEXT,
        ha='center',
        va='bottom',
        zorder=6,
        path_effects=[withStroke(linewidth=2, foreground='black')],
    )
