"""A DICOM series, read as one CT volume in HU.

Sorting is by position along the slice normal, never by file name or number. What cannot become a volume on a regular
grid (two series, missing or doubled slices, a tilted gantry, damaged files) is an error that says which slices.
"""

import logging
import os
import re
import struct

import numpy as np
import SimpleITK as sitk

from functions.setting.errors import InputError, MissingFileError

LOGGER = logging.getLogger(__name__)

_UNCOMPRESSED = ('1.2.840.10008.1.2', '1.2.840.10008.1.2.1', '1.2.840.10008.1.2.2')
_HEADER = 2**18  # bytes within which the pixel data of an image begin, as a rule


def read_series(folder, series=None):
    """Read the DICOM series in ``folder`` (not below it), rescaled to HU by its own slope and intercept.

    :param folder: folder with one file per slice.
    :param series: series instance UID, needed where the folder holds several.
    :return: scalar 3D sitk.Image; direction and spacing from the positions of its slices.
    :raises MissingFileError: no such folder.
    :raises InputError: no series, several of them, missing, doubled, unevenly spaced, damaged or sheared slices.
    """
    folder = os.fspath(folder)
    if not os.path.isdir(folder):
        raise MissingFileError(f'The DICOM folder {folder} does not exist.')
    names = _series_files(folder, series)
    slices = [_slice(name) for name in names]
    slices, spacing_z = _sorted(folder, slices)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([s['name'] for s in slices])
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise InputError(
            f'The DICOM series in {folder} cannot be read: {str(error).strip().splitlines()[-1]}'
        ) from error
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(f'The DICOM series in {folder} is in colour; CT is needed.')
    first = slices[0]
    image.SetSpacing(tuple(image.GetSpacing()[:2]) + (spacing_z,))
    image.SetOrigin(first['position'].tolist())
    image.SetDirection(np.stack([first['row'], first['column'], first['normal']], axis=1).ravel().tolist())
    if first['modality'] != 'CT':
        LOGGER.warning('%s holds modality %r; its values are taken for HU.', folder, first['modality'])
    return image


def _series_files(folder, series):
    reader = sitk.ImageSeriesReader
    found = {uid: reader.GetGDCMSeriesFileNames(folder, uid) for uid in reader.GetGDCMSeriesIDs(folder)}
    known = {os.path.abspath(name) for names in found.values() for name in names}
    paths = [os.path.join(os.path.abspath(folder), name) for name in sorted(os.listdir(folder))]
    lost = [os.path.basename(path) for path in paths if path not in known and _is_dicom(path)]
    if lost:
        raise InputError(
            f'{len(lost)} of the DICOM files in {folder} cannot be read (damaged or not an image): {_some(lost)}. '
            'Copy them again or move them away.'
        )
    if not found:
        raise InputError(f'{folder} holds no DICOM series; the files of one series must lie in it directly.')
    if series is None and len(found) > 1:
        held = [f'{uid} ({len(names)} files)' for uid, names in found.items()]
        raise InputError(
            '{} holds {} DICOM series; move one to a folder of its own or name it: {}.'.format(
                folder, len(found), '; '.join(held)
            )
        )
    if series is not None and series not in found:
        raise InputError('{} holds no series {}; it holds {}.'.format(folder, series, ', '.join(found)))
    names = found[series] if series is not None else next(iter(found.values()))
    if len(names) < 2:
        raise InputError(f'The DICOM series in {folder} has one file; a volume needs one file per slice.')
    return names


def _some(names):
    return ', '.join(names[:5]) + (', …' if len(names) > 5 else '')


def _is_dicom(path):
    if not os.path.isfile(path) or os.path.basename(path).upper() == 'DICOMDIR':
        return False
    with open(path, 'rb') as stream:
        return stream.read(132)[128:] == b'DICM'


