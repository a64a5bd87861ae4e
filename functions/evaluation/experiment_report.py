"""The report of an experiment as one page: methods compared, every pair, figures, training, settings.

Its numbers are those of ``comparison.json``: each stands in a ``data`` element whose ``data-key`` is its
place there and whose ``value`` is all its digits.
"""

import collections

from functions.evaluation import html_page as page
from functions.evaluation.comparison import DIGITS, ranks
from functions.evaluation.registration_report import provenance
from functions.evaluation.report_pictures import curves_png

#: One picture: beginning of its caption, the caption, bytes of a PNG, and whether it needs the whole width.
Picture = collections.namedtuple('Picture', 'strong caption png wide')


def summary(comparison, missing=(), failures=()):
    """What ``comparison.json`` holds: protocol, methods, rows (:meth:`Comparison.rows`), pairs
    (:meth:`Comparison.pair_rows`), missing (texts), failures ([method, pair, what happened])."""
    return {
        'protocol': comparison.protocol,
        'methods': comparison.methods,
        'rows': comparison.rows(),
        'pairs': comparison.pair_rows(),
        'missing': list(missing),
        'failures': [list(failure) for failure in failures],
    }


def experiment_report(path, title, content, pictures=(), sources=(), pages=None):
    """Write the page, whole or not at all.

    :param path: file to write, ``.html``.
    :param content: dictionary of :func:`summary`.
    :param pictures: list of :class:`Picture`.
    :param sources: list of (title, :class:`functions.evaluation.provenance.Source`).
    :param pages: (method, name of the pair) -> address, relative to this page, of the page of that
        registration.
    """
    best = min(
        (row for row in content['rows'] if row.get('TRE mm') is not None), key=lambda row: row['TRE mm'], default=None
    )
    cards = [('pairs', str(content['rows'][0]['pairs'])), ('methods', str(len(content['methods'])))]
    if best is not None:
        k = content['rows'].index(best)
        cards.append(('smallest TRE (mm): {}'.format(best['method']), page.number(f'rows.{k}.TRE mm', best['TRE mm'])))
    if content['failures']:
        cards.append(('failed', '<span class="bad">{}</span>'.format(len(content['failures']))))
    if content['missing']:
        cards.append(('missing', '<span class="bad">{}</span>'.format(len(content['missing']))))
    parts = [
        page.heading(title, 'Report of an experiment. ' + content['protocol'], cards),
        page.section(
            'Methods',
            _comparison_table(content['rows']),
            page.paragraph(
                'Green: best; underlined: second; †: differs from the method with the smallest TRE by more '
                'than chance (Wilcoxon signed rank over landmarks, p ≤ 0.05; landmarks of a case are not '
                'independent). TRE: all landmarks as one set; "of cases": over the means of the cases.'
            ),
        ),
    ]
    parts.append(_left_out(content))
    parts.append(page.section('Figures', page.gallery(*_figures(pictures, False)), *_figures(pictures, True)))
    parts.append(_pairs(content, pages or {}))
    for name, source in sources:
        parts.append(
            page.section(
                f'Training of {name}',
                *[
                    page.figure(curves_png(lines), 'loss and mean error of the DVF', network)
                    for network, lines in source.curves
                ],
            )
        )
        parts.append(provenance(source))
    page.write_page(path, title, parts)


def _figures(pictures, wide):
    return [page.figure(item.png, item.caption, item.strong) for item in pictures if item.wide == wide]


def _comparison_table(rows):
    """One column for every method, one line for every measure."""
    marks, daggers = ranks(rows)
    lines, classes = [], {}
    for column in list(rows[0])[1:]:
        cells = [
            page.number(f'rows.{k}.{column}', row[column], DIGITS.get(column, 2))
            + ('†' if (k, column) in daggers else '')
            for k, row in enumerate(rows)
        ]
        classes.update({(len(lines), k + 1): marks.get((k, column), '') for k in range(len(rows))})
        lines.append([page.escape(column)] + cells)
    return page.table([''] + [row['method'] for row in rows], lines, range(1, 1 + len(rows)), classes)


def _left_out(content):
    """What is missing and what failed."""
    lines = ['{}, {}: {}'.format(*failure) for failure in content['failures']] + content['missing']
    return (
        page.section(
            'Missing and failed',
            '<ul>{}</ul>'.format(''.join(f'<li class="bad">{page.escape(line)}</li>' for line in lines)),
        )
        if lines
        else ''
    )


def _pairs(content, pages):
    """TRE of every pair by every method, with a link to the page of that registration."""
    if content['pairs']:
        lines = []
        for k, row in enumerate(content['pairs']):
            cells = [page.escape(row['pair']), str(row['n'])]
            for method in content['methods']:
                shown = (
                    page.number(f'pairs.{k}.{method}', row[method])
                    + ' ± '
                    + page.number(f'pairs.{k}.{method} std', row[method + ' std'])
                )
                cells.append(_linked(shown, pages.get((method, row['pair']))))
            lines.append(cells)
        return page.section(
            'Pairs',
            page.paragraph('TRE of every pair, mean ± standard deviation in mm.'),
            page.table(['pair', 'landmarks'] + content['methods'], lines, range(1, 2 + len(content['methods']))),
        )
    links = [
        '<li>{}</li>'.format(_linked(page.escape('{}, {}'.format(*key)), address)) for key, address in pages.items()
    ]
    return page.section('Pairs', '<ul>{}</ul>'.format(''.join(links)) if links else '')


def _linked(shown, address):
    return shown if address is None else f'<a href="{page.escape(address)}">{shown}</a>'
