"""Sessions: threads, GPU memory growth, and which device is in use."""
import logging
import os

from functions.tf_utils.backend import tf

LOGGER = logging.getLogger(__name__)


def number_of_cores():
    """Cores this process may use (its affinity, not the machine's size)."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def open_session(graph, threads=None):
    """A session on ``graph``; the caller closes it.

    GPU memory grows as needed instead of being taken whole, so that two processes can share a card.

    :param threads: intra-op and inter-op threads; None takes the cores this process may use; 1 makes runs repeat bit for bit.
    """
    threads = threads or number_of_cores()
    config = tf.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads,
                            allow_soft_placement=True)
    config.gpu_options.allow_growth = True
    session = tf.Session(graph=graph, config=config)
    LOGGER.info('TensorFlow %s on %s, %d threads', tf.__version__, device_in_use(session), threads)
    return session


def device_in_use(session):
    """'GPU' names of the session, or 'CPU'."""
    gpus = [device.name for device in session.list_devices() if device.device_type == 'GPU']
    return ', '.join(gpus) if gpus else 'CPU'
