"""Graphs that predict: networks with the weights of a checkpoint as constants.

The graph of a design takes most of the time that a network needs to open, so it is built once in a process.
"""

import functools

from ..network.builder import build
from ..network.description import network_description
from ..tf_utils.backend import tf
from ..tf_utils.normalisation import normalisation
from ..tf_utils.weights import placeholders_for_variables, read_weights


def predict_by(design, normalization, checkpoint):
    """Add a network to the current graph.

    :param design, normalization: settings ``NetworkDesign`` and ``normalization`` of the network.
    :param checkpoint: path prefix.
    :return: (placeholder of the images [1, z, y, x, 2], HU; output of the last layer).
    :raises ValueError: the checkpoint is missing, damaged, or of another network.
    """
    definition, images, output, shapes = graph_without_weights(design, normalization)
    given = {name + ':0': tf.constant(value) for name, value in read_weights(checkpoint, shapes).items()}
    images, found = tf.import_graph_def(definition, given, [images.name, output.name], name='')
    found.set_shape(output.shape)
    return images, found


@functools.lru_cache(maxsize=None)
def graph_without_weights(design, normalization):
    """(definition of the graph, its images, its output, dictionary name -> shape of the weights that it needs)."""
    description = network_description(design)
    with tf.Graph().as_default() as graph, placeholders_for_variables() as weights:
        images = tf.placeholder(tf.float32, [1, None, None, None, description.input_channels], name='Images')
        output = build(description, images, False, normalise=normalisation(normalization)).dvf
    return graph.as_graph_def(), images, output, {name: weight.shape.as_list() for name, weight in weights.items()}
