"""Every kind of file that is read, cut and with flipped bytes: refused by name, or what it says is unchanged.

Where a format carries nothing to tell by, ``SECURITY.md`` names it; there the file is read, or refused by name.
"""

import os
import random
import re
import shutil

import file_kinds
import numpy as np
import pytest

from functions.setting.errors import RegNetError

ROW = {'cut': 'files cut short', 'flip': 'files with flipped bytes'}
DOCUMENT = os.path.join(os.path.dirname(__file__), '..', '..', 'SECURITY.md')


def unnoticed():
    """The table of SECURITY.md: kind -> what of it goes unnoticed ('cut', 'flip')."""
    with open(DOCUMENT, encoding='utf-8') as stream:
        rows = re.findall(r'^\| `([^|]+)` \|([^|]*)\|([^|]*)\|$', stream.read(), re.MULTILINE)
    columns = ('cut', 'flip')
    return {kind: {name for name, text in zip(columns, texts) if text.strip()} for kind, *texts in rows}


UNNOTICED = unnoticed()


def damaged(content, fault, generator, number):
    """``number`` damaged copies of ``content``."""
    if fault == 'cut':
        places = [0, 1, len(content) - 1, len(content) - 2]
        for _ in range(2):  # the last line is missing, and the one before too
            places.append(max(0, content.rfind(b'\n', 0, places[-1])))
        places += [generator.randrange(len(content)) for _ in range(number - len(places))]
        return [content[:place] for place in places]
    copies = []
    for _ in range(number):
        copy = bytearray(content)
        copy[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        copies.append(bytes(copy))
    return copies


def names(path):
    """All files beside ``path``, and itself."""
    folder = os.path.dirname(path)
    return sorted(name for name in os.listdir(folder) if os.path.isfile(os.path.join(folder, name)))


def same(found, expected):
    if isinstance(expected, (list, tuple)):
        return len(found) == len(expected) and all(map(same, found, expected))
    return np.array_equal(found, expected)


@pytest.mark.parametrize('fault', ['cut', 'flip'])
@pytest.mark.parametrize('kind', sorted(file_kinds.KINDS))
def test_a_damaged_file_is_refused_by_name_or_means_the_same(kind, fault, tmp_path, faults, is_long):
    make, read = file_kinds.KINDS[kind]
    path = make(str(tmp_path / 'here'))
    expected = read(path)
    generator = random.Random(kind + fault)
    for name in names(path) if kind in file_kinds.OF_SEVERAL_FILES else [path]:
        victim = os.path.join(os.path.dirname(path), name)
        with open(victim, 'rb') as stream:
            content = stream.read()
        for copy in damaged(content, fault, generator, 400 if is_long else file_kinds.FAULTS.get(kind, 20)):
            with open(victim, 'wb') as stream:
                stream.write(copy)
            with faults(ROW[fault]):
                try:
                    found = read(path)
                except RegNetError as error:
                    assert os.path.basename(os.path.dirname(path)) in str(error) and '\n' not in str(error), error
                else:
                    assert same(found, expected) or fault in UNNOTICED.get(kind, ()), (len(copy), copy[-80:])
        with open(victim, 'wb') as stream:
            stream.write(content)
    shutil.rmtree(str(tmp_path))


def test_the_security_page_names_kinds_that_are_read():
    assert UNNOTICED and set(UNNOTICED) <= set(file_kinds.KINDS)
