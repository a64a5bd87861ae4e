"""One picture that shows whether a registration worked.

Nine pairs of sections (coronal and sagittal, through the lungs, superior up): the images, their differences
before and after, the landmark errors, and the deformation: as a grid, as displacements and as change of
volume.
"""

import numpy as np
import SimpleITK as sitk
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from functions.evaluation import sections as pl
from functions.evaluation.section_drawing import DPI, EDGE, Cells, make_layout
from functions.image.dvf import jacobian_determinant_of, require_dvf
from functions.image.geometry import Geometry
from functions.measure import regularity, tre
from functions.setting.atomic import publish
from functions.setting.errors import InputError


def registration_picture(path, fixed, moving, moved, dvf, lung=None, title=None, landmarks=None):
    """Write the picture as PNG, whole or not at all.

    :param path: file to write, `.png`.
    :param fixed, moving, moved: scalar images in HU, each with its own geometry; the moved image is the
        moving one warped by `dvf` onto the fixed.
    :param dvf: displacement image, mm, fixed to moving.
    :param lung: lung mask of the fixed image; it chooses the sections and is outlined in all of them.
    :param title: first line of the picture.
    :param landmarks: (fixed_points, moving_points), (n, 3) mm each.
    :return: (width, height) of the picture in pixels.
    :raises InputError: images of the wrong kind, or an empty mask.
    :raises DiskError: the file cannot be written.
    """
    figure = registration_figure(fixed, moving, moved, dvf, lung, title, landmarks)
    with publish(path) as temporary:
        figure.savefig(temporary, format='png', dpi=DPI)
    return tuple(int(n) for n in figure.canvas.get_width_height())


def registration_figure(fixed, moving, moved, dvf, lung=None, title=None, landmarks=None):
    """The same as a matplotlib Figure (with an Agg canvas of its own, outside pyplot's global state)."""
    for name, image in (('fixed', fixed), ('moving', moving), ('moved', moved), ('lung', lung)):
        if image is not None and (image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1):
            raise InputError(f'The {name} image of a picture must be 3D, one value per voxel.')
    dvf = require_dvf(dvf, 'The DVF of a picture')
    sections = pl.choose_planes(fixed, lung)
    fixed_points = moving_points = before = after = None
    if landmarks is not None:
        fixed_points, moving_points = (np.asarray(points, dtype=np.float64) for points in landmarks)
        before = tre.error_vectors(fixed_points, moving_points)
        after = tre.error_vectors(fixed_points, moving_points, dvf)
    jacobian = jacobian_determinant_of(dvf)
    layout = make_layout(sections)
    # A hair more than whole pixels, so that the renderer does not round one away.
    figure = Figure(figsize=(layout.width + 1e-4, layout.height + 1e-4), dpi=DPI, facecolor='white')
    FigureCanvasAgg(figure)

    cells = Cells(figure, layout, sections, fixed, lung)
    cells.anatomy(0, 0, fixed, 'Fixed', fixed_points, scale_bar=True)
    cells.anatomy(0, 1, moving, 'Moving', moving_points)
    cells.anatomy(0, 2, moved, 'Moved (moving, registered)')
    cells.difference(1, 0, moving, 'Before: moving − fixed', fixed_points, before)
    cells.difference(1, 1, moved, 'After: moved − fixed', fixed_points, after)
    if landmarks is None:
        cells.blend(1, 2, moved)
    else:
        cells.success(1, 2, before, after)
    cells.grid(2, 0, dvf)
    cells.displacement(2, 1, dvf)
    cells.volume_change(2, 2, jacobian)

    left = EDGE / layout.width
    lines = (
        (0.33, title or 'Registration', {'fontsize': 16, 'fontweight': 'bold'}),
        (0.61, _numbers(before, after, dvf, jacobian, lung), {'fontsize': 12}),
        (0.84, _note(sections, lung, landmarks), {'fontsize': 10, 'color': '0.35'}),
    )
    for from_top, text, style in lines:
        figure.text(left, 1 - from_top / layout.height, text, va='center', **style)
    return figure


def _numbers(before, after, dvf, jacobian, lung):
    """The second line of the picture."""
    parts = []
    if before is not None:
        numbers = tre.summary(before), tre.summary(after)
        parts.append(
            'TRE {:.2f} ± {:.2f} → {:.2f} ± {:.2f} mm ({} landmarks)'.format(
                numbers[0]['mean'], numbers[0]['std'], numbers[1]['mean'], numbers[1]['std'], numbers[0]['n']
            )
        )
    if lung is not None and Geometry.of(lung).matches(dvf):
        inside = sitk.GetArrayViewFromImage(lung) != 0
        length = np.linalg.norm(sitk.GetArrayViewFromImage(dvf)[inside], axis=-1)
        parts.append(f'displacement in the lungs {length.mean():.1f} mm (mean), {length.max():.1f} mm (max)')
        numbers = regularity.summary(jacobian, lung)
        parts.append('folding {:.2f} %, std of Jacobian {:.2f}'.format(numbers['folding'], numbers['std']))
    return '     '.join(parts)


def _note(sections, lung, landmarks):
    """The third line: what is where."""
    note = f'coronal at y = {sections[0].position:.0f} mm, sagittal at x = {sections[1].position:.0f} mm'
    if lung is not None:
        note += '; blue line: lungs of the fixed image'
    if landmarks is not None:
        note += '; dots: landmarks near the section, black lines: what is left of their displacement'
    return note
