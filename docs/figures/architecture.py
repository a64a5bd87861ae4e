"""The figure of the software: what runs, which files it writes, and what reads them."""

import collections

from docs.figures.diagram import PALE, Page
from docs.figures.layout import Box

_WIDTH, _HEIGHT = 12.5, 7.35
#: Kind of box -> (border, inside).
_STYLES = {
    'setting': ('#1f2328', '#eef0f3'),
    'program': ('#1f6fb4', '#dbeaf7'),
    'thread': ('#1f6fb4', '#ffffff'),
    'files': ('#a06a00', '#fdf1d3'),
    'graph': ('#6a3fa0', '#e6dcf3'),
    'queue': ('#22883d', '#d9f0de'),
}
_CALLS, _FILES, _SETTINGS, _BATCHES = '#6a3fa0', '#d98200', '#8a93a0', '#22883d'

_Part = collections.namedtuple('_Part', 'kind box title room lines')
"""A box: its title in bold, its folder in italics, and lines of text."""

_PARTS = collections.OrderedDict(
    [
        (
            'settings',
            _Part(
                'setting',
                Box(6.25, 6.13, 12.2, 0.66),
                'Settings',
                'RunRegNet3D.py, functions/setting',
                [
                    'a block to edit, a JSON file or options \u2192 one dictionary, checked before any work; it names '
                    'every file; every step reads it, and a copy lies beside every result'
                ],
            ),
        ),
        (
            'images',
            _Part(
                'program',
                Box(1.5, 4.6, 2.7, 1.56),
                'Images',
                'functions/phantom, preprocessing',
                [
                    'breathing phantom: CT, masks,',
                    'landmarks, true DVFs',
                    'own scans and DIR-Lab: 1 mm,',
                    'lung and torso masks',
                ],
            ),
        ),
        (
            'generation',
            _Part(
                'program',
                Box(4.65, 4.6, 2.7, 1.56),
                'Artificial generation',
                'functions/artificial_generation',
                [
                    'worker processes, one item each:',
                    'random DVF, deformed image,',
                    'intensity augmentation;',
                    'seeded by what is made',
                ],
            ),
        ),
        ('reading', _Part('program', Box(7.65, 4.6, 2.4, 1.56), 'Reading', 'functions/reading', [])),
        ('loader', _Part('thread', Box(7.65, 4.68, 2.2, 0.38), None, None, ['loader thread: next chunk of items'])),
        ('cutter', _Part('thread', Box(7.65, 4.09, 2.2, 0.38), None, None, ['cutter thread: balanced patches'])),
        (
            'training',
            _Part(
                'program',
                Box(11.15, 4.6, 2.4, 1.56),
                'Training',
                'functions/training',
                ['Huber loss + bending energy,', 'Adam, regular validation;', 'goes on where it was', 'interrupted'],
            ),
        ),
        (
            'data',
            _Part(
                'files',
                Box(1.5, 2.9, 2.7, 1.06),
                'Images and landmarks',
                'Data/',
                ['CT, lung and torso masks,', 'landmarks in mm'],
            ),
        ),
        (
            'items',
            _Part(
                'files',
                Box(4.65, 2.9, 2.7, 1.06),
                'Deformed images, DVFs',
                'Elastix/',
                ['a manifest per item: made from', 'what, checksums'],
            ),
        ),
        (
            'network',
            _Part(
                'graph',
                Box(7.65, 2.9, 2.4, 1.06),
                'Network',
                'functions/network, tf_utils',
                ['layers as data \u2192 graph for', 'TensorFlow 1.15 and current'],
            ),
        ),
        (
            'experiment',
            _Part(
                'files',
                Box(11.15, 2.9, 2.4, 1.06),
                'Experiment',
                'Experiments/',
                ['settings, checkpoints, log,', 'curve, TensorBoard'],
            ),
        ),
        (
            'evaluation',
            _Part(
                'program',
                Box(2.3, 0.98, 4.3, 1.06),
                'Evaluation',
                'functions/evaluation',
                ['TRE at landmarks before and after, folding,', 'overlap, intensity; tables, comparisons, pictures'],
            ),
        ),
        (
            'registration',
            _Part(
                'program',
                Box(9.35, 0.98, 6.0, 1.06),
                'Registration',
                'functions/registration',
                [
                    'affine pre-alignment where asked for; stages 4 \u2192 2 \u2192 1 of a pyramid:',
                    'one pass of a network each, in tiles as memory allows, DVFs composed',
                ],
            ),
        ),
    ]
)

