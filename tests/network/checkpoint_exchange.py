"""Checkpoints of the larger networks from one TensorFlow to another, for ``.ci/run`` where both are installed.

python -m tests.network.checkpoint_exchange write FOLDER    (with one Python)
python -m tests.network.checkpoint_exchange check FOLDER    (with the other)
"""

import os
import sys

import numpy as np

from functions.tf_utils.backend import tf
from tests.network.seeded_weights import SIDES, SeededNetwork, seeded_images

NETWORKS = ('crop4', 'decimation4', 'matching')
#: mm; what the two TensorFlows may differ by.
TOLERANCE = 1e-3


def write(folder):
    """Write a checkpoint and a DVF of every network."""
    os.makedirs(folder, exist_ok=True)
    for name in NETWORKS:
        with SeededNetwork(name) as network:
            network.save(os.path.join(folder, name + '.ckpt'))
            np.save(os.path.join(folder, name + '.npy'), network(seeded_images(SIDES[name], name)))


def check(folder):
    """Restore what another TensorFlow wrote and compare; the number of networks that disagree."""
    failed = 0
    for name in NETWORKS:
        expected = np.load(os.path.join(folder, name + '.npy'))
        with SeededNetwork(name, checkpoint=os.path.join(folder, name + '.ckpt')) as network:
            difference = float(np.abs(network(seeded_images(SIDES[name], name)) - expected).max())
        failed += not difference < TOLERANCE
        verdict = '' if difference < TOLERANCE else ': TOO MUCH'
        largest = float(np.abs(expected).max())
        print(
            f'{name}: its checkpoint of another TensorFlow, on {tf.__version__}: '
            f'DVFs of up to {largest:.2f} mm differ by at most {difference:.1e} mm{verdict}'
        )
    return failed


if __name__ == '__main__':
    if len(sys.argv) != 3 or sys.argv[1] not in ('write', 'check'):
        sys.exit(__doc__)
    sys.exit({'write': write, 'check': check}[sys.argv[1]](sys.argv[2]))
