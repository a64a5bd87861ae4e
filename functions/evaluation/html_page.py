"""Pieces of an HTML page that needs nothing but itself: no network, no other file, no script."""

import base64
import html
import numbers

from functions.setting.atomic import write_text

_STYLE = """
:root { --line: #d9dee4; --soft: #5b6673; --ink: #1c232b; --blue: #1f6fb4; --bad: #b3261e; --good: #1a7f37; }
* { box-sizing: border-box; }
body { margin: 0; background: #f3f5f7; color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI",
       Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 24px; }
header { margin-bottom: 16px; }
h1 { font-size: 26px; margin: 0 0 4px; }
h2 { font-size: 19px; margin: 0 0 10px; }
h3 { font-size: 15px; margin: 16px 0 4px; }
section { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: 18px 20px;
          margin-bottom: 16px; }
p { margin: 4px 0 10px; }
.soft, figcaption { color: var(--soft); font-size: 13.5px; }
figure { margin: 0 0 14px; }
figcaption b { color: var(--ink); }
img { display: block; max-width: 100%; height: auto; }
.cards { display: flex; flex-wrap: wrap; gap: 12px; margin: 14px 0 0; }
.card { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: 8px 16px; }
.card b { display: block; font-size: 23px; font-weight: 600; }
.side { display: flex; flex-wrap: wrap; gap: 32px; align-items: flex-start; }
.wide { overflow-x: auto; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(460px, 1fr)); gap: 4px 24px; }
.pair img { max-height: 460px; }
table { border-collapse: collapse; margin: 4px 0 12px; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 12px 3px 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top;
         white-space: nowrap; }
th { font-weight: 600; }
th.n, td.n { text-align: right; }
td.text { white-space: normal; overflow-wrap: anywhere; }
td.best { font-weight: 700; color: var(--good); }
td.second { text-decoration: underline; }
.bad { color: var(--bad); }
summary { cursor: pointer; color: var(--blue); }
pre { background: #f3f5f7; padding: 12px; overflow: auto; max-height: 560px; font-size: 12.5px; }
a { color: var(--blue); }
@media print { body { background: #fff; } section { break-inside: avoid; border: 0; padding: 0; } }
"""


def write_page(path, title, parts):
    """Write a page whole or not at all.

    :param parts: pieces of HTML, as made by the functions of this module.
    """
    write_text(
        path,
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n{}\n</main>\n</body>\n'
        '</html>\n'.format(escape(title), _STYLE, '\n'.join(part for part in parts if part)),
    )


def escape(text):
    """Text as it may stand in a page."""
    return html.escape(str(text))


def heading(title, subtitle, cards=()):
    """Top of a page; ``cards``: (label, HTML of a value)."""
    box = '<div class="card"><span class="soft">{}</span><b>{}</b></div>'
    boxes = ''.join(box.format(escape(label), value) for label, value in cards)
    return '<header>\n<h1>{}</h1>\n<div class="soft">{}</div>\n{}</header>'.format(
        escape(title), escape(subtitle), f'<div class="cards">{boxes}</div>\n' if boxes else ''
    )


def section(title, *parts):
    """A titled box; '' when nothing is in it."""
    inside = '\n'.join(part for part in parts if part)
    return f'<section>\n<h2>{escape(title)}</h2>\n{inside}\n</section>' if inside else ''


def paragraph(text, kind='soft'):
    """A paragraph of plain text."""
    return f'<p class="{kind}">{escape(text)}</p>' if text else ''


def side_by_side(*parts):
    """Pieces beside each other where there is room."""
    return '<div class="side">{}</div>'.format(''.join(f'<div>{part}</div>' for part in parts if part))


def gallery(*figures):
    """Figures two in a row where there is room."""
    return '<div class="pair">{}</div>'.format('\n'.join(figures)) if figures else ''


def figure(png, caption, strong=''):
    """A picture, inside the page, with its caption.

    :param png: bytes of a PNG, or None: then ''. :param strong: beginning of the caption, in bold.
    """
    if png is None:
        return ''
    return (
        '<figure>\n<figcaption><b>{}</b> {}</figcaption>\n<img alt="{}" src="data:image/png;base64,{}">\n'
        '</figure>'.format(
            escape(strong), escape(caption), escape(strong or caption), base64.b64encode(png).decode('ascii')
        )
    )


def number(key, value, digits=2, unit=''):
    """A number with its full precision and its name in ``value`` and ``data-key``; a dash for None."""
    if value is None:
        return '–'
    exact = repr(float(value)) if isinstance(value, float) else str(value)
    shown = '{:.{}f}'.format(value, digits) if isinstance(value, float) else str(value)
    return f'<data data-key="{escape(key)}" value="{exact}">{shown}</data>{escape(unit)}'


def is_number(value):
    """True for numbers, False for truth values."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def table(titles, rows, numeric=(), classes=None):
    """A table of cells that are HTML already.

    :param numeric: columns shown to the right. :param classes: (row, column) -> class of a cell.
    """
    classes = classes or {}

    def cell(tag, k, text, row=None):
        names = [name for name in ('n' if k in numeric else '', classes.get((row, k), '')) if name]
        return '<{0}{1}>{2}</{0}>'.format(tag, ' class="{}"'.format(' '.join(names)) if names else '', text)

    head = ''.join(cell('th', k, escape(title)) for k, title in enumerate(titles))
    body = ''.join(
        '<tr>{}</tr>\n'.format(''.join(cell('td', k, text, row) for k, text in enumerate(line)))
        for row, line in enumerate(rows)
    )
    return f'<div class="wide"><table>\n<tr>{head}</tr>\n{body}</table></div>'


def facts(pairs):
    """A table of names and plain texts."""
    return (
        table(
            ('', ''),
            [(f'<b>{escape(name)}</b>', escape(text)) for name, text in pairs],
            classes={(row, 1): 'text' for row in range(len(pairs))},
        )
        if pairs
        else ''
    )


def folded(title, inside):
    """A piece that opens when its title is clicked."""
    return f'<details>\n<summary>{escape(title)}</summary>\n{inside}\n</details>' if inside else ''


def verbatim(text):
    """Plain text, line by line."""
    return f'<pre>{escape(text)}</pre>'
