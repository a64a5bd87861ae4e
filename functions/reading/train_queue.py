"""Batches prepared in the background.

Two threads work ahead of the training. The loader reads the next chunk while the current one is served; the cutter
cuts batches of the current chunk into a queue of MaxQueueSize. At most two chunks are in memory: the loader begins
another one only when the current one has been dropped. Whole images and the lead-in of a training are served while
their chunk is still being read (:mod:`functions.reading.chunk_loader`). The batches and their order depend on settings
and position only, never on the timing of the threads.
"""

import logging
import threading

from ..setting.errors import InputError, account_of
from .chunk_image import Images, cut_batch
from .closable_queue import ClosableQueue, Closed, ReaderFailure
from .image_items import item_name
from .index_files import append_chunk

LOGGER = logging.getLogger(__name__)

PATIENCE_S = 3600.0
_END = object()


class BatchQueue:
    """Serve the batches of a reader from its position on.

    :param reader: :class:`functions.reading.chunk_image.Images`.
    :param one_semi_epoch: end after the last chunk of the semi-epoch (:meth:`get` then returns None).
    :param log_address: text file to which a few lines per chunk are appended (``log_im.txt``), or None.
    :raises InputError: too little memory; nothing has been read then.
    """

    def __init__(self, reader, one_semi_epoch=False, log_address=None):
        reader.check_memory(n_chunks_held=2, n_batches=None)
        self.reader, self._ended = reader, False
        self._one_semi_epoch, self._log_address = one_semi_epoch, log_address
        self._batches = ClosableQueue(reader.options.queue_size, PATIENCE_S)
        self._chunks = ClosableQueue(float('inf'))  # the permits limit what is in memory
        # One permit per chunk that may be in memory; the cutter gives one back when it drops a chunk.
        self._permits = ClosableQueue(2)
        self._permits.put(None)
        self._permits.put(None)
        self._threads = [
            threading.Thread(target=self._guard, args=(work,), name=name, daemon=True)
            for name, work in (('regnet-loader', self._load), ('regnet-cutter', self._cut))
        ]
        for thread in self._threads:
            thread.start()

    def get(self, timeout=None):
        """The next batch.

        :param timeout: seconds; None: as long as items keep being finished.
        :return: :class:`functions.reading.chunk_loader.Batch`, or None after the end of the only semi-epoch.
        :raises ReaderFailure: a thread failed; raised at once, with the item's name.
        :raises ReaderTimeout, Interrupted, InputError: nothing came in time; :meth:`interrupt` was called and no batch
            is ready; the queue has been closed.
        """
        if self._ended:
            return None
        try:
            batch = self._batches.get(timeout)
        except Closed:
            raise InputError(f'The queue of {self.reader.options.train_mode} batches has been closed.') from None
        self._ended = batch is _END
        return None if self._ended else batch

    def __iter__(self):
        return iter(self.get, None)

    def qsize(self):
        """Batches ready."""
        return self._batches.qsize()

    def interrupt(self):
        """Make :meth:`get` raise instead of wait, from now on; may be called from a signal handler."""
        self._batches.interrupt()

    def close(self, timeout=600.0):
        """Stop the threads and wait for them at most ``timeout`` seconds; an item being generated is finished first,
        and a thread still busy then ends with the program.
        """
        for queue in (self._batches, self._chunks, self._permits):
            queue.close()
        for thread in self._threads:
            thread.join(timeout)
            if thread.is_alive():
                LOGGER.warning('The thread %s did not end within %g s.', thread.name, timeout)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def _guard(self, work):
        try:
            work()
        except (Closed, ReaderFailure):
            pass  # closed on purpose, or reported by the other thread
        except BaseException as error:  # any failure must reach the training
            for queue in (self._batches, self._chunks, self._permits):
                queue.fail(account_of(error))

    def _load(self):
        reader = self.reader
        where = (reader.semi_epoch, reader.chunk, reader.lead_in)
        with reader.loader.working_ahead(where, self._batches.require_open):
            self._load_from(where)
        self._chunks.put(_END)

    def _load_from(self, where):
        reader = self.reader
        while not (self._one_semi_epoch and where[0] > reader.semi_epoch):
            self._permits.get()
            for chunk in reader.loader.parts(*where, watch=self._watch):
                if chunk.complete and self._log_address is not None:
                    append_chunk(self._log_address, chunk)
                # A chunk may still grow; the number of samples to cut is fixed here, so that timing has no influence.
                self._chunks.put((chunk, chunk.n_samples, chunk.complete))
            del chunk  # the cutter owns it and drops it as soon as it is served
            where = reader.order.after(where)

    def _watch(self, im_info):
        self._batches.alive(f'reading {item_name(im_info)}')

    def _cut(self):
        sample, size = self.reader.sample, self.reader.options.batch_size
        while True:
            part = self._chunks.get()
            if part is _END:
                self._batches.put(_END)
                return
            chunk, ready, complete = part
            while sample + size <= ready or (complete and sample < ready):
                batch, sample = cut_batch(self.reader, chunk, sample, size, complete)
                self._batches.put(batch)
                del batch  # its memory belongs to the consumer now
            del part, chunk
            if complete:
                sample = 0
                self._permits.put(None)


class TrainingQueue(BatchQueue):
    """The queue that training takes its batches from; semi-epoch follows semi-epoch without end.

    :param setting: settings dictionary, see :func:`functions.reading.reader_options.read_options`.
    :param log_address: see :class:`BatchQueue`.
    :param reading: position, semi_epoch, im_info_list_full and make_item of
        :class:`functions.reading.chunk_image.Images`. From ``batch.position`` of an earlier batch the queue serves
        exactly the batches that followed it.
    """

    def __init__(self, setting, log_address=None, **reading):
        super().__init__(Images(setting, 'Thread', lead_in=True, **reading), log_address=log_address)


def training_memory(setting, **reading):
    """Bytes that a :class:`TrainingQueue` of these arguments will take; 0 when the sizes of the images are unknown."""
    needed = Images(setting, 'Thread', **reading).memory_needed(n_chunks_held=2, n_batches=None)
    return 0 if needed is None else needed.total
