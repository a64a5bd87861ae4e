"""The networks: their tables against the built graphs, golden outputs, and the properties a network must have."""

import os

import numpy as np
import pytest

from functions.network.builder import build
from functions.network.description import NetworkDescription, network_description
from functions.network.layer_kinds import INPUT, NetworkTable, add, apart, concat, conv, together
from functions.tf_utils.backend import tf
from tests.network.seeded_weights import GOLDEN, SIDES, SeededNetwork, golden_path, load_seeded_weights, seeded_images
from tests.network.small_network import DOWN, SMALL

PUBLISHED_NAMES = ['crop4', 'crop5', 'decimation4', 'unet1']
NAMES = PUBLISHED_NAMES + ['matching', 'error_map']
#: (trainable, all) variables; (training side, its DVF); sides of every row at that side, as published.
# fmt: off
UNET1 = ((232749, 233314), (125, 125),
         [125, 63, 61, 31, 29, 14, 14, 14, 14, 29, 29, 29, 61, 61, 61, 125, 125, 125, 125])
PUBLISHED = {
    'unet1': UNET1,
    'crop5': UNET1,
    'crop4': ((1262973, 1264838), (101, 21),
        [99, 37, 35, 33, 31, 29, 27, 25, 27, 49, 47, 31, 29, 25, 21, 17, 13, 27, 27,
         25, 23, 21, 19, 15, 11, 7, 15, 15, 15, 13, 27, 27, 25, 25, 23, 21, 21]),
    'decimation4': ((1201353, 1203178), (105, 21),
        [23, 67, 31, 37, 37, 35, 33, 31, 29, 27, 25, 27, 31, 29, 25, 21, 17, 13, 27,
         27, 25, 21, 19, 15, 11, 7, 15, 15, 15, 13, 27, 27, 25, 25, 23, 21, 21]),
}
# fmt: on
#: Operations that compute nothing: what TensorFlow leaves behind around variables, shapes and custom gradients.
HARMLESS = (
    'Const',
    'Shape',
    'Identity',
    'NoOp',
    'ReadVariableOp',
    'VarIsInitializedOp',
    'AssignVariableOp',
    'AssignSubVariableOp',
)


def dvf_of(name, images, training, **options):
    return build(network_description(name), images, training, **options).dvf


@pytest.fixture(scope='module')
def seeded():
    """Function name -> :class:`SeededNetwork`, each built once."""
    made = {}

    def network(name):
        if name not in made:
            made[name] = SeededNetwork(name)
        return made[name]

    yield network
    for each in made.values():
        each.session.close()


@pytest.fixture(scope='module')
def graphs():
    """Function (name, training) -> (graph, its DVF, its operations), of any images, each built once."""
    made = {}

    def graph(name, training):
        if (name, training) not in made:
            with tf.Graph().as_default() as built:
                dvf = dvf_of(name, tf.placeholder(tf.float32, [None] * 4 + [2]), training)
            made[name, training] = built, dvf, built.get_operations()
        return made[name, training]

    return graph


@pytest.mark.parametrize('name', PUBLISHED_NAMES)
def test_parameter_counts_and_sizes_are_the_published_ones(name):
    counts, (side, output), sides = PUBLISHED[name]
    description = network_description(name)
    assert description.number_of_parameters() == counts
    assert 2 * description.radius_train[0] + 1 == side and description.output_size(side) == output
    assert 2 * description.radius_train[1] + 1 == output and description.offset == (side - output) // 2
    assert [description.sizes(side)[layer.name] for layer in description.layers] == sides


@pytest.mark.parametrize(
    'name, unit, offset, smallest',
    [
        ('unet1', 8, 5, 21),
        ('crop5', 8, 5, 21),
        ('crop4', 4, 1, 81),
        ('decimation4', 4, 1, 85),
        ('matching', 8, 1, 1),
        ('error_map', 8, 1, 1),
    ],
)
def test_valid_sides(name, unit, offset, smallest):
    description = network_description(name)
    assert (description.size_unit, description.size_offset) == (unit, offset)
    assert description.smallest_valid_size(1) == smallest
    for side in range(smallest, smallest + 60):
        assert description.is_valid_size(side) == (side % unit == offset % unit)
    assert not description.is_valid_size(smallest - unit)


def test_features_are_the_last_layer_of_either_image_alone():
    assert network_description('matching').features == 'Features/conv4'
    assert not any(network_description(name).features for name in PUBLISHED_NAMES)
    first = (apart('apart', INPUT), conv('conv', 'apart', 4, padding='same'), together('together', 'conv'))
    more = concat('concat', 'together', INPUT)  # the images are needed again
    found = [NetworkDescription('own', NetworkTable(layers, (4, 4))).features for layers in (first, first + (more,))]
    assert found == ['conv', None]


