"""The command ``regnet``. A subcommand is one function, which adds its arguments, and one entry of ``COMMANDS``.

Arguments are named as the options of ``RunRegNet3D.py`` and do what these do; a function that is no option there is
given by ``parser.set_defaults(work=function)`` and called as ``function(arguments, result)``.
"""

import argparse
import sys

from .. import __version__
from ..evaluation import command_line as evaluation_commands
from ..registration import command_line as registration_commands
from . import options
from .address_list import list_addresses
from .carry_out import carry_out
from .script_settings import script_block


def _register(parser):
    """register two CT scans: displacement field, moved image, measures"""
    for name in ('FIXED', 'MOVING'):
        parser.add_argument('register', action='append', metavar=name, help='a scan: a file, or a DICOM folder')
    registration_commands.add_results_options(parser.add_argument, required=True)
    registration_commands.add_registration_options(parser.add_argument)
    registration_commands.add_pair_options(parser.add_argument)


def _pairs(parser):
    """register a list of pairs"""
    parser.add_argument('pairs', metavar='CSV', help='columns fixed, moving, and optionally name, masks and series')
    registration_commands.add_results_options(parser.add_argument, required=True)
    registration_commands.add_registration_options(parser.add_argument)
    options.add_part_option(parser.add_argument)


def _sequence(parser):
    """register all phases of a 4D sequence to one: fields, moved images, their mean, trajectories of points"""
    parser.add_argument(
        'sequence', nargs='+', metavar='PATH', help='the phases in order, a folder of them, or a 4D file'
    )
    registration_commands.add_sequence_options(parser.add_argument, required=True)
    registration_commands.add_points_options(parser.add_argument)
    registration_commands.add_results_options(parser.add_argument, required=True)
    registration_commands.add_registration_options(parser.add_argument)


def _apply(parser):
    """apply a finished registration to another image, to labels or to points"""
    parser.add_argument('apply', metavar='RESULTS', help='folder of a finished registration')
    registration_commands.add_results_options(parser.add_argument)
    registration_commands.add_apply_options(parser.add_argument)
    registration_commands.add_points_options(parser.add_argument)


def _prepare(parser):
    """make a data set from its downloaded packs, or the phantom"""
    parser.add_argument('prepare', metavar='DATA', help='DIR-Lab_4D, DIR-Lab_COPD, SPREAD or Phantom_4D')
    evaluation_commands.add_source_options(parser.add_argument)
    options.add_setting_options(parser.add_argument)


def _train(parser):
    """train a network and register the testing pairs; without a settings file as RunRegNet3D.py does"""
    options.add_setting_options(parser.add_argument)
    options.add_training_options(parser.add_argument)


def _generate(parser):
    """make the images and artificial deformations of a training"""
    options.add_setting_options(parser.add_argument)
    options.add_part_option(parser.add_argument)
    parser.set_defaults(only_generate_image=True)


def _submit(parser):
    """hand the steps of a training to SLURM or Grid Engine, or see how far they are"""
    parser.add_argument('submit', nargs='*', type=options.step_name, metavar='STEP', help=options.SUBMIT)
    options.add_submission_options(parser.add_argument)
    options.add_setting_options(parser.add_argument)
    options.add_training_options(parser.add_argument)


def _evaluate(parser):
    """measure and compare the registrations of experiments and sets"""
    parser.add_argument('evaluate', nargs='+', metavar='EXPERIMENT', help='its name; a set registers what is missing')
    evaluation_commands.add_evaluation_options(parser.add_argument)
    evaluation_commands.add_page_options(parser.add_argument)
    options.add_setting_options(parser.add_argument)


def _report(parser):
    """HTML pages of folders that `regnet register`, `pairs` or `sequence` has written"""
    parser.add_argument('report', nargs='+', metavar='FOLDER', help='results of one or of many registrations')
    evaluation_commands.add_page_options(parser.add_argument)


