"""Names of the files that registrations write and others read."""

import os
import re

from .parts import part_name

#: Record of one registration.
RESULTS = 'results.json'
DISPLACEMENT, MOVED = 'displacement', 'moved'
#: Record of a sequence, and its film.
SEQUENCE, ANIMATION = 'sequence.json', 'animation.gif'
_PAIRS = 'pairs.json'


def pairs_record(part=None):
    """Record of the pairs of a list, or of its part 'k/n'."""
    return _PAIRS.replace('.', f'_{part_name(part)}.') if part else _PAIRS


def part_of(name):
    """(k, n) of a :func:`pairs_record`, (1, 1) of that of a whole list; None for other names."""
    match = re.match(r'pairs(?:_(\d{1,5})of(\d{1,5}))?\.json\Z', name)
    return match and (int(match.group(1) or 1), int(match.group(2) or 1))


def pairs_records(folder):
    """(k, n) -> path of every :func:`pairs_record` in a folder, which may be missing; whole list and parts in order."""
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    found = {part_of(name): os.path.join(folder, name) for name in names if part_of(name)}
    return {part: found[part] for part in sorted(found, key=lambda part: part[::-1])}
