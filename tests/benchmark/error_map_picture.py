"""A picture of the error that is expected of a registration, with the true error at landmarks on top."""

import numpy as np

from functions.evaluation.section_drawing import EDGE, LANDMARK_SLAB, SectionCells
from functions.evaluation.sections import choose_sections
from functions.setting.atomic import publish


def error_map_picture(path, fixed, lung, expected, points, errors, title):
    """Write a coronal and a sagittal section through the landmark with the largest error as PNG.

    :param fixed, lung: fixed image (HU) and its lung mask, which chooses the sections.
    :param expected: image of the expected error, mm; 0 where nothing is said.
    :param points, errors: landmarks of the fixed image (n, 3) and their true errors (n,), mm.
    """
    worst = points[np.argmax(errors)]
    sections = [one._replace(position=float(worst[one.normal])) for one in choose_sections(fixed, lung)[:2]]
    cells = SectionCells(sections, fixed, lung, widest=11, tallest=4.5)
    cells.start(1, 1)
    text = f'expected error (colour) and true error (dots: landmarks within {LANDMARK_SLAB:g} mm)'
    cells.expected_error(0, 0, expected, points, errors, text)
    cells.figure.text(EDGE / cells.width, 1 - 0.5 / cells.height, title, va='center', fontsize=16, fontweight='bold')
    with publish(path) as temporary:
        cells.figure.savefig(temporary, format='png', dpi=cells.figure.dpi)
