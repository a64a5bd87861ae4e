"""Figures of the networks and of the software: ``python -m docs.figures.networks``.

Every box, number and arrow of a network's figure comes from its table (:mod:`functions.network.description`).
"""

import argparse
import collections
import os
import sys
import textwrap

from docs.figures.architecture import architecture_page
from docs.figures.diagram import PALE, Page
from docs.figures.layout import Box, places, route
from functions.network.description import network_description
from functions.network.layer_kinds import INPUT
from functions.setting.errors import RegNetError

#: The networks of the documentation, by their names in the paper.
TITLES = collections.OrderedDict([('unet1', 'U-Net'), ('decimation4', 'Multi-view'), ('crop4', 'U-Net advanced')])
ARCHITECTURE = 'software_architecture.png'

#: Operation -> (colour of its arrows and borders, colour of its boxes).
COLOURS = {
    'convolution': ('#1f6fb4', '#dbeaf7'),
    'dilated': ('#6a3fa0', '#e6dcf3'),
    'pointwise': ('#0b3d6b', '#b9d3ec'),
    'pool': ('#c2302e', '#f8dcdb'),
    'up': ('#d98200', '#fdebcb'),
    'crop': ('#6b7280', '#eceef1'),
    'down': ('#8c4a1e', '#f0dfd2'),
    'concat': ('#22883d', '#d9f0de'),
    'add': ('#22883d', '#d9f0de'),
    'contrast': ('#8c4a1e', '#f0dfd2'),
    'apart': ('#6b7280', '#eceef1'),
    'together': ('#22883d', '#d9f0de'),
    'correlation': ('#a0307a', '#f5dcec'),
    'softmax': ('#a0307a', '#f5dcec'),
    'smooth': ('#8c4a1e', '#f0dfd2'),
    'input': ('#1f2328', '#ffffff'),
}
_ACTIVATIONS = {'relu': 'ReLU', 'elu': 'ELU', None: 'no activation'}
_RESOLUTIONS = {1: 'full resolution', 2: 'half', 4: 'quarter', 8: 'eighth'}
_BANDS = '#f4f6f8', '#e6eaef'

# Inches: page, room at its left, at its right and for the legend; a lane and what lies between resolutions; a
# box; an arrow over boxes; the scope's name beside the boxes.
_WIDTH, _LEFT, _RIGHT, _FOOT = 12.5, 0.4, 0.04, 0.62
_LANE, _BAND, _BOX_HEIGHT, _TRACK, _SCOPE = 1.0, 0.08, 0.64, 0.215, 0.09
# Characters: a line of the caption, a layer's name in one line, a scope no wider than a box.
_LINE, _NAME, _SHORT = 160, 9, 9


def operation(layer):
    """Which of :data:`COLOURS` a layer is drawn in."""
    if layer.kind != 'conv':
        return layer.kind
    return 'pointwise' if layer.kernel == 1 else 'dilated' if layer.dilation > 1 else 'convolution'


def operation_name(layer):
    """The operation in words, for the legend."""
    if layer.kind == 'conv':
        name = f'convolution {cube(layer.kernel)}'
        name = name if layer.dilation == 1 else f'{name}, dilation {layer.dilation}'
        return name if layer.stride == 1 else f'{name}, stride {layer.stride}'
    if layer.kind == 'pool':
        return f'max pooling {cube(layer.kernel)}'
    return {
        'crop': 'crop',
        'concat': 'concatenation',
        'add': 'addition',
        'up': 'trilinear up-sampling, n \u2192 2n + 1',
        'down': 'fixed B-spline down-sampling',
        'contrast': f'contrast {cube(layer.kernel)}',
        'apart': 'apart',
        'together': 'together',
        'correlation': f'correlation {cube(layer.kernel)}',
        'softmax': 'softmax',
        'smooth': f'Gaussian smoothing {cube(layer.kernel)}',
    }[layer.kind]


