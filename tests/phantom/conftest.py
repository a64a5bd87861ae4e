"""One small patient, made once for all tests of the phantom."""

import pytest

from functions.phantom.case import Case

SMALL = {'Size': [96, 80, 88], 'Landmarks': 60, 'LandmarksAllPhases': 20}


@pytest.fixture(scope='session')
def small_case():
    return Case(1, SMALL)


@pytest.fixture(scope='session')
def small_volumes(small_case):
    """Noise-free volumes of T00 and T50."""
    return {type_im: small_case.volumes(type_im) for type_im in (0, 5)}
