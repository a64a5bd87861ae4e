"""A DICOM series, read as one CT volume in HU.

Sorting is by position along the slice normal, never by file name or number. What cannot become a volume on a regular
grid (slices that differ, are missing, doubled or off the line, a tilted gantry, damaged files) is an error that says
which slices. What is no image of a series is passed over with a line.
"""

import itertools
import logging
import os
import re
import struct

import numpy as np
import SimpleITK as sitk

from ..setting.errors import InputError, MissingFileError

LOGGER = logging.getLogger(__name__)

_UNCOMPRESSED = ('1.2.840.10008.1.2', '1.2.840.10008.1.2.1', '1.2.840.10008.1.2.2')
_HEADER = 2**18  # bytes within which the pixel data of an image begin, as a rule
_OFF_LINE = 0.1  # mm
_CT = '1.2.840.10008.5.1.4.1.1.2'
#: SOP classes that can be slices, below that of all images: CT and enhanced CT, MR, secondary captures, PET.
_KINDS = ('2', '2.1', '2.2', '4', '4.1', '4.4', '7', '7.1', '7.2', '7.3', '7.4', '128', '130')
_IMAGES = tuple(_CT[:-1] + kind for kind in _KINDS)
_DIRECTORY = '1.2.840.10008.1.3.10'

_POSITION, _ORIENTATION, _SPACING, _FRAMES = '0020|0032', '0020|0037', '0028|0030', '0028|0008'
_CLASS, _SERIES, _SERIES_NUMBER = '0008|0016', '0020|000e', '0020|0011'
#: What all slices must have in common: tag, name, tolerance of its numbers (0: as text; infinite: that it is there).
_IN_COMMON = (
    ('0028|0010', 'Rows', 0),
    ('0028|0011', 'Columns', 0),
    (_SPACING, 'PixelSpacing', 1e-4),
    (_ORIENTATION, 'ImageOrientationPatient', 1e-4),
    ('0028|1052', 'RescaleIntercept', np.inf),  # values may differ, every slice is rescaled by its own
    ('0028|1053', 'RescaleSlope', np.inf),
)


def read_series(folder, series=None):
    """Read the DICOM series in ``folder`` (not below it), each slice rescaled to HU by its own slope and intercept.

    :param series: series instance UID or series number, needed where the folder holds several.
    :return: scalar 3D sitk.Image; direction and spacing from the positions of its slices.
    :raises MissingFileError: no such folder.
    :raises InputError: no series, several of them, slices that differ, are missing, doubled, unevenly spaced, damaged
        or off the line, or several slices in one file.
    """
    slices, spacing_z = _slices(folder, series)
    first = slices[0]
    try:
        images = [sitk.ReadImage(one['name'], imageIO='GDCMImageIO') for one in slices]
        array = np.concatenate([sitk.GetArrayViewFromImage(image) for image in images])
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise InputError(f'The DICOM series in {folder} cannot be read: {reason}') from error
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(first['spacing'] + (spacing_z,))
    image.SetOrigin(first['position'].tolist())
    image.SetDirection(np.stack([first['row'], first['column'], first['normal']], axis=1).ravel().tolist())
    if first.get('0008|0060') != 'CT':
        LOGGER.warning('%s holds modality %r, not CT.', folder, first.get('0008|0060'))
    return image


def series_files(folder, series=None):
    """Paths of the slices that :func:`read_series` reads, in the order of the volume."""
    return [one['name'] for one in _slices(folder, series)[0]]


# ---- which files


def _slices(folder, series):
    folder = os.fspath(folder)
    if not os.path.isdir(folder):
        raise MissingFileError(f'The DICOM folder {folder} does not exist.')
    return _sorted(folder, [_slice(values) for values in _chosen(folder, _all_series(folder), series)])


