"""Class-balanced sampling against a plain voxel-by-voxel statement of the rule."""

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from functions.reading import class_balanced_sampling as sampling
from functions.setting.errors import InputError


def plain_class(vector, limits, rule):
    """The rule in words, one voxel at a time."""
    bands = list(zip([0.0] + list(limits[:-1]), list(limits[:-1]) + [np.inf]))
    for number, (low, high) in enumerate(bands):
        sizes = [max(abs(float(v)) for v in vector)] if rule == 'largest_component' else [abs(float(v)) for v in vector]
        if all(low <= size < high for size in sizes):
            return number
    return None


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(*[st.integers(3, 9)] * 3),
    st.integers(0, 3),
    st.integers(0, 10**6),
    st.sampled_from([[5.0], [2.0, 7.0], [1.5, 4.0, 9.0]]),
    st.sampled_from(['largest_component', 'all_components']),
)
def test_classes_equal_the_plain_rule(shape, margin, seed, limits, rule):
    state = np.random.RandomState(seed)
    # Whole numbers and halves hit the limits themselves.
    dvf = (state.randint(-20, 21, shape + (3,)) / 2).astype(np.float32)
    mask = state.randint(0, 3, shape).astype(np.uint8)  # labels 1 and 2 are both inside
    found = sampling.class_indices(dvf, mask, limits, margin, rule)
    expected = [[] for _ in limits]
    for flat in range(mask.size):
        index = np.unravel_index(flat, shape)
        inside = all(margin <= i < n - margin for i, n in zip(index, shape))
        number = plain_class(dvf[index], limits, rule)
        if inside and mask[index] and number is not None:
            expected[number].append(flat)
    assert found.counts.tolist() == [len(e) for e in expected]
    assert found.indices.tolist() == [flat for e in expected for flat in e]
    assert found.indices.dtype == np.int32


@settings(max_examples=50, deadline=None)
@given(st.tuples(*[st.integers(1, 12)] * 3), st.integers(0, 9), st.integers(0, 99), st.sampled_from([0.0, 0.01, 1.0]))
def test_a_margin_is_halved_until_the_deepest_voxel_keeps_it(shape, margin, seed, share):
    mask = (np.random.RandomState(seed).uniform(size=shape) < share).astype(np.uint8)
    depths = [min(min(i, n - 1 - i) for i, n in zip(index, shape)) for index in np.argwhere(mask)]
    expected = margin
    while expected > max(depths, default=0):
        expected //= 2
    assert sampling.fitting_margin(mask, margin) == expected


def test_the_slabs_do_not_show(monkeypatch):
    state = np.random.RandomState(3)
    dvf = state.uniform(-7, 7, (21, 8, 9, 3)).astype(np.float32)
    whole = sampling.class_indices(dvf, None, [2, 7], 2)
    monkeypatch.setattr(sampling, '_SLAB_BYTES', 1)
    single = sampling.class_indices(dvf, None, [2, 7], 2)
    assert np.array_equal(whole.indices, single.indices) and np.array_equal(whole.counts, single.counts)


def test_every_voxel_has_a_class_by_default_and_39_percent_by_the_published_rule():
    dvf = np.random.RandomState(0).uniform(-7, 7, (30, 30, 30, 3)).astype(np.float32)
    assert sampling.class_indices(dvf, None, [2, 7], 0).indices.size == 27000
    share = sampling.class_indices(dvf, None, [2, 7], 0, 'all_components').indices.size / 27000.0
    assert abs(share - ((2 / 7.0) ** 3 + (5 / 7.0) ** 3)) < 0.02


def test_the_last_band_takes_what_lies_above():
    dvf = np.zeros((3, 3, 3, 3), np.float32)
    dvf[1, 1, 1] = (0, -99, 0)
    found = sampling.class_indices(dvf, None, [2, 7], 0)
    assert found.counts.tolist() == [26, 1] and found.indices[-1] == 13


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(InputError, match=r'\(2, 3, 4\)'):
        sampling.class_indices(np.zeros((3, 3, 3, 3), np.float32), np.ones((2, 3, 4), np.uint8), [2], 0)


