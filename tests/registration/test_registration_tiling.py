"""Tiles cover a volume once and leave no seam."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.network.description import network_description
from functions.registration.tiling import axis_spans, choose_tiles, padded_shape, predict_in_tiles
from functions.setting.errors import InputError
from tests.network.seeded_weights import SeededNetwork

UNET1 = network_description('unet1')


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(['unet1', 'crop4', 'decimation4']), st.integers(0, 60), st.integers(0, 30))
def test_spans_cover_an_axis_once_and_keep_faithful_voxels(name, larger, tile):
    description = network_description(name)
    tile = (
        description.smallest_valid_size({'unet1': 105, 'crop4': 93, 'decimation4': 97}[name])
        + tile * description.size_unit
    )
    size = tile + larger * description.size_unit
    spans = axis_spans(description, size, tile)
    covered = np.zeros(description.output_size(size), int)
    first, last = description.faithful(tile)
    for span in spans:
        covered[span.keep_start : span.keep_stop] += 1
        assert span.start % description.phase == 0 and span.start >= 0 and span.stop <= size
        assert span.stop - span.start == tile
        assert span.start == 0 or span.keep_start - span.start >= first
        assert span.stop == size or span.keep_stop - 1 - span.start <= last
    assert (covered == 1).all()
    # As few as there can be: between the ends a tile adds its faithful voxels, less at most a phase for
    # alignment.
    assert len(spans) <= 1 + -(-(size - tile) // (last - first + 2 - description.phase))


@pytest.mark.parametrize('name, tile', [('unet1', 93), ('crop4', 85)])
def test_tile_of_which_too_little_is_faithful_is_refused(name, tile):
    with pytest.raises(InputError, match='take at least'):
        axis_spans(network_description(name), 205, tile)


def test_too_little_memory_is_refused_with_the_numbers():
    with pytest.raises(InputError, match='MaximumMemory'):
        choose_tiles(UNET1, (205, 205, 205), 1e6)


def test_so_little_memory_that_almost_all_is_overlap_is_said(caplog):
    few, description = np.zeros((150, 150, 150), np.float32), UNET1
    least = description.peak_bytes([description.smallest_tile()] * 3)

    def answer(images, corner):
        return np.zeros([side - 2 * description.offset for side in images.shape[1:4]] + [3], np.float32)

    shape = padded_shape(description, few.shape)
    with caplog.at_level('WARNING'):
        predict_in_tiles(description, answer, few, few, -1000, description.peak_bytes(shape))
        assert caplog.text == ''
        predict_in_tiles(description, answer, few, few, -1000, 1.01 * least)
    assert 'every voxel is computed' in caplog.text and '--memory' in caplog.text


def test_tiles_respect_the_memory():
    shape = (301, 221, 285)
    tiles = choose_tiles(UNET1, shape, 1.5e9)
    assert len(tiles) > 1
    for spans in tiles:
        assert UNET1.peak_bytes([span.stop - span.start for span in spans]) <= 1.5e9
    volume = sum(np.prod([span.keep_stop - span.keep_start for span in spans]) for spans in tiles)
    assert volume == np.prod(shape)


@pytest.mark.parametrize(
    'name, shape, tile',
    [
        ('unet1', (21, 29, 165), (21, 29, 125)),
        ('crop4', (81, 109, 113), (81, 101, 97)),
        ('decimation4', (113, 85, 113), (105, 85, 97)),
    ],
)
def test_tiled_equals_whole(name, shape, tile):
    images = np.random.RandomState(0).uniform(-1, 1, (1,) + shape + (2,)).astype(np.float32)
    description = network_description(name)
    with SeededNetwork(name) as network:
        whole = network(images)[0]
        tiled = np.full_like(whole, np.nan)
        tiles = choose_tiles(description, shape, description.peak_bytes(tile))
        assert len(tiles) > 1
        for spans in tiles:
            output = network(images[(slice(None),) + tuple(slice(s.start, s.stop) for s in spans)])[0]
            kept = tuple(slice(s.keep_start, s.keep_stop) for s in spans)
            tiled[kept] = output[tuple(slice(s.keep_start - s.start, s.keep_stop - s.start) for s in spans)]
    assert np.abs(whole).max() > 1
    np.testing.assert_allclose(tiled, whole, atol=1e-4)
