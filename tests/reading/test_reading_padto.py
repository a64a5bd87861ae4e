"""PadTo: whole images padded on disk, at the documented addresses, read as they are."""

import os

import numpy as np
import pytest
import SimpleITK as sitk

from functions.reading.train_queue import TrainingQueue
from functions.setting import setting_utils as su

SIZE_XYZ = (60, 52, 48)


@pytest.fixture
def setting(tmp_path):
    root = str(tmp_path) + '/'
    result = su.initialize_setting('Test', where_to_run='Root')
    result.update(RootFolder=root, DataFolder=root + 'Data/', log_root_folder=root + 'Experiments/', stage=4)
    entry = {'data': 'Phantom_4D', 'deform_exp': '3D_max20_D14_K', 'TrainingCNList': [1]}
    entry.update(TrainingTypeImList=[0], TrainingDSmoothList=[0], TrainingDeformedImExt=['Clean'])
    su.load_setting_from_data_dict(result, [entry])
    result['deform_exp']['3D_max20_D14_K']['DeformMethods'] = ['zero']
    su.load_network_setting(result, 'unet1')
    result['PadTo'] = {'stage4': 29}
    result['NetworkTraining'].update(NumberOfImagesPerChunk=1, BatchSize=1, MaxQueueSize=1)
    state = np.random.RandomState(0)
    im = state.randint(-900, 100, SIZE_XYZ[::-1]).astype(np.int16)
    for request, array in (
        ('OriginalIm', im),
        ('OriginalLung', np.ones(im.shape, np.uint8)),
        ('OriginalTorso', np.ones(im.shape, np.uint8)),
    ):
        path = su.address_generator(result, request, data='Phantom_4D', type_im=0, cn=1, stage=1)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        sitk.WriteImage(sitk.GetImageFromArray(array), path)
    return result


def test_padded_files_are_written_and_read(setting):
    with TrainingQueue(setting) as queue:
        batch = queue.get(60)
        assert queue.reader.memory_needed().chunk == 29**3 * 16
    assert batch.images.shape == (1, 29, 29, 29, 2) and batch.dvf.shape == (1, 29, 29, 29, 3)
    item = {'data': 'Phantom_4D', 'deform_exp': '3D_max20_D14_K', 'cn': 1, 'type_im': 0, 'dsmooth': 0}
    item.update(stage=4, padto=29, deformed_im_ext=['Clean'])
    address = su.address_generator(setting, 'DeformedIm', **item)
    assert address.endswith('DeformedImage_Clean_s4_p29.mha')
    written = sitk.GetArrayFromImage(sitk.ReadImage(address))
    assert np.array_equal(batch.images[0, ..., 1], written)
    # 15 x 13 x 12 voxels at stage 4; the smaller half of the padding comes first.
    inside = (slice(8, 20), slice(8, 21), slice(7, 22))
    outside = np.ones(written.shape, bool)
    outside[inside] = False
    assert np.all(written[outside] == -2048) and np.all(written[inside] > -1000)
    files = {name for _, _, names in os.walk(setting['RootFolder']) for name in names}
    assert {'DeformedDVF_pad0_s4_p29.mha', 'case1_T00_RS1_s4_p29.mha'} <= files
