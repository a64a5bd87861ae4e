"""Overlap measures against SimpleITK's filters and analytic shapes."""

import numpy as np
import pytest
import SimpleITK as sitk
from oblique_images import IDENTITY, image_of, positions

from functions.measure import overlap
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


def numbers_of(first, second):
    return overlap.summary(first, second)['mask']


@pytest.mark.parametrize('direction', [None, IDENTITY])
def test_measure_overlap_dice_equals_itk(direction):
    a, b = ball(9, direction=direction), ball(8, (3, 1, -2), direction=direction)
    measures = sitk.LabelOverlapMeasuresImageFilter()
    measures.Execute(a, b)
    dice = numbers_of(a, b)['dice']
    assert 0.3 < dice < 0.95
    assert dice == pytest.approx(measures.GetDiceCoefficient())
    assert numbers_of(a, a)['dice'] == 1
    assert numbers_of(a * 3, b * 2) == numbers_of(a, b)  # labels of any value are inside


def test_measure_overlap_of_masks_that_do_not_touch():
    a, b = np.zeros((2, 4, 4, 4), np.uint8)
    a[0], b[1:3] = 1, 1
    assert numbers_of(image_of(a), image_of(b))['dice'] == 0 and numbers_of(image_of(a), image_of(b))['mean'] > 0
    nowhere = dict.fromkeys(('mean', 'rms', 'p95', 'max'))
    assert numbers_of(image_of(a), image_of(b * 0)) == dict(nowhere, dice=0.0)


def test_measure_overlap_surface_distances_equal_itk():
    a, b = ball(9), ball(7, (2, 1, -3))
    found = numbers_of(a, b)
    from_a, from_b = itk_surface_distances(a, b)
    pooled = np.concatenate([from_a, from_b])
    assert found['mean'] == pytest.approx(pooled.mean(), rel=1e-4)
    assert found['p95'] == pytest.approx(np.percentile(pooled, 95), rel=1e-4)
    assert found['rms'] == pytest.approx(np.sqrt((pooled**2).mean()), rel=1e-4)
    assert found['max'] == pytest.approx(pooled.max(), rel=1e-4)


def test_measure_overlap_largest_distance_equals_itks_hausdorff():
    a, b = ball(6), ball(6, (0, 0, 9))
    hausdorff = sitk.HausdorffDistanceImageFilter()
    hausdorff.Execute(a, b)
    assert numbers_of(a, b)['max'] == pytest.approx(hausdorff.GetHausdorffDistance(), rel=1e-4)


def test_measure_overlap_of_concentric_balls_is_the_difference_of_radii():
    a, b = ball(10), ball(7)
    found = numbers_of(a, b)
    assert found['mean'] == pytest.approx(3, abs=0.5)
    assert numbers_of(a, a)['max'] == 0


def test_measure_overlap_shifted_slab_touching_the_border():
    """The edge of the image counts as surface, and distances are millimetres along every axis."""
    for axis, spacing in ((0, 2.1), (1, 1.3), (2, 0.8)):
        a, b = np.zeros((6, 7, 8), np.uint8), np.zeros((6, 7, 8), np.uint8)
        a[(slice(None),) * axis + (slice(0, 1),)] = 1
        b[(slice(None),) * axis + (slice(3, 4),)] = 1
        found = numbers_of(image_of(a), image_of(b))
        assert found['mean'] == pytest.approx(3 * spacing) and found['max'] == pytest.approx(3 * spacing)


def test_measure_overlap_refuses():
    empty = image_of(np.zeros((22, 30, 44), np.uint8))
    with pytest.raises(InputError, match='both'):
        overlap.summary(empty, empty)
    with pytest.raises(InputError, match='grid'):
        overlap.summary(ball(5), ball(5, direction=IDENTITY))
