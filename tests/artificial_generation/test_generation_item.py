"""Items: the same from memory and from files, true to their DVF, staged, noticed when damaged."""

import os
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from generation_volumes import make_item, make_thorax, write_thorax

from functions.artificial_generation import item_files, original_images
from functions.artificial_generation.item_specification import ItemSpecification
from functions.artificial_generation.training_item import get_item
from functions.image.dvf import jacobian_determinant
from functions.setting import setting_utils as su
from functions.setting.artificial_generation_setting import load_deform_exp_setting
from functions.setting.errors import InputError, MissingFileError, RegNetError, UnknownNameError

ARRAYS = ('im', 'deformed_im', 'dvf', 'mask', 'lung')


def assert_same(a, b):
    for name in ARRAYS:
        x, y = getattr(a, name), getattr(b, name)
        assert x.dtype == y.dtype and x.tobytes() == y.tobytes(), name


def all_files(root):
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names)


@pytest.mark.once
@pytest.mark.parametrize('dsmooth', [0, 5, 9, 13, 14, 19])
def test_memory_and_files_agree(setting, info, dsmooth):
    info = dict(info, dsmooth=dsmooth)
    in_memory = make_item(setting, info)
    made = get_item(setting, info)
    read = get_item(setting, info)
    assert_same(in_memory, made)
    assert_same(in_memory, read)
    assert read.spacing == (4.0, 4.0, 4.0)
    assert read.im.dtype == np.int16 and read.dvf.dtype == np.float32
    assert read.mask.dtype == read.lung.dtype == np.uint8
    assert read.dvf.shape == read.im.shape + (3,)


def test_memory_shows_what_files_hold_where_the_lungs_are_all_that_is_shown(setting, info):
    setting.update(InputMask='Lung', InputMargin=9)
    info = dict(info, dsmooth=19)
    in_memory = make_item(setting, info)
    assert_same(in_memory, get_item(setting, info))
    assert (in_memory.deformed_im > -2048).any()


def test_without_next_images_the_original_is_what_is_deformed(setting, info):
    original = make_item(setting, info).im
    assert not (make_item(setting, dict(info, dsmooth=19)).im == original).all()
    setting['deform_exp'][info['deform_exp']]['NextIm_MaxDeform'] = 0
    assert (make_item(setting, dict(info, dsmooth=19)).im == original).all()


def test_write_false_writes_nothing(setting, info, tmp_path):
    before = all_files(str(tmp_path))
    for stage in (1, 2):
        get_item(setting, dict(info, dsmooth=19, stage=stage), write=False)
    assert all_files(str(tmp_path)) == before


def test_deformed_image_and_masks_follow_the_dvf(setting, info, thorax):
    item = get_item(setting, dict(info, dsmooth=0, deformed_im_ext=['Clean']))
    original = sitk.ReadImage(su.address_generator(setting, 'OriginalIm', data='Phantom_4D', cn=1, stage=1))
    field = sitk.GetImageFromArray(item.dvf.astype(float), isVector=True)
    field.CopyInformation(original)
    transform = sitk.DisplacementFieldTransform(sitk.Image(field))
    warped = sitk.GetArrayFromImage(
        sitk.Resample(sitk.Cast(original, sitk.sitkFloat32), original, transform, sitk.sitkBSpline, -2048.0)
    )
    torso = sitk.GetImageFromArray(thorax.torso)
    lung = sitk.GetImageFromArray(thorax.lung)
    for image, array in ((torso, item.mask), (lung, item.lung)):
        image.CopyInformation(original)
        expected = sitk.Resample(image, original, transform, sitk.sitkNearestNeighbor, 0.0)
        np.testing.assert_array_equal(array, sitk.GetArrayFromImage(expected))
    inside = item.mask > 0
    np.testing.assert_allclose(item.deformed_im[inside], warped[inside], atol=0.51)
    assert (item.deformed_im[~inside] == -2048).all()
    np.testing.assert_array_equal(item.im, np.where(thorax.torso > 0, thorax.im, -2048))


@pytest.mark.parametrize('stage', [1, 4])
def test_the_printed_address_of_an_item_without_augmentations_is_its_file(setting, info, stage):
    keys = {'data': 'Phantom_4D', 'type_im': 0, 'cn': 1, 'deform_exp': '3D_max7_D14_K', 'dsmooth': 13, 'stage': stage}
    item = get_item(setting, keys)
    address = su.address_generator(setting, 'DeformedIm', **keys)
    assert os.path.basename(address) == f'DeformedImage{"_s4" if stage == 4 else ""}.mha'
    on_disk = sitk.GetArrayFromImage(sitk.ReadImage(address))
    np.testing.assert_array_equal(np.where(item.mask > 0, on_disk, -2048), item.deformed_im)
    clean = get_item(setting, dict(keys, deformed_im_ext=['Clean']))
    assert_same(item, clean)
    assert len([name for name in os.listdir(os.path.dirname(address)) if name.startswith('manifest')]) == 2


