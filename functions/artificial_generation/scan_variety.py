"""Scans as they differ in practice, drawn for every item from ``ScanVariety`` of its deformation experiment.

It is applied in memory to what was read or made, so files do not depend on it.
"""

import collections

import numpy as np

from ..image.masks import box_of_both
from ..image.resample import rounded
from . import lung_density
from .field_of_view_cuts import WHOLE, draw_cuts
from .mask_errors import erring_mask
from .scanner_differences import draw_scanner, scanned

#: ``im``: int16 [z, y, x]; ``lung``: uint8; ``inside``: uint8, the input mask, or None; ``seen``: slices (z, y, x), the
#: field of view.
Scan = collections.namedtuple('Scan', 'im lung inside seen')
#: HU that scanners write at least.
LOWEST = -1024
#: mm around the input masks that are changed too: masks may err.
MARGIN = 8.0


def vary_scans(spec, scans, spacing):
    """Other fields of view, densities, scanners and errors of the input masks; the true lungs are only cut.

    :param scans: moving and fixed :class:`Scan` on one grid.
    :param spacing: voxel size in mm, (x, y, z).
    :return: two :class:`Scan`, of new arrays.
    """
    rng, seen, variety = spec.random('field of view'), [WHOLE, WHOLE], spec.variety
    if rng.uniform() < variety['Cut']:
        seen = draw_cuts(rng, [scan.lung for scan in scans], spacing, variety['CutJitter'], variety['SmallestSlab'])
    lungs = scans[0].im[scans[0].lung != 0]
    tables = lung_density.draw_tables(spec.random('density'), float(np.median(lungs)), variety)
    box, default = WHOLE, spec.record.DefaultPixelValue
    if spec.input_mask is not None:
        # No further than an item shows, as made in memory there is nothing beyond.
        margin = MARGIN if spec.input_margin is None else min(MARGIN, spec.input_margin)
        box = box_of_both([scan.inside for scan in scans], spacing, margin)
    varied = []
    for name, scan, table, part in zip(('moving', 'fixed'), scans, tables, seen):
        im, inside = scan.im.copy(), scan.inside
        im[box] = _varied(spec.random('scanner ' + name), variety, im[box], table, default, (spacing, spec.stage))
        if inside is not None:
            rng, inside = spec.random('mask ' + name), np.zeros_like(inside)
            inside[box] = erring_mask(scan.inside[box], rng, spacing, variety['MaskError'], variety['MaskPiece'])
            inside = cut(inside, part, 0)
        varied.append(Scan(cut(im, part, default), cut(scan.lung, part, 0), inside, part))
    return varied


def cut(array, part, value):
    """Copy of ``array`` with ``value`` outside the slices ``part``."""
    result = np.full_like(array, value)
    result[part] = array[part]
    return result


def _varied(rng, variety, im, table, default, grid):
    """Density and scanner, int16; voxels of the default value, which show nothing, stay."""
    nothing = im == default
    image = lung_density.apply_table(np.maximum(im, LOWEST), table)
    image = scanned(image, draw_scanner(rng, variety), rng, *grid)
    result = rounded(np.maximum(image, LOWEST), im.dtype)
    result[nothing] = default
    return result
