"""Rows of results as aligned text, Markdown, LaTeX or CSV."""

import csv
import io
import numbers

from functions.setting.errors import InputError, unknown_name

STYLES = ('text', 'markdown', 'csv', 'latex')
#: style -> mark -> what a cell becomes.
_MARKS = {
    'text': {'best': '{}*', 'second': '{} ', 'dagger': '{}†'},
    'markdown': {'best': '**{}**', 'second': '*{}*', 'dagger': '{}†'},
    'latex': {'best': '\\textbf{{{}}}', 'second': '\\underline{{{}}}', 'dagger': '{}$^\\dagger$'},
}
_LATEX = {
    '\\': '\\textbackslash{}',
    '&': '\\&',
    '%': '\\%',
    '$': '\\$',
    '#': '\\#',
    '_': '\\_',
    '{': '\\{',
    '}': '\\}',
    '~': '\\textasciitilde{}',
    '^': '\\textasciicircum{}',
    '<': '$<$',
    '>': '$>$',
    '|': '$|$',
    '±': '$\\pm$',
    '†': '$\\dagger$',
    '→': '$\\to$',
}


def format_table(rows, columns=None, style='text', digits=2, marks=None, daggers=()):
    """Format a list of results.

    :param rows: list of dictionaries, column title -> value; a missing or None value is shown as `-` (empty
        in CSV).
    :param columns: titles in the order to show; None: in the order of first appearance.
    :param style: 'text' (aligned for a terminal), 'markdown', 'latex' (a tabular with rules of booktabs) or
        'csv' (numbers unrounded, no marks).
    :param digits: decimals of floats, an integer or a dictionary column -> integer (2 where absent).
    :param marks: (number of the row, column) -> 'best' or 'second'.
    :param daggers: set of (number of the row, column) to be marked by a dagger.
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
    right = [all(row.get(column) is None or _is_number(row.get(column)) for row in rows) for column in columns]
    titles = [str(column) for column in columns]
    if style in ('markdown', 'latex'):
        titles = [_escaped(title, style) for title in titles]
        cells = [[_escaped(cell, style) for cell in line] for line in cells]
    _mark(cells, columns, _MARKS[style], marks or {}, daggers)
    if style == 'latex':
        return _latex(titles, cells, right)
    width = [max(len(titles[k]), 3, *(len(line[k]) for line in cells)) for k in range(len(columns))]
    lines = [_aligned(line, width, right) for line in [titles] + cells]
    if style == 'text':
        return (
            '\n'.join(
                ['  '.join(lines[0]).rstrip(), '  '.join('-' * w for w in width)]
                + ['  '.join(line).rstrip() for line in lines[1:]]
            )
            + '\n'
        )
    rule = ['-' * (w - 1) + ':' if to_right else '-' * w for w, to_right in zip(width, right)]
    return '\n'.join('| {} |'.format(' | '.join(line)) for line in [lines[0], rule] + lines[1:]) + '\n'


def mean_std(mean, std, digits=2):
    """`mean ± std` with a fixed number of decimals."""
    return '{:.{d}f} ± {:.{d}f}'.format(mean, std, d=digits)


def _escaped(text, style):
    if style == 'markdown':
        return text.replace('|', '\\|').replace('\n', ' ')
    return ''.join(_LATEX.get(letter, letter) for letter in text)


def _mark(cells, columns, patterns, marks, daggers):
    """Mark cells in place; in text, cells of a column with marks keep their digits below each other."""
    for row, line in enumerate(cells):
        for k, column in enumerate(columns):
            if (row, column) in marks:
                line[k] = patterns[marks[row, column]].format(line[k])
            elif patterns is _MARKS['text'] and any(key[1] == column for key in marks):
                line[k] += ' '
            if (row, column) in daggers:
                line[k] = patterns['dagger'].format(line[k])
            elif patterns is _MARKS['text'] and any(key[1] == column for key in daggers):
                line[k] += ' '


def _latex(titles, cells, right):
    lines = [
        '\\begin{{tabular}}{{{}}}'.format(''.join('r' if to_right else 'l' for to_right in right)),
        '\\toprule',
        ' & '.join(titles) + ' \\\\',
        '\\midrule',
    ]
    return '\n'.join(lines + [' & '.join(line) + ' \\\\' for line in cells] + ['\\bottomrule', '\\end{tabular}']) + '\n'


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
        writer.writerow(
            [
                ''
                if value is None
                else float(value)
                if _is_number(value) and not isinstance(value, numbers.Integral)
                else value
                for value in values
            ]
        )
    return stream.getvalue()
