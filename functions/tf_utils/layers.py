"""Layers as thin functions over ``tf.nn`` and ``tf.get_variable``.

Tensors are ``NDHWC`` float32. Variable names are those ``tf.layers`` gave inside the scope of a layer
(``conv3d/kernel``, ``batch_normalization/gamma`` ...), so that published checkpoints restore by name.
``training`` is a Python bool, which builds one branch, or a boolean tensor, which builds both.
"""

import zlib

import numpy as np

from .backend import tf
from .convolution import convolve

BATCH_NORM_MOMENTUM = 0.99
BATCH_NORM_EPSILON = 1e-3
NOISE_HU = 2.0  # standard deviation
OUTSIDE_HU = -1500.0  # voxels below are outside the mask: no tissue, and not air either
CONTRAST_FLOOR = 0.1  # standard deviation (25 HU) that is added, so that noise alone is no contrast

ACTIVATIONS = {'relu': tf.nn.relu, 'elu': tf.nn.elu, None: lambda tensor: tensor}


def _variable(name, shape, initializer, trainable=True):
    return tf.get_variable(name, shape, tf.float32, initializer=initializer, trainable=trainable, use_resource=True)


def _glorot_uniform(name):
    """Glorot's uniform initialiser (AISTATS 2010, equation 16), the same on both TensorFlows: its values follow from
    the graph's seed (none counts as 0) and the variable's name, not from the order of operations.
    """
    seed = [tf.get_default_graph().seed or 0, zlib.crc32(name.encode())]

    def initial(shape, dtype=tf.float32, **_):
        receptive, channels = int(np.prod(shape[:-2])), int(shape[-2]) + int(shape[-1])
        limit = float(np.sqrt(6.0 / (receptive * channels)))
        return tf.random.stateless_uniform(shape, tf.constant(seed, tf.int64), -limit, limit, dtype)

    return initial


def _either(training, if_true, if_false):
    """``if_true()`` or ``if_false()``: chosen now for a Python bool, at run time for a tensor."""
    if isinstance(training, bool):
        return if_true() if training else if_false()
    return tf.cond(training, if_true, if_false)


def conv3d(images, filters, side, scope, padding='valid', dilation=1, stride=1, activation='relu', training=None):
    """Convolution with bias, batch normalisation (unless ``training`` is None) and activation.

    At inference batch normalisation is folded into kernel and bias. In training the bias is omitted, since subtracting
    the batch mean cancels it; it still enters the moving mean, so that both graphs agree.

    :param images: [n, z, y, x, c] float32.
    :param filters, side: number of output channels, side of the cubic kernel.
    :param padding: 'valid' or 'same'.
    :param dilation, stride: one of them is 1.
    :param activation: 'relu', 'elu' or None.
    :param training: None (no batch normalisation), a bool, or a boolean tensor.
    :return: [n, z', y', x', filters] float32.
    """
    with tf.variable_scope(scope):
        with tf.variable_scope('conv3d') as own:
            shape = [side] * 3 + [int(images.shape[-1]), filters]
            kernel = _variable('kernel', shape, _glorot_uniform(own.name + '/kernel'))
            bias = _variable('bias', [filters], tf.zeros_initializer())

        def convolution(weights):
            return convolve(images, weights, padding, dilation, stride)

        if training is None:
            output = tf.nn.bias_add(convolution(kernel), bias)
        else:
            output = _normalised_convolution(convolution, kernel, bias, training)
        return ACTIVATIONS[activation](output)


