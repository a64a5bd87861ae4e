"""What a command needs of its process before anything heavy is loaded: open streams, memory, readable paths."""

import os
import sys

from .errors import sentence_of
from .operating_system import CLOSED_PIPE, address_space

#: Address space [bytes] that TensorFlow needs with a small network.
LEAST_ADDRESS_SPACE = 4 * 10**9
_REFUSED = 2


class Output:
    """Standard output or error that cannot end the work: after a ``failure`` (OSError) what is printed is dropped."""

    def __init__(self, stream):
        self._stream, self.failure = stream, None

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        """Print ``text`` at once."""
        self._try(self._stream.write, text)
        self.flush()
        return len(text)

    def flush(self):
        """Nothing is held back; kept for those who ask."""
        self._try(self._stream.flush)

    def _try(self, action, *arguments):
        try:
            action(*arguments)
        except OSError as error:
            self.failure = error
            # What the stream still holds, and what libraries print, goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


def prepare():
    """Make the streams of this process safe, and end it with one sentence where it cannot work."""
    # A closed stream is opened on nothing: otherwise the next file takes its number, and libraries print into that.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    problem = _python_problem()
    for name in () if problem else ('stdout', 'stderr'):
        stream = getattr(sys, name) or open(os.devnull, 'w')  # noqa: SIM115 - to the end
        stream.reconfigure(errors='backslashreplace')
        setattr(sys, name, Output(stream))
    problem = problem or _address_space_problem() or _encoding_problem()
    if problem:
        sys.stderr.write(f'{os.path.basename(sys.argv[0])}: {problem}\n')
        sys.exit(_REFUSED)


def _python_problem():
    if (3, 7) <= sys.version_info[:2] != (3, 8):
        return None
    usable = '3.7 (with TensorFlow 1.15) and 3.9 or newer (with current TensorFlow)'
    return f'Python {sys.version.split()[0]} is not supported; accepted: {usable}.'


def _address_space_problem():
    limit = address_space()
    if limit >= LEAST_ADDRESS_SPACE:
        return None
    needed = f'at least {LEAST_ADDRESS_SPACE // 1000} kB are needed; raise it with ulimit -v, or use a control group.'
    return f'this shell limits the address space to {limit // 1000} kB (ulimit -v): {needed}'


def _encoding_problem():
    """Paths that are not text in the encoding of this system: other libraries cannot open them."""
    places = [os.environ.get(name, '') for name in ('REGNET_ROOT', 'REGNET_DATA', 'PWD')] + [__file__]
    for place in sys.argv[1:] + places:
        try:
            place.encode(sys.getfilesystemencoding())
        except UnicodeEncodeError:
            encoding = f'the encoding of this system, {sys.getfilesystemencoding()}'
            return f'{ascii(place)} is not text in {encoding}; set LC_ALL=C.UTF-8 or PYTHONUTF8=1, or rename it.'
    return None


def end(main):
    """The exit code of a command: of ``main``, or 2 where what it printed found no room."""
    # A reader who has seen enough, such as ``head``, is no error: the work is done.
    try:
        code = main()
    except SystemExit as stopped:
        code = stopped.code
    failure = getattr(sys.stdout, 'failure', None)
    if failure is None or failure.errno in CLOSED_PIPE:
        return code
    sys.stderr.write(f'Not everything could be printed: {failure.strerror}. Files that were to be written are.\n')
    return code or _REFUSED


def by_one_sentence(work):
    """Run ``work()``; returns the exit code: 0, or 2 after an error, which is printed as one sentence."""
    try:
        work()
    except Exception as error:
        sentence = sentence_of(error)
        if sentence is None:
            raise
        sys.stderr.write(f'{sentence}\n')
        return _REFUSED
    return 0