def _addresses(parser):
    """which file is where, by address_generator"""
    number = options.positive_number
    parser.add_argument('requests', nargs='*', metavar='REQUEST', help='such as Im or DeformedDVF; default: all')
    parser.add_argument('--data', metavar='DATA', help='data set; default: the first of the settings')
    parser.add_argument('--cn', type=number, default=1, metavar='N', help='case number, from 1')
    parser.add_argument('--type_im', type=int, default=0, metavar='K', help='index of the image among the types')
    parser.add_argument('--dsmooth', type=int, default=0, metavar='K', help='number of the deformation')
    parser.add_argument('--pair', nargs=2, type=int, metavar='K', help='types of the fixed and moving image of a pair')
    parser.add_argument('--step', metavar='N', help='of a checkpoint')
    options.add_setting_options(parser.add_argument)
    parser.set_defaults(work=list_addresses)


def _export(parser):
    """write networks for other programs, as ONNX or TensorFlow's SavedModel"""
    parser.add_argument('model', nargs='+', metavar='MODEL', help='a set (chest), or experiments, one per stage')
    parser.add_argument('output', metavar='FOLDER', help='new folder')
    parser.add_argument('--format', default='onnx', choices=['onnx', 'savedmodel'], help='default: onnx')
    parser.add_argument('--stages', nargs='+', type=int, metavar='N', help='the passes; default: those of the set')
    parser.set_defaults(work=registration_commands.export)


#: name -> function that adds the arguments; its docstring is the help.
COMMANDS = {
    'register': _register,
    'pairs': _pairs,
    'sequence': _sequence,
    'apply': _apply,
    'prepare': _prepare,
    'generate': _generate,
    'train': _train,
    'submit': _submit,
    'evaluate': _evaluate,
    'report': _report,
    'addresses': _addresses,
    'export': _export,
}


class _PrintCompletion(argparse.Action):
    """Print the script that completes ``regnet`` in a shell."""

    def __call__(self, parser, namespace, values, option_string):
        try:
            import shtab
        except ImportError:
            parser.exit(2, f'{parser.prog}: {option_string} needs the package shtab (pip install shtab)\n')
        kinds = {'FILE': shtab.FILE, 'CSV': shtab.FILE, 'PATH': shtab.FILE, 'FIXED': shtab.FILE, 'MOVING': shtab.FILE}
        kinds.update(FOLDER=shtab.DIRECTORY, RESULTS=shtab.DIRECTORY)
        whole, commands = make_parser()
        for command in commands.values():
            for action in command._actions:
                if action.metavar in kinds:
                    action.complete = kinds[action.metavar]
        print(shtab.complete(whole, values))
        parser.exit()


def make_parser():
    """The parser of ``regnet``, and those of its subcommands by name."""
    parser = options.Parser(prog='regnet', description='Nonrigid registration of chest CT by trained networks.')
    parser.add_argument('--version', action='version', version=f'regnet {__version__}')
    shells, help_ = ('bash', 'zsh', 'tcsh'), 'script of the completion by a shell, e.g. for ~/.bashrc; needs shtab'
    parser.add_argument('--print-completion', action=_PrintCompletion, choices=shells, help=help_)
    commands = parser.add_subparsers(metavar='COMMAND', title='commands, each with its own --help', required=True)
    for name, add_arguments in COMMANDS.items():
        words = add_arguments.__doc__
        command = commands.add_parser(name, help=words, description=f'{words[0].upper()}{words[1:]}.')
        add_arguments(command)
        options.add_general_options(command.add_argument_group('general').add_argument)
    return parser, commands.choices


def parse_arguments(words):
    """A command line as :func:`functions.commands.options.parse_arguments` returns it."""
    parser, commands = make_parser()
    if words and words[0] in commands:
        parser, words = commands[words[0]], words[1:]
    given = parser.parse_args(words)
    arguments = argparse.Namespace(**{**vars(options.parse_arguments([])), **vars(given)})
    options.check_arguments(parser, arguments)
    return arguments


def main(words=None):
    """Run a command line; returns the exit code."""
    return carry_out(script_block(), parse_arguments(sys.argv[1:] if words is None else words))