def _normalised_convolution(convolution, kernel, bias, training):
    """``convolution(kernel)`` with bias and batch normalisation."""
    filters = int(bias.shape[0])
    moves_statistics = not tf.get_variable_scope().reuse  # of several devices, the first
    with tf.variable_scope('batch_normalization'):
        gamma = _variable('gamma', [filters], tf.ones_initializer())
        beta = _variable('beta', [filters], tf.zeros_initializer())
        moving_mean = _variable('moving_mean', [filters], tf.zeros_initializer(), trainable=False)
        moving_variance = _variable('moving_variance', [filters], tf.ones_initializer(), trainable=False)

    def train():
        raw = convolution(kernel)
        output, mean, variance = batch_norm_train(raw, gamma, beta)
        if not moves_statistics:
            return output
        with tf.name_scope('statistics'):
            moved = 1.0 - tf.constant(BATCH_NORM_MOMENTUM, tf.float32)
            mean_update = moving_mean.assign_sub((moving_mean.read_value() - mean - bias) * moved)
            updates = [mean_update, moving_variance.assign_sub((moving_variance.read_value() - variance) * moved)]
        if isinstance(training, bool):
            for update in updates:
                tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, update)
            return output
        # Updates inside a condition cannot be fetched from outside, so they run with their branch.
        with tf.control_dependencies(updates):
            return tf.identity(output)

    def infer():
        scale = gamma * tf.rsqrt(moving_variance + BATCH_NORM_EPSILON)
        return tf.nn.bias_add(convolution(kernel * scale), (bias - moving_mean) * scale + beta)

    return _either(training, train, infer)


def batch_norm_train(images, gamma, beta):
    """Batch normalisation with the statistics of the batch.

    :param images: [n, z, y, x, c].
    :return: normalised images, mean [c], population variance [c] (the statistic ``tf.layers`` keeps for 5-D input).
    """
    # On TensorFlow 1.15 fused_batch_norm takes 4-D input only, so depth joins the batch axis.
    shape = tf.shape(images)
    channels = int(images.shape[-1])
    flat = tf.reshape(images, tf.stack([shape[0] * shape[1], shape[2], shape[3], channels]))
    output, mean, variance = tf.nn.fused_batch_norm(flat, gamma, beta, epsilon=BATCH_NORM_EPSILON, is_training=True)
    output = tf.reshape(output, shape)
    output.set_shape(images.shape)
    count = tf.cast(tf.reduce_prod(shape[:-1]), tf.float32)
    return output, mean, variance * (count - 1.0) / count


def max_pool3d(images, padding='valid'):
    """Maximum over 2x2x2 voxels with stride 2: n -> floor(n/2) ('valid') or ceil(n/2) ('same')."""
    return tf.nn.max_pool3d(images, ksize=[1, 2, 2, 2, 1], strides=[1, 2, 2, 2, 1], padding=padding.upper())


def crop3d(images, margin):
    """Remove ``margin`` voxels at each end of each axis."""
    cut = [0, margin, margin, margin, 0]
    # Not images[...]: the gradient of a strided slice runs on one core.
    output = tf.slice(images, cut, tf.shape(images) - 2 * np.array(cut, np.int32))
    output.set_shape([side if side is None else side - 2 * c for side, c in zip(images.shape.as_list(), cut)])
    return output


def local_contrast(images, side):
    """Channels that describe both images: local contrast, inside the mask or not, density.

    :param images: [n, z, y, x, 2] in HU, below :data:`OUTSIDE_HU` outside the mask.
    :param side: of the cubic window, in voxels.
    :return: [n, z, y, x, 6]: each of the three, of the first and of the second image.
    """
    shape = tf.unstack(tf.shape(images))
    images = tf.transpose(images, [4, 0, 1, 2, 3])
    inside = tf.cast(images > OUTSIDE_HU, tf.float32)
    density = inside * (tf.clip_by_value(images, -1000.0, 100.0) + 850.0) / 250.0
    count = tf.maximum(_window_sums(inside, side), 1.0)
    mean = _window_sums(density, side) / count
    variance = tf.maximum(_window_sums(tf.square(density), side) / count - tf.square(mean), 0.0)
    contrast = inside * (density - mean) * tf.rsqrt(variance + CONTRAST_FLOOR**2)
    maps = tf.transpose(tf.stack([contrast, inside, density]), [2, 3, 4, 5, 0, 1])
    return tf.reshape(maps, tf.stack(shape[:4] + [6]))