#: Labels of arrows: (x, y, text, alignment).
_WORDS = [
    (9.4, 4.5, 'queue of\nbatches', 'center'),
    (9.95, 3.69, 'graph', 'center'),
    (5.4, 1.09, 'DVF, moved\nimage', 'center'),
    (4.45, 2.07, 'fixed and moving image, masks', 'center'),
    (1.0, 1.94, 'landmarks, lungs', 'left'),
    (11.27, 1.94, 'checkpoint', 'left'),
    (7.77, 1.94, 'graph', 'left'),
]


def architecture_page():
    """The figure of the software: a :class:`docs.figures.diagram.Page`."""
    page = Page(
        _WIDTH,
        _HEIGHT,
        'Software architecture',
        [
            'From settings to numbers. Steps speak through files that appear whole or not at all, so any of them '
            'can be interrupted, resumed or run elsewhere.'
        ],
    )
    for name, part in _PARTS.items():
        page.box(part.box, *_STYLES[part.kind], name=name, around=name == 'reading')
        _write(page, part)
    _draw_queue(page)
    for x, y, words, side in _WORDS:
        page.text(x, y, words, 8, ha=side, color=PALE, linespacing=1.1)
    _draw_arrows(page)
    page.legend(
        collections.OrderedDict(
            [('settings', _SETTINGS), ('files', _FILES), ('in memory', _BATCHES), ('graph', _CALLS)]
        ),
        4,
        bottom=0.09,
    )
    return page


def _write(page, part):
    box = part.box
    if part.title is None:
        page.text(box.x, box.y, part.lines[0], 8)
        return
    top = box.y + box.height / 2
    if part.kind == 'setting':
        left = box.x - box.width / 2 + 0.15
        page.text(left, top - 0.2, part.title, 10, weight='bold', ha='left')
        page.text(left + 0.87, top - 0.2, part.room, 8, style='italic', color=PALE, ha='left')
        page.text(left, top - 0.47, part.lines[0], 8.5, ha='left')
        return
    page.text(box.x, top - 0.17, part.title, 10, weight='bold')
    page.text(box.x, top - 0.38, part.room, 8, style='italic', color=PALE)
    for number, line in enumerate(part.lines):
        page.text(box.x, top - 0.63 - 0.2 * number, line, 8.5)


def _draw_queue(page):
    for number in range(4):
        page.box(Box(9.12 + 0.17 * number, 4.09, 0.14, 0.38), *_STYLES['queue'], name=f'queue {number}')


def _edge(name, side, along=0.0):
    """A point on the border of a box; ``along`` in inches from the middle of that side."""
    box = _PARTS[name].box
    x, y = {'left': (-1, 0), 'right': (1, 0), 'top': (0, 1), 'bottom': (0, -1)}[side]
    return (box.x + x * box.width / 2 + (along if y else 0), box.y + y * box.height / 2 + (along if x else 0))


def _draw_arrows(page):
    for name in ('images', 'generation', 'reading', 'training'):
        end = _edge(name, 'top')
        page.arrow([(end[0], _edge('settings', 'bottom')[1]), end], _SETTINGS, 'settings > ' + name)

    def files(start, end, both=False, *corners):
        page.arrow([start] + list(corners) + [end], _FILES, 'files', both=both)

    files(_edge('images', 'bottom'), _edge('data', 'top'))
    files(_edge('generation', 'bottom'), _edge('items', 'top'), True)
    files(_edge('training', 'bottom'), _edge('experiment', 'top'), True)
    for source, target in (('data', 'generation'), ('items', 'reading')):
        start, end = _edge(source, 'right'), _edge(target, 'left')
        middle = (start[0] + end[0]) / 2
        files(start, end, False, (middle, start[1]), (middle, end[1]))
    files(_edge('data', 'bottom', -0.6), _edge('evaluation', 'top', -1.4))
    corner = _edge('registration', 'top', -2.7)
    files(_edge('data', 'bottom', 0.95), corner, False, (2.45, 1.94), (corner[0], 1.94))
    files(_edge('experiment', 'bottom'), _edge('registration', 'top', 1.8))
    files(_edge('registration', 'left', -0.15), _edge('evaluation', 'right', -0.15))
    page.arrow([_edge('loader', 'bottom'), _edge('cutter', 'top')], _BATCHES, 'loader > cutter')
    page.arrow([_edge('cutter', 'right'), (9.03, 4.09)], _BATCHES, 'cutter > queue')
    page.arrow([(9.72, 4.09), _edge('training', 'left', -0.51)], _BATCHES, 'queue > training')
    end = _edge('training', 'bottom', -0.75)
    page.arrow([_edge('network', 'right'), (9.38, 2.9), (9.38, 3.6), (end[0], 3.6), end], _CALLS, 'network > training')
    page.arrow([_edge('network', 'bottom'), _edge('registration', 'top', -1.7)], _CALLS, 'network > registration')
