"""The training graph: one set of weights seen by a training pass and by a validation pass."""

import numpy as np

from ..network.builder import build
from ..network.description import network_description
from ..setting.errors import InputError
from ..tf_utils import log_normal, losses
from ..tf_utils.backend import tf
from ..tf_utils.normalisation import millimetres_per_unit, normalisation
from ..tf_utils.sessions import gpu_names, loss_scaling
from .averages import CLASS_ERROR, CLASS_VOXELS

_BETA = '/batch_normalization/beta'


class TrainingGraph:
    """Placeholders, training step and validation pass of a network.

    :param setting: uses ``NetworkDesign``, ``stage``, ``normalization``, ``DVFUnit``, ``ClassBalanced``,
        ``DetailedNetworkSummary``, ``MixedPrecision``, ``NumberOfGPU`` and ``NetworkTraining``.
    :ivar fetch_train: operations of one step (loss parts, errors, norm of the gradient, and the update).
    :ivar fetch_validation: loss parts and errors, without any update.
    :ivar prediction: the predicted DVF in mm, or the expected error in mm, [..., 1].
    :ivar fetch_pictures: the prediction and, with ``DetailedNetworkSummary``, the summary of the feature maps.
    :ivar fetch_inspection: norms of the gradients of the loss parts; empty unless ``inspecting_regularization_weight``.
    :raises InputError: there are fewer GPUs than ``NumberOfGPU``, two or more.
    """

    def __init__(self, setting):
        training = setting['NetworkTraining']
        self.description = description = network_description(setting['NetworkDesign'])
        normalise = normalisation(setting.get('normalization'))
        self._of_errors = description.predicts == 'error'
        self.unit = millimetres_per_unit(setting.get('DVFUnit', 'mm'), setting['stage'])
        seed = int(training.get('Seed', 0))
        self._devices = devices = _training_devices(setting.get('NumberOfGPU', 0))
        self.graph = tf.Graph()
        with self.graph.as_default():
            tf.set_random_seed(seed)
            self.step = tf.train.get_or_create_global_step()
            with tf.variable_scope('InputImages'):
                self.images = tf.placeholder(tf.float32, [None] * 4 + [description.input_channels], name='Images')
            self.dvf = tf.placeholder(tf.float32, [None] * 4 + [3], name='DVF_GroundTruth')
            self.weight = tf.placeholder(tf.float32, [None] * 4 + [1], name='Weight')
            self.learning_rate = tf.placeholder(tf.float32, [], name='learning_rate')
            noise_key = tf.stack([tf.constant(seed, tf.int32), tf.cast(self.step, tf.int32)])
            regularisation = float(training.get('reg_weight', 0.1))

            # With a Python bool only one branch is built.
            freezes = training.get('FreezeStatistics') is not None
            self._batch_statistics = tf.placeholder(tf.bool, [], name='batch_statistics') if freezes else True
            options = {'normalise': normalise, 'noise_key': noise_key, 'devices': devices}
            trained = build(description, self.images, self._batch_statistics, **options)
            with tf.variable_scope(tf.get_variable_scope(), reuse=True), tf.name_scope('validation'):
                detailed = bool(setting.get('DetailedNetworkSummary'))
                validated = build(description, self.images, False, detailed, normalise)
                feature_maps = {'feature_maps': tf.summary.merge_all()} if detailed else {}
            self.model_variables = [v for v in tf.global_variables() if v is not self.step]
            with tf.name_scope('loss'):
                train_terms = self._loss(trained.dvf, setting)
            with tf.name_scope('validation_loss'):
                validation_terms = self._loss(validated.dvf, setting)
            self.prediction = log_normal.expected(validated.dvf) if self._of_errors else validated.dvf * self.unit
            self.fetch_pictures = dict(feature_maps, prediction=self.prediction)

            optimiser = tf.train.AdamOptimizer(self.learning_rate)
            mixed = setting.get('MixedPrecision', False)
            if mixed:
                optimiser = loss_scaling(optimiser)
            # The loss is one, of the whole batch; its gradients are computed where the outputs were.
            apart = {'colocate_gradients_with_ops': len(devices) > 1}
            gradients = optimiser.compute_gradients(train_terms['loss'], _learned(tf.trainable_variables()), **apart)
            if not mixed:
                # Loss scaling expects infinite gradients now and then; without it they are an error.
                train_terms['gradient_norm'] = tf.global_norm([gradient for gradient, _ in gradients])
            with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
                update = optimiser.apply_gradients(gradients, global_step=self.step)
            inspects = training.get('inspecting_regularization_weight')
            self.fetch_inspection = _gradient_norms(train_terms, regularisation) if inspects else {}
            self.initialise = tf.global_variables_initializer()
            self.saver = tf.train.Saver(max_to_keep=None)
            self.model_saver = tf.train.Saver(self.model_variables, max_to_keep=None)
            self.fetch_train = dict(train_terms, update=update)
            self.fetch_validation = dict(validation_terms)
        self.graph.finalize()

    def truth(self, dvf):
        """What :attr:`prediction` should be where the DVF [..., 3] is that of the training: itself, or its length."""
        return np.linalg.norm(dvf, axis=-1, keepdims=True) if self._of_errors else dvf

    def _loss(self, raw, setting):
        """The loss and its parts, ignoring padding; and the error in mm: its weighted mean, and its sum and the number
        of voxels per class of displacement.
        """
        terms, error = (self._error_loss if self._of_errors else self._field_loss)(raw, setting['NetworkTraining'])
        terms['error_mm'] = tf.reduce_sum(error * self.weight) / tf.maximum(tf.reduce_sum(self.weight), 1.0)
        limits = setting.get('ClassBalanced')
        if limits:
            valid, largest = self._valid(), tf.reduce_max(tf.abs(self.dvf), axis=-1, keepdims=True)
            inside = [valid * tf.cast(part, tf.float32) for part in _in_classes(largest, limits)]
            terms[CLASS_ERROR] = tf.stack([tf.reduce_sum(error * part) for part in inside])
            terms[CLASS_VOXELS] = tf.stack([tf.reduce_sum(part) for part in inside])
        return terms

    def _valid(self):
        return tf.cast(self.weight > 0.0, tf.float32)

    def _field_loss(self, raw, training):
        """(Huber + regularisation x bending energy in units of the network's output, length of its error in mm)."""
        truth = self.dvf / self.unit
        huber = losses.huber(raw, truth, self.weight)
        # The setting is in the order x, y, z; array axes are z, y, x.
        bending = losses.bending_energy(raw, training.get('VoxelSize', (1.0, 1.0, 1.0))[::-1], self._valid())
        terms = {
            'loss': huber + float(training.get('reg_weight', 0.1)) * bending,
            'huber': huber,
            'bending_energy': bending,
        }
        return terms, tf.norm(raw - truth, axis=-1, keepdims=True) * self.unit

    def _error_loss(self, raw, training):
        """(negative log-likelihood of the lengths, how far the expected ones are off in mm)."""
        del training
        length = tf.norm(self.dvf, axis=-1, keepdims=True)
        terms = {'loss': log_normal.likelihood_loss(raw, length, self.weight)}
        return terms, tf.abs(log_normal.expected(raw) - length)

    def feed(self, batch, learning_rate=0.0, frozen=False):
        """Feed dictionary of a :class:`functions.reading` batch.

        :param frozen: normalise with the stored statistics (setting ``FreezeStatistics``).
        """
        arrays, missing = [batch.images, batch.dvf, batch.weight], -len(batch.images) % len(self._devices)
        if missing:  # from the last batch of a chunk, for equal parts: samples that have no weight
            widths, modes = [(0, missing)] + [(0, 0)] * 4, ('edge', 'edge', 'constant')
            arrays = [np.pad(array, widths, mode) for array, mode in zip(arrays, modes)]
        feed = dict(zip([self.images, self.dvf, self.weight], arrays))
        feed[self.learning_rate] = learning_rate
        if self._batch_statistics is not True:
            feed[self._batch_statistics] = not frozen
        return feed


