"""Sessions: threads, GPU memory and the device in use."""

import functools
import logging

from .backend import tf

LOGGER = logging.getLogger(__name__)
_say_once = functools.lru_cache(None)(LOGGER.info)
#: Names of the instructions.
_BFLOAT16 = {'avx512_bf16', 'amx_bf16'}


def open_session(graph, threads=None, xla=False, mixed_precision=False, bfloat16=False):
    """A session on ``graph``; the caller closes it.

    GPU memory grows as needed, so that two processes can share a card.

    :param threads: intra-op and inter-op threads; None: one for each core this process may use; 1 makes runs repeat bit
        for bit, unless an earlier session of this process had more: TensorFlow sizes the pool inside operations once.
    :param mixed_precision: float16 where it is safe and the processor has it (the setting ``MixedPrecision``); training
        needs :func:`loss_scaling` too.
    :param xla: let XLA compile what it can (the setting ``XLA``); see :func:`xla_problem`.
    :param bfloat16: convolutions in bfloat16; see :func:`bfloat16_problem`.
    """
    threads = threads or 0
    config = tf.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads)
    config.allow_soft_placement = True
    # Passes of optimisation after the first find nothing in these graphs and take a quarter of the time to open one.
    config.graph_options.rewrite_options.meta_optimizer_iterations = 1  # RewriterConfig.ONE
    config.gpu_options.allow_growth = True
    if mixed_precision:
        config.graph_options.rewrite_options.auto_mixed_precision = 1  # RewriterConfig.ON
    if xla:
        config.graph_options.optimizer_options.global_jit_level = tf.OptimizerOptions.ON_1
    if bfloat16:
        config.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 = 1
    session = tf.Session(graph=graph, config=config)
    devices = [device.name for device in session.list_devices() if device.device_type == 'GPU'] or ['CPU']
    _say_once('TensorFlow %s on %s, %s threads', tf.__version__, ', '.join(devices), threads or 'all')
    return session


def xla_problem():
    """Why the setting ``XLA`` cannot be used here, in one sentence; '' where it can."""
    if gpu_names():
        return ''
    return 'XLA is True, but TensorFlow sees no GPU, and on a CPU XLA makes nothing faster; set it to False.'


def bfloat16_problem():
    """Why networks cannot work in bfloat16 here; '' where they can."""
    if tf.__version__.startswith('1.'):
        return f'TensorFlow {tf.__version__} cannot'
    if gpu_names():
        return 'it is for processors, and there is a GPU'
    try:
        with open('/proc/cpuinfo', encoding='ascii', errors='replace') as stream:
            can = _BFLOAT16 & set(stream.read().split())
    except OSError:
        return 'what this processor can do is known on Linux only'
    return '' if can else 'this processor has neither AVX512-BF16 nor AMX'


def gpu_names():
    """Names of the GPUs that TensorFlow sees, for ``tf.device``."""
    return [f'/gpu:{number}' for number in range(len(tf.config.experimental.list_physical_devices('GPU')))]


def gpu_memory(session):
    """Bytes that TensorFlow may use on the session's smallest GPU; None without one."""
    limits = [device.memory_limit_bytes for device in session.list_devices() if device.device_type == 'GPU']
    return min(limits) if limits else None


def loss_scaling(optimiser):
    """The optimiser with loss scaling, which keeps small gradients from vanishing in float16.

    The graph rewrite itself is an option of the session: ``open_session(..., mixed_precision=True)``.
    """
    return tf.train.experimental.MixedPrecisionLossScaleOptimizer(optimiser, tf.train.experimental.DynamicLossScale())
