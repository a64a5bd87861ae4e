"""Means, mean errors per class, learning rates, and when a training must stop; all without TensorFlow."""

import math

import numpy as np
import pytest

from functions.setting.errors import InputError, UnknownNameError
from functions.training.averages import Averages, LossWatch, class_tags
from functions.training.learning_rates import learning_rate


def test_every_quantity_has_the_same_weight():
    averages = Averages()
    averages.add({'loss': 1.0, 'huber': 10.0}, 15)
    averages.add({'loss': 4.0, 'huber': 40.0}, 5)
    assert averages.means() == {'loss': 1.75, 'huber': 17.5}
    assert all(type(value) is float for value in averages.means().values())


def test_errors_per_class_are_means_over_voxels():
    averages = Averages(class_tags([2, 7, 9.5]))
    for error, voxels, samples in (([3.0, 8.0, 0.0], [3.0, 2.0, 0.0], 2), ([5.0, 0.0, 0.0], [1.0, 0.0, 0.0], 1)):
        averages.add({'loss': 1.0, 'class_error': np.array(error), 'class_voxels': np.array(voxels)}, samples)
    assert averages.means() == {'loss': 1.0, 'error_mm_0-2': 2.0, 'error_mm_2-7': 4.0}


def watched(losses, limit=10.0):
    watch = LossWatch(limit)
    for number, loss in enumerate(losses):
        values = {'loss': np.float32(loss), 'gradient_norm': np.float32(1)}
        watch.check(values, number + 1, ['item a', 'item b'])


@pytest.mark.parametrize('wrong', [np.nan, np.inf, -np.inf])
def test_what_is_no_number_stops_at_once_and_names_the_items(wrong):
    with pytest.raises(InputError, match='iteration 3: loss is .*item a, item b'):
        watched([1, 1, wrong])
    with pytest.raises(InputError, match='gradient_norm is'):
        LossWatch(None).check({'loss': 1.0, 'gradient_norm': wrong}, 1, ['item'])
    with pytest.raises(InputError, match='class_error is'):
        LossWatch(None).check({'loss': 1.0, 'class_error': np.array([1.0, wrong])}, 1, ['item'])


def test_an_explosion_is_judged_by_what_was_usual():
    with pytest.raises(InputError, match='iteration 31: the loss is 10.1, more than LossLimit = 10 .*item b'):
        watched([1.0] * 30 + [10.1])
    watched([1.0] * 30 + [9.9])
    watched([1.0] * 30 + [1e9], limit=None)
    # A growing loss is noticed although the usual one grows with it.
    with pytest.raises(InputError, match='LossLimit'):
        watched([1.0] * 30 + [2.0**n for n in range(30)], limit=100.0)


def test_large_batches_among_many_of_nothing_are_no_explosion():
    watched([1e-4, 1e-4, 1e-4, 1e-4, 3.0] * 40)
    # The first twenty are not judged: nobody knows yet what is usual.
    watched([1e-3] * 19 + [5.0], limit=10.0)


def test_the_learning_rate_decays_by_semi_epoch():
    training = {'LearningRate_Base': 1e-3, 'LearningRate_Decay': 0.5, 'MaxIterations': 1000}
    assert [learning_rate(training, 7, n) for n in (0, 1, 3)] == [1e-3, 5e-4, 1.25e-4]
    assert learning_rate(dict(training, LearningRate_Decay=None), 7, 3) == 1e-3


def test_cosine_ends_at_a_hundredth():
    training = {'LearningRate_Base': 2.0, 'LearningRate_Schedule': 'cosine', 'MaxIterations': 1000}
    assert learning_rate(training, 0, 0) == pytest.approx(2.0 / 50)
    assert learning_rate(training, 50, 0) == pytest.approx(2.0)
    half = 2 * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi / 2)))
    assert learning_rate(training, 525, 0) == pytest.approx(half)
    assert learning_rate(training, 1000, 0) == pytest.approx(0.02)
    with pytest.raises(UnknownNameError, match='cosine'):
        learning_rate(dict(training, LearningRate_Schedule='cosin'), 0, 0)
