"""Is a lung mask plausible: its volumes, its intensities, its parts, and how much of it the image's border cuts."""

import logging

import numpy as np

from ..image.volume_io import array_view
from . import morphology as mo
from .coarse_segmentation import right_and_left
from .hounsfield import outside_field_of_view

LOGGER = logging.getLogger(__name__)

COARSE = 4.0  # mm
_PART = 20e3  # mm³; smaller parts of a mask are not counted

# The whole scans of 18 patients: 2.3 to 8.1 l, medians of -912 to -714 HU, the left lung 0.59 to 0.97 of the right one.
_VOLUMES = (0.5, 12.0)  # l, both lungs; those of the phantom's test patient breathed out are 0.61 l
_MEDIANS = (-960.0, -500.0)  # HU
_LEFT = (0.5, 1.1)  # of the right lung
_CHANGE = 0.7  # of that ratio, from one image to the other
_BORDER = 5.0  # % of the surface
_OTHER = 0.4  # of the volume in the other image; from full inspiration to expiration


def lung_report(lung, image):
    """What a lung mask holds: {'right_ml', 'left_ml', 'median_hu', 'border_percent', 'parts'}, JSON-able.

    ``border_percent``: how much of the surface lies at the border of the image or of its field of view; ``parts``:
    connected ones of 20 ml or more. A lung alone counts as the right one.

    :param lung, image: mask and CT in HU on one isotropic grid of identity direction.
    """
    step = max(1, int(round(COARSE / image.GetSpacing()[0])))
    # Slices of a SimpleITK image are copies; both must be on the same grid.
    lung, image = [volume[::step, ::step, ::step] for volume in (lung, image)]
    spacing, inside = image.GetSpacing()[0], array_view(lung) != 0
    if not inside.any():
        return {'right_ml': 0, 'left_ml': 0, 'median_hu': None, 'border_percent': 0.0, 'parts': 0}
    labels, sizes = mo.components(inside)
    parts = [labels == label for label in np.argsort(-sizes)[: max(1, np.count_nonzero(sizes * spacing**3 >= _PART))]]
    sides = right_and_left(parts, spacing)
    outside = outside_field_of_view(image)
    edge = np.zeros_like(inside) if outside is None else mo.within(array_view(outside) != 0, 2 * spacing, spacing)
    for face in (edge, edge.swapaxes(0, 1), edge.swapaxes(0, 2)):
        face[[0, -1]] = True
    edge &= inside
    surface = (inside & ~mo.deeper_than(inside, spacing, spacing)) | edge
    volumes = [int(round(np.count_nonzero(side) * spacing**3 / 1e3)) for side in sides]
    return {
        'right_ml': volumes[0],
        'left_ml': volumes[1],
        'median_hu': int(np.median(array_view(image)[inside])),
        'border_percent': round(100.0 * np.count_nonzero(edge) / max(np.count_nonzero(surface), 1), 1),
        'parts': len(parts),
    }


def warn(report, name, advice):
    """Log what is implausible in a report, with the numbers, and what to do about it: one line, or none."""
    right, left = _litres(report)
    found = problems(report)
    if found:
        numbers = f'right lung {right:.2f} l, left lung {left:.2f} l, median {report["median_hu"]} HU'
        LOGGER.warning('%s: the lung mask (%s) has %s. %s', name, numbers, ', '.join(found), advice)


def warn_of_difference(fixed, moving, advice):
    """The same for two reports of images to be registered that are no likely pair; of lungs that the border of an image
    cuts :func:`warn` speaks.
    """
    if max(fixed['border_percent'], moving['border_percent']) >= _BORDER:
        return
    volumes = np.array([_litres(fixed), _litres(moving)])
    whole, sides = volumes.sum(axis=1), volumes[:, volumes.min(axis=0) > 0]
    ratio = sides[0] / sides[1]
    if whole.min() < _OTHER * whole.max() or (ratio.size == 2 and ratio.min() < _CHANGE * ratio.max()):
        numbers = ' against '.join(f'{right:.2f} l and {left:.2f} l' for right, left in volumes)
        LOGGER.warning('The right and the left lung of the images differ much: %s. %s', numbers, advice)


def problems(report):
    """What is implausible in a report, in words; empty if nothing is."""
    right, left = _litres(report)
    (least, most), (low, high) = _VOLUMES, _MEDIANS
    found, cut = [], report['border_percent'] >= _BORDER
    if cut:
        found.append(f'{report["border_percent"]:.0f} % of its surface at the border of the image')
    if right + left > most or (right + left < least and not cut):
        found.append(f'{right + left:.2f} l in all instead of {least:g} to {most:g} l')
    if report['parts'] and not low <= report['median_hu'] <= high:
        found.append(f'a median outside {low:g} to {high:g} HU')
    if left < 0.05 * right:
        found.append('one lung only')
    elif not cut and not _LEFT[0] <= left / right <= _LEFT[1]:
        found.append(f'a left lung of {left / right:.2f} of the right one, as where fluid or consolidation is missed')
    if report['parts'] > 4:
        found.append(f'{report["parts"]} parts')
    return found


def _litres(report):
    return report['right_ml'] / 1000.0, report['left_ml'] / 1000.0
