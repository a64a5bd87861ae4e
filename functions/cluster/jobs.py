"""Jobs of an experiment: their scripts and the record of what was submitted lie beside its results.

A step of the work is divided into parts, of which part K of N is a task of an array job. What is finished is known from
the results themselves, so a part that is neither finished nor in the queue is submitted again, and no other.
"""

import collections
import os
import shlex
import shutil

from ..setting.atomic import write_json, write_text
from ..setting.code_version import BESIDE, INSTALLED
from ..setting.errors import InUseError, MissingFileError
from ..setting.kinds import TEXT, choice, having, mapping_of, optional, whole
from ..setting.operating_system import receive
from ..setting.signals import Signals
from ..setting.text_files import read_record
from .scheduler import ACTIVE
from .slurm import SLURM
from .sungrid import SUNGRID

MANAGERS = {'SLURM': SLURM, 'OGE': SUNGRID}
#: In the order in which they need each other.
STEPS = ('generate', 'train', 'register', 'evaluate')
RECORD = 'jobs.json'
_RECORDED = optional(having(manager=choice(*MANAGERS), count=whole(1), jobs=mapping_of(TEXT)))

Work = collections.namedtuple('Work', 'words count unfinished')
"""Of a step: ``words`` of its command, in which PART stands for the number of a part; ``count`` of its parts;
numbers of the ``unfinished`` ones."""
PART = '{number of the part}'


def find_manager(setting):
    """(name, :class:`functions.cluster.scheduler.Scheduler`): that of the setting ``cluster_manager``, else what
    is on the PATH.

    :raises MissingFileError: there is none.
    """
    names = [name for name in MANAGERS if setting.get('cluster_manager', name) == name]
    for name in names:
        if shutil.which(MANAGERS[name].program):
            return name, MANAGERS[name]
    wanted = ' or '.join(f'{MANAGERS[name].program} ({name})' for name in names)
    raise MissingFileError(f'No scheduler is on the PATH: {wanted} is needed to submit jobs and to see their state.')


def read_jobs(folder):
    """The record of what was submitted: step -> {'manager', 'count', 'jobs': part (text) -> job}."""
    path = os.path.join(folder, RECORD)
    return read_record(path, dict.fromkeys(STEPS, _RECORDED)) if os.path.isfile(path) else {}


def states_of(record):
    """(step, part) -> state of what the record lists, None where its scheduler has forgotten it."""
    found = {}
    for name, manager in MANAGERS.items():
        entries = {step: entry['jobs'] for step, entry in record.items() if entry['manager'] == name}
        states = manager.states({job for jobs in entries.values() for job in jobs.values()}) if entries else {}
        for step, jobs in entries.items():
            found.update({(step, int(part)): states.get((job, int(part))) for part, job in jobs.items()})
    return found


def submit(setting, folder, work):
    """Submit the parts that are neither finished nor in the queue, each step after the one before it.

    :param folder: of scripts, logs and record.
    :param work: dictionary step -> :class:`Work`.
    :return: step -> {part: job} of what was submitted.
    :raises InUseError: a step is in the queue of another scheduler, or in another number of parts.
    """
    name, manager = find_manager(setting)
    os.makedirs(folder, exist_ok=True)
    record, submitted, after = read_jobs(folder), {}, []
    states, active = states_of(record), dict.fromkeys(STEPS, {})
    for step, entry in record.items():
        active[step] = {int(part): job for part, job in entry['jobs'].items() if states[step, int(part)] in ACTIVE}
        count = work[step].count if step in work else entry['count']
        if active[step] and (entry['manager'], entry['count']) != (name, count):
            queue = f'{step} is in the queue of {entry["manager"]} in {entry["count"]} parts'
            listed = ', '.join(sorted(set(active[step].values())))
            raise InUseError(f'{queue} ({listed}); wait, or cancel these jobs.')
    for step in STEPS:
        before, after = after, [(job, part) for part, job in sorted(active[step].items())] or after
        if step not in work:
            continue
        words, count, unfinished = work[step]
        parts = [part for part in unfinished if part not in active[step]]
        if not parts:
            continue
        script = os.path.join(folder, f'{step}.sh')
        write_text(script, script_text(setting, manager, step, words, count, folder))
        submitted[step] = {}
        with Signals() as signals:  # a job that is submitted is recorded too
            for found in manager.submit(script, parts, count, before):
                submitted[step].update(found)
                jobs = {str(part): job for part, job in {**active[step], **submitted[step]}.items()}
                record[step] = {'manager': name, 'count': count, 'jobs': jobs}
                write_json(os.path.join(folder, RECORD), record)
                if signals.received:
                    break
        if signals.received:
            receive(signals.received)
        whole_jobs = [(job, None) for job in sorted(set(submitted[step].values()))]
        after = [(job, part) for part, job in sorted(active[step].items())] + whole_jobs
    return submitted


def script_text(setting, manager, step, words, count, folder):
    """The script of a step, for all of its parts."""
    quoted = [f'"{word.replace(PART, manager.part)}"' if PART in word else shlex.quote(word) for word in words]
    log = os.path.join(os.path.abspath(folder), step)
    directives = manager.directives(setting, log, count, step in ('train', 'register'))
    variables = {key: os.environ.get(key) for key in ('REGNET_ROOT', 'REGNET_DATA')}
    variables['PYTHONPATH'] = None if INSTALLED else BESIDE
    lines = ['#!/bin/bash', f'# RegNet: {step}' + f', in {count} parts' * (count > 1)]
    lines += [f'{manager.prefix} {option}' for option in directives]
    lines += [f'export {key}={shlex.quote(value)}' for key, value in variables.items() if value]
    lines += [f'cd {shlex.quote(os.getcwd())} || exit 1', ' '.join(quoted) + ' &', *_WAIT]
    lines += ['# 138: ended by the warning before the time limit; the job goes on later from what is finished.']
    lines += ['if [ $code = 138 ]; then', *('    ' + line for line in manager.go_on), 'fi', 'exit $code', '']
    return '\n'.join(lines)


_WAIT = [
    'work=$!',
    "trap 'kill -USR1 $work' USR1",
    "trap 'kill -TERM $work' TERM",
    'while kill -0 $work 2> /dev/null; do wait $work; done',
    'wait $work; code=$?',
]
