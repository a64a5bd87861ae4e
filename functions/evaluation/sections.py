"""Flat sections of volumes in physical space, as a radiologist expects them.

A section is sampled along the axes of the patient (x to the left, y posterior, z superior), whatever the
direction matrix and spacing of the image, with square pixels. Row 0 of a coronal or sagittal section is the
inferior one: shown with the origin at the bottom, superior is up; a coronal section has the patient's right
on the left, a sagittal one anterior on the left. Row 0 of an axial section is the anterior one: its vertical
axis is shown downwards.
"""

from collections import namedtuple

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from functions.image.geometry import Geometry
from functions.setting.errors import InputError

#: name 'coronal', 'sagittal' or 'axial'; normal, horizontal, vertical: axes, 0 x, 1 y, 2 z; position: mm
#: along the normal; lower: (horizontal, vertical) mm of the centre of pixel [0, 0]; step: mm; size: (columns,
#: rows).
Plane = namedtuple('Plane', 'name normal horizontal vertical position lower step size')

_LETTERS = {'coronal': ('R', 'L', 'S'), 'sagittal': ('A', 'P', 'S'), 'axial': ('R', 'L', 'A')}
_MOST_PIXELS = 640


def orientation_letters(plane):
    """(left, right, top) letters of a section as it is shown."""
    return _LETTERS[plane.name]


def extent(plane):
    """Outer edges of the pixels in mm, (left, right, bottom, top)."""
    half = plane.step / 2.0
    return (
        plane.lower[0] - half,
        plane.lower[0] + (plane.size[0] - 0.5) * plane.step,
        plane.lower[1] - half,
        plane.lower[1] + (plane.size[1] - 0.5) * plane.step,
    )


def pixel_positions(plane):
    """(horizontal (columns,), vertical (rows,)) mm of the pixel centres."""
    return tuple(plane.lower[k] + plane.step * np.arange(plane.size[k]) for k in (0, 1))


def sample(image, plane, interpolator=sitk.sitkLinear, default=0.0):
    """Values of an image on a section.

    :param image: scalar or vector image of any geometry.
    :return: float32 [rows, columns] or [rows, columns, components]; row 0 inferior (axial: anterior);
        `default` outside the image.
    """
    origin, size = [0.0] * 3, [1] * 3
    origin[plane.normal], origin[plane.horizontal] = plane.position, plane.lower[0]
    origin[plane.vertical] = plane.lower[1]
    size[plane.horizontal], size[plane.vertical] = plane.size
    vector = image.GetNumberOfComponentsPerPixel() > 1
    image = _cropped(image, origin, size, plane.step)
    section = sitk.Resample(
        image,
        [int(n) for n in size],
        sitk.Transform(3, sitk.sitkIdentity),
        interpolator,
        origin,
        [plane.step] * 3,
        np.eye(3).ravel().tolist(),
        float(default),
        sitk.sitkVectorFloat32 if vector else sitk.sitkFloat32,
    )
    array = sitk.GetArrayFromImage(section)
    return np.take(array, 0, axis=2 - plane.normal)


def choose_planes(fixed, lung=None, margin=25.0):
    """The coronal and the sagittal section of :func:`choose_views`; both share their vertical range."""
    return choose_views(fixed, lung, margin)[:2]


def choose_views(fixed, lung=None, margin=25.0):
    """A coronal, a sagittal and an axial section through the largest lung areas, framed around the lungs.

    :param lung: mask image of any geometry; None: air inside the body of `fixed` (HU), or the whole image
        where there is none.
    :param margin: mm shown around the lungs.
    :return: (coronal, sagittal, axial), of one step.
    :raises InputError: an empty mask.
    """
    lower, upper = _bounds(fixed)
    points = _lung_points(fixed, lung)
    if points is None:
        centre = (lower + upper) / 2
    else:
        centre = np.array([_most_frequent(points[:, axis]) for axis in range(3)])
        lower = np.maximum(lower, points.min(axis=0) - margin)
        upper = np.minimum(upper, points.max(axis=0) + margin)
        if np.any(upper < lower):
            raise InputError('The lung mask lies outside the fixed image.')
    step = max(min(fixed.GetSpacing()), float(np.max(upper - lower)) / _MOST_PIXELS)
    # On voxel centres wherever the axes allow, so that what is shown is what is stored.
    origin = np.asarray(fixed.GetOrigin())
    lower = origin + step * np.floor((lower - origin) / step + 1e-6)
    count = np.maximum(np.floor((upper - lower) / step + 1e-6).astype(int) + 1, 2)
    centre = origin + step * np.round((centre - origin) / step)

    def plane(name, normal, horizontal, vertical):
        corner = (float(lower[horizontal]), float(lower[vertical]))
        return Plane(
            name,
            normal,
            horizontal,
            vertical,
            float(centre[normal]),
            corner,
            float(step),
            (int(count[horizontal]), int(count[vertical])),
        )

    return plane('coronal', 1, 0, 2), plane('sagittal', 0, 1, 2), plane('axial', 2, 0, 1)


