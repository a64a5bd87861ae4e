"""Tables: alignment, rounding and round trips."""

import csv
import io

import numpy as np
import pytest

from functions.evaluation.text_table import format_table, mean_std
from functions.setting.errors import InputError, UnknownNameError

ROWS = [
    {'method': 'before', 'n': 300, 'TRE mm': 7.46159},
    {'method': 'a|b, c', 'n': np.int64(7), 'TRE mm': np.float32(0.5), 'folding %': 1.0 / 3},
]


def test_evaluation_table_text_is_aligned():
    assert format_table(ROWS) == (
        'method    n  TRE mm  folding %\n'
        '------  ---  ------  ---------\n'
        'before  300    7.46          -\n'
        'a|b, c    7    0.50       0.33\n'
    )


def test_evaluation_table_markdown_has_one_cell_per_column():
    text = format_table(ROWS, columns=['TRE mm', 'method'], style='markdown', digits={'TRE mm': 1})
    lines = text.splitlines()
    assert lines[0].replace(' ', '') == '|TREmm|method|'
    assert lines[1].replace(' ', '') == '|-----:|-------|'
    assert lines[2].replace(' ', '') == '|7.5|before|'
    assert lines[3].replace(' ', '') == '|0.5|a\\|b,c|'
    assert len({len(line) for line in lines}) == 1


def test_evaluation_table_csv_reads_back_exactly():
    rows = list(csv.DictReader(io.StringIO(format_table(ROWS, style='csv'))))
    assert float(rows[0]['TRE mm']) == 7.46159 and rows[0]['folding %'] == ''
    assert rows[1]['method'] == 'a|b, c' and float(rows[1]['folding %']) == 1.0 / 3 and rows[1]['n'] == '7'


def test_evaluation_table_refuses():
    with pytest.raises(InputError):
        format_table([])
    with pytest.raises(UnknownNameError, match='markdown'):
        format_table(ROWS, style='markdwon')
    with pytest.raises(UnknownNameError, match='TRE mm'):
        format_table(ROWS, columns=['TRE m'])


def test_evaluation_table_mean_std():
    assert mean_std(1.239, 0.5) == '1.24 ± 0.50'
