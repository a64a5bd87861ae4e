"""The door: files at their addresses, landmarks in DIR-Lab's format, work not done twice, and bad input."""

import json
import logging
import os

import numpy as np
import pytest
import SimpleITK as sitk

from functions.phantom import phantom
from functions.phantom.case import Case
from functions.phantom.patient import DEFAULT_OPTIONS, check_options
from functions.setting import setting_utils as su
from functions.setting.errors import InputError

OPTIONS = {'Size': [80, 72, 76], 'Landmarks': 40, 'LandmarksAllPhases': 12}


def make_setting(folder, **options):
    setting = su.initialize_setting(current_experiment='phantom', where_to_run='Root')
    setting['DataFolder'] = str(folder) + '/'
    setting['Phantom'] = dict(OPTIONS, **options)
    return setting


def address(setting, request, type_im=0, cn=1, other=None):
    pair = [{'data': 'Phantom_4D', 'cn': cn, 'type_im': k} for k in (type_im, other)]
    return su.address_generator(
        setting, request, data='Phantom_4D', cn=cn, type_im=type_im, pair_info=None if other is None else pair
    )


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    setting = make_setting(tmp_path_factory.mktemp('phantom'))
    assert phantom.make_case(setting, 1) == [0, 5]
    return setting


def table(path, skip=0):
    return np.loadtxt(path, skiprows=skip, ndmin=2)


def test_images_and_field_are_written(made):
    case = Case(1, made['Phantom'])
    for type_im in (0, 5):
        for request, expected in zip(('OriginalIm', 'OriginalLung', 'OriginalTorso'), case.phase(type_im)):
            image = sitk.ReadImage(address(made, request, type_im))
            assert image.GetPixelID() == expected.GetPixelID()
            assert image.GetOrigin() == pytest.approx(expected.GetOrigin())
            assert np.array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(expected))
    dvf = sitk.ReadImage(address(made, 'TrueDVF', 0, other=5))
    assert dvf.GetSize() == (80, 72, 76) and dvf.GetNumberOfComponentsPerPixel() == 3
    fixed = table(address(made, 'LandmarkPointExact', 0, other=5))
    moving = table(address(made, 'LandmarkPointExact', 5, other=0))
    assert fixed.shape == moving.shape == (40, 3)
    transform = sitk.DisplacementFieldTransform(sitk.Cast(dvf, sitk.sitkVectorFloat64))
    moved = np.array([transform.TransformPoint(point) for point in fixed])
    assert np.abs(moved - moving).max() < 0.1


def test_dirlab_text_comes_back_within_half_a_voxel(made):
    """The conversion of DIR-Lab's files: x - 1, y - 1, nz - z."""
    for type_im, other in ((0, 5), (5, 0), (3, 0), (0, 3)):
        image = sitk.ReadImage(address(made, 'OriginalIm', 0))
        text = table(address(made, 'LandmarkIndex', type_im, other=other))
        exact = table(address(made, 'LandmarkPointExact', type_im, other=other))
        assert len(text) == len(exact) == (40 if other in (0, 5) and type_im in (0, 5) else 12)
        index = np.stack([text[:, 0] - 1, text[:, 1] - 1, 76 - text[:, 2]], axis=1)
        world = np.array([image.TransformContinuousIndexToPhysicalPoint(row) for row in index])
        assert np.abs(world - exact).max() <= 0.5 + 1e-6
        assert text.min() >= 1 and np.all(text.max(axis=0) <= (80, 72, 76))
        assert np.array_equal(table(address(made, 'LandmarkIndex_tr', type_im, other=other)), index)
        rounded = table(address(made, 'LandmarkPoint_tr', type_im, other=other))
        assert np.allclose(rounded, world, atol=1e-3)
        for request, kind, values in (('LandmarkIndex_elx', 'index', index), ('LandmarkPoint_elx', 'point', rounded)):
            path = address(made, request, type_im, other=other)
            with open(path) as stream:
                assert stream.readline().strip() == kind and int(stream.readline()) == len(values)
            assert np.allclose(table(path, skip=2), values)


def test_the_few_landmarks_are_the_first_of_the_many(made):
    many = table(address(made, 'LandmarkPointExact', 0, other=5))
    few = table(address(made, 'LandmarkPointExact', 0, other=4))
    assert np.array_equal(many[:12], few)
    every = [table(address(made, 'LandmarkPointExact', k, other=2 if k == 1 else 1)) for k in range(10)]
    motion = [np.linalg.norm(points - few, axis=1).mean() for points in every]
    assert motion[0] == 0 and np.argmax(motion) == 5


