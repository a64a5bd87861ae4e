"""Any CT, file or DICOM folder, as an int16 image in HU on its own grid, and what lies outside its field of view.

Scanners and programs fill the corners of an image with one value.
"""

import logging
import os

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..image.resample import require_scalar
from ..image.volume_io import array_view, image_from_array, read_image
from ..setting.errors import InputError
from .dicom import read_series

LOGGER = logging.getLogger(__name__)

LOWEST = -1024  # HU; scanners mark what they have not seen with -2000, -3024, …
STORED_OFFSET = 1024
_AIR, _METAL = -1000, 3000  # HU: a constant in the corners up to the one, or from the other, is no tissue

#: What may have been added to HU: nothing, the offset of storage, the same twice, or it was taken off twice.
_OFFSETS = (0, STORED_OFFSET, 1000, 2 * STORED_OFFSET, 2000, -STORED_OFFSET, -1000)
_LIMIT = 8192  # of the histogram
_UNSEEN = -3024
_FAT = -102  # HU; the peak lies from -109 to -92 in 18 real scans


def load_ct(source, series=None):
    """Read a CT and convert it to HU.

    :param source: .mha, .mhd, .nii, .nii.gz or .nrrd file, folder with one DICOM series, or a sitk.Image.
    :param series: series instance UID or series number, if a DICOM folder contains several.
    :return: int16 sitk.Image on the grid of ``source``, values of -1024 HU and above, -1024 outside the field of view.
    :raises MissingFileError, InputError: missing, damaged, not 3D, colour, or not HU.
    """
    if isinstance(source, sitk.Image):
        return blank(as_hu(require_scalar(source), 'The image'), 'The image')
    source = os.fspath(source)
    if series is not None and not os.path.isdir(source):
        raise InputError(f'{source} is no folder, so the series {series} cannot be chosen from it.')
    image = read_series(source, series) if os.path.isdir(source) else read_image(source)
    return blank(as_hu(image, source), source)


def as_hu(image, name):
    """The image, called ``name`` in messages, as int16 HU: the peaks of air and soft tissue show what was added to
    them.

    What is corrected or cannot be judged is logged as a warning. Values below -1024 HU become -1024 HU.

    :raises InputError: the values are not HU, nor HU with one of :data:`_OFFSETS` added.
    """
    array = array_view(image)
    low, high = float(array.min()), float(array.max())
    wrapped = low >= 0 and 2**15 <= high < 2**16
    if wrapped:
        array = _unwrapped(array)
    offset = _offset(array, wrapped, name, f'values from {low:g} to {high:g}')
    if array.dtype == np.int16 and not offset and low >= LOWEST:
        return image
    result = np.empty(array.shape, np.int16)
    for plane, out in zip(array, result):
        out[...] = np.clip(np.rint(plane.astype(np.float32) - offset), LOWEST, np.iinfo(np.int16).max)
    return image_from_array(result, image)


def _unwrapped(array):
    """int32 values of a file of unsigned 16 bits in which negative ones wrapped around; 65535 may mark the unseen."""
    # Single voxels of 65535 are tissue of -1 HU.
    unseen = ndimage.binary_opening(array == 2**16 - 1, np.ones((1, 3, 3)))
    array = np.where(array >= 2**15, array.astype(np.int32) - 2**16, array)
    if unseen.mean() > 0.01:
        array[unseen] = _UNSEEN
    return array


def _offset(array, wrapped, name, found):
    """What has to be taken off the values to get HU."""
    step = max(1, array.size // 2**21) | 1
    values = np.clip(np.rint(array.reshape(-1)[::step].astype(np.float32)), -_LIMIT, _LIMIT - 1).astype(np.int64)
    counts, values = np.bincount(values + _LIMIT, minlength=2 * _LIMIT), np.arange(-_LIMIT, _LIMIT)
    counts[-1] = 0  # no tissue but a mark of the unseen
    fitting = [offset for offset in _OFFSETS if _is_chest(counts, values - offset)]
    if fitting and fitting[0] == 0:
        if wrapped:
            LOGGER.warning('%s has %s: HU whose negative values wrapped around; mended.', name, found)
        return 0
    if fitting:
        # Fat tells 1024 from 1000 (air may be cut off, or not there).
        fat = _peak(counts, values, fitting[0] - 170, fitting[0] - 75, 5)
        offset = min(fitting, key=lambda one: abs(fat - one - _FAT))
        LOGGER.warning('%s has %s, fat near %d: assumed to be HU %+d and corrected.', name, found, fat, offset)
        return offset
    tissue, denser = _peak(counts, values, -500, _LIMIT, 10), values > -500
    share = counts[np.abs(values - tissue) < 150].sum() / max(counts[denser].sum(), 1)
    if wrapped or not array.min() < -500 or not array.max() > 0 or (share > 0.5 and abs(tissue) > 200):
        needed = 'CT in HU is needed (air near -1000, lung, soft tissue near 0), or HU with 1000 or 1024 added'
        raise InputError(f'{name} has {found}, not those of a chest CT; {needed}.')
    LOGGER.warning('%s has %s without the peaks of lung and soft tissue: taken for HU, unchecked.', name, found)
    return 0


def _peak(counts, values, low, high, smoothing):
    inside = (values > low) & (values < high)
    return int(values[inside][ndimage.gaussian_filter1d(counts[inside].astype(float), smoothing).argmax()])


def _is_chest(counts, hu):
    """Whether a histogram has lung, and near 0 HU most of what is denser than lung (0.83 or more in 18 real scans)."""
    lung, tissue = counts[(hu > -960) & (hu < -600)].sum(), counts[np.abs(hu) < 200].sum()
    return lung > 0.01 * counts.sum() and tissue > max(0.03 * counts.sum(), 0.72 * counts[hu > -500].sum())


def outside_field_of_view(image):
    """Where a CT holds nothing but padding: connected with the upright edges of the image and constant.

    :param image: sitk.Image in HU whose third axis is the patient's.
    :return: uint8 image of 0 and 1 on its grid, or None where nothing is padded. Clipped air counts as padding.
    """
    edges = array_view(image)[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    values, counts = np.unique(edges, return_counts=True)
    outside = None
    for value in values[counts >= 0.1 * edges.size]:
        if _AIR < value < _METAL and value != 0:
            continue
        ends = [(x, y) for y in (0, image.GetHeight() - 1) for x in (0, image.GetWidth() - 1)]
        seeds = [ends[edge] + (int(z),) for z, edge in np.argwhere(edges == value)]
        part = sitk.ConnectedThreshold(image, seeds, float(value), float(value))
        outside = part if outside is None else outside | part
    return outside


def blank(image, name):
    """The image, called ``name`` in messages, with :data:`LOWEST` outside the field of view where that was filled with
    0 or a huge value.
    """
    outside = outside_field_of_view(image)
    array = array_view(image)
    wrong = None if outside is None else (array_view(outside) != 0) & (array > _AIR)
    if wrong is None or not wrong.any():
        return image
    share, value = 100.0 * np.count_nonzero(wrong) / wrong.size, array[wrong][0]
    LOGGER.warning('%s: %.0f %% of it is %g HU around the field of view; taken for nothing.', name, share, value)
    return image_from_array(np.where(wrong, array.dtype.type(LOWEST), array), image)
