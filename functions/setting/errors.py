"""The errors a user of RegNet can meet: each one names the file or setting and says what is accepted.

Every class derives from :class:`RegNetError`, so that the command line can turn any of them into one line,
and from the built-in exception a Python programmer expects, so that notebooks can catch them the usual way.
"""

import difflib


class RegNetError(Exception):
    """Base of all errors that are the input's, not the program's."""


class InputError(RegNetError, ValueError):
    """A value, image or combination of settings that cannot be used."""


class UnknownNameError(RegNetError, KeyError):
    """A name (data set, address, network, setting key) that does not exist."""

    def __str__(self):
        # KeyError shows the repr of its argument, which would put a readable sentence in quotes.
        return str(self.args[0]) if self.args else ''


class MissingFileError(RegNetError, FileNotFoundError):
    """A file or folder that should be there and is not."""

    def __str__(self):
        return str(self.args[0]) if self.args else ''


class DiskError(RegNetError, OSError):
    """A file that could not be written; nothing that existed before was touched."""

    def __str__(self):
        return str(self.args[0]) if self.args else ''


def nearest_hint(name, accepted):
    """`` Did you mean 'x'?`` for the accepted name nearest to ``name``; empty where none is near."""
    nearest = difflib.get_close_matches(str(name), list(accepted), n=1, cutoff=0.6)
    return f' Did you mean {nearest[0]!r}?' if nearest else ''


def join_numbers(values):
    """Numbers for a message: '1, 3', or '1 to 10' where none is left out."""
    values = list(values)
    if len(values) > 2 and values == list(range(values[0], values[-1] + 1)):
        return f'{values[0]} to {values[-1]}'
    return ', '.join(map(str, values))


def unknown_name(kind, name, accepted):
    """Build the error for a misspelt ``name``.

    :param kind: what the name should be, e.g. ``'data set'``.
    :param name: what was given.
    :param accepted: iterable of valid names.
    :return: an :class:`UnknownNameError` (to be raised by the caller) that lists the nearest valid names first.
    """
    accepted = [str(item) for item in accepted]
    nearest = difflib.get_close_matches(str(name), accepted, n=3, cutoff=0.5)
    hint = ' Did you mean {}?'.format(' or '.join(map(repr, nearest))) if nearest else ''
    return UnknownNameError(f'{name!r} is not a known {kind}.{hint} Accepted: {", ".join(accepted) or "none"}.')