def _all_series(folder):
    """Series UID -> headers of its images (tag -> text, and 'name'); what is no image is passed over with a line."""
    found, passed, lost = {}, [], []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if not os.path.isfile(path):
            continue
        with open(path, 'rb') as stream:
            head = stream.read(2**12)
        values = _header(path)
        kind = _kind(head, values)
        if kind is not None:
            passed.append(f'{name} ({kind})')
        elif values is not None:
            found.setdefault(values.get(_SERIES, ''), []).append(dict(values, name=path))
        elif head[128:132] == b'DICM':
            lost.append(name)
    if lost:
        which = f'{len(lost)} of the DICOM files in {folder} cannot be read (damaged or not an image): {_some(lost)}'
        raise InputError(f'{which}. Copy them again or move them away.')
    if passed:
        LOGGER.warning('%s: passed over (%d), no slices: %s.', folder, len(passed), _some(passed))
    if not found:
        raise InputError(f'{folder} holds no DICOM series; the files of one series must lie in it directly.')
    return found


def _header(path):
    """tag -> text of a DICOM image, from its header; None where there is none."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(path)
    reader.SetImageIO('GDCMImageIO')
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    return {key: reader.GetMetaData(key).strip(' \0') for key in reader.GetMetaDataKeys()}


def _kind(head, values):
    """What a DICOM file is that cannot be a slice; None for possible slices and for other files."""
    values = values or {}
    match = re.search(rb'\x02\x00\x02\x00UI..([0-9.]+)', head, re.DOTALL)
    uid = values.get(_CLASS) or (match.group(1).decode() if match and head[128:132] == b'DICM' else None)
    if uid == _DIRECTORY:
        return 'DICOMDIR'
    if uid is not None and uid not in _IMAGES:
        match = re.search(rb'\x08\x00\x60\x00(?:CS..|.\x00\x00\x00)([A-Z]{2,16})', head, re.DOTALL)
        return match.group(1).decode() if match else uid
    if 'LOCALIZER' in values.get('0008|0008', '').upper():
        return 'localizer'
    return 'no position' if values and uid != _CT and _POSITION not in values else None


def _chosen(folder, found, series):
    """Headers of the series to read."""
    matching = [uid for uid, images in found.items() if str(series) in (uid, images[0].get(_SERIES_NUMBER))]
    if series is None:
        matching = list(found)
    if len(matching) != 1:
        problem = f'{len(matching)} DICOM series' if matching else f'no series {series}'
        held = '; '.join(_description(uid, images) for uid, images in found.items())
        remedy = 'name one by its UID or number (series=, --fixed_series, --moving_series)'
        raise InputError(f'{folder} holds {problem}; {remedy}: {held}.')
    images = found[matching[0]]
    for image in images:
        if image.get(_FRAMES, '1') not in ('', '1'):
            name = image['name']
            raise InputError(f'{name} holds several slices in one file (multi-frame DICOM); convert it to NIfTI first.')
    if len(images) < 2:
        raise InputError(f'The DICOM series in {folder} has one file; a volume needs one file per slice.')
    return images


def _description(uid, images):
    """Number, description, files and spacing of a series, for messages."""
    number, name = images[0].get(_SERIES_NUMBER) or '?', images[0].get('0008|103e') or 'no description'
    try:
        slices = [_slice(image) for image in images]
        gaps = np.diff(sorted(s['position'] @ slices[0]['normal'] for s in slices))
        between = (np.median(gaps),) if len(gaps) else ()
        spacing = ' x '.join(f'{v:.3g}' for v in slices[0]['spacing'] + between)
    except InputError:
        spacing = 'unknown spacing'
    return f'number {number}, {name}, {len(images)} slices, {spacing} mm, {uid}'


def _some(names):
    return ', '.join(names[:5]) + (', …' if len(names) > 5 else '')


# ---- slices


def _slice(values):
    """``values`` with the place of the slice: position, row, column and normal (unit vectors), spacing (x, y), mm."""
    name = values['name']
    try:
        position, cosines, spacing = [_numbers(values[tag]) for tag in (_POSITION, _ORIENTATION, _SPACING)]
        with np.errstate(over='ignore'):
            lengths = np.linalg.norm(cosines.reshape(2, 3), axis=1, keepdims=True)
        if not np.all(np.abs(lengths - 1) < 0.1) or not np.isfinite(position).all():
            raise ValueError(f'position {position}, orientation {cosines}')
        row, column = cosines.reshape(2, 3) / lengths
        rows, columns, samples, bits = [int(values['0028|' + tag]) for tag in ('0010', '0011', '0002', '0100')]
        if len(position) != 3 or len(spacing) != 2 or not spacing.min() > 0 or not abs(row @ column) < 1e-3:
            raise ValueError(f'position {position}, orientation {cosines}, spacing {spacing}')
    except (KeyError, ValueError) as error:
        what = 'a slice of a CT volume (its position, orientation, spacing or size cannot be used)'
        raise InputError(f'{name} is not {what}: {error}') from error
    kind = values.get('0028|0004')
    if kind != 'MONOCHROME2' or samples != 1:
        raise InputError(f'{name} is stored as {kind} (inverted or colour); CT as MONOCHROME2 is needed.')
    _check_pixel_bytes(name, rows * columns * bits // 8)
    place = {'position': position, 'row': row, 'column': column, 'normal': np.cross(row, column)}
    return dict(values, spacing=(float(spacing[1]), float(spacing[0])), **place)


def _numbers(text):
    return np.array([float(word) for word in text.split('\\')])


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
        found = f'its header implies {expected} bytes of pixels, {present} are there'
        raise InputError(f'{name} is cut short: {found}. Copy it again.')


def _name(one):
    return os.path.basename(one['name'])


def _differ(a, b, tolerance):
    if tolerance in (0, np.inf):
        return a != b if tolerance == 0 else bool(a) != bool(b)
    return np.abs(_numbers(a) - _numbers(b)).max() > tolerance


def _sorted(folder, slices):
    """Slices in the order of their place along the normal, and the distance between neighbours in mm."""
    first = slices[0]
    for tag, name, tolerance in _IN_COMMON:
        other = next((s for s in slices if _differ(first.get(tag), s.get(tag), tolerance)), None)
        if other is not None:
            differ = f'{_name(first)} and {_name(other)} differ in {name}: {first.get(tag)} and {other.get(tag)}'
            raise InputError(f'{folder}: {differ}, which the slices of one volume share.')
    normal = first['normal']
    slices = sorted(slices, key=lambda s: float(s['position'] @ normal))
    positions = np.array([s['position'] for s in slices])
    places = positions @ normal
    gaps = np.diff(places)
    usual, step = float(np.median(gaps)), float(places[-1] - places[0]) / (len(slices) - 1)
    doubled = np.nonzero(gaps < 0.01)[0]
    if len(doubled):
        pair = ' and '.join(_name(slices[doubled[0] + i]) for i in (0, 1))
        example = f'e.g. {pair} (several phases in one series?)'
        raise InputError(f'{folder}: several slices at the same place, {example}; keep one of each.')
    uneven = np.nonzero(np.abs(gaps - usual) > 0.1 * usual)[0]
    if len(uneven):
        pairs = [f'{_name(slices[i])} and {_name(slices[i + 1])} are {gaps[i]:.3g} mm apart' for i in uneven]
        found = f'{_some(pairs)}; the others are {usual:.3g} mm apart'
        raise InputError(f'{folder}: slices are missing or unevenly spaced: {found}.')
    along = np.abs(places - places[0] - np.arange(len(slices)) * step)
    if along.max() > 0.1 * usual:
        worst = f'{_name(slices[along.argmax()])} is {along.max():.3g} mm from its place among equally spaced ones'
        raise InputError(f'{folder}: the distance of the slices changes along the scan: {worst}.')
    sideways = np.linalg.norm(np.cross(positions - positions[0], normal), axis=1)
    if sideways.max() > _OFF_LINE:
        shift = f'{_name(slices[sideways.argmax()])} is shifted sideways by {sideways.max():.3g} mm'
        cause = f'from the line of the slices through {_name(slices[0])} (tilted gantry, or a moved table)'
        raise InputError(f'{folder}: {shift} {cause}; resample the series to an upright grid first.')
    # Two acquisitions that alternate show two breaths, however evenly their slices are spaced.
    runs = [str(number) for number, _ in itertools.groupby(slices, key=lambda s: s.get('0020|0012'))]
    if len(runs) > len(set(runs)):
        found = f'{_some(sorted(set(runs)))} alternate (several phases or breaths in one series?)'
        raise InputError(f'{folder}: the slices of acquisitions {found}; keep those of one.')
    return slices, step
