"""Finished work is recognised, damaged or foreign work is not."""

import json
import os

import numpy as np
import pytest
import SimpleITK as sitk

from functions.image import manifest as M
from functions.image.volume_io import write_image
from functions.setting.errors import MissingFileError

MADE_FROM = {'data': 'Phantom_4D', 'cn': 1, 'inputs': ['abc'], 'sizes': (1, 2, 3)}


@pytest.fixture
def work(tmp_path):
    """A folder with two images, a text file and the manifest that lists them."""
    rng = np.random.RandomState(0)
    outputs = []
    for name in ('a.mha', 'b.mha'):
        image = sitk.GetImageFromArray(rng.randint(-99, 99, (5, 6, 7)).astype(np.int16))
        write_image(image, str(tmp_path / 'images' / name))
        outputs.append(M.record_output(str(tmp_path / 'images' / name), image, folder=str(tmp_path)))
    (tmp_path / 'points.txt').write_text('1 2 3\n')
    outputs.append(M.record_output(str(tmp_path / 'points.txt')))
    M.write_manifest(str(tmp_path / 'manifest.json'), MADE_FROM, 2, outputs)
    return tmp_path


def check(work, made_from=MADE_FROM, number=2, verify=False):
    return M.check_manifest(str(work / 'manifest.json'), made_from, number, verify)


def test_finished_work_is_done_and_the_record_is_readable(work):
    assert check(work) == (True, '') and check(work, verify=True) == (True, '')
    record = json.loads((work / 'manifest.json').read_text())
    assert [o['path'] for o in record['outputs']] == ['images/a.mha', 'images/b.mha', 'points.txt']
    assert all(len(o['checksum']) == 32 and o['bytes'] > 0 for o in record['outputs'])


def test_moved_tree_is_still_done(work, tmp_path_factory):
    other = tmp_path_factory.mktemp('other') / 'moved'
    os.rename(str(work), str(other))
    assert check(other) == (True, '')


def test_other_inputs_and_formats_are_not_done(work):
    done, reason = check(work, dict(MADE_FROM, cn=2))
    assert not done and 'other inputs' in reason
    done, reason = check(work, number=3)
    assert not done and 'format 2' in reason


def test_a_manifest_lists_every_expected_file(work):
    arguments = str(work / 'manifest.json'), MADE_FROM, 2
    assert M.check_manifest(*arguments, expected=['a.mha', 'points.txt']) == (True, '')
    done, reason = M.check_manifest(*arguments, expected=['a.mha', 'jacobian.mha'])
    assert not done and reason.endswith('does not list jacobian.mha')


