"""Make cases of the phantom, for the data set ``Phantom_4D``: ``python -m functions.phantom --cases 1 2 --types 0 5``.

They are written below the repository or ``REGNET_ROOT``.
"""

import argparse
import sys

from ..setting import console
from ..setting.setting_utils import initialize_setting
from .phantom import make_cases


def main(words=None):
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog='python -m functions.phantom', description='Make phantom cases.')
    parser.add_argument('--cases', type=int, nargs='+', default=[1], metavar='N', help='case numbers, from 1')
    phases = 'phases, 0 (T00, inhale) to 9 (T90)'
    parser.add_argument('--types', type=int, nargs='+', default=[0, 5], metavar='K', help=phases)
    parser.add_argument('--size', type=int, nargs=3, metavar=('X', 'Y', 'Z'), help='mm; default: 300 220 280')
    parser.add_argument('--workers', type=int, metavar='N', help='processes')
    arguments = parser.parse_args(words)

    def work():
        make_cases(initialize_setting('phantom'), arguments.cases, arguments.types, arguments.workers, arguments.size)

    return console.by_one_sentence(work)


if __name__ == '__main__':
    sys.exit(main())
