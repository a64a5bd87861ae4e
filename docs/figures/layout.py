"""Places of the layers in the figure of a network, and routes of the arrows between them.

Rows are lanes: one or more per resolution, the finest on top. Columns follow the flow: a layer stands one to
the right of the last of its inputs, and right below or above its input where it changes the resolution.
Everything follows from the table of :mod:`functions.network.description`.
"""

import collections

from functions.network.layer_kinds import INPUT

Place = collections.namedtuple('Place', 'column lane stride')
"""Of a layer: ``column`` from 0 (the images), ``lane`` from 0 (the top row), ``stride`` in input voxels."""

Box = collections.namedtuple('Box', 'x y width height')
"""Centre and size on the page, inches; y upwards."""


def places(description):
    """Dictionary layer name -> :class:`Place`."""
    strided = description.strides()
    columns = {INPUT: 0}
    for layer in description.layers:
        last = max(columns[source] for source in layer.inputs)
        columns[layer.name] = last + (strided[layer.name] == strided[layer.inputs[0]])
    lanes = {}
    first_lane = 0
    for resolution in sorted(set(strided.values())):
        ends = []
        for chain in [chain for chain in chains(description, strided) if strided[chain[0]] == resolution]:
            free = [lane for lane, end in enumerate(ends) if columns[chain[0]] > end]
            lane = free[0] if free else len(ends)
            ends[lane : lane + 1] = [columns[chain[-1]]]
            lanes.update((name, first_lane + lane) for name in chain)
        first_lane += len(ends)
    return {name: Place(columns[name], lanes[name], strided[name]) for name in columns}


def chains(description, strided):
    """Layers that follow one another at one resolution: lists of names that together hold every layer once.

    Where several layers read the same one, the chain goes on along the longest way; the others begin chains,
    which come right after it.

    :param strided: of :meth:`functions.network.description.NetworkDescription.strides`.
    """
    following = collections.defaultdict(list)
    for layer in description.layers:
        if strided[layer.name] == strided[layer.inputs[0]]:
            following[layer.inputs[0]].append(layer.name)
    length, onward = {}, {}
    for name in [layer.name for layer in reversed(description.layers)] + [INPUT]:
        longest = max([length[other] for other in following[name]] or [0])
        onward[name] = [other for other in following[name] if length[other] == longest][:1]
        length[name] = longest + 1
    first = [name for name in length if not any(name in others for others in onward.values())]
    found = []
    for name in reversed(first):
        chain = [name]
        while onward[chain[-1]]:
            chain += onward[chain[-1]]
        found.append(chain)
    # Chains that branch off another one at the same resolution are placed below it.
    inputs = {layer.name: layer.inputs[0] for layer in description.layers}
    position = {name: number for number, chain in enumerate(found) for name in chain}
    branches = {
        number
        for number, chain in enumerate(found)
        if chain[0] in inputs and strided[inputs[chain[0]]] == strided[chain[0]]
    }
    order = sorted(
        range(len(found)),
        key=lambda number: (
            (position[inputs[found[number][0]]], 1, number) if number in branches else (number, 0, number)
        ),
    )
    return [found[number] for number in order]


def route(source, layer, placed, boxes, track):
    """Corners of the arrow from ``source`` to ``layer``, inches, from border to border.

    :param placed: of :func:`places`.
    :param boxes: dictionary layer name -> :class:`Box`.
    :param track: distance above the boxes at which an arrow passes over those in its way.
    """
    start, end = placed[source], placed[layer.name]
    a, b = boxes[source], boxes[layer.name]
    # 1 where the arrow goes up the page.
    up = 1 if b.y > a.y else -1
    between = [
        place
        for place in placed.values()
        if place.lane == start.lane and start.column < place.column < end.column + (start.lane != end.lane)
    ]
    if start.column == end.column:
        return [(a.x, a.y + up * a.height / 2), (b.x, b.y - up * b.height / 2)]
    if start.lane == end.lane and not between:
        return [(a.x + a.width / 2, a.y), (b.x - b.width / 2, b.y)]
    if layer.kind != 'concat':
        # Beside the middle, where an arrow to another resolution leaves.
        x = a.x + 0.3 * a.width
        return [(x, a.y + up * a.height / 2), (x, b.y), (b.x - b.width / 2, b.y)]
    if not between:
        return [(a.x + a.width / 2, a.y), (b.x, a.y), (b.x, b.y - up * b.height / 2)]
    over = a.y + a.height / 2 + track
    return [(a.x, a.y + a.height / 2), (a.x, over), (b.x, over), (b.x, b.y + b.height / 2)]
