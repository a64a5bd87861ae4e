"""Fast three-dimensional convolution, gradients included, on both TensorFlows.

On a CPU, TensorFlow 1.15 unfolds the whole volume in memory for the gradients of ``conv3d`` (6 GB for a layer of
``unet1``) and takes ten times as long as the forward pass. There the gradient of the images is computed as a
convolution with the reversed kernel, and that of the kernel as a sum of two-dimensional gradients over slices.
"""

from .backend import SLOW_CONV3D_GRADIENTS, tf


def convolve(images, kernel, padding='valid', dilation=1, stride=1):
    """Convolution; dilated or strided, not both.

    :param images: [n, z, y, x, c] float32.
    :param kernel: [k, k, k, c, d] float32.
    :param padding: 'valid' or 'same'; with 'same', output voxel i is centred on input voxel ``stride`` i at any size.
    :return: [n, z', y', x', d] float32.
    """
    if stride > 1:
        if padding == 'same':
            around = [int(kernel.shape[0]) // 2] * 2
            images = tf.pad(images, [[0, 0], around, around, around, [0, 0]])
        return tf.nn.conv3d(images, kernel, strides=[1] + [stride] * 3 + [1], padding='VALID')
    convolution = _own_gradients if SLOW_CONV3D_GRADIENTS else _native
    if dilation == 1:
        return convolution(images, kernel, padding.upper())
    # conv3d has no dilated CPU kernel in TensorFlow 1.15: every dilation-th voxel becomes a separate image.
    shapes = {'filter_shape': tf.shape(kernel), 'spatial_dims': [1, 2, 3]}
    undilated = (padding.upper(), lambda parts, dimensions, inner: convolution(parts, kernel, inner))
    return tf.nn.with_space_to_batch(images, [dilation] * 3, *undilated, **shapes)


def _native(images, kernel, padding):
    return tf.nn.conv3d(images, kernel, strides=[1] * 5, padding=padding)


def _own_gradients(images, kernel, padding):
    # Not tf.custom_gradient: TensorFlow 1.15 registers each for good, and with it the whole graph.
    with tf.get_default_graph().gradient_override_map({'Conv3D': 'Conv3DByPlanes'}):
        return _native(images, kernel, padding)


@tf.RegisterGradient('Conv3DByPlanes')
def _gradients(operation, g):
    images, kernel = operation.inputs
    padding = operation.get_attr('padding').decode()
    return _images_gradient(g, kernel, padding), _kernel_gradient(images, kernel, g, padding)


def _images_gradient(g, kernel, padding):
    turned = tf.transpose(tf.reverse(kernel, [0, 1, 2]), [0, 1, 2, 4, 3])
    if padding == 'VALID':
        around = [int(kernel.shape[0]) - 1] * 2
        g = tf.pad(g, [[0, 0], around, around, around, [0, 0]])
    # Both paddings give a result as large as the images.
    return _native(g, turned, padding)


def _kernel_gradient(images, kernel, g, padding):
    side, reach = int(kernel.shape[0]), (int(kernel.shape[0]) - 1) // 2
    size = kernel.shape.as_list()[1:]
    planes, shape = [], tf.shape(g)
    for offset in range(side):
        # One at a time, so that only one slice of the images is in memory.
        with tf.control_dependencies(planes[-1:]):
            if padding == 'VALID':
                under, over = _planes(images, offset, shape[1]), g
            else:
                shift = offset - reach
                under = _planes(images, max(shift, 0), shape[1] - abs(shift))
                over = _planes(g, max(-shift, 0), shape[1] - abs(shift))
            under, over = _merged(under, size[2]), _merged(over, size[3])
            planes.append(tf.nn.conv2d_backprop_filter(under, size, over, [1] * 4, padding))
    return tf.stack(planes)


def _planes(volume, begin, count):
    return tf.slice(volume, [0, begin, 0, 0, 0], tf.stack([-1, count, -1, -1, -1]))


def _merged(volume, channels):
    """[n, z, y, x, c] as [n z, y, x, c]."""
    shape = tf.shape(volume)
    return tf.reshape(volume, tf.stack([shape[0] * shape[1], shape[2], shape[3], channels]))
