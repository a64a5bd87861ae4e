"""What differs from scanner to scanner: noise, reconstruction kernel, slice thickness."""

import collections

import numpy as np

from ..image.blas import one_blas_thread
from .smoothing import gaussian_smooth

#: ``noise``: HU at stage 1; ``correlation``: its sigma along z, y, x; ``blur``: variance in mm^2 added in
#: plane, negative where the image is sharpened; ``thickness``: of the slices, mm; ``phase``: where in a slice the image
#: begins, 0 to 1.
Scanner = collections.namedtuple('Scanner', 'noise correlation blur thickness phase')

WHITE = 0.3  # part of the images whose noise is white; sigma in mm below
WHITE_SIGMA, CORRELATED = 0.29, (0.4, 0.9)
#: Noise is as wide along z as this part of the slice thickness.
ALONG_Z = 0.4
#: Sharpening subtracts at most this part of the largest variance of blurring.
SHARPEST = 0.3
#: Variance in voxels that one pass with three weights can add.
MOST_IN_A_PASS = 0.4


def draw_scanner(rng, variety):
    """A :class:`Scanner` for the settings of ``ScanVariety``."""
    noise, thickness = rng.uniform(*variety['Noise']), rng.uniform(*variety['SliceThickness'])
    width = WHITE_SIGMA if rng.uniform() < WHITE else rng.uniform(*CORRELATED)
    largest = variety['Kernel'] ** 2
    blur = rng.uniform() * largest * (1 if rng.uniform() < 0.5 else -SHARPEST)
    return Scanner(noise, (max(width, ALONG_Z * thickness), width, width), blur, thickness, rng.uniform())


def scanned(image, scanner, rng, spacing, stage):
    """The image, float32 [z, y, x] in HU, C-contiguous, as another scanner shows it; may work in place.

    :param spacing, stage: voxel size in mm, (x, y, z), ``stage`` times that of the scan.
    """
    spacing_zyx = np.asarray(spacing, dtype=float)[::-1]
    for axis in (1, 2):
        image = _blurred(image, scanner.blur / spacing_zyx[axis] ** 2, axis)
    if scanner.thickness > spacing_zyx[0]:
        weights = slice_weights(len(image), scanner.thickness / spacing_zyx[0], scanner.phase)
        with one_blas_thread():
            image = np.matmul(weights, image.reshape(len(image), -1)).reshape(image.shape)
    if scanner.noise > 0:
        image += noise_volume(rng, image.shape, scanner.noise, scanner.correlation, spacing_zyx, stage)
    return image


def _blurred(image, variance, axis):
    """Convolution along an axis that adds a variance in voxels^2, by passes of weights (a, 1 - 2a, a)."""
    passes = int(np.ceil(abs(variance) / MOST_IN_A_PASS))
    for _ in range(passes):
        side = np.float32(variance / (2 * passes))
        lines = np.moveaxis(image, axis, 0)
        change = np.diff(lines, axis=0)
        change *= side
        lines[:-1] += change
        lines[1:] -= change
    return image


def slice_weights(n, thickness, phase):
    """Matrix [n, n] of slices that average ``thickness`` voxels, interpolated linearly back to n voxels."""
    edges, voxel = (phase + np.arange(-1, n / thickness + 1)) * thickness, np.arange(n)
    inside = np.minimum(edges[1:, None], voxel + 1) - np.maximum(edges[:-1, None], voxel)
    inside = np.clip(inside[(inside > 1e-6).any(axis=1)], 0, None)
    inside /= inside.sum(axis=1, keepdims=True)
    # A slice lies where its voxels are on average, so that nothing is shifted.
    centres = np.matmul(inside, voxel)
    shares = np.stack([np.interp(voxel, centres, one) for one in np.eye(len(centres))], axis=1)
    return np.matmul(shares, inside).astype(np.float32)


def noise_volume(rng, shape, sigma, correlation, spacing_zyx, stage):
    """Gaussian noise as the low-pass filter of the pyramid leaves it, float32; ``sigma`` and ``correlation`` are its
    standard deviation at stage 1, HU, and its width along z, y, x, mm.
    """
    # The cubic B-spline of the pyramid has the variance stage^2 / 3.
    wide = np.hypot(correlation, spacing_zyx / np.sqrt(3) if stage > 1 else 0)
    left = np.sqrt(np.prod(np.divide(correlation, wide)))
    noise = rng.standard_normal(shape).astype(np.float32)
    noise = gaussian_smooth(noise, np.where(wide < 0.35 * spacing_zyx, 0, wide / spacing_zyx))
    noise *= np.float32(sigma * left / max(float(noise.std()), 1e-6))
    return noise