def test_files_of_an_item(setting, info):
    setting['verbose_image'] = setting['WriteBSplineTransform'] = setting['WriteDVFStatistics'] = True
    setting['deform_exp']['3D_max7_D14_K']['WriteIntermediateIntensityAugmentation'] = True
    info = dict(info, dsmooth=5, deformed_im_ext=['Clean', 'Sponge', 'Occluded'])
    item = get_item(setting, info)
    folder = su.address_generator(setting, 'DFolder', data='Phantom_4D', cn=1, dsmooth=5)
    next_folder = su.address_generator(setting, 'NextFolder', data='Phantom_4D', cn=1, dsmooth=5)
    assert set(os.listdir(next_folder)) == {
        'NextIm.mha',
        'NextLung.mha',
        'NextTorso.mha',
        'NextDVF.mha',
        'manifest.json',
        'NextBSplineTransform.tfm',
        'NextBSplineTransformIm.mha',
    }
    assert set(os.listdir(folder)) == {
        'DeformedImage_Clean.mha',
        'DeformedImage_Clean_Sponge.mha',
        'DeformedImage_Clean_Sponge_Occluded.mha',
        'DeformedDVF_pad0.mha',
        'DeformedLung.mha',
        'DeformedTorso.mha',
        'DeformedLungOccluded.mha',
        'Jac_pad0.mha',
        'BSplineTransform.tfm',
        'BSplineTransformIm.mha',
        'DVF_histogram_pad0.png',
        'Jac_histogram_pad0.png',
        'manifest_Clean_Sponge_Occluded_pad0.json',
    }
    image = sitk.ReadImage(folder + 'Jac_pad0.mha')
    assert image.GetOrigin() == (-10.0, 5.0, 20.0) and image.GetSpacing() == (4.0, 4.0, 4.0)
    jacobian = jacobian_determinant(item.dvf, item.spacing)
    np.testing.assert_allclose(sitk.GetArrayFromImage(image), jacobian, atol=1e-6)
    # The transform is the field before its background was suppressed: equal deep inside the torso up to the
    # scale.
    raw = sitk.TransformToDisplacementField(
        sitk.ReadTransform(next_folder + 'NextBSplineTransform.tfm'),
        sitk.sitkVectorFloat64,
        image.GetSize(),
        image.GetOrigin(),
        image.GetSpacing(),
    )
    raw = sitk.GetArrayFromImage(raw)
    written = sitk.GetArrayFromImage(sitk.ReadImage(next_folder + 'NextDVF.mha'))
    np.testing.assert_allclose(written, raw * min(1, 15 / np.abs(raw).max()), atol=2e-3)


