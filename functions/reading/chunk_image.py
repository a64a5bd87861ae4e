"""The chunk reader: class-balanced patches or whole images of one chunk of the training or validation list at
a time.
"""

from functions.reading import image_items, memory_estimate
from functions.reading.chunk_loader import Batch, ChunkLoader
from functions.reading.chunk_order import ChunkOrder, fingerprint, start_of
from functions.reading.reader_options import CLASS_MODES, read_options
from functions.setting.errors import InputError, unknown_name

__all__ = ['Batch', 'Images']


class Images:
    """Reads NumberOfImagesPerChunk images at a time and serves batches of samples from them.

    A semi-epoch is one pass over all chunks: the list is permuted by ``RandomState(semi_epoch)`` and cut into
    chunks, of which the last may be shorter. The batches depend on the settings and the position only.

    :param setting: settings dictionary; see :func:`functions.reading.reader_options.read_options`.
    :param class_mode: 'Direct' (read when asked), 'Thread' (the same; it is what a queue reads with in the
        background) or '1stEpoch' (has every item made and written, keeps none, serves nothing).
    :param train_mode: 'Training' or 'Validation'.
    :param number_of_images_per_chunk, samples_per_image, stage, full_image: override the setting.
    :param im_info_list_full: the items; default: the list of the train mode, at ``stage``.
    :param semi_epoch, chunk: where to begin; chunk defaults to setting['start_chunk'] in the first training
        semi-epoch and to 0 otherwise.
    :param position: position of an earlier batch to go on from, instead of ``semi_epoch`` and ``chunk``.
    :param lead_in: begin with the lead-in of the first chunk (see :mod:`functions.reading.chunk_loader`), where the
        settings have one.
    :param make_item: ``make_item(setting, im_info, write=...)``; default: artificial generation's
        ``get_item``.
    :param image_size: ``image_size(setting, im_info) -> (z, y, x)``, used to know the memory before reading;
        default: the header of the original image (nothing is checked when only ``make_item`` is given).
    :raises InputError: settings that cannot be used, a chunk that does not exist, memory that cannot suffice.
    :raises MissingFileError: an image is missing, or an item that never_generate_image forbids to make.
    """

    def __init__(
        self,
        setting,
        class_mode='Direct',
        train_mode='Training',
        number_of_images_per_chunk=None,
        samples_per_image=None,
        im_info_list_full=None,
        stage=None,
        semi_epoch=0,
        chunk=None,
        full_image=None,
        position=None,
        make_item=None,
        image_size=None,
        lead_in=False,
    ):
        if class_mode not in CLASS_MODES:
            raise unknown_name('class_mode', class_mode, CLASS_MODES)
        self.options = read_options(
            setting, train_mode, number_of_images_per_chunk, samples_per_image, stage, full_image
        )
        self.class_mode = class_mode
        self.im_info_list_full = self._list(setting, im_info_list_full)
        self.order = ChunkOrder(
            len(self.im_info_list_full), self.options.images_per_chunk, self.options.randomness, self.options.seed
        )
        self.made_of = fingerprint(self.im_info_list_full, self.options)
        if chunk is None:
            chunk = self.options.start_chunk if semi_epoch == 0 else 0
        self.semi_epoch, self.chunk, self.sample, self.lead_in = start_of(
            position, self.order, self.made_of, (semi_epoch, chunk), lead_in and self.options.lead_in
        )
        self.chunks_completed = False
        self._filled = None
        if self.options.never_generate and make_item is None:
            image_items.require_files(setting, self.im_info_list_full)
        self._sizes = self._image_sizes(setting, make_item, image_size)
        self.loader = ChunkLoader(
            setting, self.im_info_list_full, self.options, self.order, make_item or image_items.default_item_maker()
        )

    def _list(self, setting, im_info_list_full):
        if im_info_list_full is not None:
            return list(im_info_list_full)
        from functions.setting import setting_utils as su

        return su.get_im_info_list_from_train_mode(
            setting, self.options.train_mode, load_mode='Single', read_pair_mode='Synthetic', stage=self.options.stage
        )

    def _image_sizes(self, setting, make_item, image_size):
        if image_size is None:
            if make_item is not None:
                return None
            image_size = image_items.image_size_from_header
        known = {}
        for im_info in self.im_info_list_full:
            key = tuple(im_info.get(name) for name in ('data', 'type_im', 'cn', 'stage'))
            if key not in known:
                known[key] = tuple(image_size(setting, im_info))
                pad = im_info.get('padto')
                if pad is not None:
                    known[key] = tuple(max(pad, length) for length in known[key])
        return [
            known[tuple(im_info.get(name) for name in ('data', 'type_im', 'cn', 'stage'))]
            for im_info in self.im_info_list_full
        ]

    def memory_needed(self, n_chunks_held=1, n_batches=2):
        """:class:`functions.reading.memory_estimate.Estimate` in bytes, or None when the image sizes are unknown."""
        if self._sizes is None:
            return None
        return memory_estimate.estimate(self._sizes, self.options, n_chunks_held, n_batches)

    def check_memory(self, n_chunks_held=1, n_batches=2, available=None, beside=0):
        """Refuse settings that cannot fit, before the first image is read.

        :param available: bytes; default: what the system says is free.
        :param beside: bytes that others are still going to take of it.
        """
        needed = self.memory_needed(n_chunks_held, n_batches)
        if needed is not None and not self.loader.holds_all:  # what is held already needs no room
            available = memory_estimate.available_memory() if available is None else available
            memory_estimate.require_memory(
                needed, None if available is None else max(0, available - beside), self.options
            )

    @property
    def number_of_chunks(self):
        """Chunks in one semi-epoch."""
        return self.order.number_of_chunks

    @property
    def filled(self):
        """True while a chunk is in memory_estimate."""
        return self._filled is not None

    @property
    def position(self):
        """JSON-able dictionary of the next sample to be served."""
        where = (self.semi_epoch, self.chunk, self.lead_in)
        return position_after(self, where, self.sample, self.chunks_completed)

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
            self._filled = self.loader.load(self.semi_epoch, self.chunk, lead_in=self.lead_in)

    def go_to_next_chunk(self):
        """Drop the current chunk and move on, into the next semi-epoch after the last one; after a lead-in to
        the chunk itself.
        """
        self._filled = None
        self.semi_epoch, self.chunk = next_chunk(self.order, (self.semi_epoch, self.chunk, self.lead_in))
        self.lead_in = False
        self.sample = 0
        self.chunks_completed = False

    def next_batch(self, batch_size=None):
        """The next samples of the chunk; the last batch of a chunk may be smaller.

        Fills by itself when nothing is filled, or when the chunk is used up. ``chunks_completed`` is True
        after the last batch of a chunk.

        :param batch_size: default: BatchSize of the setting.
        :return: :class:`functions.reading.chunk_loader.Batch`.
        """
        if self.class_mode == '1stEpoch':
            raise InputError("A reader in the mode '1stEpoch' only has images made; use 'Direct' to get batches.")
        while self._filled is None or self.chunks_completed:
            self.fill()
            # A lead-in may have no sample at all.
            self.chunks_completed = self.sample >= self._filled.n_samples
        size = batch_size or self.options.batch_size
        batch, self.sample = cut_batch(self, self._filled, self.sample, size, True)
        self.chunks_completed = self.sample >= self._filled.n_samples
        return batch


