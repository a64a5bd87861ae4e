"""Batches prepared in the background.

Two threads work ahead of the training. The loader reads the next chunk while the current one is served; the
cutter cuts batches of the current chunk into a queue of MaxQueueSize. A chunk is handed over, not copied, and
the loader begins with the chunk after the next only when the current one has been dropped, so at most two
chunks and the queue are in memory. The batches and their order depend on settings and position only, never on
the timing of the threads.
"""

import logging
import threading
import traceback

from functions.reading.channel import Channel, Closed, ReaderFailure
from functions.reading.chunk_image import Images, cut_batch
from functions.reading.index_files import append_chunk
from functions.reading.items import item_name
from functions.setting.errors import InputError

logger = logging.getLogger(__name__)

PATIENCE_S = 3600.0
_END = object()


class BatchQueue:
    """Serve the batches of a reader from its position on.

    :param reader: :class:`functions.reading.chunk_image.Images`.
    :param one_semi_epoch: end after the last chunk of the semi-epoch (:meth:`get` then returns None).
    :param patience: seconds :meth:`get` waits without any sign of life of the threads.
    :param available: bytes of memory that may be taken; default: what is free.
    :param log_address: text file to which a few lines per chunk are appended (``log_im.txt``), or None.
    :raises InputError: the memory cannot suffice; nothing has been read then.
    """

    def __init__(self, reader, one_semi_epoch=False, patience=PATIENCE_S, available=None, log_address=None):
        reader.check_memory(n_chunks_held=2, n_batches=reader.options.queue_size + 2, available=available)
        self.reader = reader
        self._one_semi_epoch = one_semi_epoch
        self._log_address = log_address
        self._batches = Channel(reader.options.queue_size, patience)
        self._chunks = Channel(2)
        # One permit per chunk that may be in memory; the cutter gives one back when it drops a chunk.
        self._permits = Channel(2)
        self._permits.put(None)
        self._permits.put(None)
        self._ended = False
        self._threads = [
            threading.Thread(target=self._guard, args=(work,), name=name, daemon=True)
            for name, work in (('regnet-loader', self._load), ('regnet-cutter', self._cut))
        ]
        for thread in self._threads:
            thread.start()

    def get(self, timeout=None):
        """The next batch.

        :param timeout: seconds; None: as long as items keep being finished.
        :return: :class:`functions.reading.chunk.Batch`, or None after the end of the only semi-epoch.
        :raises ReaderFailure: a thread failed; raised at once, with the item's name and the traceback.
        :raises ReaderTimeout: nothing came in time.
        :raises InputError: the queue has been closed.
        """
        if self._ended:
            return None
        try:
            batch = self._batches.get(timeout)
        except Closed:
            raise InputError(
                'The queue of {} batches has been closed.'.format(self.reader.options.train_mode)
            ) from None
        if batch is _END:
            self._ended = True
            return None
        return batch

    def __iter__(self):
        batch = self.get()
        while batch is not None:
            yield batch
            batch = self.get()

    def qsize(self):
        """Batches ready."""
        return self._batches.qsize()

    def close(self, timeout=600.0):
        """Stop the threads and wait for them; an item being made is finished first.

        :param timeout: seconds to wait at most; a thread that is still busy then is left to end with the
            program.
        """
        for channel in (self._batches, self._chunks, self._permits):
            channel.close()
        for thread in self._threads:
            thread.join(timeout)
            if thread.is_alive():
                logger.warning('The thread %s did not end within %g s.', thread.name, timeout)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def _guard(self, work):
        try:
            work()
        except (Closed, ReaderFailure):
            pass  # closed on purpose, or the other thread has already told
        except BaseException as error:  # whatever it is, the training must hear of it
            text = '{}\n\nTraceback of the reading thread:\n{}'.format(
                error or type(error).__name__, traceback.format_exc()
            )
            for channel in (self._batches, self._chunks, self._permits):
                channel.fail(text)

    def _load(self):
        reader = self.reader
        semi_epoch, chunk = reader.semi_epoch, reader.chunk
        last = semi_epoch
        while not (self._one_semi_epoch and semi_epoch > last):
            self._permits.get()
            loaded = reader.loader.load(semi_epoch, chunk, watch=self._watch)
            if self._log_address is not None:
                append_chunk(self._log_address, loaded)
            self._chunks.put(loaded)
            del loaded  # it is the cutter's now, to drop as soon as it is served
            semi_epoch, chunk = reader.order.after(semi_epoch, chunk)
        self._chunks.put(_END)

    def _watch(self, im_info):
        self._batches.alive('reading {}'.format(item_name(im_info)))

    def _cut(self):
        sample = self.reader.sample
        while True:
            chunk = self._chunks.get()
            if chunk is _END:
                self._batches.put(_END)
                return
            while sample < chunk.n_samples:
                batch, sample = cut_batch(self.reader, chunk, sample, self.reader.options.batch_size)
                self._batches.put(batch)
            sample = 0
            del chunk
            self._permits.put(None)


class TrainingQueue(BatchQueue):
    """The queue the training takes its batches from; semi-epoch follows semi-epoch without end.

    :param setting: settings dictionary, see :func:`functions.reading.options.read_options`.
    :param position: ``batch.position`` of an earlier batch; the queue then serves exactly the batches that
        followed.
    :param im_info_list_full, make_item, image_size: see :class:`functions.reading.chunk_image.Images`.
    :param patience, available, log_address: see :class:`BatchQueue`.
    """

    def __init__(
        self,
        setting,
        position=None,
        im_info_list_full=None,
        make_item=None,
        image_size=None,
        patience=PATIENCE_S,
        available=None,
        log_address=None,
    ):
        reader = Images(
            setting,
            'Thread',
            'Training',
            im_info_list_full=im_info_list_full,
            position=position,
            make_item=make_item,
            image_size=image_size,
        )
        super().__init__(reader, patience=patience, available=available, log_address=log_address)
