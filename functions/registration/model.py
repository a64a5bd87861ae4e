"""A trained network, used from its experiment's folder alone: settings, checkpoint, graph, session, prediction."""
import logging
import os
import re

import numpy as np

from functions.image.memory import available_memory
from functions.network.builder import build
from functions.network.description import network_description
from functions.registration.tiling import choose_tiles
from functions.setting import setting_utils as su
from functions.setting.atomic import read_json
from functions.setting.errors import InputError, MissingFileError
from functions.tf_utils.backend import tf
from functions.tf_utils.normalisation import millimetres_per_unit, normalisation
from functions.tf_utils.sessions import open_session

LOGGER = logging.getLogger(__name__)

# Half of what is free: other processes live here too, and the estimate is an estimate.
MEMORY_SHARE = 0.5


def read_model_setting(setting, experiment):
    """The newest settings file of an experiment.

    :raises MissingFileError: the experiment has none, so nobody knows how its network was trained.
    """
    folder = su.address_generator(setting, 'ModelFolder', current_experiment=experiment)
    names = os.listdir(folder) if os.path.isdir(folder) else []
    numbers = sorted(int(match.group(1)) for match in (re.match(r'^setting(\d+)\.txt$', name) for name in names) if match)
    if not numbers:
        raise MissingFileError('{} holds no settings file (setting0.txt, ...): it is not the folder of a trained model, or the '
                               'training never started.'.format(folder))
    return read_json(os.path.join(folder, 'setting{}.txt'.format(numbers[-1])))


class TrainedNetwork(object):
    """A network with its weights, built and restored once and used for any number of pairs and sizes.

    :param checkpoint: TensorFlow's path prefix of a checkpoint, ending in ``-<step>``.
    :param model_setting: the settings it was trained with (``NetworkDesign``, ``stage``, ``normalization``, ``DVFUnit``,
        ``MaskToZero`` ...).
    :param threads: TensorFlow threads, None for all cores.
    :param memory: bytes one forward pass may use; None takes half of what is free.
    """

    def __init__(self, checkpoint, model_setting, threads=None, memory=None):
        self.setting = model_setting
        self.stage = int(model_setting['stage'])
        self.description = network_description(model_setting['NetworkDesign'])
        self._unit = millimetres_per_unit(model_setting.get('DVFUnit', 'mm'), self.stage)
        self.step = int(checkpoint.rpartition('-')[2])
        self._memory = memory
        graph = tf.Graph()
        with graph.as_default():
            self._images = tf.placeholder(tf.float32, [1, None, None, None, self.description.input_channels], name='Images')
            self._dvf = build(self.description, self._images, False,
                              normalise=normalisation(model_setting.get('normalization'))).dvf * self._unit
            saver = tf.train.Saver(tf.global_variables())
        graph.finalize()
        self._session = open_session(graph, threads)
        try:
            saver.restore(self._session, checkpoint)
        except (tf.errors.NotFoundError, tf.errors.InvalidArgumentError, ValueError) as error:
            self._session.close()
            raise InputError('{} cannot be restored into {}: {}'.format(
                checkpoint, self.description.name, str(error).splitlines()[0])) from error
        LOGGER.info('%s of stage %d restored from %s', self.description.name, self.stage, checkpoint)

    def predict(self, moving, fixed, default=-2048):
        """The DVF of a pair on its common grid.

        :param moving: [z, y, x] in HU on the stage's grid.
        :param fixed: the same shape.
        :param default: value for the padding to a valid size.
        :return: [z, y, x, 3] float32, mm.
        :raises InputError: shapes differ, or the network returns something that is no number.
        """
        if moving.shape != fixed.shape or fixed.ndim != 3:
            raise InputError('predict takes two volumes on one grid; it was given {} and {}.'.format(moving.shape, fixed.shape))
        shape = [self.description.smallest_valid_size(side) for side in fixed.shape]
        before = [(padded - side) // 2 for padded, side in zip(shape, fixed.shape)]
        inside = tuple(slice(b, b + side) for b, side in zip(before, fixed.shape))
        images = np.full([1] + shape + [2], default, np.float32)
        images[(0,) + inside + (0,)] = moving
        images[(0,) + inside + (1,)] = fixed
        memory = self._memory or (available_memory() or 4e9) * MEMORY_SHARE
        tiles = choose_tiles(self.description, shape, memory)
        LOGGER.info('%s at stage %d: %s voxels in %d tile(s), %.2f GB estimated for one', self.description.name, self.stage,
                    'x'.join(str(side) for side in shape), len(tiles),
                    self.description.peak_bytes([s.stop - s.start for s in tiles[0]]) / 1e9)
        dvf = np.empty(shape + [3], np.float32)
        for spans in tiles:
            window = (slice(None),) + tuple(slice(s.start, s.stop) for s in spans)
            output = self._session.run(self._dvf, {self._images: images[window]})[0]
            kept = tuple(slice(s.keep_start, s.keep_stop) for s in spans)
            dvf[kept] = output[tuple(slice(s.keep_start - s.start, s.keep_stop - s.start) for s in spans)]
        dvf = np.ascontiguousarray(dvf[inside])
        if not np.isfinite(dvf).all():
            raise InputError('The network of stage {} returned values that are no numbers; its weights are damaged or its '
                             'intensities are far from HU.'.format(self.stage))
        return dvf

    def close(self):
        """Give the session back."""
        self._session.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
