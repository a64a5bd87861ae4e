"""A chunk in memory: its items, its samples, and the batches cut from them."""

from collections import namedtuple

import numpy as np

from functions.reading import flips, index_files, patches, sampling
from functions.reading.items import hold_item
from functions.reading.order import sample_state
from functions.setting.errors import InputError

Batch = namedtuple('Batch', 'images dvf weight items semi_epoch chunk position')
Batch.__doc__ = """What one training step gets.

images: float32 [n, z, y, x, 2], HU; channel 0 the moving (undeformed) image, channel 1 the fixed (deformed)
one. dvf: float32 [n, z', y', x', 3], mm, components x, y, z; the centre of the image patch.
weight: float32 [n, z', y', x', 1]; 0 on padding, LungWeight inside the deformed lung, 1 elsewhere.
items: list of n item names. semi_epoch, chunk: where the samples come from.
position: dictionary; a queue started with it serves exactly the batches that follow this one.
"""


class Chunk:
    """The samples of some items.

    :ivar rows: int32 (n, 3): [flat voxel index, item number in the chunk, class]; for whole images the index
        and the class are 0 and the rows keep the order of the items.
    """

    def __init__(self, held, rows, semi_epoch, chunk, options):
        self.held = held
        self.rows = rows
        self.semi_epoch = semi_epoch
        self.chunk = chunk
        self.options = options
        self._weight_table = np.array([1.0, options.lung_weight], dtype=np.float32)

    @property
    def n_samples(self):
        return len(self.rows)

    def cut(self, first, batch_size):
        """Images, DVF, weight and item names of the samples ``first`` to ``first + batch_size`` (or the
        end).
        """
        rows = self.rows[first : first + batch_size]
        if len(rows) == 0:
            raise InputError(
                'Chunk {} of semi-epoch {} has {} samples; sample {} does not exist.'.format(
                    self.chunk, self.semi_epoch, self.n_samples, first
                )
            )
        chosen = [self.held[row[1]] for row in rows]
        images, dvf, weight = self._whole(chosen) if self.options.full_image else self._patches(chosen, rows)
        if self.options.augmentation:
            axes = flips.axes_of_semi_epoch(self.semi_epoch)
            images, dvf, weight = flips.flip(images, dvf, weight, axes)
        return images, dvf, weight, [item.name for item in chosen]

    def _empty(self, n, size_in, size_out):
        return (
            np.empty((n,) + size_in + (2,), dtype=np.float32),
            np.empty((n,) + size_out + (3,), dtype=np.float32),
            np.empty((n,) + size_out + (1,), dtype=np.float32),
        )

    def _patches(self, chosen, rows):
        radius_in, radius_out = self.options.radius_image, self.options.radius_dvf
        arrays = self._empty(len(rows), (2 * radius_in + 1,) * 3, (2 * radius_out + 1,) * 3)
        for n, (item, row) in enumerate(zip(chosen, rows)):
            centre = np.unravel_index(row[0], item.dvf.shape[:3])
            patches.cut_patch(
                arrays[0][n],
                arrays[1][n],
                arrays[2][n],
                item,
                centre,
                radius_in,
                radius_out,
                self._weight_table,
            )
        return arrays

    def _whole(self, chosen):
        size = patches.common_size(
            [item.pair.shape[:3] for item in chosen], self.options.size_unit, self.options.size_offset
        )
        arrays = self._empty(len(chosen), size, size)
        for n, item in enumerate(chosen):
            patches.pad_whole(arrays[0][n], arrays[1][n], arrays[2][n], item, self._weight_table)
        return arrays


class ChunkLoader:
    """Reads chunks; the samples depend on (semi_epoch, chunk) only, whoever reads them and when.

    When a single chunk holds the whole list, its items stay in memory and later semi-epochs only draw anew.

    :param make_item: ``make_item(setting, im_info, write=...)``.
    :param order: :class:`functions.reading.order.ChunkOrder`.
    """

    def __init__(self, setting, im_info_list, options, order, make_item):
        self.setting = setting
        self.im_info_list = im_info_list
        self.options = options
        self.order = order
        self.make_item = make_item
        self._kept = {}

    def load(self, semi_epoch, chunk, watch=None):
        """Read the items of a chunk and draw its samples.

        :param watch: called with the im_info before each item; may raise to stop.
        :return: :class:`Chunk`.
        :raises ItemError: an item failed. InputError: no sample can be drawn.
        """
        numbers = self.order.numbers(semi_epoch, chunk)
        held = []
        for number in numbers:
            if watch is not None:
                watch(self.im_info_list[number])
            held.append(self._hold(number))
        rows = self._rows(held, semi_epoch, chunk)
        if self.options.write_indices:
            index_files.write_chunk(
                self.setting,
                self.options,
                [self.im_info_list[number] for number in numbers],
                self.im_info_list,
                held,
                rows,
                semi_epoch,
                chunk,
            )
        if not self._keeps():
            # The centres are needed for the draws only; a third of the memory goes with them.
            held = [item._replace(indices=None) for item in held]
        return Chunk(held, rows, semi_epoch, chunk, self.options)

    def make_only(self, semi_epoch, chunk, watch=None):
        """Have every item of a chunk made (and written) without keeping any."""
        for number in self.order.numbers(semi_epoch, chunk):
            if watch is not None:
                watch(self.im_info_list[number])
            hold_item(self.setting, self.im_info_list[number], self.make_item, self.options)

    @property
    def holds_all(self):
        """True when every item of the list is in memory already."""
        return len(self._kept) == self.order.n_items

    def _keeps(self):
        return self.order.number_of_chunks == 1

    def _hold(self, number):
        if number in self._kept:
            return self._kept[number]
        item = hold_item(self.setting, self.im_info_list[number], self.make_item, self.options)
        if self._keeps():
            self._kept[number] = item
        return item

    def _rows(self, held, semi_epoch, chunk):
        if self.options.full_image:
            rows = np.zeros((len(held), 3), dtype=np.int32)
            rows[:, 1] = np.arange(len(held))
            return rows
        wanted = sampling.wanted_per_class(
            self.options.samples_per_image, len(held), len(self.options.class_limits)
        )
        rows, given = sampling.draw_samples(
            [item.indices for item in held],
            wanted,
            sample_state(semi_epoch, chunk, self.options.stage, self.options.seed),
            self.options.replacement,
            self.options.compensate,
        )
        where = '{} S{} semi-epoch {} chunk {}'.format(
            self.options.train_mode, self.options.stage, semi_epoch, chunk
        )
        if len(rows) == 0:
            sizes = sorted(set(item.dvf.shape[:3] for item in held))
            raise InputError(
                '{}: no patch centre in {} (sizes {}, z y x): the mask is empty or Margin {} leaves '
                'nothing; use a smaller R, Ry or Margin.'.format(
                    where, ', '.join(item.name for item in held[:5]), sizes[:5], self.options.margin
                )
            )
        sampling.report_classes(given, wanted, self.options.class_limits, where)
        return rows
