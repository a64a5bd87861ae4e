"""A single-frequency field as an ITK transform and as an image of its coefficients."""

import numpy as np
import SimpleITK as sitk

from functions.image.geometry import Geometry


def itk_transform(coefficients, geometry):
    """ITK's B-spline transform of order 3 that gives the field at the voxels of a grid.

    :param coefficients: [3, gz, gy, gx], mm.
    :param geometry: :class:`functions.image.geometry.Geometry` the field was made for.
    """
    geometry = Geometry.of(geometry)
    # The initializer uses the geometry of its image only.
    reference = geometry.apply_to(sitk.Image(list(geometry.size), sitk.sitkUInt8))
    mesh = [int(n) - 3 for n in coefficients.shape[:0:-1]]
    transform = sitk.BSplineTransformInitializer(reference, mesh, 3)
    transform.SetParameters(np.asarray(coefficients, dtype=float).ravel().tolist())
    return transform


def coefficient_image(coefficients, geometry):
    """ITK vector image of the coefficients (x, y, z), at the positions of the control points (mm)."""
    vectors = np.ascontiguousarray(np.moveaxis(np.asarray(coefficients, np.float32), 0, -1))
    image = sitk.GetImageFromArray(vectors, isVector=True)
    image.CopyInformation(itk_transform(coefficients, geometry).GetCoefficientImages()[0])
    return image
