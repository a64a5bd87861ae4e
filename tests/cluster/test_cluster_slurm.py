"""Work handed to a real SLURM on this machine: arrays, kills, requeues, chains, the warning of the time limit."""

import json
import os
import sys
import time

import pytest

from functions.cluster.jobs import STEPS
from functions.cluster.scheduler import ACTIVE

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.append(os.path.join(REPOSITORY, 'tests', 'faults'))

import small_commands  # noqa: E402 - beside the tests of faults
from small_inputs import tree  # noqa: E402

pytestmark = pytest.mark.once

ENTRY = dict(small_commands.TRAINING, data='Phantom_4D', deform_exp='3D_max20_D14_K', TrainingDeformedImExt=['Clean'])
ITEMS = [dict(ENTRY, TrainingDSmoothList=[14 * k + method for k in range(10) for method in (0, 5)])]
CLUSTER = os.path.join('Experiments', 'RegNet', 'phantom_unet1_S4', 'cluster')


class Run:
    """A folder with settings, and the command that submits its work to SLURM."""

    def __init__(self, slurm, folder, entries, **settings):
        self.slurm, self.folder = slurm, str(folder)
        small_commands.small_run(folder, DataExpDict=entries, **settings)

    def command(self, *words, json_line=True):
        words = small_commands.main_words(*words, *['--json'] * json_line)
        code = (
            f'import os, sys; os.chdir({self.folder!r}); import RunRegNet3D; sys.exit(RunRegNet3D.main(sys.argv[1:]))'
        )
        self.slurm.environment['PYTHONPATH'] = REPOSITORY
        printed = self.slurm.run(sys.executable, '-c', code, *words)
        return json.loads(printed.splitlines()[-1]) if json_line else printed

    def submit(self, *words):
        found = self.command('--submit', *words)
        assert found['exit_code'] == 0, found
        return found['jobs']

    def submitted(self, step):
        with open(os.path.join(self.folder, CLUSTER, 'jobs.json')) as stream:
            return json.load(stream)[step]['jobs']

    def states(self):
        """(job, part) -> state and reason."""
        listed = self.slurm.run('squeue', '-h', '-r', '-t', 'all', '-o', '%F|%K|%T|%r').splitlines()
        return {tuple(line.split('|')[:2]): line.split('|')[2] for line in listed}

    def wait(self, happened, what, seconds=90):
        end = time.time() + seconds
        while not happened():
            assert time.time() < end, f'{what}\n{self.states()}\n{self.logs()}\n{self.slurm.logs()}'
            time.sleep(0.1)

    def wait_for_jobs(self):
        waiting = {'PENDING', 'RUNNING', 'CONFIGURING', 'COMPLETING', 'REQUEUED'}
        self.wait(lambda: not waiting & set(self.states().values()), 'jobs do not end')

    def logs(self):
        folder, texts = os.path.join(self.folder, CLUSTER), []
        for name in sorted(os.listdir(folder)):
            if name.endswith('.log'):
                with open(os.path.join(folder, name), errors='replace') as stream:
                    texts.append(f'{name}: {stream.read()[-2000:]}')
        return '\n'.join(texts)


def manifests(folder):
    return [path for path in small_commands.files_below(folder) if os.path.basename(path).startswith('manifest')]


def generated(folder):
    """What lies in a folder apart from the experiment, where a run and its jobs leave their logs."""
    return {name: content for name, content in tree(folder).items() if not name.startswith('Experiments')}


#: The work itself; parts 2 and 3 wait in the middle of their third item, once each.
HELD = """
import os, signal, sys
import RunRegNet3D
from functions.artificial_generation import batch

def held(*arguments, **options):
    calls.append(1)
    place = {path!r} + sys.argv[sys.argv.index('--part') + 1][0]
    if place[-1] in '23' and len(calls) == 3 and not os.path.exists(place):
        open(place, 'w').close()
        signal.pause()
    return produce(*arguments, **options)

calls, produce, batch.produce = [], batch.produce, held
sys.exit(RunRegNet3D.main(sys.argv[1:]))
"""