def entries(counts_per_item):
    """Class indices whose values say where they come from: 1000 * class + running number."""
    return [
        sampling.ClassIndices(
            np.concatenate([1000 * c + np.arange(n) for c, n in enumerate(counts)]).astype(np.int32),
            np.array(counts, np.int64),
        )
        for counts in counts_per_item
    ]


@pytest.mark.parametrize('replacement', [True, False])
def test_exact_equal_counts_and_the_right_class_and_image(replacement):
    per_item = entries([[50, 3, 7], [0, 40, 9], [5, 0, 60]])
    rows, given_counts = sampling.draw_samples(per_item, 20, np.random.RandomState(1), replacement)
    assert given_counts.tolist() == [20, 20, 20]
    assert np.bincount(rows[:, 2]).tolist() == [20, 20, 20] and rows.dtype == np.int32
    for flat, item, number in rows:
        assert flat // 1000 == number and flat % 1000 < per_item[item].counts[number]
    if not replacement:
        assert len(set(map(tuple, rows.tolist()))) == 60


def test_without_replacement_takes_everything_when_all_is_wanted():
    rows, _ = sampling.draw_samples(entries([[5, 2], [4, 7]]), 9, np.random.RandomState(0), replacement=False)
    assert sorted(rows[rows[:, 2] == 0][:, :2].tolist()) == sorted(
        [[n, 0] for n in range(5)] + [[n, 1] for n in range(4)]
    )
    assert len(set(map(tuple, rows.tolist()))) == 18


@pytest.mark.once
@pytest.mark.parametrize('replacement', [True, False])
@pytest.mark.parametrize('wanted', [2, 6])
def test_no_centre_is_preferred(replacement, wanted):
    per_item = entries([[3, 1], [5, 0], [2, 9]])
    hits = {}
    n_seeds = 3000
    for seed in range(n_seeds):
        rows, _ = sampling.draw_samples(per_item, wanted, np.random.RandomState(seed), replacement)
        for row in rows.tolist():
            hits[tuple(row)] = hits.get(tuple(row), 0) + 1
    for number in (0, 1):
        seen = [count for row, count in hits.items() if row[2] == number]
        assert len(seen) == 10  # the first and the last candidate included
        assert stats.chisquare(seen).pvalue > 1e-4
    first = [
        np.where(sampling.draw_samples(per_item, 5, np.random.RandomState(seed))[0][:, 2] == 0)[0][0] == 0
        for seed in range(400)
    ]
    assert 130 < sum(first) < 270  # shuffled: the first row is of either class


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.lists(st.integers(0, 80), min_size=1, max_size=5), st.booleans())
def test_shares(wanted, available, compensate):
    share = sampling.share_out(wanted, available, compensate)
    assert np.all(share <= available) and np.all(share >= np.minimum(wanted, available))
    if compensate:
        assert share.sum() == min(wanted * len(available), sum(available))
    else:
        assert share.tolist() == [min(wanted, a) for a in available]


def test_nominal_number_is_rounded_half_to_even():
    assert sampling.wanted_per_class(50, 16, 2) == 400
    assert sampling.wanted_per_class(20, 40, 3) == 267
    assert sampling.wanted_per_class(5, 80, 3) == 133
    assert sampling.wanted_per_class(5, 1, 2) == 2
    assert sampling.wanted_per_class(7, 1, 2) == 4


def test_rounding_never_leaves_a_chunk_without_samples():
    assert sampling.wanted_per_class(1, 1, 2) == sampling.wanted_per_class(1, 1, 3) == 1
    shares = [sampling.lead_in_share(1, image, 3) for image in range(6)]
    assert shares[0] == 1 and min(shares) >= 0 and sum(shares) == sampling.wanted_per_class(1, 6, 3) == 2


def test_a_short_band_is_reported(caplog):
    with caplog.at_level(logging.INFO):
        sampling.report_classes([4, 9], 9, [2, 7], 'chunk 3')
    assert 'chunk 3' in caplog.text and '[0, 2) mm: 4' in caplog.text and '[2, 7] mm: 9' in caplog.text
    assert caplog.records[0].levelno == logging.WARNING
