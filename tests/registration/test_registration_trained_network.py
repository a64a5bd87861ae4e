"""A trained network used from its folder: padding, tiles, units, and errors that name what is wrong."""

import numpy as np
import psutil
import pytest
from oracle import SETTING

from functions.network.builder import build
from functions.network.description import network_description
from functions.registration import prediction_graph, trained_network
from functions.registration.network_pyramid import input_mask, open_model, open_networks
from functions.registration.tiling import padded_shape
from functions.registration.trained_network import TrainedNetwork
from functions.setting import setting_utils as su
from functions.setting.errors import InputError, MissingFileError
from functions.setting.schema import PRECISIONS
from functions.tf_utils.backend import tf
from functions.tf_utils.sessions import bfloat16_problem
from tests.network.seeded_weights import SeededNetwork

UNET1 = network_description('unet1')
UNTREATED = {'NetworkDesign': 'unet1', 'stage': 1}
MODEL = {'NetworkDesign': 'unet1', 'stage': 2, 'normalization': 'linear', 'DVFUnit': 'voxel'}


def write_checkpoint(prefix, damaged=False):
    """A checkpoint of unet1 with random weights; ``damaged``: those of its last layer are no numbers."""
    with tf.Graph().as_default():
        tf.set_random_seed(1)
        build(UNET1, tf.placeholder(tf.float32, [1, None, None, None, 2]), False)
        last = [v for v in tf.global_variables() if v.name == 'DVF/DVF_RegNet/conv3d/kernel:0']
        spoil = [v.assign(tf.fill(v.shape, np.float32(np.nan))) for v in last if damaged]
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            session.run(spoil)
            return tf.train.Saver().save(session, prefix, global_step=7, write_meta_graph=False, write_state=False)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """Path prefix of a checkpoint of unet1 with random weights."""
    return write_checkpoint(str(tmp_path_factory.mktemp('model') / 'net.ckpt'))


def pair(shape):
    return np.random.RandomState(3).uniform(-1000, 400, (2,) + shape).astype(np.float32)


def test_padding_to_a_valid_size_is_the_callers_padding(checkpoint):
    moving, fixed = pair((20, 23, 29))
    around = ((0, 1), (3, 3), (0, 0))
    padded = [np.pad(image, around, 'constant', constant_values=-2048) for image in (moving, fixed)]
    with TrainedNetwork(checkpoint, MODEL, threads=1) as network:
        assert network.step == 7
        found = network.predict(moving, fixed)
        whole = network.predict(*padded)
    assert found.shape == (20, 23, 29, 3) and found.dtype == np.float32
    np.testing.assert_allclose(found, whole[:20, 3:26], atol=1e-4 * np.abs(whole).max())


