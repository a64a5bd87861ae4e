"""A settings dictionary of a small network and a few tiny items that need no file."""

import pytest

import functions.setting.setting_utils as su
from functions.network.description import NETWORKS
from tests.network.small_network import SMALL


@pytest.fixture
def setting(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(NETWORKS, 'small', SMALL)
    setting = su.initialize_setting('tiny', where_to_run='Root')
    setting['stage'] = 1
    setting['Phantom']['Size'] = [25, 26, 24]
    su.load_setting_from_data_dict(
        setting,
        [
            {
                'data': 'Phantom_4D',
                'deform_exp': '3D_max7_D14_K',
                'TrainingCNList': [1, 2],
                'TrainingTypeImList': [0],
                'TrainingDSmoothList': [0, 1, 2],
                'ValidationCNList': [3],
                'ValidationTypeImList': [0],
                'ValidationDSmoothList': [0, 1],
            }
        ],
    )
    su.load_network_setting(setting, 'small')
    setting.update(FullImage=False, R=10, Ry=10, Margin=0, ClassBalanced=[2, 7], normalization='lung', DVFUnit='voxel')
    setting['NetworkTraining'].update(
        NumberOfImagesPerChunk=3,
        SamplesPerImage=3,
        BatchSize=2,
        MaxQueueSize=3,
        MaxIterations=8,
        LogInterval=1,
        ValidationInterval=4,
    )
    setting['NetworkValidation'].update(NumberOfImagesPerChunk=2, SamplesPerImage=2, BatchSize=2, MaxQueueSize=2)
    return setting
