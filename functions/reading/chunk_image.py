"""The chunk reader: patches or whole images of one chunk of the training or validation list at a time."""

from typing import Any, Callable, Dict, Optional, Sequence

from ..setting import setting_utils as su
from ..setting.errors import InputError, unknown_name
from . import memory_estimate
from .chunk_loader import Batch, ChunkLoader
from .chunk_order import ChunkOrder, fingerprint, start_of
from .image_items import generated_item, image_size_from_header, require_files
from .reader_options import CLASS_MODES, read_options

__all__ = ['Batch', 'Images']


class Images:
    """Reads NumberOfImagesPerChunk images at a time and serves batches of samples from them.

    A semi-epoch is one pass over all chunks: the list is permuted by ``RandomState(semi_epoch)`` and cut into chunks,
    of which the last may be shorter. The batches depend on the settings and the position only::

        >>> reader = Images(setting, im_info_list_full=im_infos, make_item=make_item)
        >>> batch = reader.next_batch(4)                 # reads the first chunk when nothing is in memory
        >>> batch.images.shape, batch.dvf.shape
        ((4, 11, 11, 11, 2), (4, 5, 5, 5, 3))
        >>> reader.semi_epoch, reader.chunk, reader.chunks_completed
        (0, 0, False)

    This class starts no thread: it reads when asked. A queue serves the same batches and reads in the background; its
    threads end with the ``with`` block::

        >>> from functions.reading.train_queue import TrainingQueue
        >>> with TrainingQueue(setting, im_info_list_full=im_infos, make_item=make_item) as queue:
        ...     batches = [queue.get() for step in range(6)]
        >>> batches[-1].position['chunk']                # a later queue continues with position=batches[-1].position
        1

    :param setting: settings dictionary; see :func:`functions.reading.reader_options.read_options`.
    :param class_mode: 'Direct'; 'Thread', the same, for the reader of a queue; or '1stEpoch' (items are only generated
        and written, no batch is served).
    :param train_mode: 'Training' or 'Validation'.
    :param number_of_images_per_chunk, samples_per_image, stage, full_image: override the setting.
    :param im_info_list_full: the items; default: those of the settings for the train mode, at ``stage``.
    :param semi_epoch, chunk: where to begin; chunk defaults to setting['start_chunk'] in the first training semi-epoch,
        else to 0.
    :param position: position of an earlier batch to continue from, instead of ``semi_epoch`` and ``chunk``.
    :param make_item: ``make_item(setting, im_info, write=...)``; default: ``get_item`` of artificial generation, for
        which the memory is checked before reading, from the headers of the original images.
    :param lead_in: begin with the lead-in of the first chunk (:mod:`functions.reading.chunk_loader`) if there is one.
    :raises InputError: settings that cannot be used, a chunk that does not exist, too little memory.
    :raises MissingFileError: an image is missing, or an item is with never_generate_image.
    """

    # fmt: off
    def __init__(
        self, setting: Dict[str, Any], class_mode: str = 'Direct', train_mode: str = 'Training',
        number_of_images_per_chunk: Optional[int] = None, samples_per_image: Optional[int] = None,
        im_info_list_full: Optional[Sequence[Any]] = None, stage: Optional[int] = None, semi_epoch: int = 0,
        chunk: Optional[int] = None, full_image: Optional[bool] = None, position: Optional[Dict[str, Any]] = None,
        make_item: Optional[Callable[..., Any]] = None, lead_in: bool = False,
    ) -> None:
        # fmt: on
        if class_mode not in CLASS_MODES:
            raise unknown_name('class_mode', class_mode, CLASS_MODES)
        self.class_mode = class_mode
        overrides = number_of_images_per_chunk, samples_per_image, stage, full_image
        self.options = options = read_options(setting, train_mode, *overrides)
        if im_info_list_full is None:
            which = {'load_mode': 'Single', 'read_pair_mode': 'Synthetic', 'stage': options.stage}
            im_info_list_full = su.get_im_info_list_from_train_mode(setting, train_mode, **which)
        self.im_info_list_full = list(im_info_list_full)
        self.order = ChunkOrder(len(self.im_info_list_full), options)
        self.made_of = fingerprint(self.im_info_list_full, options)
        if chunk is None:
            chunk = options.start_chunk if semi_epoch == 0 else 0
        start = start_of(position, self.order, self.made_of, (semi_epoch, chunk), lead_in and options.lead_in)
        self.semi_epoch, self.chunk, self.sample, self.lead_in = start
        self.chunks_completed = False
        self._filled: Any = None
        if options.never_generate and make_item is None:
            require_files(setting, self.im_info_list_full)
        self._sizes = self._image_sizes(setting) if make_item is None else None
        self.loader = ChunkLoader(setting, self.im_info_list_full, options, self.order, make_item or generated_item)

    def _image_sizes(self, setting):
        known, sizes = {}, []
        for im_info in self.im_info_list_full:
            key = tuple(im_info.get(name) for name in ('data', 'type_im', 'cn', 'stage'))
            if key not in known:
                known[key] = image_size_from_header(setting, im_info)
            sizes.append(tuple(max(im_info.get('padto') or 0, length) for length in known[key]))
        return sizes

    def memory_needed(self, n_chunks_held=1, n_batches=2):
        """:class:`functions.reading.memory_estimate.Estimate` in bytes, or None when the image sizes are unknown."""
        sizes = self._sizes
        return None if sizes is None else memory_estimate.estimate(sizes, self.options, n_chunks_held, n_batches)

    def check_memory(self, n_chunks_held=1, n_batches=2, beside=0):
        """Refuse settings that need too much memory; ``beside``: bytes of it that others will still take."""
        needed = self.memory_needed(n_chunks_held, n_batches)
        if needed is not None and not self.loader.holds_all:  # what is held already needs no room
            memory_estimate.require_memory(needed, memory_estimate.available_memory() - beside, self.options)

    @property
    def number_of_chunks(self):
        """Chunks in one semi-epoch."""
        return self.order.number_of_chunks

    @property
    def filled(self):
        """True while a chunk is in memory."""
        return self._filled is not None

    @property
    def position(self):
        """JSON-able dictionary of the next sample to be served."""
        return position_after(self, self._where, self.sample, self.chunks_completed)

    @property
    def _where(self):
        return self.semi_epoch, self.chunk, self.lead_in

    def fill(self):
        """Read the current chunk, or the next one when the current one has been served to its end."""
        if self.chunks_completed:
            self.go_to_next_chunk()
        self._filled = None  # the old chunk goes before the new one comes
        self.check_memory()
        if self.class_mode == '1stEpoch':
            self.loader.make_only(self.semi_epoch, self.chunk)
            self.chunks_completed = True
        else:
            self._filled = self.loader.load(self.semi_epoch, self.chunk, self.lead_in)

    def go_to_next_chunk(self):
        """Drop the current chunk; go from a lead-in to its chunk, or to the next chunk or semi-epoch."""
        self._filled = None
        self.semi_epoch, self.chunk, self.lead_in = self.order.after(self._where)
        self.sample, self.chunks_completed = 0, False

    def next_batch(self, batch_size: Optional[int] = None) -> Batch:
        """The next :class:`functions.reading.chunk_loader.Batch`; the last one of a chunk may be smaller.

        Reads a chunk when none is in memory or the current one is used up. ``chunks_completed`` is True after the last
        batch of a chunk. ``batch_size`` defaults to BatchSize of the setting.
        """
        if self.class_mode == '1stEpoch':
            raise InputError("A reader in the mode '1stEpoch' only generates images; use 'Direct' to get batches.")
        while self._filled is None or self.chunks_completed:
            self.fill()
            # A lead-in may have no sample at all.
            self.chunks_completed = self.sample >= self._filled.n_samples
        batch, self.sample = cut_batch(self, self._filled, self.sample, batch_size or self.options.batch_size, True)
        self.chunks_completed = self.sample >= self._filled.n_samples
        return batch


def position_after(reader, where, sample, ended):
    """Position of the next sample; at the end of a chunk, of the first sample of the one after ``where`` = (semi_epoch,
    chunk, in its lead-in?).
    """
    if ended:
        where, sample = reader.order.after(where), 0
    position = {'semi_epoch': where[0], 'chunk': where[1], 'sample': sample, 'made_of': reader.made_of}
    return dict(position, lead_in=True) if where[2] else position


def cut_batch(reader, chunk, sample, batch_size, complete):
    """The :class:`Batch` that begins at ``sample`` of a ``chunk``, ``complete`` when it will not grow any more, and the
    number of the next sample.
    """
    images, dvf, weight, names = chunk.cut(sample, batch_size)
    following = sample + len(names)
    where = (chunk.semi_epoch, chunk.chunk, chunk.lead_in)
    position = position_after(reader, where, following, complete and following >= chunk.n_samples)
    return Batch(images, dvf, weight, names, chunk.semi_epoch, chunk.chunk, position), following
