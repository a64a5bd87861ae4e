"""elastix's parameter files: text, with lines such as ``(Name 1 2.5 "text")``, comments after ``//``."""

import collections
import os
import re

from functions.setting.atomic import write_text
from functions.setting.errors import InputError, MissingFileError

#: Characters that elastix refuses in the values of a parameter file.
REFUSED = ',;!@#$%&|<>?'
#: The parameter files that come with the repository.
PARAMETER_FOLDER = os.path.abspath(os.path.join(__file__, '..', '..', '..', 'Elastix', 'Registration', 'Parameter'))
_WORD = re.compile(r'\s*(?:"([^"]*)"|([^\s"]+))')


def parse_parameters(text, name='The parameter file'):
    """Parameters in the order of ``text``: OrderedDict name -> list of values (str, int or float).

    :param name: what to call the text in error messages.
    :raises InputError: a line that is neither empty, a comment nor ``(Name value ...)``, or a repeated name.
    """
    parameters = collections.OrderedDict()
    for number, line in enumerate(text.splitlines(), 1):
        line = _without_comment(line).strip()
        if not line:
            continue
        words = _words(line[1:-1]) if line[0] == '(' and line[-1] == ')' and len(line) > 1 else None
        if not words or len(words) < 2 or not isinstance(words[0], str):
            raise InputError(f'{name}, line {number}: expected (Name value ...), found {line[:80]!r}.')
        if words[0] in parameters:
            raise InputError(f'{name}, line {number}: {words[0]} is repeated.')
        parameters[words[0]] = words[1:]
    return parameters


def _without_comment(line):
    """``line`` up to the first ``//`` outside quotes."""
    position = line.find('//')
    while position >= 0 and line.count('"', 0, position) % 2:
        position = line.find('//', position + 1)
    return line if position < 0 else line[:position]


def _words(line):
    """The words of a line without its parentheses; None when a quote is not closed."""
    words, position = [], 0
    line = line.rstrip()
    while position < len(line):
        match = _WORD.match(line, position)
        if match is None:
            return None
        words.append(match.group(1) if match.group(1) is not None else _value(match.group(2)))
        position = match.end()
    return words


def _value(word):
    """An unquoted word as int or float if it is a number, else as text."""
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            pass
    return word


def format_parameters(parameters):
    """Text of a parameter file; the inverse of :func:`parse_parameters`.

    :param parameters: mapping name -> value or list of values. Text is quoted, True and False become "true" and
        "false", numbers keep every digit.
    :raises InputError: text that elastix cannot read.
    """
    lines = []
    for name, values in parameters.items():
        values = values if isinstance(values, (list, tuple)) else [values]
        words = ' '.join(_text(name, value) for value in values)
        lines.append(f'({name} {words})\n')
    return ''.join(lines)


def _text(name, value):
    if isinstance(value, bool):
        return f'"{str(value).lower()}"'
    if not isinstance(value, str):
        return repr(value if isinstance(value, int) else float(value))
    bad = ' '.join(sorted(set(value) & set(REFUSED + '"\n')))
    if bad:
        raise InputError(f'{name} is {value!r}; elastix cannot read a value that contains {bad}. Choose another name.')
    return f'"{value}"'


def read_parameters(path):
    """:func:`parse_parameters` of a file.

    :raises MissingFileError, InputError: the file is missing, or not a parameter file.
    """
    try:
        with open(path, encoding='utf-8') as stream:
            text = stream.read()
    except FileNotFoundError as error:
        raise MissingFileError(f'The elastix parameter file {path} does not exist.') from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f'{path} is not an elastix parameter file.') from error
    parameters = parse_parameters(text, path)
    if not parameters:
        raise InputError(f'{path} is not an elastix parameter file: it contains no parameters.')
    return parameters


def write_parameters(path, parameters):
    """Write a parameter file atomically."""
    write_text(path, format_parameters(parameters))