def next_chunk(order, where):
    """(semi_epoch, chunk) that is read after ``where`` = (semi_epoch, chunk, in its lead-in?)."""
    semi_epoch, chunk, lead_in = where
    return (semi_epoch, chunk) if lead_in else order.after(semi_epoch, chunk)


def position_after(reader, where, sample, ended):
    """Position of the sample that follows; at the end of a chunk that is the first one of the next chunk.

    :param where: (semi_epoch, chunk, in its lead-in?).
    """
    semi_epoch, chunk, lead_in = where
    if ended:
        semi_epoch, chunk = next_chunk(reader.order, where)
        sample, lead_in = 0, False
    position = {'semi_epoch': semi_epoch, 'chunk': chunk, 'sample': sample, 'made_of': reader.made_of}
    return dict(position, lead_in=True) if lead_in else position


def cut_batch(reader, chunk, sample, batch_size, complete):
    """Cut the batch that begins at ``sample``.

    :param complete: the chunk will not grow any more.
    :return: the :class:`Batch` and the number of the sample that follows it.
    """
    images, dvf, weight, names = chunk.cut(sample, batch_size)
    following = sample + len(names)
    position = position_after(
        reader, (chunk.semi_epoch, chunk.chunk, chunk.lead_in), following, complete and following >= chunk.n_samples
    )
    return Batch(images, dvf, weight, names, chunk.semi_epoch, chunk.chunk, position), following
