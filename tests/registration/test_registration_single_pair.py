"""Two scans in, one registration out: what is read, made, assumed and refused."""

import itertools
import logging

import numpy as np
import pytest
import SimpleITK as sitk
from model_folders import add_checkpoint, make_model
from oracle import CENTRE, GRIDS, SETTING, Oracle, chest_image, grid_image

from functions.image.volume_io import image_from_array
from functions.phantom.case import Case
from functions.registration import open_model, register
from functions.registration.input_scan import isotropic_scan, read_scan
from functions.registration.multi_stage import check_field
from functions.registration.network_pyramid import Model
from functions.setting.errors import InputError, MissingFileError, UnknownNameError


@pytest.fixture(scope='module')
def pair():
    fixed, lung = chest_image(grid_image(*GRIDS['anisotropic']))
    moving, moving_lung = chest_image(grid_image((66, 60, 62), (1.0,) * 3), seed=1)
    return fixed, lung, moving, moving_lung


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return tmp_path_factory.mktemp('Experiments')


@pytest.fixture(scope='module')
def model_4(root):
    return make_model(root, 'four', 4)


@pytest.fixture(scope='module')
def model_2(root):
    return make_model(root, 'two', 2)


class Constant:
    """A network that answers one displacement everywhere."""

    step = 1

    def __init__(self, value, **setting):
        self.value, self.setting, self.seen = value, dict(SETTING, stage=4, **setting), []

    def predict(self, moving, fixed, default):
        self.seen.append((moving, fixed, default))
        return np.full(fixed.shape + (3,), self.value, np.float32)

    def close(self):
        pass


def run(pair, network, **options):
    fixed, lung, moving, moving_lung = pair
    given = {'affine': 'none', 'fixed_lung': lung, 'moving_lung': moving_lung, 'keep_all_stages': True}
    options = dict(given, **options)
    return register(fixed, moving, {4: network}, **options)


def test_a_folder_a_list_a_dictionary_and_opened_networks_are_the_same_model(pair, model_4, model_2):
    fixed, lung, moving, moving_lung = pair
    masks = {'fixed_lung': lung, 'moving_lung': moving_lung, 'affine': 'none', 'threads': 1, 'keep_all_stages': True}
    with open_model([model_2, model_4], threads=1) as opened:
        assert opened.stages == [4, 2] and opened.mask == 'Lung' and opened.default == -2048
        fields = [register(fixed, moving, opened, **masks).dvf]
        fields.append(register(fixed, moving, opened.networks, **masks).dvf)
        coarse = register(fixed, moving, opened, [4], **masks).dvf
    fields.append(register(fixed, moving, {4: model_4, 2: model_2}, **masks).dvf)
    for field in fields[1:]:
        np.testing.assert_array_equal(sitk.GetArrayFromImage(field), sitk.GetArrayFromImage(fields[0]))
    alone = register(fixed, moving, model_4, **masks)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(alone.dvf), sitk.GetArrayFromImage(coarse))
    assert alone.settings['networks']['4']['step'] == 7 and alone.settings['networks']['4']['folder'] == model_4
    assert np.abs(sitk.GetArrayFromImage(alone.dvf)).max() > 0.1


def test_networks_see_the_default_value_outside_the_masks(pair):
    network = Constant(3.0)
    run(pair, network)
    moving, fixed, default = network.seen[0]
    assert default == -2048
    for image in (moving, fixed):
        assert (image == -2048).mean() > 0.5 and (image[image != -2048] > -1200).all()
    run(pair, network, input_mask='none')
    assert (network.seen[1][1] != -2048).all()
    # Where there is no moving image the networks see the same value.
    moving, lung = chest_image(grid_image((40, 60, 62), (1.0,) * 3), seed=1)
    run((pair[0], pair[1], moving, lung), network, input_mask='none')
    # Down-sampling mixes a little of the image into it.
    assert (network.seen[2][0] < -1700).mean() > 0.1


def test_a_translation_moves_the_image_and_is_measured(pair):
    result = run(pair, Constant(3.0))
    np.testing.assert_allclose(sitk.GetArrayFromImage(result.dvf), 3.0, atol=1e-5)
    np.testing.assert_allclose(sitk.GetArrayFromImage(result.jacobian), 1.0, atol=1e-5)
    expected = sitk.Resample(
        pair[2], pair[0], sitk.TranslationTransform(3, (3.0, 3.0, 3.0)), sitk.sitkBSpline, -1024.0, sitk.sitkFloat32
    )
    assert np.abs(sitk.GetArrayFromImage(result.moved) - sitk.GetArrayFromImage(expected)).max() < 0.6
    assert result.measures['folding_percent'] == 0 and result.measures['folding_percent_at_1_mm'] == 0
    assert result.measures['displacement_mm']['median'] == pytest.approx(3 * 3**0.5, abs=1e-3)
    assert result.transform.TransformPoint(CENTRE.tolist()) == pytest.approx((CENTRE + 3).tolist(), abs=1e-4)


