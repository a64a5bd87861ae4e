"""TensorFlow, imported once for the whole project.

``tf`` is the TensorFlow 1 interface of both ``tensorflow-gpu==1.15`` and current TensorFlow. Everything else imports it
from here, so that the differences between the two are handled in one file.
"""

import contextlib
import glob
import os
import subprocess
import warnings

#: What current TensorFlow prints while it is loaded, before it obeys its own log level.
_START_NOTES = '^I0000 |^WARNING: All log messages before absl::InitializeLog'


@contextlib.contextmanager
def _without_start_notes():
    """Standard error of this process without :data:`_START_NOTES`; all else passes, also what a crash prints last."""
    command = ['grep', '-avE', '--line-buffered', _START_NOTES]
    with contextlib.ExitStack() as opened:
        try:
            kept = os.dup(2)
            opened.callback(os.close, kept)
            sieve = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=kept)  # not in this process: it may crash
        except OSError:  # no grep, or no standard error: nothing is held back
            yield
            return
        os.dup2(sieve.stdin.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            sieve.communicate()


# TensorFlow's start-up notes bury the project's own log lines; having no NVIDIA device is no error.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2' if glob.glob('/dev/nvidia[0-9]*') else '3')
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')
# The option of a session alone is not obeyed: current TensorFlow takes a whole card.
os.environ.setdefault('TF_FORCE_GPU_ALLOW_GROWTH', 'true')

with warnings.catch_warnings(), _without_start_notes():
    # TensorFlow 1.15 prints pages of FutureWarning with newer releases of NumPy.
    warnings.simplefilter('ignore', FutureWarning)
    import tensorflow.compat.v1 as tf

tf.disable_eager_execution()
tf.logging.set_verbosity(tf.logging.ERROR)

#: TensorFlow 1 without a GPU: see :mod:`functions.tf_utils.convolution`.
SLOW_CONV3D_GRADIENTS = tf.__version__.startswith('1.') and not tf.config.experimental.list_physical_devices('GPU')
