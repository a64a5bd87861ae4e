"""Files that appear whole or not at all, errors that can be read, random numbers that never change."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from functions.setting import atomic, text_files
from functions.setting.errors import (
    DiskError,
    InputError,
    MissingFileError,
    RegNetError,
    UnknownNameError,
    unknown_name,
)
from functions.setting.seeds import random_state, seed_words


class TestPublish:
    def test_the_temporary_lies_beside_with_the_same_extension(self, tmp_path):
        path = str(tmp_path / 'deep' / 'image.nii.gz')
        with atomic.publish(path) as temporary:
            assert os.path.dirname(temporary) == os.path.dirname(path)
            name = os.path.basename(temporary)
            assert name.startswith(f'.image.{os.getpid()}-') and name.endswith('.nii.gz')
            with open(temporary, 'w') as stream:
                stream.write('whole')
            assert not os.path.exists(path)
        with open(path) as stream:
            assert stream.read() == 'whole'
        assert os.listdir(os.path.dirname(path)) == ['image.nii.gz']

    def test_an_error_leaves_the_old_file(self, tmp_path):
        path = str(tmp_path / 'a.txt')
        atomic.write_text(path, 'old')
        with pytest.raises(KeyboardInterrupt), atomic.publish(path) as temporary:
            with open(temporary, 'w') as stream:
                stream.write('ha')
            raise KeyboardInterrupt
        with open(path) as stream:
            assert stream.read() == 'old'
        assert os.listdir(str(tmp_path)) == ['a.txt']

    @pytest.mark.skipif(not os.path.exists('/dev/full'), reason='needs /dev/full')
    def test_a_full_disk_is_one_clear_error(self, tmp_path):
        path = str(tmp_path / 'a.txt')
        with pytest.raises(DiskError, match='a.txt') as caught, atomic.publish(path) as temporary:
            os.symlink('/dev/full', temporary)
            with open(temporary, 'w') as stream:
                stream.write('x')
                stream.flush()
        assert 'space' in str(caught.value)
        assert os.listdir(str(tmp_path)) == []

    def test_sweeping_removes_only_temporaries_of_dead_processes(self, tmp_path):
        dead = subprocess.Popen([sys.executable, '-c', ''])
        dead.wait()
        mine = os.path.basename(atomic.temporary_path(str(tmp_path / 'ckpt-7.a-b_c.json')))
        other_pid, other_host = mine.replace(str(os.getpid()), str(dead.pid)), mine.replace('-', '-0', 1)
        folder = os.path.basename(atomic.temporary_path(str(tmp_path / '.lock'))).replace(str(os.getpid()), '1' * 9)
        names = [other_pid, mine, other_host[:-1], 'a.mha', '.gitignore', f'.a.{dead.pid}-0123abcd.mha']
        for name in names:
            (tmp_path / name).write_text('x')
        (tmp_path / 'below' / folder / 'deeper').mkdir(parents=True)
        atomic.sweep_stale_temporaries(str(tmp_path))
        assert sorted(os.listdir(str(tmp_path))) == sorted(names[1:] + ['below'])
        atomic.sweep_stale_temporaries(str(tmp_path), below=True)
        assert os.listdir(str(tmp_path / 'below')) == []
        atomic.sweep_stale_temporaries(str(tmp_path / 'nowhere'))

    @pytest.mark.parametrize('days', [-2, 2])
    def test_a_temporary_of_another_host_is_swept_by_its_age_whatever_the_clocks_did(self, tmp_path, monkeypatch, days):
        with monkeypatch.context() as patch:
            patch.setattr(atomic, 'host', lambda: 'elsewhere')
            path = atomic.temporary_path(str(tmp_path / 'image.mha'))
        with open(path, 'w') as stream:
            stream.write('x')
        atomic.sweep_stale_temporaries(str(tmp_path))
        assert os.path.exists(path)
        then = os.stat(path).st_mtime - days * 86400
        os.utime(path, (then, then))
        atomic.sweep_stale_temporaries(str(tmp_path))
        assert not os.path.exists(path)

    def test_a_folder_that_goes_away_while_a_file_is_written_is_one_error(self, tmp_path):
        path = str(tmp_path / 'folder' / 'a.txt')
        with pytest.raises(DiskError, match='a.txt: its folder was removed'), atomic.publish(path) as temporary:
            with open(temporary, 'w') as stream:
                stream.write('x')
            os.remove(temporary)
            os.rmdir(os.path.dirname(path))


class TestJson:
    def test_round_trip_and_layout(self, tmp_path):
        path = str(tmp_path / 'a.json')
        data = {'b': [1, 2.5, None], 'a': {'ü': True}}
        atomic.write_json(path, data)
        assert text_files.read_json(path) == data
        with open(path, encoding='utf-8') as stream:
            text = stream.read()
        content = json.loads(text)
        assert text == json.dumps(content, sort_keys=True, indent=4, separators=(',', ': ')) + '\n'
        assert content.pop('checksum').startswith('blake2b:') and content == data

    def test_missing_and_cut_files_are_named(self, tmp_path):
        path = str(tmp_path / 'a.json')
        with pytest.raises(MissingFileError, match='a.json does not exist'):
            text_files.read_json(path)
        atomic.write_text(path, '{"a": ')
        with pytest.raises(InputError, match='a.json is not valid JSON'):
            text_files.read_json(path)

    def test_what_is_no_text_file_is_named_with_the_reason(self, tmp_path):
        with pytest.raises(InputError, match='is not a file; a JSON file is needed') as caught:
            text_files.read_json(str(tmp_path))
        assert str(tmp_path) in str(caught.value)
        path = tmp_path / 'a.json'
        for content, words in ((b'\xff\xfe{', 'a JSON file in UTF-8'), (b'{"a": ', 'is not valid JSON')):
            path.write_bytes(content)
            with pytest.raises(InputError, match=words) as caught:
                text_files.read_json(str(path))
            # it may be a person's own file, which the program must not tell anybody to remove
            assert str(path) in str(caught.value) and 'remove' not in str(caught.value)


@pytest.mark.parametrize(
    'error, builtin',
    [
        (InputError, ValueError),
        (UnknownNameError, KeyError),
        (MissingFileError, FileNotFoundError),
        (DiskError, OSError),
    ],
)
def test_errors_are_the_builtin_ones_and_read_as_written(error, builtin):
    with pytest.raises(builtin) as caught:
        raise error('a sentence')
    assert str(caught.value) == 'a sentence' and isinstance(caught.value, RegNetError)


def test_unknown_names_suggest_and_list():
    assert (
        str(unknown_name('network', 'unet2', ['unet1', 'crop4']))
        == "'unet2' is not a known network. Did you mean 'unet1'? Accepted: unet1, crop4."
    )
    assert 'Did you mean' not in str(unknown_name('network', 'zzz', ['unet1']))


class TestSeeds:
    def test_words_are_those_of_sha256(self):
        # Written out by hand, so that a change of the rule cannot pass.
        digest = hashlib.sha256(b'["single_frequency",1,[2,0.5],{"a":null}]').digest()
        expected = [int.from_bytes(digest[i : i + 4], 'little') for i in (0, 4, 8, 12)]
        assert seed_words('single_frequency', 1, [2, 0.5], {'a': None}) == expected

    def test_the_stream_is_frozen(self):
        reference = np.random.RandomState(np.array(seed_words('a', 1), dtype=np.uint32))
        assert np.array_equal(random_state('a', 1).uniform(size=5), reference.uniform(size=5))
        assert not np.array_equal(random_state('a', 1).uniform(size=5), random_state('a', 2).uniform(size=5))

    def test_neighbouring_items_share_no_seed(self):
        seeds = {
            tuple(seed_words('s', type_im, cn, dsmooth))
            for type_im in range(2)
            for cn in range(1, 21)
            for dsmooth in range(70)
        }
        assert len(seeds) == 2 * 20 * 70
