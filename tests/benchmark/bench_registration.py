"""Speed of a registration from files to results, against elastix's B-spline and against its own unavoidable steps.

One pair of the phantom, the same lung masks and initial affine transform (not counted) for all methods. Only the ratios
of one run on one machine matter. From the repository's folder, with elastix on the PATH:

    python -m tests.benchmark.bench_registration [--size 300 220 280] [--threads 2] [--folder FOLDER] [--memory]

``--memory`` instead prints the peak memory of ten small pairs in turn, and of a scan of 512 x 512 x 500 voxels.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import SimpleITK as sitk

#: pyramid -> most of elastix's time it may take.
LIMITS = {(4, 4, 2, 1): 0.4, (4, 2): 0.15}
#: Most of a second pair's time that the first one may take.
FIRST = 1.2
UNAVOIDABLE = 1.25
#: mm around the lungs, as in the recipes of the shipped networks.
MARGINS = {4: 16.0, 2: 8.0, 1: 8.0}


def make_pair(folder, size):
    """Files of phantom case 1, T00 and T50, with their lungs."""
    from functions.phantom.case import Case

    case, paths = Case(1, {'Size': list(size)}), {}
    for role, type_im in (('fixed', 0), ('moving', 5)):
        image, lung, _ = case.phase(type_im)
        paths[role], paths[role + '_lung'] = [os.path.join(folder, role + name) for name in ('.mha', '_lung.mha')]
        sitk.WriteImage(image, paths[role])
        sitk.WriteImage(lung, paths[role + '_lung'])
    return paths


def make_models(folder):
    """Folders of unet1 with seeded weights for every stage."""
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'registration'))
    from model_folders import make_model

    return {stage: make_model(folder, f'stage{stage}', stage, InputMargin=margin) for stage, margin in MARGINS.items()}


def timed(function, *arguments, **options):
    """(result, seconds)."""
    start = time.time()
    result = function(*arguments, **options)
    return result, time.time() - start


def unavoidable(paths, affine, folder, stages):
    """All steps but the networks, once each: reading, pyramid on the box of the lungs, warp, composition, writing."""
    from functions.image import dvf, resample, transforms
    from functions.image.geometry import Geometry
    from functions.image.volume_io import array_view, image_from_array, read_image, write_image
    from functions.registration.mask_box import box_of, continued, cut

    fixed, moving, fixed_lung, moving_lung = [
        read_image(paths[name]) for name in ('fixed', 'moving', 'fixed_lung', 'moving_lung')
    ]
    grid = Geometry.of(fixed)
    led_lung = resample.resample_to(moving_lung, grid, 'nearest', 0, transform=affine)
    box = box_of([fixed_lung, led_lung], MARGINS[stages[-1]])
    still, total = cut(fixed, box), None
    led = resample.resample_to(moving, box, 'linear', -2048.0, transform=affine)
    for stage in stages:
        resample.downsample(still, stage)
        small = resample.downsample(led, stage)
        zero = image_from_array(np.zeros(array_view(small).shape + (3,), np.float32), small)
        if total is not None:
            total = dvf.resample_dvf(total, Geometry.of(small))
            resample.warp(small, total, 'bspline', -2048.0)
            zero = dvf.compose(zero, total)
        total = zero
    nonrigid = continued(dvf.resample_dvf(total, box), grid)
    whole = transforms.total_dvf(affine, nonrigid)
    moved = resample.warp(moving, whole, 'bspline', -1024.0)
    for name, image in (('u', whole), ('v', nonrigid), ('m', moved), ('j', dvf.jacobian_determinant_of(whole))):
        write_image(image, os.path.join(folder, name + '.mha'))
    transforms.write_total_transform(affine, nonrigid, os.path.join(folder, 't.h5'))


def compare(size, threads, folder):
    """Print the ratios; returns the exit status: 1 when one is beyond its limit."""
    from functions.elastix import registration as elastix
    from functions.elastix.affine import register_affine
    from functions.image.resample import warp
    from functions.image.transforms import write_affine
    from functions.image.volume_io import read_image, write_image
    from functions.registration.network_pyramid import open_model
    from functions.registration.pair_lists import register_into

    paths, models = make_pair(folder, size), make_models(folder)
    images = {name: read_image(path) for name, path in paths.items()}
    affine = register_affine(images['fixed'], images['moving'], None, threads=threads).transform
    affine_file = os.path.join(folder, 'affine.tfm')
    write_affine(affine, affine_file)
    rows, failed = [], False

    def by_elastix():
        """The moved image is written too, as by our registration."""
        given = {'fixed_mask': images['fixed_lung'], 'initial': affine, 'threads': threads}
        field = elastix.bspline(images['fixed'], images['moving'], elastix.BSPLINE_FILES[3], **given)
        write_image(warp(images['moving'], field), os.path.join(folder, 'moved.mha'))

    _, classical = timed(by_elastix)
    rows.append(('elastix B-spline, 3 resolutions', classical, 1.0, None))
    for stages, limit in sorted(LIMITS.items(), reverse=True):
        name = '-'.join(map(str, stages))
        with open_model(models, list(stages), threads) as model:
            times = []
            for turn in ('first', 'second'):
                out = os.path.join(folder, f'out_{name}_{turn}')
                # All passes count, although those of seeded weights make nothing more alike.
                options = {'threads': threads, 'affine': affine_file, 'keep_all_stages': True}
                (_, record), seconds = timed(register_into, out, paths, model, **options)
                seconds -= record['seconds']['affine']
                times.append(seconds)
                rows.append((f'stages {name}, {turn} pair', seconds, seconds / classical, limit))
            rows.append(('  first / second pair', times[0], times[0] / times[1], FIRST))
            network = sum(value for key, value in record['seconds'].items() if key.startswith('network of'))
        os.makedirs(os.path.join(folder, 'alone' + name))
        _, alone = timed(unavoidable, paths, affine, os.path.join(folder, 'alone' + name), stages)
        rest = seconds - network
        rows.append(('  not the network / those steps alone', rest, rest / alone, UNAVOIDABLE))
        print(json.dumps(record['seconds']))
    for name, seconds, ratio, limit in rows:
        over = limit is not None and ratio > limit
        failed |= over
        verdict = '' if limit is None else f'  limit {limit} {"MISSED" if over else "kept"}'
        print(f'{name:42s} {seconds:8.1f} s  ratio {ratio:5.2f}{verdict}')
    return int(failed)


def peak():
    """Peak resident memory of this process in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2.0**20


