"""How alike the features of two images are at every small displacement (FlowNetC, Dosovitskiy et al., ICCV 2015)."""

import numpy as np

from .backend import tf

_BLOCK = 4  # voxels: longer blocks of fixed voxels compute more products that nobody asks for


def correlation(images, radius):
    """Scalar products of the fixed image's features and the moving image's at displacements of up to ``radius`` voxels.

    A block of fixed voxels in a slice is multiplied with all moving voxels that any of them may go to, as one matrix
    product; of its entries those within ``radius`` are taken. Displacement by displacement, memory would be read and
    written several times as often.

    :param images: [2 n, z, y, x, c], see :func:`functions.tf_utils.layers.apart`.
    :return: [n, z, y, x, (2 radius + 1) ** 3], divided by the root of c; z slowest; zeros outside the moving image.
    """
    side, block, channels = 2 * radius + 1, max(_BLOCK, 2 * radius), int(images.shape[-1])
    window = block + 2 * radius
    moving, fixed = tf.split(images, 2)
    n, z, y, x, _ = tf.unstack(tf.shape(fixed))
    # Not -(-y // block): ONNX rounds quotients towards zero.
    rows, columns = (y + block - 1) // block, (x + block - 1) // block
    filling = [rows * block - y, columns * block - x]
    around = [[0, 0], [0, 0], [0, filling[0]], [0, filling[1]], [0, 0]]
    fixed = tf.reshape(tf.pad(fixed, around), tf.stack([n, z, rows, block, columns, block, channels]))
    shape = [z, n, rows, columns]
    fixed = _side_by_side(fixed * channels**-0.5, shape + [block**2, channels])
    around = [[0, 0], [radius, radius]] + [[radius, more + block - radius] for more in filling] + [[0, 0]]
    moving = _windows(_windows(tf.pad(moving, around), 2, block, 2 * radius), 4, block, 2 * radius)
    moving = _side_by_side(moving, [z + 2 * radius, n, rows, columns, window**2, channels])
    # Entry (fixed voxel, moving voxel) of a product, for every fixed voxel and displacement.
    at, by = np.arange(block), np.arange(side)
    there = at[:, None, None, None] + by[:, None], at[:, None, None] + by
    used = (at[:, None, None, None] * block + at[:, None, None]) * window**2 + there[0] * window + there[1]
    found = []
    for shift in range(side):
        # One after another, so that one product is in memory at a time.
        with tf.control_dependencies(found[-1:]):
            part = tf.slice(moving, [shift] + [0] * 5, tf.stack(shape + [window**2, channels]))
            product = tf.reshape(tf.matmul(fixed, part, transpose_b=True), [-1, block**2 * window**2])
            values = tf.reshape(tf.gather(product, used.ravel(), axis=1), tf.stack(shape + [block, block, side**2]))
            whole = _side_by_side(values, [n, z, rows * block, columns * block, side**2])
            found.append(tf.slice(whole, [0] * 5, tf.stack([n, z, y, x, side**2])))
    return tf.concat(found, -1)


def _windows(values, axis, side, more):
    """An axis of a whole number of blocks of ``side`` as two: blocks, but for the last one, and in each its own voxels
    and the first ``more`` of the next.
    """
    shape = tf.unstack(tf.shape(values))
    count, inner = shape[axis] // side, tf.reduce_prod(tf.stack(shape[axis + 1 :]), 0)
    # Four axes: TensorFlow 1.15 has no gradient for slices of many.
    blocks = tf.reshape(values, tf.stack([-1, count, side, inner]))
    first = tf.slice(blocks, [0] * 4, tf.stack([-1, count - 1, -1, -1]))
    following = tf.slice(blocks, [0, 1, 0, 0], tf.stack([-1, count - 1, more, -1]))
    windows = tf.concat([first, following], 2)
    return tf.reshape(windows, tf.stack(shape[:axis] + [count - 1, side + more] + shape[axis + 1 :]))


def _side_by_side(blocks, shape):
    """[n, z, rows, block, columns, block, c] as [z, n, rows, columns, block, block, c] or back, in another shape.
    Slices come first there: parts of a first axis are taken without a copy.
    """
    return tf.reshape(tf.transpose(blocks, [1, 0, 2, 4, 3, 5, 6]), tf.stack(shape))
