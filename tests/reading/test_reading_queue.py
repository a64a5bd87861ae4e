"""Queues: the same batches whatever the threads do, loud failures, ends that end."""

import json
import logging
import threading
import weakref

import pytest
from reading_fakes import a_setting, im_infos, make_item, same_batch

from functions.reading import chunk_image, memory_estimate
from functions.reading.chunk_image import Images
from functions.reading.closable_queue import ClosableQueue, Closed, Interrupted, ReaderFailure, ReaderTimeout
from functions.reading.train_queue import BatchQueue, TrainingQueue, training_memory
from functions.reading.validation_set import ValidationSet
from functions.setting.errors import InputError, RegNetError

WAIT_S = 60  # far more than anything here takes; only a hang reaches it


def queue(setting=None, n=7, **more):
    more.setdefault('make_item', make_item)
    return TrainingQueue(setting or a_setting(), im_info_list_full=im_infos(n), **more)


def direct(n=7):
    return Images(a_setting(), im_info_list_full=im_infos(n), make_item=make_item)


@pytest.mark.parametrize('n', [3, 7])
def test_the_queue_serves_what_direct_reading_serves(n):
    reader = direct(n)
    with queue(n=n) as batches:
        for _ in range(30):
            assert same_batch(batches.get(WAIT_S), reader.next_batch())


def test_a_restart_goes_on_exactly():
    with queue() as batches:
        undisturbed = [batches.get(WAIT_S) for _ in range(30)]
    for stop in (3, 4, 12):
        with queue(position=json.loads(json.dumps(undisturbed[stop].position))) as batches:
            assert all(same_batch(batches.get(WAIT_S), batch) for batch in undisturbed[stop + 1 : stop + 12])


def test_a_failure_reaches_the_consumer_with_item_and_traceback():
    made = []

    def maker(setting, im_info, write=None):
        made.append(im_info['cn'])
        if len(made) == 3:
            raise OSError('no space left for the third one')
        return make_item(setting, im_info)

    with queue(make_item=maker) as batches:
        with pytest.raises(ReaderFailure) as caught:
            batches.get(WAIT_S)
        text = str(caught.value)
        assert f'Phantom_4D/type0/cn{made[-1]}/' in text and 'no space left for the third one' in text
        assert 'Traceback' in text and 'in maker' in text and isinstance(caught.value, RegNetError)
        with pytest.raises(ReaderFailure):  # and again: it does not turn into waiting
            batches.get(WAIT_S)
    assert not any(thread.is_alive() for thread in batches._threads)


def test_a_failure_of_a_later_chunk_does_not_wait_behind_the_queue():
    reached = threading.Event()

    def maker(setting, im_info, write=None):
        if len(done) == 3:
            reached.set()
            raise MemoryError('too much')
        done.append(1)
        return make_item(setting, im_info)

    done = []
    with queue(make_item=maker) as batches:
        assert reached.wait(WAIT_S)
        with pytest.raises(ReaderFailure, match='too much'):
            for _ in range(5):  # the first chunk has five batches
                batches.get(WAIT_S)
            batches.get(WAIT_S)


def test_close_ends_with_a_full_queue():
    batches = queue()
    with batches._batches._changed:
        assert batches._batches._changed.wait_for(lambda: len(batches._batches._waiting) == 4, WAIT_S)
    batches.close(WAIT_S)
    batches.close(WAIT_S)
    assert not any(thread.is_alive() for thread in batches._threads)
    with pytest.raises(InputError, match='closed'):
        batches.get(WAIT_S)


def test_close_while_an_item_is_being_made():
    inside, leave = threading.Event(), threading.Event()

    def maker(setting, im_info, write=None):
        inside.set()
        assert leave.wait(WAIT_S)
        return make_item(setting, im_info)

    batches = queue(make_item=maker)
    assert inside.wait(WAIT_S)
    with pytest.raises(ReaderTimeout, match='reading Phantom_4D/type0/cn'):
        batches.get(timeout=0)
    closer = threading.Thread(target=batches.close)
    closer.start()
    leave.set()
    closer.join(WAIT_S)
    assert not closer.is_alive() and not any(thread.is_alive() for thread in batches._threads)


def test_never_more_than_two_chunks_in_memory():
    alive, others = weakref.WeakSet(), []

    def maker(setting, im_info, write=None):
        others.append(len(alive))
        return make_item(setting, im_info)

    reader = Images(a_setting(), 'Thread', im_info_list_full=im_infos(7), make_item=maker)
    original = reader.loader.parts

    def parts(*arguments, watch):
        for chunk in original(*arguments, watch=watch):
            alive.add(chunk)
            yield chunk
            del chunk

    reader.loader.parts = parts
    with BatchQueue(reader) as batches:
        for _ in range(40):
            batches.get(WAIT_S)
    # While an image is read for one chunk, at most one other chunk exists.
    assert max(others) == 1 and len(others) > 12


def test_a_failure_overtakes_what_waits():
    channel = ClosableQueue(2)
    channel.put('ready')
    channel.fail('the first failure')
    channel.fail('its consequence')
    with pytest.raises(ReaderFailure, match='the first failure'):
        channel.get()


