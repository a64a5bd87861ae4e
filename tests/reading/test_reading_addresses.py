"""The reader with the project's own addresses: lists, headers, missing files and index files."""

import os

import numpy as np
import pytest
import SimpleITK as sitk
from reading_fakes import make_item

from functions.reading.chunk_image import Images
from functions.setting import setting_utils as su
from functions.setting.errors import InputError, MissingFileError

SIZE_XYZ = (73, 61, 58)


@pytest.fixture
def setting(tmp_path):
    root = str(tmp_path) + '/'
    result = su.initialize_setting('Test', where_to_run='Root')
    result.update(RootFolder=root, DataFolder=root + 'Data/', log_root_folder=root + 'Experiments/')
    entry = {'data': 'Phantom_4D', 'deform_exp': '3D_max20_D14_K'}
    for mode, cases in (('Training', [1, 2]), ('Validation', [3])):
        entry.update(
            {
                mode + 'CNList': cases,
                mode + 'TypeImList': [0],
                mode + 'DSmoothList': [0, 5, 14],
                mode + 'DeformedImExt': ['Clean'],
            }
        )
    result = su.load_setting_from_data_dict(result, [entry])
    queue = {'NumberOfImagesPerChunk': 4, 'SamplesPerImage': 6, 'BatchSize': 5, 'MaxQueueSize': 2}
    result.update(stage=4, R=3, Ry=3, Margin=3, ClassBalanced=[2.0, 7.0])
    result['NetworkTraining'], result['NetworkValidation'] = dict(queue), dict(queue)
    return result


def write_header(setting, cn):
    path = su.address_generator(setting, 'OriginalIm', data='Phantom_4D', type_im=0, cn=cn, stage=1)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    sitk.WriteImage(sitk.Image(SIZE_XYZ, sitk.sitkInt16), path)


def test_the_list_is_that_of_the_setting_and_sizes_come_from_headers(setting):
    for cn in (1, 2):
        write_header(setting, cn)
    reader = Images(setting)
    assert reader.im_info_list_full == su.get_im_info_list_from_train_mode(setting, 'Training', stage=4)
    assert len(reader.im_info_list_full) == 6 and reader.number_of_chunks == 2
    # ceil(N / 4) voxels at stage 4, four items in a chunk, 16 bytes a voxel
    assert reader.memory_needed().chunk == 4 * 19 * 16 * 15 * 16


def test_a_missing_image_is_named_before_anything_is_read(setting):
    write_header(setting, 1)
    with pytest.raises(MissingFileError, match='case2_T00_RS1.mha'):
        Images(setting)
    with pytest.raises(MissingFileError, match='case3_T00_RS1.mha'):
        Images(setting, train_mode='Validation')


def test_items_that_must_not_be_made_are_named(setting):
    setting['never_generate_image'] = True
    with pytest.raises(MissingFileError, match='6 of 6 items.*Phantom_4D/type0/cn1/.*Dsmooth0'):
        Images(setting)
    setting['never_generate_image'] = 'True'
    with pytest.raises(InputError, match='never_generate_image'):
        Images(setting)


def test_index_files_on_request(setting):
    plain = Images(setting, make_item=make_item)
    plain.fill()
    address = su.address_generator(
        setting,
        'IShuffled',
        train_mode='Training',
        stage=4,
        im_list_info=plain.im_info_list_full,
        ishuffled_exp=0,
        semi_epoch=0,
        chunk=0,
    )
    with pytest.raises(FileNotFoundError):
        np.load(address)
    written = Images(dict(setting, CacheIndices=True), make_item=make_item)
    written.fill()
    rows = np.load(address)
    assert rows.dtype == np.int32 and rows.shape == (24, 3)
    batch = written.next_batch(24)
    for row, dvf in zip(rows, batch.dvf):
        info = written.im_info_list_full[written.order.numbers(0, 0)[row[1]]]
        item = make_item(None, info)
        assert np.array_equal(item.dvf.reshape(-1, 3)[row[0]], dvf[3, 3, 3])
        centres = np.load(
            su.address_generator(
                setting,
                'IClass',
                c=int(row[2]),
                stage=4,
                **{key: info[key] for key in ('data', 'deform_exp', 'type_im', 'cn', 'dsmooth')},
            )
        )
        assert row[0] in centres and np.all(np.diff(centres) > 0)
    # Other settings go into another folder; the same ones into the same.
    other = Images(dict(setting, CacheIndices=True, Margin=4), make_item=make_item)
    other.fill()
    assert np.load(address.replace('exp0', 'exp1')).shape[1] == 3
    again = Images(dict(setting, CacheIndices=True), make_item=make_item)
    again.fill()
    assert np.array_equal(np.load(address), rows)
    with pytest.raises(FileNotFoundError):
        np.load(address.replace('exp0', 'exp2'))
