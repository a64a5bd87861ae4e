"""The cells of the registration picture: each a coronal and a sagittal section, and mostly a colour bar."""

from collections import namedtuple

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.patheffects import withStroke
from scipy import ndimage

from functions.evaluation import sections as pl

LUNG_WINDOW = (-1350.0, 150.0)  # HU: level -600, width 1500
DIFFERENCE_WINDOW = 400.0  # HU, symmetric
PADDING = -1500.0  # HU: anything below was never scanned
LANDMARK_SLAB = 5.0  # mm: landmarks this near to a section are drawn in it
DPI = 100
EDGE = 0.25  # inches, as all that follows

_CELL, _TALLEST, _BAR, _GAP, _TITLE, _HEADER = 5.1, 4.2, 0.95, 0.06, 0.36, 1.0
_NARROWEST, _LOWEST = 4.4, 1.9  # of a cell with its title or its curves
_OUTLINE, _GRID, _POINT, _BEFORE, _AFTER = '#29d3ff', '#ffcc33', '#ffe14d', '#c0392b', '#1f6fb4'

#: inches: the whole picture, left and bottom of the columns and rows of cells, the two sections, and the
#: distance of the colour bar from the left of its cell
Layout = namedtuple('Layout', 'width height columns rows coronal_width sagittal_width section_height row_height bar')


def make_layout(sections):
    """Sizes of the picture for a coronal and a sagittal section, both at one scale."""
    edges = [pl.extent(plane) for plane in sections]
    across = [edge[1] - edge[0] for edge in edges]
    up = edges[0][3] - edges[0][2]
    scale = min((_CELL - _GAP) / sum(across), _TALLEST / up)
    cell = sum(across) * scale + _GAP
    # Narrow sections would leave no room for titles, low ones none for the curves.
    pitch, row_height = max(cell + _BAR, _NARROWEST), max(up * scale, _LOWEST)
    row = row_height + _TITLE
    width = np.ceil((2 * EDGE + 3 * pitch) * DPI) / DPI
    height = np.ceil((_HEADER + 3 * row + EDGE) * DPI) / DPI
    return Layout(
        width=float(width),
        height=float(height),
        columns=[EDGE + k * pitch for k in range(3)],
        rows=[float(height - _HEADER - k * row - _TITLE - up * scale + 0.04) for k in range(3)],
        coronal_width=across[0] * scale,
        sagittal_width=across[1] * scale,
        section_height=up * scale,
        row_height=row_height,
        bar=cell + 0.08,
    )


def differences(first, fixed, plane):
    """What the difference cells show: first - fixed in HU on a section, NaN where either was not scanned."""
    a, b = (pl.sample(image, plane, default=2 * PADDING) for image in (first, fixed))
    return np.where((a > PADDING) & (b > PADDING), a - b, np.nan)


