"""Overlap and intensity measures against SimpleITK's filters and analytic shapes."""

import numpy as np
import pytest
import SimpleITK as sitk
from evaluation_images import IDENTITY, image_of, positions

from functions.evaluation import intensity, overlap
from functions.setting.errors import InputError


def ball(radius, shift=(0, 0, 0), size=(44, 30, 22), direction=None):
    blank = image_of(np.zeros(size[::-1], np.uint8), direction=direction)
    middle = blank.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2.0 for n in size])
    far = np.linalg.norm(positions(blank) - middle - np.asarray(shift, float), axis=-1)
    return image_of((far <= radius).astype(np.uint8), direction=direction)


def itk_surface_distances(first, second):
    """Surface voxels by ITK's contour filter, distances by its Maurer filter."""
    contours = [sitk.BinaryContour(mask, False, 0.0, 1.0) for mask in (first, second)]
    arrays = [sitk.GetArrayFromImage(contour) > 0 for contour in contours]
    maps = [
        np.abs(
            sitk.GetArrayFromImage(
                sitk.SignedMaurerDistanceMap(
                    contour, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
                )
            )
        )
        for contour in contours
    ]
    return maps[1][arrays[0]], maps[0][arrays[1]]


@pytest.mark.parametrize('direction', [None, IDENTITY])
def test_evaluation_overlap_dice_equals_itk(direction):
    a, b = ball(9, direction=direction), ball(8, (3, 1, -2), direction=direction)
    measures = sitk.LabelOverlapMeasuresImageFilter()
    measures.Execute(a, b)
    assert 0.3 < overlap.dice(a, b) < 0.95
    assert overlap.dice(a, b) == pytest.approx(measures.GetDiceCoefficient())
    assert overlap.dice(a, a) == 1
    assert overlap.dice(a, b, labels=[1]) == {1: overlap.dice(a, b)}


def test_evaluation_overlap_dice_of_disjoint_labels():
    array = np.zeros((4, 4, 4), np.uint8)
    array[0], array[1] = 1, 2
    other = np.zeros_like(array)
    other[1:3], other[3] = 1, 2
    assert overlap.dice(image_of(array), image_of(other), labels=[1, 2]) == {1: 0.0, 2: 0.0}
    with pytest.raises(InputError, match='Label 7'):
        overlap.dice(image_of(array), image_of(other), labels=[7])


def test_evaluation_overlap_surface_distances_equal_itk():
    a, b = ball(9), ball(7, (2, 1, -3))
    found = overlap.surface_distances(a, b)
    from_a, from_b = itk_surface_distances(a, b)
    pooled = np.concatenate([from_a, from_b])
    assert found['mean'] == pytest.approx(pooled.mean(), rel=1e-4)
    assert found['p95'] == pytest.approx(np.percentile(pooled, 95), rel=1e-4)
    assert found['rms'] == pytest.approx(np.sqrt((pooled**2).mean()), rel=1e-4)
    assert found['mean_first'] == pytest.approx(from_a.mean(), rel=1e-4)
    assert found['mean_second'] == pytest.approx(from_b.mean(), rel=1e-4)
    assert found['max'] == pytest.approx(pooled.max(), rel=1e-4)


def test_evaluation_overlap_largest_distance_equals_itks_hausdorff():
    a, b = ball(6), ball(6, (0, 0, 9))
    hausdorff = sitk.HausdorffDistanceImageFilter()
    hausdorff.Execute(a, b)
    assert overlap.surface_distances(a, b)['max'] == pytest.approx(hausdorff.GetHausdorffDistance(), rel=1e-4)


def test_evaluation_overlap_of_concentric_balls_is_the_difference_of_radii():
    a, b = ball(10), ball(7)
    found = overlap.surface_distances(a, b)
    assert found['mean'] == pytest.approx(3, abs=0.5)
    assert overlap.surface_distances(a, a)['max'] == 0


def test_evaluation_overlap_shifted_slab_touching_the_border():
    """The edge of the image counts as surface, and distances are millimetres along every axis."""
    for axis, spacing in ((0, 2.1), (1, 1.3), (2, 0.8)):
        a, b = np.zeros((6, 7, 8), np.uint8), np.zeros((6, 7, 8), np.uint8)
        a[(slice(None),) * axis + (slice(0, 1),)] = 1
        b[(slice(None),) * axis + (slice(3, 4),)] = 1
        found = overlap.surface_distances(image_of(a), image_of(b))
        assert found['mean'] == pytest.approx(3 * spacing) and found['max'] == pytest.approx(3 * spacing)


def test_evaluation_overlap_refuses():
    empty = image_of(np.zeros((22, 30, 44), np.uint8))
    with pytest.raises(InputError, match='second image'):
        overlap.surface_distances(ball(5), empty)
    with pytest.raises(InputError, match='neither'):
        overlap.dice(empty, empty)
    with pytest.raises(InputError, match='grid'):
        overlap.dice(ball(5), ball(5, direction=IDENTITY))


@pytest.fixture(scope='module')
def pair():
    random = np.random.RandomState(4)
    a = (random.randn(6, 7, 8) * 300 - 500).astype(np.int16)
    b = (0.5 * a + random.randn(6, 7, 8) * 100).astype(np.int16)
    mask = np.zeros((6, 7, 8), np.uint8)
    mask[1:4, 2:6, 1:7] = 1
    return image_of(a), image_of(b), image_of(mask)


def test_evaluation_intensity_equals_itks_metrics(pair):
    """ITK's correlation metric is minus the squared correlation; its mean squares are ours."""
    a, b, mask = pair
    method = sitk.ImageRegistrationMethod()
    method.SetInitialTransform(sitk.TranslationTransform(3))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetMetricFixedMask(mask)
    images = [sitk.Cast(image, sitk.sitkFloat32) for image in (a, b)]
    method.SetMetricAsCorrelation()
    assert intensity.ncc(a, b, mask) ** 2 == pytest.approx(-method.MetricEvaluate(*images), rel=1e-3)
    method.SetMetricAsMeanSquares()
    assert intensity.mse(a, b, mask) == pytest.approx(method.MetricEvaluate(*images), rel=1e-3)


def test_evaluation_intensity_by_numpy(pair):
    a, b, mask = pair
    arrays = [sitk.GetArrayFromImage(image) for image in pair]
    inside = [array[arrays[2] > 0].astype(float) for array in arrays[:2]]
    assert intensity.ncc(a, b, mask) == pytest.approx(np.corrcoef(*inside)[0, 1])
    assert intensity.ncc(a, sitk.Cast(a, sitk.sitkFloat32) * -2 + 7, mask) == pytest.approx(-1)
    assert intensity.summary(*arrays) == {'ncc': intensity.ncc(*pair), 'mse': intensity.mse(*pair)}
    # int16 differences beyond 32767 must not wrap around.
    high = np.full((2, 2, 2), 30000, np.int16)
    assert intensity.mse(high, -high) == 60000.0**2


def test_evaluation_intensity_refuses(pair):
    a, b, mask = pair
    with pytest.raises(InputError, match='empty'):
        intensity.mse(a, b, mask * 0)
    with pytest.raises(InputError, match='constant'):
        intensity.ncc(a, b * 0, mask)
    with pytest.raises(InputError, match='shape'):
        intensity.mse(np.zeros((2, 2, 2)), np.zeros((2, 2, 3)))
    with pytest.raises(InputError, match='grid'):
        intensity.mse(a, b, image_of(np.ones((6, 7, 8), np.uint8), direction=IDENTITY))
