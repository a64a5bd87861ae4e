"""Log-normal distribution of a length that a network predicts: the two channels it ends in, and their loss.

Errors of a registration are positive and have a long tail: their logarithm is closer to a normal distribution than they
are.
"""

import math

from .backend import tf

#: mm; errors below this are alike.
SMALLEST = 0.05
#: mm; none is expected to be larger.
LARGEST = 100.0
#: Standard deviation of the logarithm, at least and at most.
_NARROWEST, _WIDEST = 0.1, 1.5


def parameters(raw):
    """(mean, standard deviation) of the logarithm of (length in mm + :data:`SMALLEST`).

    :param raw: [..., 2], what the network ends in; each result is [..., 1].
    """
    mean, width = tf.split(raw, 2, axis=-1)
    return tf.minimum(mean, math.log(LARGEST)), tf.minimum(_NARROWEST + tf.nn.softplus(width), _WIDEST)


def expected(raw):
    """Mean of the distribution in mm, [..., 1]."""
    mean, deviation = parameters(raw)
    return tf.exp(mean + tf.square(deviation) / 2) - SMALLEST


def likelihood_loss(raw, length, weight):
    """Negative logarithm of the likelihood of the lengths, but for a constant: weighted mean over voxels and samples.

    :param length: [n, z, y, x, 1], mm.
    :param weight: the same shape; voxels of weight 0 are ignored.
    :return: scalar.
    """
    mean, deviation = parameters(raw)
    value = tf.math.log(deviation) + tf.square((tf.math.log(length + SMALLEST) - mean) / deviation) / 2
    return tf.reduce_sum(value * weight) / tf.maximum(tf.reduce_sum(weight), 1.0)
