"""The training loss: Huber on the DVF plus bending energy (arXiv 1908.10235, equations 1 and 2)."""

from .backend import tf


def huber(prediction, truth, weight=None, delta=1.0):
    """Mean Huber loss: 0.5 e^2 for |e| <= delta, else delta (|e| - delta / 2), over voxels, components and samples.

    :param prediction: [n, z, y, x, 3].
    :param truth: the same shape and unit.
    :param weight: [n, z, y, x, 1] or None: weights of the mean; voxels of weight 0 are ignored.
    :return: scalar.
    """
    error = tf.abs(prediction - truth)
    quadratic = tf.minimum(error, delta)
    value = quadratic * (error - 0.5 * quadratic)
    if weight is None:
        return tf.reduce_mean(value)
    return tf.reduce_sum(value * weight) / tf.maximum(3.0 * tf.reduce_sum(weight), 1.0)


def bending_energy(dvf, voxel_size=(1.0, 1.0, 1.0), valid=None):
    """Mean squared second differences of a DVF, mixed terms counted twice.

    Forward differences. Missing ones (last planes of an axis) count as zero, and the denominator is the size of the
    full array, as published.

    :param dvf: [n, z, y, x, 3].
    :param voxel_size: size of a voxel along the array axes z, y, x.
    :param valid: [n, z, y, x, 1] mask or None: differences whose first voxel is not valid count as zero and the
        denominator is the number of valid voxels.
    :return: scalar.
    """
    total = 0.0
    for i in range(3):
        first = _forward(dvf, i)
        for j in range(i, 3):
            second = _forward(first, j)
            if valid is not None:
                second *= tf.slice(valid, [0] * 5, tf.concat([tf.shape(second)[:4], [1]], 0))
            scale = (1.0 if i == j else 2.0) / (float(voxel_size[i]) * float(voxel_size[j])) ** 2
            total += 2.0 * scale * tf.nn.l2_loss(second)
    if valid is None:
        return total / tf.cast(tf.size(dvf), tf.float32)
    return total / tf.maximum(3.0 * tf.reduce_sum(valid), 1.0)


def _forward(dvf, axis):
    """u(p + e) - u(p) along array axis ``axis`` (0 z, 1 y, 2 x): one voxel shorter there."""
    one = [int(axis == i - 1) for i in range(5)]
    size = tf.shape(dvf) - one
    # Not dvf[...]: the gradient of a strided slice runs on one core.
    return tf.slice(dvf, one, size) - tf.slice(dvf, [0] * 5, size)
