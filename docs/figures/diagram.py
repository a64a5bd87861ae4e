"""Pages of boxes and arrows, in inches from the lower left corner, written as PNG files."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path

from docs.figures.png import write_png

DPI = 140
TEXT, PALE = '#1f2328', '#4d5561'


class Page:
    """A figure that is one sheet of boxes and arrows.

    :param width, height: inches.
    :param title: bold head line.
    :param notes: list of lines below it.
    """

    def __init__(self, width, height, title, notes=()):
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height), dpi=DPI, facecolor='white')
        FigureCanvasAgg(self.figure)
        self.axes = self.figure.add_axes([0, 0, 1, 1])
        self.axes.set_xlim(0, width)
        self.axes.set_ylim(0, height)
        self.axes.set_axis_off()
        self.text(0.15, height - 0.27, title, 14, weight='bold', ha='left')
        for number, note in enumerate(notes):
            self.text(0.15, height - 0.56 - 0.2 * number, note, 9, color=PALE, ha='left')

    @staticmethod
    def head(notes):
        """Height of title and notes, inches."""
        return 0.56 + 0.2 * len(notes)

    def text(self, x, y, words, size, **style):
        """Text around a point; ``style`` as of matplotlib."""
        style = dict({'ha': 'center', 'va': 'center', 'color': TEXT, 'zorder': 5}, **style)
        self.axes.text(x, y, words, fontsize=size, **style)

    def band(self, left, bottom, right, top, colour):
        """A coloured rectangle behind everything."""
        self.axes.add_patch(
            Rectangle((left, bottom), right - left, top - bottom, facecolor=colour, edgecolor='none', zorder=0)
        )

    def box(self, box, colour, fill, name, around=False):
        """An empty rounded box.

        :param box: :class:`docs.figures.layout.Box`.
        :param colour, fill: of its border and of its inside.
        :param name: its identity in the figure (matplotlib's ``gid``).
        :param around: whether other boxes and arrows lie inside it.
        """
        corner = 0.05
        self.axes.add_patch(
            FancyBboxPatch(
                (box.x - box.width / 2 + corner, box.y - box.height / 2 + corner),
                box.width - 2 * corner,
                box.height - 2 * corner,
                edgecolor=colour,
                facecolor=fill,
                linewidth=1.2,
                gid=name,
                boxstyle=f'round,pad={corner}',
                zorder=1 if around else 3,
            )
        )

    def arrow(self, points, colour, name, both=False):
        """A line through points, with a head at the end (and, with ``both``, at the beginning)."""
        codes = [Path.MOVETO] + [Path.LINETO] * (len(points) - 1)
        patch = FancyArrowPatch(
            path=Path(points, codes),
            arrowstyle='<|-|>' if both else '-|>',
            mutation_scale=8,
            color=colour,
            linewidth=1.4,
            zorder=2,
            shrinkA=0,
            shrinkB=0,
            joinstyle='miter',
            capstyle='butt',
            gid=name,
        )
        self.axes.add_patch(patch)

    def legend(self, entries, columns, bottom=0.06):
        """Names of arrow colours along the bottom of the page: ordered dictionary name -> colour."""
        handles = [Line2D([], [], color=colour, linewidth=2.4, label=name) for name, colour in entries.items()]
        self.axes.legend(
            handles=handles,
            loc='lower center',
            bbox_to_anchor=(0.5, bottom / self.height),
            ncol=columns,
            fontsize=9,
            frameon=False,
            handlelength=1.6,
            columnspacing=1.8,
            handletextpad=0.6,
            borderpad=0,
            borderaxespad=0,
            labelspacing=0.45,
        )

    def save(self, path):
        """Write a PNG, whole or not at all; its folder is made.

        :raises OSError: it cannot be written.
        """
        write_png(self.figure, path, DPI)
