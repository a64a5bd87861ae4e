"""One BLAS thread for the matrix products of artificial generation.

With several threads, the last bits of a product depend on their number, and an item must not. Within the
``with`` block, products in any thread of the process use one BLAS thread; the former number comes back when the
last block is left.
"""

import contextlib
import threading

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_state = {'controller': None, 'limit': None, 'users': 0}


@contextlib.contextmanager
def one_blas_thread():
    """Context manager; may be nested and used from several threads at once."""
    with _lock:
        if _state['users'] == 0:
            if _state['controller'] is None:
                _state['controller'] = ThreadpoolController()
            _state['limit'] = _state['controller'].limit(limits=1, user_api='blas')
        _state['users'] += 1
    try:
        yield
    finally:
        with _lock:
            _state['users'] -= 1
            if _state['users'] == 0:
                _state['limit'].restore_original_limits()
                _state['limit'] = None
