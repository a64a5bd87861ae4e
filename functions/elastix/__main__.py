"""Updates the paths in elastix's transform files after their folder has moved:
``python -m functions.elastix rewrite FOLDER [FOLDER ...]``.
"""

import argparse
import sys

from ..setting import console
from .transform_files import rewrite_paths


def main(words=None):
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog='python -m functions.elastix', description=__doc__.split(':\n')[0])
    commands = parser.add_subparsers(dest='command', metavar='rewrite')
    commands.required = True
    rewrite = commands.add_parser('rewrite', help='update the paths in TransformParameters files')
    rewrite.add_argument('folders', nargs='+', metavar='FOLDER')
    arguments = parser.parse_args(words)

    def work():
        for folder in arguments.folders:
            for path in rewrite_paths(folder):
                sys.stdout.write(f'rewritten: {path}\n')

    return console.by_one_sentence(work)


if __name__ == '__main__':
    sys.exit(main())