def short_name(name):
    """A layer's name without its scope, which stands beside the boxes."""
    scope, _, short = name.rpartition('/')
    return short[: -len(scope) - 1] if scope and short.endswith('_' + scope) else short


def cube(side):
    """A side as the size of a cube: 125 with a raised 3."""
    return f'{side}\u00b3'


def network_page(description):
    """The figure of a network, for the patches of its training: :class:`docs.figures.diagram.Page`."""
    placed = places(description)
    side = 2 * description.radius_train[0] + 1
    sides, channels = description.sizes(side), description.channels()
    notes = _notes(description, side)
    height, lanes, bands = _rows(placed, Page.head(notes))
    page = Page(_WIDTH, height, _title(description), notes)
    for number, (resolution, (bottom, top)) in enumerate(bands.items()):
        page.band(0, bottom, _WIDTH, top, _BANDS[number % 2])
        page.text(0.2, (bottom + top) / 2, _RESOLUTIONS[resolution], 9, rotation=90, color=PALE)
    pitch = (_WIDTH - _LEFT - _RIGHT) / (1 + max(place.column for place in placed.values()))
    boxes = {
        name: Box(_LEFT + (place.column + 0.5) * pitch, lanes[place.lane], min(0.85 * pitch, 0.72), _BOX_HEIGHT)
        for name, place in placed.items()
    }
    kinds = dict({layer.name: operation(layer) for layer in description.layers}, **{INPUT: 'input'})
    for name, box in boxes.items():
        page.box(box, *COLOURS[kinds[name]], name=name)
        _write(page, box, name, f'{channels[name]} ch\n{cube(sides[name])}')
    for layer in description.layers:
        for source in layer.inputs:
            page.arrow(
                route(source, layer, placed, boxes, _TRACK), COLOURS[kinds[layer.name]][0], f'{source} > {layer.name}'
            )
    _write_scopes(page, description, placed, boxes)
    entries = collections.OrderedDict(
        (operation_name(layer), COLOURS[operation(layer)][0]) for layer in description.layers
    )
    page.legend(entries, -(-len(entries) // 2))
    return page


def _rows(placed, head):
    """(height of the page, dictionary lane -> y of its boxes, dictionary stride -> (bottom, top)), inches."""
    strides = {place.lane: place.stride for place in placed.values()}
    height = head + _FOOT + _LANE * len(strides) + 2 * _BAND * len(set(strides.values()))
    top, lanes, bands = height - head, {}, collections.OrderedDict()
    for stride in sorted(set(strides.values())):
        members = sorted(lane for lane in strides if strides[lane] == stride)
        for number, lane in enumerate(members):
            # Below the middle of its lane: arrows over boxes and names of scopes take room above them.
            lanes[lane] = top - _BAND - _LANE * (number + 0.5) - 0.05
        bands[stride] = (top - 2 * _BAND - _LANE * len(members), top)
        top = bands[stride][0]
    return height, lanes, bands


def _write(page, box, name, numbers):
    """A layer's name and numbers in its box."""
    size = 7.5 * min(box.width / 0.6, 1.1)
    short = short_name(name)
    if len(short) > _NAME:
        short = short.replace('_', '\n_', 1)
    small = min(1.0, _NAME / max(map(len, short.split('\n'))))
    page.text(
        box.x,
        box.y + 0.165,
        short,
        0.93 * size * small,
        linespacing=1.1,
        gid=name,
        va='center' if '\n' in short else 'center_baseline',
    )
    page.text(box.x, box.y - 0.13, numbers, size, linespacing=1.1, gid=name)


def _write_scopes(page, description, placed, boxes):
    """The scope's name beside the first of the boxes that stand next to one another in it."""
    scopes = {
        (placed[layer.name].lane, placed[layer.name].column): layer.name.rpartition('/')[0]
        for layer in description.layers
    }
    for layer in description.layers:
        place, box = placed[layer.name], boxes[layer.name]
        scope = scopes[place.lane, place.column]
        before = [column for lane, column in scopes if lane == place.lane and column < place.column]
        if before and scopes[place.lane, max(before)] == scope:
            continue
        # Away from the side where an arrow enters or leaves; to the left where the next box is another scope's.
        others = set(layer.inputs).union(other.name for other in description.layers if layer.name in other.inputs)
        below = any(placed[other].column == place.column and placed[other].lane < place.lane for other in others)
        left = len(scope) > _SHORT and scopes.get((place.lane, place.column + 1), scope) != scope
        page.text(
            box.x + (1 if left else -1) * box.width / 2,
            box.y + (-1 if below else 1) * (box.height / 2 + _SCOPE),
            scope,
            7,
            ha='right' if left else 'left',
            style='italic',
            color=PALE,
        )


def _title(description):
    title = TITLES.get(description.name)
    return f'{title} ({description.name})' if title else description.name


def _notes(description, side):
    trainable, every = description.number_of_parameters()
    answer = {'dvf': 'DVF {} \u00d7 3', 'error': 'two values of the distribution of the error {}'}[description.predicts]
    answer = answer.format(cube(description.output_size(side)))
    words = (
        f'{trainable:,} trainable parameters ({every:,} values with batch-norm statistics and fixed kernels). Input '
        f'{cube(side)} \u00d7 2 channels (moving, fixed), {answer}; valid '
        f'sides are {description.size_unit}k + {description.size_offset}, at least '
        f'{description.smallest_valid_size(1)}, each '
        'axis its own. In a box: layer, channels and size of its output; beside the boxes, in italics, the '
        f'scope. {_convolutions(description)}'
    )
    return textwrap.wrap(words, _LINE)


def _convolutions(description):
    """What goes with the convolutions and up-samplings, in a sentence."""
    convolutions = [layer for layer in description.layers if layer.kind == 'conv']
    activations = collections.OrderedDict()
    for layer in convolutions:
        if layer.normalise:
            activations.setdefault(layer.activation, []).append(layer.name)
    usual = max(activations, key=lambda key: len(activations[key]))
    words = [f'Convolutions with bias, batch norm and {_ACTIVATIONS[usual]}']
    others = [key for key in activations if key != usual]
    words += [f'{_ACTIVATIONS[key]} after {" and ".join(activations[key])}' for key in others]
    words += [f'{layer.name} with bias only' for layer in convolutions if not layer.normalise]
    padded = [layer.name for layer in description.layers if layer.kind == 'up' and layer.margin]
    words += [f'a margin of zeros around {" and ".join(padded)}'] if padded else []
    return '; '.join(words) + '.'


def draw(output, network=None):
    """Write the figures into a folder, each whole or not at all.

    :param network: draw this one only; None: those of the documentation and the software architecture.
    :return: list of the files.
    :raises KeyError: unknown network; the message lists the known ones, and nothing is written.
    :raises OSError: ``output`` cannot be written.
    """
    descriptions = [network_description(name) for name in (TITLES if network is None else [network])]
    pages = [(f'network_{description.name}.png', network_page(description)) for description in descriptions]
    if network is None:
        pages.append((ARCHITECTURE, architecture_page()))
    for name, page in pages:
        page.save(os.path.join(output, name))
    return [os.path.join(output, name) for name, _ in pages]


def main(words=None):
    """Run the command; returns None, or an error in one sentence for ``sys.exit``."""
    parser = argparse.ArgumentParser(
        prog='python -m docs.figures.networks', description='Draw the networks and the architecture of the software.'
    )
    parser.add_argument('--output', default='docs', metavar='FOLDER', help='where the PNG files go')
    parser.add_argument('--network', metavar='NAME', help='draw this network only')
    arguments = parser.parse_args(words)
    try:
        draw(arguments.output, arguments.network)
    except KeyError as error:
        return f'--network: {error.args[0]}'
    except (RegNetError, OSError) as error:
        return str(error)
    return None


if __name__ == '__main__':
    sys.exit(main())
