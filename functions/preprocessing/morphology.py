"""Ball-shaped morphology on binary arrays by distance transforms: its cost does not grow with the radius."""

import numpy as np
from scipy import ndimage

from ..image.masks import bounding_box, distance_to

IN_PLANE = np.zeros((3, 3, 3), bool)
IN_PLANE[1] = ndimage.generate_binary_structure(2, 1)


def within(mask, radius, spacing):
    """Voxels at most ``radius`` mm from ``mask`` (its dilation by a ball); an empty mask stays empty."""
    result = np.zeros_like(mask)
    if mask.any():
        box = bounding_box(mask, int(np.ceil(radius / spacing)) + 1)
        result[box] = distance_to(mask[box], spacing) <= radius + 1e-3
    return result


def deeper_than(mask, radius, spacing):
    """Voxels of ``mask`` more than ``radius`` mm from all others (its erosion); the array's border is no edge."""
    result = np.zeros_like(mask)
    if mask.any():
        box = bounding_box(mask, 1)
        part = mask[box]
        result[box] = part if part.all() else distance_to(~part, spacing) > radius + 1e-3
    return result


def depth(mask, spacing):
    """Distance in mm of every voxel of ``mask`` to the nearest other one, 0 outside; float32."""
    return np.maximum(distance_to(~mask, spacing), 0)


def opened(mask, radius, spacing):
    """What a ball of ``radius`` mm inside ``mask`` can reach."""
    return within(deeper_than(mask, radius, spacing), radius, spacing) & mask


def closed(mask, radius, spacing):
    """``mask`` and the gaps of it that a ball of ``radius`` mm cannot enter; the mask carries on beyond z's ends."""
    box = bounding_box(mask, int(np.ceil(radius / spacing)) + 1)
    reach = int(np.ceil(radius / spacing)) + 1
    part = np.pad(mask[box], reach, mode='constant')
    for end, inner in ((slice(None, reach), reach), (slice(-reach, None), -reach - 1)):
        # At an end of the scan the body goes on; elsewhere the box is wide enough.
        if (box[0].start == 0) if inner > 0 else (box[0].stop == mask.shape[0]):
            part[end] = part[inner]
    part = deeper_than(within(part, radius, spacing), radius, spacing)[(slice(reach, -reach),) * 3]
    result = mask.copy()
    result[box] |= part
    return result


def components(mask, structure=None):
    """(label array, sizes in voxels by label); label 0 is the outside, with size 0."""
    labels, number = ndimage.label(mask, structure)
    sizes = np.bincount(labels.ravel(), minlength=number + 1)
    sizes[0] = 0
    return labels, sizes


def largest_component(mask):
    """The largest connected part of ``mask`` (6-neighbourhood); empty if ``mask`` is."""
    labels, sizes = components(mask)
    return (labels == sizes.argmax()) & mask


def without_holes(mask, in_slices=False):
    """``mask`` and what it encloses, in 3D or within each axial slice; what touches a side is not enclosed."""
    labels, sizes = components(~mask, IN_PLANE if in_slices else None)
    outside = np.zeros(len(sizes), bool)
    for axis in (1, 2) if in_slices else (0, 1, 2):
        outside[np.unique(np.take(labels, (0, -1), axis=axis))] = True
    return mask | ~outside[labels]
