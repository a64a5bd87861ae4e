"""Layers as thin functions over ``tf.nn`` and ``tf.get_variable``.

Tensors are ``NDHWC`` float32. Variable names are those ``tf.layers`` gave inside the scope of a layer
(``conv3d/kernel``, ``batch_normalization/gamma`` ...), so that published checkpoints restore by name.
``training`` may be a Python bool, which builds only the branch that is needed, or a boolean tensor, which builds both.
"""
import numpy as np

from functions.tf_utils.backend import tf

BATCH_NORM_MOMENTUM = 0.99
BATCH_NORM_EPSILON = 1e-3

ACTIVATIONS = {'relu': tf.nn.relu, 'elu': tf.nn.elu, None: lambda tensor: tensor}


def _variable(name, shape, initializer, trainable=True):
    return tf.get_variable(name, shape, tf.float32, initializer=initializer, trainable=trainable, use_resource=True)


def _either(training, if_true, if_false):
    """``if_true()`` or ``if_false()``: chosen now for a Python bool, at run time for a tensor."""
    if isinstance(training, bool):
        return if_true() if training else if_false()
    return tf.cond(training, if_true, if_false)


def _convolve(images, kernel, padding, dilation):
    if dilation == 1:
        return tf.nn.conv3d(images, kernel, strides=[1] * 5, padding=padding.upper())
    # conv3d has no dilated CPU kernel in TensorFlow 1.15; convolution goes through space-to-batch there.
    return tf.nn.convolution(images, kernel, padding=padding.upper(), dilation_rate=[dilation] * 3, data_format='NDHWC')


def conv3d(images, filters, kernel_size, scope, padding='valid', dilation=1, activation='relu', training=None):
    """Convolution with bias, batch normalisation (unless ``training`` is None) and activation.

    At inference batch normalisation is folded into kernel and bias: one convolution, nothing more. In training the
    bias is left out of the sum, since subtracting the batch mean removes it; it still enters the moving mean, so that
    both graphs mean the same.

    :param images: [n, z, y, x, c] float32.
    :param filters: number of output channels.
    :param kernel_size: side of the cubic kernel.
    :param padding: 'valid' or 'same'.
    :param activation: 'relu', 'elu' or None.
    :param training: None (no batch normalisation), a bool, or a boolean tensor.
    :return: [n, z', y', x', filters] float32.
    """
    with tf.variable_scope(scope):
        with tf.variable_scope('conv3d'):
            kernel = _variable('kernel', [kernel_size] * 3 + [int(images.shape[-1]), filters],
                               tf.glorot_uniform_initializer())
            bias = _variable('bias', [filters], tf.zeros_initializer())
        if training is None:
            output = tf.nn.bias_add(_convolve(images, kernel, padding, dilation), bias)
        else:
            output = _normalised_convolution(images, kernel, bias, padding, dilation, training)
        return ACTIVATIONS[activation](output)


def _normalised_convolution(images, kernel, bias, padding, dilation, training):
    filters = int(bias.shape[0])
    with tf.variable_scope('batch_normalization'):
        gamma = _variable('gamma', [filters], tf.ones_initializer())
        beta = _variable('beta', [filters], tf.zeros_initializer())
        moving_mean = _variable('moving_mean', [filters], tf.zeros_initializer(), trainable=False)
        moving_variance = _variable('moving_variance', [filters], tf.ones_initializer(), trainable=False)

    def train():
        raw = _convolve(images, kernel, padding, dilation)
        output, mean, variance = batch_norm_train(raw, gamma, beta)
        with tf.name_scope('statistics'):
            keep = tf.constant(BATCH_NORM_MOMENTUM, tf.float32)
            updates = [
                moving_mean.assign_sub((moving_mean.read_value() - mean - bias) * (1. - keep)),
                moving_variance.assign_sub((moving_variance.read_value() - variance) * (1. - keep))]
        if isinstance(training, bool):
            for update in updates:
                tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, update)
            return output
        # Inside a condition the updates cannot be fetched from outside: they run with the branch that owns them.
        with tf.control_dependencies(updates):
            return tf.identity(output)

    def infer():
        scale = gamma * tf.rsqrt(moving_variance + BATCH_NORM_EPSILON)
        return tf.nn.bias_add(_convolve(images, kernel * scale, padding, dilation), (bias - moving_mean) * scale + beta)

    return _either(training, train, infer)