def test_published_name_of_crop4():
    assert network_description('crop4_connection') is network_description('crop4')


@pytest.mark.parametrize('name', NAMES)
def test_variables_and_static_shapes_are_those_of_the_table(name):
    description = network_description(name)
    with tf.Graph().as_default():
        dvf = dvf_of(name, tf.placeholder(tf.float32, [None] + list(SIDES[name]) + [2]), tf.placeholder(tf.bool, []))
        count = sum(int(np.prod(v.shape.as_list())) for v in tf.trainable_variables())
        total = sum(int(np.prod(v.shape.as_list())) for v in tf.global_variables())
    channels = {'dvf': 3, 'error': 2}[description.predicts]
    assert dvf.shape.as_list() == [None] + [description.output_size(side) for side in SIDES[name]] + [channels]
    assert (count, total) == description.number_of_parameters()


@pytest.mark.parametrize('name', PUBLISHED_NAMES)
def test_variable_names_are_those_of_published_checkpoints(graphs, name):
    with graphs(name, False)[0].as_default():
        names = {variable.op.name for variable in tf.global_variables()}
    scopes = {
        'unet1': {'R1', 'R2', 'R3', 'R4', 'R3_Up', 'R2_Up', 'R1_Up', 'DVF'},
        'crop4': {'R1', 'R2', 'R4', 'FullyConnected', 'DVF'},
    }
    assert {each.split('/')[0] for each in names} == scopes['unet1' if name in ('unet1', 'crop5') else 'crop4']
    odd = {'decimation4': 'R2/conv2_R1', 'crop4': 'R2/conv1_R2'}.get(name, 'R1_Up/conv1_R2_Up')
    for end in (
        'conv3d/kernel',
        'conv3d/bias',
        'batch_normalization/gamma',
        'batch_normalization/beta',
        'batch_normalization/moving_mean',
        'batch_normalization/moving_variance',
    ):
        assert f'{odd}/{end}' in names
    assert {'DVF/DVF_RegNet/conv3d/kernel', 'DVF/DVF_RegNet/conv3d/bias'} == {n for n in names if n.startswith('DVF/')}
    ups = {
        'crop4': ['R2/conv7_R2', 'R4/conv6_R4', 'R4/conv8_R4'],
        'unet1': ['R3_Up/conv1_R3_Up', 'R2_Up/conv1_R2_Up', 'R1_Up/conv1_R1_Up'],
    }
    expected = ups['unet1' if name in ('unet1', 'crop5') else 'crop4']
    assert {n for n in names if 'transposed' in n} == {each + '/kernel_transposed_3d' for each in expected}


@pytest.mark.parametrize('name', NAMES)
def test_every_layer_has_the_size_the_table_computes(seeded, name):
    network = seeded(name)
    values = network(seeded_images(SIDES[name], name), network.built.tensors)
    channels = network.description.channels()
    for layer in network.description.layers:
        expected = tuple(network.description.sizes(side)[layer.name] for side in SIDES[name]) + (channels[layer.name],)
        assert values[layer.name].shape[1:] == expected, layer.name


@pytest.mark.parametrize('name', NAMES)
def test_golden_output(seeded, name):
    expected = np.load(golden_path(name))
    found = seeded(name)(seeded_images(SIDES[name], name))
    assert 0.5 < np.abs(expected).max() < 50
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize('writer', ['tensorflow1', 'tensorflow2'])
def test_golden_checkpoint_of_either_tensorflow(writer):
    """What each TensorFlow wrote predicts the same on both."""
    with SeededNetwork('unet1', os.path.join(GOLDEN, f'unet1_{writer}.ckpt')) as network:
        np.testing.assert_allclose(network(seeded_images(SIDES['unet1'])), np.load(golden_path('unet1')), atol=1e-3)


@pytest.mark.parametrize(
    'name, side', [('unet1', 28), ('unet1', 13), ('crop4', 83), ('crop4', 77), ('decimation4', 81)]
)
def test_invalid_static_size_is_one_clear_error(name, side):
    with tf.Graph().as_default(), pytest.raises(ValueError, match=r'Valid sides are \d \* k \+ \d, at least \d\d'):
        dvf_of(name, tf.placeholder(tf.float32, [None, side, 101, 101, 2]), False)


