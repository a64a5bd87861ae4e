"""Small images on awkward grids for the tests of this folder."""

import numpy as np
import SimpleITK as sitk

from functions.image.geometry import Geometry

OBLIQUE_SEED = 3


def rotation(rng):
    """A random rotation matrix (determinant one)."""
    q = np.linalg.qr(rng.randn(3, 3))[0]
    if np.linalg.det(q) < 0:
        q[:, 0] *= -1
    return q


def oblique_geometry(size, seed=OBLIQUE_SEED, spacing=(1.3, 0.8, 2.1), centre=(11.0, -7.0, 30.0)):
    """Oblique anisotropic grid whose centre lies at ``centre`` mm."""
    direction = rotation(np.random.RandomState(seed))
    half = direction @ (np.array(spacing) * (np.array(size) - 1) / 2)
    return Geometry(tuple(size), tuple(spacing), tuple(np.array(centre) - half), tuple(direction.ravel()))


def image_of(array, geometry):
    """Image made by SimpleITK alone, so that the tested code does not test itself."""
    array = np.asarray(array)
    image = sitk.GetImageFromArray(array, isVector=array.ndim == 4)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    return image


def voxel_points(geometry):
    """Physical place of every voxel centre, ``[z, y, x, 3]``, by SimpleITK."""
    image = sitk.Image([int(n) for n in geometry.size], sitk.sitkUInt8)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    physical = sitk.PhysicalPointSource(
        sitk.sitkVectorFloat64, image.GetSize(), image.GetOrigin(), image.GetSpacing(), image.GetDirection()
    )
    return sitk.GetArrayFromImage(physical)


def smooth_noise(rng, shape, sigma=2.0):
    """Smooth random float32 array of about unit amplitude."""
    from scipy import ndimage

    noise = ndimage.gaussian_filter(rng.randn(*shape), sigma if len(shape) == 3 else (sigma,) * 3 + (0,))
    return (noise / np.abs(noise).max()).astype(np.float32)
