"""Memory that is given out again: never while anybody looks at it."""

import numpy as np
from reading_fakes import a_setting, im_infos, make_item, same_batch

from functions.reading.array_pool import ArrayPool
from functions.reading.chunk_image import Images
from functions.reading.memory_estimate import BATCHES_BESIDE_QUEUE
from functions.reading.train_queue import TrainingQueue


def address(array):
    return array.__array_interface__['data'][0]


def test_memory_comes_back_when_the_last_view_is_gone():
    pool = ArrayPool(1)
    first = pool.empty((2, 3, 4))
    where = address(first)
    view = first[1:, :, 0].T
    del first
    other = pool.empty((2, 3, 4))
    assert address(other) != where and not np.shares_memory(other, view)
    del view
    assert address(pool.empty((4, 2))) == where and other.flags.c_contiguous and other.dtype == np.float32


def test_a_larger_one_takes_the_place_of_a_smaller_one_and_no_more_are_kept():
    pool = ArrayPool(2)
    small = [pool.empty((3,)) for _ in range(5)]
    assert len({address(array) for array in small}) == 5 and len(pool._owners) == 2
    del small
    large = pool.empty((50,))
    assert len(pool._owners) == 2 and large.shape == (50,)
    where = address(large)
    del large
    assert address(pool.empty((40,))) == where


def test_batches_that_are_kept_do_not_change_and_others_are_used_again():
    reader = Images(a_setting(), im_info_list_full=im_infos(7), make_item=make_item)
    with TrainingQueue(a_setting(), im_info_list_full=im_infos(7), make_item=make_item) as queue:
        kept = [queue.get() for _ in range(20)]
        assert all(same_batch(batch, reader.next_batch()) for batch in kept)
        del kept
        for _ in range(7):  # these were cut while the kept ones had all the memory
            queue.get()
        seen = set()
        for _ in range(40):
            seen.add(address(queue.get().images))
    assert len(seen) <= reader.options.queue_size + BATCHES_BESIDE_QUEUE
