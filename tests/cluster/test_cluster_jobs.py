"""Job scripts, command lines and what is wrong with them; no scheduler is needed."""

import json
import os
import shutil
import stat
import subprocess

import pytest

import RunRegNet3D
from functions.cluster import jobs, scheduler, slurm, sungrid
from functions.commands import options, regnet
from functions.setting.errors import InputError, InUseError, MissingFileError, RegNetError


def program(folder, name, script):
    """Put a program on the PATH."""
    path = os.path.join(str(folder), name)
    with open(path, 'w') as stream:
        stream.write('#!/bin/sh\n' + script + '\n')
    os.chmod(path, stat.S_IRWXU)


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A folder of programs that alone is the PATH, and an empty folder to work in."""
    programs, here = tmp_path / 'programs', tmp_path / 'here'
    programs.mkdir()
    here.mkdir()
    monkeypatch.setenv('PATH', str(programs))
    monkeypatch.chdir(here)
    return programs


@pytest.mark.parametrize(
    'words, text',
    [
        ('--submit generate', 'No scheduler is on the PATH: sbatch (SLURM) or qsub (OGE) is needed'),
        ('--submit generate --array 0', "'0' is not a whole number from 1"),
        ('--submit generat', "'generat' is no step; accepted: generate, train, register, evaluate. Did you mean"),
        ('--submit train --status', 'give either --status or what to submit: generate'),
        ('--submit train --pairs p.csv --output o', 'of --pairs, only register can be submitted'),
        ('--submit train -w Clutser', "invalid choice: 'Clutser' (choose from"),
        ('--part 1/2', '--part goes with --only_generate_image, --only register or --pairs'),
    ],
)
def test_what_cannot_be_submitted_is_one_sentence(path, capsys, caplog, words, text):
    try:
        code = RunRegNet3D.main(['-w', 'Root', *words.split()])
    except SystemExit as ended:
        code = ended.code
    said = capsys.readouterr().err + ''.join(
        record.getMessage() for record in caplog.records if record.levelname == 'ERROR'
    )
    assert code == 2 and text in said and said.strip().count('\n') == 0
    assert os.listdir('.') == []


@pytest.mark.parametrize('limit, expected', [('90', 5400), ('1:02:03', 3723), ('2-00:00:01', 172801)])
def test_time_limits(limit, expected):
    assert scheduler.seconds(limit) == expected


@pytest.mark.parametrize('limit', ['soon', '0', '1:00', '-5', ''])
def test_time_limits_that_are_none(limit):
    with pytest.raises(InputError, match='accepted: minutes, hours'):
        scheduler.seconds(limit)


def test_directives_come_from_the_settings():
    setting = {'cluster_NumberOfCPU': 6, 'cluster_MemPerCPU': 6200, 'cluster_Partition': 'long', 'NumberOfGPU': 2}
    with_network, without = [slurm.directives(setting, '/l/train', 1, has) for has in (True, False)]
    assert {'--cpus-per-task=6', '--mem-per-cpu=6200M', '--partition=long', '--output=/l/train_%j.log'} <= set(without)
    assert set(with_network) - set(without) == {'--gres=gpu:2'}
    setting.update(cluster_gres='gpu:a100:1', cluster_memory='8G', cluster_time='1-00:00:00', cluster_NodeList='n[1-3]')
    found = slurm.directives(setting, '/100% done/generate', 4, True)
    assert {'--gres=gpu:a100:1', '--mem=8G', '--time=1-00:00:00', "'--nodelist=n[1-3]'", '--array=1-4'} <= set(found)
    assert "'--output=/100%% done/generate_%A_%a.log'" in found and not any('per-cpu' in one for one in found)


def test_the_script_runs_its_part_in_the_folder_and_returns_its_code(tmp_path, monkeypatch):
    here = tmp_path / "it's here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv('REGNET_ROOT', '/all results')
    words = ['sh', '-c', 'echo "$REGNET_ROOT" "$PWD" "$@" > out; exit 7', 'sh', 'a b', f'{jobs.PART}/4']
    text = jobs.script_text({}, slurm.SLURM, 'generate', words, 4, str(tmp_path))
    environment = dict(os.environ, SLURM_ARRAY_TASK_ID='3')
    assert subprocess.run(['bash', '-c', text], env=environment, cwd=str(tmp_path)).returncode == 7
    assert (here / 'out').read_text() == f'/all results {here} a b 3/4\n'


def test_states_of_jobs_that_squeue_has_forgotten_come_from_the_accounts(path):
    program(path, 'squeue', 'echo "7|2|RUNNING"; echo "8|N/A|PENDING"; echo "9|N/A|FAILED"')
    assert slurm.states({'7', '5'}) == {('7', 2): 'running', ('8', 1): 'waiting', ('9', 1): 'failed'}
    program(
        path,
        'sacct',
        '[ "$7" = 5,6 ] && printf "5_1|CANCELLED by 0\\n5_12|COMPLETED\\n5_[13-20]|PENDING\\n6|TIMEOUT\\n"',
    )
    found = slurm.states({'7', '5', '6'})
    assert found['5', 1] == 'cancelled' and found['5', 12] == 'completed' and found['6', 1] == 'timeout'
    assert found['7', 2] == 'running' and len(found) == 6


def test_commands_of_the_scheduler_that_fail(path):
    with pytest.raises(MissingFileError, match='squeue is not on the PATH'):
        slurm.states(set())
    program(path, 'squeue', 'echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1')
    with pytest.raises(RegNetError, match=r'^squeue refused: slurm_load_jobs error: Unable to contact .*controller\.$'):
        slurm.states(set())


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / 'jobs.json').write_text('{"generate": {"manager": "SLURM", "count": 0, "jobs": {}}}')
    with pytest.raises(InputError, match=r'jobs\.json is damaged'):
        jobs.read_jobs(str(tmp_path))


def test_a_scheduler_is_asked_about_its_own_jobs_only(path, tmp_path):
    pytest.importorskip('xmltodict')
    program(path, 'squeue', 'echo "7|N/A|RUNNING"; echo "8|N/A|FAILED"')
    content = ''.join(f'<job_list><JB_job_number>{job}</JB_job_number><state>qw</state></job_list>' for job in (7, 8))
    program(path, 'qstat', f'echo "<job_info><queue_info>{content}</queue_info><job_info/></job_info>"')
    program(path, 'qsub', 'echo 9')
    record = {
        'generate': {'manager': 'OGE', 'count': 1, 'jobs': {'1': '8'}},
        'train': {'manager': 'SLURM', 'count': 1, 'jobs': {'1': '7'}},
        'evaluate': {'manager': 'SLURM', 'count': 1, 'jobs': {'1': '8'}},
    }
    assert jobs.states_of(record) == {('generate', 1): 'waiting', ('train', 1): 'running', ('evaluate', 1): 'failed'}
    (tmp_path / 'jobs.json').write_text(json.dumps(record))
    work = {'register': jobs.Work(['echo'], 1, [1])}
    with pytest.raises(InUseError, match=r'train is in the queue of SLURM in 1 parts \(7\); wait, or cancel'):
        jobs.submit({'cluster_manager': 'OGE'}, str(tmp_path), work)
    assert jobs.read_jobs(str(tmp_path)) == record
    # Of jobs that were never submitted no scheduler is asked.
    os.remove(str(path / 'squeue'))
    assert jobs.states_of({'generate': record['generate']}) == {('generate', 1): 'waiting'}


@pytest.mark.parametrize(
    'second, error', [('echo "no more jobs" >&2; exit 1', RegNetError), ('kill -INT $PPID; echo 12', KeyboardInterrupt)]
)
def test_what_was_submitted_is_recorded_however_the_submission_ends(path, tmp_path, second, error):
    program(path, 'qsub', f'echo >> calls; case "$*" in *1-2*) echo 11;; *5-5*) {second};; *) echo 13;; esac')
    work = {'generate': jobs.Work(['echo'], 8, [1, 2, 5, 7]), 'train': jobs.Work(['echo'], 1, [1])}
    with pytest.raises(error):
        jobs.submit({'cluster_manager': 'OGE'}, str(tmp_path), work)
    submitted = {'1': '11', '2': '11', **({'5': '12'} if error is KeyboardInterrupt else {})}
    expected = {'generate': {'manager': 'OGE', 'count': 8, 'jobs': submitted}}
    assert jobs.read_jobs(str(tmp_path)) == expected
    with open('calls') as calls:
        assert len(calls.readlines()) == 2


@pytest.mark.parametrize(
    'words',
    [
        '--setting my.json --experiment e --stage 2 --network unet1 --fresh -w Root',
        '--pairs a.csv --output o --model m n --stages 4 4 2 --inverse --part 2/8 --export dicom learn2reg',
        '--evaluate a b --references --report --workers 3',
        '-g --part 1/2',
        '-g False --memory 1.5 --max_hours 0.5',
    ],
)
def test_jobs_get_the_options_of_the_command_line(words):
    given = options.parse_arguments(words.split())
    again = options.parse_arguments(options.words_of(vars(given)))
    assert vars(again) == vars(given)


def test_regnet_submit_is_the_option_of_the_script():
    more = '--array 8 --partition long --setting s.json --max_iterations 5'
    found = regnet.parse_arguments(f'submit generate train {more}'.split())
    assert vars(found) == vars(options.parse_arguments(f'--submit generate train {more}'.split()))
    assert regnet.parse_arguments(['submit', '--status']).status
    with pytest.raises(SystemExit):
        regnet.parse_arguments(['submit'])


RECORDED = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'qstat')
RUNNING, WAITING = [{('10', 1): 'running'}, {('11', 1): 'waiting'}]
ARRAY = {('12', part): 'running' if part < 4 else 'waiting' for part in range(1, 7)}


@pytest.mark.parametrize(
    'name, expected',
    [('none', {}), ('running', RUNNING), ('pending', {**RUNNING, **WAITING}), ('many', {**WAITING, **ARRAY})],
)
def test_states_on_grid_engine(path, name, expected):
    """What Grid Engine 8.1.9 answered: no job, one running, one more held back, and an array half of which runs."""
    pytest.importorskip('xmltodict')
    program(path, 'qstat', f"[ $1 = -xml ] && /bin/cat '{os.path.join(RECORDED, name)}.xml'")
    assert sungrid.states(set()) == expected


def test_states_of_tasks_that_are_listed_or_cannot_start(path):
    pytest.importorskip('xmltodict')
    job = '<job_list><JB_job_number>{}</JB_job_number><state>{}</state><tasks>{}</tasks></job_list>'
    lists = job.format(3, 'Eqw', '2') + job.format(4, 'hqw', '1,5,8-12:2')
    program(path, 'qstat', f'echo "<job_info><queue_info/><job_info>{lists}</job_info></job_info>"')
    waiting = {('4', part): 'waiting' for part in (1, 5, 8, 10, 12)}
    assert sungrid.states(set()) == {('3', 2): 'error', **waiting}


def test_parts_on_grid_engine_are_submitted_as_runs_of_numbers(path):
    program(path, 'qsub', 'echo "$@" >> words; echo "1$(wc -l < words).x"')
    os.symlink(shutil.which('wc', path='/usr/bin:/bin'), str(path / 'wc'))
    jobs_of_runs = list(sungrid.submit('a.sh', [1, 2, 5], 8, [('7', 1), ('7', 2), ('9', None)]))
    assert jobs_of_runs == [{1: '11', 2: '11'}, {5: '12'}]
    assert list(sungrid.submit('a.sh', [1], 1, [])) == [{1: '13'}]
    with open('words') as stream:
        assert stream.read().splitlines() == [
            '-terse -t 1-2 -hold_jid 7,9 a.sh',
            '-terse -t 5-5 -hold_jid 7,9 a.sh',
            '-terse a.sh',
        ]


def test_directives_of_grid_engine_come_from_the_same_settings():
    setting = {'cluster_NumberOfCPU': 6, 'cluster_memory': 6200, 'cluster_queue': 'long', 'cluster_time': '1:00:00'}
    found = sungrid.directives(setting, '/a b/train', 1, True)
    assert {'-pe smp 6', '-l h_vmem=6200M', '-q long', '-l h_rt=3600,s_rt=3480', "-o '/a b/train_$JOB_ID.log'"} <= set(
        found
    )
    setting.update(cluster_hostname='node1', NumberOfGPU=2)
    more = sungrid.directives(setting, '/a b/train', 1, True)
    assert set(more) - set(found) == {'-l hostname=node1', '-l gpu=2'}
