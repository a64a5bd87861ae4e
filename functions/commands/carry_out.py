"""Carries out a command line: its log, its result and its exit code."""

import contextlib
import json
import logging
import sys

from ..registration import command_line as registration_commands
from ..setting.errors import RegNetError, sentence_of
from ..setting.progress import Progress
from . import steps, submission


def carry_out(script, arguments):
    """Do what the arguments ask for; returns the exit code.

    :param script: the assignments of ``RunRegNet3D.py``.
    :param arguments: all options of :func:`functions.commands.options.parse_arguments`; ``work``, where it is not
        None, is called with them and the dictionary of results instead of the steps.
    """
    Progress.quiet = arguments.quiet
    level = logging.WARNING if arguments.quiet else logging.INFO
    logging.basicConfig(level=level, format='%(asctime)s %(levelname)s %(message)s', datefmt='%H:%M:%S')
    result = {'exit_code': 0, 'error': None}
    with contextlib.redirect_stdout(sys.stderr if arguments.json else sys.stdout):
        try:
            _work(script, arguments, result)
        except (RegNetError, OSError, MemoryError, KeyboardInterrupt) as error:
            sentence = sentence_of(error)
            if arguments.traceback or sentence is None:
                raise
            logging.error('%s', sentence)
            interrupted = isinstance(error, KeyboardInterrupt)
            result.update(exit_code=130 if interrupted else getattr(error, 'exit_code', 2), error=sentence)
    if arguments.json:
        print(json.dumps(result))
    return result['exit_code']


def _work(script, arguments, result):
    if arguments.work:
        arguments.work(arguments, result)
    elif arguments.submit or arguments.status:
        submission.run(script, arguments, result)
    elif registration_commands.asked(arguments):
        registration_commands.run(arguments, result)
    elif arguments.report and not arguments.evaluate:
        steps.report_folders(arguments, result)
    else:
        steps.run(script, arguments, result)
