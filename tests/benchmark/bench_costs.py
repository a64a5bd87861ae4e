"""What an item, a training step and a registration cost: seconds, peak memory and disk, by size of the volume, stage
and network. Each is measured in a process of its own. From the repository's folder:

    python -m tests.benchmark.bench_costs [--only items steps pairs] [--threads 2]

The seconds are those of a machine that may have other work to do; the processor's seconds beside them say how much.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

#: Voxels of 1 mm, x y z; the last is that of most chests.
SIZES = ((212, 148, 180), (300, 220, 280))
#: (network, stage, patches of a step, sides z y x): as in the recipes of the bundled set, and a patch of crop4.
STEPS = (
    ('matching', 4, 2, (65, 49, 65)),
    ('matching', 2, 2, (65, 65, 65)),
    ('unet1', 4, 2, (61, 53, 61)),
    ('unet1', 2, 2, (61, 61, 61)),
    ('crop4', 2, 2, (101, 101, 101)),
)
HEADER = '| {} | s | of processors | peak memory GB | {} |\n|---|---|---|---|---|'


def row(name, seconds, processor, more=''):
    """A row of a table; the memory is that of this process."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2.0**20
    print(f'| {name} | {seconds:.2f} | {processor:.2f} | {memory:.2f} | {more} |', flush=True)


def processors():
    """Seconds that processors worked for this process and those it started."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def timed(work):
    """Seconds of the clock and of the processors."""
    wall, processor = time.perf_counter(), processors()
    work()
    return time.perf_counter() - wall, processors() - processor


def item(stage, size, threads, count=3):
    """Generate items of a phantom, one after the other."""
    import SimpleITK as sitk

    from functions.artificial_generation.batch import generate_batch
    from functions.phantom.phantom import make_case
    from functions.setting import setting_utils as su

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    with tempfile.TemporaryDirectory() as folder:
        root = folder + '/'
        setting = su.initialize_setting('Costs', where_to_run='Root')
        setting.update(RootFolder=root, DataFolder=root + 'Data/', log_root_folder=root + 'Experiments/', stage=stage)
        setting.update(verbose=False, Phantom={'Size': list(size)})
        lists = {'TrainingCNList': [1], 'TrainingTypeImList': [0], 'TrainingDSmoothList': list(range(1, count + 1))}
        data = dict(lists, data='Phantom_4D', deform_exp='3D_max20_D14', ValidationCNList=[])
        su.load_setting_from_data_dict(setting, [dict(data, TrainingDeformedImExt=['Clean', 'Sponge', 'Noise'])])
        make_case(setting, 1, (0,))
        first = dict(setting, DataExpDict=[dict(setting['DataExpDict'][0], TrainingDSmoothList=[0])])
        generate_batch(first, ['Training'], n_workers=1)  # makes the down-sampled original too
        before = disk(root)
        seconds = timed(lambda: generate_batch(setting, ['Training'], n_workers=1))
        size_text = ' × '.join(map(str, size))
        used = (disk(root) - before) / count / 1e6
        row(f'item of {size_text}, stage {stage}', *[value / count for value in seconds], f'{used:.1f} MB')


def disk(folder):
    """Bytes of all files below a folder."""
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names)


def step(number, threads):
    """A training step: the shortest of three after two."""
    from functions.setting import setting_utils as su
    from functions.tf_utils.sessions import open_session
    from functions.training.graph import TrainingGraph

    name, stage, count, sides = STEPS[number]
    setting = su.initialize_setting('Costs', where_to_run='Root')
    setting.update(NetworkDesign=name, stage=stage, NetworkTraining={}, normalization=None)
    graph = TrainingGraph(setting)
    out = [graph.description.output_size(side) for side in sides]
    rng = np.random.RandomState(0)
    feed = {
        graph.images: rng.uniform(-1000, 0, (count,) + tuple(sides) + (graph.description.input_channels,)),
        graph.dvf: rng.normal(size=(count,) + tuple(out) + (3,)),
        graph.weight: np.ones((count,) + tuple(out) + (1,)),
        graph.learning_rate: 1e-3,
    }
    session = open_session(graph.graph, threads)
    session.run(graph.initialise)
    turns = [timed(lambda: session.run(graph.fetch_train, feed)) for _ in range(5)]
    text = ' × '.join(map(str, sides))
    row(f'step of `{name}`, {count} of {text}', *min(turns[2:]), f'{np.prod(out) * count / 1000:.0f} thousand')


def pair(size, threads):
    """Register a phantom by the bundled set, after another one: files are open and graphs are made."""
    from functions.registration import open_model, register
    from tests.benchmark.bench_registration import make_pair

    with tempfile.TemporaryDirectory() as folder:
        paths, found = make_pair(folder, size), []
        with open_model('chest', threads=threads) as model:
            run = [lambda: found.append(register(paths['fixed'], paths['moving'], model, threads=threads))] * 2
            seconds = [timed(each) for each in run][-1]
        parts = ', '.join(f'{step} {value:.0f}' for step, value in found[-1].seconds.items() if value >= 0.5)
        row('pair of ' + ' × '.join(map(str, size)), *seconds, parts)


def main():
    """Print the tables, or with ``--one`` a row."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--only', nargs='+', choices=['items', 'steps', 'pairs'], default=['items', 'steps', 'pairs'])
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--one', nargs='+', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        kind, *numbers = arguments.one
        numbers = [int(number) for number in numbers]
        work = {'items': lambda: item(numbers[0], SIZES[numbers[1]], arguments.threads)}
        work['steps'] = lambda: step(numbers[0], arguments.threads)
        work['pairs'] = lambda: pair(SIZES[numbers[0]], arguments.threads)
        work[kind]()
        return
    rows = {'items': [(stage, size) for size in range(len(SIZES)) for stage in (1, 2, 4)]}
    rows['steps'] = [(number,) for number in range(len(STEPS))]
    rows['pairs'] = [(size,) for size in range(len(SIZES))]
    titles = {'items': ('artificial item, in a row', 'disk'), 'steps': ('training', 'voxels learned from')}
    titles['pairs'] = ('registration', 'its steps, s')
    for kind in arguments.only:
        print(HEADER.format(*titles[kind]), flush=True)
        for numbers in rows[kind]:
            words = [sys.executable, '-m', 'tests.benchmark.bench_costs', '--threads', str(arguments.threads), '--one']
            subprocess.run(words + [kind, *map(str, numbers)], check=True, stderr=subprocess.DEVNULL)
        print()


if __name__ == '__main__':
    main()
