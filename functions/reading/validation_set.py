"""Validation: all chunks of the validation list, the same batches in the same order at every pass."""

from .chunk_image import Images
from .synthetic_pair import read_synthetic_pair
from .train_queue import BatchQueue


class ValidationSet:
    """The validation list, read once when it fits one chunk and chunk by chunk at every pass otherwise.

    :param setting: settings dictionary; NetworkValidation gives chunk, samples and batch size.
    :param memory_beside: bytes that the training's queue will still take.
    :param reading: im_info_list_full and make_item of :class:`functions.reading.chunk_image.Images`.
    """

    def __init__(self, setting, memory_beside=0, **reading):
        self.reader = Images(setting, 'Thread', 'Validation', **reading)
        self._queue = None
        self.reader.check_memory(n_chunks_held=2, n_batches=None, beside=memory_beside)

    def batches(self):
        """Generator over one pass; the next batches are prepared while the current one is used. Raises Interrupted when
        :meth:`interrupt` was called and no batch is ready.
        """
        try:
            with BatchQueue(self.reader, one_semi_epoch=True) as self._queue:
                yield from self._queue
        finally:
            self.reader.loader.forget_buffers()

    def interrupt(self):
        """Make a pass that waits for a batch raise instead; may be called from a signal handler."""
        if self._queue is not None:
            self._queue.interrupt()

    def synthetic_pair(self):
        """:class:`functions.reading.synthetic_pair.SyntheticPair` of the first item of the list."""
        return read_synthetic_pair(self.reader)
