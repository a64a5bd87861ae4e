"""Items made by other processes, a few ahead of the one that is wanted. Neither the items nor their order change."""

import itertools
from concurrent.futures import wait

from ..image.worker_pools import ATTEMPTS, GIVEN_UP, result_of, worker_deaths, worker_pool
from ..setting.errors import RegNetError

#: Items being made or waiting to be taken, for every process.
AHEAD = 2
#: Seconds between two looks at whether the item is still wanted.
LOOK_S = 0.5


class ItemsAhead:
    """A ``make_item`` whose items come from processes of one thread each.

    :param make_item: a function that can be sent to a process; or an object whose function ``draft`` can, and whose
        ``finish(draft)`` makes the item of it here, as :class:`functions.artificial_generation.training_item`'s
        ItemAfterPasses.
    :param expected: iterable of the im_infos that will be asked for, in that order.
    :param watch: called while an item is waited for; may raise to stop.
    """

    def __init__(self, make_item, n_workers, expected, watch):
        self._make = make_item.draft if hasattr(make_item, 'draft') else make_item
        self._finish = make_item.finish if hasattr(make_item, 'draft') else None
        self._n_workers, self._expected, self._watch = n_workers, iter(expected), watch
        self._pool, self._ahead = None, []  # [im_info, future or None]

    def __call__(self, setting, im_info, write):
        """The item; raises what making it raises, and RegNetError when its process was killed ATTEMPTS times."""
        for attempt in range(ATTEMPTS):
            try:
                # After a death alone, so that this item is to blame if that happens again.
                self._start(1 if attempt else AHEAD * self._n_workers, setting, write)
                future = self._ahead[0][1]
                while not wait([future], LOOK_S).done:
                    self._watch()
                made = result_of(future)
            except worker_deaths():
                self.close()
                continue
            del self._ahead[0]
            return made if self._finish is None else self._finish(made)
        raise RegNetError(GIVEN_UP)

    def _start(self, most, setting, write):
        if self._pool is None:
            self._pool = worker_pool(self._n_workers, threads=1)
        more = itertools.islice(self._expected, max(0, most - len(self._ahead)))
        self._ahead += [[im_info, None] for im_info in more]
        for entry in self._ahead[:most]:
            if entry[1] is None:
                entry[1] = self._pool.submit(self._make, setting, entry[0], write=write)

    def close(self):
        """End the processes, whatever they are doing."""
        for entry in self._ahead:
            entry[1] = None
        if self._pool is not None:
            self._pool.end()
            self._pool = None
