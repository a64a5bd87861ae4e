"""Small images of awkward geometry: oblique, anisotropic, away from the origin."""

import numpy as np
import SimpleITK as sitk

SPACING = (0.8, 1.3, 2.1)
ORIGIN = (-31.0, 12.5, -204.0)


def rotation(about_x=0.3, about_z=0.4):
    """A proper rotation about two axes, as nine direction cosines."""
    c, s = np.cos(about_x), np.sin(about_x)
    first = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    c, s = np.cos(about_z), np.sin(about_z)
    second = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return (second @ first).ravel().tolist()


def image_of(array, spacing=SPACING, origin=ORIGIN, direction=None, vector=False):
    image = sitk.GetImageFromArray(array, isVector=vector)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(rotation() if direction is None else direction)
    return image


IDENTITY = np.eye(3).ravel().tolist()


def positions(image):
    """Physical position of every voxel, [z, y, x, 3], by ITK itself."""
    filled = sitk.PhysicalPointSource(
        sitk.sitkVectorFloat64, image.GetSize(), image.GetOrigin(), image.GetSpacing(), image.GetDirection()
    )
    return sitk.GetArrayFromImage(filled)


def affine_dvf(size, matrix, shift, **geometry):
    """Field u(p) = matrix p + shift on a grid of size x, y, z."""
    blank = image_of(np.zeros(size[::-1], np.float32), **geometry)
    u = positions(blank) @ np.asarray(matrix, float).T + np.asarray(shift, float)
    field = sitk.GetImageFromArray(u.astype(np.float32), isVector=True)
    field.CopyInformation(blank)
    return field


def points_inside(image, count=40, seed=3):
    """Random physical points well inside an image, (n, 3)."""
    random = np.random.RandomState(seed)
    size = np.array(image.GetSize())
    index = 1 + random.rand(count, 3) * (size - 3)
    return np.array([image.TransformContinuousIndexToPhysicalPoint(row.tolist()) for row in index])
