"""From a network's table to its TensorFlow graph."""

import collections

from functions.network.description import INPUT, stride
from functions.tf_utils import layers
from functions.tf_utils.backend import tf

Built = collections.namedtuple('Built', 'dvf tensors')
"""``dvf``: [n, z, y, x, 3]; ``tensors``: dictionary layer name -> output tensor."""


def build(description, images, bn_training, detailed_summary=False, use_keras=False, normalise=None, noise_key=None):
    """Build the graph of ``description`` in the current variable scope.

    :param description: a :class:`functions.network.description.NetworkDescription`.
    :param images: [n, z, y, x, 2] float32 in HU: channel 0 the moving image, channel 1 the fixed image.
    :param bn_training: Python bool, or a boolean tensor (published graphs): noise and batch statistics when true.
    :param detailed_summary: also write slice images of the feature maps.
    :param use_keras: refused: Keras layers do not exist on both TensorFlows under the checkpoints' names.
    :param normalise: function HU -> network units, applied after the noise; None leaves HU.
    :param noise_key: int32 tensor [2], (seed, step) of the noise; None takes seed 0 and the graph's global step.
    :return: :class:`Built`.
    :raises ValueError: ``use_keras``, or a known side that the geometry does not allow.
    """
    if use_keras:
        raise ValueError(
            'use_keras=True is not supported: Keras layers name their variables differently on each '
            'TensorFlow, so checkpoints would not restore. Accepted: False.'
        )
    if bn_training is not False:
        with tf.variable_scope('AdditiveNoise'):
            images = layers.additive_noise(images, bn_training, _noise_key() if noise_key is None else noise_key)
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


def network_function(description):
    """The function ``network(images, bn_training, detailed_summary=False, use_keras=False, **options)`` of a table."""

    def network(images, bn_training, detailed_summary=False, use_keras=False, **options):
        return build(description, images, bn_training, detailed_summary, use_keras, **options).dvf

    network.__doc__ = f"""The DVF of a pair of images, by ``{description.name}``.

    :param images: [n, z, y, x, 2] float32 in HU, channel 0 moving, channel 1 fixed; every side is
        {description.size_unit} k + {description.size_offset}, at least {description.smallest_valid_size(1)}.
    :param bn_training: Python bool or boolean tensor.
    :param detailed_summary: also write slice images of the feature maps.
    :param use_keras: refused with a ValueError when true.
    :param options: ``normalise`` and ``noise_key`` of :func:`functions.network.builder.build`.
    :return: [n, z', y', x', 3] float32, the displacement in (x, y, z); {description.offset} voxels smaller than
        the images at each end of each axis.
    """
    return network


def _noise_key():
    step = tf.train.get_global_step()
    step = tf.constant(0, tf.int32) if step is None else tf.cast(step, tf.int32)
    return tf.stack([tf.constant(0, tf.int32), step])


def _conv(layer, name, inputs, bn_training):
    return layers.conv3d(
        inputs[0],
        layer.filters,
        layer.kernel,
        name,
        padding=layer.padding,
        dilation=layer.dilation,
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


_BUILDERS = {
    'conv': _conv,
    'up': _up,
    'concat': _concat,
    'pool': _named(lambda layer, images: layers.max_pool3d(images, layer.padding)),
    'crop': _named(lambda layer, images: layers.crop3d(images, layer.margin)),
    'down': _named(lambda layer, images: layers.downsample3d(images, stride(layer))),
}


def _static_shape(description, layer, images, tensor):
    """Static shape from the table where the input's is known (dynamic slicing hides it from TensorFlow)."""
    shape = tensor.shape.as_list()
    for axis in (1, 2, 3):
        side = images.shape.as_list()[axis]
        if side is not None:
            try:
                shape[axis] = description.sizes(side)[layer.name]
            except ValueError as error:
                raise ValueError(
                    f'{error} Valid sides are {description.size_unit} * k + {description.size_offset}, at least '
                    f'{description.smallest_valid_size(1)}.'
                ) from None
    return shape


def _summarise(description, tensors, maximum_channels=16):
    for layer in description.layers:
        if layer.kind != 'conv':
            continue
        features = tensors[layer.name]
        middle = features[:1, tf.shape(features)[1] // 2]
        planes = tf.transpose(middle, [3, 1, 2, 0])[:maximum_channels]
        tf.summary.image('DetailedSummary/' + layer.name, planes, max_outputs=maximum_channels)
