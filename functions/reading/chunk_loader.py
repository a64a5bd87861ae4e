"""A chunk in memory: its items, its samples, and the batches cut from them.

Class-balanced samples can be drawn only when the whole chunk has been read. Two kinds of chunk are served while they
grow: whole images, and the lead-in of a new training: SamplesPerImage class-balanced samples of each item of the first
chunk, drawn image by image, so that training begins with the first image read. The samples of the chunk itself follow.
"""

import contextlib
from collections import namedtuple

import numpy as np

from ..setting import seeds
from ..setting.errors import InputError
from . import flips, index_files, patches
from .array_pool import ArrayPool
from .chunk_order import sample_state
from .class_balanced_sampling import draw_samples, lead_in_share, report_classes, wanted_per_class
from .image_items import hold_item
from .items_ahead import ItemsAhead
from .memory_estimate import BATCHES_BESIDE_QUEUE

Batch = namedtuple('Batch', 'images dvf weight items semi_epoch chunk position')
Batch.__doc__ = """What one training step gets.

images: float32 [n, z, y, x, 2], HU; channel 0 the moving (undeformed) image, channel 1 the fixed (deformed) one.
dvf: float32 [n, z', y', x', 3], mm, components x, y, z; the centre of the image patch.
weight: float32 [n, z', y', x', 1]; 0 on padding, LungWeight inside the deformed lung, 1 elsewhere.
items: list of n item names. semi_epoch, chunk: where the samples come from.
position: dictionary; a queue started with it serves exactly the batches that follow this one.
"""


class Chunk:
    """The samples of some items.

    :ivar rows: int32 (n, 3): [flat voxel index, item number in the chunk, class]; for whole images index and class
        are 0, in the order of the items.
    :ivar complete: False while items are still being read.
    """

    def __init__(self, semi_epoch, chunk, options, lead_in=False, buffers=None):
        self.held, self.rows = [], np.empty((0, 3), dtype=np.int32)
        self.semi_epoch, self.chunk, self.lead_in = semi_epoch, chunk, lead_in
        self.options, self.complete = options, False
        self._buffers = buffers or [ArrayPool(0)] * 3
        self._weight_table = np.array([1.0, options.lung_weight], dtype=np.float32)

    @property
    def n_samples(self):
        return len(self.rows)

    def grow(self, item, rows):
        """Add an item and samples. Earlier samples keep their numbers: another thread may cut them meanwhile."""
        self.held.append(item)
        self.rows = np.concatenate([self.rows, rows])

    def drop_indices(self):
        """Free the possible centres, a fifth of the memory, when nothing more is drawn from them."""
        self.held = [item._replace(indices=None) for item in self.held]

    def cut(self, first, batch_size):
        """Images, DVF, weight and item names of the samples ``first`` to ``first + batch_size`` (or the end)."""
        rows = self.rows[first : first + batch_size]
        if len(rows) == 0:
            where = f'chunk {self.chunk} of semi-epoch {self.semi_epoch}'
            raise InputError(f'Sample {first} does not exist; {where} has {self.n_samples} samples.')
        chosen = [self.held[row[1]] for row in rows]
        arrays = self._whole(chosen) if self.options.full_image else self._patches(chosen, rows)
        if self.options.augmentation == 'batch':
            axes = flips.axes_of_batch(self.options.seed, self.semi_epoch, self.chunk, first)
        else:
            axes = flips.axes_of_semi_epoch(self.semi_epoch) if self.options.augmentation else ()
        arrays = flips.flip(*arrays, axes=axes)
        return list(arrays) + [[item.name for item in chosen]]

    def _empty(self, n, size_in, size_out):
        shapes = ((n,) + size_in + (2,), (n,) + size_out + (3,), (n,) + size_out + (1,))
        return [pool.empty(shape) for pool, shape in zip(self._buffers, shapes)]

    def _patches(self, chosen, rows):
        radii = self.options.radius_image, self.options.radius_dvf
        arrays = self._empty(len(rows), *[(2 * radius + 1,) * 3 for radius in radii])
        for item, row, *sample in zip(chosen, rows, *arrays):
            centre = np.unravel_index(row[0], item.dvf.shape[:3])
            corners = [[int(c) - radius for c in centre] for radius in radii]
            patches.fill_sample(sample, item, *corners, self._weight_table)
        return arrays

    def _whole(self, chosen):
        shapes = [item.pair.shape[:3] for item in chosen]
        size = patches.common_size(shapes, self.options.size_unit, self.options.size_offset)
        arrays = self._empty(len(chosen), size, size)
        for item, *sample in zip(chosen, *arrays):
            corner = patches.corner_of(size, item.pair.shape[:3])
            patches.fill_sample(sample, item, corner, corner, self._weight_table)
        return arrays


