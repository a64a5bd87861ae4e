"""The networks as data: layers, sizes and geometry, without TensorFlow.

A network is a tuple of layers in the order in which they are built. Every layer names its inputs by the names of
earlier layers (``images`` is the input), so that the table reads like the figure of the paper. Sizes, valid inputs and
the parameter count are computed from the table, never typed a second time.

Source: Sokooti et al., arXiv 1908.10235, section 3.3 (U-Net, multi-view, U-Net advanced).
"""

import collections

Layer = collections.namedtuple('Layer', 'name kind inputs filters kernel padding dilation activation normalise margin')
"""One row of a network's table. ``name`` is ``scope/layer``; ``kind`` is 'conv', 'pool', 'up', 'crop', 'down' or
'concat'; ``margin`` is the number of voxels removed by a 'crop', or of zero voxels added after an 'up', at each end of
each axis."""

INPUT = 'images'


def conv(name, source, filters, kernel=3, padding='valid', dilation=1, activation='relu', normalise=True):
    """A convolution with bias, then batch normalisation, then the activation."""
    return Layer(name, 'conv', (source,), filters, kernel, padding, dilation, activation, normalise, 0)


def pool(name, source, padding='valid'):
    """Maximum over 2x2x2 voxels, stride 2."""
    return Layer(name, 'pool', (source,), None, 2, padding, 1, None, False, 0)


def up(name, source, margin=0):
    """Trilinear up-sampling n -> 2n + 1, then ``margin`` voxels of zeros at each end of each axis."""
    return Layer(name, 'up', (source,), None, 3, None, 1, None, False, margin)


def crop(name, source, margin):
    """``margin`` voxels removed at each end of each axis."""
    return Layer(name, 'crop', (source,), None, None, None, 1, None, False, margin)


def down(name, source, factor):
    """Down-sampling of every channel by 2 or 4 with the fixed B-spline kernel of 4 ``factor`` - 1 voxels."""
    return Layer(name, 'down', (source,), None, 4 * factor - 1, 'valid', 1, None, False, 0)


def concat(name, *sources):
    """Concatenation of channels, in the order given."""
    return Layer(name, 'concat', tuple(sources), None, None, None, 1, None, False, 0)