def test_no_manifest_or_a_broken_one_is_not_done(work):
    path = work / 'manifest.json'
    text = path.read_text()
    for broken in ('', text[: len(text) // 2], '[]', '{}', '3'):
        path.write_text(broken)
        done, reason = check(work)
        assert not done and 'manifest.json' in reason
    path.unlink()
    assert check(work) == (False, 'no manifest')


def damage(path, how, other):
    content = path.read_bytes()
    if how == 'truncated':
        path.write_bytes(content[:-10])
    elif how == 'emptied':
        path.write_bytes(b'')
    elif how == 'removed':
        path.unlink()
    elif how == 'changed':
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        os.utime(str(path), ns=(1, 1))
    elif how == 'swapped':
        os.rename(str(path), str(path) + '.x')
        os.rename(str(other), str(path))
        os.rename(str(path) + '.x', str(other))


@pytest.mark.parametrize('how', ['truncated', 'emptied', 'removed', 'changed', 'swapped'])
@pytest.mark.parametrize('name', ['images/a.mha', 'points.txt'])
def test_damage_is_noticed_and_named(work, how, name):
    M.voxel_checksum(str(work / 'images' / 'a.mha'))
    other = work / ('images/b.mha' if 'mha' in name else 'images/a.mha')
    damage(work / name, how, other)
    done, reason = check(work)
    assert not done and (name in reason or other.name in reason)


def test_damage_that_keeps_size_and_time_is_found_on_verify(work):
    path = work / 'images' / 'b.mha'
    assert check(work, verify=True)[0]
    status = path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(str(path), ns=(status.st_atime_ns, status.st_mtime_ns))
    assert check(work)[0]
    done, reason = check(work, verify=True)
    assert not done and 'b.mha is not what was written' in reason


def test_touched_but_intact_files_are_done_and_the_manifest_is_brought_up_to_date(work):
    os.utime(str(work / 'images' / 'a.mha'), ns=(5, 5))
    before = (work / 'manifest.json').read_text()
    assert check(work) == (True, '')
    after = json.loads((work / 'manifest.json').read_text())
    assert after['outputs'][0]['mtime_ns'] == 5
    after['outputs'][0]['mtime_ns'] = json.loads(before)['outputs'][0]['mtime_ns']
    assert dict(after, checksum='') == dict(json.loads(before), checksum='')


@pytest.fixture
def scans(work, monkeypatch):
    """(work made from a file of 5 MB and a folder, function that checks it and says what it read whole)."""
    (work / 'series').mkdir()
    paths = [work / 'scan.mha', work / 'series' / 's1.dcm', work / 'series' / 's2.dcm']
    for path in paths:
        path.write_bytes(bytes(5 * 2**20 if path.name == 'scan.mha' else 2**10))
    read, describe = [], M.describe_file
    monkeypatch.setattr(M, 'describe_file', lambda path: read.append(os.path.basename(path)) or describe(path))

    def made_from():
        M._known_checksums.clear()  # as in another process
        del read[:]
        known = M.recorded_inputs(str(work / 'manifest.json'))
        return {'fixed': M.fingerprint(str(paths[0]), known), 'series': M.fingerprint(str(work / 'series'), known)}

    outputs = json.loads((work / 'manifest.json').read_text())['outputs']
    M.write_manifest(str(work / 'manifest.json'), made_from(), 2, outputs)
    assert read == [path.name for path in paths]
    return paths, lambda: (check(work, made_from())[0], list(read)), outputs


def test_inputs_that_were_only_touched_are_read_once_and_are_the_same(scans):
    paths, checked, _ = scans
    assert checked() == (True, [])
    for path in paths[0], paths[2]:
        os.utime(str(path), ns=(5, 5))
        assert checked() == (True, [path.name])
        assert checked() == (True, [])


def test_inputs_that_changed_between_their_samples_are_others(scans):
    path, checked = scans[0][0], scans[1]
    content, sample = path.read_bytes(), M.sampled_checksum(str(path))
    path.write_bytes(content[: 3 * 2**19] + b'x' + content[3 * 2**19 + 1 :])
    os.utime(str(path), ns=(5, 5))
    assert M.sampled_checksum(str(path)) == sample
    assert checked()[0] is False
    path.write_bytes(content)
    assert checked()[0] is True
    (path.parent / 'series' / 's3.dcm').write_bytes(b'x')
    assert checked()[0] is False


@pytest.mark.parametrize('kept', [3, 4])
def test_earlier_records_of_inputs_are_believed_until_something_changes(work, scans, kept):
    paths, checked, outputs = scans
    files = M.fingerprint(str(paths[0]))
    earlier = [[one[name] for name in ('path', 'bytes', 'mtime_ns', 'sampled_checksum')][:kept] for one in files]
    series = M.fingerprint(str(work / 'series'))

    def write_earlier():
        M.write_manifest(str(work / 'manifest.json'), {'fixed': earlier, 'series': series}, 2, outputs)

    write_earlier()
    assert checked() == (True, ['scan.mha'])
    assert checked() == (True, [])
    write_earlier()
    os.utime(str(paths[0]), ns=(5, 5))
    assert checked()[0] is False


def test_checksum_is_that_of_type_shape_and_values_whatever_the_format(tmp_path):
    array = np.random.RandomState(0).randint(-9, 9, (4, 5, 6)).astype(np.int16)
    image = sitk.GetImageFromArray(array)
    for name in ('a.mha', 'a.nii.gz', 'a.nrrd'):
        write_image(image, str(tmp_path / name), compress=True)
        assert M.voxel_checksum(str(tmp_path / name)) == M.array_checksum(array) == M.array_checksum(image)
    assert M.array_checksum(array) != M.array_checksum(array.reshape(5, 4, 6))
    assert M.array_checksum(array) != M.array_checksum(array.view(np.uint16))
    assert M.array_checksum(array.astype('>i2')) == M.array_checksum(array)
    assert M.array_checksum(array[::2]) == M.array_checksum(array[::2].copy())
    with pytest.raises(MissingFileError, match='nothing.mha'):
        M.record_output(str(tmp_path / 'nothing.mha'))
