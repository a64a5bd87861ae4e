"""Sun Grid Engine: directives of a job script, ``qsub``, and the states of jobs from ``qstat -xml``."""

import os
import re
import shlex

from ..setting.errors import MissingFileError
from . import scheduler


def directives(setting, log, count, has_network):
    """Options of the script, as :func:`functions.cluster.slurm.directives`."""
    # Grid Engine expands its variables in the name of the log.
    log_name = shlex.quote(log + '_$JOB_ID' + '_$TASK_ID' * (count > 1) + '.log')
    options = ['-S /bin/bash', '-j y', '-r y', f'-N regnet_{os.path.basename(log)}', f'-o {log_name}']
    cores, gpus = setting.get('cluster_NumberOfCPU', 1), setting.get('NumberOfGPU')
    if cores > 1:
        options.append(f'-pe smp {cores}')
    if setting.get('cluster_time'):
        limit = scheduler.seconds(setting['cluster_time'])
        # At the soft limit it sends SIGUSR1.
        options.append(f'-l h_rt={limit},s_rt={max(1, limit - scheduler.WARNING_S)}')
    if setting.get('cluster_memory'):
        options.append(f'-l h_vmem={scheduler.memory(setting["cluster_memory"])}')
    named = {'-q': setting.get('cluster_queue')}
    named['-l hostname'] = setting.get('cluster_hostname')
    named['-l'] = (setting.get('cluster_gres') or (gpus and f'gpu={gpus}')) if has_network else None
    options += [f'{name}{"=" if " " in name else " "}{value}' for name, value in named.items() if value]
    return options


def submit(script, parts, count, after):
    """Submit parts of a script, a run of numbers at a time, as :func:`functions.cluster.slurm.submit`.

    :param after: pairs (job, part or None) that must have ended, well or not, before it begins.
    """
    for first, last in _runs(parts) if count > 1 else [(1, 1)]:
        words = ['-terse'] + (['-t', f'{first}-{last}'] if count > 1 else [])
        if after:
            words += ['-hold_jid', ','.join(sorted({job for job, _ in after}))]
        job = scheduler.ask('qsub', *words, script).strip().split('.')[0]
        yield dict.fromkeys(range(first, last + 1), job)


def _runs(parts):
    """First and last of the runs of consecutive numbers."""
    runs = []
    for part in parts:
        if runs and runs[-1][1] == part - 1:
            runs[-1][1] = part
        else:
            runs.append([part, part])
    return runs


def states(jobs):
    """State of the parts of jobs, as :func:`functions.cluster.slurm.states`; jobs that have ended are not listed."""
    del jobs
    try:
        import xmltodict
    except ImportError as error:
        raise MissingFileError('Answers of Grid Engine need the package xmltodict (pip install xmltodict).') from error
    lists = ('queue_info', 'job_info')
    content = xmltodict.parse(scheduler.ask('qstat', '-xml'), force_list=('job_list',))['job_info']
    found = {}
    for job in sum(((content.get(name) or {}).get('job_list', []) for name in lists), []):
        for part in _numbers(job.get('tasks') or '1'):
            found[job['JB_job_number'], part] = _state(job['state'])
    return found


def _numbers(text):
    """Of tasks as '1', '3,5' or '2-8:2'."""
    numbers = []
    for first, last, step in re.findall(r'(\d+)(?:-(\d+):(\d+))?', text):
        numbers += range(int(first), int(last or first) + 1, int(step or 1))
    return numbers


def _state(letters):
    # r running, t starting, R again, d being deleted; E: it cannot be started; q, w, h, s, S, T: it waits.
    return 'error' if 'E' in letters else 'running' if re.search('[rtd]', letters) else 'waiting'


SUNGRID = scheduler.Scheduler('qsub', '#$', '$SGE_TASK_ID', ['exit 99'], 'cluster_venv', directives, submit, states)