class NetworkDescription:
    """A network's table and what follows from it.

    :ivar name: key under which settings name the network.
    :ivar layers: tuple of :class:`Layer`; the last one gives the DVF.
    :ivar radius_train: (R, Ry), radii in voxels of the training patch and of its DVF.
    :ivar pad_to: side in voxels to which published training padded whole images on disk, or None.
    :ivar full_image: whether published training fed whole images.
    :ivar size_unit: valid sides are ``size_unit`` k + ``size_offset``, from :meth:`smallest_valid_size` (1) on.
    :ivar offset: voxels by which the DVF is smaller than the input at each end of each axis.
    """

    def __init__(self, name, layers, radius_train, pad_to=None, full_image=False, input_channels=2):
        self.name = name
        self.layers = tuple(layers)
        self.radius_train = tuple(radius_train)
        self.pad_to = pad_to
        self.full_image = full_image
        self.input_channels = input_channels
        self.size_unit, self.size_offset = self._size_rule()
        side = 2 * self.radius_train[0] + 1
        # The input voxel (one axis) at which output voxel 0 lies; as many are lost at the other end.
        self.offset = (side - self.output_size(side)) // 2

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
                raise ValueError(
                    f'{self.name}: an input side of {side} makes {layer.name} join sides {sorted(inputs)}.'
                )
            sides[layer.name] = _output_side(layer, inputs.pop())
            if sides[layer.name] < 1:
                raise ValueError(
                    f'{self.name}: an input side of {side} is too small; nothing is left after {layer.name}.'
                )
        return sides

    def output_size(self, side):
        """Side of the DVF for an input side (one axis)."""
        return self.sizes(side)[self.layers[-1].name]

    def is_valid_size(self, side):
        """Whether an axis of ``side`` voxels passes through the network."""
        try:
            self.sizes(side)
        except ValueError:
            return False
        return True

    def smallest_valid_size(self, side):
        """The smallest valid input side that is at least ``side``."""
        candidate = max(int(side), 1)
        while not self.is_valid_size(candidate):
            candidate += 1
        return candidate

    def channels(self):
        """Channels of every layer's output: dictionary layer name -> number."""
        channels = {INPUT: self.input_channels}
        for layer in self.layers:
            total = sum(channels[source] for source in layer.inputs)
            channels[layer.name] = total if layer.filters is None else layer.filters
        return channels

    def number_of_parameters(self):
        """(trainable, all): numbers of values in the trainable variables, and in all of them (batch-norm statistics and
        the fixed up-sampling kernels included)."""
        channels = self.channels()
        trainable, fixed = 0, 0
        for layer in self.layers:
            if layer.kind == 'conv':
                trainable += layer.kernel**3 * channels[layer.inputs[0]] * layer.filters + layer.filters
                if layer.normalise:
                    trainable += 2 * layer.filters
                    fixed += 2 * layer.filters
            elif layer.kind == 'up':
                fixed += layer.kernel**3
        return trainable, trainable + fixed

    def receptive_interval(self, begin, end):
        """Input voxels (one axis) on which the output voxels begin..end (inclusive) depend, ignoring borders.

        :return: (first, last), which may lie outside the image: that is where padding enters.
        """
        wanted = {self.layers[-1].name: (begin, end)}
        for layer in reversed(self.layers):
            if layer.name not in wanted:
                continue
            first, last = _input_interval(layer, *wanted[layer.name])
            for source in layer.inputs:
                old = wanted.get(source, (first, last))
                wanted[source] = (min(old[0], first), max(old[1], last))
        return wanted[INPUT]

    @property
    def phase(self):
        """Shifting the input by this many voxels shifts the output by as many: the product of the pooling strides."""
        return max(self.strides().values())

    def strides(self):
        """Input voxels between two voxels of every layer's output: dictionary layer name -> 1, 2, 4 or 8."""
        found = {INPUT: 1}
        for layer in self.layers:
            coarser = max(found[source] for source in layer.inputs) * stride(layer)
            found[layer.name] = coarser // 2 if layer.kind == 'up' else coarser
        return found

    def faithful(self, side):
        """Output voxels (one axis) that a larger input around the same voxels would not change.

        Same-padding, the repeated edges of up-sampling and what these reach make the others depend on where the input
        ends. Tiles keep faithful voxels only, except at the ends of the volume.

        :param side: input side, a valid one.
        :return: (first, last), empty when last < first.
        """
        sides, faithful = self.sizes(side), {INPUT: (0, side - 1)}
        for layer in self.layers:
            source = layer.inputs[0]
            first = max(faithful[name][0] for name in layer.inputs)
            last = min(faithful[name][1] for name in layer.inputs)
            faithful[layer.name] = _faithful(layer, first, last, sides[source])
        return faithful[self.layers[-1].name]

    def peak_bytes(self, shape, bytes_per_value=4):
        """Estimated peak memory of one forward pass of one sample.

        Layers that can run at the same time do: what is alive then are tensors still needed, their inputs, and their
        outputs three times (before and after bias and activation, and what libraries keep in another order). Measured
        peaks of the networks were 0.5 to 1.15 times this.

        :param shape: input sides (z, y, x), valid ones.
        """
        sides, channels = [self.sizes(side) for side in shape], self.channels()
        depth, last_use = {INPUT: 0}, {}
        for layer in self.layers:
            depth[layer.name] = 1 + max(depth[source] for source in layer.inputs)
            for source in layer.inputs:
                last_use[source] = max(last_use.get(source, 0), depth[layer.name])

        def values(name):
            return channels[name] * sides[0][name] * sides[1][name] * sides[2][name]

        peak = 0
        for now in range(1, 1 + max(depth.values())):
            held = sum(values(name) for name, made in depth.items() if made < now <= last_use.get(name, 0))
            made = sum(3 * values(layer.name) for layer in self.layers if depth[layer.name] == now)
            peak = max(peak, held + made)
        return peak * bytes_per_value

    def _size_rule(self):
        """(unit, offset): valid sides are offset + unit * k; found by trying, so it cannot disagree with the table."""
        valid = [side for side in range(1, 220) if self.is_valid_size(side)]
        unit = valid[1] - valid[0]
        if any(b - a != unit for a, b in zip(valid, valid[1:])):
            raise ValueError(f'{self.name}: the valid sides {valid} are not evenly spaced.')
        return unit, valid[0] % unit


