"""The order in which items are read, and the position from which reading continues exactly.

The list of items is permuted once per semi-epoch by ``RandomState(semi_epoch)`` and cut into chunks of equal length;
the last one may be shorter. A position is a dictionary {semi_epoch, chunk, sample, made_of}: ``sample`` is the number
of samples of that chunk already served, ``made_of`` a fingerprint of the list and of the settings that decide which
samples a chunk holds. With ``lead_in`` True, ``sample`` counts in the lead-in of that chunk.
"""

import logging

import numpy as np

from ..setting import seeds
from ..setting.errors import InputError
from .image_items import item_name

LOGGER = logging.getLogger(__name__)


class ChunkOrder:
    """Which items belong to which chunk.

    :param n_items: length of the full list.
    :param options: :class:`functions.reading.reader_options.ReaderOptions`; randomness False keeps the order of the
        list, seed 0 gives the published permutations.
    """

    def __init__(self, n_items, options):
        if n_items < 1:
            raise InputError('The list of images to read is empty: check CNList, TypeImList and DSmoothList.')
        self.n_items, self.options = n_items, options

    @property
    def number_of_chunks(self):
        """Chunks in one semi-epoch."""
        return -(-self.n_items // self.options.images_per_chunk)

    def numbers(self, semi_epoch, chunk):
        """Positions in the full list of the items of a chunk, in reading order."""
        size, seed = self.options.images_per_chunk, self.options.seed
        if not 0 <= chunk < self.number_of_chunks:
            chunks = f'{self.n_items} items give chunks 0 to {self.number_of_chunks - 1}'
            raise InputError(f'Chunk {chunk} does not exist: {chunks} (start_chunk).')
        order = np.arange(self.n_items)
        if self.options.randomness:
            state = seeds.random_state('chunks', seed, semi_epoch) if seed else np.random.RandomState(semi_epoch)
            order = state.permutation(self.n_items)
        return [int(i) for i in order[chunk * size : (chunk + 1) * size]]

    def following(self, where):
        """Positions of all items to be made from ``where`` on; those of a single chunk are made once and kept."""
        yield from self.numbers(*where[:2])
        while self.number_of_chunks > 1:
            where = self.after((where[0], where[1], False))
            yield from self.numbers(*where[:2])

    def after(self, where):
        """(semi_epoch, chunk, False) that is read after ``where`` = (semi_epoch, chunk, in its lead-in?)."""
        semi_epoch, chunk, lead_in = where
        if lead_in:
            return semi_epoch, chunk, False
        return (semi_epoch, chunk + 1, False) if chunk + 1 < self.number_of_chunks else (semi_epoch + 1, 0, False)


def sample_state(semi_epoch, chunk, stage, seed=0):
    """Random state of the draws and of the shuffle of one chunk, with seed 0 as published."""
    if seed:
        return seeds.random_state('samples', seed, semi_epoch, chunk, stage)
    return np.random.RandomState(semi_epoch * 10000 + chunk * 100 + stage)


def fingerprint(im_info_list, options):
    """Text that changes when a position would no longer mean the same samples."""
    names = 'train_mode stage images_per_chunk samples_per_image class_limits class_rule replacement compensate'
    names += ' sample_inside margin full_image randomness seed'
    decisive = [getattr(options, name) for name in names.split()]
    words = seeds.seed_words('reading', [item_name(im_info) for im_info in im_info_list], decisive)
    return ''.join(f'{word:08x}' for word in words)


def start_of(position, order, made_of, first=(0, 0), lead_in=False):
    """Where to begin reading: (semi_epoch, chunk, samples already served, in the lead-in?).

    :param position: dictionary of an earlier batch, or None. Its semi-epoch starts again, with a warning, when the list
        or the sampling settings have changed since.
    :param first, lead_in: without a position, (semi_epoch, chunk) to begin with, and whether with its lead-in.
    :raises InputError: not a position, or the chunk does not exist.
    """
    if position is None:
        order.numbers(*first)
        return first[0], first[1], 0, lead_in
    try:
        semi_epoch, chunk, sample = (int(position[key]) for key in ('semi_epoch', 'chunk', 'sample'))
        same = position['made_of'] == made_of
        if min(semi_epoch, chunk, sample) < 0:
            raise ValueError('negative numbers')
    except (TypeError, KeyError, ValueError) as error:
        expected = 'semi_epoch, chunk and sample from 0, and made_of'
        raise InputError(f'{position!r} is not a position of the reader: {expected}.') from error
    if not same:
        LOGGER.warning('The images or the sampling settings have changed; semi-epoch %d starts again.', semi_epoch)
        return semi_epoch, 0, 0, False
    order.numbers(semi_epoch, chunk)
    return semi_epoch, chunk, sample, position.get('lead_in', False) is True
