"""Signals that end a training or a submission cleanly, and the exit codes that report them."""

import signal
import threading

from .errors import RegNetError

NAMES = ('SIGINT', 'SIGTERM', 'SIGUSR1', 'SIGBREAK')


class TrainingInterrupted(RegNetError):
    """A signal ended training after a checkpoint was written.

    :ivar exit_code: 128 + the signal's number, as in shells: 130 Ctrl-C, 143 SIGTERM, 138 SIGUSR1 (on Linux).
    """

    def __init__(self, number):
        super().__init__(
            f'Interrupted by signal {number}. A checkpoint was written; the same command continues training.'
        )
        self.exit_code = 128 + number


class Signals:
    """Context that records SIGINT, SIGTERM, SIGUSR1 (SLURM's warning of its time limit) and, on Windows, SIGBREAK.

    The process goes on.

    Outside the main thread Python allows no handlers, and nothing is recorded. A second Ctrl-C stops at once.

    :ivar received: number of the signal received, or None.
    """

    def __init__(self):
        self.received = None
        self._previous = {}
        self._listeners = []

    def tell(self, listener):
        """Call ``listener()`` when a signal arrives (in its handler), or now if one already has."""
        self._listeners.append(listener)
        if self.received is not None:
            listener()

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in [getattr(signal, name) for name in NAMES if hasattr(signal, name)]:
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