def test_masks_are_made_where_they_are_needed_and_not_given():
    chest, lung, torso = Case(1, {'Size': [96, 80, 88]}).phase(0)
    raw = read_scan(chest, 'fixed')
    fixed = isotropic_scan(raw, 'Lung')
    for name, truth in (('Lung', lung), ('Torso', torso)):
        found, truth = [sitk.GetArrayFromImage(mask).astype(bool) for mask in (fixed.masks[name], truth)]
        assert 2.0 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9
    assert fixed.given == {'Lung': None, 'Torso': None}
    assert isotropic_scan(raw).masks == {'Lung': None, 'Torso': None}
    assert isotropic_scan(raw, 'Torso').masks['Lung'] is None


def as_array(image):
    """(array, spacing, origin) of an image."""
    return sitk.GetArrayFromImage(image), image.GetSpacing(), image.GetOrigin()


def test_arrays_with_spacing_and_origin_are_the_same_as_images(pair):
    moved = [Oracle(pair[0], [4]).networks()[4] for _ in range(2)]
    expected = run(pair, moved[0])
    fixed, lung, moving, moving_lung = map(as_array, pair)
    grid = {'spacing': (np.array(fixed[1]), list(moving[1])), 'origin': (fixed[2], moving[2])}
    # Other types and orders of bytes and voxels hold the same values.
    arrays = (fixed[0].astype('>i2'), lung[0] != 0, np.asfortranarray(moving[0], np.float64), moving_lung[0] * 1.0)
    found = run(arrays, moved[1], **grid)
    assert np.abs(sitk.GetArrayFromImage(found.dvf)).max() > 5
    for name in ('dvf', 'moved'):
        there, here = getattr(expected, name), getattr(found, name)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(here), sitk.GetArrayFromImage(there))
        assert here.GetSpacing() == there.GetSpacing() and here.GetOrigin() == pytest.approx(there.GetOrigin())
    # An array beside an image; without an origin it begins at zero.
    beside = run(arrays[:2] + pair[2:], Constant(1.0), spacing=(fixed[1], None), origin=(fixed[2], None))
    assert beside.dvf.GetOrigin() == fixed[2]
    first = run((arrays[0], arrays[1]) * 2, Constant(1.0), spacing=(fixed[1],) * 2).dvf
    assert first.GetOrigin() == (0, 0, 0) and first.GetSpacing() == fixed[1]


@pytest.mark.parametrize(
    'change, text',
    [
        ({'spacing': (None, None)}, r'fixed image is an array, .* spacing=\(\(x, y, z\), ...\) in mm'),
        ({'spacing': ((1, 1, 1), None)}, r'moving image is an array, .* spacing=\(..., \(x, y, z\)\) in mm'),
        ({'spacing': (1, 1, 1)}, 'spacing is .*; accepted: two'),
        ({'spacing': ((1, 1, 0), (1, 1, 1))}, 'spacing of the fixed image is .* above 0'),
        ({'spacing': ((1, 1, 1), (1, 1))}, 'spacing of the moving image is .* 3 items'),
        ({'spacing': ((1, 1, 1), 1.0)}, 'spacing of the moving image is 1.0'),
        ({'origin': ((0, 0, np.nan), None)}, 'origin of the fixed image is .*nan'),
        ({'fixed': np.zeros((4, 5))}, r'fixed image is an array \(4, 5\) of float64; real numbers in \[z, y, x\]'),
        ({'fixed': np.zeros((4, 5, 6, 1))}, r'fixed image is an array \(4, 5, 6, 1\)'),
        ({'moving': np.zeros((0, 5, 6))}, r'moving image is an array \(0, 5, 6\)'),
        ({'moving': np.zeros((4, 5, 6), complex)}, 'moving image is an array .* of complex128'),
        ({'moving': np.full((4, 5, 6), None)}, 'moving image is an array .* of object'),
        ({'moving': np.full((4, 5, 6), np.nan)}, 'moving image holds values that are NaN'),
        ({'moving': [[[1.0]]]}, 'moving image is of type list; accepted: a file'),
        ({'moving_lung': np.ones((4, 5, 6))}, 'lung mask of the moving image is an array .* shape of its image'),
        ({'fixed_torso': np.ones((4, 5, 6), complex)}, 'torso mask of the fixed image is an array'),
    ],
)
def test_arrays_that_are_no_images_are_refused(pair, change, text):
    fixed, lung, moving, moving_lung = [as_array(image)[0] for image in pair]
    options = {'fixed': fixed, 'moving': moving, 'fixed_lung': lung, 'moving_lung': moving_lung}
    options.update({'spacing': ((1, 1, 1), (1, 1, 1)), 'affine': 'none'}, **change)
    with pytest.raises(InputError, match=text):
        register(model={4: Constant(1.0)}, **options)


