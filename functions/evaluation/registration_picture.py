"""One picture that shows whether a registration worked.

Nine pairs of sections (coronal and sagittal, or axial where the images are flat, through the lungs, superior up): the
images, their differences before and after, landmark errors, and the deformation as a grid, as displacements and as
change of volume.
"""

import functools

import numpy as np

from ..image.dvf import jacobian_determinant_of, require_dvf
from ..image.geometry import Geometry
from ..image.volume_io import array_view
from ..measure import regularity, tre
from ..setting.atomic import publish
from ..setting.errors import InputError
from .section_drawing import EDGE, SectionCells
from .sections import choose_sections
from .text_table import mean_std


def registration_picture(path, fixed, moving, moved, dvf, lung=None, title=None, landmarks=None):
    """Write the picture as PNG, whole or not at all.

    :param fixed, moving, moved: scalar images in HU, each with its own geometry.
    :param dvf: displacement image, mm, fixed to moving.
    :param lung: lung mask of the fixed image, which chooses the sections and is outlined in all of them.
    :param landmarks: (fixed_points, moving_points), (n, 3) mm each.
    :return: (width, height) of the picture in pixels.
    :raises InputError: images of the wrong kind, or an empty mask.
    :raises DiskError: the file cannot be written.
    """
    figure = registration_figure(fixed, moving, moved, dvf, lung, title, landmarks)
    with publish(path) as temporary:
        figure.savefig(temporary, format='png', dpi=figure.dpi)
    return tuple(int(n) for n in figure.canvas.get_width_height())


def registration_figure(fixed, moving, moved, dvf, lung=None, title=None, landmarks=None):
    """The picture as a matplotlib Figure."""
    for name, image in (('fixed', fixed), ('moving', moving), ('moved', moved), ('lung', lung)):
        if image is not None and (image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1):
            raise InputError(f'The {name} image of a picture must be 3D, one value per voxel.')
    dvf = require_dvf(dvf, 'The DVF of a picture')
    coronal, sagittal, axial = choose_sections(fixed, lung)
    # A slab of a few slices shows little but its axial section.
    sections = [coronal, axial if 2 * np.prod(sagittal.size) < np.prod(axial.size) else sagittal]
    fixed_points = before = after = moving_points = None
    if landmarks is not None:
        fixed_points, moving_points = (np.asarray(points, dtype=np.float64) for points in landmarks)
        before, after = (tre.error_vectors(fixed_points, moving_points, field) for field in (None, dvf))
    jacobian = jacobian_determinant_of(dvf)
    cells = SectionCells(sections, fixed, lung, widest=5.1, tallest=4.2)
    cells.start(3, 3)
    cells.anatomy(0, 0, fixed, 'Fixed', fixed_points, scale_bar=True)
    cells.anatomy(0, 1, moving, 'Moving', moving_points)
    cells.anatomy(0, 2, moved, 'Moved (moving, registered)')
    cells.difference(1, 0, moving, 'Before: moving − fixed', fixed_points, before)
    cells.difference(1, 1, moved, 'After: moved − fixed', fixed_points, after)
    if landmarks is None:
        cells.blend(1, 2, moved, 'Fixed (magenta) and moved (green)')
    else:
        cells.cumulative_errors(1, 2, before, after, 'Landmark errors')
    cells.grid(2, 0, dvf, 'Grid of {spacing:.3g} mm moved by the DVF, over fixed')
    cells.displacement(2, 1, dvf, 'Displacement: length, and arrows fixed → moving')
    cells.volume_change(2, 2, jacobian, 'Jacobian determinant (1: volume kept; black: folded)')
    write = functools.partial(cells.figure.text, EDGE / cells.width, va='center')
    write(1 - 0.33 / cells.height, title or 'Registration', fontsize=16, fontweight='bold')
    write(1 - 0.61 / cells.height, _numbers(before, after, dvf, jacobian, lung), fontsize=12)
    write(1 - 0.84 / cells.height, _note(sections, lung, landmarks), fontsize=10, color='0.35')
    return cells.figure


def _numbers(before, after, dvf, jacobian, lung):
    """The second line of the picture."""
    parts = []
    if before is not None:
        shown = ' → '.join(mean_std(numbers['mean'], numbers['std']) for numbers in map(tre.summary, (before, after)))
        parts.append(f'TRE {shown} mm ({len(before)} landmarks)')
    if lung is not None and Geometry.of(lung).matches(dvf):
        length = np.linalg.norm(array_view(dvf)[array_view(lung) != 0], axis=-1)
        parts.append(f'displacement in the lungs {length.mean():.1f} mm (mean), {length.max():.1f} mm (max)')
        numbers = regularity.summary(jacobian, lung)
        parts.append(f'folding {numbers["folding"]:.2f} %, std of Jacobian {numbers["std"]:.2f}')
    return '     '.join(parts)


def _note(sections, lung, landmarks):
    """The third line: positions and legend."""
    note = ', '.join(f'{one.name} at {"xyz"[one.normal]} = {one.position:.0f} mm' for one in sections)
    note += '' if lung is None else '; blue line: lungs of the fixed image'
    return note + ('' if landmarks is None else '; dots: landmarks near the section, black lines: the remaining error')
