"""What is served while a chunk is still being read: whole images, and the lead-in of a training."""

import json
import threading

import numpy as np
import pytest
from reading_fakes import a_setting, im_infos, make_item, same_batch
from scipy import stats

from functions.reading.chunk_image import Images
from functions.reading.train_queue import TrainingQueue

WAIT_S = 60


def leading(**changes):
    return a_setting(LeadIn=True, **changes)


def direct(setting, n=7, **more):
    return Images(setting, im_info_list_full=im_infos(n), make_item=make_item, **more)


def batches_of(setting, count, n=7, **more):
    with TrainingQueue(setting, im_info_list_full=im_infos(n), make_item=make_item, **more) as queue:
        return [queue.get(WAIT_S) for _ in range(count)]


class Gate:
    """Makes items; from the ``closed_at``-th on only after ``open`` was called."""

    def __init__(self, closed_at):
        self.closed_at, self.count = closed_at, 0
        self._open = threading.Event()

    def __call__(self, setting, im_info, write=None):
        self.count += 1
        if self.count >= self.closed_at:
            assert self._open.wait(WAIT_S), 'a batch waited for an image that it does not need'
        return make_item(setting, im_info)

    def open(self):
        self._open.set()


@pytest.mark.parametrize('setting', [leading(), a_setting(FullImage=True, NetworkTraining={'BatchSize': 1})])
def test_the_first_batch_needs_the_first_image_only(setting):
    gate = Gate(closed_at=2)
    with TrainingQueue(setting, im_info_list_full=im_infos(7), make_item=gate) as queue:
        batch = queue.get(WAIT_S)
        gate.open()
        rest = [queue.get(WAIT_S) for _ in range(12)]
    reader = direct(setting, lead_in=True)
    assert all(same_batch(one, reader.next_batch()) for one in [batch] + rest)


def test_a_batch_of_whole_images_waits_for_its_own_images_only():
    setting = a_setting(FullImage=True, NetworkTraining={'BatchSize': 2})
    gate = Gate(closed_at=3)
    with TrainingQueue(setting, im_info_list_full=im_infos(7), make_item=gate) as queue:
        assert same_batch(queue.get(WAIT_S), direct(setting).next_batch())
        gate.open()


def test_the_chunk_after_the_lead_in_is_the_documented_one():
    batches = batches_of(leading(), 15)
    in_lead = [i for i, batch in enumerate(batches) if batch.position.get('lead_in')]
    first = in_lead[-1] + 2  # the batch that ends the lead-in points at the chunk itself
    plain = direct(a_setting())
    assert all(same_batch(batch, plain.next_batch()) for batch in batches[first:])
    assert batches[first].position['semi_epoch'] == 0 and first == 5


def test_the_lead_in_reads_nothing_twice():
    made = []

    def maker(setting, im_info, write=None):
        made.append(im_info['cn'])
        return make_item(setting, im_info)

    reader = Images(leading(), im_info_list_full=im_infos(7), make_item=maker, lead_in=True)
    while reader.semi_epoch == 0:
        reader.next_batch()
        if reader.chunk == 1:
            break
    assert made[:3] == sorted(set(made[:3]), key=made.index) and len(made) == 6
    assert not reader.loader._kept


def test_the_lead_in_is_balanced_exactly_and_image_by_image():
    reader = direct(leading(ClassBalanced=[2, 4, 7], NetworkTraining={'SamplesPerImage': 8}), lead_in=True)
    reader.fill()
    rows = reader._filled.rows
    assert np.bincount(rows[:, 2]).tolist() == [8, 8, 8]  # round(8 * 3 / 3), not 3 times round(8 / 3)
    assert rows[:, 1].tolist() == sorted(rows[:, 1]) and np.bincount(rows[:, 1]).max() <= 9
    for flat, place, number in rows:
        vector = reader._filled.held[place].dvf.reshape(-1, 3)[flat]
        assert np.searchsorted([2, 4], np.abs(vector).max(), side='right') == number


def test_what_an_image_lacks_the_next_one_gives():
    def maker(setting, im_info, write=None):
        item = make_item(setting, im_info)
        if len(seen) < 2:
            item.dvf[...] = 0
        seen.append(im_info['cn'])
        return item

    seen = []
    reader = Images(leading(), im_info_list_full=im_infos(3), make_item=maker, lead_in=True)
    reader.fill()
    counts = np.zeros((3, 2), int)
    np.add.at(counts, (reader._filled.rows[:, 1], reader._filled.rows[:, 2]), 1)
    assert counts.tolist() == [[4, 0], [4, 0], [4, 12]]


def test_no_sample_in_the_lead_in_is_no_end(caplog):
    def maker(setting, im_info, write=None):
        item = make_item(setting, im_info)
        item.mask[...] = im_info['cn'] == 4
        return item

    # The chunk of the one item that has centres is the last; the first chunk is refused as it always was.
    setting = leading(Randomness=False, NetworkTraining={'NumberOfImagesPerChunk': 4, 'SamplesPerImage': 1})
    with TrainingQueue(setting, im_info_list_full=im_infos(4), make_item=maker) as queue:
        names = queue.get(WAIT_S).items
    assert all('/cn4/' in name for name in names)


def test_going_on_within_the_lead_in_and_after_it():
    batches = batches_of(leading(), 16)
    for stop in range(7):
        position = json.loads(json.dumps(batches[stop].position))
        again = batches_of(leading(), 6, position=position)
        assert all(same_batch(a, b) for a, b in zip(again, batches[stop + 1 :]))
        reader = direct(leading(), position=position)
        assert reader.position == position
        assert all(same_batch(reader.next_batch(), b) for b in batches[stop + 1 : stop + 5])


def test_only_patches_of_a_training_have_a_lead_in():
    validation = direct(leading(), train_mode='Validation', lead_in=True)
    assert not validation.lead_in and not direct(leading(FullImage=True), lead_in=True).lead_in
    assert not direct(a_setting(), lead_in=True).lead_in and not direct(leading()).lead_in


@pytest.mark.parametrize('lead_in', [False, True])
def test_no_centre_is_preferred_over_many_seeds(lead_in):
    shape, items = (9, 10, 9), {}
    hits = np.zeros((3, int(np.prod(shape))), int)

    def maker(setting, im_info, write=None):
        return items.setdefault(im_info['cn'], make_item(setting, dict(im_info, shape=shape)))

    n_seeds = 400
    for seed in range(1, n_seeds + 1):
        setting = leading(
            Margin=2, Randomness=False, ClassBalanced=[5, 7], NetworkTraining={'Seed': seed, 'SamplesPerImage': 40}
        )
        reader = Images(setting, im_info_list_full=im_infos(3), make_item=maker, lead_in=lead_in)
        reader.fill()
        drawn = reader._filled
        assert np.bincount(drawn.rows[:, 2]).tolist() == [60, 60]
        np.add.at(hits, (drawn.rows[:, 1], drawn.rows[:, 0]), 1)
    for number in (0, 1):
        per_item = []
        for place in range(3):
            indices = reader.loader._kept[place].indices
            end = np.cumsum(indices.counts)[number]
            per_item.append(hits[place, indices.indices[end - indices.counts[number] : end]])
        # In a chunk all centres of a class are equal, in a lead-in those of one image are.
        for group in per_item if lead_in else [np.concatenate(per_item)]:
            assert group.size > 10 and stats.chisquare(group).pvalue > 1e-4
    assert hits.sum() == n_seeds * 120  # nothing outside the candidates
