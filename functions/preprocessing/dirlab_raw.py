"""The raw volumes of DIR-Lab: int16 without a header, HU + 1024, slices from the top down.

Size and spacing are not in the file; they come from the record of the data set. A slice that holds nothing
but zeros was never scanned (COPDgene fills up both phases of a case to one number of slices); such slices at
either end are left out, and the origin keeps every other slice where it is.
"""

import os

import numpy as np

from functions.image.geometry import Geometry
from functions.image.volume_io import image_from_array
from functions.setting.errors import InputError

STORED_OFFSET = 1024
UNSEEN_STORED = -2000  # outside the scanned circle; no tissue is stored as low
_VOXEL = np.dtype('<i2')


def grid_text(grid):
    """'256 x 256 x 94' of a (size, spacing)."""
    return ' x '.join(str(n) for n in grid[0])


def raw_problem(path, grid):
    """Why a file cannot be the volume it should be: a sentence, or None.

    :param grid: (size, spacing), x y z, of the record.
    """
    expected, present = int(np.prod(grid[0])) * _VOXEL.itemsize, os.path.getsize(path)
    if present == expected:
        return None
    return (
        f'{path} has {present} bytes; {grid_text(grid)} voxels of int16 (x y z of this case) are {expected} bytes. '
        'Download or unpack it again.'
    )


def read_raw(path, grid, unseen):
    """One volume as the project's images are: int16 HU, identity direction, z upwards.

    :param path: the .img file.
    :param grid: (size, spacing), x y z.
    :param unseen: value for what was not scanned (stored as -2000).
    :return: sitk.Image; voxel (0, 0, 0) of the whole volume lies at (0, 0, 0) mm, also where empty slices
        below it were left out.
    :raises InputError: another number of bytes than the grid has, or nothing but empty slices.
    """
    problem = raw_problem(path, grid)
    if problem:
        raise InputError(problem)
    size, spacing = grid
    stored = np.fromfile(path, _VOXEL).reshape(size[::-1])[::-1]
    scanned = np.flatnonzero(stored.any(axis=(1, 2)))
    if not len(scanned):
        raise InputError(f'{path} holds nothing but zeros.')
    stored = stored[scanned[0] : scanned[-1] + 1]
    image = stored.astype(np.int16) - np.int16(STORED_OFFSET)
    # What would wrap around below the range of int16 is among them.
    image[stored <= UNSEEN_STORED] = unseen
    geometry = Geometry.identity(image.shape[::-1], spacing, (0, 0, scanned[0] * spacing[2]))
    return image_from_array(image, geometry)