def deformed_grid(dvf, plane, every):
    """Lines of a regular grid of points p on a section, drawn at p + u(p).

    :param every: pixels of the section between lines.
    :return: list of (k, 2) arrays of (horizontal, vertical) mm.
    """
    field = pl.in_plane(plane, pl.sample(dvf, plane))
    across, up = pl.pixel_positions(plane)
    lines = [
        np.column_stack([across, np.full(len(across), up[row])]) + field[row]
        for row in range(every // 2, len(up), every)
    ]
    return lines + [
        np.column_stack([np.full(len(up), across[column]), up]) + field[:, column]
        for column in range(every // 2, len(across), every)
    ]


def draw_arrows(axes, plane, field):
    """In-plane part of a displacement [rows, columns, 3] on a section, true to scale."""
    across, up = pl.pixel_positions(plane)
    every = max(1, int(round((up[-1] - up[0]) / 17 / plane.step)))
    some = slice(every // 2, None, every)
    vectors = pl.in_plane(plane, field[some, some])
    axes.quiver(
        across[some],
        up[some],
        vectors[..., 0],
        vectors[..., 1],
        angles='xy',
        scale_units='xy',
        scale=1,
        color='white',
        width=0.004,
        headwidth=4,
        headlength=4.5,
        zorder=5,
    )


def draw_success(axes, before, after):
    """Share of landmarks below every error; ``before``, ``after``: (n, 3) mm."""
    largest = 0.0
    for vectors, colour, name in ((before, _BEFORE, 'before'), (after, _AFTER, 'after')):
        length = np.sort(np.linalg.norm(vectors, axis=1))
        share = 100.0 * np.arange(len(length) + 1) / len(length)
        label = f'{name}: median {np.median(length):.2f}, 95 % {np.percentile(length, 95):.2f} mm'
        axes.step(np.append(0.0, length), share, where='post', color=colour, linewidth=2.2, label=label)
        largest = max(largest, float(length[-1]))
    axes.set_xlim(0, largest * 1.03 if largest > 0 else 1.0)
    axes.set_ylim(0, 101)
    axes.set_xlabel('landmark error (mm)', fontsize=10)
    axes.set_ylabel('landmarks below (%)', fontsize=10)
    axes.tick_params(labelsize=9)
    axes.grid(True, color='0.88')
    axes.set_axisbelow(True)
    axes.legend(loc='lower right', fontsize=9.5, framealpha=0.95)
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)


def _halo(colour):
    """An edge of the opposite brightness, so that letters are read on any grey."""
    return [withStroke(linewidth=2.2, foreground='white' if colour == 'black' else 'black')]


class Cells:
    """Draws the cells, row and column counted from the top left."""

    def __init__(self, figure, layout, sections, fixed, lung):
        self.figure, self.layout, self.sections, self.fixed = figure, layout, sections, fixed
        self.fixed_sections = [pl.sample(fixed, plane, default=2 * PADDING) for plane in sections]
        # Slightly smoothed: the staircase of the voxels would only disturb the eye.
        self.lung = [
            None if lung is None else ndimage.gaussian_filter(np.minimum(pl.sample(lung, plane), 1), 0.7)
            for plane in sections
        ]

    def anatomy(self, row, column, image, title, points=None, scale_bar=False):
        """An image in the lung window, with the landmarks near the sections."""
        for axes, plane in zip(self._cell(row, column, title), self.sections):
            shown = self._anatomy(axes, plane, pl.sample(image, plane, default=2 * PADDING))
            if points is not None:
                near = pl.in_plane(plane, points[pl.points_near(plane, points, LANDMARK_SLAB)])
                axes.plot(near[:, 0], near[:, 1], '.', color=_POINT, markersize=4, zorder=5)
            if scale_bar:
                self._scale_bar(axes, plane)
        self._bar(row, column, shown, 'HU')

    def difference(self, row, column, image, title, points=None, errors=None):
        """image - fixed, with a line from every landmark along its error."""
        for axes, plane in zip(self._cell(row, column, title), self.sections):
            axes.set_facecolor('0.8')
            self._letters(axes, plane, 'black')
            shown = self._show(
                axes,
                plane,
                differences(image, self.fixed, plane),
                cmap='RdBu_r',
                vmin=-DIFFERENCE_WINDOW,
                vmax=DIFFERENCE_WINDOW,
                interpolation='nearest',
            )
            if errors is not None:
                near = pl.points_near(plane, points, LANDMARK_SLAB)
                start = pl.in_plane(plane, points[near])
                lines = np.stack([start, start + pl.in_plane(plane, errors[near])], axis=1)
                axes.add_collection(LineCollection(lines, colors='black', linewidths=1.3, zorder=5))
                axes.plot(start[:, 0], start[:, 1], '.', color='black', markersize=3.5, zorder=5)
        self._bar(row, column, shown, 'HU', extend='both')

    def blend(self, row, column, moved):
        """Fixed in magenta and moved in green: where they agree the mixture is grey."""
        cell = self._cell(row, column, 'Fixed (magenta) and moved (green)')
        for axes, plane, fixed in zip(cell, self.sections, self.fixed_sections):
            moved_section = pl.sample(moved, plane, default=2 * PADDING)
            a, b = (
                np.clip((section - LUNG_WINDOW[0]) / (LUNG_WINDOW[1] - LUNG_WINDOW[0]), 0, 1)
                for section in (fixed, moved_section)
            )
            self._letters(axes, plane, 'white')
            self._show(axes, plane, np.stack([a, b, a], axis=-1), interpolation='bilinear')

    def success(self, row, column, before, after):
        """Share of landmarks below every error, before and after."""
        layout = self.layout
        self._title(row, column, 'Landmark errors')
        bottom = layout.rows[row] + layout.section_height - layout.row_height
        width = max(layout.bar, _NARROWEST - _BAR)
        draw_success(
            self._axes(layout.columns[column] + 0.62, bottom + 0.46, width - 0.7, layout.row_height - 0.5),
            before,
            after,
        )

    def grid(self, row, column, dvf):
        """A regular grid of about 10 mm, displaced, over the fixed image."""
        plane = self.sections[0]
        every = max(1, int(round(min(10.0, plane.step * plane.size[1] / 20) / plane.step)))
        title = f'Grid of {every * plane.step:.3g} mm moved by the DVF, over fixed'
        for axes, plane, section in zip(self._cell(row, column, title), self.sections, self.fixed_sections):
            self._anatomy(axes, plane, section)
            axes.add_collection(
                LineCollection(deformed_grid(dvf, plane, every), colors=_GRID, linewidths=0.8, alpha=0.9, zorder=3)
            )

    def displacement(self, row, column, dvf):
        """Length of the displacement, with in-plane arrows true to scale."""
        fields = [pl.sample(dvf, plane) for plane in self.sections]
        lengths = [np.linalg.norm(field, axis=-1) for field in fields]
        largest = max(1.0, float(np.percentile(np.concatenate([length.ravel() for length in lengths]), 99.8)))
        cell = self._cell(row, column, 'Displacement: length, and arrows fixed → moving')
        for axes, plane, field, length in zip(cell, self.sections, fields, lengths):
            self._letters(axes, plane, 'white')
            shown = self._show(axes, plane, length, cmap='viridis', vmin=0, vmax=largest, interpolation='bilinear')
            draw_arrows(axes, plane, field)
        self._bar(row, column, shown, 'mm', extend='max')

    def volume_change(self, row, column, jacobian):
        """The Jacobian determinant; folded voxels are black. Returns the axes."""
        cell = self._cell(row, column, 'Jacobian determinant (1: volume kept; black: folded)')
        maps = [pl.sample(jacobian, plane, default=1.0) for plane in self.sections]
        # Symmetric about 1; wide enough for what there is, never so narrow that noise looks like motion.
        change = np.abs(np.concatenate([section.ravel() for section in maps]) - 1)
        half = float(np.clip(np.percentile(change, 99.5), 0.2, 1.0))
        for axes, plane, section in zip(cell, self.sections, maps):
            self._letters(axes, plane, 'black')
            shown = self._show(axes, plane, section, cmap='PuOr', vmin=1 - half, vmax=1 + half, interpolation='nearest')
            folded = np.where(section <= 0, 1.0, np.nan)
            self._show(axes, plane, folded, cmap='gray', vmin=1, vmax=2, interpolation='nearest')
        self._bar(row, column, shown, 'J', extend='both')
        return cell

    def _axes(self, left, bottom, width, height):
        layout = self.layout
        return self.figure.add_axes(
            [left / layout.width, bottom / layout.height, width / layout.width, height / layout.height]
        )

    def _title(self, row, column, title):
        layout = self.layout
        up = layout.rows[row] + layout.section_height + 0.06
        self.figure.text(
            layout.columns[column] / layout.width,
            up / layout.height,
            title,
            fontsize=12,
            fontweight='bold',
            va='bottom',
        )

    def _cell(self, row, column, title):
        """Empty axes of all sections in mm, titled, with the outline of the lungs."""
        self._title(row, column, title)
        cell = []
        for plane, lung, place in zip(self.sections, self.lung, self._places(row, column)):
            axes = self._axes(*place)
            edges = pl.extent(plane)
            axes.set_facecolor('black')
            axes.set_xlim(edges[0], edges[1])
            axes.set_ylim(*(edges[2:] if plane.vertical == 2 else edges[:1:-1]))
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set_visible(False)
            if lung is not None and lung.max() > 0.5 > lung.min():
                across, up = pl.pixel_positions(plane)
                axes.contour(across, up, lung, levels=[0.5], colors=[_OUTLINE], linewidths=0.9, zorder=4)
            cell.append(axes)
        return cell

    def _places(self, row, column):
        """(left, bottom, width, height), inches, of the sections of a cell."""
        layout, left, places = self.layout, self.layout.columns[column], []
        for width in (layout.coronal_width, layout.sagittal_width):
            places.append((left, layout.rows[row], width, layout.section_height))
            left += width + _GAP
        return places

    def _letters(self, axes, plane, colour):
        left, right, top = pl.orientation_letters(plane)
        for letter, x, y, across, up in (
            (left, 0.012, 0.5, 'left', 'center'),
            (right, 0.988, 0.5, 'right', 'center'),
            (top, 0.5, 0.985, 'center', 'top'),
        ):
            axes.text(
                x,
                y,
                letter,
                transform=axes.transAxes,
                fontsize=10,
                color=colour,
                ha=across,
                va=up,
                zorder=6,
                path_effects=_halo(colour),
            )

    def _show(self, axes, plane, section, **settings):
        return axes.imshow(section, origin='lower', extent=pl.extent(plane), aspect='equal', **settings)

    def _anatomy(self, axes, plane, section):
        self._letters(axes, plane, 'white')
        return self._show(
            axes, plane, section, cmap='gray', vmin=LUNG_WINDOW[0], vmax=LUNG_WINDOW[1], interpolation='bilinear'
        )

    def _bar(self, row, column, mappable, label, **settings):
        axes = self._axes(*self._bar_place(row, column))
        bar = self.figure.colorbar(mappable, cax=axes, **settings)
        bar.set_label(label, fontsize=10, labelpad=2)
        axes.tick_params(labelsize=9, length=2, pad=2)
        bar.outline.set_linewidth(0.5)

    def _bar_place(self, row, column):
        layout = self.layout
        return (
            layout.columns[column] + layout.bar,
            layout.rows[row] + 0.08 * layout.section_height,
            0.13,
            0.84 * layout.section_height,
        )

    def _scale_bar(self, axes, plane):
        left, right, bottom, top = pl.extent(plane)
        length = 50.0 if right - left > 120 else 10.0
        x, y = left + 0.04 * (right - left), bottom + 0.04 * (top - bottom)
        axes.plot(
            [x, x + length],
            [y, y],
            color='white',
            linewidth=2.5,
            zorder=6,
            solid_capstyle='butt',
            path_effects=[withStroke(linewidth=4.5, foreground='black')],
        )
        axes.text(
            x + length / 2,
            y + 0.02 * (top - bottom),
            f'{length:.0f} mm',
            color='white',
            fontsize=10,
            ha='center',
            va='bottom',
            zorder=6,
            path_effects=_halo('white'),
        )
