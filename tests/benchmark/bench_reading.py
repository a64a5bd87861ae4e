"""Speed of the reader, as ratios of one run on one core, beside a naive implementation.

Five figures, each with its limit: how long training waits for batches, also when processes make the items on the fly,
what serving a batch costs compared with copying it, what finding the class indices costs compared with passes over the
DVF, and how soon after the first image the first batch is ready. From the repository's folder:

    python -m tests.benchmark.bench_reading [--size 200] [--images 16] [--steps 200]
"""

import argparse
import functools
import os
import subprocess
import sys
import time

import numpy as np

ENVIRONMENT = dict.fromkeys(
    ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', 'ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS'), '1'
)
STEP_S = 0.05
LIMITS = [2.0, 7.0]
# Patches of crop4: images of 101 voxels, DVFs of 21.
RADIUS, RADIUS_DVF, BATCH_SIZE, SAMPLES = 50, 10, 15, 50


def make_items(n_images, size):
    """im_info and item of different images: smooth motion of up to 7 mm, noise as intensities."""
    from functions.artificial_generation.bspline_field import random_field
    from functions.artificial_generation.training_item import Item

    mask = np.zeros((size,) * 3, np.uint8)
    border = size // 10
    mask[border:-border, border:-border, border:-border] = 1
    infos, items = [], {}
    for number in range(n_images):
        state = np.random.RandomState(number)
        field = random_field(state, mask.shape, (1.0,) * 3, 45, 7.0)[0]
        im = state.randint(-1000, 500, mask.shape).astype(np.int16)
        infos.append(
            {
                'data': 'Phantom_4D',
                'type_im': 0,
                'cn': number + 1,
                'deform_exp': '3D_max7_D14_K',
                'dsmooth': 0,
                'stage': 1,
            }
        )
        dvf = np.moveaxis(field, 0, -1).astype(np.float32, order='C')
        items[number + 1] = Item(im, im[::-1].copy(), dvf, mask, mask, (1.0,) * 3, infos[-1])
    return infos, items


def make_setting(n_images, **more):
    """Settings of patches of crop4 at stage 1."""
    queue = {
        'NumberOfImagesPerChunk': n_images,
        'SamplesPerImage': SAMPLES,
        'BatchSize': BATCH_SIZE,
        'MaxQueueSize': 20,
    }
    return dict({'stage': 1, 'R': RADIUS, 'Ry': RADIUS_DVF, 'ClassBalanced': LIMITS, 'NetworkTraining': queue}, **more)