@pytest.mark.parametrize('name', ['unet1', 'crop4'])
def test_detailed_summary_holds_the_feature_maps_of_every_convolution(name):
    description = network_description(name)
    side = description.smallest_valid_size(1)
    with tf.Graph().as_default():
        dvf_of(name, tf.constant(seeded_images([side] * 3)), False, detailed_summary=True)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            summary = tf.Summary.FromString(session.run(tf.summary.merge_all()))
    found = {}
    for value in summary.value:
        layer = value.tag.split('DetailedSummary/')[1].split('/image')[0]
        found[layer] = found.get(layer, 0) + 1
        assert (value.image.height, value.image.width) == (description.sizes(side)[layer],) * 2
    channels = description.channels()
    assert found == {layer.name: min(16, channels[layer.name]) for layer in description.layers if layer.kind == 'conv'}


def test_unknown_network_names_the_known_ones():
    with pytest.raises(KeyError, match='unet1'):
        network_description('unet')


@pytest.mark.parametrize('name', NAMES)
def test_every_operation_of_the_graph_serves_its_output(graphs, name):
    """Nothing is built that the DVF does not need, in training or at inference."""
    for training in (True, False):
        graph, dvf, operations = graphs(name, training)
        with graph.as_default():
            wanted = [dvf.op] + [
                update if isinstance(update, tf.Operation) else update.op
                for update in tf.get_collection(tf.GraphKeys.UPDATE_OPS)
            ]
            for variable in tf.global_variables():
                wanted += [variable.initializer, variable.value().op]
            reached, waiting = set(), list(wanted)
            while waiting:
                operation = waiting.pop()
                if operation not in reached:
                    reached.add(operation)
                    waiting += [tensor.op for tensor in operation.inputs] + list(operation.control_inputs)
            idle = [op.name for op in operations if op not in reached and op.type not in HARMLESS]
        assert idle == [], idle[:10]


@pytest.mark.parametrize('name, side', [('unet1', 125), ('crop4', 101), ('decimation4', 105), ('matching', 129)])
def test_faithful_voxels_do_not_depend_on_where_the_input_ends(seeded, name, side):
    """And the voxels beside them do: the margin is no larger than it must be."""
    network = seeded(name)
    phase, across = network.description.phase, network.description.smallest_valid_size(1)
    volume = np.random.RandomState(2).uniform(-1, 1, (1, side + 6 * phase, across, across, 2)).astype(np.float32)
    whole = network(volume)[0]
    part = network(volume[:, 3 * phase : 3 * phase + side])[0]
    difference = np.abs(whole[3 * phase : 3 * phase + len(part)] - part).max((1, 2, 3))
    first, last = network.description.faithful(side)
    assert difference[first : last + 1].max() < 1e-4
    if name in ('crop4', 'decimation4'):
        # The margins of the others hold at the worst of their eight phases; those of these two are tight.
        assert difference[first - 1] > 1e-4 and difference[last + 1] > 1e-4


@pytest.mark.parametrize('name', NAMES)
def test_training_depends_on_every_trainable_variable_but_the_cancelled_biases(graphs, name):
    graph, dvf, _ = graphs(name, True)
    with graph.as_default():
        variables = tf.trainable_variables()
        gradients = dict(zip([v.op.name for v in variables], tf.gradients(dvf, variables)))
    without = {each for each, gradient in gradients.items() if gradient is None}
    assert without == {layer.name + '/conv3d/bias' for layer in network_description(name).layers if layer.normalise}


@pytest.mark.parametrize(
    'name, kernel',
    [
        ('unet1', 'R1_Up/conv1_R2_Up'),
        ('unet1', 'R4/conv2_R4'),
        ('crop4', 'R4/conv3_R4'),
        ('decimation4', 'R2/conv2_R1'),
        ('matching', 'Features/conv4'),
        ('matching', 'R8/conv2'),
    ],
)
def test_gradient_of_a_kernel_equals_finite_differences(name, kernel):
    with tf.Graph().as_default():
        side = network_description(name).smallest_valid_size(1)
        images = tf.constant(seeded_images([side] * 3, name))
        value = tf.reduce_mean(tf.square(dvf_of(name, images, False)))
        variable = [v for v in tf.trainable_variables() if v.op.name == kernel + '/conv3d/kernel'][0]
        gradient = tf.gradients(value, variable)[0]
        with tf.Session() as session:
            load_seeded_weights(tf.global_variables(), session)
            start, exact = session.run([variable, gradient])
            size = np.sqrt(np.sum(exact.astype(float) ** 2))
            # Along the gradient, where the change is largest: a step small enough to bend few rectifiers.
            step = 1e-3 * np.abs(start).mean() / np.abs(exact / size).max()
            values = []
            for sign in (1, -1):
                variable.load((start + sign * step * exact / size).astype(np.float32), session)
                values.append(float(session.run(value)))
    assert size == pytest.approx((values[0] - values[1]) / (2 * step), rel=2.5e-2)