@pytest.mark.parametrize('stage, padto', [(2, None), (4, None), (4, 25), (1, 90)])
def test_staging_and_padding(setting, info, thorax, stage, padto):
    setting['deform_exp']['3D_max7_D14_K']['SingleFrequency_SetGridBorderToZero'] = [[0, 0, 0]] * 5
    info = dict(info, dsmooth=5, stage=stage, padto=padto)
    in_memory = make_item(setting, info)
    item = get_item(setting, info)
    assert_same(in_memory, item)
    original_images.clear_cache()
    assert_same(in_memory, get_item(setting, info))
    shape = tuple(-(-n // stage) for n in thorax.im.shape) if padto is None else (padto,) * 3
    assert item.im.shape == shape and item.spacing == (4.0 * stage,) * 3
    suffix = (f'_s{stage}' if stage > 1 else '') + ('' if padto is None else f'_p{padto}')
    path = su.address_generator(setting, 'OriginalIm', data='Phantom_4D', cn=1, stage=stage, padto=padto)
    assert path.endswith(f'case1_T00_RS1{suffix}.mha') and os.path.exists(path)
    if padto is not None:
        before = (padto - -(-thorax.im.shape[0] // stage)) // 2
        original = get_item(setting, dict(info, dsmooth=0)).im
        assert (original[:before] == -2048).all() and (original[before] > -2048).any()


def test_staged_original_follows_its_source(setting, info, thorax):
    setting['deform_exp']['3D_max7_D14_K']['SingleFrequency_SetGridBorderToZero'] = [[0, 0, 0]] * 5
    info = dict(info, dsmooth=5, stage=2)
    first = get_item(setting, info)
    write_thorax(setting, thorax._replace(im=(thorax.im + 100).astype(np.int16)))
    second = get_item(setting, info)
    inside = (first.mask > 0) & (second.mask > 0)
    assert np.array_equal(first.dvf, second.dvf)
    assert (second.deformed_im.astype(int) - first.deformed_im)[inside].mean() > 50


def damage_truncate(path):
    with open(path, 'r+b') as stream:
        stream.truncate(os.path.getsize(path) // 2)


def damage_empty(path):
    open(path, 'w').close()


def damage_remove(path):
    os.remove(path)


def damage_swap(path):
    """Another image of the same size in its place."""
    image = sitk.ReadImage(path)
    sitk.WriteImage(
        image * 0
        if image.GetNumberOfComponentsPerPixel() == 1
        else sitk.Image(image.GetSize(), sitk.sitkVectorFloat32, 3),
        path,
    )


@pytest.mark.once
@pytest.mark.parametrize('damage', [damage_truncate, damage_empty, damage_remove, damage_swap])
def test_any_damaged_file_is_noticed_and_made_again(setting, info, tmp_path, damage, caplog):
    info = dict(info, dsmooth=9)
    truth = get_item(setting, info)
    files = [path for path in all_files(str(tmp_path) + '/Elastix') if path.endswith('.mha')]
    assert len(files) == 9
    for path in files:
        with open(path, 'rb') as stream:
            content = stream.read()
        damage(path)
        caplog.clear()
        assert not item_files.check_item(ItemSpecification(setting, info))[0], path
        assert_same(truth, get_item(setting, info))
        assert 'again' in caplog.text
        with open(path, 'rb') as stream:
            assert stream.read() == content, path
        assert item_files.check_item(ItemSpecification(setting, info)) == (True, '')


def test_a_changed_setting_makes_the_item_again(setting, info):
    info = dict(info, dsmooth=5)
    first = get_item(setting, info)
    setting['SpongeModel'] = 'physical'
    second = get_item(setting, info)
    assert np.array_equal(first.mask, second.mask)
    assert not np.array_equal(first.deformed_im, second.deformed_im)
    setting['deform_exp']['3D_max7_D14_K']['MaxDeform'] = 5
    assert np.abs(get_item(setting, info).dvf).max() <= 5 * (1 + 1e-5)


def test_a_copied_tree_is_still_finished(setting, info, tmp_path):
    get_item(setting, info)
    root = str(tmp_path) + '/Elastix'
    shutil.copytree(root, root + '2')  # copies get the times of the originals, files are new
    shutil.rmtree(root)
    shutil.move(root + '2', root)
    for path in all_files(root):
        os.utime(path)
    assert item_files.check_item(ItemSpecification(setting, info)) == (True, '')


def test_seeds_depend_on_everything_that_identifies_an_item(setting, info):
    infos = [
        dict(info, dsmooth=5),
        dict(info, dsmooth=19),
        dict(info, dsmooth=5, cn=2),
        dict(info, dsmooth=5, type_im=5),
        dict(info, dsmooth=5, stage=2),
        dict(info, dsmooth=5, deform_exp='3D_max15_D14_K'),
        dict(info, dsmooth=5, data='SPREAD', type_im=0),
    ]
    draws = [
        ItemSpecification(setting, i).random('single_frequency', *more).uniform()
        for i in infos
        for more in ((), ('Next',))
    ]
    assert len(set(draws)) == len(draws)


def test_without_masks(setting, info):
    setting['UseLungMask'] = setting['UseTorsoMask'] = False
    setting['deform_exp']['3D_max7_D14_K']['MaskToZero'] = None
    for request in ('OriginalLung', 'OriginalTorso'):
        os.remove(su.address_generator(setting, request, data='Phantom_4D', cn=1, stage=1))
    item = get_item(setting, dict(info, dsmooth=5))
    assert item.mask.all() and not item.lung.any()
    assert_same(item, get_item(setting, dict(info, dsmooth=5)))
    with pytest.raises(InputError, match='UseLungMask'):
        get_item(setting, dict(info, dsmooth=9))
    setting['UseTorsoMask'] = True
    with pytest.raises(MissingFileError, match='Torso'):
        get_item(setting, dict(info, dsmooth=5))


def test_dvf_pad_makes_the_field_larger(setting, info):
    setting['DVFPad_S1'] = 3
    item = get_item(setting, dict(info, dsmooth=9))
    assert item.dvf.shape[:3] == tuple(n + 6 for n in item.im.shape) == item.mask.shape
    assert not item.mask[:3].any()
    assert_same(item, get_item(setting, dict(info, dsmooth=9)))


@pytest.mark.parametrize(
    'change, message',
    [
        ({'cn': 2}, 'does not exist'),
        ({'stage': 3}, 'accepted: 1, 2, 4'),
        ({'dsmooth': -1}, 'dsmooth'),
        ({'type_im': 77}, 'type_im'),
        ({'deform_exp': '3D_max7_D14'}, '3D_max7_D14_K'),
        ({'data': 'Phantom'}, 'Phantom_4D'),
        ({'deformed_im_ext': ['Clean', 'Nois']}, 'Noise'),
        ({'padto': 40}, 'padto 40'),
    ],
)
def test_bad_requests(setting, info, change, message):
    with pytest.raises(RegNetError, match=message):
        get_item(setting, dict(info, **change))


def test_bad_settings_and_images(setting, info):
    with pytest.raises(InputError, match='lacks cn, dsmooth'):
        get_item(setting, {'data': 'Phantom_4D', 'type_im': 0, 'deform_exp': '3D_max7_D14_K'})
    with pytest.raises(UnknownNameError, match='published'):
        get_item(dict(setting, SpongeModel='sponge'), info)
    with pytest.raises(InputError, match='UseTorsoMask is False'):
        get_item(dict(setting, UseTorsoMask=False), info)
    with pytest.raises(MissingFileError, match='never_generate_image'):
        get_item(dict(setting, never_generate_image=True), info)
    with pytest.raises(InputError, match='single_frequency D3.*too small for a B-spline grid of 25'):
        get_item(setting, _tiny(setting, info))
    path = su.address_generator(setting, 'OriginalLung', data='Phantom_4D', cn=1, stage=1)
    image = sitk.ReadImage(path)
    sitk.WriteImage(image * 0, path)
    with pytest.raises(InputError, match='Lung.*empty'):
        get_item(setting, info)
    sitk.WriteImage(image[1:], path)
    with pytest.raises(InputError, match='Lung'):
        get_item(setting, info)


def _tiny(setting, info):
    write_thorax(setting, make_thorax((40, 40, 40), (0.25, 0.25, 0.25)), cn=3)
    setting['deform_exp']['3D_max7_D14_K']['SingleFrequency_BSplineGridSpacing'][0] = [10, 10, 10]
    return dict(info, cn=3, dsmooth=7)


def test_rotated_image_is_refused(setting, info):
    path = su.address_generator(setting, 'OriginalIm', data='Phantom_4D', cn=1, stage=1)
    image = sitk.ReadImage(path)
    image.SetDirection((0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0))
    sitk.WriteImage(image, path)
    with pytest.raises(InputError, match='identity direction'):
        get_item(setting, info)


@pytest.mark.parametrize('stage', [1, 4])
def test_the_input_margin_cuts_an_item_to_the_box_of_both_lungs(setting, info, stage):
    info = dict(info, dsmooth=0, stage=stage)
    setting['InputMask'] = 'Lung'
    whole = make_item(setting, info)
    setting['InputMargin'] = 9
    part = make_item(setting, info)
    seen = (whole.im != -2048) | (whole.deformed_im != -2048)
    margin = int(np.ceil(9.0 / whole.spacing[0]))
    box = []
    for axis in range(3):
        found = np.nonzero(seen.any(axis=tuple(i for i in range(3) if i != axis)))[0]
        box.append(slice(max(0, found.min() - margin), found.max() + 1 + margin))
    for name in ARRAYS:
        assert (getattr(part, name) == getattr(whole, name)[tuple(box)]).all(), name
    assert part.im.size < whole.im.size


@pytest.mark.parametrize('wrong', [{'DVFPad_S4': 2, 'stage': 4}, {'InputMask': None}])
def test_an_input_margin_without_what_it_is_around_is_refused(setting, info, wrong):
    setting.update({'InputMargin': 8, 'InputMask': 'Lung'}, **wrong)
    if 'InputMask' in wrong:
        setting['deform_exp'] = {info['deform_exp']: dict(load_deform_exp_setting(info['deform_exp']), MaskToZero=None)}
    with pytest.raises(InputError, match='InputMargin'):
        make_item(setting, dict(info, dsmooth=5, stage=4))
