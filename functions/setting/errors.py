"""The errors a user of RegNet can meet: each one names the file or setting and says what is accepted.

Every class derives from :class:`RegNetError`, which the command line prints as one line, and from the built-in
exception a Python programmer expects.
"""

import difflib
import traceback


class RegNetError(Exception):
    """Base of all errors that are the input's, not the program's."""

    def __str__(self):
        # KeyError and OSError would show the message in quotes or look for an error number.
        return str(self.args[0]) if self.args else ''


class InputError(RegNetError, ValueError):
    """A value, image or combination of settings that cannot be used."""


class UnknownNameError(RegNetError, KeyError):
    """A name (data set, address, network, setting key) that does not exist."""


class MissingFileError(RegNetError, FileNotFoundError):
    """A file or folder that should be there and is not."""


class DiskError(RegNetError, OSError):
    """A file that could not be written; nothing that existed before was touched."""


class InUseError(DiskError):
    """A folder in which another process works."""


class LeftOutError(RegNetError):
    """A registration is done, but without a part of it, and ``--strict`` was asked for."""

    exit_code = 3


def sentence_of(error):
    """What a user needs to know of an exception; None where it is a fault of the program."""
    if isinstance(error, RegNetError):
        return str(error)
    if isinstance(error, OSError):
        return None if error.filename is None else f'{error.filename}: {error.strerror}.'
    if isinstance(error, MemoryError):
        return f'Out of memory: {str(error).rstrip(".") or "nothing more is known"}. What was finished is kept.'
    if isinstance(error, KeyboardInterrupt):
        return 'Interrupted. What was finished is kept; the same command goes on from there.'
    return None


def account_of(error):
    """:func:`sentence_of` of the exception that is being handled; of a fault of the program name and traceback."""
    return sentence_of(error) or f'{type(error).__name__}: {error}\n\n{traceback.format_exc()}'


def nearest_hint(name, accepted):
    """`` Did you mean 'x'?`` for the accepted name nearest to ``name``; empty when none is near."""
    nearest = difflib.get_close_matches(str(name), list(accepted), n=1, cutoff=0.6)
    return f' Did you mean {nearest[0]!r}?' if nearest else ''


def join_numbers(values):
    """Numbers for a message: '1, 3', or '1 to 10' for a range."""
    values = list(values)
    if len(values) > 2 and values == list(range(values[0], values[-1] + 1)):
        return f'{values[0]} to {values[-1]}'
    return ', '.join(map(str, values))


def unknown_name(kind, name, accepted):
    """The error to raise: ``name`` is not a ``kind`` ('data set'). It suggests similar names and lists all accepted."""
    accepted = [str(item) for item in accepted]
    nearest = difflib.get_close_matches(str(name), accepted, n=3, cutoff=0.5)
    hint = f' Did you mean {" or ".join(map(repr, nearest))}?' if nearest else ''
    return UnknownNameError(f'{name!r} is not a known {kind}.{hint} Accepted: {", ".join(accepted) or "none"}.')


def require_known(kind, name, accepted):
    """Return ``name``; raise :func:`unknown_name` unless it is one of ``accepted``."""
    if name not in list(accepted):
        raise unknown_name(kind, name, accepted)
    return name
