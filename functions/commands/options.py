"""The options of ``RunRegNet3D.py``, in groups that the subcommands of ``regnet`` share."""

import argparse
import functools
import re

from .. import __version__
from ..cluster.jobs import STEPS
from ..evaluation import command_line as evaluation_commands
from ..registration import command_line as registration_commands
from ..setting import kinds, schema
from ..setting.errors import nearest_hint

EXIT_CODES = """\
exit codes:
  0    done
  1    a fault of the program, with a traceback
  2    options, files or settings that cannot be used, in one sentence
  3    a part of a registration was left out (--strict)
  130, 138, 143    ended by Ctrl-C, SIGUSR1, SIGTERM; the same command goes on from there
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and whose help ends with the exit codes."""

    def __init__(self, **options):
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EXIT_CODES, **options)

    def error(self, message):
        self.exit(2, f'{self.prog}: {message}; see {self.prog} --help\n')

    def parse_args(self, *words):
        arguments, unknown = self.parse_known_args(*words)
        if unknown:
            hint = nearest_hint(unknown[0], self._option_string_actions).rstrip('?').lower()
            self.error(f'unrecognized arguments: {kinds.shown(" ".join(unknown))[1:-1]}{hint and "." + hint}')
        return arguments


def true_or_false(text):
    """A truth value of the command line: published job scripts pass True or False."""
    values = {'true': True, 'yes': True, '1': True, 'false': False, 'no': False, '0': False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f'{text!r} is neither True nor False')
    return values[text.lower()]


def positive_number(text, most=kinds.LARGEST):
    """A whole number from 1 to ``most``."""
    if not text.isdigit() or not 1 <= int(text[:20]) <= most:
        raise argparse.ArgumentTypeError(f'{kinds.shown(text)} is not a whole number from 1 to {most}')
    return int(text)


def part(text):
    """K/N with 1 <= K <= N."""
    match = re.match(r'(\d+)/(\d+)\Z', text)
    if not match or not 1 <= int(match.group(1)) <= int(match.group(2)):
        raise argparse.ArgumentTypeError(f'{text!r} is not of the form K/N with K from 1 to N')
    return text


def step_name(text):
    """A step that can be submitted."""
    if text not in STEPS:
        hint = nearest_hint(text, STEPS)
        raise argparse.ArgumentTypeError(f'{text!r} is no step; accepted: {", ".join(STEPS)}.{hint}')
    return text


SUBMIT = f'{", ".join(STEPS)}: submit these steps as jobs, each after the one before it, except what is finished'
_FLAG = {'nargs': '?', 'const': True, 'type': true_or_false, 'metavar': 'True|False'}
_PROCESSES = {'type': functools.partial(positive_number, most=schema.MOST_PROCESSES), 'metavar': 'N'}


# fmt: off
def add_setting_options(add):
    """Which settings."""
    add('--where_to_run', '-w', choices=['Auto', 'Root', 'Cluster'],
        help='folders: that of the repository (installed: the current one; or REGNET_ROOT, REGNET_DATA), '
             'the current one, or the two variables')
    add('--setting', metavar='FILE', help='JSON file of settings that replace those of RunRegNet3D.py')
    add('--experiment', metavar='NAME', help='name of the experiment, the folder below Experiments/RegNet/')
    add('--stage', type=int, metavar='{1,2,4}', help='down-sampling factor of the network')
    add('--network', metavar='NAME', help='network design, e.g. unet1')


def add_training_options(add):
    """How to train."""
    add('--max_iterations', type=positive_number, metavar='N', help='training steps')
    add('--max_hours', type=float, metavar='H', help='time limit of the training')
    add('--fresh', action='store_true', help='train from scratch instead of continuing from the newest checkpoint')
    add('--only', choices=['train', 'register'], help='train and end; or register the testing pairs that are not yet')
    add('--never_generate_image', '-ng',
        help='use the artificial deformations that are there; a missing one is an error', **_FLAG)


