"""A batch divided among two devices, here logical CPUs, against the whole batch on one."""

import functools
from types import SimpleNamespace

import numpy as np
import pytest
from training_fakes import losses, run

from functions.setting.checks import find_problems
from functions.setting.errors import InputError
from functions.tf_utils import sessions
from functions.tf_utils.backend import tf
from functions.training import graph
from functions.training.checkpoints import Checkpoints


@pytest.fixture(autouse=True)
def two_devices(monkeypatch):
    monkeypatch.setattr(graph, 'gpu_names', lambda: ['/cpu:0', '/cpu:1'])
    two = functools.partial(tf.ConfigProto, device_count={'CPU': 2})
    monkeypatch.setattr(sessions.tf, 'ConfigProto', two)


def make_batch(samples):
    """Samples of unequal weight, the second half of other brightness; some voxels have no weight."""
    random = np.random.RandomState(3)
    images = random.uniform(-900, -500, (samples, 21, 21, 21, 2)) + 500 * (np.arange(samples) >= samples // 2).reshape(
        -1, 1, 1, 1, 1
    )
    dvf = random.normal(0, 2, (samples, 21, 21, 21, 3))
    weight = random.uniform(0, 1, (samples, 21, 21, 21, 1)) * (1 + np.arange(samples)).reshape(-1, 1, 1, 1, 1)
    weight[weight < 0.2] = 0
    return SimpleNamespace(images=images, dvf=dvf, weight=weight)


def traced_step(session, built, batch, frozen):
    """One step from the initial weights: its values, name -> variable afterwards, device -> names of operations."""
    session.run(built.initialise)
    options, traced = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), tf.RunMetadata()
    values = session.run(built.fetch_train, built.feed(batch, 1e-3, frozen), options, traced)
    values.pop('update')
    with built.graph.as_default():
        variables = {v.op.name: v for v in tf.global_variables()}
    stats = traced.step_stats.dev_stats
    placed = {one.device[-5:]: {node.node_name for node in one.node_stats} for one in stats}
    return values, session.run(variables), placed


def test_gradient_and_statistics(setting):
    """The gradient is that of the whole batch; stored statistics follow the part of the first device."""
    setting['NetworkTraining'].update(FreezeStatistics=0)
    one, two = graph.TrainingGraph(setting), graph.TrainingGraph(dict(setting, NumberOfGPU=2))
    batch = make_batch(4)
    three, half = [SimpleNamespace(**{name: array[:n] for name, array in vars(batch).items()}) for n in (3, 2)]
    with sessions.open_session(one.graph, 1) as alone, sessions.open_session(two.graph, 1) as together:
        for samples in (batch, three):
            expected, of_one, _ = traced_step(alone, one, samples, True)
            values, of_two, placed = traced_step(together, two, samples, True)
            assert set(of_one) == set(of_two)
            # After the first step Adam's first moment is a tenth of the gradient.
            gradients = [name for name in of_one if name.endswith('/Adam')]
            assert len(gradients) >= 10 and all(of_one[name].any() for name in gradients if 'kernel' in name)
            for name in gradients:
                rounding = 1e-5 * np.abs(of_one[name]).max()
                np.testing.assert_allclose(of_two[name], of_one[name], 1e-3, rounding, err_msg=name)
            for name in expected:
                np.testing.assert_allclose(values[name], expected[name], rtol=1e-4, err_msg=name)
        for device in ('CPU:0', 'CPU:1'):
            backward = {name.startswith('gradients') for name in placed[device] if 'Conv3D' in name}
            assert backward == {True, False}, sorted(placed[device])
        moved, first, whole = [
            traced_step(session, built, samples, False)[1]
            for session, built, samples in ((together, two, batch), (alone, one, half), (alone, one, batch))
        ]
    statistics = [name for name in first if 'R1/first' in name and 'moving_' in name]
    assert len(statistics) == 2
    for name in statistics:
        np.testing.assert_allclose(moved[name], first[name], rtol=1e-3, atol=1e-6)
        assert np.abs(moved[name] - whole[name]).max() > 30 * np.abs(moved[name] - first[name]).max()


def test_a_training_on_two_devices_goes_on_on_one(setting):
    # The second batch of every chunk of three samples has one.
    setting['NetworkTraining'].update(NumberOfImagesPerChunk=1, ValidationInterval=10)
    for entry in setting['DataExpDict']:
        entry['ValidationCNList'] = []
    run(dict(setting, NumberOfGPU=2), 3)
    names = {name for name, _ in tf.train.list_variables(Checkpoints(setting).path('Last'))}
    assert run(setting, 4).iteration == 4
    assert list(losses(setting)) == [1, 2, 3, 4]
    assert {name for name, _ in tf.train.list_variables(Checkpoints(setting).path('Last'))} == names


def test_devices_and_batches_that_cannot_be(setting):
    with pytest.raises(InputError, match='^NumberOfGPU is 3, but TensorFlow sees 2 here.$'):
        graph.TrainingGraph(dict(setting, NumberOfGPU=3))
    setting['Phantom']['Size'] = [64, 64, 64]
    setting.update(NumberOfGPU=2)
    assert find_problems(setting) == []
    setting['NetworkTraining']['BatchSize'] = 3
    assert find_problems(setting) == ['NetworkTraining: BatchSize 3 must be a multiple of NumberOfGPU, 2.']
    # A job that only registers has its GPUs too.
    for entry in setting['DataExpDict']:
        for key in [key for key in entry if key.startswith('Training')]:
            del entry[key]
    assert find_problems(setting) == []
