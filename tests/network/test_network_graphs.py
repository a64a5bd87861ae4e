"""``unet1``: its table against the built graph, and the properties a network must have."""
import numpy as np
import pytest

from functions.network import unet1
from functions.network.builder import build
from functions.network.description import UNET1, network_description
from functions.tf_utils.backend import tf


@pytest.fixture(scope='module')
def built():
    """An inference graph of free size with random weights, its session, and its tensors."""
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [None, None, None, None, 2])
        result = build(UNET1, images, False)
        random = np.random.RandomState(0)
        session = tf.Session(graph=graph)
        for variable in tf.global_variables():
            if 'kernel_transposed' in variable.name:
                variable.load(session.run(variable.initial_value), session)
            else:
                low = 0.5 if 'variance' in variable.name or 'gamma' in variable.name else -0.2
                variable.load(random.uniform(low, low + 0.5, variable.shape.as_list()).astype(np.float32), session)
        yield session, images, result
        session.close()


def test_parameter_counts_and_sizes_are_those_of_the_paper():
    assert UNET1.number_of_parameters() == (232749, 233314)
    assert (UNET1.size_unit, UNET1.size_offset) == (8, 5)
    sizes = UNET1.sizes(125)
    assert UNET1.output_size(125) == 125 and UNET1.smallest_valid_size(118) == 125
    expected = [125, 63, 61, 31, 29, 14, 14, 14, 14, 29, 29, 29, 61, 61, 61, 125, 125, 125, 125]
    assert [sizes[layer.name] for layer in UNET1.layers] == expected


def test_graph_has_the_variables_of_the_table():
    with tf.Graph().as_default():
        dvf = unet1.network(tf.placeholder(tf.float32, [None, 29, 37, 45, 2]), tf.placeholder(tf.bool, []))
        count = sum(int(np.prod(v.shape.as_list())) for v in tf.trainable_variables())
        total = sum(int(np.prod(v.shape.as_list())) for v in tf.global_variables())
        assert dvf.shape.as_list() == [None, 29, 37, 45, 3]
    assert (count, total) == UNET1.number_of_parameters()


def test_every_layer_has_the_size_the_table_computes(built):
    session, images, result = built
    shape = (29, 45, 37)
    values = session.run(result.tensors, {images: np.zeros((1,) + shape + (2,), np.float32)})
    channels = UNET1.channels()
    for layer in UNET1.layers:
        expected = tuple(UNET1.sizes(side)[layer.name] for side in shape) + (channels[layer.name],)
        assert values[layer.name].shape[1:] == expected, layer.name


@pytest.mark.parametrize('side', [28, 32, 36, 40])
def test_invalid_static_size_is_one_clear_error(side):
    with tf.Graph().as_default(), pytest.raises(ValueError, match=r'8 \* k \+ 5'):
        unet1.network(tf.placeholder(tf.float32, [None, side, 37, 37, 2]), False)


def test_use_keras_is_refused():
    with tf.Graph().as_default(), pytest.raises(ValueError, match='use_keras'):
        unet1.network(tf.placeholder(tf.float32, [None, 37, 37, 37, 2]), False, use_keras=True)


def test_unknown_network_names_the_known_ones():
    with pytest.raises(KeyError, match='unet1'):
        network_description('unet')


def test_receptive_field_is_exactly_what_the_table_says(built):
    session, images, result = built
    random = np.random.RandomState(1)
    side = 125
    base = random.uniform(-1, 1, (1, side, 21, 21, 2)).astype(np.float32)
    reference = session.run(result.dvf, {images: base})
    for output in (60, 61, 63):
        first, last = UNET1.receptive_interval(output, output)
        for voxel, expected in ((first - 1, False), (first, True), (last, True), (last + 1, False)):
            changed = base.copy()
            changed[:, voxel] += 100.
            difference = np.abs(session.run(result.dvf, {images: changed}) - reference)[0, output].max()
            assert (difference > 0) == expected, (output, voxel)


def test_shifting_by_the_phase_shifts_the_output(built):
    session, images, result = built
    random = np.random.RandomState(2)
    volume = random.uniform(-1, 1, (1, 133, 21, 21, 2)).astype(np.float32)
    margin = max(UNET1.receptive_margin())
    first = session.run(result.dvf, {images: volume[:, :125]})
    second = session.run(result.dvf, {images: volume[:, UNET1.phase:125 + UNET1.phase]})
    inside = slice(margin, 125 - margin - UNET1.phase)
    np.testing.assert_allclose(first[:, UNET1.phase:][:, inside], second[:, inside], atol=1e-4)


def test_training_pass_depends_on_every_trainable_variable_but_the_cancelled_biases():
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [None, None, None, None, 2])
        dvf = unet1.network(images, True)
        gradients = dict(zip([v.name for v in tf.trainable_variables()], tf.gradients(dvf, tf.trainable_variables())))
    without = {name for name, gradient in gradients.items() if gradient is None}
    assert without == {layer.name + '/conv3d/bias:0' for layer in UNET1.layers if layer.kind == 'conv' and layer.normalise}


def test_gradient_of_a_kernel_equals_finite_differences():
    with tf.Graph().as_default():
        tf.set_random_seed(1)
        images = tf.constant(np.random.RandomState(3).uniform(-1, 1, (1, 21, 21, 21, 2)).astype(np.float32))
        value = tf.reduce_mean(tf.square(unet1.network(images, False)))
        kernel = [v for v in tf.trainable_variables() if v.name.startswith('R1_Up/conv1_R2_Up/conv3d/kernel')][0]
        gradient = tf.gradients(value, kernel)[0]
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            start, exact = session.run([kernel, gradient])
            index = np.unravel_index(np.argmax(np.abs(exact)), exact.shape)
            values = []
            for sign in (1, -1):
                moved = start.copy()
                moved[index] += sign * 1e-2
                kernel.load(moved, session)
                values.append(session.run(value))
    assert exact[index] == pytest.approx((values[0] - values[1]) / 2e-2, rel=2e-2)
