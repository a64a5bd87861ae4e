"""The chunk reader: order, counts, patches, modes and refusals."""

import doctest
import itertools
import json

import numpy as np
import pytest
from reading_fakes import DEFAULT, a_setting, im_infos, make_item, same_batch

from functions.reading import chunk_image, flips, memory_estimate
from functions.reading.chunk_image import Images
from functions.reading.image_items import ItemError, item_name
from functions.reading.reader_options import read_options
from functions.setting.errors import InputError, UnknownNameError


def images(setting=None, n=7, **more):
    return Images(setting or a_setting(), im_info_list_full=im_infos(n), make_item=make_item, **more)


def test_the_example_of_the_documentation_runs():
    names = {'Images': Images, 'setting': a_setting(), 'im_infos': im_infos(7), 'make_item': make_item}
    assert doctest.testmod(chunk_image, extraglobs=names) == (0, 7)


def test_chunks_follow_the_permutation_of_the_semi_epoch():
    reader = images()
    assert reader.number_of_chunks == 3
    infos = im_infos(7)
    for semi_epoch in (0, 1):
        order = np.random.RandomState(semi_epoch).permutation(7)
        for chunk in range(3):
            reader.fill()
            assert (reader.semi_epoch, reader.chunk) == (semi_epoch, chunk)
            expected = {item_name(infos[i]) for i in order[3 * chunk : 3 * chunk + 3]}
            names, sizes = [], []
            while not reader.chunks_completed:
                batch = reader.next_batch()
                names += batch.items
                sizes.append(len(batch.items))
            assert set(names) <= expected
            n_class = int(round(8 * len(expected) / 2.0))
            assert sum(sizes) == 2 * n_class and all(size == 5 for size in sizes[:-1])


def test_without_randomness_the_list_keeps_its_order():
    reader = images(a_setting(Randomness=False))
    assert [reader.order.numbers(s, c) for s in (0, 5) for c in range(3)] == [[0, 1, 2], [3, 4, 5], [6]] * 2


def find(volume, patch):
    """All corners at which ``patch`` occurs in ``volume``."""
    return [
        corner
        for corner in np.ndindex(*[n - p + 1 for n, p in zip(volume.shape, patch.shape)])
        if volume[corner] == patch[0, 0, 0]
        and np.array_equal(volume[tuple(slice(c, c + p) for c, p in zip(corner, patch.shape))], patch)
    ]


def test_every_patch_is_found_in_its_image_and_its_dvf_is_the_centre():
    by_name = {item_name(info): make_item(None, info) for info in im_infos(7)}
    reader = images()
    batch = reader.next_batch(9)
    assert batch.images.shape == (9, 11, 11, 11, 2) and batch.dvf.shape == (9, 5, 5, 5, 3)
    assert batch.weight.shape == (9, 5, 5, 5, 1)
    assert all(array.dtype == np.float32 for array in batch[:3])
    for n, name in enumerate(batch.items):
        item = by_name[name]
        padded = [np.pad(volume, 5, 'constant', constant_values=DEFAULT) for volume in (item.im, item.deformed_im)]
        (corner,) = find(padded[0], batch.images[n, ..., 0])
        assert corner in find(padded[1], batch.images[n, ..., 1])
        assert item.mask[corner] and all(3 <= c < size - 3 for c, size in zip(corner, item.im.shape))
        box = tuple(slice(c - 2, c + 3) for c in corner)
        assert np.array_equal(batch.dvf[n], item.dvf[box])
        assert np.array_equal(batch.weight[n, ..., 0], np.where(item.lung[box], 4, 1))


def test_classes_are_balanced_in_what_is_served():
    reader = images()
    centres = []
    while not reader.chunks_completed:
        centres += [np.abs(dvf[2, 2, 2]).max() for dvf in reader.next_batch().dvf]
    assert len(centres) == 24 and sum(size < 2 for size in centres) == 12


