"""Pairs of images whose transform is known, on awkward grids, for the tests of this folder; made by SimpleITK
alone."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from functions.elastix.programs import is_available
from functions.image.geometry import Geometry

needs_elastix = pytest.mark.skipif(
    not is_available(), reason='elastix and transformix are not on the PATH (Debian: apt-get install elastix)'
)


def oblique_grid(size, spacing, centre, seed):
    """Oblique, anisotropic grid, nowhere near the origin."""
    direction = np.linalg.qr(np.random.RandomState(seed).randn(3, 3))[0]
    direction[:, 0] *= np.sign(np.linalg.det(direction))
    half = direction @ (np.array(spacing) * (np.array(size) - 1) / 2)
    return Geometry(tuple(size), tuple(spacing), tuple(np.array(centre) - half), tuple(direction.ravel()))


FIXED_GRID = oblique_grid((26, 24, 20), (1.3, 0.8, 2.1), (11.0, -7.0, 30.0), 3)
MOVING_GRID = oblique_grid((36, 34, 30), (1.1, 1.2, 1.6), (12.0, -6.0, 31.0), 5)


def image_on(array, grid):
    array = np.asarray(array)
    image = sitk.GetImageFromArray(array, isVector=array.ndim == 4)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)
    return image


def smooth(shape, seed, sigma=2.5):
    """Smooth random float32 array of unit amplitude; a last axis of 3 holds independent components."""
    rng = np.random.RandomState(seed)
    noise = ndimage.gaussian_filter(rng.randn(*shape), sigma if len(shape) == 3 else (sigma,) * 3 + (0,))
    return (noise / np.abs(noise).max()).astype(np.float32)


def moving_image():
    return image_on((900 * smooth(MOVING_GRID.shape, 1)).astype(np.int16), MOVING_GRID)


def a_field(amplitude=4.0):
    return image_on(amplitude * smooth(FIXED_GRID.shape + (3,), 2, 3.0), FIXED_GRID)


def an_affine(seed=0, size=0.08, shift=4.0):
    rng = np.random.RandomState(seed)
    affine = sitk.AffineTransform(3)
    affine.SetMatrix((np.eye(3) + rng.uniform(-size, size, (3, 3))).ravel().tolist())
    affine.SetTranslation(rng.uniform(-shift, shift, 3).tolist())
    affine.SetCenter((11.0, -7.0, 30.0))
    return affine


def total(affine, field):
    """A(p + u(p)) by SimpleITK."""
    result = sitk.CompositeTransform(3)
    result.AddTransform(affine)
    result.AddTransform(sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64)))
    return result


def inner_points(grid=FIXED_GRID, number=30, seed=4):
    index = np.random.RandomState(seed).uniform(0.1, 0.9, (number, 3)) * (np.array(grid.size) - 1)
    return grid.index_to_world(index)


def mapped(transform, points):
    return np.array([transform.TransformPoint(point) for point in np.asarray(points).tolist()])


def textured_pair(affine, fixed_grid=None, moving_grid=None):
    """(fixed, moving) int16 of one texture, ``moving(affine(p)) = fixed(p)``."""
    fixed_grid = fixed_grid or oblique_grid((36, 34, 30), (1.5, 1.4, 2.0), (11.0, -7.0, 30.0), 3)
    moving_grid = moving_grid or oblique_grid((40, 40, 36), (1.5, 1.5, 1.8), (13.0, -5.0, 31.0), 5)
    grid = Geometry.identity((64, 64, 64), (1.7,) * 3, (-43.0, -61.0, -24.0))
    texture = image_on(1500 * smooth(grid.shape, 7, 2.5) - 200, grid)
    images = []
    same = sitk.Transform(3, sitk.sitkIdentity)
    for target, transform in ((fixed_grid, same), (moving_grid, affine.GetInverse())):
        reference = image_on(np.zeros(target.shape, np.uint8), target)
        resampled = sitk.Resample(texture, reference, transform, sitk.sitkBSpline, -1000.0, sitk.sitkFloat32)
        images.append(sitk.Cast(resampled, sitk.sitkInt16))
    return images
