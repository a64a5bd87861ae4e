"""The command ``regnet``: also ``python -m regnet`` and, in the repository, ``python -m functions``."""

import sys

from .setting import console


def run():
    """Run the command line of this process; returns the exit code."""
    console.prepare()  # before NumPy and TensorFlow, which print their own words where they cannot be loaded
    from .commands.regnet import main

    return console.end(main)


if __name__ == '__main__':
    sys.exit(run())