def shortest(function, repeats=9):
    """Wall time of the fastest run, s: what other jobs on the machine change least."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def show(name, value, limit, naive, unit=''):
    """Print one line of the table."""
    verdict = '' if limit is None else 'within' if value <= limit else 'OVER'
    most, other = ('' if limit is None else f'{limit:g}{unit}'), ('' if naive is None else f'{naive:.2f}{unit}')
    print(f'{name:58s} {value:8.3f}{unit:2s} {most:>8s} {verdict:6s} {other:>9s}', flush=True)


def naive_class_indices(dvf, mask, margin):
    """Published rule with boolean masks over the whole volume, class by class."""
    found, lower = [], 0.0
    for upper in LIMITS:
        inside = mask != 0
        for component in range(3):
            size = np.abs(dvf[..., component])
            inside = inside & (size < upper) & (size >= lower)
        border = np.zeros(inside.shape, bool)
        border[margin:-margin, margin:-margin, margin:-margin] = True
        found.append(np.where((inside & border).reshape(-1))[0])
        lower = upper
    return found


def class_indices(items):
    """Finding the possible centres of one image, in passes over its DVF."""
    from functions.reading import class_balanced_sampling as sampling

    item, margin = items[1], RADIUS_DVF + 1
    seconds = shortest(lambda: sampling.class_indices(item.dvf, item.mask, LIMITS, margin))
    naive = shortest(lambda: naive_class_indices(item.dvf, item.mask, margin), 3)
    ready = np.empty_like(item.dvf)
    one_pass = shortest(lambda: np.abs(item.dvf, out=ready))
    show('class indices / pass over the DVF (np.abs, ready memory)', seconds / one_pass, 5.0, naive / one_pass)
    reading = shortest(lambda: item.dvf.sum())
    show('class indices / pass that only reads (sum)', seconds / reading, None, naive / reading)


def serving(infos, items):
    """Cutting a batch, in copies of the same bytes."""
    from functions.reading.chunk_image import Images

    reader = Images(
        make_setting(len(infos)), im_info_list_full=infos, make_item=lambda s, info, write: items[info['cn']]
    )
    reader.fill()
    loaded = reader.loader.load(0, 0)
    arrays = loaded.cut(0, BATCH_SIZE)[:3]
    copy = shortest(lambda: [array.copy() for array in arrays])
    number = [0]

    def cut():
        # Another batch every time, as in training.
        loaded.cut(number[0] * BATCH_SIZE % (loaded.n_samples - BATCH_SIZE), BATCH_SIZE)
        number[0] += 1

    seconds = shortest(cut, 20)
    pad = RADIUS - RADIUS_DVF
    padded = [np.pad(items[info['cn']].im, pad, 'constant', constant_values=-2048) for info in infos[:3]]
    rows = [np.unravel_index(row[0], items[1].im.shape) for row in loaded.rows[:BATCH_SIZE]]

    def naive():
        boxes = [tuple(slice(c + pad - RADIUS, c + pad + RADIUS + 1) for c in row) for row in rows]
        images = np.array([np.stack([padded[n % 3][box], padded[n % 3][box]], axis=-1) for n, box in enumerate(boxes)])
        boxes = [tuple(slice(c - RADIUS_DVF, c + RADIUS_DVF + 1) for c in row) for row in rows]
        return images.astype(np.float32), np.array([items[1].dvf[box] for box in boxes])

    show('serving a batch / copying the same bytes', seconds / copy, 1.5, shortest(naive, 3) / copy)


def waiting(infos, items, steps):
    """Share of the time that a training with steps of 50 ms waits, after the first chunk."""
    from functions.reading.chunk_image import Images
    from functions.reading.train_queue import TrainingQueue

    setting = make_setting(len(infos))

    def maker(setting, im_info, write=None):
        return items[im_info['cn']]

    reader = Images(setting, im_info_list_full=infos, make_item=maker)
    reader.fill()
    batch = shortest(reader.next_batch)
    naive = 100.0 * batch / (batch + STEP_S)
    del reader
    for number, name in ((1, 'one chunk'), (2, 'two chunks')):
        listed = [dict(info, dsmooth=14 * turn) for turn in range(number) for info in infos]
        with TrainingQueue(setting, im_info_list_full=listed, make_item=maker) as queue:
            while queue.get().position['semi_epoch'] == 0:
                time.sleep(STEP_S)
            waited, start, processor = 0.0, time.perf_counter(), time.process_time()
            for _ in range(steps):
                asked = time.perf_counter()
                queue.get()
                waited += time.perf_counter() - asked
                time.sleep(STEP_S)
            seconds = time.perf_counter() - start
            show(f'waiting for batches, steps of 50 ms, {name}', 100.0 * waited / seconds, 1.0, naive, ' %')
            show(
                '    processor time of the reader a step, of 50 ms',
                100.0 * (time.process_time() - processor) / steps / STEP_S,
                100.0,
                None,
                ' %',
            )


@functools.lru_cache(maxsize=1)
def _one_item(size):
    return make_items(1, size)[1][1]


def _item_that_takes(seconds, size, setting, im_info, write=None):
    """An item that takes a while to make but no processor, so that any number of processes can be measured anywhere."""
    item = _one_item(size)
    time.sleep(seconds)
    return item


def processes(infos, size, steps):
    """Share of the time that a training with steps of 50 ms waits while processes make its items.

    Making an item takes four times as long as the steps on its samples, so that four processes suffice.
    """
    from functions.reading.train_queue import TrainingQueue

    maker, shares = functools.partial(_item_that_takes, 4 * STEP_S * SAMPLES / BATCH_SIZE, size), {}
    for n_workers in (0, 1, 2, 8):
        setting = make_setting(1, OnTheFly=True, NumberOfWorkers=n_workers)
        with TrainingQueue(setting, im_info_list_full=infos, make_item=maker) as queue:
            while queue.get().position['semi_epoch'] == 0:
                time.sleep(STEP_S)
            waited, start = 0.0, time.perf_counter()
            for _ in range(steps):
                asked = time.perf_counter()
                queue.get()
                waited += time.perf_counter() - asked
                time.sleep(STEP_S)
            shares[n_workers] = 100.0 * waited / (time.perf_counter() - start)
        limit = 2.0 if n_workers == 8 else None
        show(f'waiting, items made by {n_workers} processes', shares[n_workers], limit, shares[0], ' %')


def first_batch(infos, items, seconds_per_image):
    """From the first image to the first batch, when every image takes a while to come."""
    from functions.reading.train_queue import TrainingQueue

    times = {}
    for lead_in in (True, False):
        first = []

        def maker(setting, im_info, write=None):
            time.sleep(seconds_per_image)
            first.append(time.perf_counter())
            return items[im_info['cn']]

        with TrainingQueue(make_setting(len(infos), LeadIn=lead_in), im_info_list_full=infos, make_item=maker) as queue:
            queue.get()
            times[lead_in] = time.perf_counter() - first[0]
    show(f'first batch after the first image, {seconds_per_image:g} s each', times[True], 2.0, times[False], ' s')


def measure(arguments):
    """Print the table for this process."""
    if hasattr(os, 'sched_setaffinity'):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    load = f'{os.getloadavg()[0]:.1f}' if hasattr(os, 'getloadavg') else 'unknown'
    print(
        f'{arguments.images} images of {arguments.size}^3, batches of {BATCH_SIZE}, one core; load of the machine '
        f'{load}'
    )
    infos, items = make_items(arguments.images, arguments.size)
    print(f'{"":58s} {"measured":>10s} {"at most":>8s} {"":6s} {"naive":>9s}')
    class_indices(items)
    serving(infos, items)
    waiting(infos, items, arguments.steps)
    processes(infos, arguments.size, arguments.steps)
    first_batch(infos, items, arguments.seconds_per_image)


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', type=int, default=200, help='voxels along each axis')
    parser.add_argument('--images', type=int, default=16, help='images of the chunk')
    parser.add_argument('--steps', type=int, default=200, help='steps of the training')
    parser.add_argument('--seconds_per_image', type=float, default=1.0, help='time until the next image is there')
    arguments = parser.parse_args()
    if os.environ.get('REGNET_BENCHMARK_CHILD'):
        measure(arguments)
    else:
        # Threads of the libraries are counted when they are loaded, hence a child with the environment set.
        environment = dict(os.environ, REGNET_BENCHMARK_CHILD='1', **ENVIRONMENT)
        subprocess.run(
            [sys.executable, '-m', 'tests.benchmark.bench_reading'] + sys.argv[1:], check=True, env=environment
        )


if __name__ == '__main__':
    main()