def test_patience_counts_from_the_last_sign_of_life():
    channel = ClosableQueue(1, patience=0)
    channel.alive('thinking')
    with pytest.raises(ReaderTimeout, match='thinking'):
        channel.get()
    channel.put(5)
    assert channel.get() == 5
    channel.close()
    with pytest.raises(Closed):
        channel.put(6)
    with pytest.raises(Closed):
        channel.alive('more')


def test_interrupting_ends_the_waiting_but_not_what_is_ready():
    inside, leave = threading.Event(), threading.Event()

    def maker(setting, im_info, write=None):
        inside.set()
        assert leave.wait(WAIT_S)
        return make_item(setting, im_info)

    with queue(make_item=maker) as batches:
        assert inside.wait(WAIT_S)
        threading.Thread(target=batches.interrupt).start()
        with pytest.raises(Interrupted):
            batches.get()
        leave.set()
        with batches._batches._changed:
            assert batches._batches._changed.wait_for(lambda: batches._batches._waiting, WAIT_S)
        assert same_batch(batches.get(), direct().next_batch())


def test_a_later_semi_epoch_to_begin_with():
    reader = Images(a_setting(), im_info_list_full=im_infos(7), make_item=make_item, semi_epoch=3)
    with queue(semi_epoch=3) as batches:
        assert same_batch(batches.get(WAIT_S), reader.next_batch())


def test_the_memory_of_a_training_is_counted_beside_that_of_validation(monkeypatch):
    monkeypatch.setattr(chunk_image, 'image_size_from_header', lambda setting, im_info: (100, 100, 100))
    needed = training_memory(a_setting(), im_info_list_full=im_infos(7))
    reader = Images(a_setting(), im_info_list_full=im_infos(7))
    assert needed == reader.memory_needed(2, 7).total > 0
    alone = Images(a_setting(), train_mode='Validation', im_info_list_full=im_infos(7))
    monkeypatch.setattr(memory_estimate, 'available_memory', lambda: alone.memory_needed(2, 6).total + needed)
    ValidationSet(a_setting(), im_info_list_full=im_infos(7), memory_beside=needed)
    with pytest.raises(InputError, match='Validation needs'):
        ValidationSet(a_setting(), im_info_list_full=im_infos(7), memory_beside=needed + 1)


def test_memory_is_refused_before_a_thread_starts(monkeypatch):
    monkeypatch.setattr(memory_estimate, 'available_memory', lambda: 10**6)
    monkeypatch.setattr(chunk_image, 'image_size_from_header', lambda setting, im_info: (100, 100, 100))
    before = threading.active_count()
    with pytest.raises(InputError, match='MaxQueueSize=4'):
        queue(make_item=None)
    assert threading.active_count() == before


def test_validation_covers_all_chunks_and_every_pass_is_the_same():
    made = []

    def maker(setting, im_info, write=None):
        made.append(im_info['cn'])
        return make_item(setting, im_info)

    validation = ValidationSet(a_setting(), im_info_list_full=im_infos(5), make_item=maker)
    first, second = list(validation.batches()), list(validation.batches())
    assert [batch.chunk for batch in first] == [0] * 3 + [1] * 3 + [2] * 2
    assert all(batch.semi_epoch == 0 for batch in first)
    assert len(first) == len(second) and all(same_batch(a, b) for a, b in zip(first, second))
    assert set(made) == {1, 2, 3, 4, 5}


def test_a_short_last_chunk_of_validation_is_never_without_samples():
    setting = a_setting(ClassBalanced=[2, 4, 7], NetworkValidation={'SamplesPerImage': 1})
    batches = list(ValidationSet(setting, im_info_list_full=im_infos(3), make_item=make_item).batches())
    assert [(batch.chunk, len(batch.items)) for batch in batches] == [(0, 3), (1, 3)]


def test_validation_of_one_chunk_is_read_once_and_may_be_left_early():
    made = []

    def maker(setting, im_info, write=None):
        made.append(im_info['cn'])
        return make_item(setting, im_info)

    validation = ValidationSet(a_setting(), im_info_list_full=im_infos(2), make_item=maker)
    before = threading.active_count()
    passing = validation.batches()
    next(passing)
    passing.close()
    assert threading.active_count() == before
    assert len(list(validation.batches())) == 3 and len(made) == 2


def test_the_log_of_chunks(tmp_path):
    address = tmp_path / 'Model' / 'log_im.txt'
    with queue(log_address=str(address)) as batches:
        batches.get(WAIT_S)
    text = address.read_text()
    assert 'Thread: stage=4, SemiEpoch=0, Chunk=0' in text and 'samples per class: 12 12' in text


def test_short_bands_are_warned_about_in_training(caplog):
    setting = a_setting(ClassBalanced=[2, 7, 9], NetworkTraining={'SamplesPerImage': 9})
    with caplog.at_level(logging.WARNING):
        Images(setting, im_info_list_full=im_infos(2), make_item=make_item).fill()
    assert '[7, 9] mm: 0' in caplog.text
    full = Images(dict(setting, CompensateShortClasses=True), im_info_list_full=im_infos(2), make_item=make_item)
    assert len(full.next_batch(100).items) == 18
