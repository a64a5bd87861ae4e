"""Augmentation ``Occluded``: ellipsoids of lung-like density in the lungs, without a match in the other image."""

import numpy as np
from scipy import ndimage

from ..image.masks import bounding_box
from ..setting.errors import InputError

EROSION_MM = 4
CLEARANCE_MM = 5
SMALLEST_AXIS_MM = 3
#: Weight of the new intensity in the three outer shells, from outside to inside.
SHELL_WEIGHTS = (0.2, 0.6, 0.9)


def draw_ellipsoids(lung, spacing, rng, number, largest_axes):
    """Random ellipsoids inside the lungs.

    :param lung, spacing: [z, y, x] mask; mm (x, y, z).
    :param largest_axes: largest semi-axes a, b, c along x, y, z, mm.
    :return: bool [z, y, x]: voxels of the lung that are occluded.
    :raises InputError: the lung is too small for any.
    """
    lung = lung > 0
    occluded, allowed = np.zeros_like(lung), np.zeros_like(lung)
    spacing_zyx = np.asarray(spacing, dtype=float)[::-1]
    radii = np.maximum(1, np.round(EROSION_MM / spacing_zyx)).astype(int)
    clearance = np.round(CLEARANCE_MM / spacing_zyx).astype(int)
    if lung.any():
        box = bounding_box(lung)
        # Erosion by a box; outside the volume is background.
        allowed[box] = ndimage.minimum_filter(lung[box].view(np.uint8), 2 * radii + 1, mode='constant')
    if not allowed.any():
        cause = f'an erosion of {EROSION_MM} mm leaves nothing of the deformed lung mask'
        raise InputError(f'Occluded: {cause}; leave it out of the DeformedImExt lists.')
    for _ in range(number):
        places = np.flatnonzero(allowed)
        axes_xyz = np.maximum(SMALLEST_AXIS_MM, rng.uniform(size=3) * np.asarray(largest_axes, dtype=float))
        if places.size == 0:
            break
        centre = np.array(np.unravel_index(places[rng.randint(places.size)], lung.shape))
        axes = axes_xyz[::-1] / spacing_zyx
        half = np.round(axes).astype(int)
        low, high = np.maximum(0, centre - half), np.minimum(lung.shape, centre + half + 1)
        z, y, x = [((np.arange(a, b) - c) / r) ** 2 for a, b, c, r in zip(low, high, centre, axes)]
        occluded[tuple(slice(a, b) for a, b in zip(low, high))] |= z[:, None, None] + y[:, None] + x < 1
        allowed[tuple(slice(max(0, a - k), b + k) for a, b, k in zip(low, high, clearance))] = False
    return occluded & lung


def blend(image, occluded, value, noise_sigma, rng):
    """Write the occlusion into ``image`` (float32, in place): three blended shells, noise inside."""
    remaining = occluded
    for weight in SHELL_WEIGHTS:
        inner = ndimage.binary_erosion(remaining)
        shell = remaining & ~inner
        image[shell] = (1 - weight) * image[shell] + weight * value
        remaining = inner
    image[remaining] = value + rng.normal(0, noise_sigma, size=int(remaining.sum()))
    return image


def augment(image, scene):
    """Occlude the deformed lung; keeps ``scene.products['occluded']``, uint8 mask of the occluded voxels."""
    options, rng = scene.options, scene.random('add_occlusion')
    largest_axes = [options['Occlusion_Max_' + axis] for axis in 'abc']
    occluded = draw_ellipsoids(scene.lung, scene.spacing, rng, options['Occlusion_NumberOfEllipse'], largest_axes)
    value = rng.randint(*options['Occlusion_IntensityRange'])
    if occluded.any():
        box = bounding_box(occluded, 1)
        blend(image[box], occluded[box], value, options['Im_NoiseSigma'], rng)
    scene.products['occluded'] = occluded.astype('uint8')
    return image
