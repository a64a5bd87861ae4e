"""What bfloat16 brings to a registration by the bundled set, and by how much it changes the field.

Both precisions take turns on one pair, so that other work on the machine affects both; seconds of all processors are
given beside those of the clock. From the repository's folder, where the processor has AVX512-BF16 or AMX:

    python -m tests.benchmark.bench_precision [--pair FIXED MOVING FIXED_LUNG MOVING_LUNG] [--threads 2] [--turns 3]

Without ``--pair`` a phantom is registered.
"""

import argparse
import os
import sys
import tempfile
import time

import numpy as np
import SimpleITK as sitk

from tests.benchmark.bench_registration import make_pair

PRECISIONS = ('float32', 'bfloat16')
ROLES = ('fixed', 'moving', 'fixed_lung', 'moving_lung')


def measured(paths, affine, model, threads):
    """(Registration, dictionary step -> seconds of the clock, and 'processors' for those of all processors)."""
    from functions.registration import register

    masks = {name: paths[name] for name in ROLES[2:]}
    before = time.process_time()
    found = register(paths['fixed'], paths['moving'], model, affine=affine, threads=threads, **masks)
    seconds = {name: taken for name, taken in found.seconds.items() if name.startswith('network of')}
    seconds['whole pair'] = found.total_seconds - found.seconds['affine']
    seconds['whole pair, processors'] = time.process_time() - before
    return found, seconds


def compare(paths, folder, threads, turns):
    """Print the ratios and the differences."""
    from functions.elastix.affine import register_affine
    from functions.image.transforms import write_affine
    from functions.image.volume_io import array_view, read_image
    from functions.registration.network_pyramid import open_model

    affine = os.path.join(folder, 'affine.tfm')
    images = [read_image(paths[name]) for name in ROLES[:2]]
    write_affine(register_affine(*images, 'sitk', threads=threads).transform, affine)
    models = {precision: open_model('chest', None, threads, 3e9, precision) for precision in PRECISIONS}
    took, fields = {precision: [] for precision in PRECISIONS}, {precision: [] for precision in PRECISIONS}
    for _ in range(turns + 1):
        for precision, model in models.items():
            found, seconds = measured(paths, affine, model, threads)
            took[precision].append(seconds)
            fields[precision].append(array_view(found.dvf).copy())
            print(precision, found.measures['used'], seconds, flush=True)
    for name in took['float32'][0]:
        # The first turn builds the graphs.
        pairs = np.array([[turn[name] for turn in took[precision][1:]] for precision in PRECISIONS])
        print(
            f'{name:26s} {pairs[0].min():7.2f} s  {pairs[1].min():7.2f} s  ratio {np.median(pairs[0] / pairs[1]):5.2f}'
        )
    lung = sitk.GetArrayFromImage(sitk.ReadImage(paths['fixed_lung'])) > 0
    for precision in PRECISIONS:
        print(f'{precision} twice: equal to the last bit: {np.array_equal(*fields[precision][-2:])}')
    apart = np.linalg.norm(fields['float32'][-1] - fields['bfloat16'][-1], axis=-1)
    for where, values in (('inside the lungs', apart[lung]), ('everywhere', apart)):
        print(f'apart {where}: {values.mean():.4f} mm in the mean, {values.max():.4f} mm at most')


def main(words=None):
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--pair', nargs=4, metavar='FILE', help='fixed and moving scan, and their lung masks')
    parser.add_argument('--size', nargs=3, type=int, default=[212, 148, 180], help='of the phantom')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--turns', type=int, default=3)
    arguments = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        paths = dict(zip(ROLES, arguments.pair)) if arguments.pair else make_pair(folder, arguments.size)
        compare(paths, folder, arguments.threads, arguments.turns)


if __name__ == '__main__':
    sys.exit(main())
