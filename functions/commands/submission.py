"""Work as jobs of a scheduler: what each step runs, in how many parts, and what of it is finished."""

import collections
import os
import sys

from ..cluster import jobs
from ..cluster.scheduler import ACTIVE
from ..image.claim import claim_folder
from ..setting import setting_utils as su
from ..setting.code_version import PACKAGE
from ..setting.parts import take_part
from . import options, steps
from .script_settings import merge

#: Options that say how to submit; the jobs are run with the others.
OPTIONS = ('submit', 'status', 'array', 'partition', 'gres', 'time', 'mem')

Extent = collections.namedtuple('Extent', 'done total unit lists')
"""How much of a step is finished; ``lists``: whether each item of its lists of work is."""


def run(script, arguments, result):
    """--submit and --status.

    :param result: dictionary that gets ``jobs``, step -> what is done and the states of its parts.
    """
    setting = steps.checked_setting(script, arguments)
    given = {'cluster_Partition': arguments.partition, 'cluster_queue': arguments.partition}
    given.update(cluster_gres=arguments.gres, cluster_time=arguments.time, cluster_memory=arguments.mem)
    merge(setting, given, keep_none=False)
    folder = setting.get('cluster_Path') or os.path.join(
        arguments.output if arguments.pairs else su.address_generator(setting, 'log_folder'), 'cluster'
    )
    progress = {}
    for step in jobs.STEPS:
        if step in (arguments.submit or jobs.STEPS):
            trains = 'train' in progress and not all(map(all, progress['train'].lists))
            progress[step] = _progress(step, setting, arguments, trains)
    if arguments.submit:
        work = {step: _work(step, progress[step], setting, arguments) for step in progress}
        with claim_folder(folder):  # two at once would submit the same parts
            submitted = jobs.submit(setting, folder, work)
        for step, found in submitted.items():
            print(f'{step}: {len(found)} job(s) submitted: {", ".join(sorted(set(found.values())))}')
    result['jobs'] = _report(setting, folder, progress)


def _progress(step, setting, arguments, trained_anew):
    if step == 'generate':
        from ..artificial_generation.batch import finished_items

        lists = [finished_items(setting, modes, stage) for modes, stage in steps.batches(setting)]
        images = [[False]] if su.missing_originals(setting) else []
        return Extent(sum(map(sum, lists)), sum(map(len, lists)), 'items', lists + images)
    if step == 'train':
        from ..training.checkpoints import Checkpoints

        checkpoints, most = Checkpoints(setting), setting['NetworkTraining']['MaxIterations']
        newest = checkpoints.newest() if checkpoints.steps() and not arguments.fresh else None
        done = 0 if newest is None else min(checkpoints.state(newest)['iteration'], most)
        return Extent(done, most, 'iterations', [[done == most]])
    if step == 'evaluate':
        return Extent(0, 1, 'evaluations', [[False]])
    if arguments.pairs:
        from ..registration.pair_lists import read_pairs
        from ..registration.result_folder import problem_of

        folders = [os.path.join(arguments.output, pair.name) for pair in read_pairs(arguments.pairs)]
        done = [os.path.isdir(folder) and not problem_of(folder) for folder in folders]
    else:
        pairs = steps.testing_pairs(setting)
        waiting = pairs if trained_anew else steps.unregistered(setting, pairs)
        done = [pair not in waiting for pair in pairs]
    return Extent(sum(done), len(done), 'pairs', [done])


def _work(step, progress, setting, arguments):
    """:class:`functions.cluster.jobs.Work` of a step."""
    is_list = step in ('generate', 'register')
    count = min(arguments.array or 1, max([1] + [len(one) for one in progress.lists])) if is_list else 1
    parts = range(1, count + 1)
    unfinished = [k for k in parts if not all(all(take_part(one, (k, count))) for one in progress.lists)]
    return jobs.Work(_command(step, setting, arguments, count), count, unfinished)


def _command(step, setting, arguments, count):
    """Words of the command of a step; PART stands for the number of a part."""
    script = setting.get('MainScript') or os.path.abspath(sys.argv[0])
    if not setting.get('MainScript') and (not script.endswith('.py') or script.endswith('__main__.py')):
        script = None  # the command regnet, or a script that calls it
    venv = setting.get(jobs.find_manager(setting)[1].environment)
    python = os.path.join(os.path.expanduser(venv), 'bin', 'python') if venv else sys.executable
    words = [python, *([script] if script else ['-m', f'{os.path.basename(PACKAGE)}.commands'])]
    more = {'only': step if step in ('train', 'register') and not arguments.pairs else None}
    more['only_generate_image'] = True if step == 'generate' else arguments.only_generate_image
    more['part'] = f'{jobs.PART}/{count}' if count > 1 else None
    more['evaluate'] = [setting['current_experiment']] if step == 'evaluate' else arguments.evaluate
    if step == 'train' and setting.get('force_to_never_generate_image'):
        more['never_generate_image'] = True
    cores = setting.get('cluster_NumberOfCPU', 1)
    more.update(workers=arguments.workers or cores, threads=arguments.threads or cores)
    more.update(dict.fromkeys(OPTIONS))
    return words + options.words_of(dict(vars(arguments), **more))


def _report(setting, folder, progress):
    """Print how far every step is; returns it as a dictionary."""
    record = jobs.read_jobs(folder)
    states = jobs.states_of(record)
    found = {}
    for step, (done, total, unit, lists) in progress.items():
        count = record[step]['count'] if step in record else 1
        parts = {}
        for (of, part), state in states.items():
            if of == step:
                is_done = all(all(take_part(one, (part, count))) for one in lists)
                parts[part] = 'finished' if is_done and state not in ACTIVE else state or 'unfinished'
        found[step] = {'done': done, 'total': total, 'unit': unit, 'parts': parts}
        by_state = {}
        for part, state in sorted(parts.items()):
            by_state.setdefault(state, []).append(str(part))
        words = []
        for state, group in by_state.items():
            words.append(f'{len(group)} {state}' + (f' ({", ".join(group[:20])})' if count > 1 else ''))
        print(f'{step:9} {done} of {total} {unit}; parts: {", ".join(words) or "none submitted"}')
    print(f'Scripts and logs: {folder}')
    return found
