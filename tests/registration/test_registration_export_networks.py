"""Exported networks predict the same without this project, and its runner finds the field that register() finds."""

import ast
import importlib.util
import json
import os

import numpy as np
import pytest
import SimpleITK as sitk
from model_folders import make_model

from functions.commands.regnet import main
from functions.phantom.case import Case
from functions.registration import export_networks as command
from functions.registration import open_model, register
from functions.registration.export_networks import RECORD, export_networks
from functions.setting.checkpoint_records import describe_file
from functions.setting.errors import InputError, UnknownNameError
from functions.setting.text_files import read_json
from functions.setting.trained_models import network_set
from functions.tf_utils.backend import tf
from functions.tf_utils.frozen_graphs import frozen, write_onnx, write_saved_model
from tests.network.seeded_weights import SIDES, SeededNetwork, seeded_images

RUNNER = os.path.join(os.path.dirname(__file__), '..', '..', 'docs', 'run_onnx.py')


def agree(found, expected):
    """To 1e-5 of the largest displacement."""
    assert found.shape == expected.shape and np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * max(np.abs(expected).max(), 1))


def by_saved_model(folder, images):
    with tf.Graph().as_default(), tf.Session() as session:
        signature = tf.saved_model.load(session, ['serve'], str(folder)).signature_def['serving_default']
        given, found = signature.inputs['images'].name, signature.outputs['dvf'].name
        assert session.graph.get_tensor_by_name(given).shape.as_list()[1:] == [None, None, None, 2]
        return [session.run(found, {given: pair}) for pair in images]


def by_onnx(path, images):
    session = pytest.importorskip('onnxruntime').InferenceSession(str(path))
    assert [value.name for value in session.get_inputs() + session.get_outputs()] == ['images', 'dvf']
    return [session.run(None, {'images': pair})[0] for pair in images]


@pytest.mark.parametrize('name', ['unet1', 'crop4', 'decimation4'])
def test_onnx_predicts_the_same_at_any_valid_size(name, tmp_path):
    # Of SavedModel, checkpoint_exchange makes sure, from one TensorFlow to another.
    pytest.importorskip('tf2onnx')
    with SeededNetwork(name) as network:
        unit = network.description.size_unit
        shapes = [np.array(SIDES[name]), np.array(SIDES[name]) + [unit, 0, 2 * unit]]
        images = [seeded_images(shape, name) for shape in shapes]
        write_onnx(frozen(network.session, network.images, network.built.dvf), str(tmp_path / 'model.onnx'), {})
        for found, pair in zip(by_onnx(tmp_path / 'model.onnx', images), images):
            agree(found, network(pair))


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    """Two experiments of unet1, of stages 4 and 2."""
    root = tmp_path_factory.mktemp('Experiments')
    return [make_model(root, 'four', 4), make_model(root, 'two', 2, InputMargin=6)]


def test_what_is_written_says_how_to_use_it(models, tmp_path, capsys):
    folder = tmp_path / 'new' / 'exported'
    words = models + [str(folder), '--format', 'savedmodel', '--stages', '4', '4', '2', '--json']
    assert main(['export'] + words) == 0
    record = read_json(str(folder / RECORD))
    assert sorted(record['files']) == sorted(json.loads(capsys.readouterr().out)['files'])
    assert record['passes'] == [4, 4, 2] and record['mask'] == 'Lung' and record['outside'] == -2048
    about = record['networks']['2']
    assert (about['side_unit'], about['side_offset'], about['least_side'], about['smaller_by']) == (8, 5, 21, 0)
    assert about['voxel_mm'] == 2 and about['normalization'] == 'lung' and about['margin_mm'] is None
    for name, file in record['files'].items():
        assert describe_file(str(folder / name)) == file
    assert (
        {name.split('/')[0] for name in record['files']} == {'stage4', 'stage2'} == set(os.listdir(folder)) - {RECORD}
    )
    assert str(tmp_path) not in (folder / RECORD).read_text()
    with open_model(models, threads=1) as model:
        # HU in, mm out: a valid size is neither padded nor cut.
        moving, fixed = np.random.RandomState(0).normal(-600, 200, (2, 21, 29, 37)).astype(np.float32)
        expected = model.networks[2].predict(moving, fixed)
    (found,) = by_saved_model(folder / about['file'], [np.stack([moving, fixed], -1)[None]])
    agree(found[0], expected)