def test_size_is_free_at_run_time_on_every_axis(seeded):
    network = seeded('crop4')
    for shape in ((81, 81, 85), (89, 81, 81)):
        assert network(seeded_images(shape)).shape[1:4] == tuple(network.description.output_size(s) for s in shape)


@pytest.mark.parametrize('network', ['unet1', 'crop5', SMALL, DOWN], ids=['unet1', 'crop5', 'small', 'down'])
def test_receptive_field_is_where_the_gradient_is(network):
    """On a random-weight graph, for every position within a phase."""
    network = SeededNetwork(network)
    description, phase = network.description, network.description.phase
    side, across = description.smallest_valid_size(2 * description.receptive_field), description.smallest_valid_size(1)
    middle, seen = side // 2 // phase * phase - description.offset, []
    with network.session.graph.as_default():
        plane = tf.placeholder(tf.int32, [])
        gradient = tf.gradients(tf.reduce_sum(tf.abs(network.built.dvf[:, plane])), network.images)[0]
        images = np.random.RandomState(4).uniform(-1, 1, (1, side, across, across, 2))
        for position in range(middle, middle + phase):
            found = network.session.run(gradient, {network.images: images, plane: position})
            planes = np.flatnonzero(np.abs(found).max((0, 2, 3, 4)))
            seen.append(planes[-1] - planes[0] + 1)
    network.session.close()
    assert max(seen) == description.receptive_field


def test_a_network_with_a_residual_addition_and_a_strided_convolution_needs_only_its_table():
    description = SMALL
    assert (description.size_unit, description.size_offset, description.phase) == (2, 1, 2)
    assert description.output_size(21) == 21 and description.offset == 0
    side, margin = 41, 6
    with SeededNetwork(description) as network:
        volume = np.random.RandomState(3).uniform(-1, 1, (1, side + 2 * margin, 9, 11, 2)).astype(np.float32)
        values = network(volume, network.built.tensors)
        whole, part = values['DVF/DVF_RegNet'], network(volume[:, margin : margin + side])
        total = sum(int(np.prod(variable.shape.as_list())) for variable in network.variables)
    assert total == description.number_of_parameters()[1]
    for layer in description.layers:
        sides = [description.sizes(each)[layer.name] for each in volume.shape[1:4]]
        assert list(values[layer.name].shape[1:]) == sides + [description.channels()[layer.name]], layer.name
    strided = values['R2/strided'] + values['R2/b']
    np.testing.assert_allclose(values['R2/sum'], np.maximum(strided, 0), atol=1e-5)
    # The voxels that the table calls faithful do not depend on where the input ends; their neighbours do.
    difference = np.abs(whole[0, margin : margin + side] - part[0]).max((1, 2, 3))
    first, last = description.faithful(side)
    assert 0 < first < last < side - 1
    assert difference[first : last + 1].max() < 1e-5
    assert difference[first - 1] > 1e-5 and difference[last + 1] > 1e-5


def test_a_strided_convolution_trains():
    description = SMALL
    with tf.Graph().as_default():
        dvf = build(description, tf.constant(seeded_images([9, 11, 13])), True).dvf
        assert dvf.shape.as_list() == [1, 9, 11, 13, 3]
        kernels = [v for v in tf.trainable_variables() if v.op.name.endswith('kernel')]
        gradients = tf.gradients(tf.reduce_mean(tf.square(dvf)), kernels)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            assert all(np.abs(gradient).max() > 0 for gradient in session.run(gradients))


def test_added_layers_must_have_equal_channels():
    layers = (conv('A/a', INPUT, 4, padding='same'), add('A/sum', 'A/a', INPUT))
    with pytest.raises(ValueError, match=r'A/sum adds layers of \[4, 2\] channels'):
        NetworkDescription('wrong', NetworkTable(layers, (4, 4))).channels()


def test_noise_enters_the_graph_in_training_only():
    with tf.Graph().as_default():
        images = tf.constant(seeded_images((21, 21, 21)))
        step = tf.placeholder_with_default(tf.constant([0, 5]), [2])
        training = tf.placeholder_with_default(False, [])
        built = build(network_description('unet1'), images, training, noise_key=step)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            still = [session.run(built.dvf) for _ in range(2)]
            noisy = [session.run(built.tensors['images'], {training: True, step: [0, s]}) for s in (5, 5, 6)]
    np.testing.assert_array_equal(still[0], still[1])
    np.testing.assert_array_equal(noisy[0], noisy[1])
    assert np.any(noisy[0] != noisy[2])
