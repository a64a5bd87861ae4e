"""Kinds of values: what a setting or an entry of a record accepts, and the sentence that says so."""

import collections
import numbers
import os
import re

from .errors import InputError, nearest_hint
from .operating_system import can_be_name

#: No number is larger.
LARGEST = 2**63 - 1


class Kind(collections.namedtuple('Kind', 'accepts text names json')):
    """A kind of value: ``accepts(value)`` -> bool, ``text`` says what is accepted, ``names`` lists accepted words.

    ``json`` is its JSON Schema, which accepts whatever ``accepts`` does, and more where JSON Schema cannot say it.
    """

    __slots__ = ()

    def __new__(cls, accepts, text, names=(), json=None):
        return super().__new__(cls, accepts, text, names, json or {})

    def problem(self, name, value):
        """A sentence that says why ``value`` cannot be the setting ``name``; None when it can."""
        if self.accepts(value):
            return None
        items = value if isinstance(value, (list, tuple)) else [value]
        if any(isinstance(item, numbers.Real) and LARGEST < abs(item) < float('inf') for item in items):
            return f'{name} has a number beyond {LARGEST}; accepted: {self.text}.'
        words = [item for item in items if isinstance(item, str) and item not in self.names]
        hint = nearest_hint(words[0], self.names) if words else ''
        return f'{name} is {shown(value)}; accepted: {self.text}.{hint}'

    def require(self, name, value):
        """Return ``value``, or raise an InputError when it cannot be the setting ``name``."""
        if not self.accepts(value):
            raise InputError(self.problem(name, value))
        return value


