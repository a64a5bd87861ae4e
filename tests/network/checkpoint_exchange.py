"""Checkpoints and saved models of networks from one TensorFlow to another, for ``.ci/run`` where both are installed.

python -m tests.network.checkpoint_exchange write FOLDER    (with one Python)
python -m tests.network.checkpoint_exchange check FOLDER    (with the other)
"""

import os
import sys

import numpy as np

from functions.tf_utils.backend import tf
from functions.tf_utils.frozen_graphs import frozen, write_saved_model
from tests.network.seeded_weights import SIDES, SeededNetwork, seeded_images

NETWORKS = ('crop4', 'decimation4', 'matching')
#: mm; what the two TensorFlows may differ by.
TOLERANCE = 1e-3


def write(folder):
    """Write a checkpoint, a saved model and a DVF of every network."""
    os.makedirs(folder, exist_ok=True)
    for name in NETWORKS:
        with SeededNetwork(name) as network:
            network.save(os.path.join(folder, name + '.ckpt'))
            write_saved_model(frozen(network.session, network.images, network.built.dvf), os.path.join(folder, name))
            np.save(os.path.join(folder, name + '.npy'), network(seeded_images(SIDES[name], name)))


def check(folder):
    """Restore what another TensorFlow wrote and compare; the number of graphs that disagree."""
    failed = 0
    for name in NETWORKS:
        path, images = os.path.join(folder, name), seeded_images(SIDES[name], name)
        expected = np.load(path + '.npy')
        with SeededNetwork(name, checkpoint=path + '.ckpt') as network:
            found = {'checkpoint': network(images)}
        with tf.Graph().as_default(), tf.Session() as session:
            tf.saved_model.load(session, ['serve'], path)
            found['saved model'] = session.run('dvf:0', {'images:0': images})
        for kind, dvf in found.items():
            difference = float(np.abs(dvf - expected).max())
            failed += not difference < TOLERANCE
            verdict = '' if difference < TOLERANCE else ': TOO MUCH'
            print(
                f'{name}: its {kind} of another TensorFlow, on {tf.__version__}: '
                f'DVFs of up to {np.abs(expected).max():.2f} mm differ by at most {difference:.1e} mm{verdict}'
            )
    return failed


if __name__ == '__main__':
    if len(sys.argv) != 3 or sys.argv[1] not in ('write', 'check'):
        sys.exit(__doc__)
    sys.exit({'write': write, 'check': check}[sys.argv[1]](sys.argv[2]))
