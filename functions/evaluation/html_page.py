"""Pieces of a self-contained HTML page: no network, no other file, no script."""

import base64
import html
import os
import string

from functions.setting.atomic import write_text

_TEMPLATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'page.html')


def write_page(path, title, parts):
    """Write a page, whole or not at all, from pieces of HTML made by the functions of this module."""
    with open(_TEMPLATE, encoding='utf-8') as stream:
        template = string.Template(stream.read())
    content = '\n'.join(part for part in parts if part)
    write_text(path, template.substitute(title=escape(title), content=content))


def escape(text):
    """Text with the special characters of HTML escaped."""
    return html.escape(str(text))


def heading(title, subtitle, cards=()):
    """Top of a page; ``cards``: (label, HTML of a value)."""
    card = '<div class="card"><span class="soft">{}</span><b>{}</b></div>'
    boxes = ''.join(card.format(escape(label), value) for label, value in cards)
    boxes = f'<div class="cards">{boxes}</div>\n' if boxes else ''
    return f'<header>\n<h1>{escape(title)}</h1>\n<div class="soft">{escape(subtitle)}</div>\n{boxes}</header>'


def section(title, *parts):
    """A titled box; '' when it is empty."""
    inside = '\n'.join(part for part in parts if part)
    return f'<section>\n<h2>{escape(title)}</h2>\n{inside}\n</section>' if inside else ''


def paragraph(text):
    """A paragraph of plain text."""
    return f'<p class="soft">{escape(text)}</p>'


def items(lines, kind=''):
    """A list of lines of HTML, of a class; '' where there are none."""
    entries = ''.join(f'<li class="{kind}">{line}</li>' for line in lines)
    return f'<ul>{entries}</ul>' if entries else ''


def side_by_side(*parts):
    """Pieces next to each other where there is room."""
    inside = ''.join(f'<div>{part}</div>' for part in parts if part)
    return f'<div class="side">{inside}</div>'


def gallery(*figures):
    """Figures two in a row where there is room."""
    return '<div class="pair">{}</div>'.format('\n'.join(figures)) if figures else ''


def figure(png, caption, strong=''):
    """A picture inside the page (bytes of a PNG) with its caption, which begins with ``strong`` in bold."""
    data = base64.b64encode(png).decode('ascii')
    strong, caption, name = escape(strong), escape(caption), escape(strong or caption)
    head = f'<figure>\n<figcaption><b>{strong}</b> {caption}</figcaption>\n'
    return f'{head}<img alt="{name}" src="data:image/png;base64,{data}">\n</figure>'


def number(key, value, digits=2):
    """A number with its full precision and its name in ``value`` and ``data-key``; a dash for None."""
    if value is None:
        return '–'
    exact, shown = (repr(float(value)), f'{value:.{digits}f}') if isinstance(value, float) else (value, value)
    return f'<data data-key="{escape(key)}" value="{exact}">{shown}</data>'


def table(titles, rows, numeric=(), classes=None):
    """A table of cells that are HTML already.

    :param numeric: columns aligned to the right.
    :param classes: (row, column) -> class of a cell.
    """
    classes = classes or {}

    def cell(tag, k, text, row=None):
        names = [name for name in ('n' if k in numeric else '', classes.get((row, k), '')) if name]
        kind = ' class="{}"'.format(' '.join(names)) if names else ''
        return f'<{tag}{kind}>{text}</{tag}>'

    lines = [''.join(cell('th', k, escape(title)) for k, title in enumerate(titles))]
    lines += [''.join(cell('td', k, text, row) for k, text in enumerate(line)) for row, line in enumerate(rows)]
    body = '\n'.join(f'<tr>{line}</tr>' for line in lines)
    return f'<div class="wide"><table>\n{body}\n</table></div>'


def facts(pairs):
    """A table of names and plain texts."""
    rows = [(f'<b>{escape(name)}</b>', escape(text)) for name, text in pairs]
    return table(('', ''), rows, classes={(row, 1): 'text' for row in range(len(rows))}) if rows else ''


def folded(title, inside):
    """A piece that opens when its title is clicked."""
    return f'<details>\n<summary>{escape(title)}</summary>\n{inside}\n</details>' if inside else ''


def verbatim(text):
    """Plain text, line by line."""
    return f'<pre>{escape(text)}</pre>'