def shown(value):
    """A value in a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 200 else f'{text[:150]} ... {text[-40:]}'


def whole(least=None, most=None):
    """Whole numbers in a range."""
    return _number(numbers.Integral, 'a whole number', least, most)


def number(least=None, most=None, above=None):
    """Finite numbers in a range; ``above`` excludes its end."""
    return _number(numbers.Real, 'a number', least, most, above)


def _number(number_type, text, least, most, above=None):
    def accepts(value):
        if not isinstance(value, number_type) or isinstance(value, bool) or not abs(value) <= LARGEST:
            return False
        low_enough, high_enough = most is None or value <= most, least is None or value >= least
        return low_enough and high_enough and (above is None or value > above)

    bounds = [(' from ', least), (' above ', above), (' to ' if above is None else ' up to ', most)]
    json = {'minimum': least, 'exclusiveMinimum': above, 'maximum': most}
    json = {name: bound for name, bound in json.items() if bound is not None}
    json['type'] = 'integer' if number_type is numbers.Integral else 'number'
    return Kind(accepts, text + ''.join(f'{word}{bound}' for word, bound in bounds if bound is not None), json=json)


def choice(*values):
    """One of ``values`` (texts, whole numbers, None or lists of them); True and 1.0 do not pass for 1."""

    def same(value, other):
        if isinstance(other, list):
            return isinstance(value, list) and len(value) == len(other) and all(map(same, value, other))
        if isinstance(other, int):
            return whole(other, other).accepts(value)
        return value is None if other is None else isinstance(value, str) and value == other

    text = 'one of ' + ', '.join(repr(value) for value in values)
    names = tuple(value for value in values if isinstance(value, str))
    return Kind(lambda value: any(same(value, other) for other in values), text, names, {'enum': list(values)})


def optional(kind):
    """``kind`` or None."""
    json = {'anyOf': [kind.json, {'type': 'null'}]}
    return Kind(lambda value: value is None or kind.accepts(value), kind.text + ', or None', kind.names, json)


def list_of(kind, length=None, least=0, most=None):
    """A list whose items are all of ``kind``."""
    count = f'{length} ' if length else f'at most {most} ' if most else ''
    sizes = whole(length or least, length or most)

    def accepts(value):
        return isinstance(value, (list, tuple)) and sizes.accepts(len(value)) and all(map(kind.accepts, value))

    json = {'type': 'array', 'items': kind.json, 'minItems': length or least}
    json.update({'maxItems': length or most} if length or most else {})
    return Kind(accepts, f'a list of {count}items, each {kind.text}', kind.names, json)


def mapping_of(kind):
    """A dictionary whose values are all of ``kind``."""
    text = f'a dictionary of values, each {kind.text}'
    json = {'type': 'object', 'additionalProperties': kind.json}
    return Kind(lambda value: isinstance(value, dict) and all(map(kind.accepts, value.values())), text, json=json)


def having(**kinds):
    """A dictionary with an entry of each of ``kinds``; a missing one counts as None."""
    text = 'a dictionary with ' + ', '.join(f'{name} ({kind.text})' for name, kind in kinds.items())
    return Kind(lambda v: isinstance(v, dict) and all(kind.accepts(v.get(name)) for name, kind in kinds.items()), text)


def increasing(kind, length=None, most=None, strictly=False):
    """A list of numbers of ``kind``, none smaller than the one before (``strictly``: each larger)."""
    items = list_of(kind, length, least=1, most=most)

    def accepts(value):
        ordered = items.accepts(value) and list(value) == sorted(value)
        return ordered and not (strictly and any(a == b for a, b in zip(value, value[1:])))

    return Kind(accepts, items.text + ', increasing', json=items.json)


def either(*kinds):
    """Any of ``kinds``."""
    text = ', or '.join(kind.text for kind in kinds)
    json = {'anyOf': [kind.json for kind in kinds]}
    return Kind(lambda value: any(kind.accepts(value) for kind in kinds), text, json=json)


_STRING = {'type': 'string'}


def _path_parts(value):
    """The parts of a text that can be a path, as bytes; None when this system cannot have such names."""
    if not isinstance(value, str) or not value or re.search('[\x00-\x1f\x7f-\x9f\ud800-\udfff]', value):
        return None
    try:
        parts = os.fsencode(value).split(b'/')
    except UnicodeEncodeError:
        return None
    return parts if max(map(len, parts)) <= 255 else None


def _name(most):
    """One part of a path: what is named so lies where it is put, and no temporary or lock is called that."""

    def accepts(value):
        parts = _path_parts(value)
        single = parts is not None and len(parts) == 1 and '\\' not in value and can_be_name(value)
        return single and 0 < len(parts[0]) <= most and not value.startswith('.')

    text = f"a name of up to {most} bytes, without slashes and control characters, not beginning with '.'"
    return Kind(accepts, text, json=_STRING)


FLAG = Kind(lambda value: isinstance(value, bool), 'True or False', json={'type': 'boolean'})
TEXT = Kind(lambda value: isinstance(value, str) and bool(value), 'text', json=_STRING)
#: Names that are put together in the name of one file.
NAME = _name(64)
_EXPERIMENT_PART = _name(128)
EXPERIMENT = Kind(
    lambda value: isinstance(value, str) and all(map(_EXPERIMENT_PART.accepts, value.split('/'))),
    f'a name, or Sub/Name; each {_EXPERIMENT_PART.text}',
    json=_STRING,
)
PATH = Kind(
    lambda value: _path_parts(value) is not None,
    'text that can be a path (without control characters, names of up to 255 bytes)',
    json=_STRING,
)
#: A piece of a name.
PART = Kind(
    lambda value: isinstance(value, str) and value not in ('.', '..') and not re.search(r'[\x00-\x1f/\\]', value),
    'text without slashes',
)
#: With fields of addresses in it. A folder elsewhere is named by an absolute path.
PATTERN = Kind(
    lambda value: PATH.accepts(value) and '..' not in re.sub(r'{.*?}', '/', value).split('/'),
    PATH.text + ", without '..'",
)
FOLDER = Kind(lambda value: PATH.accepts(value) and value.endswith('/'), 'a folder ending in /', json=_STRING)
MAPPING = Kind(lambda value: isinstance(value, dict), 'a dictionary', json={'type': 'object'})
ANYTHING = Kind(lambda value: True, 'anything')
