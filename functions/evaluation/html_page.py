"""Pieces of a self-contained HTML page: no network, no other file, and no script but its own, which is page.js."""

import base64
import hashlib
import html
import os
import string

from ..setting.atomic import write_text

_FOLDER = os.path.dirname(os.path.abspath(__file__))
_KINDS = {b'\x89PNG': 'png', b'GIF8': 'gif', b'\xff\xd8\xff': 'jpeg'}


def write_page(path, title, parts):
    """Write a page, whole or not at all, from pieces of HTML made by the functions of this module.

    The page tells the browser to run no script and use no style but those of this package, and to load nothing.
    """
    template, script, style = (_package_file('page.' + ending) for ending in ('html', 'js', 'css'))
    allowed = {'script_hash': _checksum(script), 'style_hash': _checksum(style)}
    content = '\n'.join(filter(None, parts))
    whole = {'title': escape(title), 'content': content, 'script': script, 'style': style}
    write_text(path, string.Template(template).substitute(whole, **allowed))


def _package_file(name):
    with open(os.path.join(_FOLDER, name), encoding='utf-8') as stream:
        return stream.read()


def _checksum(text):
    """What a content security policy calls a script or style by."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def escape(text):
    """Text with the special characters of HTML escaped."""
    return html.escape(str(text))


def element(tag, inside, kind=''):
    """An element around HTML, of a class; '' when it is empty."""
    attribute = f' class="{kind}"' if kind else ''
    return f'<{tag}{attribute}>{inside}</{tag}>' if inside else ''


def heading(title, subtitle, cards=()):
    """Top of a page; ``cards``: (label, HTML of a value)."""
    boxes = [
        element('div', element('span', escape(label), 'soft') + f'<b>{value}</b>', 'card') for label, value in cards
    ]
    top = f'<h1>{escape(title)}</h1>\n' + element('div', escape(subtitle), 'soft')
    return element('header', f'\n{top}\n{element("div", "".join(boxes), "cards")}\n')


def section(title, *parts):
    """A titled box; '' when it is empty."""
    inside = '\n'.join(filter(None, parts))
    return element('section', f'\n<h2>{escape(title)}</h2>\n{inside}\n') if inside else ''


def paragraph(text):
    """A paragraph of plain text."""
    return element('p', escape(text), 'soft')


def items(lines, kind=''):
    """A list of lines of HTML, of a class; '' where there are none."""
    return element('ul', ''.join(element('li', line, kind) for line in lines))


def data_address(picture):
    """Address that is a picture itself, bytes of a PNG, GIF or JPEG."""
    kind = next((name for start, name in _KINDS.items() if picture.startswith(start)), 'png')
    return f'data:image/{kind};base64,{base64.b64encode(picture).decode("ascii")}'


def figure(png, caption, strong=''):
    """A picture inside the page (bytes of a PNG) with its caption, which begins with ``strong`` in bold."""
    strong, caption, name = escape(strong), escape(caption), escape(strong or caption)
    image = f'<img alt="{name}" src="{data_address(png)}">'
    return element('figure', f'\n<figcaption><b>{strong}</b> {caption}</figcaption>\n{image}\n')


def number(key, value, digits=2):
    """A number with its full precision and its name in ``value`` and ``data-key``; a dash for None."""
    if value is None:
        return '–'
    exact = shown = escape(value)
    if isinstance(value, float):
        exact, shown = repr(float(value)), f'{value:.{digits}f}'
    return f'<data data-key="{escape(key)}" value="{exact}">{shown}</data>'


def table(titles, rows, numeric=(), classes=None, sortable=False):
    """A table of cells of HTML; ``numeric``: columns aligned to the right; ``classes``: (row, column) -> class;
    ``sortable``: by a click on the title of a column.
    """

    def line(tag, cells, row=None):
        kinds = [('n ' if k in numeric else '') + (classes or {}).get((row, k), '') for k in range(len(cells))]
        attributes = [f' class="{kind.strip()}"' if kind else '' for kind in kinds]
        return ''.join(f'<{tag}{attribute}>{cell}</{tag}>' for attribute, cell in zip(attributes, cells))

    lines = [line('th', [escape(title) for title in titles])] + [line('td', row, k) for k, row in enumerate(rows)]
    body = '\n'.join(f'<tr>{cells}</tr>' for cells in lines)
    return f'<div class="wide"><table{" class=sortable" * sortable}>\n{body}\n</table></div>'


def folded(title, inside):
    """A piece that opens when its title is clicked."""
    return element('details', f'\n<summary>{escape(title)}</summary>\n{inside}\n')
