"""Builds the TensorFlow graph of a network from its table."""

import collections

from ..tf_utils import layers
from ..tf_utils.backend import tf
from ..tf_utils.correlation import correlation
from .layer_kinds import INPUT

#: Channels of a layer that a detailed summary shows at most.
SUMMARY_CHANNELS = 16

Built = collections.namedtuple('Built', 'dvf tensors')
"""``dvf``: [n, z, y, x, 3], what the last layer gives (2 channels where the network predicts errors); ``tensors``:
dictionary layer name -> output tensor."""


def build(description, images, bn_training, detailed_summary=False, normalise=None, noise_key=None, devices=(None,)):
    """Build the graph of ``description`` in the current variable scope.

    :param description: a :class:`functions.network.description.NetworkDescription`.
    :param images: [n, z, y, x, 2] float32 in HU: channel 0 the moving image, channel 1 the fixed image.
    :param bn_training: Python bool, or a boolean tensor (published graphs): noise and batch statistics when true.
    :param detailed_summary: also add summaries with slice images of the feature maps, see ``tf.summary.merge_all``.
    :param normalise: function HU -> network units, applied after the noise; None leaves HU.
    :param noise_key: int32 tensor [2], (seed, step) of the noise; None: (0, 0).
    :param devices: names of devices that get equal parts of the batch; None where TensorFlow chooses.
    :return: :class:`Built`, of several devices with the tensors of the first.
    :raises ValueError: a known side that the geometry does not allow.
    """
    if bn_training is not False:
        with tf.variable_scope('AdditiveNoise'):
            key = tf.constant([0, 0]) if noise_key is None else noise_key
            images = layers.additive_noise(images, bn_training, key)
    if normalise is not None:
        images = normalise(images)
    towers = []
    for device, part in zip(devices, tf.split(images, len(devices)) if len(devices) > 1 else [images]):
        # The variables are those of the first device.
        shared = tf.variable_scope(tf.get_variable_scope(), reuse=True if towers else None, auxiliary_name_scope=False)
        with tf.device(device), shared:
            towers.append(_tensors(description, part, bn_training))
    if detailed_summary:
        _summarise(description, towers[0])
    fields = [tensors[description.layers[-1].name] for tensors in towers]
    return Built(fields[0] if len(fields) == 1 else tf.concat(fields, 0), towers[0])


def _tensors(description, images, bn_training):
    """Dictionary layer name -> output tensor."""
    tensors = {INPUT: images}
    for layer in description.layers:
        scope, _, name = layer.name.rpartition('/')
        inputs = [tensors[source] for source in layer.inputs]
        # auxiliary_name_scope keeps operation names readable when a scope is entered once per layer
        with tf.variable_scope(scope):
            tensors[layer.name] = _BUILDERS[layer.kind](layer, name, inputs, bn_training)
        tensors[layer.name].set_shape(_static_shape(description, layer, images, tensors[layer.name]))
    return tensors


def _conv(layer, name, inputs, bn_training):
    options = {key: getattr(layer, key) for key in ('padding', 'dilation', 'stride', 'activation')}
    training = bn_training if layer.normalise else None
    return layers.conv3d(inputs[0], layer.filters, layer.kernel, name, training=training, **options)


def _named(operation):
    """Builder of a layer without variables: ``operation(layer, inputs)`` in the name scope of the layer."""

    def make(layer, name, inputs, bn_training):
        with tf.name_scope(name):
            return operation(layer, inputs)

    return make


#: Functions (layer, name in its scope, inputs, bn_training) -> output.
_BUILDERS = {
    'conv': _conv,
    'up': lambda layer, name, inputs, bn_training: layers.upsample3d(inputs[0], name, margin=layer.margin),
    'concat': lambda layer, name, inputs, bn_training: tf.concat(inputs, 4, name=name),
    'add': _named(lambda layer, inputs: layers.ACTIVATIONS[layer.activation](tf.add_n(inputs))),
    'pool': _named(lambda layer, inputs: layers.max_pool3d(inputs[0], layer.padding)),
    'crop': _named(lambda layer, inputs: layers.crop3d(inputs[0], layer.margin)),
    'down': _named(lambda layer, inputs: layers.downsample3d(inputs[0], layer.stride)),
    'contrast': _named(lambda layer, inputs: layers.local_contrast(inputs[0], layer.kernel)),
    'apart': _named(lambda layer, inputs: layers.apart(inputs[0])),
    'together': _named(lambda layer, inputs: layers.together(inputs[0])),
    'correlation': _named(lambda layer, inputs: correlation(inputs[0], layer.kernel // 2)),
    'smooth': _named(lambda layer, inputs: layers.smooth3d(inputs[0], layer.kernel // 2)),
    'softmax': _named(lambda layer, inputs: tf.nn.softmax(inputs[0])),
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
                raise ValueError(f'{error} Valid sides are {description.valid_sides}.') from None
    return shape


def _summarise(description, tensors):
    for layer in [layer for layer in description.layers if layer.kind == 'conv']:
        features = tensors[layer.name]
        middle = features[:1, tf.shape(features)[1] // 2]
        planes = tf.transpose(middle, [3, 1, 2, 0])[:SUMMARY_CHANNELS]
        tf.summary.image('DetailedSummary/' + layer.name, planes, max_outputs=SUMMARY_CHANNELS)
