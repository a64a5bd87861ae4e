"""The report of an experiment as one page: methods compared, every pair, figures, training, settings.

Each number is a ``data`` element with its place in ``comparison.json`` as ``data-key`` and all its digits as ``value``.
"""

import collections

from . import html_page as page
from .comparison import DIGITS, ranks
from .registration_report import training_and_settings

#: One picture: bold start of its caption, the caption, bytes of a PNG, whether it needs the whole width.
Picture = collections.namedtuple('Picture', 'strong caption png wide')
_LEGEND = (
    'Green: best; underlined: second; †: differs from the smallest TRE (Wilcoxon over landmarks, which are not '
    'independent within a case, p ≤ 0.05). TRE: all landmarks as one set; "of cases": over the means of the cases.'
)


def experiment_report(path, title, content, pictures=(), sources=(), pages=None):
    """Write the page, whole or not at all.

    :param content: what ``comparison.json`` holds.
    :param pictures, sources: lists of :class:`Picture` and (title, :class:`functions.evaluation.provenance.Source`).
    :param pages: (method, name of the pair) -> address, relative to this page, of the page of that registration.
    """
    rows = content['rows']
    cards = [('pairs', str(rows[0]['pairs'])), ('methods', str(len(rows)))]
    ranked = [(row['TRE mm'], k) for k, row in enumerate(rows) if row.get('TRE mm') is not None]
    for smallest, k in sorted(ranked)[:1]:
        cards.append((f'smallest TRE (mm): {rows[k]["method"]}', page.number(f'rows.{k}.TRE mm', smallest)))
    counts = [(what, len(content[what])) for what in ('failures', 'missing')]
    cards += [(what, page.element('span', count, 'bad')) for what, count in counts if count]
    figures = [(item.wide, page.figure(item.png, item.caption, item.strong)) for item in pictures]
    narrow, wide = ([figure for is_wide, figure in figures if is_wide == wanted] for wanted in (False, True))
    parts = [
        page.heading(title, 'Report of an experiment. ' + content['protocol'], cards),
        page.section('Methods', _methods(rows), page.paragraph(_LEGEND)),
        page.section('Expected errors', _expected(content['expected_errors'])),
        page.section('Missing and failed', page.items(map(page.escape, missing_and_failed(content)), 'bad')),
        page.section('Figures', page.element('div', '\n'.join(narrow), 'pair'), *wide),
        page.section('Pairs', *_pairs(content, pages or {})),
    ]
    for name, source in sources:
        parts += training_and_settings(source, f'Training of {name}')
    page.write_page(path, title, parts)


def missing_and_failed(content):
    """One text for each failed or missing registration in the content of ``comparison.json``."""
    return [f'{method}, {pair}: {error}' for method, pair, error in content['failures']] + content['missing']


def _methods(rows):
    """One column per method, one row per measure."""
    marks, daggers = ranks(rows)
    lines, classes = [], {}
    for column in list(rows[0])[1:]:
        cells = [page.escape(column)]
        for k, row in enumerate(rows):
            number = page.number(f'rows.{k}.{column}', row[column], DIGITS.get(column, 2))
            cells.append(number + ('†' if (k, column) in daggers else ''))
            classes[len(lines), k + 1] = marks.get((k, column), '')
        lines.append(cells)
    return page.table([''] + [row['method'] for row in rows], lines, range(1, 1 + len(rows)), classes)


def _expected(rows):
    """One column per method that expects errors, one row per measure; '' where there are none."""
    methods = list(rows[0])[1:] if rows else []
    lines = []
    for k, row in enumerate(rows):
        numbers = [page.number(f'expected_errors.{k}.{name}', row[name]) for name in methods]
        lines.append([page.escape(row['expected error'])] + numbers)
    return page.table([''] + methods, lines, range(1, 1 + len(methods))) if rows else ''


def _pairs(content, pages):
    """TRE of every pair by every method, with a link to the page of that registration."""
    if not content['pairs']:
        return [page.items(_linked(page.escape('{}, {}'.format(*key)), address) for key, address in pages.items())]
    lines, methods = [], content['methods']
    for k, row in enumerate(content['pairs']):
        cells = [page.escape(row['pair']), str(row['n'])]
        for method in methods:
            keys = method, method + ' std'
            shown = ' ± '.join(page.number(f'pairs.{k}.{key}', row[key]) for key in keys)
            cells.append(_linked(shown, pages.get((method, row['pair']))))
        lines.append(cells)
    return [
        page.paragraph('TRE of every pair, mean ± standard deviation in mm.'),
        page.table(['pair', 'landmarks'] + methods, lines, range(1, 2 + len(methods)), sortable=True),
    ]


def _linked(shown, address):
    return shown if address is None else f'<a href="{page.escape(address)}">{shown}</a>'
