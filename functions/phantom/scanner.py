"""The effects of the scanner on a phase: table, noise, slice thickness, field of view."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from .thorax_anatomy import share

OUTSIDE = -2048  # value outside the field of view


def correlated_noise(shape, width, rng):
    """Gaussian noise of unit variance, float32, correlated by a Gaussian filter of ``width`` voxels."""
    noise = np.empty(shape, dtype=np.float32)
    for plane in noise:
        plane[...] = rng.standard_normal(plane.shape)
    for axis in range(3):
        gaussian_filter1d(noise, width, axis=axis, output=noise, mode='nearest', truncate=3.0)
    noise *= 1.0 / noise[::4, ::4, ::4].std()
    return noise


def slice_profile(count, thickness):
    """Matrix (count, count) that averages 1 mm slices into slices of ``thickness`` mm and interpolates back to 1 mm."""
    kept = np.arange(0.0, count - 1 + thickness, thickness)
    end = np.minimum(np.arange(count) + 0.5, kept[:, None] + 0.5 * thickness)
    start = np.maximum(np.arange(count) - 0.5, kept[:, None] - 0.5 * thickness)
    average = np.maximum(end - start, 0.0)
    kept, average = kept[average.sum(axis=1) > 0], average[average.sum(axis=1) > 0]
    average /= average.sum(axis=1, keepdims=True)
    position = np.clip(np.arange(count) / thickness, 0, len(kept) - 1)
    back = np.maximum(1.0 - np.abs(position[:, None] - np.arange(len(kept))), 0.0)
    return back.dot(average).astype(np.float32)


def _table(hu, body, patient, x, y):
    """A curved plate below the back, outside the body."""
    surface = patient.body_ry + 4.0 * patient.scale - (x * x) * (0.05 / patient.body_rx)
    plate = np.maximum(np.abs(y - surface) - max(0.8, 1.2 * patient.scale), np.abs(x) - 0.8 * patient.body_rx)
    rows = slice(int(np.argmax((plate < 1).any(axis=1))), None)
    part = share(plate[rows])[None] * (1.0 - body[:, rows])
    hu[:, rows] += (-350.0 - hu[:, rows]) * part


def scan(patient, volumes, type_im):
    """The image of a phase, which seeds the noise: int16 [z, y, x], HU.

    :param volumes: :class:`functions.phantom.rendering.TissueVolumes` of the phase; ``hu`` is not changed.
    """
    hu = volumes.hu.copy()
    nz, ny, nx = hu.shape
    x = np.arange(nx, dtype=np.float32) - 0.5 * (nx - 1)
    y = (np.arange(ny, dtype=np.float32) - 0.5 * (ny - 1))[:, None]
    if patient.options['Table']:
        _table(hu, volumes.body, patient, x, y)
    if patient.noise_hu > 0:
        noise = correlated_noise(hu.shape, patient.noise_width, patient.random_state('noise', type_im))
        # Noise is strongest in the centre, where the rays cross the most tissue.
        radius2 = (x * (1.0 / patient.body_rx)) ** 2 + (y * (1.0 / patient.body_ry)) ** 2
        noise *= (patient.noise_hu * (1.1 - 0.5 * np.minimum(radius2, 1.3))).astype(np.float32)
        hu += noise
    if patient.slice_thickness > 1.0:
        hu = slice_profile(nz, patient.slice_thickness).dot(hu.reshape(nz, -1)).reshape(hu.shape)
    np.clip(hu, -1024.0, 3071.0, out=hu)
    if patient.field_of_view is not None:
        radius = 0.5 * patient.field_of_view * nx
        hu[:, x * x + y * y > radius * radius] = OUTSIDE
    return np.rint(hu, out=hu).astype(np.int16)