@pytest.mark.once
def test_finished_cases_are_not_made_again(tmp_path, caplog):
    setting = make_setting(tmp_path)
    assert phantom.make_case(setting, 2, types=[0]) == [0]
    assert not os.path.exists(address(setting, 'TrueDVF', 0, cn=2, other=5))
    inhale = address(setting, 'OriginalIm', 0, cn=2)
    stamp = os.stat(inhale).st_mtime_ns
    with caplog.at_level(logging.WARNING):
        assert phantom.make_case(setting, 2, types=(0, 5)) == [5]
        assert os.path.exists(address(setting, 'TrueDVF', 0, cn=2, other=5))
        assert phantom.make_case(setting, 2, types=(5,)) == []
        assert phantom.make_case(setting, 2, types=(0, 5)) == []
    assert os.stat(inhale).st_mtime_ns == stamp and not caplog.records
    with open(address(setting, 'PhantomManifest', cn=2)) as stream:
        manifest = json.load(stream)
    assert manifest['made_from']['types'] == [0, 5]
    content = sitk.GetArrayFromImage(sitk.ReadImage(inhale))
    os.remove(inhale)
    with caplog.at_level(logging.WARNING):
        assert phantom.make_case(setting, 2, types=(0, 5)) == [0, 5]
    assert 'case 2' in caplog.text
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(inhale)), content)
    setting['Phantom']['Noise'] = [0, 0]
    assert phantom.make_case(setting, 2, types=[0]) == [0]
    assert not np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(inhale)), content)


@pytest.mark.once
def test_workers_make_what_one_process_makes(tmp_path):
    serial, parallel = make_setting(tmp_path / 'a'), make_setting(tmp_path / 'b')
    assert phantom.make_cases(serial, [3, 4], types=[5], n_workers=1) == {3: [5], 4: [5]}
    assert phantom.make_cases(parallel, [3, 4], types=[5], n_workers=2) == {3: [5], 4: [5]}
    for cn in (3, 4):
        one, two = [sitk.ReadImage(address(s, 'OriginalIm', 5, cn=cn)) for s in (serial, parallel)]
        assert np.array_equal(sitk.GetArrayFromImage(one), sitk.GetArrayFromImage(two))


def test_size_can_be_given(tmp_path):
    setting = make_setting(tmp_path)
    phantom.make_case(setting, 1, types=[0], size=(70, 64, 72))
    assert sitk.ReadImage(address(setting, 'OriginalIm')).GetSize() == (70, 64, 72)


def test_defaults_are_valid_and_complete():
    assert check_options() == DEFAULT_OPTIONS
    assert check_options({'Size': [64, 64, 64]})['Noise'] == DEFAULT_OPTIONS['Noise']


@pytest.mark.parametrize(
    'options, words',
    [
        ({'Size': [300, 220]}, 'Size'),
        ({'Size': [300, 220, 20]}, 'whole number from 64'),
        ({'Size': 'large'}, 'Size'),
        ({'Size': [100.5, 100, 100]}, 'whole'),
        ({'Landmarks': 0}, 'Landmarks'),
        ({'Noise': [20, 10]}, 'Noise'),
        ({'Descent': 12}, 'Descent'),
        ({'Anatomy': 9}, 'Anatomy'),
        ({'Table': 1}, 'Table'),
        ({'Pathology': []}, 'Pathology'),
        ({'FieldOfView': [0.1, 1]}, 'FieldOfView'),
        ([1, 2], 'dictionary'),
    ],
)
def test_bad_options(tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        check_options(options)


def test_misspelt_options():
    with pytest.raises(InputError, match="Did you mean 'Size'"):
        check_options({'Sise': [1, 2, 3]})
    with pytest.raises(InputError, match="Did you mean 'emphysema'"):
        check_options({'Pathology': ['emphysem']})


@pytest.mark.parametrize(
    'arguments, words',
    [
        ({'cn': 0}, 'cn=0'),
        ({'cn': 1.5}, 'cn=1.5'),
        ({'cn': 1, 'types': [0, 10]}, 'type_im=10'),
        ({'cn': 1, 'types': []}, 'phase'),
        ({'cn': 1, 'size': [10, 10, 10]}, 'from 64'),
    ],
)
def test_bad_cases_write_nothing(tmp_path, arguments, words):
    with pytest.raises(InputError, match=words):
        phantom.make_case(make_setting(tmp_path), **arguments)
    assert os.listdir(str(tmp_path)) == []


def test_too_many_landmarks_for_the_box():
    with pytest.raises(InputError, match='Landmarks'):
        Case(1, {'Size': [64, 64, 64], 'Landmarks': 5000}).landmarks()
