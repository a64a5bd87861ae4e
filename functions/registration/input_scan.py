"""A scan as it is given, and the copy of it that the networks see: 1 mm, identity direction, with masks."""

import collections
import os

import numpy as np
import SimpleITK as sitk

from ..image.dvf import IDENTITY
from ..image.geometry import Geometry
from ..image.masks import read_mask, require_nonempty
from ..image.resample import resample_to
from ..image.volume_io import image_from_array
from ..preprocessing.chest_masks import chest_masks, torso_mask
from ..preprocessing.hounsfield import load_ct
from ..preprocessing.isotropic import mask_to_isotropic, to_isotropic
from ..preprocessing.lung_check import lung_report, warn, warn_of_difference
from ..setting.errors import InputError
from ..setting.kinds import list_of, number

SPACING = 1.0  # mm, of the working grid

Raw = collections.namedtuple('Raw', 'name native given')
"""``name``: for messages and records; ``native``: int16 HU on its own grid; ``given``: {'Lung', 'Torso'} -> mask on
that grid (uint8 image of 0 and 1), or None."""
Scan = collections.namedtuple('Scan', Raw._fields + ('image', 'masks'))
"""A :class:`Raw` and its copy: ``image``, int16 HU at 1 mm with identity direction; ``masks``, given or made, on that
grid, or None."""


def image_of(source, role, spacing, origin):
    """A NumPy array as a sitk.Image of identity direction; other sources as they are.

    :param source: array [z, y, x] of numbers, x to the patient's left, y posterior, z superior; or see `read_scan`.
    :param role: 'fixed' or 'moving'.
    :param spacing, origin: (x, y, z) of an array, mm; None as origin: zero.
    :raises InputError: no such array, no spacing or an impossible one, or one for an image that has its own.
    """
    if not isinstance(source, (np.ndarray, sitk.Image, str, os.PathLike)):
        kinds = 'a file, a DICOM folder, a SimpleITK image or a NumPy array with its spacing'
        raise InputError(f'The {role} image is of type {type(source).__name__}; accepted: {kinds}.')
    if not isinstance(source, np.ndarray):
        if spacing is not None or origin is not None:
            raise InputError(f'spacing and origin are for NumPy arrays; the {role} image has its own.')
        return source
    if spacing is None:
        where = {'fixed': '((x, y, z), ...)', 'moving': '(..., (x, y, z))'}[role]
        raise InputError(f'The {role} image is an array, which has no voxel size; give spacing={where} in mm.')
    spacing = list_of(number(above=0), 3).require(f'spacing of the {role} image', np.asarray(spacing).tolist())
    origin = [0.0] * 3 if origin is None else np.asarray(origin).tolist()
    list_of(number(), 3).require(f'origin of the {role} image', origin)
    grid = Geometry(source.shape[::-1], tuple(map(float, spacing)), tuple(map(float, origin)), IDENTITY)
    return _image(source, grid, f'The {role} image')


def _image(array, grid, name):
    """An array of numbers as an image on ``grid``."""
    if array.ndim != 3 or array.dtype.kind not in 'biuf' or not array.size or array.shape != grid.shape:
        shape = 'the shape of its image, ' + str(grid.shape) if array.shape != grid.shape else '[z, y, x]'
        raise InputError(f'{name} is an array {array.shape} of {array.dtype}; real numbers in {shape} are accepted.')
    # SimpleITK knows neither the other byte order nor other floating-point numbers.
    return image_from_array(array, grid, {'b': np.uint8, 'f': np.float32}.get(array.dtype.kind, array.dtype.type))


def read_scan(source, role, lung=None, torso=None, series=None):
    """Read a scan and its masks as they are.

    :param source: .mha, .mhd, .nii, .nii.gz or .nrrd file, folder with one DICOM series, or a sitk.Image.
    :param role: 'fixed' or 'moving'.
    :param lung, torso: masks (file, sitk.Image or array) on the grid of ``source``, or None.
    :param series: UID or number of the series where a DICOM folder holds several.
    :return: :class:`Raw`.
    :raises MissingFileError, InputError: missing or damaged, no CT, empty masks or masks on another grid.
    """
    name = f'The {role} image' if isinstance(source, sitk.Image) else os.fspath(source)
    # load_ct checks everything else.
    if isinstance(source, sitk.Image) and not np.isfinite(sitk.GetArrayViewFromImage(source).sum(dtype=np.float64)):
        raise InputError(f'{name} holds values that are NaN or infinite; replace them first.')
    native = load_ct(source, series)
    given = {}
    for key, mask in (('Lung', lung), ('Torso', torso)):
        what = f'The {key.lower()} mask of the {role} image'
        mask = _image(mask, Geometry.of(native), what) if isinstance(mask, np.ndarray) else mask
        given[key] = None if mask is None else read_mask(mask, native, name=what)
    return Raw(name, native, given)


def isotropic_scan(raw, needed=None):
    """Make the copy of a scan that the networks need.

    :param raw: :class:`Raw`.
    :param needed: name of a mask that is made from the HU if it was not given; None: no mask is made.
    :return: :class:`Scan`.
    :raises InputError: no body or no lung found.
    """
    image = to_isotropic(raw.native, SPACING)
    masks = {key: None if mask is None else mask_to_isotropic(mask, SPACING) for key, mask in raw.given.items()}
    if needed == 'Lung' and masks['Lung'] is None:
        found = chest_masks(image, raw.native)
        masks['Lung'], masks['Torso'] = found.lung, found.torso if masks['Torso'] is None else masks['Torso']
    elif needed == 'Torso' and masks['Torso'] is None:
        masks['Torso'] = torso_mask(image, raw.native)
    if needed is not None:
        require_nonempty(masks[needed], f'The {needed.lower()} mask of {raw.name}')
    return Scan(*(tuple(raw) + (image, masks)))


def judge_lungs(fixed, moving):
    """Report on the lung masks of two :class:`Scan`, and log what is implausible.

    :return: {'fixed', 'moving'} -> :func:`functions.preprocessing.lung_check.lung_report`; empty without lung masks.
    """
    if fixed.masks['Lung'] is None or moving.masks['Lung'] is None:
        return {}
    reports = {}
    for role, scan in (('fixed', fixed), ('moving', moving)):
        reports[role] = lung_report(scan.masks['Lung'], scan.image)
        is_given = scan.given['Lung'] is not None
        advice = 'Check the mask that was given.' if is_given else f'If it misses lung, give --{role}_lung FILE.'
        warn(reports[role], scan.name, advice)
    advice = 'If fluid, consolidation or air is the cause, give --fixed_lung and --moving_lung.'
    warn_of_difference(reports['fixed'], reports['moving'], advice)
    return reports


def mask_on(scan, name, geometry):
    """A mask of a scan on its native or its isotropic grid; None where there is none."""
    if scan.given[name] is not None and Geometry.of(scan.given[name]) == geometry:
        return scan.given[name]
    mask = scan.masks[name]
    if mask is None or Geometry.of(mask) == geometry:
        return mask
    return resample_to(mask, geometry, 'nearest', 0)
