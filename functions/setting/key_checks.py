"""Sentences about keys and values: what is misspelt, what is of the wrong kind, what is accepted."""

import difflib


def nearest_hint(name, accepted):
    """`` Did you mean 'x'?`` for the accepted name nearest to ``name``; empty where none is near."""
    nearest = difflib.get_close_matches(str(name), accepted, n=1, cutoff=0.6)
    return f' Did you mean {nearest[0]!r}?' if nearest else ''


def join_numbers(values):
    """Numbers for a message: '1, 3', or '1 to 10' where none is left out."""
    values = list(values)
    if len(values) > 2 and values == list(range(values[0], values[-1] + 1)):
        return f'{values[0]} to {values[-1]}'
    return ', '.join(str(value) for value in values)


def key_problems(values, keys, prefix=''):
    """Problems of a dictionary of settings, those in it included, as sentences.

    :param values: the dictionary.
    :param keys: list of :class:`functions.setting.schema.Key` it may have.
    :param prefix: what stands before a key in a message, for example ``'NetworkTraining.'``.
    """
    problems = []
    known = {key.name: key for key in keys}
    for name, value in values.items():
        if name not in known:
            problems.append(f'{prefix}{name} is not a setting.{nearest_hint(name, list(known))}')
            continue
        kind = known[name].kind
        if not isinstance(kind, list):
            if not kind.accepts(value):
                problems.append(f'{prefix}{name} is {value!r}; accepted: {kind.text}.')
        elif not isinstance(value, dict):
            problems.append(f'{prefix}{name} is {value!r}; accepted: a dictionary.')
        else:
            problems += key_problems(value, kind, prefix + name + '.')
    return problems
