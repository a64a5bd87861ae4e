"""A trained network: graph, session and weights of a checkpoint, and its predictions."""

import contextlib
import logging

import numpy as np
from scipy.ndimage import gaussian_filter

from ..image.free_memory import available_memory
from ..network.description import network_description
from ..setting.errors import InputError
from ..setting.trained_models import restoring
from ..tf_utils import log_normal
from ..tf_utils.backend import tf
from ..tf_utils.frozen_graphs import frozen
from ..tf_utils.normalisation import millimetres_per_unit
from ..tf_utils.sessions import bfloat16_problem, gpu_memory, open_session
from .prediction_graph import graph_without_weights, predict_by
from .tiling import predict_in_tiles

LOGGER = logging.getLogger(__name__)

# Half of what is free: other processes need memory too, and the estimate is rough.
MEMORY_SHARE = 0.5
#: Bytes assumed free where the system does not say.
UNKNOWN_MEMORY = 4e9
#: Limit on a CPU, where the images of a large scan need memory as well.
MOST_MEMORY = 5e9
#: mm by which a displacement in bfloat16 may differ for the precision 'auto'.
TOLERANCE = 0.1


class TrainedNetwork(contextlib.AbstractContextManager):
    """A network with its weights, restored once and used for any number of pairs and sizes (a context manager).

    :param checkpoint: TensorFlow's path prefix of a checkpoint, ending in ``-<step>``.
    :param model_setting: the settings it was trained with (``NetworkDesign``, ``stage``, ``normalization``,
        ``DVFUnit`` ...).
    :param threads: TensorFlow threads, None for all cores.
    :param memory: bytes one forward pass may use; None: half of what is free.
    :param xla: let XLA compile the graph.
    :param precision: 'float32', 'bfloat16', or 'auto': bfloat16 where the processor has it and the displacements of a
        made-up pair differ by at most :data:`TOLERANCE`.
    :ivar precision: the one in use.
    :raises InputError: damaged weights, too little memory, or bfloat16 where it is not possible.
    """

    def __init__(self, checkpoint, model_setting, threads=None, memory=None, xla=False, precision='float32'):
        self.setting = model_setting
        self.stage = int(model_setting['stage'])
        self.description = network_description(model_setting['NetworkDesign'])
        self.step = int(checkpoint.rpartition('-')[2])
        too_little = memory is not None and self.description.memory_problem(memory)
        if too_little:
            raise InputError(f'The memory of one pass (MaximumMemory, --memory) is too small: {too_little}')
        problem = '' if precision == 'float32' else bfloat16_problem()
        if problem and precision == 'bfloat16':
            raise InputError(f'The precision bfloat16 (--precision, Precision) is not possible here: {problem}.')
        self.memory, self.precision = memory, 'float32'
        template = graph_without_weights(self.description, model_setting.get('normalization'))
        graph = tf.Graph()
        with graph.as_default():
            with restoring(checkpoint):
                self._images, self._features, output = predict_by(template, checkpoint)
            unit = millimetres_per_unit(model_setting.get('DVFUnit', 'mm'), self.stage)
            is_field = self.description.predicts == 'dvf'
            self._dvf = output * unit if is_field else tf.concat(log_normal.parameters(output), -1)
        graph.finalize()
        self._session = open_session(graph, threads, xla)
        self._gpu_memory = gpu_memory(self._session)
        LOGGER.info('%s of stage %d restored from %s', self.description.name, self.stage, checkpoint)
        if problem:
            LOGGER.info('Precision float32: %s.', problem)
        elif precision != 'float32':
            self._use_bfloat16(open_session(graph, threads, xla, bfloat16=True), precision == 'auto')

    def predict(self, moving, fixed, default=-2048):
        """The DVF of a pair on its common grid.

        :param moving, fixed: [z, y, x] in HU on the stage's grid.
        :param default: value for the padding to a valid size.
        :return: [z, y, x, 3] float32, mm; of a network that predicts errors [z, y, x, 2], see
            :func:`functions.tf_utils.log_normal.parameters`.
        :raises InputError: shapes differ, or the network returns NaN or infinite values.
        """
        return self._predicted(self._run, moving, fixed, default)

    def predict_both_ways(self, moving, fixed, default=-2048):
        """The DVF of a pair, and that of the same images exchanged: (``predict(moving, fixed)``, ``predict(fixed,
        moving)``). Features that a network finds in each image alone are found once; on a GPU twice, so that they need
        not leave it.
        """
        apart = self._features is None or self._gpu_memory is not None

        def run(images, corner):
            if apart:
                ways = [self._run(pair) for pair in (images, images[..., ::-1])]
            else:
                features = self._session.run(self._features, {self._images: images})
                ways = [self._session.run(self._dvf, {self._features: pair})[0] for pair in (features, features[::-1])]
            return np.concatenate(ways, -1)

        return np.split(self._predicted(run, moving, fixed, default), 2, axis=-1)

    def _run(self, images, corner=None):
        return self._session.run(self._dvf, {self._images: images})[0]

    def _predicted(self, run, moving, fixed, default):
        """What ``run`` gives for the volume, whole or in tiles; raises InputError unless it is finite."""
        found = predict_in_tiles(self.description, run, moving, fixed, default, self.memory or self._free_memory())
        if not np.isfinite(found).all():
            raise InputError(
                f'The network of stage {self.stage} returned NaN or infinite values: its weights are damaged, or the '
                'intensities are far from HU.'
            )
        return found

    def _use_bfloat16(self, session, only_if_alike):
        """Predict by a session in bfloat16 from now on; ``only_if_alike``: unless it changes displacements too much."""
        texture = gaussian_filter(np.random.RandomState(0).normal(size=[32] * 3), 2)
        fixed = (texture * (150 / texture.std()) - 700).astype(np.float32)
        moving, plain = np.roll(fixed, 1, axis=2), self._session
        expected = self.predict(moving, fixed)
        self._session = session
        difference = float(np.linalg.norm(self.predict(moving, fixed) - expected, axis=-1).max())
        is_used = difference <= TOLERANCE or not only_if_alike
        self._session, unused = (session, plain) if is_used else (plain, session)
        unused.close()
        self.precision = 'bfloat16' if is_used else 'float32'
        what = 'Precision %s: displacements of a made-up pair differ by at most %.3f mm from those in float32'
        LOGGER.info(what, self.precision, difference)

    def frozen(self):
        """Its graph for other programs: HU, [1, z, y, x, 2], moving and fixed, to mm; see
        :func:`functions.tf_utils.frozen_graphs.frozen`."""
        return frozen(self._session, self._images, self._dvf)

    def _free_memory(self):
        """Bytes one forward pass may use: a share of the memory of the GPU, or of the machine."""
        memory = self._gpu_memory
        if memory is None:
            memory = min(available_memory() or UNKNOWN_MEMORY, MOST_MEMORY / MEMORY_SHARE)
        return memory * MEMORY_SHARE

    def close(self):
        """Release the session."""
        self._session.close()

    def __exit__(self, *exception):
        self.close()
