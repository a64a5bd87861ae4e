"""A scan as it is given, and the copy of it that the networks see: 1 mm, identity direction, with masks."""

import collections
import os

import numpy as np
import SimpleITK as sitk

from ..image.geometry import Geometry
from ..image.masks import read_mask, require_nonempty
from ..image.resample import resample_to
from ..preprocessing.chest_masks import chest_masks, torso_mask
from ..preprocessing.hounsfield import load_ct
from ..preprocessing.isotropic import mask_to_isotropic, to_isotropic
from ..preprocessing.lung_check import lung_report, warn, warn_of_difference
from ..setting.errors import InputError

SPACING = 1.0  # mm, of the working grid

Raw = collections.namedtuple('Raw', 'name native given')
"""``name``: for messages and records; ``native``: int16 HU on its own grid; ``given``: {'Lung', 'Torso'} -> mask on
that grid (uint8 image of 0 and 1), or None."""
Scan = collections.namedtuple('Scan', Raw._fields + ('image', 'masks'))
"""A :class:`Raw` and its copy: ``image``, int16 HU at 1 mm with identity direction; ``masks``, given or made, on that
grid, or None."""


def read_scan(source, role, lung=None, torso=None, series=None):
    """Read a scan and its masks as they are.

    :param source: .mha, .mhd, .nii, .nii.gz or .nrrd file, folder with one DICOM series, or a sitk.Image.
    :param role: 'fixed' or 'moving'.
    :param lung, torso: masks (file or sitk.Image) on the grid of ``source``, or None.
    :param series: UID or number of the series where a DICOM folder holds several.
    :return: :class:`Raw`.
    :raises MissingFileError, InputError: missing or damaged, no CT, empty masks or masks on another grid.
    """
    name = f'The {role} image' if isinstance(source, sitk.Image) else os.fspath(source)
    # load_ct checks everything else.
    if isinstance(source, sitk.Image) and not np.isfinite(sitk.GetArrayViewFromImage(source).sum(dtype=np.float64)):
        raise InputError(f'{name} holds values that are NaN or infinite; replace them first.')
    native = load_ct(source, series)
    given = {
        key: None if mask is None else read_mask(mask, native, name=f'The {key.lower()} mask of the {role} image')
        for key, mask in (('Lung', lung), ('Torso', torso))
    }
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
        mask = 'Check' if scan.given['Lung'] is not None else 'If it misses lung, give'
        warn(reports[role], scan.name, f'{mask} --{role}_lung FILE.')
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
