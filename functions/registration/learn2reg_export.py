"""The displacement field as Learn2Reg's evaluation reads it.

It warps by ``map_coordinates(moving, identity + field)`` and adds the field to landmarks in voxels, all in the order of
the axes of a NIfTI file. The field is therefore an array (x, y, z, 3) of voxels: of the moving image, at every voxel of
the fixed one, along the axes of the images, whatever their directions.
"""

import os
import re

import numpy as np
import SimpleITK as sitk

from ..image.dvf import led_indices
from ..image.geometry import Geometry
from ..image.volume_io import write_image
from .result_folder import read_result


def write_learn2reg(results, folder):
    """Write ``disp_<fixed>_<moving>.nii.gz`` into ``folder``; float32.

    :param results: :class:`functions.registration.result_folder.Results` on the grid of the fixed image.
    :return: list of the path written.
    """
    field = read_result(results)
    fixed = Geometry.of(field)
    voxels = np.empty((3,) + fixed.shape, np.float32)
    for z, (index, led) in enumerate(led_indices(field, results.moving)):
        voxels[:, z] = np.moveaxis(led - index, -1, 0)
    image = sitk.GetImageFromArray(voxels, isVector=False)
    image.SetSpacing(fixed.spacing + (1.0,))
    image.SetOrigin(fixed.origin + (0.0,))
    direction = np.eye(4)
    direction[:3, :3] = np.array(fixed.direction).reshape(3, 3)
    image.SetDirection(direction.ravel().tolist())
    path = os.path.join(folder, _file_name(*[results.record['settings'][role] for role in ('fixed', 'moving')]))
    write_image(image, path)
    return [path]


def _file_name(fixed, moving):
    """The evaluation's name for a pair: numbers of the subjects in names such as LungCT_0001_0000.nii.gz."""
    found = [re.search(r'_(\d{4})_\d{4}\.nii\.gz$', path) for path in (fixed, moving)]
    return 'disp_{}_{}.nii.gz'.format(*[match.group(1) for match in found] if all(found) else ('0000', '0001'))
