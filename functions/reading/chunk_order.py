"""The order in which items are read, and the position from which reading can go on exactly.

The list of items is permuted once per semi-epoch by ``RandomState(semi_epoch)`` and cut into chunks of equal
length; the last one may be shorter. A position is a small dictionary {semi_epoch, chunk, sample, made_of}:
``sample`` is the number of samples of that chunk already served, ``made_of`` a fingerprint of the list and of
the settings that decide which samples a chunk holds. With ``lead_in`` True in it, ``sample`` counts in the
lead-in of that chunk (see :mod:`functions.reading.chunk_loader`).
"""

import logging

import numpy as np

from functions.reading.image_items import item_name
from functions.setting import seeds
from functions.setting.errors import InputError

logger = logging.getLogger(__name__)


class ChunkOrder:
    """Which items belong to which chunk.

    :param n_items: length of the full list.
    :param images_per_chunk: nominal number of items of a chunk.
    :param randomness: False keeps the order of the list.
    :param seed: 0 gives the published permutations, another number other ones.
    """

    def __init__(self, n_items, images_per_chunk, randomness=True, seed=0):
        if n_items < 1:
            raise InputError(
                'The list of images to read is empty: check the case, type and dsmooth lists of the data dictionaries.'
            )
        self.n_items = n_items
        self.images_per_chunk = images_per_chunk
        self.randomness = randomness
        self.seed = seed

    @property
    def number_of_chunks(self):
        """Chunks in one semi-epoch."""
        return -(-self.n_items // self.images_per_chunk)

    def numbers(self, semi_epoch, chunk):
        """Positions in the full list of the items of a chunk, in reading order."""
        if not 0 <= chunk < self.number_of_chunks:
            raise InputError(
                f'Chunk {chunk} does not exist: {self.n_items} items in chunks of {self.images_per_chunk} give '
                f'chunks 0 to {self.number_of_chunks - 1} (start_chunk).'
            )
        if self.randomness:
            state = (
                seeds.random_state('chunks', self.seed, semi_epoch) if self.seed else np.random.RandomState(semi_epoch)
            )
            order = state.permutation(self.n_items)
        else:
            order = np.arange(self.n_items)
        return [int(i) for i in order[chunk * self.images_per_chunk : (chunk + 1) * self.images_per_chunk]]

    def after(self, semi_epoch, chunk):
        """The (semi_epoch, chunk) that follows."""
        return (semi_epoch, chunk + 1) if chunk + 1 < self.number_of_chunks else (semi_epoch + 1, 0)


def sample_state(semi_epoch, chunk, stage, seed=0):
    """Random state of the draws and of the shuffle of one chunk, with seed 0 as published."""
    if seed:
        return seeds.random_state('samples', seed, semi_epoch, chunk, stage)
    return np.random.RandomState(semi_epoch * 10000 + chunk * 100 + stage)


def lead_in_state(semi_epoch, chunk, image, stage, seed=0):
    """Random state of the lead-in samples of image number ``image`` of a chunk."""
    return seeds.random_state('lead in', seed, semi_epoch, chunk, image, stage)


def fingerprint(im_info_list, options):
    """Text that changes when a position would no longer mean the same samples."""
    decisive = [
        options.train_mode,
        options.stage,
        options.images_per_chunk,
        options.samples_per_image,
        list(options.class_limits),
        options.class_rule,
        options.replacement,
        options.compensate,
        options.sample_inside,
        options.margin,
        options.full_image,
        options.randomness,
        options.seed,
    ]
    words = seeds.seed_words('reading', [item_name(im_info) for im_info in im_info_list], decisive)
    return ''.join(f'{word:08x}' for word in words)


def start_of(position, order, made_of, first=(0, 0), lead_in=False):
    """Where to begin reading.

    :param position: dictionary of an earlier batch, or None.
    :param first: (semi_epoch, chunk) to begin with without a position.
    :param lead_in: begin with the lead-in of that chunk, without a position.
    :return: (semi_epoch, chunk, samples already served, in the lead-in?). A position made of another
        list or other sampling settings cannot be continued exactly: its semi-epoch begins anew, with a
        warning.
    :raises InputError: the position is not one, or the chunk does not exist.
    """
    if position is None:
        order.numbers(*first)
        return first[0], first[1], 0, lead_in
    try:
        semi_epoch, chunk, sample = (int(position[key]) for key in ('semi_epoch', 'chunk', 'sample'))
        same = position['made_of'] == made_of
    except (TypeError, KeyError, ValueError) as error:
        raise InputError(
            f'{position!r} is not a position of the reader; it has semi_epoch, chunk, sample and made_of.'
        ) from error
    if semi_epoch < 0 or chunk < 0 or sample < 0:
        raise InputError(f'{position!r} is not a position of the reader: negative numbers.')
    if not same:
        logger.warning(
            'The list of images or the sampling settings changed since the position was stored; '
            'semi-epoch %d begins anew.',
            semi_epoch,
        )
        return semi_epoch, 0, 0, False
    order.numbers(semi_epoch, chunk)
    return semi_epoch, chunk, sample, position.get('lead_in', False) is True
