"""The training graph: one set of weights seen by a training pass and by a validation pass."""
from functions.network.builder import build
from functions.network.description import network_description
from functions.tf_utils import losses
from functions.tf_utils.backend import tf
from functions.tf_utils.normalisation import millimetres_per_unit, normalisation


class TrainingGraph(object):
    """Placeholders, training step and validation pass of a network.

    :param setting: uses ``NetworkDesign``, ``stage``, ``normalization``, ``DVFUnit`` and ``NetworkTraining``.
    :ivar fetch_train: operations of one step (loss parts and the update).
    :ivar fetch_validation: loss parts, prediction-dependent error, without any update.
    """

    def __init__(self, setting):
        training = setting['NetworkTraining']
        description = network_description(setting['NetworkDesign'])
        normalise = normalisation(setting.get('normalization'))
        self.unit = millimetres_per_unit(setting.get('DVFUnit', 'mm'), setting['stage'])
        seed = int(training.get('Seed', 0))
        self.graph = tf.Graph()
        with self.graph.as_default():
            tf.set_random_seed(seed)
            self.step = tf.train.get_or_create_global_step()
            with tf.variable_scope('InputImages'):
                self.images = tf.placeholder(tf.float32, [None, None, None, None, description.input_channels], name='Images')
            self.dvf = tf.placeholder(tf.float32, [None, None, None, None, 3], name='DVF_GroundTruth')
            self.weight = tf.placeholder(tf.float32, [None, None, None, None, 1], name='Weight')
            self.learning_rate = tf.placeholder(tf.float32, [], name='learning_rate')
            noise_key = tf.stack([tf.constant(seed, tf.int32), tf.cast(self.step, tf.int32)])
            regularisation = float(training.get('reg_weight', 0.1))

            trained = build(description, self.images, True, normalise=normalise, noise_key=noise_key)
            with tf.variable_scope(tf.get_variable_scope(), reuse=True), tf.name_scope('validation'):
                validated = build(description, self.images, False, normalise=normalise)
            self.model_variables = [v for v in tf.global_variables() if v is not self.step]
            with tf.name_scope('loss'):
                train_terms = self._loss(trained.dvf, regularisation)
            with tf.name_scope('validation_loss'):
                validation_terms = self._loss(validated.dvf, regularisation)
            self.prediction = validated.dvf * self.unit

            optimiser = tf.train.AdamOptimizer(self.learning_rate)
            # The bias in front of batch normalisation has no gradient: the batch mean takes it out of the sum.
            gradients = [(g, v) for g, v in optimiser.compute_gradients(train_terms['loss']) if g is not None]
            with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
                update = optimiser.apply_gradients(gradients, global_step=self.step)
            self.initialise = tf.global_variables_initializer()
            self.saver = tf.train.Saver(max_to_keep=None)
            self.model_saver = tf.train.Saver(self.model_variables, max_to_keep=None)
            self.fetch_train = dict(train_terms, update=update)
            self.fetch_validation = dict(validation_terms)
        self.graph.finalize()

    def _loss(self, raw, regularisation):
        """Huber + regularisation x bending energy, both in units of the network's output; padding does not count."""
        truth = self.dvf / self.unit
        valid = tf.cast(self.weight > 0., tf.float32)
        huber = losses.huber(raw, truth, self.weight)
        bending = losses.bending_energy(raw, valid=valid)
        error = tf.reduce_sum(tf.norm(raw - truth, axis=-1, keepdims=True) * self.weight) \
            / tf.maximum(tf.reduce_sum(self.weight), 1.) * self.unit
        return {'loss': huber + regularisation * bending, 'huber': huber, 'bending_energy': bending, 'error_mm': error}

    def feed(self, batch, learning_rate=0.):
        """Feed dictionary of a :class:`functions.reading` batch."""
        return {self.images: batch.images, self.dvf: batch.dvf, self.weight: batch.weight,
                self.learning_rate: learning_rate}
