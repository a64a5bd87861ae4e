"""Overlap of masks and labels: Dice coefficient and distances between surfaces.

The surface of a label is the set of its voxels that have a face neighbour outside it (outside the image
counts as outside). Distances are in mm between voxel centres, from every surface voxel of one label to the
nearest surface voxel of the other; both directions are pooled.
"""

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from functions.image.geometry import require_same_grid
from functions.setting.errors import InputError


def dice(first, second, labels=None):
    """2 * intersection / (sum of sizes), 1 for equal masks, 0 for disjoint ones.

    :param first, second: mask or label images on one grid.
    :param labels: None: all non-zero voxels are one label and a float is returned; else a list of labels, and
        a dict label -> float is returned.
    :raises InputError: other grids, or a label that is in neither image.
    """
    if labels is None:
        return _dice(*_labelled(first, second, None))
    return {label: _dice(*_labelled(first, second, label)) for label in labels}


def surface_distances(first, second, label=None):
    """Distances between the surfaces of a label (None: all non-zero voxels) in two images on one grid.

    :return: dict in mm: mean (average symmetric surface distance), rms, p95 (95 % Hausdorff distance), max
        (Hausdorff distance), and mean_first, mean_second (one direction each).
    :raises InputError: other grids, or a label that is missing from one image.
    """
    a, b = _labelled(first, second, label)
    for name, mask in (('first', a), ('second', b)):
        if not mask.any():
            raise InputError(f'{_name(label)} is not in the {name} image; it has no surface there.')
    # Only the box around both labels matters; one voxel more keeps their outside in it.
    box = ndimage.find_objects((a | b).astype(np.uint8))[0]
    a, b = (np.pad(mask[box], 1, mode='constant') for mask in (a, b))
    surface_a, surface_b = (mask & ~ndimage.binary_erosion(mask) for mask in (a, b))
    sampling = first.GetSpacing()[::-1]
    from_a = ndimage.distance_transform_edt(~surface_b, sampling=sampling)[surface_a]
    from_b = ndimage.distance_transform_edt(~surface_a, sampling=sampling)[surface_b]
    pooled = np.concatenate([from_a, from_b])
    return {
        'mean': float(pooled.mean()),
        'rms': float(np.sqrt(np.mean(pooled**2))),
        'p95': float(np.percentile(pooled, 95)),
        'max': float(pooled.max()),
        'mean_first': float(from_a.mean()),
        'mean_second': float(from_b.mean()),
    }


def summary(first, second, labels=None):
    """Dice and surface distances of every label.

    :param labels: None: all non-zero voxels as one label, named 'mask'; else a list of labels.
    :return: dict label (text) -> dict of dice, mean, rms, p95, max (mm). A label that only one of the images
        has gets a Dice of 0 and distances None.
    :raises InputError: other grids, or a label in neither image.
    """
    numbers = {}
    for label in [None] if labels is None else labels:
        found = {'dice': _dice(*_labelled(first, second, label))}
        in_both = all(mask.any() for mask in _labelled(first, second, label))
        distances = surface_distances(first, second, label) if in_both else {}
        found.update({key: distances.get(key) for key in ('mean', 'rms', 'p95', 'max')})
        numbers['mask' if label is None else str(label)] = found
    return numbers


def _dice(a, b):
    return 2.0 * float(np.count_nonzero(a & b)) / (np.count_nonzero(a) + np.count_nonzero(b))


def _labelled(first, second, label):
    require_same_grid(first, second, 'the first mask', 'the second mask')
    a, b = (sitk.GetArrayViewFromImage(image) for image in (first, second))
    a, b = (array != 0 if label is None else array == label for array in (a, b))
    if not a.any() and not b.any():
        raise InputError(f'{_name(label)} is in neither image; overlap is not defined.')
    return a, b


def _name(label):
    return 'The mask' if label is None else f'Label {label}'
