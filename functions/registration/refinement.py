"""Refinement of the field of one pair: from the single shot to the field in which the images agree best.

A cubic B-spline w with control points every 4 mm is added to the nonrigid field: u(p) = A(p + v(p) + w(p)) - p. Adam
raises the correlation of the images in blocks of lung, which are drawn anew for every iteration, against the bending of
w, until they agree no better in blocks that stay the same. :mod:`functions.registration.candidates` decides whether the
result is kept.
"""

import functools
import itertools
import logging
import time

import numpy as np

from ..image.dvf import jacobian_determinant
from ..image.spline_weights import spline_matrix
from ..image.transforms import matrix_and_offset, total_dvf
from ..image.volume_io import array_view, image_from_array
from ..measure.local_correlation import comparable
from ..preprocessing.morphology import within
from ..setting.errors import InputError
from ..setting.seeds import random_state
from ..tf_utils.backend import tf
from ..tf_utils.sessions import open_session

LOGGER = logging.getLogger(__name__)

#: Voxels of 1 mm between control points and along a side of a block; blocks of one iteration.
CONTROL, SIDE, BLOCKS = 4, 12, 150
#: Voxels between those of a block that are compared; neighbours say nearly the same.
STRIDE = 2
#: mm around the lungs that count as well, so that their border is aligned.
AROUND = 2.0
#: Weight of the bending energy against the correlation.
STIFFNESS = 0.3
#: HU; contrast below this counts little.
NOISE = 5.0
#: mm; steps of Adam begin with the first, are halved where the objective no longer rises by _RISE, and end at the last.
FIRST_STEP, LAST_STEP, _RISE = 0.1, 0.01, 1e-4
#: Jacobian determinant below which a field is not kept.
FOLDED = 0.05
#: Iterations between two looks at the same blocks and at folding everywhere.
EVERY = 20
#: Columns of what is kept of every iteration, in the blocks it drew.
STEPS = 'iteration,objective,likeness,bending,smallest_jacobian'
_COUNT = SIDE // CONTROL + 4  # control points along a side of a block
_SAMPLES = SIDE // STRIDE  # voxels that are compared, likewise
_AXES = [1, 2, 3]  # of a block in an array of blocks


class _Graph:
    """Objective of blocks and a step of Adam on it, for images of any size."""

    def __init__(self):
        self.graph, sides = tf.Graph(), [None] + [_SAMPLES] * 3
        with self.graph.as_default():
            self.fixed, self.weight = tf.placeholder(tf.float32, sides), tf.placeholder(tf.float32, sides)
            self.place = tf.placeholder(tf.float32, sides + [3])  # index (z, y, x) in the moving image
            self.basis = tf.placeholder(tf.float32, [3, _SAMPLES, _COUNT])
            self.index = tf.placeholder(tf.int32, [None, _COUNT, _COUNT, _COUNT])
            self.size, self.turn = tf.placeholder(tf.int32, [3]), tf.placeholder(tf.float32, [3, 3])
            self.step = tf.placeholder(tf.float32, [])
            self.start, self.image = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.float32, [None])
            self.control = tf.Variable(self.start, validate_shape=False)
            # Every value with the next one along x, which is always wanted too: half as many places to look up.
            pairs = tf.stack([self.image, tf.concat([self.image[1:], self.image[-1:]], 0)], -1)
            self._moving = tf.Variable(pairs, trainable=False, validate_shape=False)
            control = tf.reshape(tf.gather(self.control, self.index), [-1, _COUNT, _COUNT, _COUNT, 3])
            place = self._place(control)
            self.likeness, self.smallest = tf.reduce_mean(self._correlation(place)), self._smallest_jacobian(place)
            self.bending = _bending(control)
            self.objective = self.likeness - STIFFNESS * self.bending
            self.improve = tf.train.AdamOptimizer(self.step).minimize(-self.objective, var_list=[self.control])
            self.initialise = tf.global_variables_initializer()

    def _place(self, control):
        """Where w leads: index (z, y, x) in the moving image."""
        z, y, x = tf.unstack(self.basis)
        moves = tf.einsum('xk,nijkc->nijxc', x, control)
        moves = tf.einsum('zi,niyxc->nzyxc', z, tf.einsum('yj,nijxc->niyxc', y, moves))
        return self.place + tf.reshape(tf.matmul(tf.reshape(moves, [-1, 3]), self.turn), tf.shape(moves))

    def _smallest_jacobian(self, place):
        """Smallest determinant of the Jacobian of the whole mapping in the lungs of the blocks."""
        corner = place[:, :-1, :-1, :-1]
        a, b, c = place[:, 1:, :-1, :-1], place[:, :-1, 1:, :-1], place[:, :-1, :-1, 1:]
        jacobian = tf.reduce_sum((a - corner) * tf.linalg.cross(b - corner, c - corner), -1) / STRIDE**3
        return tf.reduce_min(tf.where(self.weight[:, :-1, :-1, :-1] > 0, jacobian, tf.ones_like(jacobian)))

    def _moved(self, place):
        """The moving image (HU) at index (z, y, x), and whether that is inside it."""
        last = tf.cast(self.size - 1, tf.float32)
        inside = tf.reduce_all((place >= 0) & (place <= last), -1)
        # What is outside has no weight, so its gradient need not be that of the clipping.
        place += tf.stop_gradient(tf.clip_by_value(place, 0.0, last - 1e-3) - place)
        low = tf.floor(place)
        part, (z, y, x) = place - low, tf.unstack(tf.cast(low, tf.int32), axis=-1)
        _, rows, columns = tf.unstack(self.size)
        corners = itertools.product((0, 1), repeat=2)
        pairs = [tf.gather(self._moving, ((z + k) * rows + y + j) * columns + x) for k, j in corners]
        values = [value for pair in pairs for value in tf.unstack(pair, 2, axis=-1)]
        for share in tf.unstack(part, axis=-1)[::-1]:
            values = [a + share * (b - a) for a, b in zip(values[::2], values[1::2])]
        return values[0], tf.cast(inside, tf.float32)

    def _correlation(self, place):
        """Correlation of every block, inside both images."""
        moved, inside = self._moved(place)
        weight = self.weight * inside
        weight /= tf.reduce_sum(weight, _AXES, keepdims=True) + 1e-3
        a, b = [image - tf.reduce_sum(weight * image, _AXES, keepdims=True) for image in (self.fixed, moved)]
        both, first, second = [tf.reduce_sum(weight * product, _AXES) for product in (a * b, a * a, b * b)]
        return both / tf.sqrt((first + NOISE**2) * (second + NOISE**2))


