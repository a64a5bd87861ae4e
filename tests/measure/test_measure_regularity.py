"""Folding and spread of the Jacobian against analytic fields."""

import numpy as np
import pytest
import SimpleITK as sitk
from oblique_images import IDENTITY, affine_dvf, image_of, positions

from functions.image.dvf import jacobian_determinant_of
from functions.measure import regularity
from functions.setting.errors import InputError, UnknownNameError


def test_measure_regularity_counts_by_hand():
    jacobian = np.ones((2, 2, 2), np.float32)
    jacobian[0, 0] = [-0.5, 0.0]
    jacobian[1, 1, 1] = -9
    mask = np.ones((2, 2, 2), np.uint8)
    mask[1, 1, 1] = 0
    assert regularity.folding(jacobian, mask) == pytest.approx(200 / 7)
    numbers = regularity.summary(jacobian, 5 * mask)
    inside = np.array([-0.5, 0, 1, 1, 1, 1, 1])
    assert (numbers['n'], numbers['folded']) == (7, 2)
    assert numbers['std'] == pytest.approx(inside.std())
    assert numbers['std_log'] == pytest.approx(np.log(np.clip(inside, 1e-9, None)).std())
    other = regularity.summary(jacobian, mask, 'learn2reg')
    assert other['std_log'] == pytest.approx(np.log(inside + 3).std())


@pytest.mark.parametrize('direction', [None, IDENTITY])
def test_measure_regularity_of_affine_fields(direction):
    """det(I + M) everywhere, whatever the grid: 0.72 keeps orientation, a reflection folds all of it."""
    matrix = np.array([[-0.2, 0.1, 0.0], [0.0, -0.1, 0.0], [0.3, 0.0, 0.0]])
    mask = image_of(np.ones((6, 7, 8), np.uint8), direction=direction)
    numbers = regularity.summary(
        jacobian_determinant_of(affine_dvf((8, 7, 6), matrix, [1, 2, 3], direction=direction)), mask
    )
    assert numbers['mean'] == pytest.approx(np.linalg.det(np.eye(3) + matrix), abs=1e-4)
    assert numbers['std'] < 1e-3 and numbers['folding'] == 0
    flip = affine_dvf((8, 7, 6), np.diag([0, 0, -2.5]), [0, 0, 0], direction=direction)
    assert regularity.summary(jacobian_determinant_of(flip), mask)['folding'] == 100


def test_measure_regularity_equals_itk_inside_where_direction_is_identity():
    random = np.random.RandomState(0)
    field = image_of(random.randn(9, 10, 11, 3).astype(np.float32), direction=IDENTITY, vector=True)
    mask = np.zeros((9, 10, 11), np.uint8)
    mask[1:-1, 1:-1, 1:-1] = 1
    truth = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(field))[mask > 0].astype(float)
    numbers = regularity.summary(jacobian_determinant_of(field), image_of(mask, direction=IDENTITY))
    assert 0 < numbers['folding'] < 100
    assert numbers['folding'] == pytest.approx(100 * np.mean(truth <= 0))
    assert numbers['std'] == pytest.approx(truth.std(), rel=1e-4)


def test_measure_regularity_refuses():
    ones = np.ones((3, 3, 3))
    with pytest.raises(InputError, match='empty'):
        regularity.folding(ones, 0 * ones)
    with pytest.raises(InputError, match='shape'):
        regularity.folding(ones, np.ones((3, 3, 2)))
    with pytest.raises(InputError, match='finite'):
        regularity.summary(ones * np.nan, ones)
    with pytest.raises(UnknownNameError, match='learn2reg'):
        regularity.summary(ones, ones, 'learn2regs')
    with pytest.raises(InputError, match='grid'):
        regularity.summary(image_of(ones), image_of(ones, direction=IDENTITY))


def test_measure_regularity_of_a_curved_field_on_an_oblique_grid():
    """Analytic determinant of p + u(p); the filter of ITK, which ignores direction, is wrong there."""
    blank = image_of(np.zeros((12, 13, 14), np.float32))
    p = positions(blank)
    centre = p.reshape(-1, 3).mean(axis=0)
    x, y, z = np.moveaxis(p - centre, -1, 0)
    u = np.stack([0.02 * x * y, 0.3 * z + 0.01 * x * x, -0.03 * y * z], axis=-1)
    field = sitk.GetImageFromArray(u.astype(np.float32), isVector=True)
    field.CopyInformation(blank)
    rows = [[1 + 0.02 * y, 0.02 * x, 0 * x], [0.02 * x, 1 + 0 * x, 0.3 + 0 * x], [0 * x, -0.03 * z, 1 - 0.03 * y]]
    truth = np.linalg.det(np.moveaxis(np.array(rows), (0, 1), (-2, -1)))
    mask = np.zeros((12, 13, 14), np.uint8)
    mask[2:-2, 2:-2, 2:-2] = 1  # central differences of a quadratic field are exact
    inside = mask > 0
    numbers = regularity.summary(jacobian_determinant_of(field), image_of(mask))
    assert numbers['mean'] == pytest.approx(truth[inside].mean(), abs=1e-4)
    assert numbers['std'] == pytest.approx(truth[inside].std(), abs=1e-4) and numbers['std'] > 0.05
    assert numbers['min'] == pytest.approx(truth[inside].min(), abs=1e-3)
    assert numbers['std_log'] == pytest.approx(np.log(np.maximum(truth[inside], 1e-9)).std(), abs=1e-4)
    itk = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(field))
    assert np.abs(itk[inside] - truth[inside]).max() > 0.05


def test_measure_regularity_border_of_learn2reg():
    """Its definition: two voxels at every side of the grid count for nothing."""
    jacobian = np.ones((9, 9, 9), np.float32)
    jacobian[:2] = jacobian[:, :, -2:] = -7
    jacobian[4, 4, 4] = -1
    ones = np.ones((9, 9, 9), np.uint8)
    numbers = regularity.summary(jacobian, ones, 'learn2reg')
    assert (numbers['n'], numbers['folded']) == (125, 1)
    assert numbers['std_log'] == pytest.approx(np.log((jacobian[2:-2, 2:-2, 2:-2] + 3).clip(1e-9, 1e9)).std())
    assert regularity.summary(jacobian, ones)['n'] == 729


def test_measure_regularity_of_a_field_for_results():
    """Displacement and folding inside the mask by NumPy; an empty mask counts as none."""
    random = np.random.RandomState(1)
    field = image_of(random.randn(7, 8, 9, 3).astype(np.float32) * 2, vector=True)
    jacobian = jacobian_determinant_of(field)
    mask = np.zeros((7, 8, 9), np.uint8)
    mask[2:5, 2:5, 2:6] = 1
    found = regularity.field_summary(jacobian, field, image_of(mask))
    length = np.linalg.norm(sitk.GetArrayFromImage(field)[mask > 0].astype(float), axis=-1)
    truth = {'median': np.median(length), 'p95': np.percentile(length, 95), 'max': length.max()}
    assert found['displacement_mm'] == pytest.approx(truth, rel=1e-5)
    values = sitk.GetArrayFromImage(jacobian)[mask > 0]
    assert found['folding_percent'] == pytest.approx(100 * np.mean(values <= 0))
    assert found['jacobian']['min'] == pytest.approx(values.min())
    everywhere = regularity.field_summary(jacobian, field)
    assert everywhere == regularity.field_summary(jacobian, field, image_of(mask * 0)) != found
    assert everywhere['folding_percent'] == regularity.folding(jacobian)
