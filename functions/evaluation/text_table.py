"""Rows of results as aligned text, Markdown, LaTeX or CSV."""

import csv
import io
import numbers

from ..setting.errors import InputError, require_known

#: style -> mark -> what a cell becomes.
_MARKS = {
    'text': {'best': '{}*', 'second': '{} ', 'dagger': '{}†'},
    'markdown': {'best': '**{}**', 'second': '*{}*', 'dagger': '{}†'},
    'latex': {'best': '\\textbf{{{}}}', 'second': '\\underline{{{}}}', 'dagger': '{}$^\\dagger$'},
    'csv': {},
}
_LATEX = {'\\': '\\textbackslash{}', '~': '\\textasciitilde{}', '^': '\\textasciicircum{}'}
_LATEX.update({letter: '\\' + letter for letter in '&%$#_{}'})
_LATEX.update({'<': '$<$', '>': '$>$', '|': '$|$', '±': '$\\pm$', '†': '$\\dagger$', '→': '$\\to$'})
_ESCAPES = {'markdown': str.maketrans({'|': '\\|', '\n': ' '}), 'latex': str.maketrans(_LATEX)}


def format_table(rows, columns=None, style='text', digits=2, marks=None, daggers=()):
    """Rows of results as text that ends in a line break.

    :param rows: list of dictionaries, column title -> value; a missing or None value is shown as `-` (empty in CSV).
    :param columns: titles in the order shown; None: in the order of first appearance.
    :param style: 'text' (aligned for a terminal), 'markdown', 'latex' (a tabular with rules of booktabs) or 'csv'
        (numbers unrounded, no marks).
    :param digits: decimals of floats, an integer or a dictionary column -> integer (2 where absent).
    :param marks, daggers: (number of the row, column) -> 'best' or 'second'; set of such pairs to mark with a dagger.
    :raises InputError: no row, or a column that no row has.
    """
    require_known('table style', style, _MARKS)
    rows = list(rows)
    if not rows:
        raise InputError('A table needs at least one row.')
    present = list(dict.fromkeys(key for row in rows for key in row))
    columns = present if columns is None else list(columns)
    for column in columns:
        require_known('column of this table', column, present)
    if style == 'csv':
        stream = io.StringIO()
        values = [[row.get(column) for column in columns] for row in rows]
        lines = [[float(value) if _is_float(value) else value for value in line] for line in values]
        csv.writer(stream, lineterminator='\n').writerows([columns] + lines)
        return stream.getvalue()
    decimals = {column: digits.get(column, 2) if isinstance(digits, dict) else digits for column in columns}
    cells = [[_cell(row.get(column), decimals[column]) for column in columns] for row in rows]
    right = [not any(isinstance(row.get(column), (str, bool)) for row in rows) for column in columns]
    escapes = _ESCAPES.get(style, {})
    lines = [[cell.translate(escapes) for cell in line] for line in [list(map(str, columns))] + cells]
    _mark(lines[1:], columns, style, marks or {}, daggers)
    if style == 'latex':
        sides = ''.join('r' if to_right else 'l' for to_right in right)
        lines = [' & '.join(line) + ' \\\\' for line in lines]
        lines = ['\\toprule', lines[0], '\\midrule'] + lines[1:] + ['\\bottomrule']
        return '\n'.join([f'\\begin{{tabular}}{{{sides}}}'] + lines + ['\\end{tabular}']) + '\n'
    width = [max(3, *(len(line[k]) for line in lines)) for k in range(len(columns))]
    lines = [[c.rjust(w) if to_right else c.ljust(w) for c, w, to_right in zip(line, width, right)] for line in lines]
    if style == 'text':
        lines.insert(1, ['-' * w for w in width])
        return ''.join('  '.join(line).rstrip() + '\n' for line in lines)
    lines.insert(1, ['-' * (w - 1) + ':' if to_right else '-' * w for w, to_right in zip(width, right)])
    return ''.join('| {} |\n'.format(' | '.join(line)) for line in lines)


def mean_std(mean, std):
    """`mean ± std` with two decimals."""
    return f'{mean:.2f} ± {std:.2f}'


def _mark(cells, columns, style, marks, daggers):
    """Mark cells in place; in text, the digits of a column with marks stay aligned."""
    for given in (marks, dict.fromkeys(daggers, 'dagger')):
        marked = {column for _, column in given} if style == 'text' else ()
        for row, line in enumerate(cells):
            for k, column in enumerate(columns):
                if (row, column) in given:
                    line[k] = _MARKS[style][given[row, column]].format(line[k])
                elif column in marked:
                    line[k] += ' '


def _is_float(value):
    return isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral)


def _cell(value, digits):
    if value is None:
        return '-'
    return f'{float(value):.{digits}f}' if _is_float(value) else str(value)
