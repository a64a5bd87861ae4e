"""Commands that are killed, find no room, no right or no folder: the same command completes as if undisturbed.

Each is also run several times at once.
"""

import json
import os
import re
import select
import shutil

import pytest
import small_training
from command_server import PATIENCE_S
from small_commands import (
    GENERATE,
    ITEMS,
    PREPARE,
    Scenario,
    copy_of,
    left_behind,
    main_words,
    moments,
    pairs_words,
    small_run,
)
from small_inputs import register_words, tree

pytestmark = pytest.mark.once

PAIRS = [{'data': 'Phantom_4D', 'TestingCNList': [1], 'TestingPairList': [[0, 5]]}]


@pytest.fixture
def fixtures(tmp_path, server, faults, is_long):
    """What a :class:`small_commands.Scenario` needs."""
    return tmp_path, server, faults, is_long


def test_register(fixtures, inputs):
    scenario = Scenario(fixtures, lambda folder: register_words(inputs, f'{folder}/out'))
    scenario.kills(2)
    scenario.refusals('out')


def test_pairs(fixtures, inputs):
    def found(folder):
        content = tree(folder)
        content['cohort/pairs.json'] = content['cohort/pairs.json'].replace('"was done"', '"done"')
        return content

    def words(folder):
        return pairs_words(inputs, folder, ['a', 'b'], '--keep_all_stages')

    scenario = Scenario(fixtures, words, found=found, errors=None)
    scenario.kills(1)
    scenario.refusals()


def test_prepare(fixtures):
    scenario = Scenario(fixtures, lambda folder: PREPARE, small_run)
    scenario.kills(2)
    scenario.refusals('Data')
    scenario.together(8)


def test_generate(fixtures, patient):
    scenario = Scenario(fixtures, lambda folder: GENERATE, copy_of(patient, DataExpDict=ITEMS))
    scenario.kills(2)
    scenario.refusals('Elastix')
    for number in (2, 8):
        printed = ''.join(scenario.together(number))
        assert sum(map(int, re.findall(r'Artificial generation: (\d+) made', printed))) == 2


def test_train(fixtures, is_long):
    def found(folder):
        return small_training.outcome(folder, 'tiny')

    words, target = (lambda folder: [folder, 'tiny']), 'small_training:main'
    scenario = Scenario(fixtures, words, target=target, found=found)
    scenario.kills(1)
    scenario.refusals('Experiments/RegNet/tiny')
    scenario.together(8 if is_long else 2)


def test_export(fixtures, inputs):
    model = os.path.join(inputs, 'Experiments', 'RegNet', 'tiny')
    scenario = Scenario(fixtures, lambda folder: [model, f'{folder}/exported'], target='small_inputs:export_to')
    scenario.kills(1)
    scenario.refusals()


def test_evaluate(fixtures, server, inputs, patient, tmp_path_factory, is_long):
    """References by elastix, measures, tables and a page of an experiment."""
    experiment = str(tmp_path_factory.mktemp('experiment') / 'run')
    settings = {'DataExpDict': PAIRS, 'current_experiment': 'mine'}
    copy_of(patient, **settings)(experiment)
    model = os.path.join(inputs, 'Experiments', 'RegNet', 'tiny')
    command = server.start(main_words('--model', model), cwd=experiment)
    assert command.wait() == 0, command.printed()

    def found(folder):
        content = {name: name.endswith('.log') or what for name, what in tree(folder).items()}
        for name in content:
            if '/records/' in name:
                content[name] = dict(json.loads(content[name])[0], made_from=None)  # times of files
        return content

    words = main_words('--evaluate', 'mine', '--references', 'affine', '--report', '--workers', '1')
    how = {'target': 'small_commands:main_at_once', 'found': found}
    scenario = Scenario(fixtures, lambda folder: words, copy_of(experiment, **settings), **how)
    scenario.kills(1)
    scenario.refusals('Experiments/RegNet/mine/Results/Evaluation')
    if is_long:
        scenario.together(8)


def test_the_move_of_overwrite(tmp_path, server, inputs, undisturbed, faults, is_long):
    """Old or new results are whole after every kill, and --apply uses them."""
    other = tmp_path / 'other'
    assert server.start(register_words(inputs, other, '--inverse', '--isotropic')).wait() == 0
    old = tree(other)
    scan = os.path.join(inputs, 'moving.nii.gz')
    command = server.start(register_words(inputs, tmp_path / 'count', '--overwrite'))
    assert command.wait() == 0
    for step in moments(command.steps() + 4, 5, is_long, command.steps() - 10):
        output = tmp_path / f'killed{step}'
        shutil.copytree(str(other), str(output), copy_function=shutil.copy2)
        words = register_words(inputs, output, '--overwrite')
        with faults('SIGKILL inside the move of --overwrite'):
            assert server.start(words, kill_at=step).wait() in (-9, 0)
            left = {name: what for name, what in tree(output, output).items() if not name.startswith('.results')}
            new = {name.replace('.whole/', ''): what for name, what in left.items()}
            is_old = {name: left.get(name) for name in old} == old
            assert is_old or {name: new.get(name) for name in undisturbed} == undisturbed
            applied = server.start(['--apply', str(output), '--image', scan, '--output', f'{tmp_path}/{step}.mha'])
            assert applied.wait() == 0, applied.printed()
            assert server.start(words).wait() == 0
            assert tree(output) == undisturbed
        shutil.rmtree(str(output))


def test_workers_end_with_their_parent(tmp_path, server, faults):
    """Only the parent is killed, while its two workers are at work."""
    small_run(str(tmp_path))
    words = main_words('--prepare', 'Phantom_4D', '--cases', '1', '2', '--workers', '2')
    pipe = str(tmp_path / 'pipe')
    os.mkfifo(pipe)
    said = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    def hear():
        """The next letter; none once all workers have ended."""
        assert select.select([said], [], [], PATIENCE_S)[0], command.printed()
        return os.read(said, 1)

    command = server.start([pipe, *words], target='small_commands:main_until_files', cwd=str(tmp_path))
    assert hear() + hear() == b'xx'
    with faults('SIGKILL of the parent alone'):
        command.kill()
        assert hear() == b''
        os.close(said)
        again = server.start(words, cwd=str(tmp_path))
        assert again.wait() == 0, again.printed()
        assert not left_behind(tmp_path)
