"""Each layer against plain NumPy."""

import numpy as np
import pytest

from functions.tf_utils import layers
from functions.tf_utils.backend import tf


def evaluate(make, feeds, setup=None):
    """Build ``make(*placeholders)`` in a fresh graph and evaluate it; ``setup(session)`` runs after initialisation."""
    with tf.Graph().as_default():
        placeholders = [tf.placeholder(tf.float32, [None] * (value.ndim - 1) + [value.shape[-1]]) for value in feeds]
        output = make(*placeholders)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            if setup is not None:
                setup(session)
            variables = {v.name.split(':')[0]: session.run(v) for v in tf.global_variables()}
            return session.run(output, dict(zip(placeholders, feeds))), variables


def numpy_convolution(images, kernel, padding, dilation):
    if padding == 'same':
        reach = dilation * (kernel.shape[0] - 1) // 2
        images = np.pad(images, [(0, 0)] + [(reach, reach)] * 3 + [(0, 0)], mode='constant')
    sides = [n - dilation * (kernel.shape[0] - 1) for n in images.shape[1:4]]
    output = np.zeros([images.shape[0]] + sides + [kernel.shape[-1]])
    for i, j, k in np.ndindex(*kernel.shape[:3]):
        window = images[
            :,
            i * dilation : i * dilation + sides[0],
            j * dilation : j * dilation + sides[1],
            k * dilation : k * dilation + sides[2],
        ]
        output += np.einsum('nzyxc,cd->nzyxd', window, kernel[i, j, k])
    return output


def initial_kernels(seed, layer='conv1_R1', filters=4):
    with tf.Graph().as_default():
        if seed is not None:
            tf.set_random_seed(seed)
        with tf.variable_scope('R1'):
            layers.conv3d(tf.placeholder(tf.float32, [None] * 4 + [2]), filters, 3, layer)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            return session.run(tf.trainable_variables()[0])


def test_initial_kernels_are_the_same_on_both_tensorflows_and_follow_seed_and_name():
    kernel = initial_kernels(7)
    golden = [[-0.15636437, 0.05723424, -0.13362208, 0.07890011], [0.16096045, 0.00183667, -0.12193207, -0.02241449]]
    np.testing.assert_allclose(kernel[1, 1, 1], golden, atol=1e-7)
    np.testing.assert_array_equal(kernel, initial_kernels(7))
    np.testing.assert_array_equal(initial_kernels(None), initial_kernels(0))
    assert np.all(kernel != initial_kernels(8)) and np.all(kernel != initial_kernels(7, 'conv2_R1'))


def test_initial_kernels_are_glorot_uniform():
    kernel = initial_kernels(3, filters=400)
    limit = np.sqrt(6.0 / (27 * (2 + 400)))
    assert 0.999 * limit < np.abs(kernel).max() <= limit
    assert abs(kernel.mean()) < 0.02 * limit and kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.01)


@pytest.mark.parametrize('padding, dilation', [('valid', 1), ('same', 1), ('valid', 2)])
def test_convolution_equals_numpy(padding, dilation):
    images = np.random.RandomState(0).randn(2, 7, 8, 9, 3).astype(np.float32)
    output, variables = evaluate(
        lambda x: layers.conv3d(x, 4, 3, 'layer', padding, dilation, activation=None), [images]
    )
    expected = numpy_convolution(images, variables['layer/conv3d/kernel'], padding, dilation)
    np.testing.assert_allclose(output, expected, atol=1e-5)


@pytest.mark.parametrize(
    'activation, function',
    [
        ('relu', lambda x: np.maximum(x, 0)),
        ('elu', lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))),
        (None, lambda x: x),
    ],
)
def test_activation_follows_the_convolution(activation, function):
    images = np.random.RandomState(1).randn(1, 4, 5, 4, 2).astype(np.float32)
    output, variables = evaluate(lambda x: layers.conv3d(x, 3, 1, 'a', activation=activation), [images])
    raw = numpy_convolution(images, variables['a/conv3d/kernel'], 'valid', 1)
    np.testing.assert_allclose(output, function(raw), atol=1e-5)


def randomise(session):
    """Give every variable of the layer a value that would show if it were left out."""
    random = np.random.RandomState(2)
    for variable in tf.global_variables():
        value = random.uniform(0.5, 2.0, variable.shape.as_list())
        variable.load(value.astype(np.float32), session)


def test_batch_normalisation_in_training_uses_the_batch():
    images = np.random.RandomState(3).randn(3, 5, 4, 6, 2).astype(np.float32) * 4 + 7
    output, variables = evaluate(
        lambda x: layers.conv3d(x, 5, 3, 'a', activation=None, training=True), [images], randomise
    )
    raw = numpy_convolution(images, variables['a/conv3d/kernel'], 'valid', 1)
    mean, variance = raw.mean((0, 1, 2, 3)), raw.var((0, 1, 2, 3))
    expected = (raw - mean) / np.sqrt(variance + 1e-3) * variables['a/batch_normalization/gamma'] + variables[
        'a/batch_normalization/beta'
    ]
    np.testing.assert_allclose(output, expected, atol=2e-5)


