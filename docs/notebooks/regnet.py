"""In a checkout, the package ``regnet`` of the notebooks beside this file is the folder ``functions/``."""

import importlib.util
import os
import sys

_REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_SPEC = importlib.util.spec_from_file_location(__name__, os.path.join(_REPOSITORY, 'functions', '__init__.py'))
sys.modules[__name__] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(sys.modules[__name__])
