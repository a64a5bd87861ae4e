"""Signals that end a training in order, and the exit codes of a process that ends so."""

import logging
import signal
import threading

from functions.setting.errors import RegNetError

LOGGER = logging.getLogger(__name__)
NAMES = ('SIGINT', 'SIGTERM', 'SIGUSR1')


class TrainingInterrupted(RegNetError):
    """A signal ended training after a checkpoint was written.

    :ivar exit_code: 128 + the signal's number, as shells have it: 130 Ctrl-C, 143 SIGTERM, 138 SIGUSR1 (on
        Linux).
    """

    def __init__(self, number):
        super().__init__(
            f'Training was interrupted by signal {number}; the checkpoint is written, the same command goes on from it.'
        )
        self.exit_code = 128 + number


class Signals:
    """Context that notes SIGINT, SIGTERM and SIGUSR1 (as SLURM sends before its limit) instead of dying.

    Outside the main thread, where Python allows no handlers, nothing is noted. A second Ctrl-C stops at once.

    :ivar received: number of the signal that came, or None.
    """

    def __init__(self):
        self.received = None
        self._previous = {}
        self._listeners = []

    def tell(self, listener):
        """Have ``listener()`` called when a signal comes (from its handler), or now if one has come."""
        self._listeners.append(listener)
        if self.received is not None:
            listener()

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for name in NAMES:
                number = getattr(signal, name, None)
                if number is not None:
                    self._previous[number] = signal.signal(number, self._note)
        return self

    def _note(self, number, frame):
        del frame
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number
        for listener in self._listeners:
            listener()

    def __exit__(self, *exception):
        for number, handler in self._previous.items():
            signal.signal(number, handler)