def points_near(plane, points, distance):
    """Which points (n, 3) lie within `distance` mm of a section: boolean (n,)."""
    return np.abs(np.asarray(points)[:, plane.normal] - plane.position) <= distance


def in_plane(plane, vectors):
    """The (horizontal, vertical) components of points or vectors (..., 3): (..., 2)."""
    return np.stack([vectors[..., plane.horizontal], vectors[..., plane.vertical]], axis=-1)


def _cropped(image, origin, size, step):
    """The part of the image around the section: what Resample copies of a vector image is then small."""
    corners = np.array(
        [[origin[axis] + step * (size[axis] - 1) * (corner >> axis & 1) for axis in range(3)] for corner in range(8)]
    )
    index = np.array([image.TransformPhysicalPointToContinuousIndex(corner.tolist()) for corner in corners])
    extent_of_image = np.array(image.GetSize())
    low = np.clip(np.floor(index.min(axis=0)).astype(int) - 1, 0, extent_of_image - 1)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + 1, 0, extent_of_image - 1)
    return sitk.RegionOfInterest(image, (high - low + 1).tolist(), low.tolist())


def _bounds(image):
    """Box, along the patient's axes, of the voxel centres: (lower, upper) (3,) mm."""
    corners = Geometry.of(image).corners()
    return corners.min(axis=0), corners.max(axis=0)


def _lung_points(fixed, lung):
    """Positions (n, 3) mm of at most some 100 000 lung voxels, None when there is no lung to be seen."""
    if lung is None:
        array, image = _air_in_body(fixed)
        if np.count_nonzero(array) < 0.01 * array.size:
            return None
    else:
        array, image = sitk.GetArrayViewFromImage(lung), lung
        if not array.any():
            raise InputError('The lung mask is empty.')
    inside = np.flatnonzero(array)
    inside = inside[:: max(1, len(inside) // 100000)]
    z, y, x = np.unravel_index(inside, array.shape)
    return Geometry.of(image).index_to_world(np.column_stack([x, y, z]))


def _air_in_body(image, step=4.0):
    """Coarse lungs without a mask: (boolean [z, y, x], geometry along the patient's axes).

    Air that the largest piece of tissue encloses in its axial slice; table and pillows are other pieces.
    """
    lower, upper = _bounds(image)
    size = [int(n) for n in np.maximum(np.ceil((upper - lower) / step), 1)]
    coarse = Geometry.identity(size, [step] * 3, lower + step / 2)
    array = sitk.GetArrayFromImage(
        sitk.Resample(
            image,
            coarse.size,
            sitk.Transform(3, sitk.sitkIdentity),
            sitk.sitkLinear,
            coarse.origin,
            coarse.spacing,
            coarse.direction,
            -2048.0,
            sitk.sitkFloat32,
        )
    )
    pieces, count = ndimage.label(array > -300)
    if count == 0:
        return np.zeros(array.shape, dtype=bool), coarse
    body = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    filled = np.stack([ndimage.binary_fill_holes(section) for section in body])
    return filled & (array < -550), coarse


def _most_frequent(values, width=6.0):
    """Where values (mm) are densest, through a Gaussian of `width` mm: the teeth of the voxel grid vanish."""
    edges = np.arange(values.min() - 0.5, values.max() + 1.5)
    count = np.histogram(values, bins=edges)[0].astype(np.float64)
    density = ndimage.gaussian_filter1d(count, width, mode='constant')
    best = int(np.argmax(density))
    return 0.5 * (edges[best] + edges[best + 1])
