"""One BLAS thread for artificial generation, as the last bits of a matrix product depend on their number."""

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
            _state['limit'] = _controller().limit(limits=1, user_api='blas')
        _state['users'] += 1
    try:
        yield
    finally:
        with _lock:
            _state['users'] -= 1
            if _state['users'] == 0:
                _state['limit'].restore_original_limits()
                _state['limit'] = None
