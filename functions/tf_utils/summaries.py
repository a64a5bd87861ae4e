"""TensorBoard summaries from NumPy values: scalars and slice images, by an event-file writer of TensorFlow.

Values are computed once by the training loop and handed over here; only the feature maps of
``DetailedNetworkSummary`` come from summary operations of the graph.
"""

import io
import os
import socket
import time

import numpy as np

from .backend import tf


class SummaryWriter:
    """Writes scalars and grey images to one TensorBoard folder.

    :param folder: made when missing.
    :param first_step: TensorBoard forgets what an earlier, interrupted run wrote from this step on.
    :param graph: shown in TensorBoard, or None.
    """

    def __init__(self, folder, first_step=0, graph=None):
        os.makedirs(folder, exist_ok=True)
        name = f'events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}'
        # Not tf.summary.FileWriter: what fails in its thread is shown as a traceback, or waited for without end.
        self._writer = tf.python_io.TFRecordWriter(os.path.join(folder, name))
        self._event(file_version='brain.Event:2')
        if graph is not None:
            self._event(graph_def=graph.as_graph_def(add_shapes=True).SerializeToString())
        self._event(session_log=tf.SessionLog(status=tf.SessionLog.START), step=first_step)

    def _event(self, **content):
        self._writer.write(tf.Event(wall_time=time.time(), **content).SerializeToString())

    def write(self, summary, step):
        """Write a summary: a ``tf.Summary``, or what an operation of ``tf.summary`` returned."""
        self._event(summary=tf.Summary.FromString(summary) if isinstance(summary, bytes) else summary, step=int(step))
        self._writer.flush()

    def scalars(self, values, step):
        """:param values: dictionary tag -> number."""
        numbers = [tf.Summary.Value(tag=tag, simple_value=float(value)) for tag, value in values.items()]
        self.write(tf.Summary(value=numbers), step)

    def image(self, tag, plane, low, high, step):
        """One grey image: ``plane`` [rows, columns] with ``low`` black and ``high`` white."""
        png = _png(plane, low, high)
        image = tf.Summary.Image(height=plane.shape[0], width=plane.shape[1], colorspace=1, encoded_image_string=png)
        self.write(tf.Summary(value=[tf.Summary.Value(tag=tag, image=image)]), step)

    def close(self):
        """Close the file."""
        self._writer.close()


def _png(plane, low, high):
    import matplotlib.image

    stream = io.BytesIO()
    scaled = np.clip((np.asarray(plane, np.float32) - low) / float(high - low), 0.0, 1.0)
    matplotlib.image.imsave(stream, scaled, cmap='gray', vmin=0.0, vmax=1.0, format='png')
    return stream.getvalue()