def test_a_spacing_for_what_has_its_own_is_refused(pair):
    with pytest.raises(InputError, match='for NumPy arrays; the moving image has its own'):
        run(pair, Constant(1.0), spacing=(None, (1, 1, 1)))


def test_content_that_lies_otherwise_than_the_header_says_is_a_warning(pair, caplog):
    image, lung, _ = Case(1, {'Size': [96, 80, 88]}).phase(0)
    turned = [image_from_array(sitk.GetArrayFromImage(one)[:, ::-1, ::-1], one) for one in (image, lung)]
    with caplog.at_level(logging.WARNING):
        run((image, lung, image, lung), Constant(1.0))
        assert 'swapped' not in caplog.text
        run((image, lung) + tuple(turned), Constant(1.0))
    assert 'The moving image seems to lie with front and back and left and right swapped' in caplog.text


# ---- bad input


def without(image, value):
    array = sitk.GetArrayFromImage(image).astype(np.float32)
    array[5, 6, 7] = value
    result = sitk.GetImageFromArray(array)
    result.CopyInformation(image)
    return result


def moved_away(image):
    image = sitk.Image(image)
    image.SetOrigin((np.array(image.GetOrigin()) + 900).tolist())
    return image


@pytest.mark.parametrize(
    'bad, text',
    [
        (lambda image: without(image, np.nan), 'NaN or infinite'),
        (lambda image: without(image, np.inf), 'NaN or infinite'),
        (lambda image: image * 0, 'HU is needed'),
        (lambda image: sitk.Cast(image > 0, sitk.sitkInt16), 'HU is needed'),
        (lambda image: sitk.Compose(image, image, image), '3D image with one value'),
        (lambda image: sitk.JoinSeries([image, image]), '3D image with one value'),
        (lambda image: image[:, :, 5], '3D image with one value'),
    ],
)
@pytest.mark.parametrize('role', [0, 2])
def test_images_that_are_not_ct_are_refused(pair, bad, text, role):
    images = list(pair)
    images[role] = bad(images[role])
    with pytest.raises(InputError, match=text):
        run(images, Constant(1.0))


def test_images_and_masks_that_do_not_go_together_are_refused(pair):
    fixed, lung, moving, moving_lung = pair
    with pytest.raises(InputError, match='does not overlap'):
        run((fixed, lung, moved_away(moving), moved_away(moving_lung)), Constant(1.0))
    with pytest.raises(InputError, match='lung mask of the fixed image.*same grid'):
        run(pair, Constant(1.0), fixed_lung=moving_lung)
    with pytest.raises(InputError, match='lung mask of the moving image is empty'):
        run(pair, Constant(1.0), moving_lung=moving_lung * 0)
    with pytest.raises(MissingFileError, match='nothing_here'):
        run(pair, Constant(1.0), fixed_lung='nothing_here.mha')
    with pytest.raises(MissingFileError, match='nothing_here'):
        register('nothing_here.nii.gz', moving, {4: Constant(1.0)})


@pytest.mark.parametrize('value, text', [(0.0, 'zero everywhere'), (np.nan, 'nan'), (np.inf, 'inf'), (150.0, '150')])
def test_implausible_fields_are_refused(pair, value, text):
    with pytest.raises(InputError, match=text):
        run(pair, Constant(value))
    field = np.ones((4, 3, 2, 3), np.float32)
    check_field(field, field, 4)
    field[2, 1, 1, 0] = value
    if value != 0:
        with pytest.raises(InputError, match=text):
            check_field(field, field, 4)


def test_a_network_trained_in_this_run_may_be_hardly_trained(pair, caplog):
    result = run(pair, Constant(150.0), trained=False)
    assert result.measures['displacement_mm']['max'] > 200 and 'This run trained it' in caplog.text
    with pytest.raises(InputError, match='nan'):
        run(pair, Constant(np.nan), trained=False)


def test_seconds_of_repeated_passes_add_up(pair, monkeypatch):
    network = Constant(1.0)
    now = itertools.count(0.0, 0.5)
    monkeypatch.setattr('functions.registration.step_clock.time.time', lambda: next(now))
    fixed, lung, moving, moving_lung = pair
    options = {'affine': 'none', 'fixed_lung': lung, 'moving_lung': moving_lung, 'keep_all_stages': True}
    assert register(fixed, moving, {4: network}, [4, 4], **options).seconds['network of stage 4'] == 1.0


