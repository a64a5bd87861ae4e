"""SLURM: directives of a job script, ``sbatch``, and the states of jobs from ``squeue`` and ``sacct``."""

import getpass
import os
import shlex

from ..setting.errors import RegNetError
from . import scheduler

_RUNNING = ('RUNNING', 'COMPLETING', 'STAGE_OUT', 'SIGNALING')
_WAITING = ('PENDING', 'CONFIGURING', 'REQUEUED', 'REQUEUE_FED', 'REQUEUE_HOLD', 'RESV_DEL_HOLD', 'RESIZING')
_WAITING += ('SUSPENDED', 'STOPPED', 'SPECIAL_EXIT')


def directives(setting, log, count, has_network):
    """Options of the script, one a line.

    :param log: path of the log without its end.
    :param count: parts of the array; 1: no array.
    :param has_network: whether the job trains or registers.
    """
    options = ['output=' + log.replace('%', '%%') + ('_%A_%a.log' if count > 1 else '_%j.log'), 'open-mode=append']
    options += ['requeue', f'cpus-per-task={setting.get("cluster_NumberOfCPU", 1)}']
    if setting.get('cluster_time'):
        scheduler.seconds(setting['cluster_time'])
        options.append(f'time={setting["cluster_time"]}')
    options.append(f'signal=B:USR1@{scheduler.WARNING_S}')
    if count > 1:
        options.append(f'array=1-{count}')
    if setting.get('cluster_memory'):
        options.append(f'mem={scheduler.memory(setting["cluster_memory"])}')
    elif setting.get('cluster_MemPerCPU'):
        options.append(f'mem-per-cpu={scheduler.memory(setting["cluster_MemPerCPU"])}')
    gpus = setting.get('NumberOfGPU')
    gres = setting.get('cluster_gres') or (gpus and f'gpu:{gpus}')
    named = {'partition': setting.get('cluster_Partition'), 'nodelist': setting.get('cluster_NodeList')}
    named['gres'] = gres if has_network else None
    options += [f'{name}={value}' for name, value in named.items() if value]
    options.append('job-name=regnet_' + os.path.basename(log))
    return [shlex.quote('--' + option) for option in options]


def submit(script, parts, count, after):
    """Submit parts of a script; gives a dictionary part -> job for every job.

    :param after: pairs (job, part or None for the whole job) that must end well before it begins.
    """
    words = ['--parsable']
    if count > 1:
        words.append('--array=' + ','.join(map(str, parts)))
    if after:
        jobs = [job if part is None else f'{job}_{part}' for job, part in after]
        words += ['--dependency=afterok:' + ':'.join(jobs), '--kill-on-invalid-dep=yes']
    job = scheduler.ask('sbatch', *words, script).strip().split(';')[0]
    return [dict.fromkeys(parts, job)]


def states(jobs):
    """State of the parts of jobs: (job, part) -> 'waiting', 'running', 'completed', 'failed', ...

    A part of a single job is 1. Jobs that the scheduler has forgotten are not listed.
    """
    found = {}
    lines = scheduler.ask('squeue', '-h', '-r', '-t', 'all', '-u', getpass.getuser(), '-o', '%F|%K|%T').splitlines()
    for job, part, state in (line.split('|') for line in lines):
        found[job, int(part) if part.isdigit() else 1] = _state(state)
    forgotten = sorted(set(jobs) - {job for job, _ in found})
    return {**_from_accounts(forgotten), **found}


def _from_accounts(jobs):
    try:
        listed = scheduler.ask('sacct', '-n', '-X', '-P', '-o', 'JobID,State', '-j', ','.join(jobs)) if jobs else ''
    except RegNetError:  # most small sites keep no accounts
        return {}
    found = {}
    for name, state in (line.split('|') for line in listed.splitlines()):
        job, _, part = name.partition('_')
        if part.isdigit() or not part:
            found[job, int(part or 1)] = _state(state)
    return found


def _state(word):
    word = word.split()[0].rstrip('+')  # 'CANCELLED by 0'
    return 'running' if word in _RUNNING else 'waiting' if word in _WAITING else word.lower()


_GO_ON = ['[ "${SLURM_RESTART_COUNT:-0}" -lt 100 ] && scontrol requeue "$SLURM_JOB_ID"']
SLURM = scheduler.Scheduler(
    'sbatch', '#SBATCH', '$SLURM_ARRAY_TASK_ID', _GO_ON, 'cluster_venv_slurm', directives, submit, states
)