def _bending(control):
    """Mean of the squared second derivatives of w times the area of a cell."""
    energy = 0.0
    for i, j in itertools.combinations_with_replacement(range(3), 2):
        if i == j:
            terms = [(1, {i: 1}), (-2, {}), (1, {i: -1})]
        else:
            terms = [(a * b / 2, {i: a, j: b}) for a, b in itertools.product((1, -1), repeat=2)]  # counts twice
        second = sum(factor * _shifted(control, steps) for factor, steps in terms)
        energy += (1.0 if i == j else 0.5) * tf.reduce_mean(tf.reduce_sum(tf.square(second), -1))
    return energy / CONTROL**2


def _shifted(control, steps):
    """The inner control points of blocks, each replaced by the one some ``steps`` (axis -> -1 or 1) further."""
    starts = [1 + steps.get(axis, 0) for axis in range(3)]
    # Not control[...]: the gradients of strided slices would take a fifth of the time.
    return tf.slice(control, [0, *starts, 0], [-1] + [_COUNT - 2] * 3 + [-1])


_graph = functools.lru_cache(None)(_Graph)


class _Blocks:
    """Draws blocks in the lungs, as the graph is fed with them.

    :param lungs: boolean array [z, y, x].
    :param arrays: dictionary placeholder -> array [z, y, x, ...] that blocks are cut from.
    """

    def __init__(self, graph, lungs, arrays):
        self._graph, self._arrays, self._random = graph, arrays, random_state('refinement')
        self._centres, self._shape = np.argwhere(lungs), np.array(lungs.shape)
        self.control_shape = tuple(int(n) // CONTROL + 4 for n in self._shape)

    def draw(self, number=BLOCKS):
        """Blocks that begin equally many voxels after a control point, so that they share the weights of the spline."""
        offset = self._random.randint(CONTROL, size=3)
        corner = self._centres[self._random.randint(len(self._centres), size=number)] - SIDE // 2
        first = np.clip((corner - offset) // CONTROL, 0, (self._shape - SIDE - offset) // CONTROL)
        z, y, x = [first[:, axis, None] + np.arange(_COUNT) for axis in range(3)]
        _, rows, columns = self.control_shape
        index = (z[:, :, None, None] * rows + y[:, None, :, None]) * columns + x[:, None, None, :]
        basis = [_weights(np.arange(0, SIDE, STRIDE) + n, _COUNT) for n in offset]
        fed = {self._graph.index: index, self._graph.basis: basis}
        corner = first * CONTROL + offset
        for placeholder, array in self._arrays.items():
            fed[placeholder] = [array[tuple(slice(n, n + SIDE, STRIDE) for n in one)] for one in corner]
        return fed


def refine(pair, lungs, field, seconds, threads=None):
    """The field of a pair with the B-spline that makes the images agree best.

    :param pair: :class:`functions.registration.multi_stage.WorkingPair`, 1 mm, with its ``original``.
    :param lungs: lung mask on its grid.
    :param field: nonrigid field on its grid, mm, which the affine transform of ``original`` follows.
    :param seconds: wall time after which the best so far is returned.
    :param threads: of TensorFlow; None: all cores.
    :return: (field, facts): JSON-able: seconds, iterations, why it stopped, ``steps``: a line of CSV for every
        iteration, and ``looks``: [iteration, objective, likeness, bending, smallest Jacobian determinant at the control
        points in the lungs] every few iterations, in the blocks that stay the same.
    :raises InputError: lungs too small for a block.
    """
    start, inside = time.time(), array_view(lungs) != 0
    end = start + seconds
    if min(inside.shape) < SIDE + CONTROL:
        raise InputError(f'The images overlap in {inside.shape[::-1]} voxels only; refinement needs {SIDE + CONTROL}.')
    (moving, linear), graph = pair.original, _graph()
    place, weight = _places(linear, field, moving), within(inside, AROUND, 1.0).astype(np.float32)
    fixed, moving_values = [array_view(comparable(image)) for image in (pair.fixed, moving)]
    blocks = _Blocks(graph, inside, {graph.fixed: fixed, graph.weight: weight, graph.place: place})
    turn = matrix_and_offset(linear)[0].T[:, ::-1]  # of a row (x, y, z) to (z, y, x)
    same = {graph.size: moving_values.shape, graph.turn: turn}
    control = best = np.zeros((int(np.prod(blocks.control_shape)), 3), np.float32)
    highest, step, looks, steps, iteration = -np.inf, FIRST_STEP, [], [STEPS], 0
    coarse = array_view(field)[::CONTROL, ::CONTROL, ::CONTROL], inside[::CONTROL, ::CONTROL, ::CONTROL]
    told = (graph.objective, graph.likeness, graph.bending)
    with open_session(graph.graph, threads) as session:
        session.run(graph.initialise, {graph.start: control, graph.image: moving_values.ravel()})
        watched = {**blocks.draw(2 * BLOCKS), **same}
        while True:
            *found, control = session.run(told + (graph.control,), watched)
            smallest = _smallest_jacobian(control.reshape(blocks.control_shape + (3,)), *coarse)
            looks.append([iteration] + [round(float(value), 6) for value in found + [smallest]])
            LOGGER.info(
                'Refinement, iteration %d: objective %.5f, likeness %.5f, bending %.5f, smallest J %.2f', *looks[-1]
            )
            if found[0] > highest + _RISE and smallest > FOLDED:
                highest, best = found[0], control
            else:
                step /= 2
            if step < LAST_STEP or time.time() > end:
                stopped = 'no further improvement' if step < LAST_STEP else 'time'
                break
            for _ in range(EVERY):
                fed = {**blocks.draw(), **same, graph.step: step}
                values = session.run(told + (graph.smallest, graph.improve), fed)[:-1]
                iteration += 1
                steps.append(','.join([str(iteration)] + [f'{value:.6f}' for value in values]))
                if time.time() > end:
                    break
    added = _everywhere(best.reshape(blocks.control_shape + (3,)), inside.shape)
    facts = {'seconds': round(time.time() - start, 2), 'iterations': iteration, 'stopped': stopped}
    facts.update(looks=looks, steps=steps)
    return image_from_array(array_view(field) + added, field), facts


def _places(linear, field, moving):
    """Index (z, y, x) in the moving image of where every voxel leads, float32; all voxels are 1 mm along the axes."""
    place = array_view(total_dvf(linear, field))[..., ::-1].copy()
    shift = np.array(field.GetOrigin()) - moving.GetOrigin()
    for axis, indices in enumerate(np.ogrid[tuple(slice(n) for n in place.shape[:3])]):
        place[..., axis] += indices + np.float32(shift[2 - axis])
    return place


def _weights(voxels, count):
    """Weights of ``count`` control points at voxels; the first of them lies one control point before voxel 0."""
    place = voxels / CONTROL
    return spline_matrix(np.floor(place).astype(int), place - np.floor(place), count)


def _everywhere(control, shape, every=1):
    """The B-spline at every voxel of a grid, or every few of them, [z, y, x, 3]."""
    for axis, n in enumerate(shape):
        weights = _weights(np.arange(0, n, every), control.shape[axis])
        control = np.moveaxis(np.tensordot(weights, control, (1, axis)), 0, axis)
    return control


def _smallest_jacobian(control, field, lungs):
    """Of the refined nonrigid field, at the control points in the lungs."""
    shape = [n * CONTROL for n in lungs.shape]
    jacobian = jacobian_determinant(field + _everywhere(control, shape, CONTROL), (float(CONTROL),) * 3)
    return jacobian[lungs].min() if lungs.any() else 1.0