def _output_side(layer, side):
    if layer.kind == 'conv':
        return side if layer.padding == 'same' else side - layer.dilation * (layer.kernel - 1)
    if layer.kind == 'pool':
        return -(-side // 2) if layer.padding == 'same' else side // 2
    if layer.kind == 'up':
        return 2 * side + 1 + 2 * layer.margin
    if layer.kind == 'crop':
        return side - 2 * layer.margin
    if layer.kind == 'down':
        return (side - layer.kernel) // stride(layer) + 1
    return side


def stride(layer):
    """Voxels of its input between two output voxels of a layer that makes its input coarser, else 1."""
    if layer.kind == 'down':
        return (layer.kernel + 1) // 4
    return 2 if layer.kind == 'pool' else 1


def _input_interval(layer, first, last):
    """Voxels of a layer's input on which its output voxels first..last depend."""
    if layer.kind == 'conv':
        reach = layer.dilation * (layer.kernel - 1)
        before = reach // 2 if layer.padding == 'same' else 0
        return first - before, last - before + reach
    if layer.kind == 'pool':
        return 2 * first, 2 * last + 1
    if layer.kind == 'up':
        # out[2 i + 1] = in[i], out[2 i] = (in[i - 1] + in[i]) / 2
        first, last = first - layer.margin, last - layer.margin
        return first // 2 - (1 if first % 2 == 0 else 0), last // 2
    if layer.kind == 'crop':
        return first + layer.margin, last + layer.margin
    if layer.kind == 'down':
        return first * stride(layer), last * stride(layer) + layer.kernel - 1
    return first, last


def _faithful(layer, first, last, side):
    """Output voxels of a layer (one axis) that do not depend on where its input ends.

    :param first, last: the input's voxels of which the same is true.
    :param side: side of the layer's input.
    """
    if layer.kind == 'conv':
        reach = layer.dilation * (layer.kernel - 1)
        return (first + reach // 2, last - reach // 2) if layer.padding == 'same' else (first, last - reach)
    if layer.kind == 'pool':
        return -(-first // 2), (last + 1) // 2 - 1
    if layer.kind == 'up':
        # Even voxels beside the last faithful input average it with one that is not, or with the repeated edge.
        return 2 * first + 1 + layer.margin, 2 * last + 1 + layer.margin
    if layer.kind == 'crop':
        return max(first - layer.margin, 0), min(last - layer.margin, side - 2 * layer.margin - 1)
    if layer.kind == 'down':
        return -(-first // stride(layer)), (last - layer.kernel + 1) // stride(layer)
    return first, last


def _branch_r1(source):
    """The full-resolution branch of crop4 and decimation4 after its first convolution."""
    return (
        conv('R1/conv2_R1', source, 20),
        conv('R1/conv3_R1', 'R1/conv2_R1', 24),
        conv('R1/conv4_R1', 'R1/conv3_R1', 28),
        conv('R1/conv5_R1', 'R1/conv4_R1', 32),
        conv('R1/conv6_R1', 'R1/conv5_R1', 32),
        conv('R1/conv7_R1', 'R1/conv6_R1', 32),
    )


def _branch_r2(source):
    """Their branch of half the resolution, back at full resolution beside ``R1/connection_R1``."""
    return (
        conv('R2/conv2_R2', source, 30),
        conv('R2/conv3_R2', 'R2/conv2_R2', 32, dilation=2),
        conv('R2/conv4_R2', 'R2/conv3_R2', 34, dilation=2),
        conv('R2/conv5_R2', 'R2/conv4_R2', 36, dilation=2),
        conv('R2/conv6_R2', 'R2/conv5_R2', 38, dilation=2),
        up('R2/conv7_R2', 'R2/conv6_R2'),
        concat('R2/concat_R2', 'R2/conv7_R2', 'R1/connection_R1'),
        conv('R2/conv8_R2', 'R2/concat_R2', 40),
    )


def _branch_r4(source):
    """Their branch of a quarter of the resolution, back at full resolution beside ``R1/connection_R1``."""
    return (
        conv('R4/conv2_R4', source, 40),
        conv('R4/conv3_R4', 'R4/conv2_R4', 42, dilation=2),
        conv('R4/conv4_R4', 'R4/conv3_R4', 44, dilation=2),
        conv('R4/conv5_R4', 'R4/conv4_R4', 46, dilation=2),
        up('R4/conv6_R4', 'R4/conv5_R4'),
        crop('R4/connection_R2', 'R2/conv5_R2', 1),
        concat('R4/concat1_R4', 'R4/conv6_R4', 'R4/connection_R2'),
        conv('R4/conv7_R4', 'R4/concat1_R4', 46),
        up('R4/conv8_R4', 'R4/conv7_R4'),
        concat('R4/concat2_R4', 'R4/conv8_R4', 'R1/connection_R1'),
        conv('R4/conv9_R4', 'R4/concat2_R4', 40),
    )


def _head(*branches):
    """Rows that join the branches of a multi-resolution network and give the DVF."""
    return (
        concat('Merged/concat', *branches),
        conv('FullyConnected/conv1_FC', 'Merged/concat', 120, activation='elu'),
        conv('FullyConnected/conv2_FC', 'FullyConnected/conv1_FC', 50, activation='elu'),
        conv('DVF/DVF_RegNet', 'FullyConnected/conv2_FC', 3, kernel=1, activation=None, normalise=False),
    )


UNET1 = NetworkDescription(
    'unet1',
    radius_train=(62, 62),
    pad_to=125,
    full_image=True,
    layers=(
        conv('R1/conv1_R1', INPUT, 12, padding='same'),
        pool('R2/max_R2', 'R1/conv1_R1', padding='same'),
        conv('R2/conv1_R2', 'R2/max_R2', 24),
        pool('R3/max_R3', 'R2/conv1_R2', padding='same'),
        conv('R3/conv1_R3', 'R3/max_R3', 28),
        pool('R4/max_R4', 'R3/conv1_R3'),
        conv('R4/conv1_R4', 'R4/max_R4', 32, padding='same'),
        conv('R4/conv2_R4', 'R4/conv1_R4', 40, padding='same'),
        conv('R4/conv3_R4', 'R4/conv2_R4', 44, padding='same'),
        up('R3_Up/conv1_R3_Up', 'R4/conv3_R4'),
        concat('R3_Up/concat_R3_Up', 'R3_Up/conv1_R3_Up', 'R3/conv1_R3'),
        conv('R3_Up/conv2_R3_Up', 'R3_Up/concat_R3_Up', 32, padding='same'),
        up('R2_Up/conv1_R2_Up', 'R3_Up/conv2_R3_Up', margin=1),
        concat('R2_Up/concat_R2_Up', 'R2_Up/conv1_R2_Up', 'R2/conv1_R2'),
        conv('R2_Up/conv2_R2_Up', 'R2_Up/concat_R2_Up', 18, padding='same'),
        up('R1_Up/conv1_R1_Up', 'R2_Up/conv2_R2_Up', margin=1),
        concat('R1_Up/concat_R1_Up', 'R1_Up/conv1_R1_Up', 'R1/conv1_R1'),
        # Named conv1_R2_Up inside R1_Up by the published code; kept so that its checkpoints restore.
        conv('R1_Up/conv1_R2_Up', 'R1_Up/concat_R1_Up', 12, padding='same', activation='elu'),
        conv('DVF/DVF_RegNet', 'R1_Up/conv1_R2_Up', 3, kernel=1, activation=None, normalise=False),
    ),
)

# As unet1 but for one activation; published for stage 4 only.
CROP5 = NetworkDescription(
    'crop5',
    radius_train=(62, 62),
    pad_to=125,
    full_image=True,
    layers=[
        layer._replace(activation='relu') if layer.name == 'R1_Up/conv1_R2_Up' else layer for layer in UNET1.layers
    ],
)

CROP4 = NetworkDescription(
    'crop4',
    radius_train=(50, 10),
    layers=(
        conv('R1/conv1_R1', INPUT, 16),
        crop('R1/crop_R1', 'R1/conv1_R1', 31),
        *_branch_r1('R1/crop_R1'),
        crop('R1/connection_R1', 'R1/conv1_R1', 36),
        pool('R2/max_R2', 'R1/conv1_R1'),
        conv('R2/conv1_R2', 'R2/max_R2', 30),
        crop('R2/crop_R2', 'R2/conv1_R2', 8),
        *_branch_r2('R2/crop_R2'),
        pool('R4/max_R4', 'R2/conv1_R2'),
        conv('R4/conv1_R4', 'R4/max_R4', 40),
        *_branch_r4('R4/conv1_R4'),
        *_head('R1/conv7_R1', 'R2/conv8_R2', 'R4/conv9_R4'),
    ),
)

DECIMATION4 = NetworkDescription(
    'decimation4',
    radius_train=(52, 10),
    layers=(
        down('DownSampling_R4/images_R4', INPUT, 4),
        crop('DownSampling_R2/crop_R2', INPUT, 19),
        down('DownSampling_R2/images_R2', 'DownSampling_R2/crop_R2', 2),
        crop('DownSampling_R1/images_R1', INPUT, 34),
        conv('R1/conv1_R1', 'DownSampling_R1/images_R1', 16, padding='same'),
        *_branch_r1('R1/conv1_R1'),
        crop('R1/connection_R1', 'R1/conv1_R1', 5),
        # Named conv2_R1 inside R2 by the published code; kept so that its checkpoints restore.
        conv('R2/conv2_R1', 'DownSampling_R2/images_R2', 20, padding='same'),
        *_branch_r2('R2/conv2_R1'),
        conv('R4/conv1_R4', 'DownSampling_R4/images_R4', 30),
        *_branch_r4('R4/conv1_R4'),
        *_head('R1/conv7_R1', 'R2/conv8_R2', 'R4/conv9_R4'),
    ),
)

NETWORKS = {network.name: network for network in (UNET1, CROP4, CROP5, DECIMATION4)}
# The published code's name of the same network.
NETWORKS['crop4_connection'] = CROP4


def network_description(name):
    """The description of a network by its setting name.

    :raises KeyError: unknown name; the message lists the known ones.
    """
    if name not in NETWORKS:
        raise KeyError('{!r} is not a known network. Accepted: {}.'.format(name, ', '.join(sorted(NETWORKS))))
    return NETWORKS[name]
