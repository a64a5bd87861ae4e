"""Text and JSON files read whole or refused in one sentence, and the checksum that those we write carry.

What a program writes to be read back says what it holds: JSON in its entry ``checksum``, other text in a comment on its
last line. A file of others has none and passes; it must be complete by what its format says.
"""

import hashlib
import json
import logging
import os
import re
import stat

from .errors import InputError, MissingFileError

LOGGER = logging.getLogger(__name__)

MOST_BYTES = 2**26
_DEEPEST = 40  # levels of lists and dictionaries; settings have 8
_CHECKSUM = 'checksum'
_SEAL = re.compile(r'^(#|//) checksum (blake2b:[^\n]*)\n?\Z', re.MULTILINE)


def read_text(path, kind='a text file'):
    """The text of a file, without its byte order mark and with its line ends as they are.

    :param kind: what is needed, for messages.
    :raises MissingFileError: it is not there.
    :raises InputError: no file (a folder, a pipe), unreadable, too large, or not UTF-8.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f'{path} is not a file; {kind} is needed.')
        if status.st_size > MOST_BYTES:
            raise InputError(f'{path} has {status.st_size} bytes, too many for {kind} (at most {MOST_BYTES}).')
        with open(path, encoding='utf-8-sig', newline='') as stream:
            text = stream.read()
    except FileNotFoundError as error:
        raise MissingFileError(f'{path} does not exist; {kind} is needed.') from error
    except OSError as error:
        raise InputError(f'{path} cannot be read: {error.strerror}; {kind} is needed.') from error
    except InputError:
        raise
    except ValueError as error:  # bytes that are no UTF-8, or a path that cannot be one
        raise InputError(f'{path} is not {kind} in UTF-8, or is damaged ({error}).') from error
    if '\0' in text:
        raise InputError(f'{path} is not {kind}, or is damaged: it holds bytes of zero.')
    return text


def warn_of_open_end(path, text):
    """Log a warning where the last line has no end: what was cut short rarely does, what people type may not."""
    if text and not text.endswith(('\n', '\r')):
        LOGGER.warning('%s: its last line has no line break. Was it cut short?', path)


# ---- checksums


def checksum_of(text):
    """``blake2b:`` and 128 bits of it, hexadecimal."""
    return 'blake2b:' + hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def sealed(text, mark):
    """``text`` with its checksum in a comment on a last line; ``mark`` ('#', '//') begins the comment."""
    return f'{text}{mark} {_CHECKSUM} {checksum_of(text)}\n'


def unsealed(path, text):
    """``text`` without its seal, if it has one; an InputError when it is not what was sealed."""
    seal = _SEAL.search(text)
    if seal is None:
        return text
    text = text[: seal.start()]
    if checksum_of(text) != seal.group(2):
        raise _damaged(path, 'last line')
    return text


def _damaged(path, place):
    remedy = f'Copy or make it again; if you edited it, remove its {place}'
    return InputError(f'{path} is damaged, or was edited: its checksum does not match its content. {remedy}.')


# ---- JSON


def json_text(data, seal=True):
    """JSON with sorted keys and an indent of 4; a dictionary gets the entry ``checksum`` (``seal``)."""
    if seal and isinstance(data, dict):
        # As it will be read back: lists for tuples, text for keys.
        data = json.loads(json.dumps(dict(data)))
        data.pop(_CHECKSUM, None)
        data[_CHECKSUM] = checksum_of(_canonical(data))
    return json.dumps(data, sort_keys=True, indent=4, separators=(',', ': ')) + '\n'


def _canonical(data):
    return json.dumps(data, sort_keys=True, separators=(',', ':'), ensure_ascii=False)


def read_json(path, edited=False):
    """Read a JSON file; its ``checksum`` is compared and left out.

    :param edited: people edit this file, so its checksum says nothing.
    :raises MissingFileError: it is not there.
    :raises InputError: not readable, not JSON (cut short), damaged, a key twice, too deeply nested or too large.
    """
    return parse_json(path, read_text(path, 'a JSON file'), edited)


def read_record(path, shape):
    """:func:`read_json` of a dictionary that holds what ``shape`` says, see :func:`require_shape`."""
    return require_shape(path, read_json(path), shape)


def require_shape(path, content, shape, where=''):
    """``content``, or an InputError that names ``path`` where it is not as it should be.

    :param shape: dictionary key -> kind of :mod:`functions.setting.kinds`, or again such a dictionary; what a kind
        does not accept as None must be there, further keys may be.
    """
    if not isinstance(content, dict):
        raise InputError(f'{path} is damaged or no such record: {where.rstrip(".") or "its content"} is no dictionary.')
    for key, kind in shape.items():
        if isinstance(kind, dict):
            require_shape(path, content.get(key), kind, f'{where}{key}.')
        else:
            problem = kind.problem(where + key, content.get(key))
            if problem:
                raise InputError(f'{path} is damaged or no such record: {problem}')
    return content


def parse_json(path, text, edited=False):
    """The content of a JSON text; see :func:`read_json`."""
    try:
        content = json.loads(text, object_pairs_hook=_unique)
        if _is_too_deep(content):
            raise RecursionError
        checksum = content.pop(_CHECKSUM, None) if isinstance(content, dict) else None
        canonical = _canonical(content)
        canonical.encode()
    except RecursionError as error:
        raise InputError(f'{path} is nested too deeply (more than {_DEEPEST} levels).') from error
    except ValueError as error:
        raise InputError(f'{path} is not valid JSON: {error}.') from error
    if '\\u0000' in canonical:
        raise InputError(f'{path} holds text with a character of zero (\\u0000), which no name can have.')
    if checksum is not None and not edited and checksum != checksum_of(canonical):
        raise _damaged(path, f'entry "{_CHECKSUM}"')
    return content


def _unique(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f'the key {twice!r} is there twice')
    return found


def _is_too_deep(content):
    level = [content]
    for _ in range(_DEEPEST):
        nested = [value for value in level if isinstance(value, (dict, list))]
        if not nested:
            return False
        level = [value for one in nested for value in (one.values() if isinstance(one, dict) else one)]
    return bool(level)


def read_json_lines(path, shape=None):
    """The dictionaries of a JSON lines file; a line that is none of a ``shape`` (:func:`require_shape`), cut short by a
    crash, is skipped with a warning.
    """
    lines = []
    with open(path, encoding='utf-8', errors='replace') as stream:
        for text in stream:
            try:
                lines.append(require_shape(path, json.loads(text), shape or {}))
            except (ValueError, RecursionError):
                LOGGER.warning('%s: skipped a line that is cut short or damaged.', path)
    return lines
