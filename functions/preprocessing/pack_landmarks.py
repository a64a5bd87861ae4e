"""Landmarks as they ship, turned into the files that the addresses of a data set name.

DIR-Lab counts voxels from 1 and slices from the top of the volume: x - 1, y - 1, nz - z is the 0-based index
in an image whose z goes upwards. SPREAD's points are millimetres, with the two header lines of elastix.
"""

import numpy as np

from functions.image.text_points import dirlab_to_index, parse_rows
from functions.preprocessing.dirlab_raw import grid_text
from functions.setting.errors import InputError


def read_rows(path):
    """Rows of three numbers of a text file, float64 (n, 3); the two header lines of elastix are understood.

    :raises InputError: no rows, or something else in them; the line is named.
    """
    return parse_rows(path, _text(path))


def read_values(path):
    """One number per line, float64 (n,)."""
    try:
        return np.array([float(word) for word in _text(path).split()])
    except ValueError as error:
        raise InputError(f'{path} must hold one number per landmark ({error}).') from error


def _text(path):
    with open(path, encoding='utf-8', errors='replace') as stream:
        return stream.read()


def read_dirlab(path, grid):
    """Voxel numbers of a DIR-Lab file, int (n, 3), as they stand there.

    :param grid: (size, spacing) of the whole volume, x y z.
    :raises InputError: numbers that are not whole or lie outside the volume.
    """
    rows = read_rows(path)
    if np.any(rows != np.rint(rows)):
        raise InputError(
            f'{path} must hold whole voxel numbers; row '
            f'{1 + int(np.flatnonzero((rows != np.rint(rows)).any(axis=1))[0])} does not (millimetres?).'
        )
    outside = np.flatnonzero(((rows < 1) | (rows > np.array(grid[0]))).any(axis=1))
    if len(outside):
        raise InputError(
            '{}: {} of {} landmarks lie outside the volume of {} voxels, counted from 1; the first is row '
            '{}, {}. Are they counted from 0, or are the columns in another order, or is it another '
            'case?'.format(
                path,
                len(outside),
                len(rows),
                grid_text(grid),
                outside[0] + 1,
                ' '.join(f'{value:g}' for value in rows[outside[0]]),
            )
        )
    return rows.astype(int)


def dirlab_points(numbers, grid):
    """Millimetres (n, 3) of DIR-Lab's voxel numbers, where voxel (0, 0, 0), z upwards, is the origin."""
    return dirlab_to_index(numbers, grid[0][2]) * np.array(grid[1], dtype=np.float64)


def dirlab_texts(numbers, grid, geometry):
    """The files of one set of DIR-Lab landmarks.

    :param numbers: voxel numbers (n, 3) as distributed. :param grid: (size, spacing) of the whole volume.
    :param geometry: that of the image, from which empty slices may have been left out.
    :return: list of (request of the address, text).
    :raises InputError: a point in a slice that was left out.
    """
    points = dirlab_points(numbers, grid)
    index = np.rint(geometry.world_to_index(points)).astype(int)
    outside = np.flatnonzero(((index < 0) | (index >= np.array(geometry.size))).any(axis=1))
    if len(outside):
        raise InputError(
            f'{len(outside)} of the landmarks lie in slices that are empty; the first is row {outside[0] + 1}.'
        )
    index, points = _rows(index, '%d'), _rows(points, '%-9.3f')
    return [
        ('LandmarkIndex', _rows(numbers, '%d')),
        ('LandmarkIndex_tr', index),
        ('LandmarkIndex_elx', _with_header('index', len(numbers), index)),
        ('LandmarkPoint_tr', points),
        ('LandmarkPoint_elx', _with_header('point', len(numbers), points)),
    ]


def spread_texts(points):
    """The files of a set of points in mm (n, 3), as :func:`dirlab_texts`."""
    text = _rows(points, '%.9g')
    return [('LandmarkPoint_tr', text), ('LandmarkPoint_elx', _with_header('point', len(points), text))]


def _rows(table, pattern):
    return ''.join('\t'.join(pattern % value for value in row).rstrip() + '\n' for row in table)


def _with_header(kind, count, text):
    return f'{kind}\n{count}\n{text}'
