"""Cutting patches and padding whole images.

Arrays are [z, y, x, channel]. Patches may reach over the border: beyond it the images have the default pixel value, DVF
and weight are zero. The part that exists is copied, with the same result as slicing a padded image.
"""


def copy_box(target, source, corner, outside):
    """Fill ``target`` with the box of ``source`` ([z, y, x, ...]) of its size that starts at ``corner``.

    :param corner: (z, y, x) index of the first voxel of the box in ``source``; may be negative.
    :param outside: value beyond the border of ``source``.
    """
    into, out_of = _overlap(target, source, corner, outside)
    target[into] = source[out_of]


def _overlap(target, source, corner, outside):
    """Slices of the common part in ``target`` and ``source``; a target that exceeds it is set to ``outside``."""
    into, out_of = [], []
    for length, limit, start in zip(target.shape, source.shape[:3], corner):
        low = min(max(start, 0), limit)
        high = max(min(start + length, limit), low)
        into.append(slice(low - start, high - start))
        out_of.append(slice(low, high))
    if any(part.stop - part.start < length for part, length in zip(into, target.shape)):
        target[...] = outside
    return tuple(into), tuple(out_of)


def fill_sample(sample, item, corner, corner_dvf, weight_table):
    """Fill one sample of a batch.

    :param sample: (images, dvf, weight), filled: float32 [z, y, x, 2], channel 0 moving, channel 1 fixed (HU);
        float32 [z', y', x', 3], the centre of the image patch (mm); float32 [z', y', x', 1].
    :param item: has ``pair`` int16 [z, y, x, 2], ``dvf`` float32 [z, y, x, 3], ``lung`` uint8 0/1 or None, ``default``.
    :param corner, corner_dvf: (z, y, x) voxel where the images and the DVF of the sample begin; may be negative.
    :param weight_table: float32 (2,): weight outside and inside the lung.
    """
    images, dvf, weight = sample
    copy_box(images, item.pair, corner, item.default)
    copy_box(dvf, item.dvf, corner_dvf, 0)
    into, out_of = _overlap(weight, item.dvf, corner_dvf, 0)
    weight[into + (0,)] = weight_table[0] if item.lung is None else weight_table[item.lung[out_of]]


def valid_size(size, unit, offset):
    """Smallest ``unit * k + offset`` (k >= 0) that is not smaller than ``size``."""
    return offset + unit * max(0, -(-(int(size) - offset) // unit))


def common_size(shapes, unit, offset):
    """Smallest valid (z, y, x) size that holds every one of ``shapes``; each axis on its own."""
    return tuple(valid_size(max(shape[axis] for shape in shapes), unit, offset) for axis in range(3))


def corner_of(padded, size):
    """(z, y, x) of the first voxel of a padded image in the image itself, 0 or negative.

    The smaller half of the padding comes first.
    """
    return [-((length - inside) // 2) for length, inside in zip(padded, size)]
