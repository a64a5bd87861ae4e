"""Learning rates as functions of the iteration, so that a resumed run continues with the same ones."""

import math

from ..setting.errors import require_known


def constant(training, iteration, semi_epoch):
    """The base rate times ``LearningRate_Decay`` to the power of the semi-epoch (None: 1), as published."""
    del iteration
    decay = training.get('LearningRate_Decay')
    return training['LearningRate_Base'] * (1.0 if decay is None else decay**semi_epoch)


def cosine(training, iteration, semi_epoch):
    """Half a cosine over ``MaxIterations`` from the base rate to a hundredth of it, after a short linear warm-up."""
    del semi_epoch
    total = float(training['MaxIterations'])
    warm_up = min(100.0, total / 20.0)
    if iteration < warm_up:
        return training['LearningRate_Base'] * (iteration + 1.0) / warm_up
    progress = min(1.0, (iteration - warm_up) / max(1.0, total - warm_up))
    return training['LearningRate_Base'] * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * progress)))


SCHEDULES = {'constant': constant, 'cosine': cosine}


def learning_rate(training, iteration, semi_epoch):
    """The learning rate of an iteration.

    :param training: ``setting['NetworkTraining']``; ``LearningRate_Schedule`` names the function.
    :param iteration: iterations done so far.
    """
    name = training.get('LearningRate_Schedule', 'constant')
    require_known("learning-rate schedule (setting 'LearningRate_Schedule')", name, SCHEDULES)
    return SCHEDULES[name](training, iteration, semi_epoch)
