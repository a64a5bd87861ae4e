"""A person's own CT on its way into a data set."""

import json
import logging
import os

import numpy as np
import pytest
import SimpleITK as sitk
from chest import chest, dice, lung_labels
from scipy import ndimage

import functions.setting.setting_utils as su
from functions.image.geometry import Geometry
from functions.image.volume_io import array_view, read_image
from functions.preprocessing import own_images
from functions.preprocessing.chest_masks import torso_mask
from functions.preprocessing.hounsfield import as_hu, load_ct
from functions.preprocessing.own_images import prepare_image, prepare_own_images
from functions.reading.chunk_image import Images
from functions.setting.errors import InputError, MissingFileError

DATA = 'DIR-Lab_4D'
REAL = os.environ.get('REGNET_REAL_CT')
SCANS = ['Lung_Dx-A0001', 'ACRIN-FLT-Breast_013_chest.nii.gz']


@pytest.fixture
def setting(tmp_path, monkeypatch):
    monkeypatch.setenv('REGNET_DATA', str(tmp_path / 'Data') + '/')
    return su.initialize_setting(current_experiment='own', where_to_run='Auto')


@pytest.fixture(scope='module')
def scan():
    return chest(scale=0.5)


def stored(image, path):
    sitk.WriteImage(image, str(path))
    return str(path)


