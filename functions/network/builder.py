"""Builds the TensorFlow graph of a network from its table."""

import collections

from functions.network.layer_kinds import INPUT
from functions.tf_utils import layers
from functions.tf_utils.backend import tf

#: Channels of a layer that a detailed summary shows at most.
SUMMARY_CHANNELS = 16

Built = collections.namedtuple('Built', 'dvf tensors')
"""``dvf``: [n, z, y, x, 3]; ``tensors``: dictionary layer name -> output tensor."""


def build(description, images, bn_training, detailed_summary=False, normalise=None, noise_key=None):
    """Build the graph of ``description`` in the current variable scope.

    :param description: a :class:`functions.network.description.NetworkDescription`.
    :param images: [n, z, y, x, 2] float32 in HU: channel 0 the moving image, channel 1 the fixed image.
    :param bn_training: Python bool, or a boolean tensor (published graphs): noise and batch statistics when true.
    :param detailed_summary: also add summaries with slice images of the feature maps, see ``tf.summary.merge_all``.
    :param normalise: function HU -> network units, applied after the noise; None leaves HU.
    :param noise_key: int32 tensor [2], (seed, step) of the noise; None: (0, 0).
    :return: :class:`Built`.
    :raises ValueError: a known side that the geometry does not allow.
    """
    if bn_training is not False:
        with tf.variable_scope('AdditiveNoise'):
            key = tf.constant([0, 0]) if noise_key is None else noise_key
            images = layers.additive_noise(images, bn_training, key)
    tensors = {INPUT: images if normalise is None else normalise(images)}
    for layer in description.layers:
        scope, _, name = layer.name.rpartition('/')
        inputs = [tensors[source] for source in layer.inputs]
        # auxiliary_name_scope keeps operation names readable when a scope is entered once per layer
        with tf.variable_scope(scope):
            tensors[layer.name] = _BUILDERS[layer.kind](layer, name, inputs, bn_training)
        tensors[layer.name].set_shape(_static_shape(description, layer, images, tensors[layer.name]))
    if detailed_summary:
        _summarise(description, tensors)
    return Built(tensors[description.layers[-1].name], tensors)


def _conv(layer, name, inputs, bn_training):
    return layers.conv3d(
        inputs[0],
        layer.filters,
        layer.kernel,
        name,
        padding=layer.padding,
        dilation=layer.dilation,
        stride=layer.stride,
        activation=layer.activation,
        training=bn_training if layer.normalise else None,
    )


def _named(operation):
    """Builder of a layer without variables: ``operation(layer, input)`` in the name scope of the layer."""

    def make(layer, name, inputs, bn_training):
        del bn_training
        with tf.name_scope(name):
            return operation(layer, inputs[0])

    return make


def _up(layer, name, inputs, bn_training):
    del bn_training
    return layers.upsample3d(inputs[0], name, margin=layer.margin)


def _concat(layer, name, inputs, bn_training):
    del layer, bn_training
    return tf.concat(inputs, 4, name=name)


def _add(layer, name, inputs, bn_training):
    del bn_training
    with tf.name_scope(name):
        return layers.ACTIVATIONS[layer.activation](tf.add_n(inputs))


_BUILDERS = {
    'add': _add,
    'conv': _conv,
    'up': _up,
    'concat': _concat,
    'pool': _named(lambda layer, images: layers.max_pool3d(images, layer.padding)),
    'crop': _named(lambda layer, images: layers.crop3d(images, layer.margin)),
    'down': _named(lambda layer, images: layers.downsample3d(images, layer.stride)),
}


def _static_shape(description, layer, images, tensor):
    """Static shape from the table where the shape of the input is known; TensorFlow loses it in dynamic slices."""
    shape = tensor.shape.as_list()
    for axis in (1, 2, 3):
        side = images.shape.as_list()[axis]
        if side is not None:
            try:
                shape[axis] = description.sizes(side)[layer.name]
            except ValueError as error:
                rule = f'{description.size_unit} * k + {description.size_offset}'
                smallest = description.smallest_valid_size(1)
                raise ValueError(f'{error} Valid sides are {rule}, at least {smallest}.') from None
    return shape


def _summarise(description, tensors):
    for layer in description.layers:
        if layer.kind != 'conv':
            continue
        features = tensors[layer.name]
        middle = features[:1, tf.shape(features)[1] // 2]
        planes = tf.transpose(middle, [3, 1, 2, 0])[:SUMMARY_CHANNELS]
        tf.summary.image('DetailedSummary/' + layer.name, planes, max_outputs=SUMMARY_CHANNELS)
