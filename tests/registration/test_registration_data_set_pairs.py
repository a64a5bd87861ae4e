"""A pair that the settings name, with an affine registration before the network."""

import os

import numpy as np
import pytest
import SimpleITK as sitk
from oracle import DEVIATION, MEAN, SETTING, Errors, chest_image, grid_image, points_of
from scipy import stats

from functions.image.volume_io import write_image
from functions.network.description import NETWORKS
from functions.registration.data_set_pairs import check_pairs, register_pair
from functions.registration.network_pyramid import Model, require_memory
from functions.setting import setting_utils as su
from functions.setting.errors import InputError, MissingFileError
from functions.setting.text_files import read_json
from functions.tf_utils.log_normal import SMALLEST

SHIFT = np.array([6.0, -4.0, 5.0])
PAIR = [{'data': 'Phantom_4D', 'cn': 1, 'type_im': type_im, 'spacing': 'RS1'} for type_im in (0, 5)]


def without_spacing(info):
    return {key: value for key, value in info.items() if key != 'spacing'}


class Still:
    """A network that answers next to nothing."""

    setting, step = dict(SETTING, stage=4), 3

    def predict(self, moving, fixed, default):
        return np.full(fixed.shape + (3,), 1e-3, np.float32)


@pytest.fixture
def setting(tmp_path, monkeypatch):
    """Settings with a pair on disk: the moving image is the fixed one, elsewhere by SHIFT and on another
    grid."""
    monkeypatch.chdir(tmp_path)
    setting = su.initialize_setting('tiny', where_to_run='Root')
    su.load_setting_from_data_dict(setting, [{'data': 'Phantom_4D', 'deform_exp': '3D_max20_D14_K'}])
    su.load_registration_setting(setting, [4])
    setting['network_dict'] = {'stage4': {'NetworkLoad': 'tiny'}}
    setting['BaseReg'] = 'Affine'
    for info, size, shift in zip(PAIR, ((60, 58, 62), (66, 64, 60)), (0 * SHIFT, SHIFT)):
        image, lung = chest_image(grid_image(size, (1.0,) * 3))
        torso = image > -500
        for request, content in (('OriginalIm', image), ('OriginalLung', lung), ('OriginalTorso', torso)):
            content = sitk.Image(content)
            content.SetOrigin((np.array(content.GetOrigin()) + shift).tolist())
            write_image(content, su.address_generator(setting, request, stage=1, **without_spacing(info)))
    return setting


def test_the_affine_is_part_of_the_total_field(setting):
    written = register_pair(setting, PAIR, {4: Still()})
    result, out = written.registration, written.folder
    inside = sitk.GetArrayFromImage(result.lung) != 0
    found = sitk.GetArrayFromImage(result.dvf)[inside]
    assert np.linalg.norm(found - SHIFT, axis=1).max() < 0.7
    written = sitk.ReadImage(os.path.join(out, 'DVF_S0.mha'))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(written), sitk.GetArrayFromImage(result.dvf))
    transform = sitk.ReadTransform(
        su.address_generator(setting, 'BaseRegFolder', data='Phantom_4D', pair_info=PAIR, base_reg='Affine')
        + 'affine.tfm'
    )
    points = points_of(result.dvf)[inside][::500]
    expected = [transform.TransformPoint((point + 1e-3).tolist()) for point in points]
    np.testing.assert_allclose(points + found[::500], expected, atol=1e-3)
    assert read_json(os.path.join(out, 'registration.json'))['BaseReg'] == 'Affine'
    moved = sitk.GetArrayFromImage(result.moved)[inside].astype(float)
    assert np.corrcoef(moved, sitk.GetArrayFromImage(result.fixed)[inside])[0, 1] > 0.95


def test_without_an_affine_the_images_stay_where_they_are(setting):
    setting['BaseReg'] = 'Identity'
    result = register_pair(setting, PAIR, {4: Still()}).registration
    assert result.linear is None
    assert np.abs(sitk.GetArrayFromImage(result.dvf)).max() < 0.01


def test_the_expected_error_is_written_with_its_probabilities(setting):
    """They are those of the distribution in the lungs of the fixed image, and 0 elsewhere; the record names them."""
    setting['BaseReg'] = 'Identity'
    written = register_pair(setting, PAIR, Model({4: Still()}, error_map=Errors()))
    image = sitk.ReadImage(os.path.join(written.folder, 'ErrorMap.mha'))
    layers, one = sitk.GetArrayFromImage(image), stats.lognorm(DEVIATION, loc=-SMALLEST, scale=np.exp(MEAN))
    lung = sitk.Resample(written.registration.lung, image, sitk.Transform(), sitk.sitkNearestNeighbor)
    inside = sitk.GetArrayFromImage(lung) != 0
    assert image.GetSpacing() == (2.0, 2.0, 2.0) and inside.any() and not layers[~inside].any()
    truth = [one.mean()] + [one.cdf(mm) for mm in (1, 2, 3, 5)]
    np.testing.assert_allclose(layers[inside], np.broadcast_to(truth, (inside.sum(), 5)), rtol=1e-4)
    record = read_json(os.path.join(written.folder, 'registration.json'))
    assert 'ErrorMap.mha' in [output['path'] for output in record['outputs']]
    assert record['error_map']['step'] == 7 and record['measures']['expected_error_mm']['mean'] == pytest.approx(
        truth[0]
    )
    # Without the network nothing is said.
    record = read_json(os.path.join(register_pair(setting, PAIR, {4: Still()}).folder, 'registration.json'))
    assert 'ErrorMap.mha' not in [output['path'] for output in record['outputs']] and record['error_map'] is None


def test_pairs_are_checked_before_training(setting):
    """Masks of the affine, and the memory that the networks may use."""
    network = {'InputMask': 'Lung', 'InputMargin': 8, 'NetworkDesign': 'unet1', 'stage': 4}
    check_pairs(setting, [PAIR], [network])
    os.remove(su.address_generator(setting, 'OriginalTorso', stage=1, **without_spacing(PAIR[1])))
    with pytest.raises(MissingFileError, match='Torso'):
        check_pairs(setting, [PAIR], [network])
    setting['BaseReg'] = 'Identity'
    check_pairs(setting, [PAIR], [network])
    with pytest.raises(InputError, match='smallest tile.*MaximumMemory'):
        check_pairs(dict(setting, MaximumMemory=1e6), [PAIR], [network])


def test_memory_that_cannot_do_for_an_image_is_known_before_the_work():
    """By its tiles, whose sides are those of the image or of the smallest tile, and by the mask where that counts."""
    network, fixed = {'InputMargin': 8, 'NetworkDesign': 'unet1', 'stage': 4}, sitk.Image(400, 120, 440, sitk.sitkUInt8)
    mask = sitk.Image(fixed)
    mask[180:220, 40:80, 180:260] = 1
    for inside, sides in ((None, (101, 37, 101)), (mask, (29, 21, 21))):
        enough = NETWORKS['unet1'].peak_bytes(sides)
        require_memory(network, enough, fixed, inside)
        with pytest.raises(InputError, match='smallest tile.*MaximumMemory'):
            require_memory(network, enough - 1, fixed, inside)
