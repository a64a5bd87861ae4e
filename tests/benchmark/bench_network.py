"""Speed and memory of the networks against the machine's matrix products and against a reference graph.

Ratios of one run; matrix products, this project's graph and the reference graph take turns, so that other work on the
machine affects all of them. From the repository's folder, on either TensorFlow:

    python -m tests.benchmark.bench_network [--only unet1,crop4] [--threads 2] [--repeats 3] [--profile]
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np

#: network -> (side of a forward pass, side of a training step)
SIDES = {'unet1': (125, 125), 'crop4': (141, 141), 'decimation4': (145, 145)}
GRAPHS = ('ours', 'reference')


def flops(description, side):
    """Multiplications and additions of the convolutions of one forward pass of a cube."""
    sizes, channels = description.sizes(side), description.channels()
    return sum(
        2.0 * layer.kernel**3 * channels[layer.inputs[0]] * layer.filters * sizes[layer.name] ** 3
        for layer in description.layers
        if layer.kind == 'conv'
    )


class Pass:
    """One graph and its session: a forward pass or a training step of a network."""

    def __init__(self, name, side, graph, training, threads):
        from functions.network.builder import build
        from functions.network.description import network_description
        from functions.tf_utils.backend import tf
        from functions.tf_utils.losses import bending_energy, huber
        from functions.tf_utils.sessions import open_session
        from tests.benchmark.reference_graph import reference_bending_energy, reference_graph

        self.description = network_description(name)
        output = self.description.output_size(side)
        random = np.random.RandomState(0)
        with tf.Graph().as_default() as built:
            images = tf.placeholder(tf.float32, [None] * 4 + [2])
            truth = tf.placeholder(tf.float32, [None] * 4 + [3])
            self.feed = {images: random.uniform(-1, 1, [1] + [side] * 3 + [2]).astype(np.float32)}
            if graph == 'ours':
                dvf, bending = build(self.description, images, training).dvf, bending_energy
            else:
                bending = reference_bending_energy
                dvf = reference_graph(self.description, images, tf.placeholder_with_default(training, []))
            if training:
                self.feed[truth] = random.uniform(-1, 1, [1] + [output] * 3 + [3]).astype(np.float32)
                loss = huber(dvf, truth) + 0.1 * bending(dvf)
                optimiser = tf.train.AdamOptimizer(1e-3)
                gradients = [(g, v) for g, v in optimiser.compute_gradients(loss) if g is not None]
                with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
                    self.fetch = optimiser.apply_gradients(gradients)
            else:
                self.fetch = dvf
            initialise = tf.global_variables_initializer()
        self.session = open_session(built, threads)
        self.session.run(initialise)

    def __call__(self, **options):
        self.session.run(self.fetch, self.feed, **options)


def matrix_product(threads, size=2048):
    """A function that multiplies two float32 matrices, and its operations."""
    from functions.tf_utils.backend import tf
    from functions.tf_utils.sessions import open_session

    with tf.Graph().as_default() as graph:
        matrix = tf.get_variable('matrix', initializer=np.random.RandomState(0).rand(size, size).astype(np.float32))
        fetch, initialise = tf.reduce_max(tf.matmul(matrix, matrix)), tf.global_variables_initializer()
    session = open_session(graph, threads)
    session.run(initialise)
    return lambda: session.run(fetch), 2.0 * size**3


def fastest(functions, repeats):
    """Shortest wall time of each function, which take turns; the first call of each does not count."""
    times = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(repeats):
        for function, own in zip(functions, times):
            start = time.time()
            function()
            own.append(time.time() - start)
    return [min(own) for own in times]


def measure(name, threads, repeats):
    """Print forward pass and training step of a network."""
    product, product_flops = matrix_product(threads)
    for training, side in zip((False, True), SIDES[name]):
        ours, reference = [Pass(name, side, graph, training, threads) for graph in GRAPHS]
        seconds = fastest([lambda: [product() for _ in range(4)], ours, reference], repeats)
        rate = 4 * product_flops / seconds[0]
        work = flops(ours.description, side) * (3 if training else 1)
        what, percent = 'step' if training else 'forward', 100 * work / seconds[1] / rate
        print(
            f'{name:12s} {what:8s} {side:3d}^3  {seconds[1]:7.2f} s  {percent:4.0f} % of the matrix-product rate '
            f'({rate / 1e9:.0f} GFLOP/s); reference graph {seconds[2]:6.2f} s, {seconds[2] / seconds[1]:.2f} x',
            flush=True,
        )


def measure_memory(name, graph, threads):
    """Print as JSON the peak memory of a training step in this process, bytes."""
    step = Pass(name, SIDES[name][1], graph, True, threads)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step()
    step()
    print(json.dumps(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)))


def profile(name, threads):
    """Print the operations in which a forward pass spends its time."""
    from functions.tf_utils.backend import tf

    for training, side in zip((False, True), SIDES[name]):
        run = Pass(name, side, 'ours', training, threads)
        run()
        options, metadata = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), tf.RunMetadata()
        run(options=options, run_metadata=metadata)
        rows = [
            (node.all_end_rel_micros * 1e-6, node.node_name, node.timeline_label)
            for device in metadata.step_stats.dev_stats
            for node in device.node_stats
        ]
        what, total = 'step' if training else 'forward', sum(row[0] for row in rows)
        print(f'{name} {what} {side}^3: {total:.2f} s in all operations')
        kinds = {}
        for seconds, _, label in rows:
            kind = label.split(' = ')[-1].split('(')[0]
            kinds[kind] = kinds.get(kind, 0.0) + seconds
        for kind, seconds in sorted(kinds.items(), key=lambda item: -item[1])[:12]:
            print(f'  {seconds:7.3f} s  {kind}')
        print()
        for seconds, node, label in sorted(rows, reverse=True)[:40]:
            shown = label.split(' = ')[-1][:60]
            print(f'  {seconds:7.3f} s  {node}  {shown}')


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', default='unet1,crop4', help='networks, separated by commas')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--profile', action='store_true', help='where the time goes, instead')
    parser.add_argument('--speed', action='store_true', help=argparse.SUPPRESS)
    parser.add_argument('--memory', choices=GRAPHS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    command = [sys.executable, '-m', 'tests.benchmark.bench_network']
    command += ['--threads', str(arguments.threads), '--repeats', str(arguments.repeats), '--only']
    if arguments.profile or arguments.speed or arguments.memory:
        if arguments.profile:
            profile(arguments.only, arguments.threads)
        elif arguments.memory:
            measure_memory(arguments.only, arguments.memory, arguments.threads)
        else:
            measure(arguments.only, arguments.threads, arguments.repeats)
        return
    for name in arguments.only.split(','):
        subprocess.run(command + [name, '--speed'], check=True)
        peaks = []
        for graph in GRAPHS:
            printed = subprocess.run(command + [name, '--memory', graph], check=True, stdout=subprocess.PIPE).stdout
            peaks.append(json.loads(printed.splitlines()[-1]))
        print(
            f'{name:12s} step     {SIDES[name][1]:3d}^3  {peaks[0] / 1e9:7.2f} GB of peak memory; reference graph '
            f'{peaks[1] / 1e9:.2f} GB, {peaks[0] / float(peaks[1]):.2f} of it',
            flush=True,
        )


if __name__ == '__main__':
    main()
