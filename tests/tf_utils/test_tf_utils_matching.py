"""What ``matching`` is made of, against NumPy and against what must hold for a shifted image."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

from functions.tf_utils import layers
from functions.tf_utils.backend import tf
from functions.tf_utils.correlation import correlation

RANDOM = np.random.RandomState(5)


def run(function, array):
    with tf.Graph().as_default():
        tensor = function(tf.constant(array))
        with tf.Session() as session:
            return session.run(tensor)


def test_both_images_apart_and_together():
    images = RANDOM.normal(size=(2, 3, 4, 5, 6)).astype(np.float32)
    apart = run(layers.apart, images)
    np.testing.assert_array_equal(apart, np.concatenate([images[..., 0::2], images[..., 1::2]]))
    together = run(lambda x: layers.together(layers.apart(x)), images)
    np.testing.assert_array_equal(together, images[..., [0, 2, 4, 1, 3, 5]])


def shifted_images(moving, radius):
    """(number, the part of ``moving`` [n, z, y, x, c] at each displacement), zeros outside, by NumPy."""
    around, size = [(0, 0)] + [(radius, radius)] * 3 + [(0, 0)], moving.shape[1:4]
    padded = np.pad(moving, around, 'constant')
    for number, shift in enumerate(itertools.product(range(2 * radius + 1), repeat=3)):
        yield number, padded[(slice(None),) + tuple(slice(s, s + n) for s, n in zip(shift, size))]


@pytest.mark.parametrize('radius', [1, 2, 3])
@pytest.mark.parametrize('size', [(5, 6, 4), (1, 1, 1), (2, 9, 13), (4, 8, 12)])
def test_correlation_is_the_scalar_product_at_every_displacement(radius, size):
    features = RANDOM.normal(size=(4,) + size + (3,)).astype(np.float32)
    moving, fixed = features[:2], features[2:]
    found = run(lambda x: correlation(x, radius), features)
    assert found.shape == (2,) + size + ((2 * radius + 1) ** 3,)
    for number, shifted in shifted_images(moving, radius):
        np.testing.assert_allclose(found[..., number], (fixed * shifted).sum(-1) / np.sqrt(3), atol=1e-5)


def test_the_gradient_of_the_correlation_goes_to_both_images():
    features = RANDOM.normal(size=(2, 4, 5, 7, 3)).astype(np.float32)
    weights = RANDOM.normal(size=(1, 4, 5, 7, 27)).astype(np.float32)
    found = run(lambda x: tf.gradients(tf.reduce_sum(correlation(x, 1) * weights), x)[0], features)
    expected = np.zeros_like(features)
    for number, shifted in shifted_images(features[:1], 1):
        expected[1:] += weights[..., number, None] * shifted / np.sqrt(3)
    padded = np.zeros((6, 7, 9, 3), np.float32)
    for number, (z, y, x) in enumerate(itertools.product(range(3), repeat=3)):
        padded[z : z + 4, y : y + 5, x : x + 7] += weights[0, ..., number, None] * features[1] / np.sqrt(3)
    expected[0] = padded[1:-1, 1:-1, 1:-1]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_correlation_is_largest_at_the_true_displacement():
    moving = RANDOM.normal(size=(12, 12, 12, 64)).astype(np.float32)
    shift = (1, -2, 2)  # the fixed image at p shows the moving image at p + shift
    fixed = np.roll(moving, [-s for s in shift], (0, 1, 2))
    found = run(lambda x: correlation(x, 2), np.stack([moving, fixed]))[0, 3:-3, 3:-3, 3:-3]
    assert (found.argmax(-1) == 25 * (shift[0] + 2) + 5 * (shift[1] + 2) + shift[2] + 2).all()


def test_local_contrast_is_that_of_numpy_and_knows_no_density():
    hu = RANDOM.uniform(-900, 50, (1, 9, 9, 9, 2)).astype(np.float32)
    hu[:, :3], hu[..., 0, 0] = -2048, -2048
    found = run(lambda x: layers.local_contrast(x, 3), hu)
    inside = hu > -1500
    np.testing.assert_array_equal(found[..., 2:4], inside)
    np.testing.assert_allclose(found[..., 4:], np.where(inside, (hu + 850) / 250, 0), atol=1e-5)
    z, y, x = 5, 4, 4
    around = (hu[0, z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2, 1] + 850) / 250
    expected = (around[1, 1, 1] - around.mean()) / np.sqrt(around.var() + 0.01)
    assert found[0, z, y, x, 1] == pytest.approx(expected, abs=1e-4)
    assert (found[..., :2][~inside] == 0).all()
    darker = run(lambda x: layers.local_contrast(x, 3), np.where(inside, hu - 60, hu).astype(np.float32))
    np.testing.assert_allclose(darker[..., :2], found[..., :2], atol=2e-3)


def test_smoothing_is_the_gaussian_of_scipy_inside_and_keeps_constants_everywhere():
    images = RANDOM.normal(size=(2, 13, 11, 12, 3)).astype(np.float32)
    found = run(lambda x: layers.smooth3d(x, 4), images)
    expected = ndimage.gaussian_filter(images, (0, 4 / 3, 4 / 3, 4 / 3, 0), truncate=3)
    np.testing.assert_allclose(found[:, 4:-4, 4:-4, 4:-4], expected[:, 4:-4, 4:-4, 4:-4], atol=1e-5)
    constant = run(lambda x: layers.smooth3d(x, 4), np.full((1, 3, 9, 5, 2), 7, np.float32))
    np.testing.assert_allclose(constant, 7, rtol=1e-6)
