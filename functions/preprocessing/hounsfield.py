"""Any CT, file or DICOM folder, as an int16 image in HU on its own grid."""

import logging
import os

import numpy as np
import SimpleITK as sitk

from functions.image.resample import require_scalar
from functions.image.volume_io import array_view, image_from_array, read_image
from functions.preprocessing.dicom import read_series
from functions.setting.errors import InputError

LOGGER = logging.getLogger(__name__)

LOWEST = -1024  # HU; scanners mark voxels outside the field of view with -2000, -3024, …
STORED_OFFSET = 1024


def load_ct(source, series=None):
    """Read a CT and convert it to HU.

    :param source: .mha, .mhd, .nii, .nii.gz or .nrrd file, folder with one DICOM series, or a sitk.Image.
    :param series: series instance UID, if a DICOM folder contains several.
    :return: int16 sitk.Image on the grid of ``source``, values of -1024 HU and above.
    :raises MissingFileError, InputError: missing, damaged, not 3D, colour, or not HU.
    """
    if isinstance(source, sitk.Image):
        return as_hu(require_scalar(source), 'The image')
    source = os.fspath(source)
    return as_hu(read_series(source, series) if os.path.isdir(source) else read_image(source), source)


def as_hu(image, name):
    """Check that the values of ``image`` are HU, or HU + 1024, and return them as int16 HU.

    The assumption of HU + 1024 is logged as a warning. Values below -1024 HU become -1024 HU.

    :param name: what to call the image in messages.
    :raises InputError: the values can be neither.
    """
    array = array_view(image)
    low, high = float(array.min()), float(array.max())
    if low < -500 and high > 0:
        offset = 0
    elif low >= 0 and high >= 1000:
        offset = STORED_OFFSET
        LOGGER.warning('%s has no negative values (%g to %g): assumed to be HU + %d.', name, low, high, offset)
    else:
        hint = '(air near -1000, soft tissue near 0), or HU + 1024'
        raise InputError(f'{name} has values from {low:g} to {high:g}; CT in HU is needed {hint}.')
    if array.dtype == np.int16 and not offset and low >= LOWEST:
        return image
    result = np.empty(array.shape, np.int16)
    for plane, out in zip(array, result):
        out[...] = np.clip(np.rint(plane.astype(np.float32) - offset), LOWEST, np.iinfo(np.int16).max)
    return image_from_array(result, image)