def test_an_array_that_is_killed_and_requeued_makes_what_a_local_run_makes(slurm, tmp_path):
    script = tmp_path / 'held.py'
    script.write_text(HELD.format(path=str(tmp_path / 'held')))
    local, run = [Run(slurm, tmp_path / name, ITEMS, MainScript=str(script)) for name in ('local', 'on slurm')]
    found = run.submit('generate', '--array', '4')
    assert found['generate']['total'] == 20 and set(found['generate']['parts'].values()) <= set(ACTIVE)
    assert run.submit('generate', '--array', '4') and len(set(run.submitted('generate').values())) == 1
    job = run.submitted('generate')['1']
    run.wait(lambda: all((tmp_path / f'held{part}').exists() for part in '23'), 'parts 2 and 3 do not begin')
    slurm.run('scancel', '--signal=KILL', '--full', f'{job}_3')
    slurm.run('scontrol', 'requeue', f'{job}_2')
    assert local.command('--only_generate_image', '--workers', '1')['error'] is None
    run.wait_for_jobs()
    states = run.states()
    assert [states[job, part] for part in '124'] == ['COMPLETED'] * 3 and states[job, '3'] == 'CANCELLED', run.logs()
    assert 'Restarts=1' in slurm.run('scontrol', 'show', 'job', f'{job}_2')
    # The same command submits what failed, and nothing else.
    found = run.submit('generate', '--array', '4')['generate']
    assert 15 <= found['done'] < 20 and list(found['parts']) == ['3'] and found['parts']['3'] in ACTIVE
    again = run.submitted('generate')
    assert list(again) == ['3'] and again['3'] != job
    run.wait_for_jobs()
    found = run.submit('generate', '--array', '4')['generate']
    assert (found['done'], found['parts']) == (20, {'3': 'finished'}) and run.submitted('generate') == again
    assert generated(run.folder) == generated(local.folder)
    assert len(manifests(run.folder)) >= 20


#: Stands for the work: notes its words, and ends as the file of its step says: with a number, or warned of the limit.
STAND_IN = """
import os, signal, sys, time
words = sys.argv[1:]
step = words[words.index('--only') + 1] if '--only' in words else 'evaluate' if '--evaluate' in words else 'generate'
with open('words', 'a') as stream:
    stream.write(' '.join([step] + words) + '\\n')
print('started', flush=True)
if os.path.exists(step + '.waits'):
    os.remove(step + '.waits')
    time.sleep(60)
sys.exit(os.path.exists(step + '.fails'))
"""


def test_a_chain_ends_with_what_fails_and_goes_on_from_there(slurm, tmp_path):
    pairs = [dict(ENTRY, TrainingDSmoothList=[0], TestingCNList=[2], TestingPairList=[[0, 5]], TestingSpacing='RS1')]
    script = tmp_path / 'stand_in.py'
    script.write_text(STAND_IN)
    run = Run(slurm, tmp_path, pairs, MainScript=str(script), cluster_NumberOfCPU=2)
    for name in ('train.fails', 'generate.waits'):
        (tmp_path / name).write_text('')
    steps = list(STEPS)
    run.submit(*steps, '--time', '10')
    first = {step: run.submitted(step)['1'] for step in steps}
    assert list(map(int, first.values())) == sorted(map(int, first.values()))
    run.wait(lambda: not (tmp_path / 'generate.waits').exists(), 'nothing has started')
    # SLURM warns as it does before the time limit: the job is requeued and runs again.
    slurm.run('scancel', '--batch', '--signal=USR1', first['generate'])
    run.wait_for_jobs()
    states = run.states()
    ended = [states[first[step], 'N/A'] for step in steps]
    assert ended == ['COMPLETED', 'FAILED', 'CANCELLED', 'CANCELLED'], run.logs()
    assert 'Restarts=1' in slurm.run('scontrol', 'show', 'job', first['generate'])
    assert [line.split()[0] for line in (tmp_path / 'words').read_text().splitlines()] == ['generate'] * 2 + ['train']
    (tmp_path / 'train.fails').unlink()
    run.submit(*steps[1:])
    run.wait_for_jobs()
    lines = [line.split() for line in (tmp_path / 'words').read_text().splitlines()[3:]]
    assert [line[0] for line in lines] == steps[1:]
    expected = '--where_to_run Root --setting own.json --only register --workers 2 --threads 2 --json'
    assert ' '.join(lines[1][1:]) == expected
    assert lines[2][-2:] == ['--evaluate', 'phantom_unet1_S4']
    shown = run.command('--status', json_line=False)
    assert 'train     0 of 1200 iterations; parts: 1 completed' in shown


def test_what_slurm_refuses_is_one_sentence(slurm, tmp_path):
    run = Run(slurm, tmp_path, ITEMS)
    found = run.command('--submit', 'generate', '--partition', 'gone')
    assert found['exit_code'] == 2
    expected = 'sbatch refused: sbatch: error: invalid partition specified: gone'
    assert found['error'].startswith(expected) and '\n' not in found['error']
    assert not os.path.exists(os.path.join(run.folder, CLUSTER, 'jobs.json'))
