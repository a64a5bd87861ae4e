"""The raw volumes of DIR-Lab: int16 without a header, HU + 1024, slices from the top down.

Size and spacing come from the record of the data set. Slices of zeros were never scanned (COPDgene pads both phases of
a case to the same number of slices); at either end they are removed, and the origin keeps all other slices in place.
"""

import os

import numpy as np

from ..image.geometry import Geometry
from ..image.volume_io import image_from_array
from ..setting.errors import InputError
from .hounsfield import STORED_OFFSET

UNSEEN_STORED = -2000  # outside the field of view; no tissue has such a low value
_VOXEL = np.dtype('<i2')


def grid_text(grid):
    """The size of a grid (size, spacing) as text: '256 x 256 x 94'."""
    return ' x '.join(map(str, grid[0]))


def raw_problem(path, grid):
    """Why a file cannot be a volume of this grid, (size, spacing), x y z: a sentence, or None."""
    expected, present = int(np.prod(grid[0])) * _VOXEL.itemsize, os.path.getsize(path)
    if present == expected:
        return None
    voxels = f'{grid_text(grid)} voxels (x y z) of int16'
    return f'{path} has {present} bytes; {voxels} are {expected} bytes. Download or unpack it again.'


def read_raw(path, grid, unseen):
    """Read a volume as int16 HU with identity direction, z upwards.

    :param grid: (size, spacing), x y z.
    :param unseen: value for what was not scanned (stored as -2000).
    :return: sitk.Image; voxel (0, 0, 0) of the whole volume is at (0, 0, 0) mm, even if empty slices were removed.
    :raises InputError: wrong number of bytes, or only empty slices.
    """
    problem = raw_problem(path, grid)
    if problem:
        raise InputError(problem)
    size, spacing = grid
    stored = np.fromfile(path, _VOXEL).reshape(size[::-1])[::-1]
    scanned = np.flatnonzero(stored.any(axis=(1, 2)))
    if not len(scanned):
        raise InputError(f'{path} contains only zeros.')
    stored = stored[scanned[0] : scanned[-1] + 1]
    image = stored.astype(np.int16) - np.int16(STORED_OFFSET)
    # This includes every value that the subtraction wraps around.
    image[stored <= UNSEEN_STORED] = unseen
    geometry = Geometry.identity(image.shape[::-1], spacing, (0, 0, scanned[0] * spacing[2]))
    return image_from_array(image, geometry)
