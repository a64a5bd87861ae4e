"""A made-up chest and the same displaced, as files, for tests of whole commands."""

import os

import numpy as np
import SimpleITK as sitk

#: mm along z by which the moving chest lies higher.
SHIFT = 6
#: Words of the command that registers the files.
WORDS = ['fixed.nii.gz', 'moving.nii.gz', '--affine', 'none', '--threads', '1', '--stages', '4']
WORDS += ['--fixed_lung', 'fixed_lung.nii.gz', '--moving_lung', 'moving_lung.nii.gz']


def write_chests(folder):
    """Write the chest and the displaced one with their lungs: fixed.nii.gz, fixed_lung.nii.gz, moving.nii.gz, ..."""
    z, y, x = np.ogrid[-46:46:2.0, -56:56:2.0, -76:76:2.0]
    texture = 40 * np.sin(x / 5) * np.sin(y / 6) * np.sin(z / 7)
    lung = ((np.abs(x) - 34) / 26) ** 2 + (y / 36) ** 2 + (z / 38) ** 2 < 1
    body = (x / 72) ** 2 + (y / 52) ** 2 < 1
    chest = np.where(lung, -820 + 6 * texture, np.where(body, 40 + texture / 4, -1000)).astype(np.int16)
    for name, shift in (('fixed', 0), ('moving', SHIFT)):
        for array, what in ((chest, ''), (lung.astype(np.uint8), '_lung')):
            image = sitk.GetImageFromArray(array)
            image.SetSpacing((2, 2, 2))
            image.SetOrigin((0, 0, shift))
            sitk.WriteImage(image, os.path.join(str(folder), f'{name}{what}.nii.gz'))


def require_displacement(folder, results):
    """Fail unless the field in the folder ``results`` undoes the displacement of the chests in ``folder``."""
    field = sitk.GetArrayFromImage(sitk.ReadImage(os.path.join(str(results), 'displacement.mha')))
    lung = sitk.GetArrayFromImage(sitk.ReadImage(os.path.join(str(folder), 'fixed_lung.nii.gz'))) > 0
    assert abs(np.median(field[..., 2][lung]) - SHIFT) < 1