def _slice(name):
    """Place and kind of one slice: name, size, position, row, column and normal (unit vectors, mm), modality."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(name)
    try:
        reader.ReadImageInformation()
        values = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
        position = np.array([float(v) for v in values['0020|0032'].split('\\')])
        cosines = np.array([float(v) for v in values['0020|0037'].split('\\')])
        size = int(values['0028|0010']), int(values['0028|0011'])
        row, column = cosines[:3] / np.linalg.norm(cosines[:3]), cosines[3:] / np.linalg.norm(cosines[3:])
    except (RuntimeError, KeyError, ValueError, IndexError) as error:
        raise InputError(
            f'{name} is not a slice of a CT volume (position, orientation or size cannot be read): '
            f'{str(error).strip().splitlines()[-1]}'
        ) from error
    if len(reader.GetSize()) > 2 and reader.GetSize()[2] != 1:
        raise InputError(f'{name} holds several slices in one file (multi-frame DICOM); convert it to NIfTI first.')
    samples, bits = int(values.get('0028|0002', 1)), int(values.get('0028|0100', 16))
    _check_pixel_bytes(name, size[0] * size[1] * samples * bits // 8)
    return {
        'name': name,
        'size': size,
        'position': position,
        'row': row,
        'column': column,
        'normal': np.cross(row, column),
        'modality': values.get('0008|0060', '').strip(),
    }


def _check_pixel_bytes(name, expected):
    """Raise when an uncompressed file ends before its pixels do; some readers fill the rest in silence."""
    with open(name, 'rb') as stream:
        head = stream.read(_HEADER)
    syntax = re.search(rb'\x02\x00\x10\x00UI(..)([0-9.]+)', head, re.DOTALL)
    if syntax is None or syntax.group(2).decode() not in _UNCOMPRESSED:
        return
    start = 0
    for tag in (b'\xe0\x7f\x10\x00OW\x00\x00', b'\xe0\x7f\x10\x00OB\x00\x00', b'\xe0\x7f\x10\x00'):
        place = head.find(tag + struct.pack('<I', expected))
        if place >= 0:
            start = place + len(tag) + 4
            break
    present = os.path.getsize(name) - start
    if present < expected:
        raise InputError(
            f'{name} is cut short: its header implies {expected} bytes of pixels, {present} are there. Copy it again.'
        )


def _name(one):
    return os.path.basename(one['name'])


def _sorted(folder, slices):
    """Slices in the order of their place along the normal, and the distance between neighbours in mm."""
    first = slices[0]
    for other in slices[1:]:
        turned = max(np.abs(other[key] - first[key]).max() for key in ('normal', 'row'))
        if other['size'] != first['size'] or turned > 1e-3:
            raise InputError(
                f'{folder}: {_name(first)} and {_name(other)} have different sizes or orientations; a volume needs '
                'equal slices (move a scout view away).'
            )
    slices = sorted(slices, key=lambda s: float(s['position'] @ first['normal']))
    places = np.array([s['position'] @ first['normal'] for s in slices])
    gaps = np.diff(places)
    usual = float(np.median(gaps))
    doubled = np.nonzero(gaps < 0.01)[0]
    if len(doubled):
        pair = [_name(slices[doubled[0] + i]) for i in (0, 1)]
        raise InputError(
            '{}: several slices at the same place, e.g. {} and {} (several phases in one '
            'series?); keep one of each.'.format(folder, *pair)
        )
    uneven = [
        f'{_name(slices[i])} and {_name(slices[i + 1])} are {gaps[i]:.3g} mm apart'
        for i in np.nonzero(np.abs(gaps - usual) > 0.1 * usual)[0]
    ]
    if uneven:
        raise InputError(
            f'{folder}: slices are missing or unevenly spaced: {_some(uneven)}; the others are {usual:.3g} mm apart.'
        )
    step = slices[-1]['position'] - slices[0]['position']
    sideways = np.linalg.norm(step - (step @ first['normal']) * first['normal'])
    if sideways > 0.01 * np.linalg.norm(step):
        raise InputError(
            f'{folder}: the slices are shifted sideways by {sideways:.3g} mm from the first to the last '
            '(tilted gantry); resample the series to an upright grid first.'
        )
    return slices, float(places[-1] - places[0]) / (len(slices) - 1)
