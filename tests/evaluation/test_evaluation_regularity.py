"""Folding and spread of the Jacobian against analytic fields."""
import numpy as np
import pytest
import SimpleITK as sitk
from evaluation_images import IDENTITY, affine_dvf, image_of

from functions.evaluation import regularity
from functions.setting.errors import InputError, UnknownNameError


def test_evaluation_regularity_counts_by_hand():
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
def test_evaluation_regularity_of_affine_fields(direction):
    """det(I + M) everywhere, whatever the grid: 0.72 keeps orientation, a reflection folds all of it."""
    matrix = np.array([[-0.2, 0.1, 0.0], [0.0, -0.1, 0.0], [0.3, 0.0, 0.0]])
    mask = image_of(np.ones((6, 7, 8), np.uint8), direction=direction)
    numbers = regularity.dvf_summary(affine_dvf((8, 7, 6), matrix, [1, 2, 3], direction=direction), mask)
    assert numbers['mean'] == pytest.approx(np.linalg.det(np.eye(3) + matrix), abs=1e-4)
    assert numbers['std'] < 1e-3 and numbers['folding'] == 0
    flip = affine_dvf((8, 7, 6), np.diag([0, 0, -2.5]), [0, 0, 0], direction=direction)
    assert regularity.dvf_summary(flip, mask)['folding'] == 100


def test_evaluation_regularity_equals_itk_inside_where_direction_is_identity():
    random = np.random.RandomState(0)
    field = image_of(random.randn(9, 10, 11, 3).astype(np.float32), direction=IDENTITY, vector=True)
    mask = np.zeros((9, 10, 11), np.uint8)
    mask[1:-1, 1:-1, 1:-1] = 1
    truth = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(field))[mask > 0].astype(float)
    numbers = regularity.dvf_summary(field, image_of(mask, direction=IDENTITY))
    assert 0 < numbers['folding'] < 100
    assert numbers['folding'] == pytest.approx(100 * np.mean(truth <= 0))
    assert numbers['std'] == pytest.approx(truth.std(), rel=1e-4)


def test_evaluation_regularity_refuses():
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
        regularity.dvf_summary(affine_dvf((3, 3, 3), np.zeros((3, 3)), [0, 0, 0]),
                               image_of(np.ones((3, 3, 3), np.uint8), direction=IDENTITY))
