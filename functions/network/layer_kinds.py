"""The kinds of layers that networks are made of, and the geometry of each along one axis. Imports no TensorFlow."""

import collections

INPUT = 'images'

_FIELDS = 'name kind inputs filters kernel stride padding dilation activation normalise margin'
Layer = collections.namedtuple('Layer', _FIELDS, defaults=(None, 1, 1, 'valid', 1, None, False, 0))
"""One row of a network's table. ``name``: ``scope/layer``; ``kind``: the function below that made the row; ``margin``:
voxels that 'crop' removes, or zeros that 'up' adds, at each end of each axis."""

NetworkTable = collections.namedtuple(
    'NetworkTable', 'layers radius_train full_image predicts', defaults=(False, 'dvf')
)
"""A network. ``layers``: tuple of :class:`Layer` in the order of building, the last gives the DVF; ``radius_train``: R
and Ry, radii in voxels of the training patch and of its DVF; ``full_image``: trained on whole images; ``predicts``:
'dvf', or 'error' where the last layer gives the distribution of the length of what is left to be registered instead
(see :mod:`functions.tf_utils.log_normal`)."""


def conv(name, source, filters, kernel=3, padding='valid', dilation=1, stride=1, activation='relu', normalise=True):
    """A convolution with bias, then batch normalisation, then the activation ('relu', 'elu' or None).

    :param padding: 'valid', or 'same': with zeros around the input; output voxel i is centred on voxel ``stride`` i.
    """
    return Layer(name, 'conv', (source,), filters, kernel, stride, padding, dilation, activation, normalise)


def pool(name, source, padding='valid'):
    """Maximum over 2x2x2 voxels, stride 2."""
    return Layer(name, 'pool', (source,), kernel=2, stride=2, padding=padding)


def up(name, source, margin=0):
    """Trilinear up-sampling n -> 2n + 1, then ``margin`` voxels of zeros at each end of each axis."""
    return Layer(name, 'up', (source,), kernel=3, margin=margin)


def crop(name, source, margin):
    """``margin`` voxels removed at each end of each axis."""
    return Layer(name, 'crop', (source,), margin=margin)


def down(name, source, factor):
    """Down-sampling of every channel by 2 or 4 with the fixed B-spline kernel of 4 ``factor`` - 1 voxels."""
    return Layer(name, 'down', (source,), kernel=4 * factor - 1, stride=factor)


def concat(name, *sources):
    """Concatenation of channels, in the order given."""
    return Layer(name, 'concat', sources)


def add(name, *sources, activation=None):
    """Sum of layers with equal channels (a residual connection), then the activation."""
    return Layer(name, 'add', sources, activation=activation)


def contrast(name, source, radius):
    """HU inside the lungs as three channels of each image: what stands out from the surroundings of ``radius`` voxels,
    in units of their standard deviation, which a change of density leaves as it is; inside or not; density."""
    return Layer(name, 'contrast', (source,), filters=6, kernel=2 * radius + 1, padding='same')


def apart(name, source):
    """The moving and the fixed image one after the other: half the channels, twice the samples.

    The layers up to 'together' or 'correlation' then treat both images with the same weights. The channels of the
    source alternate: moving, fixed, moving, fixed ...
    """
    return Layer(name, 'apart', (source,))


def together(name, source):
    """The channels of the moving image, then those of the fixed image: undoes :func:`apart`."""
    return Layer(name, 'together', (source,))


def correlation(name, source, radius):
    """How alike the fixed image's features are to the moving image's at every displacement up to ``radius`` voxels.

    Dosovitskiy et al., ICCV 2015, section 3, in three dimensions. One channel for each displacement, z slowest; zeros
    stand outside the moving image.

    :param source: a layer of both images :func:`apart`.
    """
    side = 2 * radius + 1
    return Layer(name, 'correlation', (source,), filters=side**3, kernel=side, padding='same')


def softmax(name, source):
    """Channels to positive numbers of sum 1."""
    return Layer(name, 'softmax', (source,))


def smooth(name, source, radius):
    """Every channel smoothed by a Gaussian of standard deviation ``radius`` / 3 voxels; renormalised at the edges."""
    return Layer(name, 'smooth', (source,), kernel=2 * radius + 1, padding='same')


def output_side(layer, side):
    """Side of a layer's output for the side of its input, voxels; less than 1 when nothing is left."""
    if layer.kind == 'up':
        return 2 * side + 1 + 2 * layer.margin
    if layer.padding == 'same':
        return -(-side // layer.stride)
    return (side - 2 * layer.margin - _reach(layer) - 1) // layer.stride + 1


def faithful_output(layer, first, last, side):
    """Output voxels (first, last) that do not depend on where the input ends.

    :param first, last: the input's voxels of which the same is true.
    :param side: side of the layer's input.
    """
    if layer.kind == 'up':
        # Even voxels beside the last faithful input average it with one that is not, or with the repeated edge.
        return 2 * first + 1 + layer.margin, 2 * last + 1 + layer.margin
    if layer.kind == 'crop':
        return max(first - layer.margin, 0), min(last - layer.margin, side - 2 * layer.margin - 1)
    # Output voxel i sees input voxels stride i - before ... stride i - before + reach.
    before = _before(layer)
    return -(-(first + before) // layer.stride), (last + before - _reach(layer)) // layer.stride


def needed_input(layer, first, last):
    """Input voxels (first, last) that the output voxels ``first`` ... ``last`` depend on, far from the input's ends."""
    if layer.kind == 'up':
        return (first - layer.margin - 1) // 2, (last - layer.margin) // 2
    begin = layer.margin - _before(layer)
    return layer.stride * first + begin, layer.stride * last + begin + _reach(layer)


def _before(layer):
    """Input voxels in front of the one that output voxel 0 is centred on. Padded pooling pads the far end only."""
    return _reach(layer) // 2 if layer.padding == 'same' else 0


def _reach(layer):
    """Input voxels beyond the first that one output voxel depends on."""
    return layer.dilation * (layer.kernel - 1)
