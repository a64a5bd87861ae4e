"""Landmark files of every kind lead to the millimetres ITK gives, and bad files to one clear error."""

import os

import numpy as np
import pytest
import SimpleITK as sitk
from oblique_images import image_of, rotation

from functions.evaluation import pair_landmarks
from functions.image import text_points
from functions.image.geometry import Geometry
from functions.setting import setting_utils as su
from functions.setting.errors import InputError, MissingFileError, UnknownNameError

SIZE = (12, 10, 8)


def pair_of(data, cn=1, types=(0, 5)):
    return [{'data': data, 'cn': cn, 'type_im': type_im, 'spacing': 'RS1'} for type_im in types]


@pytest.fixture
def setting(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return su.initialize_setting('Exp', where_to_run='Root')


def address(setting, request, pair, k):
    path = su.address_generator(
        setting, request, data=pair[k]['data'], cn=pair[k]['cn'], type_im=pair[k]['type_im'], pair_info=pair, stage=1
    )
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


def write_images(setting, pair, request='OriginalIm', direction=None):
    """An image of another origin for both; returned for their geometry."""
    images = []
    for k in range(2):
        image = image_of(np.zeros(SIZE[::-1], np.int16), origin=(10.0 * k, -5.0, 40.0), direction=direction)
        sitk.WriteImage(image, address(setting, request, pair, k))
        images.append(image)
    return images


def write_points(path, points, header='', style='%.12g'):
    np.savetxt(path, points, fmt=style, header=header, comments='')


def voxels(count=7, seed=0):
    random = np.random.RandomState(seed)
    return np.column_stack([random.randint(0, n, count) for n in SIZE])


def world(image, index):
    return np.array([image.TransformContinuousIndexToPhysicalPoint([float(i) for i in row]) for row in index])


def test_evaluation_landmarks_exact_points_are_read_to_the_last_digit(setting):
    pair = pair_of('Phantom_4D')
    images = write_images(setting, pair)
    points = [world(image, voxels(seed=k) * 0.9 + 0.123) for k, image in enumerate(images)]
    for k in range(2):
        write_points(address(setting, 'LandmarkPointExact', pair, k), points[k], '# x y z in mm', '%.17g')
    fixed, moving = pair_landmarks.read_landmarks(setting, pair)
    assert fixed.dtype == np.float64 and fixed.shape == (7, 3)
    np.testing.assert_array_equal(fixed, points[0])
    np.testing.assert_array_equal(moving, points[1])


def test_evaluation_landmarks_numbers_count_voxels_of_the_original_image(setting):
    """DIR-Lab: the isotropic image has other voxels than those the numbers mean."""
    pair = pair_of('DIR-Lab_4D')
    write_images(setting, pair)
    for k in range(2):
        write_points(address(setting, 'LandmarkIndex', pair, k), voxels() + [1, 1, 0], style='%d')
    with pytest.raises(MissingFileError, match='marked on'):
        pair_landmarks.read_landmarks(setting, pair)
    originals = []
    for k in range(2):
        original = image_of(np.zeros((4, 10, 12), np.int16), spacing=(0.8, 1.3, 4.2), origin=(10.0 * k, -5.0, 40.0))
        sitk.WriteImage(original, address(setting, 'OriginalImNonIsotropic', pair, k))
        originals.append(original)
        rows = voxels() * [1, 1, 0] + [1, 1, 3]
        write_points(address(setting, 'LandmarkIndex', pair, k), rows, style='%d')
    found = pair_landmarks.read_landmarks(setting, pair)
    np.testing.assert_allclose(found[1], world(originals[1], voxels() * [1, 1, 0] + [0, 0, 1]), atol=1e-9)


def test_evaluation_landmarks_zero_based_and_rounded_world_files(setting):
    pair = pair_of('DIR-Lab_COPD', types=(0, 1))
    write_images(setting, pair)
    originals = write_images(setting, pair, 'OriginalImNonIsotropic')
    for k in range(2):
        write_points(address(setting, 'LandmarkIndex_tr', pair, k), voxels(seed=k), style='%d')
    found = pair_landmarks.read_landmarks(setting, pair)
    np.testing.assert_allclose(found[0], world(originals[0], voxels(seed=0)), atol=1e-9)
    for k in range(2):
        points = np.round(world(originals[k], voxels(seed=k)), 3)
        write_points(address(setting, 'LandmarkPoint_tr', pair, k), points, style='%-9.3f')
    rounded = pair_landmarks.read_landmarks(setting, pair)
    assert 0 < np.abs(rounded[1] - world(originals[1], voxels(seed=1))).max() <= 0.0005 + 1e-9


def test_evaluation_landmarks_unsure_points_are_left_out(setting):
    pair = pair_of('SPREAD', types=(0, 1))
    images = write_images(setting, pair)
    points = [world(image, voxels(seed=k)) for k, image in enumerate(images)]
    for k in range(2):
        write_points(address(setting, 'LandmarkPoint_tr', pair, k), points[k])
    with pytest.raises(MissingFileError, match='unsure'):
        pair_landmarks.read_landmarks(setting, pair)
    unsure = address(setting, 'UnsurePoints', pair, 0)
    np.savetxt(unsure, [0, 1, 0, 0, 2, 0, 1], fmt='%d')
    fixed, moving = pair_landmarks.read_landmarks(setting, pair)
    np.testing.assert_allclose(fixed, points[0][[0, 2, 3, 5]], atol=1e-9)
    np.testing.assert_allclose(moving, points[1][[0, 2, 3, 5]], atol=1e-9)
    np.savetxt(unsure, [0, 1], fmt='%d')
    with pytest.raises(InputError, match='2 values for 7'):
        pair_landmarks.read_landmarks(setting, pair)


def test_evaluation_landmarks_dirlab_numbers_there_and_back():
    index = voxels(30)
    rows = text_points.index_to_dirlab(index, 8)
    assert rows.min() >= 1 and (rows <= SIZE).all()
    np.testing.assert_array_equal(text_points.dirlab_to_index(rows, 8), index)
    assert text_points.dirlab_to_index([[1, 1, 8]], 8).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(
    'text, complaint',
    [
        ('index\n2\n1 2 3\n1 2 3\n', 'index coordinates'),
        ('point\n3\n1 2 3\n1 2 3\n', 'announces 3 points and holds 2'),
        ('1 2 3\n4 5\n', 'line 2'),
        ('1 2 three\n', 'line 1'),
        ('# none\n', 'holds no'),
        ('1 2 nan\n', 'finite'),
        ('point\n', 'second line'),
        (b'1 2 3\n\xff\xfe', 'text file'),
    ],
)
def test_evaluation_landmarks_bad_text(setting, text, complaint):
    """A header of elastix is understood; anything but points in mm is an error that names the file."""
    pair = pair_of('Phantom_4D')
    images = write_images(setting, pair)
    points = world(images[0], voxels())
    for k in range(2):
        write_points(address(setting, 'LandmarkPointExact', pair, k), points + [10.0 * k, 0, 0], 'point \n7', '%.17g')
    np.testing.assert_array_equal(pair_landmarks.read_landmarks(setting, pair)[0], points)
    path = address(setting, 'LandmarkPointExact', pair, 0)
    with open(path, 'wb') as stream:
        stream.write(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=f'case1.*{complaint}'):
        pair_landmarks.read_landmarks(setting, pair)


def test_evaluation_landmarks_bad_pairs(setting):
    pair = pair_of('Phantom_4D')
    with pytest.raises(MissingFileError, match='exact'):
        pair_landmarks.read_landmarks(setting, pair)
    with pytest.raises(MissingFileError, match='No landmarks of DIR-Lab_4D cn 1'):
        pair_landmarks.read_landmarks(setting, pair_of('DIR-Lab_4D'))
    for k, count in enumerate((7, 6)):
        write_points(address(setting, 'LandmarkPointExact', pair, k), np.zeros((count, 3)))
    with pytest.raises(InputError, match='has 7, .* has 6'):
        pair_landmarks.read_landmarks(setting, pair)
    write_points(address(setting, 'LandmarkPointExact', pair, 1), np.zeros((7, 3)))
    with pytest.raises(MissingFileError, match='Image .* does not exist'):
        pair_landmarks.read_landmarks(setting, pair)
    with pytest.raises(UnknownNameError, match='Phantom_4D'):
        pair_landmarks.read_landmarks(setting, pair_of('Phantom_4d'))
    with pytest.raises(InputError, match='fixed, moving'):
        pair_landmarks.read_landmarks(setting, pair[:1])


def test_evaluation_landmarks_voxel_numbers_taken_for_millimetres_are_noticed(setting):
    pair = pair_of('Phantom_4D')
    images = write_images(setting, pair, direction=rotation(0.1, 0.1))
    for k in range(2):
        write_points(address(setting, 'LandmarkPointExact', pair, k), voxels())
    with pytest.raises(InputError, match='7 of the 7 landmarks .* outside'):
        pair_landmarks.read_landmarks(setting, pair)
    for k in range(2):
        write_points(address(setting, 'LandmarkPointExact', pair, k), world(images[k], voxels()))
    pair_landmarks.read_landmarks(setting, pair)
    # The volume of an image ends half a voxel beyond its last centres.
    for beyond, accepted in ((0.49, True), (0.51, False)):
        edge = world(images[0], [[SIZE[0] - 1 + beyond, 3, 3]])
        if accepted:
            pair_landmarks.require_inside(edge, Geometry.of(images[0]), 'points', 'image')
        else:
            with pytest.raises(InputError, match='1 of the 1'):
                pair_landmarks.require_inside(edge, Geometry.of(images[0]), 'points', 'image')
