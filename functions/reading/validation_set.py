"""Validation: all chunks of the validation list, the same batches in the same order at every pass."""

from functions.reading.chunk_image import Images
from functions.reading.synthetic_pair import read_synthetic_pair
from functions.reading.train_queue import PATIENCE_S, BatchQueue


class ValidationSet:
    """The validation list, read once when it fits one chunk and chunk by chunk at every pass otherwise.

    :param setting: settings dictionary; NetworkValidation gives chunk, samples and batch size.
    :param im_info_list_full, make_item, image_size: see :class:`functions.reading.chunk_image.Images`.
    :param memory_beside: bytes that the training's queue is still going to take.
    """

    def __init__(
        self, setting, im_info_list_full=None, make_item=None, image_size=None, patience=PATIENCE_S, memory_beside=0
    ):
        self.reader = Images(
            setting,
            'Thread',
            'Validation',
            im_info_list_full=im_info_list_full,
            make_item=make_item,
            image_size=image_size,
        )
        self._patience = patience
        self._queue = None
        self.reader.check_memory(n_chunks_held=2, n_batches=None, beside=memory_beside)

    def batches(self):
        """Generator over one pass; the next batches are prepared while the current one is used.

        :raises Interrupted: :meth:`interrupt` was called and no batch is ready.
        """
        try:
            with BatchQueue(self.reader, one_semi_epoch=True, patience=self._patience) as self._queue:
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


def validation_batches(setting, im_info_list_full=None, make_item=None, image_size=None):
    """Generator over the batches of all validation chunks, once.

    To validate more than once keep a :class:`ValidationSet`, which does not read a single chunk twice.
    """
    return ValidationSet(setting, im_info_list_full, make_item, image_size).batches()
