"""The networks built as the published code builds them, to measure against.

Up-sampling goes one channel at a time through ``conv3d_transpose`` and concatenation, dilated convolution through
``tf.nn.convolution``, batch normalisation is written out and chooses between both statistics at run time.
"""

from functions.network.layer_kinds import INPUT
from functions.tf_utils import layers
from functions.tf_utils.backend import tf


def reference_graph(description, images, training):
    """The DVF of ``description``, with the variables of :func:`functions.network.builder.build`.

    :param images: [n, z, y, x, 2].
    :param training: boolean tensor.
    """
    with tf.variable_scope('AdditiveNoise'):
        tensors = {
            INPUT: tf.cond(
                training,
                lambda: (
                    images
                    + tf.round(tf.random_normal(tf.shape(images), tf.round(tf.random_normal([1], 0.0, 2.0)), 2.0))
                ),
                lambda: images,
            )
        }
    for layer in description.layers:
        scope, _, name = layer.name.rpartition('/')
        inputs = [tensors[source] for source in layer.inputs]
        with tf.variable_scope(scope):
            tensors[layer.name] = _LAYERS[layer.kind](layer, name, inputs, training)
    return tensors[description.layers[-1].name]


def reference_bending_energy(dvf):
    """The bending energy from slices, padded with zeros where a difference does not exist."""

    def difference(field, axis):
        ahead, here = [slice(None)] * 5, [slice(None)] * 5
        ahead[axis], here[axis] = slice(1, None), slice(0, -1)
        return field[tuple(ahead)] - field[tuple(here)]

    def term(i, j):
        missing = [[0, (axis == i) + (axis == j)] for axis in range(5)]
        return (1.0 if i == j else 2.0) * tf.reduce_mean(tf.square(tf.pad(difference(difference(dvf, i), j), missing)))

    return tf.add_n([term(i, j) for i in (1, 2, 3) for j in range(i, 4)])


def _conv(layer, name, inputs, training):
    channels = int(inputs[0].shape[-1])
    with tf.variable_scope(name):
        with tf.variable_scope('conv3d'):
            kernel = tf.get_variable(
                'kernel', [layer.kernel] * 3 + [channels, layer.filters], initializer=tf.glorot_uniform_initializer()
            )
            bias = tf.get_variable('bias', [layer.filters], initializer=tf.zeros_initializer())
        output = tf.nn.bias_add(
            tf.nn.convolution(
                inputs[0],
                kernel,
                padding=layer.padding.upper(),
                dilation_rate=[layer.dilation] * 3,
                data_format='NDHWC',
            ),
            bias,
        )
        if layer.normalise:
            output = _batch_norm(output, layer.filters, training)
        return layers.ACTIVATIONS[layer.activation](output)


def _batch_norm(images, filters, training):
    with tf.variable_scope('batch_normalization'):
        gamma = tf.get_variable('gamma', [filters], initializer=tf.ones_initializer())
        beta = tf.get_variable('beta', [filters], initializer=tf.zeros_initializer())
        moving_mean = tf.get_variable('moving_mean', [filters], initializer=tf.zeros_initializer(), trainable=False)
        moving_variance = tf.get_variable(
            'moving_variance', [filters], initializer=tf.ones_initializer(), trainable=False
        )
    mean, variance = tf.nn.moments(images, [0, 1, 2, 3])
    mean = tf.cond(training, lambda: mean, lambda: moving_mean)
    variance = tf.cond(training, lambda: variance, lambda: moving_variance)
    for moving, statistic in ((moving_mean, mean), (moving_variance, variance)):
        tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, tf.assign_sub(moving, (moving - statistic) * 0.01))
    return tf.nn.batch_normalization(images, mean, variance, beta, gamma, 1e-3)


def _pool(layer, name, inputs, training):
    del name, training
    return layers.max_pool3d(inputs[0], layer.padding)


def _up(layer, name, inputs, training):
    del training
    with tf.variable_scope(name):
        kernel = tf.get_variable('kernel_transposed_3d', initializer=layers.trilinear_kernel(), trainable=False)
        padded = tf.pad(inputs[0], [[0, 0], [1, 1], [1, 1], [1, 1], [0, 0]], 'SYMMETRIC')
        shape = tf.shape(padded)
        sides = [2 * shape[axis] + 1 for axis in (1, 2, 3)]
        channels = [
            tf.nn.conv3d_transpose(
                padded[..., c : c + 1], kernel, tf.stack([shape[0]] + sides + [1]), [1, 2, 2, 2, 1], 'VALID'
            )
            for c in range(int(inputs[0].shape[-1]))
        ]
        output = tf.concat(channels, 4)[:, 2:-2, 2:-2, 2:-2]
        margin = [layer.margin] * 2
        return tf.pad(output, [[0, 0], margin, margin, margin, [0, 0]]) if layer.margin else output


def _crop(layer, name, inputs, training):
    del name, training
    return layers.crop3d(inputs[0], layer.margin)


def _down(layer, name, inputs, training):
    del name, training
    return layers.downsample3d(inputs[0], layer.stride)


def _concat(layer, name, inputs, training):
    del layer, training
    return tf.concat(inputs, 4, name=name)


_LAYERS = {'conv': _conv, 'pool': _pool, 'up': _up, 'crop': _crop, 'down': _down, 'concat': _concat}
