"""The networks as data: sizes, channels, parameters, receptive field and memory follow from their tables.

A network is a tuple of layers in the order of building. Every layer names its inputs by the names of earlier layers
(``images`` is the input). To add a network, write its ``TABLE`` in a module beside ``unet1`` and add the name of the
module to ``MODULES``.

Source: Sokooti et al., arXiv 1908.10235, section 3.3 (U-Net, multi-view, U-Net advanced).
"""

import importlib

from .layer_kinds import INPUT, faithful_output, needed_input, output_side


class NetworkDescription:
    """A network's table and what follows from it.

    :param table: :class:`functions.network.layer_kinds.NetworkTable`.
    :ivar predicts: 'dvf' or 'error', see :class:`functions.network.layer_kinds.NetworkTable`.
    :ivar size_unit: valid sides are ``size_unit`` k + ``size_offset``, from ``smallest_valid_size(1)`` on.
    :ivar offset: voxels by which the DVF is smaller than the input at each end of each axis.
    """

    input_channels = 2  # the moving and the fixed image

    def __init__(self, name, table):
        self.name = name
        self.layers, self.radius_train, self.full_image, self.predicts = table
        self.size_unit, self.size_offset = self._size_rule()
        side = 2 * self.radius_train[0] + 1
        # Position of output voxel 0 in the input along one axis; as many voxels are lost at the other end.
        self.offset = (side - self.output_size(side)) // 2

    def __str__(self):
        parameters, _ = self.number_of_parameters()
        field = self.receptive_field
        return f'{self.name}: {parameters:,} parameters, receptive field {field} voxels, sides {self.valid_sides}'

    @property
    def reads_hu(self):
        """Whether it brings HU to its own units itself, so that images must not be normalised before."""
        return any(layer.kind == 'contrast' for layer in self.layers)

    @property
    def valid_sides(self):
        """The sides it accepts, in words."""
        return f'{self.size_unit} * k + {self.size_offset}, at least {self.smallest_valid_size(1)}'

    def sizes(self, side):
        """Side of every layer's output along one axis.

        :param side: input side in voxels.
        :return: dictionary layer name -> side, in table order.
        :raises ValueError: the geometry does not close for this side, with the layer that fails.
        """
        sides = {INPUT: int(side)}
        for layer in self.layers:
            inputs = {sides[source] for source in layer.inputs}
            if len(inputs) != 1:
                raise ValueError(f'{self.name}: with an input side of {side}, {layer.name} joins {sorted(inputs)}.')
            sides[layer.name] = output_side(layer, inputs.pop())
            if sides[layer.name] < 1:
                raise ValueError(f'{self.name}: an input side of {side} is too small for {layer.name}.')
        return sides

    def output_size(self, side):
        """Side of the DVF for an input side (one axis)."""
        return self.sizes(side)[self.layers[-1].name]

    def is_valid_size(self, side):
        """Whether an axis of ``side`` voxels passes through the network and loses as many at both ends."""
        try:
            return (side - self.output_size(side)) % 2 == 0
        except ValueError:
            return False

    def smallest_valid_size(self, side):
        """The smallest valid input side that is at least ``side``."""
        candidate = max(int(side), 1)
        while not self.is_valid_size(candidate):
            candidate += 1
        return candidate

    def channels(self):
        """Channels of every layer's output: dictionary layer name -> number."""
        channels, images = {INPUT: self.input_channels}, self.images()
        for layer in self.layers:
            counts = [channels[source] for source in layer.inputs]
            if layer.kind == 'add' and len(set(counts)) > 1:
                raise ValueError(f'{self.name}: {layer.name} adds layers of {counts} channels; they must be equal.')
            made = counts[0] if layer.kind == 'add' else sum(counts)
            # Two images apart have half the channels each; put together, all of them.
            channels[layer.name] = layer.filters or made * images[layer.inputs[0]] // images[layer.name]
        return channels

    def images(self):
        """Samples of every layer's output for one of the input: 2 where both images are apart, else 1."""
        found = {INPUT: 1}
        for layer in self.layers:
            same = found[layer.inputs[0]]
            found[layer.name] = {'apart': 2, 'together': 1, 'correlation': 1}.get(layer.kind, same)
        return found

    @property
    def features(self):
        """The layer of both images apart from which alone all that comes after it is made; None without one."""
        images, names = self.images(), [layer.name for layer in self.layers]
        apart = [name for name in names if images[name] == 2]
        if not apart:
            return None
        beyond = self.layers[names.index(apart[-1]) + 1 :]
        taken = {source for layer in beyond for source in layer.inputs} - {layer.name for layer in beyond}
        return apart[-1] if taken == {apart[-1]} else None

    def number_of_parameters(self):
        """(trainable, all): numbers of values; the latter with batch-norm statistics and fixed up-sampling kernels."""
        channels = self.channels()
        trainable, fixed = 0, 0
        for layer in self.layers:
            if layer.kind == 'conv':
                statistics = 2 * layer.filters if layer.normalise else 0
                trainable += layer.kernel**3 * channels[layer.inputs[0]] * layer.filters + layer.filters + statistics
                fixed += statistics
            elif layer.kind == 'up':
                fixed += layer.kernel**3
        return trainable, trainable + fixed

    @property
    def phase(self):
        """Shifting the input by this many voxels shifts the output by as many: the coarsest stride."""
        return max(self.strides().values())

    def strides(self):
        """Input voxels between two voxels of every layer's output: dictionary layer name -> 1, 2, 4 or 8."""
        found = {INPUT: 1}
        for layer in self.layers:
            coarser = max(found[source] for source in layer.inputs) * layer.stride
            found[layer.name] = coarser // 2 if layer.kind == 'up' else coarser
        return found

    @property
    def receptive_field(self):
        """Input voxels along one axis that one voxel of the DVF depends on, the most over all its positions."""
        return max(self._seen_by(position) for position in range(self.phase))

    def _seen_by(self, position):
        """Number of input voxels along one axis that the DVF at ``position`` depends on."""
        needed = {self.layers[-1].name: (position, position)}
        for layer in reversed(self.layers):
            first, last = needed_input(layer, *needed[layer.name])
            for source in layer.inputs:
                known = needed.get(source, (first, last))
                needed[source] = min(first, known[0]), max(last, known[1])
        return needed[INPUT][1] - needed[INPUT][0] + 1

    def faithful(self, side):
        """Output voxels (one axis) whose receptive field lies inside the input, so that a larger input gives the same.

        The others depend on padding and on the repeated edges of up-sampling. Tiles keep faithful voxels only, except
        at the ends of the volume.

        :param side: input side, a valid one.
        :return: (first, last), empty when last < first.
        """
        sides, faithful = self.sizes(side), {INPUT: (0, side - 1)}
        for layer in self.layers:
            source = layer.inputs[0]
            first = max(faithful[name][0] for name in layer.inputs)
            last = min(faithful[name][1] for name in layer.inputs)
            faithful[layer.name] = faithful_output(layer, first, last, sides[source])
        return faithful[self.layers[-1].name]

    def peak_bytes(self, shape):
        """Estimated peak memory of one forward pass of one sample.

        Layers that can run at the same time do. Counted are the tensors still needed and three times the outputs being
        made (before and after bias and activation, and in the layout of a library). Measured peaks were 0.5 to 1.15
        times this.

        :param shape: input sides (z, y, x), valid ones.
        """
        sides, channels, images = [self.sizes(side) for side in shape], self.channels(), self.images()
        depth, last_use = {INPUT: 0}, {}
        for layer in self.layers:
            depth[layer.name] = 1 + max(depth[source] for source in layer.inputs)
            for source in layer.inputs:
                last_use[source] = max(last_use.get(source, 0), depth[layer.name])

        def values(name):
            return images[name] * channels[name] * sides[0][name] * sides[1][name] * sides[2][name]

        peak = 0
        for now in range(1, 1 + max(depth.values())):
            held = sum(values(name) for name, made in depth.items() if made < now <= last_use.get(name, 0))
            made = sum(3 * values(layer.name) for layer in self.layers if depth[layer.name] == now)
            peak = max(peak, held + made)
        return 4 * peak  # bytes of a float32

    def can_be_joined(self, tile):
        """Whether tiles of this side, a valid one, can be put beside each other."""
        first, last = self.faithful(tile)
        # Starts are rounded down to the phase, so up to phase - 1 faithful voxels are computed twice.
        return last - first + 1 >= self.phase

    def smallest_tile(self):
        """Side of the smallest tile that can be put beside another one."""
        tile = self.smallest_valid_size(1)
        while not self.can_be_joined(tile):
            tile = self.smallest_valid_size(tile + 1)
        return tile

    def memory_problem(self, memory):
        """Why ``memory`` bytes are too few even for the smallest volume, as a sentence; None when they are not."""
        needed = self.peak_bytes([self.smallest_valid_size(1)] * 3)
        return f'{self.name} needs at least {needed} bytes, not {memory:g}.' if memory < needed else None

    def _size_rule(self):
        """(unit, offset): valid sides are offset + unit * k, found by trying all sides."""
        valid = [side for side in range(1, 220) if self.is_valid_size(side)]
        if len(valid) < 2:
            raise ValueError(f'{self.name}: no image side below 220 voxels passes through the layers.')
        unit = valid[1] - valid[0]
        if any(b - a != unit for a, b in zip(valid, valid[1:])):
            raise ValueError(f'{self.name}: the valid sides {valid} are not evenly spaced.')
        return unit, valid[0] % unit


#: Modules beside this one with the ``TABLE`` of a network, by which the network is called.
MODULES = ['unet1', 'crop4', 'crop5', 'decimation4', 'matching', 'error_map']
NETWORKS = {name: NetworkDescription(name, importlib.import_module('.' + name, __package__).TABLE) for name in MODULES}
NETWORKS['crop4_connection'] = NETWORKS['crop4']  # the name in the published code


def network_description(name: str) -> NetworkDescription:
    """The description of a network by its setting name.

    :raises KeyError: unknown name; the message lists the known ones.
    """
    if name not in NETWORKS:
        raise KeyError(f'{name!r} is not a known network. Accepted: {", ".join(sorted(NETWORKS))}.')
    return NETWORKS[name]