@pytest.mark.once
def test_image_and_masks_are_written_where_the_data_set_expects_them(setting, scan, tmp_path):
    image, right, left, torso = scan
    flipped = sitk.Flip(image, [True, True, False])
    result = prepare_image(stored(flipped, tmp_path / 'scan.nii.gz'), setting, DATA, cn=3, type_im=1)
    for request, path in zip(('OriginalIm', 'OriginalLung', 'OriginalTorso'), result[:3]):
        assert path == su.address_generator(setting, request, data=DATA, cn=3, type_im=1, stage=1)
        assert str(tmp_path) in os.path.abspath(path)
    prepared, lung, body = [read_image(path) for path in result[:3]]
    assert prepared.GetPixelID() == sitk.sitkInt16
    assert lung.GetPixelID() == body.GetPixelID() == sitk.sitkUInt8
    assert prepared.GetSpacing() == (1, 1, 1) and prepared.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert Geometry.of(lung) == Geometry.of(body) == Geometry.of(prepared)
    truth = sitk.GetImageFromArray((right | left).astype(np.uint8))
    truth.CopyInformation(image)
    truth = sitk.Resample(truth, lung, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    assert dice(array_view(lung) > 0, array_view(truth) > 0) > 0.95
    assert array_view(prepared)[array_view(lung) > 0].mean() < -700
    assert array_view(body)[array_view(lung) > 0].all()


def test_prepared_work_is_not_done_again_unless_something_changed(setting, scan, tmp_path, monkeypatch, caplog):
    source = stored(scan[0], tmp_path / 'scan.mha')
    assert prepare_image(source, setting, DATA, cn=1).made
    monkeypatch.setattr(own_images, 'load_ct', None)  # must not be called
    result = prepare_image(source, setting, DATA, cn=1)
    assert not result.made
    os.utime(source, ns=(5, 5))
    assert not prepare_image(source, setting, DATA, cn=1).made
    monkeypatch.undo()
    monkeypatch.setenv('REGNET_DATA', str(tmp_path / 'Data') + '/')
    with open(result.lung, 'r+b') as stream:
        stream.truncate(1000)
    with caplog.at_level(logging.WARNING):
        assert prepare_image(source, setting, DATA, cn=1).made
    assert 'prepared again' in caplog.text and 'Lung' in caplog.text
    assert not prepare_image(source, setting, DATA, cn=1).made
    stored(scan[0] + 1, tmp_path / 'scan.mha')
    assert prepare_image(source, setting, DATA, cn=1).made
    manifest = json.loads(open(os.path.splitext(result.im)[0] + '.json').read())
    assert len(manifest['outputs']) == 3


def test_given_masks_are_used(setting, scan, tmp_path):
    image, right, left, torso = scan
    paths = {}
    for name, array in (('lung', right), ('torso', torso)):
        mask = sitk.GetImageFromArray(array.astype(np.uint8) * 5)
        mask.CopyInformation(image)
        paths[name] = stored(mask, tmp_path / (name + '.nrrd'))
    result = prepare_image(stored(image, tmp_path / 'scan.mha'), setting, DATA, cn=2, **paths)
    lung = array_view(read_image(result.lung))
    assert set(np.unique(lung)) == {0, 1}
    assert lung.sum() == pytest.approx(np.count_nonzero(right) * 1.5**3, rel=0.02)


def test_air_around_the_torso_can_be_left_out_and_nothing_moves(setting, scan, tmp_path):
    source = stored(scan[0], tmp_path / 'scan.mha')
    whole, lung, torso = [read_image(p) for p in prepare_image(source, setting, DATA, cn=1)[:3]]
    result = prepare_image(source, setting, DATA, cn=1, margin=5)
    assert result.made
    small, small_lung, small_torso = [read_image(p) for p in result[:3]]
    assert np.prod(small.GetSize()) < 0.9 * np.prod(whole.GetSize())
    assert Geometry.of(small) == Geometry.of(small_lung) == Geometry.of(small_torso)
    for before, after, outside in ((whole, small, -1024), (lung, small_lung, 0), (torso, small_torso, 0)):
        back = sitk.Resample(after, before, sitk.Transform(), sitk.sitkNearestNeighbor, outside)
        same = array_view(back) == array_view(before)
        assert same[array_view(torso) > 0].all()
        assert outside or same.all()
    rows = np.nonzero(array_view(small_torso).any(axis=(0, 2)))[0]
    assert rows[0] == 5


@pytest.mark.once
@pytest.mark.parametrize('box', [(slice(None), slice(None), slice(29, 51)), (slice(58), slice(None), slice(None))])
def test_a_slab_of_66_mm_and_one_lung_can_be_prepared_deformed_and_sampled(setting, tmp_path, box):
    setting['OwnDataSets'] = {'MyCT': {'types': ['scan'], 'cases': 1}}
    setting['OwnImages'] = {'MyCT': {'1': [stored(chest()[0][box], tmp_path / 'cut.nii.gz')]}}
    entry = {'data': 'MyCT', 'deform_exp': '3D_max20_D14_K', 'TrainingCNList': [1], 'TrainingTypeImList': [0]}
    entry.update(TrainingDSmoothList=list(range(14, 28)), TrainingDeformedImExt=['Clean', 'Sponge', 'Noise'])
    su.load_setting_from_data_dict(setting, [entry])
    prepare_own_images(setting)
    setting.update(stage=4, R=12, Ry=12, Margin=13, SampleInside='lung', ClassBalanced=[2, 7], LeadIn=False)
    counts = {'NumberOfImagesPerChunk': 14, 'SamplesPerImage': 10, 'BatchSize': 140}
    setting['NetworkTraining'] = dict(counts, LungWeight=3.0)
    batch = Images(setting).next_batch()
    # Class-balanced: every deformation, and as many centres that move by less than 2 mm as by more.
    assert len(set(batch.items)) == 14 and (batch.weight[:, 12, 12, 12] == 3).all()
    assert np.count_nonzero(np.abs(batch.dvf[:, 12, 12, 12]).max(axis=-1) < 2) == len(batch.dvf) / 2 == 70


def test_bad_input_stops_before_anything_is_written(setting, scan, tmp_path):
    image = scan[0]
    source = stored(image, tmp_path / 'scan.mha')
    other = sitk.Cast(image[:, :, :-1] > 0, sitk.sitkUInt8)
    with pytest.raises(InputError, match='other.mha.*same grid'):
        prepare_image(source, setting, DATA, cn=1, lung=stored(other, tmp_path / 'other.mha'))
    empty = stored(sitk.Cast(image > 9999, sitk.sitkUInt8), tmp_path / 'empty.mha')
    with pytest.raises(InputError, match='empty.mha is empty'):
        prepare_image(source, setting, DATA, cn=1, lung=empty)
    with pytest.raises(MissingFileError, match='absent.mha'):
        prepare_image(str(tmp_path / 'absent.mha'), setting, DATA, cn=1)
    with pytest.raises(MissingFileError, match='absent.mha'):
        prepare_image(source, setting, DATA, cn=1, lung=str(tmp_path / 'absent.mha'))
    flat = stored(sitk.Image(30, 30, sitk.sitkInt16), tmp_path / 'flat.mha')
    with pytest.raises(InputError, match='2 dimensions'):
        prepare_image(flat, setting, DATA, cn=1)
    assert not os.path.exists(str(tmp_path / 'Data'))


# ---- HU


def scaled(low, high, dtype=np.float32):
    return sitk.GetImageFromArray(np.linspace(low, high, 4 * 5 * 6).reshape(4, 5, 6).astype(dtype))


def test_hu_are_kept_and_what_scanners_mark_as_unseen_becomes_air():
    image = scaled(-1000, 1500, np.int16)
    assert as_hu(image, 'x') is image
    array = sitk.GetArrayFromImage(as_hu(scaled(-3024, 1500), 'x'))
    assert array.dtype == np.int16 and array.min() == -1024
    expected = np.rint(np.clip(sitk.GetArrayFromImage(scaled(-3024, 1500)), -1024, 1500))
    np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize('low, high', [(0, 1), (-1, 1), (0, 255), (0, 3000), (-200, 900), (-1000, -900)])
def test_values_that_are_no_hu_are_refused(low, high):
    with pytest.raises(InputError, match='CT in HU is needed'):
        as_hu(scaled(low, high), 'x')


def test_load_ct_takes_images_in_memory_and_refuses_colour():
    assert array_view(load_ct(scaled(-1000, 900))).dtype == np.int16
    with pytest.raises(InputError, match='one value per voxel'):
        load_ct(sitk.Image([4, 4, 4], sitk.sitkVectorUInt8, 3))


# ---- real CT


@pytest.mark.skipif(not REAL, reason='real chest CT is looked for in the folder that REGNET_REAL_CT names')
@pytest.mark.parametrize('name', SCANS)
def test_real_chest_ct(name):
    source = os.path.join(REAL, name)
    if not os.path.exists(source):
        pytest.skip(f'{source} does not exist')
    image = load_ct(source)
    labels = lung_labels(image)
    body = array_view(torso_mask(image))
    hu = array_view(image)
    litre = np.prod(image.GetSpacing()) / 1e6
    for label in (1, 2):
        lung = labels == label
        assert 0.5 < lung.sum() * litre < 4
        assert np.median(hu[lung]) < -650 and (hu[lung] < -400).mean() > 0.85
        assert ndarray_components(lung) < 0.02
    centre = [np.argwhere(labels == label)[:, 2].mean() for label in (1, 2)]
    assert centre[0] + 100 / image.GetSpacing()[0] < centre[1]
    assert body[labels > 0].mean() > 0.999
    assert ndarray_components(body > 0) == 0
    # Nothing dense below the back is left in the body: rows behind its last one hold the table.
    assert 3 < body.sum() * litre < 60
    dense = (hu > -300) & (body == 0)
    assert dense.sum() * litre > 0.1, 'the table, at least, is outside'


def ndarray_components(mask):
    """Fraction of ``mask`` outside its largest connected part."""
    labels, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel())[1:]
    return 1 - sizes.max() / sizes.sum()
