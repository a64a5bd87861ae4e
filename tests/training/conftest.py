"""A settings dictionary of a few tiny items that need no file."""
import numpy as np
import pytest
from scipy import ndimage

import functions.setting.setting_utils as su
from functions.artificial_generation.item import Item
from functions.setting.seeds import random_state


def smooth_noise(random, shape, sigma):
    volume = ndimage.gaussian_filter(random.standard_normal(shape), sigma)
    return volume / np.abs(volume).max()


def make_item(setting, im_info, write=None):
    """A textured cube and the same cube pulled along x by a constant that differs from item to item."""
    del setting, write
    random = random_state('training test', im_info['cn'], im_info['dsmooth'])
    shape = (24, 26, 25)
    image = 500. * smooth_noise(random, shape, 1.5) - 500.
    shift = random.uniform(-2., 2.)
    deformed = ndimage.shift(image, (0, 0, -shift), order=1, mode='nearest')
    dvf = np.zeros(shape + (3,), np.float32)
    dvf[..., 0] = shift
    ones = np.ones(shape, np.uint8)
    values = dict(im=image.astype(np.int16), deformed_im=deformed.astype(np.int16), dvf=dvf, mask=ones, lung=ones,
                  spacing=(1., 1., 1.), im_info=im_info)
    return Item(**{name: values[name] for name in Item._fields})


@pytest.fixture
def setting(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    setting = su.initialize_setting('tiny', where_to_run='Root')
    setting['stage'] = 1
    setting['Phantom']['Size'] = [25, 26, 24]
    su.load_setting_from_data_dict(setting, [{
        'data': 'Phantom_4D', 'deform_exp': '3D_max7_D14_K',
        'TrainingCNList': [1, 2], 'TrainingTypeImList': [0], 'TrainingDSmoothList': [0, 1, 2],
        'ValidationCNList': [3], 'ValidationTypeImList': [0], 'ValidationDSmoothList': [0, 1]}])
    su.load_network_setting(setting, 'unet1')
    setting.update(FullImage=False, R=10, Ry=10, Margin=0, ClassBalanced=[2, 7], normalization='lung', DVFUnit='voxel')
    setting['NetworkTraining'].update(NumberOfImagesPerChunk=3, SamplesPerImage=3, BatchSize=2, MaxQueueSize=3, MaxIterations=8,
                                      LogInterval=1, ValidationInterval=4)
    setting['NetworkValidation'].update(NumberOfImagesPerChunk=2, SamplesPerImage=2, BatchSize=2, MaxQueueSize=2)
    return setting
