"""elastix's parameter files: text, with lines such as ``(Name 1 2.5 "text")``, comments after ``//``."""

import os
import re

from ..setting.atomic import write_text
from ..setting.code_version import REPOSITORY
from ..setting.errors import InputError
from ..setting.text_files import read_text, sealed, unsealed

#: Characters that elastix refuses in the values of a parameter file.
REFUSED = ',;!@#$%&|<>?"\n'
#: The parameter files that come with RegNet.
PARAMETER_FOLDER = os.path.join(REPOSITORY, 'Elastix', 'Registration', 'Parameter')
_COMMENT = re.compile(r'^((?:[^"/]|"[^"]*"|/(?!/))*)//.*')
_WORD = re.compile(r'"[^"]*"|[^\s"]+|"')


def parse_parameters(text, name='The parameter file'):
    """Parameters in the order of ``text``: dictionary name -> list of values (str, int or float).

    :param name: what to call the text in error messages.
    :raises InputError: a line that is neither empty, a comment nor ``(Name value ...)``, or a repeated name.
    """
    parameters = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = (_COMMENT.sub(r'\1', line) if '//' in line else line).strip()
        if not line:
            continue
        words = _WORD.findall(line[1:-1]) if line[0] == '(' and line[-1] == ')' else []
        values = [_value(word) for word in words]
        # A lone quote is one that is never closed.
        if len(words) < 2 or '"' in words or not isinstance(values[0], str):
            raise InputError(f'{name}, line {number}: expected (Name value ...), found {line[:80]!r}.')
        if values[0] in parameters:
            raise InputError(f'{name}, line {number}: {values[0]} is repeated.')
        parameters[values[0]] = values[1:]
    return parameters


def _value(word):
    """A quoted word as text; an unquoted one as int or float if it is a number, else as text."""
    if word[0] == '"':
        return word[1:-1]
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
        lines.append(f'({name} {" ".join(_text(name, value) for value in values)})\n')
    return ''.join(lines)


def _text(name, value):
    if isinstance(value, bool):
        return f'"{str(value).lower()}"'
    if not isinstance(value, str):
        return repr(value if isinstance(value, int) else float(value))
    refused = ' '.join(refused_characters(value))
    if refused:
        raise InputError(f'{name} is {value!r}; elastix cannot read values with {refused}. Choose another name.')
    return f'"{value}"'


def refused_characters(text):
    """The characters of ``text`` that elastix refuses, sorted."""
    return sorted(set(text) & set(REFUSED))


def read_parameters(path):
    """:func:`parse_parameters` of a file, which must be there and hold some."""
    parameters = parse_parameters(unsealed(path, read_text(path, 'an elastix parameter file')), path)
    if not parameters:
        raise InputError(f'{path} is not an elastix parameter file: it contains no parameters.')
    return parameters


def write_parameters(path, parameters):
    """Write a parameter file, with its checksum, whole or not at all."""
    write_text(path, sealed(format_parameters(parameters), '//'))
