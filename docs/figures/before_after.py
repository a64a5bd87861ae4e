"""Draws the README's picture: a registered pair before and after, from a folder that ``--register`` has written.

python -m docs.figures.before_after RESULTS --title TITLE --note NOTE --landmarks fixed.txt moving.txt
"""

import argparse
import functools

from functions.evaluation.section_drawing import EDGE, SectionCells, png_bytes
from functions.evaluation.sections import choose_sections
from functions.image.point_files import read_points
from functions.measure import tre
from functions.registration.result_folder import MOVED, read_chests, read_result, read_results
from functions.setting.atomic import publish


def before_after_figure(fixed, moving, moved, lung, title, note):
    """Overlays and differences before (left) and after (right), as a matplotlib Figure.

    :param fixed, moving, moved: images in HU, each with its own geometry.
    :param lung: lung mask of the fixed image.
    :param title, note: its two head lines.
    """
    cells = SectionCells(choose_sections(fixed, lung)[:2], fixed, lung, widest=4.7, tallest=3.9)
    cells.start(2, 2)
    cells.blend(0, 0, moving, 'Before: fixed (magenta), moving (green)')
    cells.blend(0, 1, moved, 'After: fixed (magenta), moved (green)')
    cells.difference(1, 0, moving, 'Before: moving − fixed')
    cells.difference(1, 1, moved, 'After: moved − fixed')
    write = functools.partial(cells.figure.text, EDGE / cells.width, va='center')
    write(1 - 0.33 / cells.height, title, fontsize=16, fontweight='bold')
    write(1 - 0.65 / cells.height, note, fontsize=10, color='0.35')
    return cells.figure


def main(words=None):
    """Run the command."""
    parser = argparse.ArgumentParser(prog='python -m docs.figures.before_after', description=__doc__.split('\n\n')[0])
    parser.add_argument('results', metavar='RESULTS', help='folder of a registration')
    parser.add_argument('--title', required=True, help='first line; {before} and {after} become the mean TRE in mm')
    parser.add_argument('--note', required=True, help='second line: where the scan comes from')
    parser.add_argument('--landmarks', nargs=2, required=True, metavar=('FIXED', 'MOVING'), help='points in mm')
    parser.add_argument('--output', default='docs/before_after.png', metavar='FILE')
    arguments = parser.parse_args(words)
    results, ((fixed, lung), (moving, _)) = read_results(arguments.results), read_chests(arguments.results)
    dvf, moved = read_result(results), read_result(results, MOVED)
    points = [read_points(path).points for path in arguments.landmarks]
    before, after = (tre.summary(tre.error_vectors(*points, field))['mean'] for field in (None, dvf))
    title = arguments.title.format(before=f'{before:.1f}', after=f'{after:.1f}')
    figure = before_after_figure(fixed, moving, moved, lung, title, arguments.note)
    with publish(arguments.output) as temporary, open(temporary, 'wb') as stream:
        stream.write(png_bytes(figure, reduced=True))


if __name__ == '__main__':
    main()
