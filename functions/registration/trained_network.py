"""A trained network, used from its experiment's folder alone: settings, checkpoint, graph, session,
prediction."""

import logging

import numpy as np

from functions.image.free_memory import available_memory
from functions.network.builder import build
from functions.network.description import network_description
from functions.registration.sweep import sweep
from functions.setting import setting_utils as su
from functions.setting.errors import InputError, MissingFileError
from functions.setting.experiment_files import settings_number
from functions.tf_utils.backend import tf
from functions.tf_utils.normalisation import millimetres_per_unit, normalisation
from functions.tf_utils.sessions import gpu_memory, open_session

LOGGER = logging.getLogger(__name__)

# Half of what is free: other processes live here too, and the estimate is an estimate.
MEMORY_SHARE = 0.5
#: Bytes taken to be free where the system does not say.
UNKNOWN_MEMORY = 4e9
#: On a CPU: the images of a large scan need memory as well.
MOST_MEMORY = 5e9


def read_model_setting(setting, experiment):
    """The newest settings file of an experiment.

    :raises MissingFileError: the experiment has none, so nobody knows how its network was trained.
    """
    number = settings_number(setting, experiment)
    if number is None:
        raise MissingFileError(
            '{} holds no settings file (setting0.txt, ...): it is not the folder of a '
            'trained model, or the training never started.'.format(
                su.address_generator(setting, 'ModelFolder', current_experiment=experiment)
            )
        )
    return su.read_setting(setting, experiment, number)


class TrainedNetwork:
    """A network with its weights, built and restored once and used for any number of pairs and sizes.

    :param checkpoint: TensorFlow's path prefix of a checkpoint, ending in ``-<step>``.
    :param model_setting: the settings it was trained with (``NetworkDesign``, ``stage``, ``normalization``,
        ``DVFUnit``, ``MaskToZero`` ...).
    :param threads: TensorFlow threads, None for all cores.
    :param memory: bytes one forward pass may use; None takes half of what is free.
    :param xla: let XLA compile the graph.
    """

    def __init__(self, checkpoint, model_setting, threads=None, memory=None, xla=False):
        self.setting = model_setting
        self.stage = int(model_setting['stage'])
        self.description = network_description(model_setting['NetworkDesign'])
        self._unit = millimetres_per_unit(model_setting.get('DVFUnit', 'mm'), self.stage)
        self.step = int(checkpoint.rpartition('-')[2])
        self._memory = memory
        graph = tf.Graph()
        with graph.as_default():
            self._images = tf.placeholder(
                tf.float32, [1, None, None, None, self.description.input_channels], name='Images'
            )
            self._dvf = (
                build(
                    self.description, self._images, False, normalise=normalisation(model_setting.get('normalization'))
                ).dvf
                * self._unit
            )
            saver = tf.train.Saver(tf.global_variables())
        graph.finalize()
        self._session = open_session(graph, threads, xla)
        try:
            saver.restore(self._session, checkpoint)
        except (tf.errors.NotFoundError, tf.errors.InvalidArgumentError, ValueError) as error:
            self._session.close()
            raise InputError(
                f'{checkpoint} cannot be restored into {self.description.name}: {str(error).splitlines()[0]}'
            ) from error
        LOGGER.info('%s of stage %d restored from %s', self.description.name, self.stage, checkpoint)

    def predict(self, moving, fixed, default=-2048):
        """The DVF of a pair on its common grid.

        :param moving: [z, y, x] in HU on the stage's grid.
        :param fixed: the same shape.
        :param default: value for the padding to a valid size.
        :return: [z, y, x, 3] float32, mm.
        :raises InputError: shapes differ, or the network returns something that is no number.
        """

        def run(images, corner):
            return self._session.run(self._dvf, {self._images: images})[0]

        dvf = sweep(self.description, run, moving, fixed, default, self._memory or self._free_memory())
        if not np.isfinite(dvf).all():
            raise InputError(
                f'The network of stage {self.stage} returned values that are no numbers; its weights are '
                'damaged or its '
                'intensities are far from HU.'
            )
        return dvf

    def _free_memory(self):
        """Bytes one forward pass may use: a share of the GPU's memory, or of the machine's."""
        memory = gpu_memory(self._session)
        if memory is None:
            memory = min(available_memory() or UNKNOWN_MEMORY, MOST_MEMORY / MEMORY_SHARE)
        return memory * MEMORY_SHARE

    def close(self):
        """Give the session back."""
        self._session.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
