"""Results of a registration applied to other things: images, labels, points both ways."""

import logging
import os

import numpy as np

from functions.image.dvf import transform_points
from functions.image.point_files import read_points, write_points
from functions.image.resample import warp
from functions.image.transforms import apply_inverse_to_points
from functions.image.volume_io import WRITABLE, array_view, read_image, write_image
from functions.registration.result_folder import INVERSE, geometry_of_record, read_field, read_results
from functions.setting.errors import InputError, unknown_name

LOGGER = logging.getLogger(__name__)

_EXTENSIONS = WRITABLE + ('.txt', '.csv', '.fcsv', '.json')

DIRECTIONS = ('fixed_to_moving', 'moving_to_fixed')


def apply_to_image(results, image, output=None, interpolator='linear', default=None, inverse=False, overwrite=False):
    """Bring an image of the moving scan to the fixed one (or back, where the inverse field was written).

    :param results: folder of the results.
    :param image: file; anything that lies in the space of the moving image, on any grid.
    :param output: file to write; None: beside the results, ``<name>_moved`` (back: ``<name>_back``) with its
        extension.
    :param interpolator: 'linear', 'bspline' or 'nearest'.
    :param default: value where there is no image; None: its smallest value.
    :param inverse: from the fixed to the moving image's grid.
    :param overwrite: replace ``output``.
    :return: path of what was written.
    """
    results = read_results(results)
    output = _output(results, image, output, inverse, overwrite)
    source = read_image(image)
    field = read_field(results, INVERSE) if inverse else read_field(results)
    default = float(array_view(source).min()) if default is None else default
    moved = warp(source, field, interpolator, default)
    _require_something(moved, source, image)
    write_image(moved, output)
    LOGGER.info('Written: %s', output)
    return output


def apply_to_labels(results, labels, output=None, inverse=False, overwrite=False):
    """Bring a segmentation to the other image: nearest neighbour, 0 outside; other parameters as
    :func:`apply_to_image`."""
    return apply_to_image(results, labels, output, 'nearest', 0, inverse, overwrite)


def apply_to_points(results, points, output=None, direction='fixed_to_moving', file_format=None, overwrite=False):
    """Where points of one image lie in the other.

    Voxel numbers (DIR-Lab, elastix index) are counted on the image that the points lie in: read on the one,
    written on the other.

    :param results: folder of the results.
    :param points: file of any format of :mod:`functions.image.point_files`.
    :param output: file to write, in the format of its name; None: as :func:`apply_to_image`, in the format it
        came in.
    :param direction: 'fixed_to_moving' or 'moving_to_fixed'; the latter is solved for each point, no inverse
        field is needed.
    :param file_format: of ``points``; None: found out.
    :return: (path of what was written, largest residual in mm of the way back; 0 forth).
    :raises InputError: points outside the image they should lie in.
    """
    if direction not in DIRECTIONS:
        raise unknown_name('direction', direction, DIRECTIONS)
    results = read_results(results)
    back = direction == 'moving_to_fixed'
    written = _output(results, points, output, back, overwrite)
    grids = [_image_grid(results), results.moving]
    here, there = reversed(grids) if back else grids
    given = read_points(points, here, file_format)
    _require_inside(given.points, here, points, 'moving' if back else 'fixed')
    field = read_field(results)
    residual = 0.0
    if back:
        moved, residuals = apply_inverse_to_points(given.points, None, field)
        residual = float(residuals.max()) if len(residuals) else 0.0
        (LOGGER.warning if residual > 0.5 else LOGGER.info)(
            'The way back of the points misses by %.3g mm at most', residual
        )
    else:
        moved = transform_points(given.points, field)
    write_points(written, moved, there, given.file_format if output is None else None, given.labels)
    LOGGER.info('Written: %s', written)
    return written, residual


def _output(results, source, output, back, overwrite):
    """Path to write to; refused when it is there already or is the input itself."""
    if output is None:
        name = os.path.basename(os.path.normpath(os.fspath(source)))
        stem, dot, extension = name.partition('.')
        output = os.path.join(results.folder, '{}_{}{}{}'.format(stem, 'back' if back else 'moved', dot, extension))
        if not output.lower().endswith(_EXTENSIONS):
            output += '.mha'
    output = os.fspath(output)
    if os.path.exists(output) and os.path.exists(source) and os.path.samefile(output, source):
        raise InputError(f'{source} would be replaced by what is made of it; give another --output.')
    if os.path.exists(output) and not overwrite:
        raise InputError(
            f'{output} is there already, and nothing is overwritten unasked: give another --output, or --overwrite.'
        )
    return output


def _image_grid(results):
    """Grid of the fixed image as it came, whatever grid the results are on."""
    return geometry_of_record(results.record['grids']['fixed'])


def _require_inside(points, geometry, name, role):
    index = geometry.world_to_index(points)
    outside = ((index < -0.5) | (index > np.array(geometry.size) - 0.5)).any(axis=1)
    if outside.any():
        raise InputError(
            f'{name}: {int(outside.sum())} of {len(points)} points lie outside the {role} image (the first: '
            f'{np.round(points[np.argmax(outside)], 2).tolist()} mm; the image: {geometry}). '
            'Are they in mm, '
            'of this image, and is the direction right?'
        )


def _require_something(moved, source, name):
    if float(array_view(moved).max()) == float(array_view(moved).min()) and float(array_view(source).max()) > float(
        array_view(source).min()
    ):
        raise InputError(
            f'{name} does not overlap the other image after the registration: nothing of it would '
            'be left. Does it lie '
            'in the space of the right image (--inverse is for the fixed one)?'
        )