def batch_norm_train(images, gamma, beta):
    """Batch normalisation with the statistics of the batch.

    :param images: [n, z, y, x, c].
    :return: normalised images, mean [c], population variance [c] (the statistic ``tf.layers`` keeps for 5-D input).
    """
    # fused_batch_norm takes 4-D input only on TensorFlow 1.15; depth joins the batch axis, which changes nothing.
    shape = tf.shape(images)
    channels = int(images.shape[-1])
    flat = tf.reshape(images, tf.stack([shape[0] * shape[1], shape[2], shape[3], channels]))
    output, mean, variance = tf.nn.fused_batch_norm(flat, gamma, beta, epsilon=BATCH_NORM_EPSILON, is_training=True)
    output = tf.reshape(output, shape)
    output.set_shape(images.shape)
    count = tf.cast(tf.reduce_prod(shape[:-1]), tf.float32)
    return output, mean, variance * (count - 1.) / count


def max_pool3d(images, padding='valid'):
    """Maximum over 2x2x2 voxels with stride 2: n -> floor(n/2) ('valid') or ceil(n/2) ('same')."""
    return tf.nn.max_pool3d(images, ksize=[1, 2, 2, 2, 1], strides=[1, 2, 2, 2, 1], padding=padding.upper())


def trilinear_kernel():
    """The published up-sampling kernel, [3, 3, 3, 1, 1]: weight 2 ** -(|i| + |j| + |k|)."""
    profile = np.array([0.5, 1., 0.5], np.float32)
    return (profile[:, None, None] * profile[:, None] * profile)[..., None, None]


def upsample3d(images, scope, margin=0):
    """Trilinear up-sampling of every axis, n -> 2n + 1 (+ 2 ``margin`` zeros), edges repeated.

    Along one axis ``out[2i + 1] = in[i]`` and even positions are the averages of their neighbours. The kernel is a
    product of three profiles, so the axes are done one after the other, for all channels at once. The profile is read
    off the stored, non-trainable ``kernel_transposed_3d`` that the published checkpoints hold.

    :param images: [n, z, y, x, c].
    :return: [n, 2z + 1 + 2m, 2y + 1 + 2m, 2x + 1 + 2m, c].
    """
    with tf.variable_scope(scope):
        kernel = _variable('kernel_transposed_3d', [3, 3, 3, 1, 1], tf.constant_initializer(trilinear_kernel()),
                           trainable=False)
        # kernel[1, 1, 1] is 1, so a line through the centre is the profile of that axis.
        profiles = (kernel[:, 1, 1, 0, 0], kernel[1, :, 1, 0, 0], kernel[1, 1, :, 0, 0])
        # The innermost axis first: the later, larger passes then move whole rows of memory.
        for axis in (3, 2, 1):
            images = _upsample_axis(images, axis, profiles[axis - 1])
        if margin:
            images = tf.pad(images, [[0, 0]] + [[margin, margin]] * 3 + [[0, 0]])
        return images


def _upsample_axis(images, axis, profile):
    size = tf.shape(images)[axis]
    before = tf.concat([_slab(images, axis, 0, 1), images], axis)
    after = tf.concat([images, _slab(images, axis, size - 1, 1)], axis)
    # Transposed convolution with stride 2: even outputs see two neighbours, odd outputs one (with weight 1).
    even = before * profile[2] + after * profile[0]
    # Interleave by stacking beside the axis and merging; the last odd sample lies beyond the field and is dropped.
    shape = tf.shape(images)
    merged = tf.reshape(tf.stack([even, after], axis + 1),
                        tf.stack([2 * size + 2 if i == axis else shape[i] for i in range(5)]))
    output = _slab(merged, axis, 0, 2 * size + 1)
    static = images.shape.as_list()
    static[axis] = None if static[axis] is None else 2 * static[axis] + 1
    output.set_shape(static)
    return output


def _slab(images, axis, begin, size):
    """``images[begin:begin + size]`` along ``axis``."""
    return tf.slice(images, tf.stack([begin if i == axis else 0 for i in range(5)]),
                    tf.stack([size if i == axis else -1 for i in range(5)]))


def additive_noise(images, training, key, standard_deviation=2.):
    """Integer noise in HU, in training only: images + round(N(m, 2)), m = round(N(0, 2)) once per step.

    :param images: [n, z, y, x, c] in HU.
    :param training: bool or boolean tensor.
    :param key: int32 tensor [2], (seed, step): the same key gives the same noise, on resuming too.
    """
    def noisy():
        mean = tf.round(tf.random.stateless_normal([1], seed=key) * standard_deviation)
        # Another stream than the mean's: the seed's high half is moved, the step is not, so steps never share noise.
        spread = tf.random.stateless_normal(tf.shape(images), seed=key + tf.constant([1 << 20, 0], key.dtype))
        return images + tf.round(spread * standard_deviation + mean)

    return _either(training, noisy, lambda: images)
