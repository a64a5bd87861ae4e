"""What transformix makes of a TransformParameters file: images, masks, points."""

import collections
import os
import re

import numpy as np
import SimpleITK as sitk

from functions.elastix.parameter_files import read_parameters, write_parameters
from functions.elastix.programs import run_program, working_folder
from functions.elastix.transform_files import stage_chain
from functions.image.point_files import write_points
from functions.image.volume_io import array_view, image_from_array, read_image
from functions.setting.errors import InputError

_PIXEL_TYPES = {'int16': 'short', 'uint8': 'unsigned char', 'uint16': 'unsigned short', 'float32': 'float'}
_COLUMN = re.compile(r'(\w+)\s*=\s*\[([^\]]*)\]')

OutputPoints = collections.namedtuple(
    'OutputPoints', 'input_index input_point output_index_fixed output_point deformation'
)
"""Columns of ``outputpoints.txt``, each ``(n, 3)`` x, y, z: indices int64, the others float64 mm."""


def transform_image(image, parameter_file, order=3, default=-2048.0, grid=None, threads=None, log_folder=None):
    """A moving image on the fixed grid, by transformix.

    :param image: scalar image; uint8, int16, uint16 and float32 keep their type, others become float32.
    :param parameter_file: TransformParameters file; those it builds upon are found beside it too.
    :param order: order of the B-spline interpolation; 0 for labels.
    :param default: value outside the moving image.
    :param grid: image or Geometry of the result; None: what the file says.
    :param log_folder: folder that receives transformix's logs.
    :raises MissingFileError, InputError: no transformix, missing or damaged files, or transformix failed.
    """
    pixel_type = _PIXEL_TYPES.get(str(array_view(image).dtype))
    if pixel_type is None:
        image, pixel_type = sitk.Cast(image, sitk.sitkFloat32), 'float'
    return _image(image, parameter_file, order, default, pixel_type, grid, threads, log_folder)


def transform_mask(mask, parameter_file, grid=None, threads=None, log_folder=None):
    """A mask of the moving image on the fixed grid: nearest neighbour, 0 outside; uint8 of 0 and 1."""
    mask = image_from_array((array_view(mask) != 0).view(np.uint8), mask)
    moved = _image(mask, parameter_file, 0, 0, 'char', grid, threads, log_folder)
    return sitk.Cast(moved, sitk.sitkUInt8)


def _image(image, parameter_file, order, default, pixel_type, grid, threads, log_folder):
    overrides = {
        'FinalBSplineInterpolationOrder': int(order),
        'DefaultPixelValue': float(default),
        'ResultImagePixelType': pixel_type,
    }
    with working_folder(log_folder) as folder:
        name = stage_chain(parameter_file, folder, grid)
        path = os.path.join(folder, name)
        write_parameters(path, dict(read_parameters(path), **overrides))
        sitk.WriteImage(image, os.path.join(folder, 'input.mha'))
        run_program('transformix', ['-in', 'input.mha', '-tp', name, '-out', '.'], folder, threads)
        return read_image(os.path.join(folder, 'result.mha'))


def transform_points(points, parameter_file, threads=None, log_folder=None):
    """Where transformix takes points of the fixed image: ``(n, 3)`` mm, float64, six decimals."""
    if not len(points):
        return np.zeros((0, 3))
    with working_folder(log_folder) as folder:
        name = stage_chain(parameter_file, folder)
        write_points(os.path.join(folder, 'input.txt'), points, file_format='elastix_point')
        run_program('transformix', ['-def', 'input.txt', '-tp', name, '-out', '.'], folder, threads)
        moved = read_output_points(os.path.join(folder, 'outputpoints.txt')).output_point
    if len(moved) != len(points):
        raise InputError(f'transformix returned {len(moved)} points for {len(points)}.')
    return moved


def read_output_points(path):
    """Parse transformix's ``outputpoints.txt``.

    :return: :class:`OutputPoints`.
    :raises InputError: it is not such a file.
    """
    with open(path, encoding='utf-8') as stream:
        rows = [dict(_COLUMN.findall(line)) for line in stream if line.strip()]

    def column(name, dtype):
        return np.array([[float(value) for value in row[name].split()] for row in rows], dtype).reshape(-1, 3)

    try:
        # Where a point is outside the image, elastix writes an index of no meaning.
        return OutputPoints(
            column('InputIndex', np.int64),
            column('InputPoint', np.float64),
            column('OutputIndexFixed', np.int64),
            column('OutputPoint', np.float64),
            column('Deformation', np.float64),
        )
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} is not a file of transformix's output points: {error}.") from error