@pytest.mark.parametrize('name, shape', [('crop4', (11, 6, 17)), ('decimation4', (7, 14, 9))])
def test_networks_with_smaller_output_see_padding_around_the_volume(tmp_path, name, shape):
    """The DVF of any size is that of the padded volume in one piece, on the voxels of the volume, in tiles as
    well."""
    with SeededNetwork(name) as network:
        network.save(str(tmp_path / 'net.ckpt-3'))
        moving, fixed = pair(shape) / 1000
        offset = network.description.offset
        sides = [network.description.smallest_valid_size(side + 2 * offset) for side in shape]
        around = [((padded - side) // 2, padded - side - (padded - side) // 2) for padded, side in zip(sides, shape)]
        images = np.stack([np.pad(image, around, 'constant', constant_values=-2) for image in (moving, fixed)], -1)
        begin = [a[0] - offset for a in around]
        expected = network(images[None])[0][tuple(slice(b, b + side) for b, side in zip(begin, shape))]
        tile = network.description.peak_bytes([min(side, 101) for side in sides])
    setting = {'NetworkDesign': name, 'stage': 1}
    with TrainedNetwork(str(tmp_path / 'net.ckpt-3'), setting, threads=2) as network:
        for network.memory in (None, tile - 1):
            np.testing.assert_allclose(network.predict(moving, fixed, -2), expected, atol=1e-4)


def test_voxel_networks_answer_in_millimetres(checkpoint):
    moving, fixed = pair((21, 21, 21))
    fields = []
    for unit in ('voxel', 'mm'):
        with TrainedNetwork(checkpoint, dict(MODEL, DVFUnit=unit), threads=1) as network:
            fields.append(network.predict(moving, fixed))
    assert np.abs(fields[1]).max() > 0
    np.testing.assert_allclose(fields[0], 2.0 * fields[1], rtol=1e-4, atol=1e-5)


def test_little_memory_gives_tiles_and_the_same_field(checkpoint):
    moving, fixed = pair((21, 20, 165))
    with TrainedNetwork(checkpoint, MODEL, threads=1) as network:
        whole = network.predict(moving, fixed)
    with TrainedNetwork(checkpoint, MODEL, threads=1, memory=UNET1.peak_bytes((21, 21, 125))) as network:
        tiled = network.predict(moving, fixed)
    np.testing.assert_allclose(tiled, whole, atol=1e-4 * np.abs(whole).max())


@pytest.mark.parametrize('name, on_gpu', [('matching', False), ('matching', True), ('unet1', False)])
def test_both_ways_are_those_of_the_images_exchanged_in_tiles_too(tmp_path, monkeypatch, name, on_gpu):
    monkeypatch.setattr(trained_network, 'gpu_memory', lambda session: 1e9 if on_gpu else None)
    with SeededNetwork(name) as network:
        network.save(str(tmp_path / 'net.ckpt-3'))
        side = network.description.smallest_tile()
        shape = (21, 24, side + 12)
        tile = network.description.peak_bytes(padded_shape(network.description, (21, 24, side)))
    images = np.where(pair(shape) > 0, -2048, pair(shape))  # some voxels are outside the mask
    with TrainedNetwork(str(tmp_path / 'net.ckpt-3'), {'NetworkDesign': name, 'stage': 1}, threads=2) as network:
        for network.memory in (None, tile):
            there, back = network.predict_both_ways(*images)
            np.testing.assert_allclose(there, network.predict(*images), atol=1e-5)
            np.testing.assert_allclose(back, network.predict(*images[::-1]), atol=1e-5)
        assert np.abs(there - back).max() > 0.01


def test_networks_of_one_design_share_the_graph_but_not_the_weights(tmp_path, checkpoint, monkeypatch):
    built = []
    monkeypatch.setattr(prediction_graph, 'build', lambda *given, **more: built.append(1) or build(*given, **more))
    prediction_graph.graph_without_weights.cache_clear()
    with SeededNetwork('unet1') as seeded:
        seeded.save(str(tmp_path / 'other.ckpt-1'))
    images, fields = pair((21, 21, 21)) / 1000, []
    for prefix in (checkpoint, str(tmp_path / 'other.ckpt-1')):
        with SeededNetwork('unet1', prefix) as expected, TrainedNetwork(prefix, UNTREATED, threads=1) as network:
            fields.append(network.predict(*images))
            np.testing.assert_allclose(fields[-1], expected(np.stack(images, -1)[None])[0], atol=1e-5)
    assert built == [1]
    assert np.abs(fields[1] - fields[0]).max() > 0.1


def test_volumes_on_two_grids_are_refused(checkpoint):
    with TrainedNetwork(checkpoint, MODEL, threads=1) as network, pytest.raises(InputError, match='one grid'):
        network.predict(np.zeros((21, 21, 21)), np.zeros((21, 21, 22)))


def test_damaged_weights_are_noticed(tmp_path):
    damaged = write_checkpoint(str(tmp_path / 'net.ckpt'), damaged=True)
    refused = pytest.raises(InputError, match='NaN or infinite')
    with TrainedNetwork(damaged, MODEL, threads=1) as network, refused:
        network.predict(*pair((21, 21, 21)))


def test_checkpoint_of_something_else_is_refused_by_name(tmp_path):
    with tf.Graph().as_default():
        tf.get_variable('other', [3], use_resource=True)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            other = tf.train.Saver().save(session, str(tmp_path / 'other.ckpt'), global_step=1)
    with pytest.raises(InputError, match='other.ckpt-1 cannot be restored: .+'):
        TrainedNetwork(other, MODEL, threads=1)


def test_stage_without_a_network_or_with_that_of_another_stage_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    setting = su.load_registration_setting(su.initialize_setting('tiny', where_to_run='Root'), [4])
    with pytest.raises(InputError, match='no network for stage 4'):
        open_networks(setting)
    setting['network_dict'] = {'stage4': {'NetworkLoad': 'other'}}
    with pytest.raises(MissingFileError, match='other: no settings file'):
        open_networks(setting)
    for number in range(11):  # the newest settings count
        su.write_setting(dict(SETTING, log_root_folder='./Experiments/', current_experiment='other', stage=number))
    with pytest.raises(InputError, match='other .*: stage is 10; accepted'):
        open_networks(setting)


def known(*masks, **setting):
    return dict(setting, deform_exp={str(i): {'MaskToZero': mask} for i, mask in enumerate(masks)})


def test_mask_of_the_input_comes_from_the_settings_of_the_training():
    assert input_mask([known('Torso', 'Torso')]) == 'Torso'
    assert input_mask([known(None)]) is None
    assert input_mask([known('Torso', InputMask='Lung'), known('Lung')]) == 'Lung'
    for settings in ([known('Torso', 'Lung')], [known()], [known('Torso'), known('Torso', InputMask='Lung')]):
        with pytest.raises(InputError, match='must name one mask'):
            input_mask(settings)


def test_one_network_serves_many_pairs_in_constant_memory(checkpoint):
    """Graph, session and weights are built once; what thirty pairs leave behind is nothing."""
    moving, fixed = pair((37, 45, 53))
    with TrainedNetwork(checkpoint, MODEL, threads=1) as network:
        graph = network._session.graph
        operations = len(graph.get_operations())
        first = network.predict(moving, fixed)
        for _ in range(5):
            network.predict(moving, fixed)
        used = []
        for _ in range(30):
            last = network.predict(moving, fixed)
            used.append(psutil.Process().memory_full_info().uss)
        assert len(graph.get_operations()) == operations and network._session.graph is graph
    np.testing.assert_array_equal(first, last)
    # What the process always holds; a pair's tensors are 20 MB, so that one left behind by every pair would show.
    assert min(used[-10:]) - max(used[:10]) < 5000 * 1024, used
    with pytest.raises((RuntimeError, tf.errors.CancelledError), match='closed'):
        network.predict(moving, fixed)


# ---- precision


def test_bfloat16_is_refused_where_it_is_not_possible_and_auto_does_without(checkpoint, monkeypatch, caplog):
    caplog.set_level('INFO')
    monkeypatch.setattr(trained_network, 'bfloat16_problem', lambda: 'there is a reason')
    with pytest.raises(InputError, match='bfloat16 .* is not possible here: there is a reason'):
        TrainedNetwork(checkpoint, MODEL, precision='bfloat16')
    with TrainedNetwork(checkpoint, MODEL, threads=1, precision='auto') as network:
        assert network.precision == 'float32' and 'Precision float32: there is a reason' in caplog.text


def test_auto_uses_bfloat16_where_it_changes_displacements_little(monkeypatch, caplog):
    if bfloat16_problem():
        pytest.skip(bfloat16_problem())
    caplog.set_level('INFO')
    moving, fixed = pair((17, 25, 33))
    fields, described = [], []
    for precision, tolerance in zip(PRECISIONS + ('auto',), (0.1, 0.1, 0, 0)):
        monkeypatch.setattr(trained_network, 'TOLERANCE', tolerance)
        with open_model('chest', [2], 1, precision=precision) as model:
            fields.append([model.networks[2].predict(moving, fixed) for _ in range(2)])
            described.append(model.describe()['2'].get('precision'))
    assert described == ['bfloat16', None, 'bfloat16', None]
    said = [line.split()[1] for line in caplog.messages if line.startswith('Precision')]
    assert said == ['bfloat16:', 'bfloat16:', 'float32:']
    (auto, again), (plain, _), (forced, _), (refused, _) = fields
    np.testing.assert_array_equal(again, auto)
    np.testing.assert_array_equal(forced, auto)
    np.testing.assert_array_equal(refused, plain)
    assert 1e-4 < np.abs(auto - plain).max() < 0.2
