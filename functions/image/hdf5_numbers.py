"""The transforms in an HDF5 file of ITK. They are read in a process of its own, which a damaged file can crash:

python -m functions.image.hdf5_numbers FILE     prints them as JSON.
"""

import json
import os
import subprocess
import sys

from ..setting.code_version import BESIDE
from ..setting.errors import InputError

_MOST_NUMBERS = 1000  # of a linear transform; a displacement field has more
_DEADLINE_S = 120


def read_transforms(path):
    """List of (kind, parameters, fixed parameters) of the transforms in a file, a composite one first; an InputError
    when it cannot be read.
    """
    command = [sys.executable, '-m', __name__, os.path.abspath(path)]
    environment = dict(os.environ, PYTHONPATH=BESIDE)
    try:
        streams = {'stdin': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL}
        found = subprocess.check_output(command, env=environment, timeout=_DEADLINE_S, **streams)
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f'{path} is damaged, cut short or not a transform of ITK (.h5).') from error
    return json.loads(found.decode())


def main(words):
    """Print the transforms of a file."""
    import h5py

    found = []
    with h5py.File(words[0], 'r') as stream:
        for number in range(len(stream['TransformGroup'])):
            group = stream['TransformGroup'][str(number)]
            # Older versions of ITK misspell the longer name.
            names = sorted((name for name in group if name.endswith('Parameters')), key=len)
            small = [group[name] for name in names if group[name].size <= _MOST_NUMBERS]
            numbers = [list(map(float, data[:])) for data in small] or [[], []]
            found.append([group['TransformType'][0].decode(), *numbers])
    print(json.dumps(found))


if __name__ == '__main__':
    main(sys.argv[1:])
