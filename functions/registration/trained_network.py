"""A trained network: graph, session and weights of a checkpoint, and its predictions."""

import contextlib
import logging

import numpy as np

from ..image.free_memory import available_memory
from ..network.builder import build
from ..network.description import network_description
from ..setting.errors import InputError
from ..setting.trained_models import restoring
from ..tf_utils.backend import tf
from ..tf_utils.frozen_graphs import frozen
from ..tf_utils.normalisation import millimetres_per_unit, normalisation
from ..tf_utils.sessions import gpu_memory, open_session, restore
from .tiling import predict_in_tiles

LOGGER = logging.getLogger(__name__)

# Half of what is free: other processes need memory too, and the estimate is rough.
MEMORY_SHARE = 0.5
#: Bytes assumed free where the system does not say.
UNKNOWN_MEMORY = 4e9
#: Limit on a CPU, where the images of a large scan need memory as well.
MOST_MEMORY = 5e9


class TrainedNetwork(contextlib.AbstractContextManager):
    """A network with its weights, restored once and used for any number of pairs and sizes (a context manager).

    :param checkpoint: TensorFlow's path prefix of a checkpoint, ending in ``-<step>``.
    :param model_setting: the settings it was trained with (``NetworkDesign``, ``stage``, ``normalization``,
        ``DVFUnit`` ...).
    :param threads: TensorFlow threads, None for all cores.
    :param memory: bytes one forward pass may use; None: half of what is free.
    :param xla: let XLA compile the graph.
    """

    def __init__(self, checkpoint, model_setting, threads=None, memory=None, xla=False):
        self.setting = model_setting
        self.stage = int(model_setting['stage'])
        self.description = network_description(model_setting['NetworkDesign'])
        self.step = int(checkpoint.rpartition('-')[2])
        too_little = memory is not None and self.description.memory_problem(memory)
        if too_little:
            raise InputError(f'The memory of one pass (MaximumMemory, --memory) is too small: {too_little}')
        self.memory = memory
        graph = tf.Graph()
        with graph.as_default():
            shape = [1, None, None, None, self.description.input_channels]
            self._images = tf.placeholder(tf.float32, shape, name='Images')
            normalise = normalisation(model_setting.get('normalization'))
            unit = millimetres_per_unit(model_setting.get('DVFUnit', 'mm'), self.stage)
            self._dvf = build(self.description, self._images, False, normalise=normalise).dvf * unit
            saver = tf.train.Saver(tf.global_variables())
        graph.finalize()
        self._session = open_session(graph, threads, xla)
        try:
            with restoring(checkpoint):
                restore(self._session, saver, checkpoint)
        except InputError:
            self._session.close()
            raise
        LOGGER.info('%s of stage %d restored from %s', self.description.name, self.stage, checkpoint)

    def predict(self, moving, fixed, default=-2048):
        """The DVF of a pair on its common grid.

        :param moving, fixed: [z, y, x] in HU on the stage's grid.
        :param default: value for the padding to a valid size.
        :return: [z, y, x, 3] float32, mm.
        :raises InputError: shapes differ, or the network returns NaN or infinite values.
        """

        def run(images, corner):
            return self._session.run(self._dvf, {self._images: images})[0]

        dvf = predict_in_tiles(self.description, run, moving, fixed, default, self.memory or self._free_memory())
        if not np.isfinite(dvf).all():
            raise InputError(
                f'The network of stage {self.stage} returned NaN or infinite values: its weights are damaged, or the '
                'intensities are far from HU.'
            )
        return dvf

    def frozen(self):
        """Its graph for other programs: HU, [1, z, y, x, 2], moving and fixed, to mm; see
        :func:`functions.tf_utils.frozen_graphs.frozen`."""
        return frozen(self._session, self._images, self._dvf)

    def _free_memory(self):
        """Bytes one forward pass may use: a share of the memory of the GPU, or of the machine."""
        memory = gpu_memory(self._session)
        if memory is None:
            memory = min(available_memory() or UNKNOWN_MEMORY, MOST_MEMORY / MEMORY_SHARE)
        return memory * MEMORY_SHARE

    def close(self):
        """Release the session."""
        self._session.close()

    def __exit__(self, *exception):
        self.close()
