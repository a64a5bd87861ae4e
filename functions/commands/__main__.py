"""The options of ``RunRegNet3D.py`` for job scripts where it is not at hand: ``python -m functions.commands``."""

import sys

from ..setting import console


def run():
    """Run the command line of this process; returns the exit code."""
    console.prepare()
    from .carry_out import carry_out
    from .options import parse_arguments
    from .script_settings import script_block

    return console.end(lambda: carry_out(script_block(), parse_arguments()))


if __name__ == '__main__':
    sys.exit(run())