def large_scan(folder, threads):
    """Register 512 x 512 x 500 voxels of 0.7 mm; print the peak memory."""
    from functions.registration.network_pyramid import open_model
    from functions.registration.pair_lists import register_into

    paths = {}
    for role, seed in (('fixed', 0), ('moving', 1)):
        paths.update(_large(folder, role, seed))
    models = make_models(folder)
    before = peak()
    with open_model(models, [4, 2, 1], threads) as model:
        _, seconds = timed(register_into, os.path.join(folder, 'out'), paths, model, threads=threads, affine='none')
    print(f'512 x 512 x 500 at 0.7 mm: {seconds:.0f} s, peak {peak():.2f} GB ({before:.2f} GB before)')


def _large(folder, role, seed):
    """A body of two lungs on the large grid, made slice by slice."""
    y, x = np.mgrid[-1:1:512j, -1:1:512j].astype(np.float32)
    rng = np.random.RandomState(seed)
    image, lung = np.empty((500, 512, 512), np.int16), np.empty((500, 512, 512), np.uint8)
    for k, z in enumerate(np.linspace(-1, 1, 500)):
        inside = ((abs(x) - 0.35) / 0.25) ** 2 + (y / 0.5) ** 2 + (z / 0.8) ** 2 < 1
        image[k] = np.where(inside, -800, np.where((x / 0.8) ** 2 + (y / 0.65) ** 2 < 1, 40, -1000))
        image[k] += rng.randint(-20, 20, image[k].shape).astype(np.int16)
        lung[k] = inside
    paths = {}
    for name, array in ((role, image), (role + '_lung', lung)):
        written = sitk.GetImageFromArray(array)
        written.SetSpacing((0.7,) * 3)
        paths[name] = os.path.join(folder, name + '.mha')
        sitk.WriteImage(written, paths[name])
    return paths


def many_pairs(folder, threads):
    """Register the same small pair ten times in one process; print the memory after each."""
    from functions.registration import register
    from functions.registration.network_pyramid import open_model

    paths, models = make_pair(folder, (148, 116, 148)), make_models(folder)
    masks = {name: path for name, path in paths.items() if name.endswith('lung')}
    after = []
    with open_model(models, None, threads) as model:
        for _ in range(10):
            register(paths['fixed'], paths['moving'], model, affine='none', threads=threads, **masks)
            after.append(peak())
    print('peak memory after pair 1, 2, ... 10 (GB):', *[f'{value:.2f}' for value in after])


def main(words=None):
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--size', nargs=3, type=int, default=[300, 220, 280])
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--folder', help='for the files; default: a temporary one')
    parser.add_argument('--memory', action='store_true')
    parser.add_argument('--part', choices=['large', 'many'], help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.memory:
        # Peak memory is that of a process, so each measurement has its own.
        command = [sys.executable, '-m', 'tests.benchmark.bench_registration', '--threads', str(arguments.threads)]
        return max(subprocess.call(command + ['--part', part]) for part in ('many', 'large'))
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        if arguments.part:
            return {'large': large_scan, 'many': many_pairs}[arguments.part](folder, arguments.threads) or 0
        return compare(arguments.size, arguments.threads, folder)


if __name__ == '__main__':
    sys.exit(main())
