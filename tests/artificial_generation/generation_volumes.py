"""A small synthetic thorax: ellipsoids with known masks, in HU, stored where a data set expects it."""

import collections
import os

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from functions.artificial_generation.training_item import get_item
from functions.setting import setting_utils as su

Thorax = collections.namedtuple('Thorax', ('im', 'lung', 'torso', 'spacing'))


def make_thorax(shape_zyx, spacing):
    """Body ellipse, two lungs with a textured inside and bright vessels; arrays [z, y, x]."""
    z, y, x = np.meshgrid(*[(np.arange(n) + 0.5) / n * 2 - 1 for n in shape_zyx], indexing='ij')
    torso = (x / 0.92) ** 2 + (y / 0.85) ** 2 < 1
    lung = np.zeros(shape_zyx, dtype=bool)
    for side in (-1, 1):
        lung |= ((x - side * 0.4) / 0.32) ** 2 + (y / 0.6) ** 2 + ((z - 0.05) / 0.85) ** 2 < 1
    rng = np.random.RandomState(1)
    texture = ndimage.gaussian_filter(rng.normal(size=shape_zyx), 1.2)
    im = np.where(torso, 40.0, -1000.0)
    im[lung] = -820
    im[lung & (texture > 1.2 * texture.std())] = 20
    im += np.where(torso, 10 * rng.normal(size=shape_zyx), 0)
    return Thorax(np.rint(im).astype(np.int16), lung.astype(np.uint8), torso.astype(np.uint8), tuple(spacing))


def write_thorax(setting, thorax, data='Phantom_4D', cn=1, type_im=0):
    """Write image and masks of a thorax at the addresses of a data set."""
    for request, array in (('OriginalIm', thorax.im), ('OriginalLung', thorax.lung), ('OriginalTorso', thorax.torso)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(thorax.spacing)
        image.SetOrigin((-10.0, 5.0, 20.0))
        path = su.address_generator(setting, request, data=data, cn=cn, type_im=type_im, stage=1)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        sitk.WriteImage(image, path)


def make_item(setting, im_info):
    """An item made in memory; nothing is written, and no files of it must exist."""
    return get_item(setting, im_info, write=False)
