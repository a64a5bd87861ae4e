"""Overlap of masks: Dice coefficient and distances between surfaces.

The surface of a mask is the set of its voxels with a face neighbour outside it or outside the image. Distances (mm) run
from the centre of every surface voxel of one mask to the nearest of the other; both directions are pooled.
"""

import numpy as np
from scipy import ndimage

from ..image.geometry import require_same_grid
from ..image.volume_io import array_view
from ..setting.errors import InputError


def summary(first, second):
    """Dice coefficient and surface distances of the non-zero voxels of two images on one grid, not both empty.

    :return: {'mask': {dice (0 .. 1), mean (average symmetric surface distance), rms, p95 (95 % Hausdorff distance), max
        (Hausdorff distance), in mm}}. Where one of the masks is empty, Dice is 0 and distances are None.
    """
    require_same_grid(first, second, 'the first mask', 'the second mask')
    a, b = (array_view(image) != 0 for image in (first, second))
    sizes = np.count_nonzero(a), np.count_nonzero(b)
    if not any(sizes):
        raise InputError('The mask is empty in both images; overlap is not defined.')
    distances = _distances(a, b, first.GetSpacing()) if all(sizes) else dict.fromkeys(('mean', 'rms', 'p95', 'max'))
    return {'mask': dict(distances, dice=2.0 * float(np.count_nonzero(a & b)) / sum(sizes))}


def _distances(a, b, spacing):
    # The box around both masks is enough; one more voxel keeps their outside in it.
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
