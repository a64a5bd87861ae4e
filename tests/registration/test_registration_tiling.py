"""Tiles cover a volume once and leave no seam."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.network.builder import build
from functions.network.description import UNET1
from functions.registration.tiling import axis_spans, choose_tiles
from functions.setting.errors import InputError
from functions.tf_utils.backend import tf


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(14, 40))
def test_spans_cover_an_axis_once_with_enough_margin(k, t):
    size, tile = 8 * k + 5, 8 * t + 5
    margin, phase = UNET1.receptive_margin(), UNET1.phase
    spans = axis_spans(size, min(tile, size), margin, phase)
    covered = np.zeros(size, int)
    for span in spans:
        covered[span.keep_start:span.keep_stop] += 1
        assert span.start % phase == 0 and 0 <= span.start and span.stop <= size
        assert span.start == 0 or span.keep_start - span.start >= margin[0]
        assert span.stop == size or span.stop - span.keep_stop >= margin[1]
    assert (covered == 1).all()


def test_tile_inside_its_margins_is_refused():
    with pytest.raises(InputError, match='receptive margins'):
        axis_spans(205, 69, UNET1.receptive_margin(), UNET1.phase)


def test_too_little_memory_is_refused_with_the_numbers():
    with pytest.raises(InputError, match='MaximumMemory'):
        choose_tiles(UNET1, (205, 205, 205), 1e6)


def test_tiles_respect_the_memory():
    shape = (301, 221, 285)
    tiles = choose_tiles(UNET1, shape, 1.5e9)
    assert len(tiles) > 1
    for spans in tiles:
        assert UNET1.peak_bytes([span.stop - span.start for span in spans]) <= 1.5e9
    volume = sum(np.prod([span.keep_stop - span.keep_start for span in spans]) for spans in tiles)
    assert volume == np.prod(shape)


def test_tiled_equals_whole():
    shape = (21, 29, 165)
    images = np.random.RandomState(0).uniform(-1000, 400, (1,) + shape + (2,)).astype(np.float32)
    with tf.Graph().as_default():
        placeholder = tf.placeholder(tf.float32, [1, None, None, None, 2])
        dvf = build(UNET1, placeholder, False).dvf
        with tf.Session() as session:
            tf.set_random_seed(0)
            session.run(tf.global_variables_initializer())
            whole = session.run(dvf, {placeholder: images})[0]
            tiled = np.full_like(whole, np.nan)
            memory = UNET1.peak_bytes((21, 29, 125))
            tiles = choose_tiles(UNET1, shape, memory)
            assert len(tiles) > 1
            for spans in tiles:
                window = (slice(None),) + tuple(slice(s.start, s.stop) for s in spans)
                output = session.run(dvf, {placeholder: images[window]})[0]
                kept = tuple(slice(s.keep_start, s.keep_stop) for s in spans)
                tiled[kept] = output[tuple(slice(s.keep_start - s.start, s.keep_stop - s.start) for s in spans)]
    np.testing.assert_allclose(tiled, whole, atol=1e-4 * max(1., np.abs(whole).max() / 100.))
