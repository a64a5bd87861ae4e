"""What the schedulers have in common: asking their commands, and the values of their options."""

import collections
import re
import subprocess

from ..setting.errors import InputError, MissingFileError, RegNetError

Scheduler = collections.namedtuple('Scheduler', 'program prefix part go_on environment directives submit states')
"""``program`` that submits; ``prefix`` of directives; ``part``: variable of a script that holds the number of its part;
``go_on``: its lines for exit code 138, the job is to go on later; ``environment``: setting of the virtual environment;
functions ``directives``, ``submit`` and ``states``, see :mod:`functions.cluster.slurm`."""

#: States of a part that needs no new submission; any other is over.
ACTIVE = ('waiting', 'running')
#: Seconds before the time limit at which a job is warned, to write a checkpoint.
WARNING_S = 120
_PATIENCE_S = 120


def ask(*words):
    """What a command of the scheduler prints.

    :raises MissingFileError: it is not on the PATH. :raises RegNetError: it refuses, or does not answer.
    """
    try:
        # In a session of its own Ctrl-C does not reach it.
        done = subprocess.run(words, capture_output=True, timeout=_PATIENCE_S, start_new_session=True)
    except FileNotFoundError as error:
        raise MissingFileError(f'{words[0]} is not on the PATH: jobs are submitted where the scheduler is.') from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RegNetError(f'{words[0]} does not answer: {error}.') from error
    if done.returncode:
        said = [line.strip().rstrip('.') for line in done.stderr.decode(errors='replace').splitlines() if line.strip()]
        raise RegNetError(f'{words[0]} refused: {"; ".join(said) or f"exit code {done.returncode}"}.')
    return done.stdout.decode(errors='replace')


def memory(value):
    """Memory as both schedulers read it; numbers are MB."""
    return f'{value}M' if isinstance(value, int) or str(value).isdigit() else value


def seconds(limit):
    """Seconds of a time limit ``[days-]hours:minutes:seconds``, or of a number of minutes."""
    match = re.match(r'(?:(\d+)-)?(\d+):(\d\d):(\d\d)\Z', limit)
    if match:
        days, hours, minutes, rest = [int(group or 0) for group in match.groups()]
        found = ((days * 24 + hours) * 60 + minutes) * 60 + rest
    else:
        found = 60 * int(limit) if limit.isdigit() else 0
    if not found:
        accepted = 'minutes, hours:minutes:seconds or days-hours:minutes:seconds, above 0'
        raise InputError(f'The time limit of a job (cluster_time, --time) is {limit!r}; accepted: {accepted}.')
    return found
