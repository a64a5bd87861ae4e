"""Graphs with their weights as constants, for other programs: ONNX and TensorFlow's SavedModel."""

import logging

from .backend import tf

#: Names of the only input and the only output.
INPUT, OUTPUT = 'images', 'dvf'
#: Of ONNX's operations; supported since onnxruntime 1.12 (2022).
_OPERATIONS = 17


def frozen(session, images, dvf):
    """A graph without variables, from ``images`` to ``dvf``, which are called :data:`INPUT` and :data:`OUTPUT` in it.

    :param session: session with the weights.
    :param images, dvf: placeholder and tensor of its graph.
    :return: :class:`tf.Graph`.
    """
    weights = tf.graph_util.convert_variables_to_constants(session, session.graph_def, [dvf.op.name])
    graph = tf.Graph()
    with graph.as_default():
        given = tf.placeholder(tf.float32, images.shape, INPUT)
        (found,) = tf.import_graph_def(weights, {images.name: given}, [dvf.name], name='network')
        tf.identity(found, OUTPUT).set_shape(dvf.shape)
    return graph


def write_saved_model(graph, folder):
    """Write a graph of :func:`frozen` for TensorFlow, as the new ``folder``, with the signature 'serving_default'."""
    given, found = [{name: graph.get_tensor_by_name(name + ':0')} for name in (INPUT, OUTPUT)]
    signatures = {'serving_default': tf.saved_model.predict_signature_def(given, found)}
    builder = tf.saved_model.Builder(folder)
    with tf.Session(graph=graph) as session:
        # Without what has its default value, also an older TensorFlow reads what a newer one writes.
        builder.add_meta_graph_and_variables(session, ['serve'], signatures, strip_default_attrs=True)
    builder.save()


def write_onnx(graph, path, properties):
    """Write a graph of :func:`frozen` as an ONNX file.

    :param properties: dictionary of texts that the file holds as its metadata.
    :raises ImportError: tf2onnx is not installed.
    """
    import onnx
    import tf2onnx

    logging.getLogger('tf2onnx').setLevel(logging.ERROR)
    ends = {'input_names': [INPUT + ':0'], 'output_names': [OUTPUT + ':0']}
    ends['tensors_to_rename'] = {name + ':0': name for name in (INPUT, OUTPUT)}
    model, _ = tf2onnx.convert.from_graph_def(graph.as_graph_def(), opset=_OPERATIONS, **ends)
    onnx.helper.set_model_props(model, properties)
    onnx.checker.check_model(model)
    onnx.save(model, path)
