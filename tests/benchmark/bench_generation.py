"""Cost of artificial generation in yardsticks, on one thread.

The yardstick is one ``sitk.Resample`` of the same int16 image with B-spline interpolation by a DVF of the
same size. All numbers are ratios of one run. From the repository's folder:

    python -m tests.benchmark.bench_generation [--size 200] [--only zero,mixed_frequency]
    python -m tests.benchmark.bench_generation --throughput 16 [--size 200]

The throughput is that of whole calls of ``generate_batch``, from an empty folder to the finished report: the
start of the worker processes and the last item, during which one of two workers has nothing to do, are in it.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

ENVIRONMENT = dict.fromkeys(
    ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', 'ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS'), '1'
)
ENVIRONMENT['MALLOC_MMAP_THRESHOLD_'] = '1048576'  # as in the workers of a batch
INFO = {'data': 'Phantom_4D', 'type_im': 0, 'cn': 1, 'deform_exp': '3D_max7_D14_K', 'stage': 1}
INFO['deformed_im_ext'] = ['Clean', 'Sponge', 'Noise']
CASES = [('respiratory_motion', 0), ('single_frequency', 6), ('mixed_frequency', 9), ('zero', 13)]


def make_image(size):
    """Image, lung and torso of a textured thorax, size^3 at 1 mm."""
    shape = (size,) * 3
    z, y, x = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in shape)]
    torso = (x / 0.92) ** 2 + (y / 0.85) ** 2 + 0 * z < 1
    lung = np.zeros(shape, bool)
    for side in (-1, 1):
        lung |= ((x - side * 0.4) / 0.32) ** 2 + (y / 0.6) ** 2 + ((z - 0.05) / 0.85) ** 2 < 1
    texture = ndimage.gaussian_filter(np.random.RandomState(1).normal(size=shape).astype(np.float32), 1.2)
    im = np.where(torso, 40, -1000).astype(np.float32)
    im[lung] = np.where(texture[lung] > 1.6 * texture.std(), 20, -820)
    im = ndimage.gaussian_filter(im, 0.6)
    im[torso] += 8 * np.random.RandomState(2).normal(size=int(torso.sum()))
    return np.rint(im).astype(np.int16), lung.astype(np.uint8), torso.astype(np.uint8)


def make_setting(root, size):
    """Setting with one case of that image in a temporary folder."""
    from functions.setting import setting_utils as su

    setting = su.initialize_setting('Benchmark', where_to_run='Root')
    setting.update(RootFolder=root, DataFolder=root + 'Data/', log_root_folder=root + 'Experiments/', stage=1)
    su.load_setting_from_data_dict(setting, [{'data': 'Phantom_4D', 'deform_exp': '3D_max7_D14_K'}])
    for request, array in zip(('OriginalIm', 'OriginalLung', 'OriginalTorso'), make_image(size)):
        path = su.address_generator(setting, request, data='Phantom_4D', cn=1, stage=1)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        sitk.WriteImage(sitk.GetImageFromArray(array), path)
    return setting


def timed(function, repeats=3):
    """Shortest (processor, wall) times of a few runs, s. The first is what a busy machine hardly changes."""
    times = []
    for _ in range(repeats):
        start = time.process_time(), time.time()
        function()
        times.append((time.process_time() - start[0], time.time() - start[1]))
    return tuple(min(column) for column in zip(*times))


def show(name, seconds, yardstick, limit=None):
    """Print one line of the table."""
    cpu, wall = seconds[0] / yardstick[0], seconds[1] / yardstick[1]
    print(f'{name:42s} {cpu:6.2f} {wall:6.2f} ' + ('' if limit is None else f'at most {limit}'), flush=True)


def measure(size, only):
    """Print the table for this process; returns nothing."""
    from functions.artificial_generation import mixed_frequency
    from functions.artificial_generation.bspline_field import random_field
    from functions.artificial_generation.categories import CategoryInputs
    from functions.artificial_generation.training_item import get_item

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    root = tempfile.mkdtemp() + '/'
    try:
        setting = make_setting(root, size)
        options = dict(setting['deform_exp']['3D_max7_D14_K'], deform_number=0, stage=1, dvf_pad=0)
        arrays = make_image(size)
        image = sitk.GetImageFromArray(arrays[0])
        field, _ = random_field(np.random.RandomState(0), arrays[0].shape, (1.0,) * 3, 45, 7.0)
        vectors = np.moveaxis(field, 0, -1).astype(float, order='C')
        dvf = sitk.GetImageFromArray(vectors, isVector=True)
        transform = sitk.DisplacementFieldTransform(dvf)
        yardstick = timed(lambda: sitk.Resample(image, image, transform, sitk.sitkBSpline, -2048.0))
        cpu, wall = yardstick
        print(f'yardstick (sitk.Resample, B-spline, {size}^3, one thread): {cpu:.2f} s of processor time, {wall:.2f} s')
        print(f'in yardsticks:{"CPU":>33s} {"wall":>6s}')
        seconds = timed(lambda: random_field(np.random.RandomState(0), arrays[0].shape, (1.0,) * 3, 45, 7.0))
        show('B-spline field', seconds, yardstick, 0.1)
        inputs = CategoryInputs(arrays[0], arrays[1], arrays[2], options)
        seconds = timed(lambda: inputs.edges, 1)
        show('Canny edges around the lungs', seconds, yardstick)
        edges = inputs.edges
        rng = np.random.RandomState(0)
        seconds = timed(lambda: mixed_frequency.select(edges, arrays[1], rng, 200, (20,) * 3))
        show('mixed-frequency masks (Np = 200)', seconds, yardstick, 0.3)
        field = vectors = dvf = transform = inputs = edges = arrays = None  # memory
        for name, dsmooth in CASES:
            if only and name not in only:
                continue
            # The experiment with this category alone starts from the existing image, the whole one from a next image.
            experiment = dict(setting['deform_exp']['3D_max7_D14_K'], DeformMethods=[name])
            first = dict(setting, deform_exp={'3D_max7_D14_K': experiment})
            runs = [('existing image', first, 0, 2.5), ('with next image', setting, dsmooth or 14, 4)]
            for label, own, number, limit in runs:

                def get(own=own, number=number):
                    shutil.rmtree(root + 'Elastix', ignore_errors=True)
                    get_item(own, dict(INFO, dsmooth=number))

                show(name + ', ' + label, timed(get, 2), yardstick, limit)
    finally:
        shutil.rmtree(root)


def measure_memory(size, name):
    """Print the peak memory of a process that makes one item with its next image."""
    from functions.artificial_generation.training_item import produce

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    root = tempfile.mkdtemp() + '/'
    try:
        command = [sys.executable, '-m', 'tests.benchmark.bench_generation', '--prepare', root, '--size', str(size)]
        subprocess.run(command, check=True)
        from functions.setting import setting_utils as su

        setting = su.initialize_setting('Benchmark', where_to_run='Root')
        setting.update(RootFolder=root, DataFolder=root + 'Data/', log_root_folder=root + 'Experiments/', stage=1)
        su.load_setting_from_data_dict(setting, [{'data': 'Phantom_4D', 'deform_exp': '3D_max7_D14_K'}])
        produce(setting, dict(INFO, dsmooth=dict(CASES)[name] or 14))
    finally:
        shutil.rmtree(root)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    per_voxel, libraries = 1024.0 * peak / size**3, before / 1024.0
    title = name + ', with next image'
    print(
        f'{title:42s} {per_voxel:6.0f} bytes per voxel of peak memory, {libraries:.0f} MB of it libraries (at most 64)'
    )


def processor_time():
    """Seconds of processor time of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure_throughput(size, items, repeats=2):
    """Print the items per minute of 1 and of 2 workers and their ratio, shortest of a few runs each."""
    from functions.artificial_generation.batch import generate_batch

    root = tempfile.mkdtemp() + '/'
    try:
        setting = make_setting(root, size)
        setting['verbose'] = False
        setting['DataExpDict'] = [
            {
                'data': 'Phantom_4D',
                'deform_exp': '3D_max7_D14_K',
                'TrainingCNList': [1],
                'TrainingTypeImList': [0],
                'TrainingDSmoothList': list(range(items)),
                'TrainingDeformedImExt': ['Clean', 'Sponge', 'Noise'],
            }
        ]
        seconds = {1: [], 2: []}
        for n_workers in [1, 2] * repeats:
            shutil.rmtree(root + 'Elastix', ignore_errors=True)
            before = processor_time()
            report = generate_batch(setting, train_modes=('Training',), n_workers=n_workers)
            if len(report.made) != items:
                raise SystemExit(str(report))
            seconds[n_workers].append(report.seconds)
            cpu, load = processor_time() - before, os.getloadavg()[0]
            print(
                f'{n_workers} workers: {items} items in {report.seconds:.1f} s, {cpu:.1f} s of processor time; '
                f'load of the machine {load:.2f}',
                flush=True,
            )
    finally:
        shutil.rmtree(root)
    alone, together = [60.0 * items / min(seconds[n_workers]) for n_workers in (1, 2)]
    title, ratio = 'throughput of 2 workers', together / alone
    print(f'{title:42s} {ratio:6.2f} times that of 1 ({together:.1f} and {alone:.1f} images/min; at least 1.7)')


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', type=int, default=200, help='voxels along each axis')
    parser.add_argument('--only', default='', help='categories, separated by commas')
    parser.add_argument(
        '--throughput',
        type=int,
        metavar='ITEMS',
        help='only the throughput of 2 workers against 1, over so many items '
        '(from size 160 on: mixed frequency needs lungs of some size)',
    )
    parser.add_argument('--memory', help=argparse.SUPPRESS)
    parser.add_argument('--prepare', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.prepare:
        make_setting(arguments.prepare, arguments.size)
    elif arguments.memory:
        measure_memory(arguments.size, arguments.memory)
    elif arguments.throughput and os.environ.get('REGNET_BENCHMARK_CHILD'):
        measure_throughput(arguments.size, arguments.throughput)
    elif os.environ.get('REGNET_BENCHMARK_CHILD'):
        measure(arguments.size, [name for name in arguments.only.split(',') if name])
    else:
        # Threads of the libraries are counted when they are loaded, hence children with the environment set.
        environment = dict(os.environ, REGNET_BENCHMARK_CHILD='1', **ENVIRONMENT)
        command = [sys.executable, '-m', 'tests.benchmark.bench_generation', '--size', str(arguments.size)]
        if not arguments.throughput:
            subprocess.run(command + ['--only', arguments.only], check=True, env=environment)
            for name, _ in CASES:
                if not arguments.only or name in arguments.only.split(','):
                    subprocess.run(command + ['--memory', name], check=True, env=environment)
        if arguments.throughput or not arguments.only:
            subprocess.run(command + ['--throughput', str(arguments.throughput or 16)], check=True, env=environment)


if __name__ == '__main__':
    main()
