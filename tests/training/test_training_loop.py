"""The loop: what it writes, where it begins and where it ends."""

import json
import os

import numpy as np
import pytest
from training_fakes import graph_nodes, log_lines, losses, run, tensorboard

import functions.setting.setting_utils as su
from functions.network.description import NETWORKS
from functions.setting.errors import InputError
from functions.setting.text_files import read_json_lines
from functions.tf_utils.sessions import xla_problem
from functions.training.checkpoints import Checkpoints
from tests.network.small_network import DOWN, LENGTHS

SCALARS = {'loss', 'huber', 'bending_energy', 'error_mm', 'error_mm_0-2'}
IMAGES = {'Fixed_Images', 'Moving_Images'} | {
    kind + letter for kind in ('GroundTruth_', 'RegNet_', 'Difference_') for letter in 'XYZ'
}
TRE = {'tre_mm', 'tre_median_mm', 'tre_p95_mm', 'tre_before_mm'}


def test_training_writes_what_a_person_looks_for(setting, caplog):
    caplog.set_level('INFO')
    result = run(setting, 5, draws=True)
    assert result.iteration == 5
    assert Checkpoints(setting).newest() == result.step
    lines = {kind: log_lines(setting, kind) for kind in ('train', 'validation')}
    assert [line['iteration'] for line in lines['train']] == [1, 2, 3, 4, 5]
    assert [line['iteration'] for line in lines['validation']] == [4, 5]
    assert all(np.isfinite(line['error_mm']) and line['gradient_norm'] > 0 for line in lines['train'])
    folder = su.address_generator(setting, 'ModelFolder')
    assert {'log.jsonl', 'log.txt', 'log_im.txt', 'setting0.txt', 'about0.json', 'Saved', 'Plots'} <= set(
        os.listdir(folder)
    )
    assert os.path.getsize(os.path.join(folder, 'Plots', 'training_curve.png')) > 1000
    with open(os.path.join(folder, 'log.txt')) as stream:
        assert 'small: 5,211 parameters, receptive field 15 voxels, sides 2 * k + 1, at least 1' in stream.read()
    with open(os.path.join(folder, 'log_im.txt')) as stream:
        assert 'SemiEpoch=0, Chunk=0, lead-in' in stream.read()
    # TensorBoard holds the numbers of the JSON lines.
    extra = {'train': {'learning_rate', 'queue_fill', 'wait_share', 'gradient_norm', 'semi_epoch'}, 'validation': TRE}
    for kind in lines:
        scalars, images = tensorboard(setting, 'summary_' + kind)
        assert SCALARS | extra[kind] == set(scalars)
        assert images == (IMAGES if kind == 'validation' else set())
        for line in lines[kind]:
            for tag in scalars:
                assert scalars[tag][line['step']] == pytest.approx(line[tag], rel=1e-6)
    last = lines['validation'][-1]
    # Every displacement of the made-up items is below 2 mm, so the only class is the mean of all.
    assert last['error_mm_0-2'] == pytest.approx(last['error_mm'], rel=1e-5)
    assert 0 <= last['tre_before_mm'] <= 2 and last['tre_mm'] > 0


def test_xla_is_refused_without_a_gpu(setting):
    if xla_problem():
        with pytest.raises(InputError, match='XLA is True, but TensorFlow sees no GPU'):
            run(dict(setting, XLA=True), 1)


def test_mixed_precision_trains_the_same_without_a_gpu(setting):
    """To what a processor with 16 bit instructions changes; and it changes nothing else in the process."""
    run(setting, 2)
    plain = losses(setting)
    setting['current_experiment'] = 'other'
    setting['MixedPrecision'] = True
    run(setting, 2)
    assert losses(setting) == pytest.approx(plain, rel=2e-2)
    # And it goes on from its checkpoint.
    run(setting, 3)
    assert sorted(losses(setting)) == [1, 2, 3]
    setting['current_experiment'] = 'afterwards'
    setting['MixedPrecision'] = False
    run(setting, 2)
    assert losses(setting) == plain


