"""Overlap of masks and labels: Dice coefficient and distances between surfaces.

The surface of a label is the set of its voxels that have a face neighbour outside it (outside the image
counts as outside). Distances are in mm between voxel centres, from every surface voxel of one label to the
nearest surface voxel of the other; both directions are pooled.
"""

import numpy as np
from scipy import ndimage

from functions.image.geometry import require_same_grid
from functions.image.volume_io import array_view
from functions.setting.errors import InputError


def summary(first, second, labels=None):
    """Dice coefficient and surface distances of every label of two images on one grid.

    :param labels: None: all non-zero voxels as one label, named 'mask'; else a list of labels.
    :return: dictionary label (text) -> {dice (0 .. 1), mean (average symmetric surface distance), rms, p95
        (95 % Hausdorff distance), max (Hausdorff distance), in mm}. A label that only one of the images has
        gets a Dice of 0 and distances None.
    :raises InputError: grids that differ, or a label in neither image.
    """
    require_same_grid(first, second, 'the first mask', 'the second mask')
    arrays = [array_view(image) for image in (first, second)]
    numbers = {}
    for label in [None] if labels is None else labels:
        a, b = (array != 0 if label is None else array == label for array in arrays)
        sizes = np.count_nonzero(a), np.count_nonzero(b)
        if sizes == (0, 0):
            name = 'The mask' if label is None else f'Label {label}'
            raise InputError(f'{name} is in neither image; overlap is not defined.')
        found = {'dice': 2.0 * float(np.count_nonzero(a & b)) / sum(sizes)}
        found.update(
            _distances(a, b, first.GetSpacing()) if all(sizes) else dict.fromkeys(('mean', 'rms', 'p95', 'max'))
        )
        numbers['mask' if label is None else str(label)] = found
    return numbers


def _distances(a, b, spacing):
    # Only the box around both labels matters; one more voxel keeps their outside in it.
    box = ndimage.find_objects((a | b).astype(np.uint8))[0]
    a, b = (np.pad(mask[box], 1, mode='constant') for mask in (a, b))
    surface_a, surface_b = (mask & ~ndimage.binary_erosion(mask) for mask in (a, b))
    from_a = ndimage.distance_transform_edt(~surface_b, sampling=spacing[::-1])[surface_a]
    from_b = ndimage.distance_transform_edt(~surface_a, sampling=spacing[::-1])[surface_b]
    pooled = np.concatenate([from_a, from_b])
    return {
        'mean': float(pooled.mean()),
        'rms': float(np.sqrt(np.mean(pooled**2))),
        'p95': float(np.percentile(pooled, 95)),
        'max': float(pooled.max()),
    }
