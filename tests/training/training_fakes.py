"""Tiny training items that need no file."""
import numpy as np
from scipy import ndimage

from functions.artificial_generation.item import Item
from functions.setting.seeds import random_state


def smooth_noise(random, shape, sigma):
    volume = ndimage.gaussian_filter(random.standard_normal(shape), sigma)
    return volume / np.abs(volume).max()


def make_item(setting, im_info, write=None):
    """A textured cube and the same cube pulled along x by a constant that differs from item to item."""
    del setting, write
    random = random_state('training test', im_info['cn'], im_info['dsmooth'])
    shape = (24, 26, 25)
    image = 500. * smooth_noise(random, shape, 1.5) - 500.
    shift = random.uniform(-2., 2.)
    deformed = ndimage.shift(image, (0, 0, -shift), order=1, mode='nearest')
    dvf = np.zeros(shape + (3,), np.float32)
    dvf[..., 0] = shift
    ones = np.ones(shape, np.uint8)
    values = dict(im=image.astype(np.int16), deformed_im=deformed.astype(np.int16), dvf=dvf, mask=ones, lung=ones,
                  spacing=(1., 1., 1.), im_info=im_info)
    return Item(**{name: values[name] for name in Item._fields})
