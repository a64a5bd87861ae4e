"""Rows of results as aligned text, Markdown or CSV."""
import csv
import io
import numbers

from functions.setting.errors import InputError, unknown_name

STYLES = ('text', 'markdown', 'csv')


def format_table(rows, columns=None, style='text', digits=2):
    """Format a list of results.

    :param rows: list of dictionaries, column title -> value; a missing or None value is shown as `-` (empty
        in CSV).
    :param columns: titles in the order to show; None: in the order of first appearance.
    :param style: 'text' (aligned for a terminal), 'markdown' or 'csv' (numbers unrounded).
    :param digits: decimals of floats, an integer or a dictionary column -> integer (2 where absent).
    :return: text ending in a line break.
    :raises InputError: no row, or a column that no row has.
    """
    if style not in STYLES:
        raise unknown_name('table style', style, STYLES)
    rows = list(rows)
    if not rows:
        raise InputError('A table needs at least one row.')
    present = []
    for row in rows:
        present.extend(key for key in row if key not in present)
    columns = present if columns is None else list(columns)
    for column in columns:
        if column not in present:
            raise unknown_name('column of this table', column, present)
    if style == 'csv':
        return _csv(rows, columns)
    decimals = {column: digits.get(column, 2) if isinstance(digits, dict) else digits for column in columns}
    cells = [[_cell(row.get(column), decimals[column]) for column in columns] for row in rows]
    right = [all(row.get(column) is None or _is_number(row.get(column))
                 for row in rows) for column in columns]
    if style == 'markdown':
        cells = [[cell.replace('|', '\\|').replace('\n', ' ') for cell in line] for line in cells]
    titles = [str(column) for column in columns]
    width = [max(len(titles[k]), 3, *(len(line[k]) for line in cells)) for k in range(len(columns))]
    lines = [_aligned(line, width, right) for line in [titles] + cells]
    if style == 'text':
        return '\n'.join(['  '.join(lines[0]).rstrip(), '  '.join('-' * w for w in width)]
                         + ['  '.join(line).rstrip() for line in lines[1:]]) + '\n'
    rule = ['-' * (w - 1) + ':' if to_right else '-' * w for w, to_right in zip(width, right)]
    return '\n'.join('| {} |'.format(' | '.join(line)) for line in [lines[0], rule] + lines[1:]) + '\n'


def mean_std(mean, std, digits=2):
    """`mean ± std` with a fixed number of decimals."""
    return '{:.{d}f} ± {:.{d}f}'.format(mean, std, d=digits)


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _cell(value, digits):
    if value is None:
        return '-'
    if _is_number(value) and not isinstance(value, numbers.Integral):
        return '{:.{}f}'.format(float(value), digits)
    return str(value)


def _aligned(line, width, right):
    return [cell.rjust(w) if to_right else cell.ljust(w) for cell, w, to_right in zip(line, width, right)]


def _csv(rows, columns):
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator='\n')
    writer.writerow(columns)
    for row in rows:
        values = [row.get(column) for column in columns]
        writer.writerow(['' if value is None
                         else float(value) if _is_number(value) and not isinstance(value, numbers.Integral)
                         else value for value in values])
    return stream.getvalue()
