"""Weights read from a checkpoint, and graphs with placeholders in their place."""

import numpy as np
import pytest

from functions.tf_utils import layers
from functions.tf_utils.backend import tf
from functions.tf_utils.weights import placeholders_for_variables, read_weights, restore

SHAPE = [2, 3]


@pytest.fixture
def saved(tmp_path):
    """(path prefix with characters of a pattern in it, the array that is saved as 'part/w')."""
    values = np.arange(6, dtype=np.float32).reshape(SHAPE)
    with tf.Graph().as_default(), tf.Session() as session:
        variable = tf.get_variable('part/w', initializer=values, use_resource=True)
        session.run(variable.initializer)
        return tf.train.Saver().save(session, str(tmp_path / 'a[b]' / 'net.ckpt'), 1, write_state=False), values


def test_what_is_read_is_what_was_saved_and_what_a_variable_gets(saved):
    prefix, values = saved
    np.testing.assert_array_equal(read_weights(prefix, {'part/w': SHAPE})['part/w'], values)
    with tf.Graph().as_default(), tf.Session() as session:
        variable = tf.get_variable('part/w', SHAPE, use_resource=True)
        restore(session, tf.train.Saver(), prefix)
        np.testing.assert_array_equal(session.run(variable), values)


@pytest.mark.parametrize(
    'shapes, problem', [({'part/w': [3, 2]}, r'part/w has the shape \[2, 3\]'), ({'other': SHAPE}, 'other')]
)
def test_a_checkpoint_of_another_network_is_refused_by_what_it_lacks(saved, shapes, problem):
    with pytest.raises(ValueError, match=problem) as caught:
        read_weights(saved[0], shapes)
    assert '\n' not in str(caught.value)


def test_a_checkpoint_that_is_missing_is_refused(tmp_path):
    with pytest.raises(ValueError, match='.+'):
        read_weights(str(tmp_path / 'net.ckpt-1'), {})


def test_placeholders_have_the_names_and_shapes_of_the_variables():
    def add():
        image = tf.zeros([1, 5, 5, 5, 2])
        return layers.conv3d(image, 4, 3, 'first', training=False), layers.upsample3d(image, 'up')

    with tf.Graph().as_default(), tf.variable_scope('net'):
        add()
        expected = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}
    with tf.Graph().as_default() as graph, tf.variable_scope('net'):
        with placeholders_for_variables() as made:
            add()
        assert not tf.global_variables()
        assert {name: graph.get_tensor_by_name(name + ':0').shape.as_list() for name in made} == expected
