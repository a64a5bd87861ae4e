"""Where the voxels of an image lie in physical space; conversion between voxel indices and millimetres."""

import collections
import itertools

import numpy as np
import SimpleITK as sitk

from ..setting.errors import InputError


class Geometry(collections.namedtuple('Geometry', ('size', 'spacing', 'origin', 'direction'))):
    """Grid of an image, every tuple in x, y, z order.

    ``size`` voxels, ``spacing`` mm, ``origin`` mm (centre of voxel 0, 0, 0), ``direction`` nine cosines, row
    by row as ITK gives them: ``point = origin + D @ (spacing * index)``.
    """

    __slots__ = ()

    @classmethod
    def of(cls, image):
        """Geometry of a SimpleITK image; a :class:`Geometry` is returned as it is."""
        if isinstance(image, cls):
            return image
        if not isinstance(image, sitk.Image):
            raise InputError(f'An image or its Geometry is needed to know the grid; got {type(image).__name__}.')
        return cls(*map(tuple, (image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())))

    @classmethod
    def of_record(cls, values):
        """The geometry that a record holds as a dictionary."""
        return cls(*[tuple(values[name]) for name in cls._fields])

    @classmethod
    def identity(cls, size, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0)):
        """Grid with identity direction (x to the left, y posterior, z superior)."""
        triples = [tuple(map(float, values)) for values in (spacing, origin, np.eye(3).ravel())]
        return cls(tuple(map(int, size)), *triples)

    @property
    def matrix(self):
        """3x3 float64 matrix from index steps to millimetres: direction times spacing."""
        return np.array(self.direction, dtype=np.float64).reshape(3, 3) * np.array(self.spacing)

    @property
    def shape(self):
        """Array shape ``(z, y, x)``."""
        return tuple(self.size[::-1])

    def index_to_world(self, index):
        """Points in mm of continuous 0-based voxel indices, both ``(..., 3)`` in x, y, z order, float64."""
        return _triples(index) @ self.matrix.T + np.array(self.origin)

    def world_to_index(self, points):
        """Continuous 0-based voxel indices of points in mm, both ``(..., 3)`` in x, y, z order, float64."""
        return (_triples(points) - np.array(self.origin)) @ np.linalg.inv(self.matrix).T

    def contains(self, index):
        """Whether continuous voxel indices ``(..., 3)`` lie in the image: at most half a voxel beyond its outermost
        centres, as in ITK."""
        return ((index >= -0.5) & (index <= np.array(self.size) - 0.5)).all(axis=-1)

    def corners(self):
        """Millimetres of the eight outermost voxel centres, ``(8, 3)``."""
        return self.index_to_world(list(itertools.product(*[(0, n - 1) for n in self.size])))

    def matches(self, other, tolerance=0.01):
        """True when no voxel centre is further from ``other``'s than ``tolerance``, a fraction of the smallest spacing:
        header formats round differently (NIfTI keeps single precision).
        """
        other = Geometry.of(other)
        if tuple(self.size) != tuple(other.size):
            return False
        if len(self.size) != 3:
            return self == other
        far = np.abs(self.corners() - other.corners()).max()
        return bool(far <= tolerance * min(min(self.spacing), min(other.spacing)))

    def apply_to(self, image):
        """Stamp spacing, origin and direction on ``image`` (same size) and return it."""
        image.SetSpacing(self.spacing)
        image.SetOrigin(self.origin)
        image.SetDirection(self.direction)
        return image

    def __str__(self):
        spacing, origin = tuple(round(v, 4) for v in self.spacing), tuple(round(v, 3) for v in self.origin)
        return f'size {tuple(self.size)}, spacing {spacing}, origin {origin}'


def _triples(values):
    values = np.asarray(values, dtype=np.float64)
    if values.shape[-1:] != (3,):
        raise InputError(f'Points and indices must be arrays (n, 3) in x, y, z order; got shape {values.shape}.')
    return values


def grid_resampler(geometry, default=0.0, interpolator=sitk.sitkLinear):
    """A ResampleImageFilter whose output grid is ``geometry`` (identity transform)."""
    resampler = sitk.ResampleImageFilter()
    resampler.SetInterpolator(interpolator)
    resampler.SetDefaultPixelValue(float(default))
    resampler.SetSize([int(n) for n in geometry.size])
    resampler.SetOutputSpacing(geometry.spacing)
    resampler.SetOutputOrigin(geometry.origin)
    resampler.SetOutputDirection(geometry.direction)
    return resampler


def require_same_grid(a, b, name_a, name_b):
    """Raise :class:`InputError` naming both unless images (or geometries) ``a`` and ``b`` have the same grid."""
    a, b = Geometry.of(a), Geometry.of(b)
    if not a.matches(b):
        hint = '' if str(a) != str(b) else ' (their directions differ)'
        raise InputError(f'{name_a} and {name_b} must have the same grid: {name_a} has {a}; {name_b} has {b}{hint}.')
