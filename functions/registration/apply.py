"""Results of a registration applied to other images, labels and points, in both directions."""

import logging
import os
from typing import Optional, Tuple

import numpy as np

from ..image.dvf import transform_points
from ..image.file_check import require_apart
from ..image.geometry import Geometry
from ..image.point_files import read_points, write_points
from ..image.resample import warp
from ..image.transforms import apply_inverse_to_points
from ..image.volume_io import WRITABLE, array_view, read_image, write_image
from ..preprocessing.hounsfield import load_ct
from ..setting.errors import InputError
from .result_folder import INVERSE, NAMES, read_result, read_results

LOGGER = logging.getLogger(__name__)

_EXTENSIONS = WRITABLE + ('.txt', '.csv', '.fcsv', '.json')


def apply_to_image(
    results: str,
    image: str,
    output: Optional[str] = None,
    interpolator: str = 'linear',
    default: Optional[float] = None,
    inverse: bool = False,
    overwrite: bool = False,
) -> str:
    """Bring an image or a segmentation of the moving scan to the fixed one, or back.

    :param results: folder of the results.
    :param image: file in the space of the moving image (with ``inverse`` of the fixed one), on any grid; or a folder
        with one DICOM series of CT.
    :param output: file to write; None: ``<name>_moved`` (with ``inverse`` ``<name>_back``) beside the results.
    :param interpolator: 'linear', 'bspline', or 'nearest' for a segmentation.
    :param default: value where there is no image; None: its smallest value.
    :param inverse: to the grid of the moving image, by the inverse field, which must have been written.
    :param overwrite: replace ``output``.
    :return: path of what was written.
    """
    results = read_results(results)
    output = _output(results, image, output, inverse, overwrite)
    # Numbers of labels are no HU.
    source = load_ct(image) if os.path.isdir(image) and interpolator != 'nearest' else read_image(image)
    field = read_result(results, INVERSE) if inverse else read_result(results)
    default = float(array_view(source).min()) if default is None else default
    moved = warp(source, field, interpolator, default)
    _require_something(moved, source, image)
    write_image(moved, output)
    LOGGER.info('Written: %s', output)
    return output


def apply_to_points(
    results: str,
    points: str,
    output: Optional[str] = None,
    inverse: bool = False,
    file_format: Optional[str] = None,
    overwrite: bool = False,
) -> Tuple[str, float]:
    """Map points of the fixed image to the moving one, or back.

    Voxel numbers (DIR-Lab, elastix index) count voxels of the image the points lie in: read on one, written on the
    other.

    :param results: folder of the results.
    :param points: file of any format of :mod:`functions.image.point_files`.
    :param output: file to write, in the format of its name; None: as :func:`apply_to_image`, in that of ``points``.
    :param inverse: from the moving to the fixed image, solved for each point; no inverse field is needed.
    :param file_format: of ``points``; None: detected.
    :return: (path of what was written, largest residual in mm of the inverse; 0 without).
    :raises InputError: points outside their image.
    """
    found = read_results(results)
    written = _output(found, points, output, inverse, overwrite)
    fixed, moving = Geometry.of_record(found.record['grids']['fixed']), found.moving
    here, there = (moving, fixed) if inverse else (fixed, moving)
    given = read_points(points, here, file_format)
    require_inside(given.points, here, points, 'moving' if inverse else 'fixed')
    field, residual = read_result(found), 0.0
    if inverse:
        moved, residuals = apply_inverse_to_points(given.points, None, field)
        residual = float(residuals.max()) if len(residuals) else 0.0
        level = logging.WARNING if residual > 0.5 else logging.INFO
        LOGGER.log(level, 'The inverse of the points has a residual of at most %.3g mm', residual)
    else:
        moved = transform_points(given.points, field)
    write_points(written, moved, there, given.file_format if output is None else None, given.labels)
    LOGGER.info('Written: %s', written)
    return written, residual


def _output(results, source, output, inverse, overwrite):
    """Path to write to; refused when it exists, or is an input or a result."""
    if output is None:
        name = os.path.basename(os.path.normpath(os.fspath(source)))
        stem, dot, extension = name.partition('.')
        output = os.path.join(results.folder, f'{stem}_{"back" if inverse else "moved"}{dot}{extension}')
        if not output.lower().endswith(_EXTENSIONS):
            output += '.mha'
    output = os.fspath(output)
    require_apart([output], [source] + [os.path.join(results.folder, name) for name in NAMES])
    if os.path.exists(output) and not overwrite:
        raise InputError(f'{output} already exists and is not overwritten: give another --output, or --overwrite.')
    return output


def require_inside(points, geometry, name, role):
    """Raise :class:`InputError` naming the file ``name`` unless all points lie in the fixed or moving image."""
    outside = ~geometry.contains(geometry.world_to_index(points))
    if outside.any():
        first = np.round(points[np.argmax(outside)], 2).tolist()
        raise InputError(
            f'{name}: {int(outside.sum())} of {len(points)} points lie outside the {role} image (first: {first} mm; '
            f'the image: {geometry}). Check that they are in mm, of this image, and that the direction is right.'
        )


def _require_something(moved, source, name):
    moved, source = array_view(moved), array_view(source)
    if moved.min() == moved.max() and source.min() < source.max():
        raise InputError(
            f'{name} does not overlap the other image after the registration, so nothing of it would be left. Check '
            'that it lies in the space of the right image (--inverse is for the fixed one).'
        )
