"""A bounded queue between threads that can be closed, fails at once and never waits forever.

With ``queue.Queue``, closing cannot wake a blocked ``put``, and an exception comes out only after everything before it.
"""

import collections
import threading
import time

from ..setting.errors import RegNetError


class ReaderFailure(RegNetError, RuntimeError):
    """A reading thread failed; the message holds the item and what it met."""


class ReaderTimeout(RegNetError, TimeoutError):
    """Nothing came within the deadline; the message says what the reader was doing."""


class Interrupted(RegNetError):
    """Waiting was ended by :meth:`ClosableQueue.interrupt`."""


class Closed(BaseException):
    """The queue was closed; tells a thread to end. No Exception, so that nothing takes it for a failed item."""


class ClosableQueue:
    """First in, first out, at most ``capacity`` objects; ``get`` gives up after ``patience`` seconds without a sign of
    life (:meth:`alive`), with None only when the queue is closed or fails, for threads that wait for each other.
    """

    def __init__(self, capacity, patience=None):
        self.capacity, self.patience = capacity, patience
        self._waiting, self._changed = collections.deque(), threading.Condition()
        self._closed, self._interrupted, self._failure = False, False, None
        self._doing, self._last_sign = 'starting', time.monotonic()

    def put(self, value):
        """Add an object, waiting for room; raises :class:`Closed` when the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._waiting) < self.capacity)
            if self._closed:
                raise Closed()
            self._waiting.append(value)
            self._last_sign = time.monotonic()
            self._changed.notify_all()

    def get(self, timeout=None):
        """Take the oldest object.

        :param timeout: seconds; None waits while there are signs of life at least every ``patience`` seconds.
        :raises ReaderFailure: another thread failed; raised at once, whatever is still in the queue.
        :raises ReaderTimeout: the deadline passed.
        :raises Interrupted: the queue is empty and :meth:`interrupt` was called.
        :raises Closed: the queue is closed.
        """
        with self._changed:
            began = time.monotonic()
            while self._failure is None and not self._closed and not self._waiting:
                if self._interrupted:
                    raise Interrupted('Waiting for the reader was interrupted.')
                self._changed.wait(self._remaining(began, timeout))
            if self._failure is not None:
                raise ReaderFailure(self._failure)
            if self._closed:
                raise Closed()
            value = self._waiting.popleft()
            self._changed.notify_all()
            return value

    def _remaining(self, began, timeout):
        """Seconds that may still be waited, None for no limit."""
        now = time.monotonic()
        limit, since = (timeout, began) if timeout is not None else (self.patience, max(began, self._last_sign))
        if limit is None:
            return None
        if since + limit <= now:
            silent = now - self._last_sign
            raise ReaderTimeout(f'No batch within {limit:.3g} s; the reader has been {self._doing} for {silent:.1f} s.')
        return since + limit - now

    def alive(self, doing):
        """Give a sign of life and say what is being done; raises :class:`Closed` when it is no longer wanted."""
        with self._changed:
            if self._closed:
                raise Closed()
            self._doing, self._last_sign = doing, time.monotonic()

    def require_open(self):
        """Raise :class:`Closed` when the queue is closed."""
        if self._closed:
            raise Closed()

    def fail(self, text):
        """Make every later ``get`` raise :class:`ReaderFailure`; the first failure is kept."""
        with self._changed:
            self._failure = self._failure or text
            self._changed.notify_all()

    def interrupt(self):
        """Make a ``get`` that would wait raise :class:`Interrupted`; signal handlers may call it (re-entrant lock)."""
        with self._changed:
            self._interrupted = True
            self._changed.notify_all()

    def close(self):
        """Wake every waiting thread and drop what is still in the queue."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def qsize(self):
        """Number of objects in the queue."""
        return len(self._waiting)