def _training_devices(number):
    """Names of as many GPUs, or None alone, where TensorFlow chooses, for less than two."""
    names = gpu_names()
    if number < 2:
        return [None]
    if number > len(names):
        raise InputError(f'NumberOfGPU is {number}, but TensorFlow sees {len(names)} here.')
    return names[:number]


def _learned(variables):
    """``variables`` without the biases before a batch normalisation, which its mean cancels and its beta replaces."""
    names = [v.op.name for v in variables]
    cancelled = {name[: -len(_BETA)] + '/conv3d/bias' for name in names if name.endswith(_BETA)}
    return [v for v in variables if v.op.name not in cancelled]


def _in_classes(size, limits):
    """Masks of the values in [0, t0), [t0, t1), ...; the last class has no upper end, as in sampling."""
    edges = [0.0] + list(limits[:-1])
    return [tf.logical_and(size >= low, size < high) for low, high in zip(edges, edges[1:] + [float('inf')])]


def _gradient_norms(terms, regularisation):
    """Norms of the gradients of Huber and of regularisation x bending energy with respect to all weights, and
    reg_weight_equal, the regularisation at which they would be equal.
    """
    variables = tf.trainable_variables()
    gradients = [tf.gradients(terms[name], variables) for name in ('huber', 'bending_energy')]
    huber, bending = [tf.global_norm([each for each in found if each is not None]) for found in gradients]
    equal = huber / tf.maximum(bending, 1e-12)
    return {'gradient_huber': huber, 'gradient_bending': regularisation * bending, 'reg_weight_equal': equal}
