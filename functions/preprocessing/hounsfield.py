"""Any CT that people have, file or DICOM folder, as an int16 image in HU on its own grid."""

import logging
import os

import numpy as np
import SimpleITK as sitk

from functions.image.volume_io import array_view, image_from_array, read_image
from functions.preprocessing.dicom import read_series
from functions.setting.errors import InputError

LOGGER = logging.getLogger(__name__)

LOWEST = -1024  # HU; scanners mark what they have not seen with -2000, -3024, …
STORED_OFFSET = 1024


def load_ct(source, series=None):
    """Read a CT and bring it to HU.

    :param source: .mha, .mhd, .nii, .nii.gz or .nrrd file, folder with one DICOM series, or a sitk.Image.
    :param series: series instance UID where a DICOM folder holds several.
    :return: int16 sitk.Image on the grid of ``source``, values of -1024 HU and above.
    :raises MissingFileError, InputError: missing, damaged, not 3D, colour, or no HU.
    """
    if isinstance(source, sitk.Image):
        if source.GetDimension() != 3 or source.GetNumberOfComponentsPerPixel() != 1:
            raise InputError('A 3D image with one value per voxel is needed.')
        return as_hu(source, 'The image')
    source = os.fspath(source)
    image = read_series(source, series) if os.path.isdir(source) else read_image(source)
    return as_hu(image, source)


def as_hu(image, name):
    """Check that the values of ``image`` are HU, or the same plus 1024, and return them as int16 HU.

    What had to be assumed is logged as a warning. What is below -1024 HU becomes -1024 HU.

    :param name: what to call the image in messages.
    :raises InputError: the values can be neither.
    """
    array = array_view(image)
    low, high = float(array.min()), float(array.max())
    if low < -500 and high > 0:
        offset = 0
    elif low >= 0 and high >= 1000:
        offset = STORED_OFFSET
        LOGGER.warning('%s has no negative value (%g to %g): taken for HU + %d.', name, low, high, offset)
    else:
        raise InputError(
            f'{name} has values from {low:g} to {high:g}; CT in HU is needed (air near -1000, soft tissue '
            'near 0), or the same plus 1024.'
        )
    if array.dtype == np.int16 and not offset and low >= LOWEST:
        return image
    result = np.empty(array.shape, np.int16)
    for plane, out in zip(array, result):
        out[...] = np.clip(np.rint(plane.astype(np.float32) - offset), LOWEST, np.iinfo(np.int16).max)
    return image_from_array(result, image)