def _window_sums(values, side):
    """Sums over cubes of ``side`` voxels, an odd number, of [..., z, y, x]; zeros outside.

    Matrix products with a band of ones: as fast as TensorFlow's pooling, and 14 times as fast on 1.15.
    """
    shape = tf.shape(values)
    z, y, x = tf.unstack(shape[-3:])
    sums = tf.matmul(tf.reshape(values, tf.stack([-1, x])), _band(x, side))
    sums = tf.matmul(_band(y, side)[None], tf.reshape(sums, tf.stack([-1, y, x])))
    return tf.reshape(tf.matmul(_band(z, side)[None], tf.reshape(sums, tf.stack([-1, z, y * x]))), shape)


def _band(length, side):
    """[length, length]: 1 where row and column are less than half of ``side`` apart."""
    place = tf.range(length)
    return tf.cast(tf.abs(place[:, None] - place) <= side // 2, tf.float32)


def apart(images):
    """[n, z, y, x, 2 c], channels moving, fixed, moving ... -> [2 n, z, y, x, c]: all moving images, then the fixed."""
    n, z, y, x = tf.unstack(tf.shape(images)[:4])
    channels = int(images.shape[-1]) // 2
    # Strided slices, and their gradients, run on one core.
    pairs = tf.transpose(tf.reshape(images, [-1, channels, 2]), [2, 0, 1])
    return tf.reshape(pairs, tf.stack([2 * n, z, y, x, channels]))


def together(images):
    """[2 n, z, y, x, c] -> [n, z, y, x, 2 c]: the channels of the first half of the samples, then of the second."""
    return tf.concat(tf.split(images, 2), -1)


def downsampling_kernel(factor):
    """The published down-sampling kernel, float32 [k, k, k] with k = 4 ``factor`` - 1, of sum 1.

    The cubic B-spline profile of |x| + |y| + |z|, its support of four widths spread over k + 1 steps; values below 1e-6
    are zero. Not a product of three profiles.

    :param factor: 2 or 4.
    """
    offset = np.abs(np.arange(1 - 2 * factor, 2 * factor)) / float(factor)
    distance = offset[:, None, None] + offset[:, None] + offset
    near = 0.5 * distance**3 - distance**2 + 2.0 / 3.0
    far = -(distance**3) / 6.0 + distance**2 - 2.0 * distance + 4.0 / 3.0
    kernel = np.where(distance < 1.0, near, np.where(distance <= 2.0, far, 0.0))
    kernel /= kernel.sum()
    kernel[kernel < 1e-6] = 0.0
    return kernel.astype(np.float32)


def downsample3d(images, factor):
    """Every channel down-sampled by the fixed kernel, without padding: n -> floor((n - 4 factor + 1) / factor) + 1.

    :param images: [n, z, y, x, c].
    :param factor: 2 or 4.
    """
    shape, channels = tf.shape(images), int(images.shape[-1])
    # Channels join the batch axis, so that each is filtered separately.
    alone = tf.reshape(tf.transpose(images, [0, 4, 1, 2, 3]), tf.concat([[shape[0] * channels], shape[1:4], [1]], 0))
    kernel = tf.constant(downsampling_kernel(factor)[..., None, None])
    output = tf.nn.conv3d(alone, kernel, strides=[1] + [factor] * 3 + [1], padding='VALID')
    output = tf.reshape(output, tf.concat([[shape[0], channels], tf.shape(output)[1:4]], 0))
    output = tf.transpose(output, [0, 2, 3, 4, 1])
    output.set_shape([images.shape[0]] + output.shape.as_list()[1:4] + [channels])
    return output


def trilinear_kernel():
    """The published up-sampling kernel, [3, 3, 3, 1, 1]: weight 2 ** -(|i| + |j| + |k|)."""
    profile = np.array([0.5, 1.0, 0.5], np.float32)
    return (profile[:, None, None] * profile[:, None] * profile)[..., None, None]


def upsample3d(images, scope, margin=0):
    """Trilinear up-sampling of every axis, n -> 2n + 1 (+ 2 ``margin`` zeros), edges repeated.

    Along one axis ``out[2i + 1] = in[i]`` and even positions are the averages of their neighbours. The axes are done
    one after the other, each as one matrix product for all channels, gradients included. The non-trainable variable
    ``kernel_transposed_3d`` is there for the published checkpoints, which hold these weights.

    :param images: [n, z, y, x, c].
    :return: [n, 2z + 1 + 2m, 2y + 1 + 2m, 2x + 1 + 2m, c].
    """
    with tf.variable_scope(scope):
        initial = tf.constant_initializer(trilinear_kernel())
        _variable('kernel_transposed_3d', [3, 3, 3, 1, 1], initial, trainable=False)
        sides = tf.unstack(tf.shape(images)[1:4])
        return _along_axes(images, [_interpolation_matrix(side, margin) for side in sides])


def _along_axes(images, matrices):
    """[n, z, y, x, c] with each axis multiplied by its matrix [new side, side]."""
    shape, channels = tf.shape(images), int(images.shape[-1])
    z, y, x = [tf.shape(matrix)[0] for matrix in matrices]
    # The innermost axis first: with larger sides the later, larger products then have long rows.
    rows = tf.matmul(matrices[2], tf.reshape(images, tf.stack([-1, shape[3], channels])))
    planes = tf.matmul(matrices[1], tf.reshape(rows, tf.stack([-1, shape[2], x * channels])))
    volume = tf.matmul(matrices[0], tf.reshape(planes, tf.stack([-1, shape[1], y * x * channels])))
    output = tf.reshape(volume, tf.stack([shape[0], z, y, x, channels]))
    output.set_shape([images.shape[0]] + [None] * 3 + [channels])
    return output


def smooth3d(images, radius):
    """Every channel smoothed by a Gaussian of standard deviation ``radius`` / 3 voxels, cut off beyond ``radius``.

    :param images: [n, z, y, x, c]; what stands outside counts as missing.
    """
    matrices = []
    for axis in (1, 2, 3):
        index = tf.range(tf.shape(images)[axis])
        distance = tf.abs(index[:, None] - index)
        weights = tf.exp(-4.5 * tf.square(tf.cast(distance, tf.float32) / float(radius)))
        weights *= tf.cast(distance <= radius, tf.float32)
        matrices.append(weights / tf.reduce_sum(weights, 1, keepdims=True))
    return _along_axes(images, matrices)


def _interpolation_matrix(size, margin):
    """Up-sampling of one axis as a matrix, [2 ``size`` + 1 + 2 ``margin``, ``size``].

    Input i lies at 2 i + 1 and has the weight 1 - distance / 2; at both ends edges repeat, and the margins are zero.
    """
    doubled = 2 * size
    position = tf.clip_by_value(tf.range(doubled + 1), 1, doubled - 1)
    distance = tf.abs(position[:, None] - tf.range(1, doubled, 2))
    matrix = tf.nn.relu(1.0 - 0.5 * tf.cast(distance, tf.float32))
    return tf.pad(matrix, [[margin, margin], [0, 0]]) if margin else matrix


def additive_noise(images, training, key):
    """Integer noise in HU, in training only: images + round(N(m, 2)), m = round(N(0, 2)) once per step.

    :param images: [n, z, y, x, c] in HU.
    :param training: bool or boolean tensor.
    :param key: int32 tensor [2], (seed, step): the same key gives the same noise, on resuming too.
    """

    def noisy():
        mean = tf.round(tf.random.stateless_normal([1], seed=key) * NOISE_HU)
        # A stream other than that of the mean: only the seed is changed, so that steps never share noise.
        spread = tf.random.stateless_normal(tf.shape(images), seed=key + tf.constant([1 << 20, 0], key.dtype))
        return images + tf.round(spread * NOISE_HU + mean)

    return _either(training, noisy, lambda: images)