def test_crops_reach_over_the_border_when_the_margin_allows():
    setting = a_setting(R=6, Ry=6, Margin=0, NetworkTraining={'SamplesPerImage': 40})
    batch = images(setting).next_batch(60)
    assert batch.images.shape[1:4] == batch.dvf.shape[1:4] == (13, 13, 13)
    outside = batch.weight[..., 0] == 0
    assert outside.any() and not outside.all()
    assert np.array_equal(outside, batch.images[..., 1] == DEFAULT)
    assert np.all(batch.dvf[outside] == 0)


def test_whole_images():
    setting = a_setting(FullImage=True, SizeUnit=8, SizeOffset=5, NetworkTraining={'BatchSize': 2})
    reader = images(setting)
    batches = [reader.next_batch() for _ in range(5)]
    assert [len(b.items) for b in batches] == [2, 1, 2, 1, 1]
    by_name = {item_name(info): make_item(None, info) for info in im_infos(7)}
    assert sorted(name for b in batches for name in b.items) == sorted(by_name)
    for batch in batches:
        shapes = [by_name[name].im.shape for name in batch.items]
        size = tuple(min(s for s in (5, 13, 21, 29) if s >= max(shape[a] for shape in shapes)) for a in range(3))
        assert batch.images.shape[1:4] == batch.dvf.shape[1:4] == batch.weight.shape[1:4] == size
        for n, name in enumerate(batch.items):
            item = by_name[name]
            before = [(s - k) // 2 for s, k in zip(size, item.im.shape)]
            box = tuple(slice(b, b + k) for b, k in zip(before, item.im.shape))
            assert np.array_equal(batch.images[n][box + (0,)], item.im)
            assert np.array_equal(batch.images[n][box + (1,)], item.deformed_im)
            assert np.array_equal(batch.dvf[n][box], item.dvf)
            assert np.array_equal(batch.weight[n][box + (0,)], np.where(item.lung, 4, 1))
            outside = np.ones(size, bool)
            outside[box] = False
            assert np.all(batch.images[n][outside] == DEFAULT) and np.all(batch.weight[n][outside] == 0)


def test_a_position_goes_on_exactly():
    undisturbed = images()
    batches = [undisturbed.next_batch() for _ in range(25)]
    assert batches[-1].semi_epoch >= 1
    for stop in (0, 4, 9, 13):
        position = json.loads(json.dumps(batches[stop].position))
        again = images(position=position)
        assert again.position == batches[stop].position
        assert all(same_batch(again.next_batch(), batch) for batch in batches[stop + 1 : stop + 12])


def test_a_position_of_another_list_begins_the_semi_epoch_anew(caplog):
    reader = images()
    for _ in range(16):
        position = reader.next_batch().position
    assert position['semi_epoch'] == 1
    other = images(n=8, position=position)
    assert (other.semi_epoch, other.chunk, other.sample) == (1, 0, 0) and 'starts again' in caplog.text
    with pytest.raises(InputError, match='position'):
        images(position={'semi_epoch': 1})


def test_another_seed_gives_other_samples_and_the_same_seed_the_same():
    seeded = a_setting(NetworkTraining={'Seed': 5})
    assert same_batch(images(seeded).next_batch(), images(seeded).next_batch())
    assert not np.array_equal(images(seeded).next_batch().dvf, images().next_batch().dvf)


def test_flip_augmentation_by_semi_epoch_in_training_only():
    plain, turned = images(semi_epoch=1), images(a_setting(Augmentation=True), semi_epoch=1)
    a, b = plain.next_batch(), turned.next_batch()
    assert np.array_equal(b.images, a.images[:, ::-1]) and np.array_equal(b.dvf, a.dvf[:, ::-1] * [1, 1, -1])
    assert same_batch(
        images(train_mode='Validation', semi_epoch=1).next_batch(),
        images(a_setting(Augmentation=True), train_mode='Validation', semi_epoch=1).next_batch(),
    )


def test_flips_drawn_for_every_batch_are_the_same_again_and_change_nothing_else():
    plain, turned, again = images(), images(a_setting(Augmentation='batch')), images(a_setting(Augmentation='batch'))
    seen = set()
    for _ in range(6):
        a, b, c = [reader.next_batch() for reader in (plain, turned, again)]
        assert same_batch(b, c)
        axes = [w for n in range(4) for w in itertools.combinations((1, 2, 3), n)]
        (found,) = [w for w in axes if np.array_equal(b.images, flips.flip(a.images, a.dvf, a.weight, w)[0])]
        assert np.array_equal(b.dvf, flips.flip(a.images, a.dvf, a.weight, found)[1])
        seen.add(found)
    assert len(seen) > 2


def test_first_epoch_mode_makes_everything_and_keeps_nothing():
    made = []

    def maker(setting, im_info, write=None):
        made.append((im_info['cn'], write))
        return make_item(setting, im_info)

    reader = Images(a_setting(), '1stEpoch', im_info_list_full=im_infos(7), make_item=maker)
    while reader.semi_epoch == 0:
        reader.fill()
        reader.go_to_next_chunk()
    assert sorted(made) == [(cn, None) for cn in range(1, 8)] and not reader.filled
    with pytest.raises(InputError, match='1stEpoch'):
        reader.next_batch()


def test_on_the_fly_asks_for_nothing_to_be_written():
    asked = []

    def maker(setting, im_info, write=None):
        asked.append(write)
        return make_item(setting, im_info)

    for mode in ('Training', 'Validation'):
        Images(a_setting(OnTheFly=True), train_mode=mode, im_info_list_full=im_infos(2), make_item=maker).fill()
    assert asked == [False, False, None, None]


def test_a_single_chunk_is_read_once():
    made = []

    def maker(setting, im_info, write=None):
        made.append(im_info['cn'])
        return make_item(setting, im_info)

    reader = Images(a_setting(), im_info_list_full=im_infos(3), make_item=maker)
    first = reader.next_batch()
    while reader.semi_epoch < 2:
        last = reader.next_batch()
    assert len(made) == 3
    fresh = Images(a_setting(), im_info_list_full=im_infos(3), make_item=make_item, semi_epoch=2)
    assert same_batch(fresh.next_batch(), last) and not np.array_equal(first.dvf, last.dvf)


def test_start_chunk_is_for_the_first_training_semi_epoch():
    setting = a_setting(start_chunk=2)
    assert images(setting).chunk == 2 and images(setting, train_mode='Validation').chunk == 0
    assert images(setting, semi_epoch=1).chunk == 0
    with pytest.raises(InputError, match='start_chunk'):
        images(a_setting(start_chunk=3))


def test_an_item_that_fails_is_named():
    def maker(setting, im_info, write=None):
        raise ValueError('half a file')

    with pytest.raises(ItemError, match=r'Phantom_4D/type0/cn\d/.*half a file'):
        Images(a_setting(), im_info_list_full=im_infos(2), make_item=maker).fill()


def test_an_item_of_uneven_sizes_is_named():
    def maker(setting, im_info, write=None):
        return make_item(setting, im_info)._replace(mask=np.ones((4, 4, 4), np.uint8))

    with pytest.raises(ItemError, match=r'cn\d.*mask has the size \(4, 4, 4\)'):
        Images(a_setting(), im_info_list_full=im_infos(2), make_item=maker).fill()


def test_a_slab_thinner_than_two_margins_is_sampled_beside_whole_images(caplog):
    caplog.set_level('INFO')
    infos = [dict(info, shape=shape) for info, shape in zip(im_infos(2), [(24, 22, 26), (9, 22, 26)])]
    setting = a_setting(Margin=8, NetworkTraining={'SamplesPerImage': 50})
    batch = Images(setting, im_info_list_full=infos, make_item=make_item).next_batch(100)
    assert {name: batch.items.count(name) > 10 for name in set(batch.items)} == {item_name(i): True for i in infos}
    assert caplog.text.count('Margin 8 leaves no patch centre, 4 is used') == 1
    slab, whole = ([number for number, name in enumerate(batch.items) if name == item_name(i)] for i in infos[::-1])
    # Patches of 11 voxels around the only plane that is 4 voxels deep: one plane lies outside at each end.
    assert (batch.images[slab][:, [0, -1]] == DEFAULT).all()
    assert (batch.images[slab][:, 1:-1, 1:-1, 1:-1] != DEFAULT).all() and (batch.images[whole] != DEFAULT).all()


def test_no_centre_at_all_says_what_to_change():
    def maker(setting, im_info, write=None):
        item = make_item(setting, im_info)
        return item._replace(lung=np.zeros_like(item.lung))

    with pytest.raises(InputError, match="mask is empty .SampleInside: 'lung'"):
        Images(a_setting(SampleInside='lung'), im_info_list_full=im_infos(2), make_item=maker).fill()


def test_settings_are_refused_together():
    setting = a_setting(
        R=1, Ry='two', ClassBalanced=[7, 2], FullImage='yes', ClassRule='none', NetworkTraining={'BatchSize': 0}
    )
    with pytest.raises(InputError) as caught:
        read_options(setting, 'Training')
    for word in ('Ry', 'ClassBalanced', 'FullImage', 'ClassRule', 'BatchSize'):
        assert word in str(caught.value)
    misspelt = a_setting(Margn=3, NetworkTraining={'SamplePerImage': 8})
    del misspelt['NetworkTraining']['SamplesPerImage']
    with pytest.raises(InputError, match="SamplePerImage is.*'SamplesPerImage'.*Margn is.*'Margin'.*missing"):
        read_options(misspelt, 'Training')
    with pytest.raises(InputError, match='R is missing.*'):
        read_options({'stage': 4, 'NetworkTraining': a_setting()['NetworkTraining']}, 'Training')
    with pytest.raises(InputError, match='LungWeight is inf'):
        read_options(a_setting(NetworkTraining={'LungWeight': float('inf')}), 'Training')
    with pytest.raises(InputError, match='smaller than Ry'):
        read_options(a_setting(R=1), 'Training')
    with pytest.raises(UnknownNameError):
        images(class_mode='direct')
    with pytest.raises(UnknownNameError):
        images(train_mode='Testing')
    with pytest.raises(InputError, match='empty'):
        images(n=0)


def test_memory_is_known_before_reading_and_refused_with_the_numbers(monkeypatch):
    sizes = [(100, 100, 100)] * 5 + [(200, 100, 100)]
    options = read_options(a_setting(R=50, Ry=10, NetworkTraining={'BatchSize': 15, 'MaxQueueSize': 20}), 'Training')
    needed = memory_estimate.estimate(sizes, options)
    assert needed.chunk == (2 + 1 + 1) * 10**6 * 17 and needed.chunks == 2 * needed.chunk
    assert needed.batch == 15 * 4 * (2 * 101**3 + 4 * 21**3) and needed.batches == 23 * needed.batch
    memory_estimate.require_memory(needed, needed.total, options)
    with pytest.raises(InputError, match=rf'{needed.total / 2.0**30:.3f} GiB but'):
        memory_estimate.require_memory(needed, needed.total - 1, options)

    def never(setting, im_info, write=None):
        raise AssertionError('read before the memory was checked')

    monkeypatch.setattr(chunk_image, 'generated_item', never)
    monkeypatch.setattr(chunk_image, 'image_size_from_header', lambda setting, im_info: (30000, 300, 300))
    reader = Images(a_setting(), im_info_list_full=im_infos(7))
    with pytest.raises(InputError, match='NumberOfImagesPerChunk=3'):
        reader.fill()


def test_held_arrays_take_what_was_estimated():
    reader = images()
    reader.fill()
    held = sum(item.pair.nbytes + item.dvf.nbytes + item.lung.nbytes for item in reader._filled.held)
    sizes = [item.dvf.shape[:3] for item in reader._filled.held]
    assert held == memory_estimate.estimate(sizes, reader.options, 1).chunk
    batch = reader.next_batch()
    assert sum(array.nbytes for array in batch[:3]) == memory_estimate.estimate(sizes, reader.options, 1).batch


def test_free_memory_is_plausible():
    assert memory_estimate.available_memory() is None or 2**20 < memory_estimate.available_memory() < 2**50
