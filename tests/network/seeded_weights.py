"""Networks whose weights and images follow a seeded formula, the same on every TensorFlow and every machine."""

import os

import numpy as np

from functions.network.builder import build
from functions.network.description import NETWORKS, network_description
from functions.setting.seeds import random_state
from functions.tf_utils.backend import tf
from functions.tf_utils.layers import trilinear_kernel

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'golden')
#: Sides (z, y, x) of the golden images: the smallest valid ones, another for every axis.
SIDES = {'unet1': (21, 29, 37), 'crop5': (29, 21, 21), 'crop4': (81, 85, 93), 'decimation4': (93, 85, 89)}
SIDES['matching'] = SIDES['error_map'] = (17, 33, 25)


def seeded_weight(name, shape):
    """Value of a variable: Gaussian kernels of gain 1.4, statistics of batch normalisation that matter, float32."""
    random = random_state('weights', name)
    if name.endswith('kernel_transposed_3d'):
        return trilinear_kernel()
    if name.endswith('kernel'):
        return (1.4 * random.normal(size=shape) / np.sqrt(np.prod(shape[:-1]))).astype(np.float32)
    if name.endswith(('variance', 'gamma')):
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    return random.uniform(-0.3, 0.3, shape).astype(np.float32)


def load_seeded_weights(variables, session):
    """Give variables their seeded values, all in one run: each run of another operation takes long to begin."""
    values = {v.initializer.inputs[1]: seeded_weight(v.op.name, v.shape.as_list()) for v in variables}
    session.run([variable.initializer for variable in variables], values)


def seeded_images(shape, name=None):
    """Two volumes of smooth waves, [1, z, y, x, 2] float32: in about -1 .. 1, or HU for a network that reads HU."""
    z, y, x = np.meshgrid(*[np.arange(side, dtype=float) for side in shape], indexing='ij')
    moving = np.sin(0.31 * x + 0.17 * y) * np.cos(0.23 * z - 0.11 * x)
    fixed = np.cos(0.19 * x - 0.29 * y + 0.13 * z)
    images = np.stack([moving, fixed], -1)[None].astype(np.float32)
    return 200 * images - 700 if name in NETWORKS and NETWORKS[name].reads_hu else images


class SeededNetwork:
    """An inference graph of free size with seeded weights and its session (a context manager).

    :param network: name or description.
    :param checkpoint: path prefix to restore the weights from instead.
    """

    def __init__(self, network, checkpoint=None, threads=2):
        self.description = network_description(network) if isinstance(network, str) else network
        with tf.Graph().as_default() as graph:
            self.images = tf.placeholder(tf.float32, [None] * 4 + [2])
            self.built = build(self.description, self.images, False)
            self.variables = tf.global_variables()
            self._saver = tf.train.Saver(max_to_keep=None)
            self.session = tf.Session(
                graph=graph,
                config=tf.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads),
            )
            if checkpoint is None:
                load_seeded_weights(self.variables, self.session)
            else:
                self._saver.restore(self.session, checkpoint)

    def __call__(self, images, fetch=None):
        """The DVF of images [n, z, y, x, 2]; or what ``fetch`` names."""
        return self.session.run(self.built.dvf if fetch is None else fetch, {self.images: images})

    def save(self, prefix):
        """Write a checkpoint, without the graph."""
        self._saver.save(self.session, prefix, write_meta_graph=False, write_state=False)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.session.close()


def golden_path(name):
    """File of the golden DVF of a network."""
    return os.path.join(GOLDEN, name + '.npy')


def main():
    """Write the golden DVFs and the checkpoint of unet1 anew (after a wanted change): python -m "
    "tests.network.seeded_weights"""
    os.makedirs(GOLDEN, exist_ok=True)
    for name in sorted(SIDES):
        with SeededNetwork(name) as network:
            if tf.__version__.startswith('1.'):
                if name == 'unet1':
                    network.save(os.path.join(GOLDEN, 'unet1_tensorflow1.ckpt'))
            else:
                np.save(golden_path(name), network(seeded_images(SIDES[name], name)))
                if name == 'unet1':
                    network.save(os.path.join(GOLDEN, 'unet1_tensorflow2.ckpt'))


if __name__ == '__main__':
    main()
