"""Similarity of intensities against SimpleITK's metrics and NumPy."""

import numpy as np
import pytest
import SimpleITK as sitk
from oblique_images import IDENTITY, image_of

from functions.measure import similarity
from functions.setting.errors import InputError


@pytest.fixture(scope='module')
def pair():
    random = np.random.RandomState(4)
    a = (random.randn(6, 7, 8) * 300 - 500).astype(np.int16)
    b = (0.5 * a + random.randn(6, 7, 8) * 100).astype(np.int16)
    mask = np.zeros((6, 7, 8), np.uint8)
    mask[1:4, 2:6, 1:7] = 1
    return image_of(a), image_of(b), image_of(mask)


def test_measure_similarity_equals_itks_metrics(pair):
    """ITK's correlation metric is minus the squared correlation; its mean squares are ours."""
    a, b, mask = pair
    method = sitk.ImageRegistrationMethod()
    method.SetInitialTransform(sitk.TranslationTransform(3))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetMetricFixedMask(mask)
    images = [sitk.Cast(image, sitk.sitkFloat32) for image in (a, b)]
    method.SetMetricAsCorrelation()
    assert similarity.correlation(a, b, mask) ** 2 == pytest.approx(-method.MetricEvaluate(*images), rel=1e-3)
    method.SetMetricAsMeanSquares()
    assert similarity.mean_squared_difference(a, b, mask) == pytest.approx(method.MetricEvaluate(*images), rel=1e-3)


def test_measure_similarity_by_numpy(pair):
    a, b, mask = pair
    arrays = [sitk.GetArrayFromImage(image) for image in pair]
    inside = [array[arrays[2] > 0].astype(float) for array in arrays[:2]]
    assert similarity.correlation(a, b, mask) == pytest.approx(np.corrcoef(*inside)[0, 1])
    assert similarity.correlation(a, sitk.Cast(a, sitk.sitkFloat32) * -2 + 7, mask) == pytest.approx(-1)
    assert similarity.summary(*arrays) == {
        'ncc': similarity.correlation(*pair),
        'mse': similarity.mean_squared_difference(*pair),
    }
    # int16 differences beyond 32767 must not wrap around.
    high = np.full((2, 2, 2), 30000, np.int16)
    assert similarity.mean_squared_difference(high, -high) == 60000.0**2


def test_measure_similarity_refuses(pair):
    a, b, mask = pair
    with pytest.raises(InputError, match='empty'):
        similarity.mean_squared_difference(a, b, mask * 0)
    with pytest.raises(InputError, match='constant'):
        similarity.correlation(a, b * 0, mask)
    with pytest.raises(InputError, match='shape'):
        similarity.mean_squared_difference(np.zeros((2, 2, 2)), np.zeros((2, 2, 3)))
    with pytest.raises(InputError, match='grid'):
        similarity.mean_squared_difference(a, b, image_of(np.ones((6, 7, 8), np.uint8), direction=IDENTITY))


def test_measure_similarity_before_and_after():
    """Every second voxel of 1 mm inside the mask, by NumPy; the affine is a shift of whole voxels."""
    random = np.random.RandomState(5)
    array = (random.randn(10, 11, 12) * 300 - 500).astype(np.int16)
    upright = {'spacing': (1, 1, 1), 'origin': (0, 0, 0), 'direction': IDENTITY}
    fixed, moved = image_of(array, **upright), image_of(array, **upright) + 10
    moving = image_of(np.roll(array, 2, axis=2), **upright)
    mask = np.zeros(array.shape, np.uint8)
    mask[2:8, 2:8, 2:8] = 1
    shift = sitk.TranslationTransform(3, (2.0, 0.0, 0.0))
    found = similarity.before_and_after(fixed, moving, moved, image_of(mask, **upright), shift, None, -1024)
    assert sorted(found) == ['affine', 'after', 'before']
    few = (slice(2, 8, 2),) * 3
    still, before = array[few].ravel().astype(float), np.roll(array, 2, axis=2)[few].ravel().astype(float)
    assert found['before']['correlation'] == pytest.approx(np.corrcoef(still, before)[0, 1])
    assert found['before']['mean_absolute_difference'] == pytest.approx(np.abs(still - before).mean())
    assert found['affine'] == pytest.approx({'correlation': 1, 'mean_absolute_difference': 0})
    assert found['after'] == pytest.approx({'correlation': 1, 'mean_absolute_difference': 10})
    unaligned = similarity.before_and_after(fixed, moved, moving, None, None, None, -1024)
    assert 'affine' not in unaligned
    empty = similarity.before_and_after(fixed, moved, moving, image_of(mask * 0, **upright), None, None, -1024)
    assert empty == unaligned
    flat = similarity.before_and_after(fixed, moving, fixed * 0, None, None, None, -1024)
    assert flat['after']['correlation'] == 0


def test_measure_similarity_counts_only_where_there_is_a_moving_image():
    """A scan cut off at the base, and a shift by two voxels that brings its upper half in place."""
    array = (np.random.RandomState(5).randn(12, 10, 8) * 300 - 500).astype(np.int16)
    fixed = image_of(array, spacing=(2, 2, 2), origin=(0, 0, 0), direction=IDENTITY)
    moving = image_of(array[6:], spacing=(2, 2, 2), origin=(0, 0, 8), direction=IDENTITY)
    field = np.zeros(array.shape + (3,), np.float32)
    field[..., 2] = -4
    dvf = sitk.GetImageFromArray(field, isVector=True)
    dvf.CopyInformation(fixed)
    moved = image_of(
        np.where(np.arange(12)[:, None, None] < 6, -1024, array).astype(np.int16),
        spacing=(2, 2, 2),
        origin=(0, 0, 0),
        direction=IDENTITY,
    )
    found = similarity.before_and_after(fixed, moving, moved, None, None, dvf, -1024)
    assert found['after'] == pytest.approx({'correlation': 1, 'mean_absolute_difference': 0})
    # before, slice k of the fixed image lies on slice k + 2 of the whole one; both are there for k = 6 to 9
    still, before = array[6:10].astype(float), array[8:12].astype(float)
    assert found['before']['mean_absolute_difference'] == pytest.approx(np.abs(still - before).mean())
    away = image_of(array, spacing=(2, 2, 2), origin=(900, 0, 0), direction=IDENTITY)
    assert similarity.before_and_after(fixed, away, moved, None, None, dvf, -1024)['before']['correlation'] == 0