def test_tensorboard_shows_the_graph_and_the_feature_maps_of_the_detailed_network_summary(setting):
    setting['DetailedNetworkSummary'] = True
    result = run(setting, 1)
    scopes = {name.split('/')[0] for name in graph_nodes(setting)}
    assert {'InputImages', 'R1', 'R2', 'DVF', 'validation', 'loss'} <= scopes
    _, images = tensorboard(setting, 'summary_validation')
    maps = {name.split('DetailedSummary/')[1] for name in images - IMAGES}
    assert {name.split('/image')[0] for name in maps} >= {'R1/first', 'R2/b', 'DVF/DVF_RegNet'}
    assert {f'R2/strided/image/{channel}' for channel in range(8)} <= maps
    assert 'DVF/DVF_RegNet/image/2' in maps and 'DVF/DVF_RegNet/image/3' not in maps and result.step


def test_inspecting_the_regularisation_shows_the_pull_of_both_parts_and_changes_nothing(setting):
    run(setting, 3)
    plain = losses(setting)
    setting['current_experiment'] = 'inspected'
    setting['NetworkTraining']['inspecting_regularization_weight'] = True
    run(setting, 3)
    assert losses(setting) == plain
    line = log_lines(setting, 'train')[0]
    assert line['gradient_huber'] > 0 and line['gradient_bending'] > 0
    weight = setting['NetworkTraining']['reg_weight']
    assert line['reg_weight_equal'] == pytest.approx(
        weight * line['gradient_huber'] / line['gradient_bending'], rel=1e-5
    )
    difference = abs(line['gradient_huber'] - line['gradient_bending'])
    assert difference * 0.999 <= line['gradient_norm'] <= line['gradient_huber'] + line['gradient_bending']
    setting['current_experiment'] = 'without'
    setting['NetworkTraining'].update(reg_weight=0.0, VoxelSize=[2, 2, 2])
    run(setting, 1)
    other = log_lines(setting, 'train')[0]
    assert other['gradient_bending'] == 0 and other['gradient_huber'] == pytest.approx(other['gradient_norm'])
    assert other['bending_energy'] == pytest.approx(line['bending_energy'] / 16, rel=1e-4)


def test_checkpoint_without_its_record_does_not_exist(setting):
    run(setting, 4)
    checkpoints = Checkpoints(setting)
    step = checkpoints.newest()
    os.remove(f'{checkpoints.prefix}-{step}.json')
    assert checkpoints.newest() is None
    with pytest.raises(InputError, match='cannot be restored.*json does not exist'):
        checkpoints.path(step)


def test_weights_of_another_experiment_are_the_start(setting):
    first = run(setting, 4)
    setting['current_experiment'] = 'second'
    setting['LoadedNetwork'] = {'NetworkLoad': 'tiny', 'GlobalStepLoad': 'Last'}
    warm = run(setting, 1)
    assert warm.iteration == 1 and first.step
    setting['current_experiment'] = 'third'
    setting['LoadedNetwork'] = None
    run(setting, 1)
    values = {}
    for name in ('second', 'third'):
        setting['current_experiment'] = name
        values[name] = losses(setting)[1]
    setting['current_experiment'] = 'tiny'
    assert values['third'] == losses(setting)[1] != values['second']


def test_a_network_that_predicts_the_middle_of_its_input_trains_too(setting, monkeypatch):
    monkeypatch.setitem(NETWORKS, 'down', DOWN)
    su.load_network_setting(setting, 'down')
    setting.update(Margin=0, Augmentation=True, ClassBalanced=[2])
    setting['NetworkTraining'].update(BatchSize=1)
    setting['NetworkValidation'].update(BatchSize=1)
    run(setting, 1)
    (line,) = log_lines(setting, 'validation')
    assert np.isfinite(line['tre_mm']) and line['tre_before_mm'] <= 2


def test_a_warm_restart_may_go_on_counting(setting):
    setting['ClassBalanced'] = [2]
    setting['NetworkTraining'].update(LearningRate_Decay=0.5, NumberOfImagesPerChunk=6, SamplesPerImage=1)
    run(setting, 8)  # six samples in the lead-in and in every semi-epoch, two a step
    setting['current_experiment'] = 'second'
    setting['LoadedNetwork'] = {'NetworkLoad': 'tiny', 'itr_load': 'Auto', 'semi_epoch_load': 'Auto'}
    assert run(setting, 10).iteration == 10
    lines = log_lines(setting, 'train')
    assert [line['iteration'] for line in lines] == [9, 10] and [line['step'] for line in lines] == [18, 20]
    # Step 8 was in semi-epoch 1; like the published training, the next one begins.
    assert all(line['semi_epoch'] == 2 and line['learning_rate'] == 0.25e-3 for line in lines)


