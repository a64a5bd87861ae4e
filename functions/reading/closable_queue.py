"""A bounded hand-over between threads that can be closed, that fails at once, and that never waits for ever.

``queue.Queue`` can do none of the three: a blocked ``put`` cannot be woken by closing, and an exception put
into it comes out only after everything in front of it.
"""

import collections
import threading
import time

from functions.setting.errors import RegNetError


class ReaderFailure(RegNetError, RuntimeError):
    """A reading thread failed; the message holds the item, the error and its traceback."""


class ReaderTimeout(RegNetError, TimeoutError):
    """Nothing came within the deadline; the message says what the reader was doing."""


class Interrupted(RegNetError):
    """The one who waits was told to stop waiting, by :meth:`ClosableQueue.interrupt`."""


class Closed(Exception):
    """The channel was closed; for threads, the sign to end."""


class ClosableQueue:
    """First in, first out, at most ``capacity`` things.

    :param patience: seconds ``get`` waits without any sign of life (:meth:`alive`) before it gives up. None,
        for threads that wait for each other: until the channel is closed or fails, which the end of either
        one brings.
    """

    def __init__(self, capacity, patience=None):
        self.capacity = capacity
        self.patience = patience
        self._things = collections.deque()
        self._changed = threading.Condition()
        self._closed = False
        self._interrupted = False
        self._failure = None
        self._doing = 'starting'
        self._last_sign = time.monotonic()

    def put(self, thing):
        """Add a thing; waits for room as long as the other side is open.

        :raises Closed: nobody will take it any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._things) < self.capacity)
            if self._closed:
                raise Closed()
            self._things.append(thing)
            self._last_sign = time.monotonic()
            self._changed.notify_all()

    def get(self, timeout=None):
        """Take the oldest thing.

        :param timeout: seconds; None waits while there are signs of life at least every ``patience`` seconds.
        :raises ReaderFailure: another thread failed (at once, whatever is still in the channel).
        :raises ReaderTimeout: the deadline passed.
        :raises Interrupted: nothing is there and :meth:`interrupt` was called.
        :raises Closed: the channel was closed.
        """
        with self._changed:
            began = time.monotonic()
            while not self._things or self._failure is not None or self._closed:
                if self._failure is not None:
                    raise ReaderFailure(self._failure)
                if self._closed:
                    raise Closed()
                if self._interrupted:
                    raise Interrupted('The waiting for the reader was interrupted.')
                remaining = self._remaining(began, timeout)
                if remaining is not None and remaining <= 0:
                    raise ReaderTimeout(
                        f'No batch within {self.patience if timeout is None else timeout:.3g} s; the reader is '
                        f'{self._doing} since {time.monotonic() - self._last_sign:.1f} s.'
                    )
                self._changed.wait(remaining)
            thing = self._things.popleft()
            self._changed.notify_all()
            return thing

    def _remaining(self, began, timeout):
        if timeout is not None:
            return began + timeout - time.monotonic()
        if self.patience is None:
            return None
        return max(began, self._last_sign) + self.patience - time.monotonic()

    def alive(self, doing):
        """Give a sign of life and say what is being done.

        :raises Closed: the work is no longer wanted.
        """
        with self._changed:
            if self._closed:
                raise Closed()
            self._doing = doing
            self._last_sign = time.monotonic()

    def fail(self, text):
        """Make every ``get`` from now on raise :class:`ReaderFailure`; the first failure wins."""
        with self._changed:
            if self._failure is None:
                self._failure = text
            self._changed.notify_all()

    def interrupt(self):
        """Make every ``get`` that would have to wait raise :class:`Interrupted`. A signal handler may call
        this: it needs no lock that the interrupted thread could hold.
        """
        with self._changed:  # re-entrant
            self._interrupted = True
            self._changed.notify_all()

    def close(self):
        """Wake everybody; what is still in the channel is dropped."""
        with self._changed:
            self._closed = True
            self._things.clear()
            self._changed.notify_all()

    @property
    def failure(self):
        """Text of the failure, or None."""
        return self._failure

    def qsize(self):
        """Number of things waiting."""
        with self._changed:
            return len(self._things)
