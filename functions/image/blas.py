"""One BLAS thread: the last bits of a product depend on their number, and beside other threads more only cost time."""

import contextlib
import functools
import threading

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_state = {'limit': None, 'users': 0}
_controller = functools.lru_cache(maxsize=1)(ThreadpoolController)


@contextlib.contextmanager
def one_blas_thread():
    """All products of the process use one BLAS thread until the last such block is left; blocks may nest or overlap."""
    with _lock:
        if _state['users'] == 0:
            _take_control()
            _state['limit'] = _controller().limit(limits=1, user_api='blas')
        _state['users'] += 1
    try:
        yield
    finally:
        with _lock:
            _state['users'] -= 1
            if _state['users'] == 0:
                _take_control()
                _state['limit'].restore_original_limits()
                _state['limit'] = None


def _take_control():
    # Since threadpoolctl 3.8 only the first thread that sets a limit may change it; for others nothing happens.
    for library in _controller().lib_controllers:
        if hasattr(library, 'clear_controlling_thread'):
            library.clear_controlling_thread(force=True)
