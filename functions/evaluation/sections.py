"""Plane sections of volumes in physical space, as a radiologist expects them.

A section has square pixels along the axes of the patient (x to the left, y posterior, z superior), whatever the
direction and spacing of the image. Row 0 of a coronal or sagittal section is inferior, that of an axial one anterior,
so its vertical axis points down. The left of a coronal section is the patient's right, that of a sagittal one anterior.
"""

from collections import namedtuple

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..image.geometry import Geometry, grid_resampler
from ..image.volume_io import array_view
from ..setting.errors import InputError

#: name 'coronal', 'sagittal' or 'axial'; letters of its left, right and top; normal, horizontal, vertical: axes,
#: 0 x, 1 y, 2 z; position: mm along the normal; lower: (horizontal, vertical) mm of the centre of pixel [0, 0];
#: step: mm; size: (columns, rows).
Section = namedtuple('Section', 'name letters normal horizontal vertical position lower step size')

# name, letters, normal, horizontal, vertical
_KINDS = (('coronal', 'RLS', 1, 0, 2), ('sagittal', 'APS', 0, 1, 2), ('axial', 'RLA', 2, 0, 1))
MARGIN = 25.0  # mm shown around the lungs
_MOST_PIXELS = 640
_COARSE = 4.0  # mm: voxels in which lungs are sought without a mask
_WIDTH = 6.0  # mm: Gaussian that smooths the histogram of their positions; the comb of the voxel grid vanishes


def extent(section):
    """Outer edges of the pixels in mm, (left, right, bottom, top)."""
    half = section.step / 2.0
    across, up = pixel_positions(section)
    return across[0] - half, across[-1] + half, up[0] - half, up[-1] + half


def pixel_positions(section):
    """(horizontal (columns,), vertical (rows,)) mm of the pixel centres."""
    return tuple(section.lower[k] + section.step * np.arange(section.size[k]) for k in (0, 1))


def sample(image, section, default=0.0):
    """Values of an image of any geometry on a section, linearly interpolated, ``default`` outside the image: float32
    [rows, columns] or [rows, columns, components].
    """
    origin, size = [section.position] * 3, [1] * 3
    origin[section.horizontal], origin[section.vertical] = section.lower
    size[section.horizontal], size[section.vertical] = section.size
    grid = Geometry.identity([int(n) for n in size], [section.step] * 3, origin)
    return np.take(resampled(_cropped(image, grid), grid, default), 0, axis=2 - section.normal)


def choose_sections(fixed, lung=None):
    """A coronal, a sagittal and an axial section through the largest lung areas, framed around the lungs.

    :param lung: mask image of any geometry; None: air inside the body of ``fixed`` (HU), or the whole image
        where there is none.
    :return: [coronal, sagittal, axial], of one step; the first two share their vertical range.
    :raises InputError: an empty mask.
    """
    (lower, upper), points = _bounds(fixed), _lung_points(fixed, lung)
    if points is None:
        centre = (lower + upper) / 2
    else:
        centre = np.array([_most_frequent(points[:, axis]) for axis in range(3)])
        lower = np.maximum(lower, points.min(axis=0) - MARGIN)
        upper = np.minimum(upper, points.max(axis=0) + MARGIN)
        if np.any(upper < lower):
            raise InputError('The lung mask lies outside the fixed image.')
    step = float(max(min(fixed.GetSpacing()), np.max(upper - lower) / _MOST_PIXELS))
    # On voxel centres where the axes allow, so that stored values are shown.
    origin = np.asarray(fixed.GetOrigin())
    lower = origin + step * np.floor((lower - origin) / step + 1e-6)
    count = np.maximum(np.floor((upper - lower) / step + 1e-6).astype(int) + 1, 2)
    centre = origin + step * np.round((centre - origin) / step)
    return [
        Section(*kind, float(centre[kind[2]]), tuple(lower[list(kind[3:])]), step, tuple(count[list(kind[3:])]))
        for kind in _KINDS
    ]


def points_near(section, points, distance):
    """Which points (n, 3) lie within ``distance`` mm of a section: boolean (n,)."""
    return np.abs(np.asarray(points)[:, section.normal] - section.position) <= distance


def in_plane(section, vectors):
    """The (horizontal, vertical) components of points or vectors (..., 3): (..., 2)."""
    return np.asarray(vectors)[..., [section.horizontal, section.vertical]]


def resampled(image, grid, default):
    """Float32 array of an image on a grid, linearly interpolated."""
    resampler = grid_resampler(grid, default)
    vector = image.GetNumberOfComponentsPerPixel() > 1
    resampler.SetOutputPixelType(sitk.sitkVectorFloat32 if vector else sitk.sitkFloat32)
    return sitk.GetArrayFromImage(resampler.Execute(image))


def _cropped(image, grid):
    """The part of the image around the grid of a section, so that ITK copies little of a vector image."""
    index = Geometry.of(image).world_to_index(grid.corners())
    last = np.array(image.GetSize()) - 1
    low = np.clip(np.floor(index.min(axis=0)).astype(int) - 1, 0, last)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + 1, 0, last)
    return sitk.RegionOfInterest(image, (high - low + 1).tolist(), low.tolist())


def _bounds(image):
    """Box, along the patient's axes, of the voxel centres: (lower, upper) (3,) mm."""
    corners = Geometry.of(image).corners()
    return corners.min(axis=0), corners.max(axis=0)


def _lung_points(fixed, lung):
    """Positions (n, 3) mm of at most some 100 000 lung voxels, or None if no lung is found."""
    array, image = _air_in_body(fixed) if lung is None else (array_view(lung), lung)
    inside = np.flatnonzero(array)
    if lung is None and len(inside) < 0.01 * array.size:
        return None
    if not len(inside):
        raise InputError('The lung mask is empty.')
    z, y, x = np.unravel_index(inside[:: max(1, len(inside) // 100000)], array.shape)
    return Geometry.of(image).index_to_world(np.column_stack([x, y, z]))


def _air_in_body(image):
    """Coarse lungs, (boolean [z, y, x], geometry): the air enclosed by the largest piece of tissue in axial slices."""
    lower, upper = _bounds(image)
    size = [int(n) for n in np.maximum(np.ceil((upper - lower) / _COARSE), 1)]
    coarse = Geometry.identity(size, [_COARSE] * 3, lower + _COARSE / 2)
    array = resampled(image, coarse, -2048.0)
    pieces = ndimage.label(array > -300)[0]
    # Without tissue there is no piece 1.
    body = pieces == 1 + np.argmax(np.append(np.bincount(pieces.ravel())[1:], 0))
    filled = np.stack([ndimage.binary_fill_holes(axial) for axial in body])
    return filled & (array < -550), coarse


def _most_frequent(values):
    """Where values (mm) are densest."""
    edges = np.arange(values.min() - 0.5, values.max() + 1.5)
    count = np.histogram(values, bins=edges)[0].astype(np.float64)
    best = int(np.argmax(ndimage.gaussian_filter1d(count, _WIDTH, mode='constant')))
    return 0.5 * (edges[best] + edges[best + 1])