def test_fresh_training_gives_up_what_was_trained_before(setting):
    run(setting, 8)
    result = run(setting, 2, resume=False)
    assert result.iteration == 2
    checkpoints = Checkpoints(setting)
    assert checkpoints.steps() == [checkpoints.newest()]
    assert checkpoints.state(checkpoints.newest())['iteration'] == 2
    assert sorted(losses(setting)) == [1, 2]


@pytest.mark.once
def test_finished_training_started_again_changes_nothing(setting):
    first = run(setting, 4)
    assert run(setting, 3) == first


@pytest.mark.once
@pytest.mark.parametrize('key, value', [('normalization', None), ('DVFUnit', 'mm'), ('InputMask', 'Lung')])
def test_checkpoint_of_another_network_is_refused(setting, key, value):
    run(setting, 2)
    setting[key] = value
    with pytest.raises(InputError, match=f'(?s){key}.*--fresh'):
        run(setting, 4)


@pytest.mark.once
def test_time_limit_reached_before_means_no_further_step(setting):
    setting['NetworkTraining']['MaxHours'] = 1e-9
    first = run(setting, 50)
    assert 0 < first.iteration < 50
    assert run(setting, 50).iteration == first.iteration


def test_log_line_cut_short_is_left_out(tmp_path):
    path = str(tmp_path / 'log.jsonl')
    with open(path, 'w') as stream:
        stream.write(json.dumps({'iteration': 1}) + '\n{"iterat')
    assert read_json_lines(path) == [{'iteration': 1}]


def test_frozen_statistics_are_no_longer_updated_and_are_what_the_validation_sees(setting):
    """With them, a training step and a validation pass are one and the same function of a batch."""
    training = setting['NetworkTraining']
    training['FreezeStatistics'] = 0.5
    run(setting, 6)
    plain = dict(losses(setting))
    # The first half is that of a training that freezes at its very end.
    setting['current_experiment'] = 'never'
    training['FreezeStatistics'] = 1
    run(setting, 6)
    never = losses(setting)
    assert [plain[i] for i in (1, 2, 3)] == pytest.approx([never[i] for i in (1, 2, 3)], rel=1e-4)
    assert abs(plain[4] - never[4]) > 1e-3 * never[4]


@pytest.mark.parametrize('frozen', [False, True])
def test_the_stored_statistics_stay_while_they_are_frozen(setting, frozen):
    from functions.tf_utils.sessions import open_session
    from functions.training.graph import TrainingGraph

    setting['NetworkTraining']['FreezeStatistics'] = 0.5
    graph = TrainingGraph(setting)
    statistics = [v for v in graph.model_variables if 'moving_' in v.op.name]
    batch = Batch()
    with open_session(graph.graph, 1) as session:
        session.run(graph.initialise)
        before = session.run(statistics)
        # Without a learning rate nothing else changes: the loss seen by a frozen step is the validation's.
        loss = session.run(graph.fetch_train, graph.feed(batch, 0.0, frozen))['loss']
        after = session.run(statistics)
        if frozen:
            assert loss == pytest.approx(session.run(graph.fetch_validation, graph.feed(batch))['loss'], rel=1e-5)
    assert statistics and all((a == b).all() == frozen for a, b in zip(before, after))


class Batch:
    """Two random pairs of 21 voxels."""

    random = np.random.RandomState(0)
    images = random.normal(-500, 300, (2, 21, 21, 21, 2)).astype(np.float32)
    dvf = random.normal(0, 1, (2, 21, 21, 21, 3)).astype(np.float32)
    weight = np.ones((2, 21, 21, 21, 1), np.float32)


def test_a_network_of_errors_learns_how_long_displacements_are(setting, monkeypatch):
    monkeypatch.setitem(NETWORKS, 'lengths', LENGTHS)
    su.load_network_setting(setting, 'lengths')
    setting['NetworkTraining'].update(LearningRate_Base=0.03, ValidationInterval=60)
    run(setting, 60)
    first, last = log_lines(setting, 'train')[0], log_lines(setting, 'validation')[-1]
    assert last['loss'] < first['loss'] - 0.5 and 'huber' not in last
    # The synthetic pair is judged by lengths: what is expected is nearer to them than zero is.
    assert last['tre_mm'] < last['tre_before_mm'] and last['tre_before_mm'] > 0
    _, images = tensorboard(setting, 'summary_validation')
    assert images == {'Fixed_Images', 'Moving_Images', 'GroundTruth_Error', 'RegNet_Error', 'Difference_Error'}
