"""Settings files are numbered, never replaced, and JSON can hold them."""

import json
import multiprocessing
import os

import numpy as np
import pytest

import functions.setting.setting_utils as su
from functions.setting.errors import InputError
from functions.setting.experiment_files import plain


@pytest.fixture
def setting(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return su.load_setting_from_data_dict(
        su.initialize_setting('MyExp', 'Root'),
        [{'data': 'SPREAD', 'deform_exp': '3D_max7_D14_K', 'TrainingCNList': [1]}],
    )


MODEL = './Experiments/RegNet/MyExp/train/Model/'


class TestWriteSetting:
    def test_numbered_and_never_overwritten(self, setting):
        assert su.write_setting(setting) == MODEL + 'setting0.txt'
        with open(MODEL + 'setting0.txt') as stream:
            first = stream.read()
        setting['stage'] = 4
        assert su.write_setting(setting) == MODEL + 'setting1.txt'
        with open(MODEL + 'setting0.txt') as stream:
            assert stream.read() == first
        assert (su.read_setting(setting)['stage'], su.read_setting(setting, number=1)['stage']) == (1, 4)
        assert sorted(os.listdir(MODEL)) == ['setting0.txt', 'setting1.txt']

    def test_layout(self, setting):
        with open(su.write_setting(setting)) as stream:
            text = stream.read()
        assert text == json.dumps(setting, sort_keys=True, indent=4, separators=(',', ': ')) + '\n'

    def test_the_setting_comes_back(self, setting):
        su.write_setting(setting)
        assert su.read_setting(setting, 'MyExp') == setting

    def test_an_address_of_ones_own_is_replaced(self, setting):
        address = './results/setting.txt'
        for stage in (1, 2):
            setting['stage'] = stage
            assert su.write_setting(setting, address) == address
        with open(address) as stream:
            assert json.load(stream)['stage'] == 2

    def test_numpy_values_are_written_as_numbers(self, setting):
        setting['ClassBalanced'] = np.array([2, 7])
        setting['stage'] = np.int64(2)
        su.write_setting(setting)
        read = su.read_setting(setting)
        assert read['ClassBalanced'] == [2, 7] and read['stage'] == 2

    def test_what_json_cannot_carry_is_named_and_leaves_nothing(self, setting):
        setting['NetworkTraining']['Seed'] = {1, 2}
        with pytest.raises(InputError, match=r"setting\['NetworkTraining'\]\['Seed'\] is {1, 2}"):
            su.write_setting(setting)
        assert not os.path.exists(MODEL)

    def test_many_writers_lose_nothing(self, setting):
        context = multiprocessing.get_context('spawn')
        with context.Pool(2) as pool:
            addresses = pool.map(su.write_setting, [dict(setting, stage=stage) for stage in (1, 2, 4) * 4], chunksize=1)
        assert sorted(addresses) == sorted(f'{MODEL}setting{number}.txt' for number in range(12))
        stages = sorted(su.read_setting(setting, number=number)['stage'] for number in range(12))
        assert stages == [1] * 4 + [2] * 4 + [4] * 4
        assert len(os.listdir(MODEL)) == 12

    def test_without_links_too(self, setting, monkeypatch):
        def no_link(source, target):
            raise OSError('links are not supported')

        monkeypatch.setattr(os, 'link', no_link)
        assert [su.write_setting(setting) for _ in range(2)] == [MODEL + 'setting0.txt', MODEL + 'setting1.txt']
        assert su.read_setting(setting) == setting and len(os.listdir(MODEL)) == 2


def test_plain_values():
    value = {'a': (1, 2), 'b': range(2), 'c': np.float32(0.5), 'd': [np.bool_(True)], 'e': np.eye(2, dtype=int)}
    assert plain(value) == {'a': [1, 2], 'b': [0, 1], 'c': 0.5, 'd': [True], 'e': [[1, 0], [0, 1]]}
    for wrong in [float('inf'), float('nan'), {1: 2}, b'bytes', np.float64('nan')]:
        with pytest.raises(InputError):
            plain({'x': [wrong]})
