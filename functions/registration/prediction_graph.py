"""Graphs that predict: networks with the weights of a checkpoint as constants.

The graph of a design takes most of the time that a network needs to open, so it is built once in a process.
"""

import collections
import functools

from ..network.builder import build
from ..tf_utils.backend import tf
from ..tf_utils.normalisation import normalisation
from ..tf_utils.weights import placeholders_for_variables, read_weights

Template = collections.namedtuple('Template', 'definition ends shape weights')
"""``definition``: of the graph; ``ends``: names of the images, of the features of both where there are some, and of the
output, ``shape``: of the output; ``weights``: dictionary name -> shape of what takes the place of its placeholders."""


def predict_by(template, checkpoint):
    """Add a network to the current graph.

    :param template: see :func:`graph_without_weights`.
    :param checkpoint: path prefix.
    :return: (placeholder of the images [1, z, y, x, 2], HU; features [2, z', y', x', c] of the moving and of the fixed
        image from which all else is made, None where the network has none; output of the last layer).
    :raises ValueError: the checkpoint is missing, damaged, or of another network.
    """
    weights = read_weights(checkpoint, template.weights)
    given = {name + ':0': tf.constant(value) for name, value in weights.items()}
    images, *features, output = tf.import_graph_def(template.definition, given, template.ends, name='')
    output.set_shape(template.shape)
    return images, features[0] if features else None, output


@functools.lru_cache(maxsize=None)
def graph_without_weights(description, normalization):
    """:class:`Template` of a network.

    :param description: :class:`functions.network.description.NetworkDescription`.
    :param normalization: the setting of its training.
    """
    with tf.Graph().as_default() as graph, placeholders_for_variables() as weights:
        images = tf.placeholder(tf.float32, [1, None, None, None, description.input_channels], name='Images')
        built = build(description, images, False, normalise=normalisation(normalization))
    shapes = {name: weight.shape.as_list() for name, weight in weights.items()}
    features = [built.tensors[description.features]] if description.features else []
    ends = [tensor.name for tensor in (images, *features, built.dvf)]
    return Template(graph.as_graph_def(), ends, built.dvf.shape, shapes)
