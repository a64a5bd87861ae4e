"""Landmarks as distributed, converted to the files that the addresses of a data set name.

DIR-Lab counts voxels from 1 and slices from the top of the volume: x - 1, y - 1, nz - z is the 0-based index in an
image whose z goes upwards. SPREAD's points are in millimetres, with the two header lines of elastix.
"""

import numpy as np

from ..image.text_points import dirlab_to_index, header_and_rows, landmark_texts, parse_rows, text_rows
from ..setting.errors import InputError
from ..setting.text_files import read_text
from .dirlab_raw import grid_text


def read_rows(path):
    """Rows of three numbers of a text file, float64 (n, 3), with or without the two header lines of elastix; an
    InputError that names the line when there is other content, or none.
    """
    return parse_rows(path, read_text(path))


def read_values(path):
    """One number per line, float64 (n,)."""
    try:
        return np.array([float(word) for word in read_text(path).split()])
    except ValueError as error:
        raise InputError(f'{path} must contain one number per landmark ({error}).') from error


def read_dirlab(path, grid):
    """Voxel numbers of a DIR-Lab file, int (n, 3), as written there.

    :param grid: (size, spacing) of the whole volume, x y z.
    :raises InputError: numbers that are not whole or lie outside the volume.
    """
    rows = read_rows(path)
    broken = np.flatnonzero((rows != np.rint(rows)).any(axis=1))
    if len(broken):
        raise InputError(f'{path} must contain whole voxel numbers; row {broken[0] + 1} does not (millimetres?).')
    outside = np.flatnonzero(((rows < 1) | (rows > np.array(grid[0]))).any(axis=1))
    if len(outside):
        first = ' '.join(f'{value:g}' for value in rows[outside[0]])
        where = f'outside the volume of {grid_text(grid)} voxels, counted from 1'
        found = f'{len(outside)} of {len(rows)} landmarks lie {where}; the first is row {outside[0] + 1}, {first}'
        cause = 'Are they counted from 0, are the columns in another order, or is this another case?'
        raise InputError(f'{path}: {found}. {cause}')
    return rows.astype(int)


def dirlab_texts(numbers, grid, geometry):
    """The files of one set of DIR-Lab landmarks: list of (request of the address, text).

    :param numbers: voxel numbers (n, 3) as distributed.
    :param grid: (size, spacing) of the whole volume.
    :param geometry: grid of the image, from which empty slices may have been removed.
    :raises InputError: a point in a slice that was removed.
    """
    # Voxel (0, 0, 0) of the whole volume, z upwards, is the origin.
    points = dirlab_to_index(numbers, grid[0][2]) * np.array(grid[1], dtype=np.float64)
    index = np.rint(geometry.world_to_index(points)).astype(int)
    outside = np.flatnonzero(((index < 0) | (index >= np.array(geometry.size))).any(axis=1))
    if len(outside):
        raise InputError(f'{len(outside)} of the landmarks lie in empty slices; the first is row {outside[0] + 1}.')
    return landmark_texts(numbers, index, points)


def spread_texts(points):
    """The files of a set of points (n, 3) in mm: list of (request of the address, text)."""
    text = text_rows(points, '%.9g')
    return [('LandmarkPoint_tr', text), ('LandmarkPoint_elx', header_and_rows('point', text))]
