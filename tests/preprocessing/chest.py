"""A crude chest of ellipsoids for the tests of this folder, with what makes segmentation hard."""

import numpy as np
import SimpleITK as sitk

from functions.image.volume_io import array_view, image_from_array
from functions.preprocessing import coarse_segmentation
from functions.preprocessing.chest_masks import COARSE, lung_mask
from functions.preprocessing.isotropic import to_isotropic

SPACING = (3.0, 3.0, 3.0)


def chest(touching=False, gap=4.0, size=(116, 80, 80), spacing=SPACING, noise=15.0, scale=1.0):
    """(image int16 in HU, true right lung, true left lung, true torso): bool arrays ``[z, y, x]``.

    An elliptic body on a table; two lungs with vessels and a hilum, ``gap`` mm apart at their nearest or
    touching above the heart with nothing between them; trachea with two main bronchi; gas in the stomach
    below the left lung.
    ``scale`` makes all of it smaller.
    """
    rng = np.random.RandomState(0)
    nz, ny, nx = size[::-1]
    z, y, x = np.meshgrid(
        np.arange(nz) * spacing[2],
        np.arange(ny) * spacing[1] - ny * spacing[1] / 2 + 15,
        np.arange(nx) * spacing[0] - (nx - 1) * spacing[0] / 2,
        indexing='ij',
    )
    hu = np.full(x.shape, -1000.0)
    torso = (x / 150.0) ** 2 + (y / 95.0) ** 2 < 1
    hu[torso] = -90
    hu[(x / 140.0) ** 2 + (y / 85.0) ** 2 < 1] = 40
    hu[~torso & (np.abs(y - 98) < 4) & (np.abs(x) < 165)] = -100  # table, in touch with the back
    top, bottom = nz * spacing[2] - 30, 30.0
    centre, half = (top + bottom) / 2, (top - bottom) / 2

    shift = 54 if touching else 68

    def lung(side):
        outline = ((x - side * shift) / 64.0) ** 2 + (y / 72.0) ** 2 + ((z - centre) / half) ** 2 < 1
        return outline & (side * x > (0 if touching else gap / 2.0))

    heart = ((x - 15) / 50.0) ** 2 + ((y + 5) / 48.0) ** 2 + ((z - centre + 20) / 60.0) ** 2 < 1
    right, left = lung(-1) & ~heart, lung(1) & ~heart
    lungs = right | left
    hu[lungs] = -850
    for k in range(14):  # vessels, from the hilum outwards
        side = -1 if k % 2 else 1
        angle, rise = rng.uniform(0, 2 * np.pi), rng.uniform(-0.8, 0.8)
        for t in np.linspace(0, 1, 40):
            place = (side * (30 + 70 * t), 45 * t * np.cos(angle), centre + 90 * t * rise * np.sin(angle))
            ball = (x - place[0]) ** 2 + (y - place[1]) ** 2 + (z - place[2]) ** 2 < (6.5 - 4.5 * t) ** 2
            hu[ball & lungs] = 40
    hollow = (x**2 + (y - 10) ** 2 < 81) & (z > centre + 20)
    for side in (-1, 1):
        t = np.clip((centre + 22 - z) / 30.0, 0, 1)
        hollow |= ((x - side * 40 * t) ** 2 + (y - 10) ** 2 < 49) & (z <= centre + 24) & (z > centre - 8)
    wall = np.zeros_like(hollow)
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1), (2, 1), (2, -1)):
        wall |= np.roll(hollow, step, axis)
    hu[wall] = 30
    hu[hollow] = -1000
    hu[((x - 60) / 30.0) ** 2 + ((y + 20) / 25.0) ** 2 + ((z - 12) / 14.0) ** 2 < 1] = -995  # stomach
    right, left = right & ~(hollow | wall), left & ~(hollow | wall)
    hu += rng.randn(*hu.shape) * noise
    image = sitk.GetImageFromArray(np.rint(hu).astype(np.int16))
    image.SetSpacing([s * scale for s in spacing])
    return image, right, left, torso


def dice(a, b):
    """Dice overlap of two bool arrays."""
    return 2.0 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def lung_labels(image):
    """The lung mask, 1 in the patient's right lung and 2 in the left one, also where they touch."""
    coarse = to_isotropic(image, COARSE)
    hu = array_view(coarse)
    labels = coarse_segmentation.lungs(hu, coarse_segmentation.torso(hu, COARSE), COARSE)
    parts = [image_from_array((labels == label).astype(np.float32), coarse) for label in (1, 2)]
    right, left = [array_view(sitk.Resample(part, image, sitk.Transform(), sitk.sitkLinear, 0)) for part in parts]
    return np.where(array_view(lung_mask(image)) > 0, 1 + (left > right), 0)
