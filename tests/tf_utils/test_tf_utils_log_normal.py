"""The log-normal distribution that networks of errors end in, against scipy.stats."""

import numpy as np
from scipy import stats

from functions.tf_utils.backend import tf
from functions.tf_utils.log_normal import LARGEST, SMALLEST, expected, likelihood_loss, parameters


def computed(function, *arrays):
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(function(*[tf.constant(np.asarray(array, np.float32)) for array in arrays]))


def test_parameters_expectation_and_likelihood_are_those_of_scipy():
    random = np.random.RandomState(1)
    raw = random.normal(size=(2, 3, 4, 5, 2))
    length, weight = random.gamma(2.0, size=(2, 3, 4, 5, 1)), random.choice([0, 1, 20], size=(2, 3, 4, 5, 1))
    mean, deviation = computed(parameters, raw)
    assert mean.shape == deviation.shape == length.shape and (deviation > 0).all()
    one = stats.lognorm(deviation, loc=-SMALLEST, scale=np.exp(mean))
    np.testing.assert_allclose(computed(expected, raw), one.mean(), rtol=1e-4)
    # Of the logarithm: the Jacobian of the logarithm and the constant do not depend on the network.
    likelihood = one.logpdf(length) + np.log(length + SMALLEST) + 0.5 * np.log(2 * np.pi)
    loss = -(likelihood * weight).sum() / weight.sum()
    np.testing.assert_allclose(computed(likelihood_loss, raw, length, weight), loss, rtol=1e-4)


def test_nothing_overflows_before_anything_is_learned():
    raw = np.array([[1e4, 1e4], [-1e4, -1e4], [1e4, -1e4]])
    found = computed(expected, raw)
    assert np.isfinite(found).all() and found.max() < 4 * LARGEST
    assert np.isfinite(computed(likelihood_loss, raw, [[0.0], [1e3], [1.0]], np.ones((3, 1))))