def test_nothing_is_written_over_and_nothing_by_halves(models, tmp_path, monkeypatch):
    there = tmp_path / 'there'
    there.mkdir()
    with pytest.raises(InputError, match='there exists; give the name of a new folder'):
        export_networks(models, str(there), 'savedmodel')
    with pytest.raises(UnknownNameError, match='savedmodel'):
        export_networks(models, str(tmp_path / 'new'), 'saved_model')
    with monkeypatch.context() as patch, pytest.raises(InputError, match='pip install tf2onnx'):
        patch.setattr(command.importlib.util, 'find_spec', lambda name: None)
        export_networks(models, str(tmp_path / 'new'))
    written = []

    def fail_at_the_second(graph, folder):
        write_saved_model(graph, folder)
        written.append(folder)
        if len(written) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(command, 'write_saved_model', fail_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        export_networks(models, str(tmp_path / 'new'), 'savedmodel')
    assert len(written) == 2 and os.listdir(tmp_path) == ['there'] and not os.listdir(there)


@pytest.fixture(scope='module')
def chest(tmp_path_factory):
    """Folder of the bundled set in ONNX."""
    for package in ('tf2onnx', 'onnxruntime'):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp('onnx') / 'chest'
    export_networks('chest', str(folder))
    return folder


def test_matching_in_onnx_predicts_the_same(chest):
    images = seeded_images((17, 25, 33), 'matching')
    with open_model('chest', [4]) as model:
        expected = model.networks[4].predict(images[0, ..., 0], images[0, ..., 1])
    agree(by_onnx(chest / 'stage4.onnx', [images])[0][0], expected)


@pytest.fixture(scope='module')
def runner():
    spec = importlib.util.spec_from_file_location('run_onnx', RUNNER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_runner_finds_the_field_that_register_finds(chest, runner, monkeypatch):
    case = Case(14, {'Size': [96, 84, 96]})
    (fixed, fixed_lung, _), (moving, moving_lung, _) = case.phase(0), case.phase(5)
    options = {'fixed_lung': fixed_lung, 'moving_lung': moving_lung, 'affine': 'none', 'keep_all_stages': True}
    predictions = []
    with open_model('chest') as model:
        for network in model.networks.values():
            record(network, predictions, monkeypatch)
        expected = register(fixed, moving, model, **options).dvf
    inside = sitk.GetArrayFromImage(fixed_lung) != 0
    images = [sitk.Cast(image, sitk.sitkFloat32) for image in (fixed, moving)] + [fixed_lung, moving_lung]
    through_onnx = runner.register(str(chest), *images)
    # Networks in another program round differently, which moves single voxels across the border of a warped mask.
    monkeypatch.setattr(runner, 'predict', lambda *arguments: predictions.pop(0))
    same_networks = runner.register(str(chest), *images)
    by_onnx, same, expected = [
        sitk.GetArrayFromImage(field)[inside] for field in (through_onnx, same_networks, expected)
    ]
    assert np.median(np.linalg.norm(expected, axis=1)) > 1
    assert np.linalg.norm(same - expected, axis=1).max() < 1e-5
    assert np.linalg.norm(by_onnx - expected, axis=1).max() < 0.05


def record(network, predictions, monkeypatch):
    """Keep what a network predicts, there and back."""
    predict = network.predict_both_ways

    def recorded(*arguments):
        ways = predict(*arguments)
        predictions.extend(ways)
        return ways

    monkeypatch.setattr(network, 'predict_both_ways', recorded)


def test_the_runner_imports_nothing_of_the_project():
    with open(RUNNER, encoding='utf-8') as stream:
        imports = [
            node for node in ast.walk(ast.parse(stream.read())) if isinstance(node, (ast.Import, ast.ImportFrom))
        ]
    names = {alias.name for node in imports for alias in node.names}
    assert names == {'json', 'os', 'sys', 'numpy', 'onnxruntime', 'SimpleITK'}


def test_the_runner_refuses_other_grids(runner):
    image = sitk.Image([9, 9, 9], sitk.sitkFloat32)
    coarse = sitk.Image(image)
    coarse.SetSpacing([1.0, 1.0, 2.0])
    for images in ([coarse] * 4, [image, image, image, coarse]):
        with pytest.raises(SystemExit, match='one grid with voxels of 1 mm'):
            runner.register('nowhere', *images)


def test_onnx_holds_its_own_description(chest):
    import onnx

    record = read_json(str(chest / RECORD))
    (properties,) = onnx.load(str(chest / 'stage2.onnx')).metadata_props
    assert json.loads(properties.value) == record['networks']['2'] and properties.key == 'regnet'
    assert record['networks']['2']['margin_mm'] == 8 and record['passes'] == network_set('chest').stages
