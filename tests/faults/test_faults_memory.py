"""What one process does again and again does not fill its memory."""

import re

import pytest

pytestmark = pytest.mark.once

ROW = 'work repeated in one process'


@pytest.mark.parametrize('kind, count, long_count', [('pairs', 12, 30), ('items', 60, 200), ('models', 10, 10)])
def test_memory_stays_flat(kind, count, long_count, tmp_path, server, inputs, patient, faults, is_long):
    """What the process always holds is within 5 % of what it held in the first third, in which caches and pools fill.

    One reading may be higher: it is taken while the memory of threads that just ended is being given back.
    """
    folders = {'pairs': [inputs, str(tmp_path)], 'items': [patient], 'models': [inputs]}[kind]
    with faults(ROW):
        words = [kind, str(long_count if is_long else count)] + folders
        code, printed = server.run(words, target='small_memory:main')
        assert code == 0, printed
        used = [int(number) for number in re.findall(r'^memory: (\d+)$', printed, re.MULTILINE)]
        assert len(used) == int(words[1])
        third = len(used) // 3
        assert min(used[-third:]) < 1.05 * max(used[:third]), used
