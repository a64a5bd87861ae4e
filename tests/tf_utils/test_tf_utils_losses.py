"""Huber and bending energy against NumPy and analytic fields."""

import numpy as np
import pytest

from functions.tf_utils import losses
from functions.tf_utils.backend import tf


def run(make):
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(make())


def numpy_huber(error):
    error = np.abs(error)
    return np.where(error <= 1.0, 0.5 * error**2, error - 0.5)


def numpy_bending(dvf, voxel_size=(1.0, 1.0, 1.0)):
    total = 0.0
    for i in range(3):
        for j in range(3):
            second = np.diff(np.diff(dvf, axis=i + 1), axis=j + 1) / (voxel_size[i] * voxel_size[j])
            total += (second**2).sum()
    return total / dvf.size


@pytest.fixture(scope='module')
def fields():
    random = np.random.RandomState(0)
    return random.randn(2, 6, 5, 7, 3).astype(np.float32) * 2, random.randn(2, 6, 5, 7, 3).astype(np.float32) * 2


def test_huber_equals_its_formula(fields):
    prediction, truth = fields
    assert run(lambda: losses.huber(tf.constant(prediction), tf.constant(truth))) == pytest.approx(
        numpy_huber(prediction - truth).mean(), rel=1e-5
    )


def test_weighted_huber_is_the_weighted_mean_and_ignores_zero_weight(fields):
    prediction, truth = fields
    weight = np.random.RandomState(1).choice([0.0, 1.0, 4.0], size=truth.shape[:-1] + (1,)).astype(np.float32)
    expected = (numpy_huber(prediction - truth) * weight).sum() / (3 * weight.sum())
    assert run(lambda: losses.huber(tf.constant(prediction), tf.constant(truth), tf.constant(weight))) == pytest.approx(
        expected, rel=1e-5
    )
    spoiled = np.where(weight > 0, prediction, 1e6).astype(np.float32)
    assert run(lambda: losses.huber(tf.constant(spoiled), tf.constant(truth), tf.constant(weight))) == pytest.approx(
        expected, rel=1e-5
    )


@pytest.mark.parametrize('voxel_size', [(1.0, 1.0, 1.0), (2.0, 0.5, 3.0)])
def test_bending_energy_equals_numpy(fields, voxel_size):
    assert run(lambda: losses.bending_energy(tf.constant(fields[0]), voxel_size)) == pytest.approx(
        numpy_bending(fields[0].astype(np.float64), voxel_size), rel=1e-5
    )


def test_bending_energy_of_a_linear_field_is_zero_and_of_a_quadratic_one_is_known():
    z, y, x = np.meshgrid(np.arange(6.0), np.arange(5.0), np.arange(7.0), indexing='ij')
    linear = np.stack([2 * x - y, z + 3 * y, x - 4 * z], -1)[None].astype(np.float32)
    assert run(lambda: losses.bending_energy(tf.constant(linear))) == pytest.approx(0.0, abs=1e-9)
    # u_x = x^2: the second difference along x is 2 at 5 of 7 voxels of one of three components.
    quadratic = np.stack([x**2, 0 * x, 0 * x], -1)[None].astype(np.float32)
    assert run(lambda: losses.bending_energy(tf.constant(quadratic))) == pytest.approx(4.0 * 5 / 7 / 3, rel=1e-6)
    # u_y = z x: the mixed difference is 1 at (5/6)(6/7) of the voxels and counts twice.
    mixed = np.stack([0 * x, z * x, 0 * x], -1)[None].astype(np.float32)
    assert run(lambda: losses.bending_energy(tf.constant(mixed))) == pytest.approx(
        2.0 * (5 / 6.0) * (6 / 7.0) / 3, rel=1e-6
    )


def test_bending_energy_counts_valid_voxels_only():
    random = np.random.RandomState(2)
    inner = random.randn(1, 5, 6, 4, 3).astype(np.float32)
    padded = np.pad(inner, [(0, 0), (0, 3), (0, 2), (0, 4), (0, 0)], mode='edge')
    # Padding that repeats the edge adds differences across the border; only those starting inside may count.
    valid = np.zeros(padded.shape[:-1] + (1,), np.float32)
    valid[:, :5, :6, :4] = 1
    total = 0.0
    for i in range(3):
        for j in range(3):
            second = np.diff(np.diff(padded, axis=i + 1), axis=j + 1)
            total += (second[:, :5, :6, :4] ** 2).sum()
    assert run(lambda: losses.bending_energy(tf.constant(padded), valid=tf.constant(valid))) == pytest.approx(
        total / inner.size, rel=1e-5
    )


@pytest.mark.parametrize('loss', ['huber', 'bending'])
def test_gradients_equal_finite_differences(loss, fields):
    start, truth = (field[:1, :4, :4, :4].astype(np.float64) for field in fields)
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, start.shape)
        value = losses.huber(x, tf.constant(truth, tf.float32)) if loss == 'huber' else losses.bending_energy(x)
        gradient = session.run(tf.gradients(value, x)[0], {x: start})
    function = (lambda u: numpy_huber(u - truth).mean()) if loss == 'huber' else numpy_bending
    for index in [(0, 1, 2, 3, 0), (0, 0, 0, 0, 1), (0, 3, 3, 3, 2)]:
        step = np.zeros(start.shape)
        step[index] = 1e-5
        expected = (function(start + step) - function(start - step)) / 2e-5
        assert gradient[index] == pytest.approx(expected, rel=1e-3, abs=1e-6)