def add_part_option(add):
    """Which part to generate."""
    add('--part', type=part, metavar='K/N', help='generate or register only the K-th of N parts (array jobs)')


def add_submission_options(add):
    """How jobs are submitted."""
    add('--status', action='store_true', help='how far the work and its jobs are')
    add('--array', type=positive_number, metavar='N',
        help='divide lists of work into N parts, the tasks of an array job')
    add('--partition', metavar='NAME', help='partition (SLURM) or queue (Grid Engine)')
    add('--gres', metavar='NAME', help='resources of jobs that train or register, e.g. gpu:1')
    add('--time', metavar='LIMIT', help='time limit of a job: minutes or [days-]hours:minutes:seconds')
    add('--mem', metavar='SIZE', help='memory of a job, e.g. 8G')


def add_general_options(add):
    """For every command."""
    add('--workers', help='processes that generate; default: as cores and memory allow', **_PROCESSES)
    add('--backend', choices=schema.BACKENDS,
        help='workers: processes (default), threads, or those of dask.distributed')
    add('--scheduler', metavar='ADDRESS', help='scheduler of dask.distributed, e.g. tcp://head:8786')
    add('--threads', help='threads of TensorFlow; default: all cores', **_PROCESSES)
    add('--verify', action='store_true',
        help='compare checksums of finished images and results, not only where sizes or times differ')
    add('--quiet', action='store_true', help='log warnings and errors only')
    add('--json', action='store_true',
        help='one line of JSON on standard output: exit_code, error, and what was written and measured; all else on '
             'standard error')
    add('--traceback', action='store_true', help='show where an input error was found')
# fmt: on


def parse_arguments(words=None):
    """The command line of ``RunRegNet3D.py``; every option overrides a setting of the script."""
    parser = make_parser()
    arguments = parser.parse_args(words)
    check_arguments(parser, arguments)
    return arguments


def words_of(values):
    """The command line of ``RunRegNet3D.py`` that gives these values: option -> value, those of defaults left out."""
    words = []
    for action in make_parser()._actions:
        value = values.get(action.dest, action.default)
        if value is None or value == action.default:
            continue
        given = value if isinstance(value, (list, tuple)) else [] if action.nargs == 0 else [value]
        words += [action.option_strings[0], *map(str, given)]
    return words


def make_parser():
    """The parser of the command line of ``RunRegNet3D.py``."""
    parser = Parser(
        description='RegNet from one command: images, artificial deformations, a trained network, a registered pair '
        'and its error in mm.\nWithout options the settings of the script are used as they are.'
    )
    add = parser.add_argument
    add('--version', action='version', version=f'RegNet {__version__}')
    add_setting_options(add)
    add_training_options(add)
    add('--only_generate_image', '-g', help='generate all artificial deformations and end', **_FLAG)
    add_part_option(add)
    add_general_options(add)
    add = parser.add_argument_group('jobs of a cluster').add_argument
    add('--submit', nargs='+', type=step_name, metavar='STEP', help=SUBMIT)
    add_submission_options(add)
    registration_commands.add_arguments(parser)
    evaluation_commands.add_arguments(parser)
    parser.set_defaults(work=None)
    return parser


def check_arguments(parser, arguments):
    """Exit with the parser's message when options do not go together."""
    evaluation_commands.check_arguments(parser, arguments)
    divided = arguments.only_generate_image or arguments.only == 'register' or arguments.pairs
    if arguments.part and not divided:
        parser.error('--part goes with --only_generate_image, --only register or --pairs: training needs all parts')
    if arguments.submit is not None and bool(arguments.submit) == arguments.status:
        parser.error(f'give either --status or what to submit: {", ".join(STEPS)}')
    if arguments.submit and arguments.pairs and arguments.submit != ['register']:
        parser.error('of --pairs, only register can be submitted')
