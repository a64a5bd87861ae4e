"""The synthetic thorax of the tests of artificial generation, and a setting that finds it."""

from tests.artificial_generation.conftest import setting, thorax

__all__ = ['setting', 'thorax']