class ChunkLoader:
    """Reads chunks; the samples depend on (semi_epoch, chunk) only.

    When a single chunk holds the whole list, its items stay in memory and later semi-epochs only draw new samples.

    :param make_item: ``make_item(setting, im_info, write=...)``.
    :param order: :class:`functions.reading.chunk_order.ChunkOrder`.
    """

    def __init__(self, setting, im_info_list, options, order, make_item):
        self.setting, self.im_info_list, self.options = setting, im_info_list, options
        self.order, self.make_item, self._kept = order, make_item, {}
        self.forget_buffers()

    def forget_buffers(self):
        """Free the memory of batches."""
        self._buffers = [ArrayPool(self.options.queue_size + BATCHES_BESIDE_QUEUE) for _ in range(3)]

    @contextlib.contextmanager
    def working_ahead(self, where, watch):
        """Inside the ``with`` block n_workers processes make the items, a few ahead of the one that is read.

        :param where: (semi_epoch, chunk, in its lead-in?) that is read first.
        :param watch: called while an item is waited for; may raise to stop.
        """
        make_item = self.make_item
        if self.options.n_workers == 0:
            yield
            return
        expected = (self.im_info_list[number] for number in self.order.following(where))
        self.make_item = ItemsAhead(make_item, self.options.n_workers, expected, watch)
        try:
            yield
        finally:
            self.make_item.close()
            self.make_item = make_item

    def load(self, semi_epoch, chunk, lead_in=False):
        """Read the items of a chunk, or of its lead-in, whose items are kept for it, and draw the samples:
        :class:`Chunk`.

        :raises ItemError, InputError: an item failed; no sample can be drawn.
        """
        return list(self.parts(semi_epoch, chunk, lead_in))[-1]

    def parts(self, semi_epoch, chunk, lead_in=False, watch=None):
        """:meth:`load` as a generator: yields the :class:`Chunk` whenever it has grown, a class-balanced one once.

        :param watch: called with the im_info before each item; may raise to stop.
        """
        numbers = self.order.numbers(semi_epoch, chunk)
        growing = Chunk(semi_epoch, chunk, self.options, lead_in, self._buffers)
        by_image = self.options.full_image or lead_in
        owed = np.zeros(max(1, len(self.options.class_limits)), dtype=np.int64)
        for place, number in enumerate(numbers):
            if watch is not None:
                watch(self.im_info_list[number])
            item = self._hold(number, lead_in)
            rows = growing.rows[:0]
            if self.options.full_image:
                rows = np.array([[0, place, 0]], dtype=np.int32)
            elif lead_in:
                rows, owed = self._lead_in_rows(item, place, growing, owed)
            growing.grow(item, rows)
            if by_image and place < len(numbers) - 1:
                yield growing
        if not by_image:
            growing.rows = self._balanced_rows(growing)
        if self.options.write_indices and not lead_in:
            index_files.write_chunk(self.setting, self.im_info_list, numbers, growing)
        if not lead_in and not self._keeps():
            growing.drop_indices()
            self._kept.clear()
        growing.complete = True
        yield growing

    def make_only(self, semi_epoch, chunk):
        """Generate (and write) every item of a chunk without keeping any."""
        for number in self.order.numbers(semi_epoch, chunk):
            hold_item(self.setting, self.im_info_list[number], self.make_item, self.options)

    @property
    def holds_all(self):
        """True when every item of the list is in memory already."""
        return len(self._kept) == self.order.n_items

    def _keeps(self):
        return self.order.number_of_chunks == 1

    def _hold(self, number, keep):
        if number in self._kept:
            return self._kept[number]
        item = hold_item(self.setting, self.im_info_list[number], self.make_item, self.options)
        if keep or self._keeps():
            self._kept[number] = item
        return item

    def _lead_in_rows(self, item, place, growing, owed):
        """Samples of image number ``place``; what a class of it lacks is owed by the images after it."""
        options = self.options
        owed = owed + lead_in_share(options.samples_per_image, place, owed.size)
        where = (growing.semi_epoch, growing.chunk, place, options.stage)
        state = seeds.random_state('lead in', options.seed, *where)
        rows, given = draw_samples([item.indices], owed, state, options.replacement)
        rows[:, 1] = place
        return rows, owed - given

    def _balanced_rows(self, chunk):
        options = self.options
        wanted = wanted_per_class(options.samples_per_image, len(chunk.held), len(options.class_limits))
        state = sample_state(chunk.semi_epoch, chunk.chunk, options.stage, options.seed)
        indices = [item.indices for item in chunk.held]
        rows, given = draw_samples(indices, wanted, state, options.replacement, options.compensate)
        where = f'{options.train_mode} S{options.stage} semi-epoch {chunk.semi_epoch} chunk {chunk.chunk}'
        if len(rows) == 0:
            names = ', '.join(item.name for item in chunk.held[:5])
            mask = f'the mask is empty (SampleInside: {options.sample_inside!r})'
            cause = f'{mask} or ClassRule {options.class_rule!r} takes none of its voxels'
            raise InputError(f'{where}: no patch centre in {names}: {cause}.')
        report_classes(given, wanted, options.class_limits, where)
        return rows