@pytest.mark.parametrize('as_tensor', [False, True])
def test_batch_normalisation_at_inference_uses_the_moving_statistics(as_tensor):
    images = np.random.RandomState(4).randn(2, 5, 5, 5, 2).astype(np.float32)

    def make(x):
        return layers.conv3d(x, 3, 3, 'a', activation=None, training=tf.constant(False) if as_tensor else False)

    output, variables = evaluate(make, [images], randomise)
    raw = numpy_convolution(images, variables['a/conv3d/kernel'], 'valid', 1) + variables['a/conv3d/bias']
    expected = (raw - variables['a/batch_normalization/moving_mean']) / np.sqrt(
        variables['a/batch_normalization/moving_variance'] + 1e-3
    ) * variables['a/batch_normalization/gamma'] + variables['a/batch_normalization/beta']
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('as_tensor', [False, True])
def test_moving_statistics_move_in_training_by_one_percent(as_tensor):
    images = np.random.RandomState(5).randn(2, 5, 6, 5, 2).astype(np.float32) * 3 + 1
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [None, None, None, None, 2])
        training = tf.placeholder_with_default(True, []) if as_tensor else True
        output = layers.conv3d(x, 3, 3, 'a', activation=None, training=training)
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            randomise(session)
            before = {v.name: session.run(v) for v in tf.global_variables()}
            session.run([output] + updates, {x: images})
            after = {v.name: session.run(v) for v in tf.global_variables()}
    raw = numpy_convolution(images, before['a/conv3d/kernel:0'], 'valid', 1) + before['a/conv3d/bias:0']
    for name, statistic in (('moving_mean', raw.mean((0, 1, 2, 3))), ('moving_variance', raw.var((0, 1, 2, 3)))):
        key = f'a/batch_normalization/{name}:0'
        np.testing.assert_allclose(after[key], 0.99 * before[key] + 0.01 * statistic, rtol=2e-5)


def test_variable_names_are_those_of_published_checkpoints():
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [None, None, None, None, 2])
        with tf.variable_scope('R1'):
            layers.upsample3d(layers.conv3d(x, 3, 3, 'conv1_R1', training=True), 'up')
        names = {v.name for v in tf.global_variables()}
        trainable = {v.name for v in tf.trainable_variables()}
    fixed = {
        'R1/conv1_R1/batch_normalization/moving_mean:0',
        'R1/conv1_R1/batch_normalization/moving_variance:0',
        'R1/up/kernel_transposed_3d:0',
    }
    assert (
        names - fixed
        == trainable
        == {
            'R1/conv1_R1/conv3d/kernel:0',
            'R1/conv1_R1/conv3d/bias:0',
            'R1/conv1_R1/batch_normalization/gamma:0',
            'R1/conv1_R1/batch_normalization/beta:0',
        }
    )
    assert fixed < names


@pytest.mark.parametrize('padding', ['valid', 'same'])
def test_pooling_equals_numpy(padding):
    images = np.random.RandomState(6).randn(1, 5, 6, 7, 2).astype(np.float32)
    output, _ = evaluate(lambda x: layers.max_pool3d(x, padding), [images])
    sides = [n // 2 if padding == 'valid' else -(-n // 2) for n in images.shape[1:4]]
    expected = np.empty([1] + sides + [2])
    for i, j, k in np.ndindex(*sides):
        expected[:, i, j, k] = images[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, 2 * k : 2 * k + 2].max((1, 2, 3))
    np.testing.assert_array_equal(output, expected)


@pytest.mark.parametrize('margin', [0, 1])
def test_upsampling_equals_the_transposed_convolution_of_the_paper(margin):
    """Pad by one with repeated edges, stride-2 transposed convolution with 2**-(|i|+|j|+|k|), crop two at each side."""
    images = np.random.RandomState(7).randn(2, 3, 4, 5, 3).astype(np.float32)
    output, _ = evaluate(lambda x: layers.upsample3d(x, 'up', margin), [images])
    padded = np.pad(images, [(0, 0)] + [(1, 1)] * 3 + [(0, 0)], mode='edge')
    full = np.zeros([2] + [2 * n + 1 for n in padded.shape[1:4]] + [3])
    for i, j, k in np.ndindex(*padded.shape[1:4]):
        for a, b, c in np.ndindex(3, 3, 3):
            weight = 2.0 ** -(abs(a - 1) + abs(b - 1) + abs(c - 1))
            full[:, 2 * i + a, 2 * j + b, 2 * k + c] += weight * padded[:, i, j, k]
    expected = np.pad(full[:, 2:-2, 2:-2, 2:-2], [(0, 0)] + [(margin, margin)] * 3 + [(0, 0)], mode='constant')
    np.testing.assert_allclose(output, expected, atol=1e-5)


def test_noise_is_whole_numbers_keyed_by_seed_and_step_and_only_in_training():
    images = np.zeros((2, 20, 20, 20, 2), np.float32)

    def noise(seed, step, training=True):
        return evaluate(lambda x: layers.additive_noise(x, training, tf.constant([seed, step])), [images])[0]

    first = noise(3, 11)
    np.testing.assert_array_equal(first, np.round(first))
    np.testing.assert_array_equal(first, noise(3, 11))
    assert np.any(first != noise(3, 12)) and np.any(first != noise(4, 11))
    assert abs(first.std() - 2.0) < 0.05
    np.testing.assert_array_equal(noise(3, 11, training=False), images)
    means = [np.median(noise(0, step)[0, :4]) for step in range(12)]
    assert 0.8 < np.std(means) < 4.0


def test_noise_is_the_same_whether_training_is_a_bool_or_a_tensor():
    images = np.ones((1, 6, 5, 4, 2), np.float32)
    with tf.Graph().as_default():
        static = layers.additive_noise(tf.constant(images), True, tf.constant([1, 2]))
        dynamic = layers.additive_noise(tf.constant(images), tf.placeholder_with_default(True, []), tf.constant([1, 2]))
        with tf.Session() as session:
            a, b = session.run([static, dynamic])
    np.testing.assert_array_equal(a, b)
