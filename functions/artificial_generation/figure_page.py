"""Drawing for :mod:`functions.artificial_generation.figures`: sections of volumes and pages of panels.

Volumes lie on a working grid: axes [z, y, x], identity direction. Sections are shown with superior up; a
coronal one has the patient's right on the left, a sagittal one anterior on the left.
"""
import string
from collections import namedtuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from scipy import ndimage

from functions.setting.atomic import publish

LUNG_WINDOW = (-1350., 150.)    # HU
DIFFERENCE_WINDOW = 400.        # HU, symmetric
GRID_STEP = 10.                 # mm between the lines of a deformed grid
DPI = 110
# Inches: edges of the page and of panels, height of the head line and of titles, room for a colour bar.
_EDGE, _GAP, _HEAD, _TITLE, _BAR = 0.2, 0.16, 0.74, 0.32, 0.82
_GRID, _LUNG, _TEXT = '#ffc629', '#25d0ff', 10.5

#: A panel of a page in inches: size of its axes, room to its left (axis labels) and below, colour bar or not.
Panel = namedtuple('Panel', 'width height left below bar')


class Section(object):
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
            geometry.origin[k] + geometry.spacing[k] * np.arange(geometry.size[k]) for k in (self.across, 2)]
        half = geometry.spacing[self.across] / 2., geometry.spacing[2] / 2.
        self.extent = (self.across_mm[0] - half[0], self.across_mm[-1] + half[0],
                       self.up_mm[0] - half[1], self.up_mm[-1] + half[1])
        normal = 1 - self.across
        self.position = geometry.origin[normal] + geometry.spacing[normal] * self.index

    def cut(self, volume):
        """The voxels of the plane, [rows, columns] or [rows, columns, components], row 0 inferior."""
        z, y, x = self._box
        return volume[z, self.index, x] if self.across == 0 else volume[z, y, self.index]

    @property
    def width_mm(self):
        """Width in mm."""
        return self.extent[1] - self.extent[0]

    @property
    def height_mm(self):
        """Height in mm."""
        return self.extent[3] - self.extent[2]


