"""PNG files of matplotlib figures, in 256 colours: a third of the size."""

import collections

import numpy as np
from PIL import Image
from scipy.spatial import cKDTree

from functions.setting.atomic import publish


def write_png(figure, path, dpi, certain=()):
    """Write a figure, whole or not at all; its folder is made.

    :param certain: colours (r, g, b) that must stay exact.
    :raises OSError: it cannot be written.
    """
    figure.canvas.draw()
    pixels = few_colours(np.asarray(figure.canvas.buffer_rgba())[..., :3], certain)
    with publish(path) as temporary:
        pixels.save(temporary, format='PNG', optimize=True, dpi=(dpi, dpi))


def few_colours(pixels, certain):
    """A palette image of RGB pixels; blends at edges get the nearest colour of the palette.

    :param pixels: uint8 [rows, columns, 3].
    :param certain: colours (r, g, b) that must stay exact; the commonest others fill the palette of 256.
    """
    packed = pixels.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32)
    found, inverse, counts = np.unique(packed.ravel(), return_inverse=True, return_counts=True)
    colours = np.column_stack([found >> 16, found >> 8 & 255, found & 255]).astype(np.uint8)
    commonest = colours[np.argsort(-counts, kind='stable')[:256]]
    palette = list(
        collections.OrderedDict.fromkeys(tuple(int(v) for v in colour) for colour in list(certain) + commonest.tolist())
    )[:256]
    nearest = cKDTree(np.array(palette, dtype=float)).query(colours.astype(float))[1].astype(np.uint8)
    image = Image.fromarray(nearest[inverse].reshape(packed.shape))
    image.putpalette([value for colour in palette for value in colour])
    return image