def test_no_image_is_in_the_hands_of_two_threads(pair, monkeypatch):
    """SimpleITK moves an image's memory where a thread asks for its array and another one filters it."""
    fixed, lung, _, _ = pair
    seen, handed = [], []

    def remembering(source, role, mask, *rest):
        seen.extend([source, mask])
        return read_scan(source, role, mask, *rest)

    monkeypatch.setattr('functions.registration.pair_preparation.read_scan', remembering)
    result = run((fixed, lung, fixed, lung), Constant(1.0), on_fields=lambda *fields: handed.extend(fields))
    assert len({id(image) for image in seen + [fixed, lung]}) == 6
    fields = [result.nonrigid, result.dvf] + handed[1:]
    assert handed[0] is None and not {id(one) for one in fields[:2]} & {id(one) for one in fields[2:]}
    for mine, theirs in zip(fields[:2], fields[2:]):
        np.testing.assert_array_equal(sitk.GetArrayFromImage(theirs), sitk.GetArrayFromImage(mine))


@pytest.mark.parametrize(
    'options, text',
    [
        ({'grid': 'fine'}, 'native'),
        ({'input_mask': 'lungs'}, 'Lung'),
        ({'composition': 'sum'}, 'additive'),
        ({'affine': 'elastics'}, 'elastix'),
        ({'fixed_lungs': None}, 'fixed_lung'),
    ],
)
def test_misspelt_options_name_what_is_accepted(pair, options, text):
    with pytest.raises(UnknownNameError, match=text):
        run(pair, Constant(1.0), **options)
    for series in (3, (3,), '12'):
        with pytest.raises(InputError, match='series is .*; accepted: two'):
            run(pair, Constant(1.0), series=series)


# ---- models


@pytest.mark.parametrize('key', ['normalization', 'DVFUnit', 'DownSampling', 'data', 'NetworkDesign'])
def test_a_model_that_does_not_say_how_it_was_trained_is_refused(tmp_path, key):
    folder = make_model(tmp_path, step=None, leave_out=[key])
    with pytest.raises(InputError, match=f"do not say '{key}'"):
        open_model(folder)


def test_models_that_do_not_go_together_are_refused(model_4, model_2, tmp_path):
    networks = {4: Constant(1.0), 2: Constant(1.0)}
    networks[2].setting['stage'] = 2
    networks[2].setting['InputMask'] = 'Torso'
    with pytest.raises(InputError, match='must name one mask'):
        Model(networks)
    networks[2].setting.update(InputMask='Lung', data={'MyCT': {'DefaultPixelValue': -1024}})
    with pytest.raises(InputError, match="one 'DefaultPixelValue'"):
        Model(networks)
    with pytest.raises(InputError, match='trained for stage 4 and cannot be used at stage 2'):
        open_model({2: model_4})
    with pytest.raises(InputError, match='both for stage 4'):
        open_model([model_4, model_4])
    with pytest.raises(InputError, match='no network for stage 1'):
        open_model([model_4, model_2], [2, 1])
    with pytest.raises(InputError, match='Accepted'):
        open_model([model_4, model_2], [2, 4])
    with pytest.raises(InputError, match='accepted: 4, 2, 1'):
        open_model({3: model_4})
    with pytest.raises(InputError, match="DownSampling is 'mean'"):
        open_model(make_model(tmp_path, step=None, DownSampling='mean'))


def test_a_folder_without_settings_or_weights_is_refused(tmp_path):
    with pytest.raises(MissingFileError, match='nobody: no settings file'):
        open_model(str(tmp_path / 'nobody'))
    with pytest.raises(MissingFileError, match='no settings file'):
        open_model(str(tmp_path))
    with pytest.raises(MissingFileError, match='no checkpoint that can be used'):
        open_model(make_model(tmp_path, 'weightless', step=None))


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path, caplog):
    folder = make_model(tmp_path, 'damaged', step=3)
    setting = {'log_root_folder': str(tmp_path) + '/', 'current_experiment': 'RegNet/damaged'}
    prefix = add_checkpoint(setting, 5)
    with open(prefix + '.index', 'ab') as stream:
        stream.write(b'x')
    with caplog.at_level(logging.WARNING), open_model(folder, threads=1) as model:
        assert model.networks[4].step == 3
    assert 'checkpoint of step 5 cannot be used' in caplog.text


def test_an_oracle_of_another_stage_is_refused(pair):
    networks = Oracle(pair[0], [4]).networks()
    with pytest.raises(InputError, match='no network for stage 2'):
        register(pair[0], pair[2], networks, [4, 2])