class Page(object):
    """A figure of titled panels in rows.

    :param title, note: its head lines.
    :param rows: list of rows, each a list of :class:`Panel`.
    """

    def __init__(self, title, note, rows):
        widths = [sum(p.left + p.width + _BAR * p.bar for p in row) + _GAP * (len(row) - 1) for row in rows]
        heights = [max(p.height + p.below for p in row) + _TITLE for row in rows]
        self.width = 2 * _EDGE + max(widths)
        self.height = _HEAD + sum(heights) + _GAP * (len(rows) - 1) + _EDGE
        self.figure = Figure(figsize=(self.width, self.height), dpi=DPI, facecolor='white')
        FigureCanvasAgg(self.figure)
        self._places = []
        top = self.height - _HEAD
        for row, height in zip(rows, heights):
            left, places = _EDGE, []
            for panel in row:
                places.append((left + panel.left, top - _TITLE - panel.height, panel))
                left += panel.left + panel.width + _BAR * panel.bar + _GAP
            self._places.append(places)
            top -= height + _GAP
        self._letters = iter(string.ascii_lowercase)
        for up, text, style in ((0.27, title, {'fontsize': 15, 'fontweight': 'bold'}),
                                (0.56, note, {'fontsize': 10.5, 'color': '0.3'})):
            self.figure.text(_EDGE / self.width, 1 - up / self.height, text, va='center', **style)

    def axes(self, row, column, title):
        """Empty axes of a panel under its title, lettered in the order of calls."""
        left, bottom, panel = self._places[row][column]
        axes = self._add(left, bottom, panel.width, panel.height)
        axes.set_title('({}) {}'.format(next(self._letters), title), loc='left', fontsize=11.5, pad=5)
        return axes

    def anatomy(self, row, column, title, section, plane, scale_bar=False):
        """An image in the lung window; returns its axes."""
        axes = self._section(row, column, title, section)
        shown = _show(axes, section, plane, cmap='gray', vmin=LUNG_WINDOW[0], vmax=LUNG_WINDOW[1],
                      interpolation='bilinear')
        self._orient(axes, section, 'white')
        if scale_bar:
            _scale_bar(axes, section)
        self._bar(row, column, shown, 'HU')
        return axes

    def field(self, row, column, title, section, plane, limit, lung=None, signed=True):
        """One component of a field (signed) or its length in mm, up to ``limit``; returns its axes."""
        axes = self._section(row, column, title, section)
        shown = _show(axes, section, plane, cmap='RdBu_r' if signed else 'viridis',
                      vmin=-limit if signed else 0., vmax=limit, interpolation='nearest')
        outline(axes, section, lung, '0.15' if signed else 'white')
        self._orient(axes, section, 'black' if signed else 'white')
        self._bar(row, column, shown, 'mm')
        return axes

    def difference(self, row, column, title, section, plane, lung=None):
        """A difference of two images in HU; returns its axes."""
        axes = self._section(row, column, title, section)
        shown = _show(axes, section, plane, cmap='RdBu_r', vmin=-DIFFERENCE_WINDOW, vmax=DIFFERENCE_WINDOW,
                      interpolation='nearest')
        outline(axes, section, lung, '0.15')
        self._orient(axes, section, 'black')
        self._bar(row, column, shown, 'HU', extend='both')
        return axes

    def labels(self, row, column, title, section, image, classes):
        """Coloured voxel classes over a dimmed image; returns its axes.

        :param classes: list of (name, colour, boolean plane); later ones cover earlier ones.
        """
        axes = self._section(row, column, title, section)
        _show(axes, section, image, cmap='gray', vmin=LUNG_WINDOW[0], vmax=LUNG_WINDOW[1] + 900,
              interpolation='bilinear')
        codes = np.zeros(image.shape, dtype=np.uint8)
        for code, (_, _, plane) in enumerate(classes, start=1):
            codes[plane] = code
        colours = [colour for _, colour, _ in classes]
        _show(axes, section, np.ma.masked_equal(codes, 0), cmap=ListedColormap(colours), vmin=0.5,
              vmax=len(colours) + 0.5, interpolation='nearest')
        axes.legend(handles=[Patch(color=colour, label=name) for name, colour, _ in classes],
                    loc='lower left', fontsize=9.5, framealpha=0.85, handlelength=1, borderpad=0.3,
                    handletextpad=0.5, labelspacing=0.3, borderaxespad=0.2).set_zorder(7)
        self._orient(axes, section, 'white')
        return axes

    def save(self, path):
        """Write a PNG, whole or not at all.

        :raises DiskError: it cannot be written.
        """
        with publish(path) as temporary:
            self.figure.savefig(temporary, format='png', dpi=DPI)

    def _add(self, left, bottom, width, height):
        return self.figure.add_axes([left / self.width, bottom / self.height,
                                     width / self.width, height / self.height])

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
        for letter, x, y, across, up in ((section.letters[0], 0.012, 0.5, 'left', 'center'),
                                         (section.letters[1], 0.988, 0.5, 'right', 'center'),
                                         ('S', 0.5, 0.985, 'center', 'top')):
            axes.text(x, y, letter, transform=axes.transAxes, fontsize=_TEXT, color=colour, ha=across, va=up,
                      zorder=6, path_effects=halo)

    def _bar(self, row, column, mappable, unit, **settings):
        left, bottom, panel = self._places[row][column]
        if not panel.bar:
            return
        axes = self._add(left + panel.width + 0.08, bottom + 0.06 * panel.height, 0.13, 0.88 * panel.height)
        bar = self.figure.colorbar(mappable, cax=axes, **settings)
        bar.set_label(unit, fontsize=_TEXT, labelpad=1)
        bar.outline.set_linewidth(0.5)
        axes.tick_params(labelsize=9.5, length=2, pad=2)
        axes.set_label('bar')


def deformed_grid(axes, section, field):
    """The lines of a regular grid in the undeformed image, carried along with it: p + u(p) at whole steps.

    :param field: plane of the DVF, [rows, columns, 3], mm.
    """
    for coordinate, component in ((section.across_mm[None, :], section.across), (section.up_mm[:, None], 2)):
        values = coordinate + field[..., component]
        levels = np.arange(np.ceil(values.min() / GRID_STEP), values.max() / GRID_STEP) * GRID_STEP
        axes.contour(section.across_mm, section.up_mm, values, levels=levels, colors=[_GRID],
                     linewidths=0.8, linestyles='solid', alpha=0.9, zorder=3)


def outline(axes, section, mask, colour=_LUNG):
    """The border of a mask's plane; None draws nothing."""
    if mask is None:
        return
    smooth = ndimage.gaussian_filter((mask > 0).astype(np.float32), 0.7)
    if smooth.max() > 0.5 > smooth.min():
        axes.contour(section.across_mm, section.up_mm, smooth, levels=[0.5], colors=[colour],
                     linewidths=0.9, zorder=4)


def _show(axes, section, plane, **settings):
    return axes.imshow(plane, origin='lower', extent=section.extent, aspect='equal', **settings)


def _scale_bar(axes, section, length=50.):
    left, bottom = section.extent[0] + 0.04 * section.width_mm, section.extent[2] + 0.04 * section.height_mm
    axes.plot([left, left + length], [bottom, bottom], color='white', linewidth=2.5, zorder=6,
              solid_capstyle='butt', path_effects=[withStroke(linewidth=4.5, foreground='black')])
    axes.text(left + length / 2, bottom + 0.015 * section.height_mm, '{:g} mm'.format(length), color='white',
              fontsize=_TEXT, ha='center', va='bottom', zorder=6,
              path_effects=[withStroke(linewidth=2, foreground='black')])
