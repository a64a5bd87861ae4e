"""Weights of checkpoints, into variables or as arrays."""

import contextlib
import glob
import os
import shutil
import tempfile

from .backend import tf

#: Characters that TensorFlow takes for a pattern in a path.
_PATTERN = set('*?[]\\') - set(os.sep)


def restore(session, saver, prefix):
    """Restore the variables of ``saver`` from the checkpoint with the path prefix ``prefix``.

    :raises ValueError: it is missing, damaged, or of another graph; the reason, in one line.
    """
    with _readable(prefix) as path:
        saver.restore(session, path)


def read_weights(prefix, shapes):
    """Dictionary name -> array of the weights of a checkpoint.

    :param prefix: its path prefix.
    :param shapes: dictionary name -> shape of those that are needed.
    :raises ValueError: as :func:`restore`.
    """
    with _readable(prefix) as path:
        reader = tf.train.load_checkpoint(path)
        found = {name: reader.get_tensor(name) for name in shapes}
        for name, shape in shapes.items():
            if list(found[name].shape) != list(shape):
                raise ValueError(f'{name} has the shape {list(found[name].shape)}, and {list(shape)} is needed')
    return found


@contextlib.contextmanager
def placeholders_for_variables():
    """A graph that is built in this context has placeholders in the place of variables: yields name -> placeholder."""
    made = {}

    def placeholder(name, shape, dtype, **_):
        if name not in made:
            made[name] = tf.placeholder(dtype, shape, name)
        return made[name]

    with tf.variable_scope(tf.get_variable_scope(), custom_getter=placeholder):
        yield made


@contextlib.contextmanager
def _readable(prefix):
    """A path of the same files that TensorFlow does not take for a pattern; errors as :func:`restore` raises them."""
    try:
        with _without_pattern(os.path.abspath(prefix)) as path:
            yield path
    except (tf.errors.OpError, ValueError) as error:
        raise ValueError(' '.join(str(error).split())[:300]) from error


@contextlib.contextmanager
def _without_pattern(prefix):
    if not _PATTERN & set(prefix):
        yield prefix
        return
    with tempfile.TemporaryDirectory(prefix='regnet-model-') as place:
        for path in glob.glob(glob.escape(prefix) + '.*'):
            alias = os.path.join(place, 'model' + path[len(prefix) :])
            try:
                os.symlink(path, alias)
            except OSError:  # Windows lets few users make links
                shutil.copyfile(path, alias)
        yield os.path.join(place, 'model')
