"""Items: the same from memory and from files, and true to their DVF."""
import numpy as np
import pytest

from functions.artificial_generation.item import get_item, make_item


@pytest.mark.parametrize('dsmooth', [0, 5, 9, 13, 19, 27])
def test_memory_and_files_agree(setting, info, dsmooth):
    info = dict(info, dsmooth=dsmooth)
    in_memory = make_item(setting, info)
    made = get_item(setting, info)
    read = get_item(setting, info)
    for other in (made, read):
        for name in ('im', 'deformed_im', 'dvf', 'mask', 'lung'):
            a, b = getattr(in_memory, name), getattr(other, name)
            assert a.dtype == b.dtype and np.array_equal(a, b), name
    assert read.spacing == (4., 4., 4.)
    assert (read.im.dtype, read.dvf.dtype, read.mask.dtype, read.lung.dtype) == (np.int16, np.float32, np.uint8, np.uint8)
    assert read.dvf.shape == read.im.shape + (3,)
