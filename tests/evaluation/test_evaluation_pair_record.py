"""The record of a registered pair against SimpleITK, on an oblique and an anisotropic grid."""

import numpy as np
import pytest
import SimpleITK as sitk
from oblique_images import IDENTITY, affine_dvf, image_of, points_inside, positions

from functions.evaluation import pair_record
from functions.image.dvf import jacobian_determinant_of
from functions.image.resample import warp
from functions.measure import overlap, tre
from functions.measure.protocols import PROTOCOLS
from functions.setting.atomic import write_json
from functions.setting.errors import InputError, MissingFileError, UnknownNameError

PAIR = [{'data': 'Phantom_4D', 'cn': 3, 'type_im': 0}, {'data': 'Phantom_4D', 'cn': 3, 'type_im': 5}]
SIZE = (22, 18, 14)
MATRIX = np.array([[0.03, -0.02, 0.01], [0.0, 0.05, -0.04], [0.02, 0.01, -0.06]])


def affine_transform():
    transform = sitk.AffineTransform(3)
    transform.SetMatrix([1.02, 0.05, 0, -0.03, 0.98, 0.01, 0, 0.02, 1.03])
    transform.SetTranslation([2.0, -1.0, 4.0])
    transform.SetCenter([-25.0, 20.0, -190.0])
    return transform


def blob(reference, centre, radius, value=1):
    distance = np.linalg.norm(positions(reference) - centre, axis=-1)
    return np.where(distance < radius, value, 0)


@pytest.fixture(params=['oblique', 'upright'])
def images(request):
    """(fixed, moving, dvf, fixed mask, moving mask): smooth images, a known field, balls as lungs."""
    direction = None if request.param == 'oblique' else IDENTITY
    blank = image_of(np.zeros(SIZE[::-1], np.float32), direction=direction)
    p = positions(blank)
    fixed = image_of((400 * np.sin(p[..., 0] / 4) + 300 * np.cos(p[..., 2] / 6)).astype(np.int16), direction=direction)
    moving = image_of(
        (380 * np.sin(p[..., 0] / 4 + 0.3) + 310 * np.cos(p[..., 2] / 6)).astype(np.int16), direction=direction
    )
    middle = p.reshape(-1, 3).mean(axis=0)
    masks = [
        image_of(blob(blank, middle + shift, 7).astype(np.uint8), direction=direction)
        for shift in ([0, 0, 0], [1.5, 0, 2])
    ]
    dvf = affine_dvf(SIZE, MATRIX * 0.3, -MATRIX.dot(middle) * 0.3 + [1.0, 0.5, 1.5], direction=direction)
    return fixed, moving, dvf, masks[0], masks[1]


def test_evaluation_pair_record_affine_then_dvf_equals_itks_composite():
    """T(p + u(p)): ITK's own composition of the two transforms, not the sum of their displacements."""
    field = image_of(np.random.RandomState(4).randn(9, 10, 11, 3).astype(np.float32) * 3, vector=True)
    fixed, moving = points_inside(field, seed=1), points_inside(field, seed=2)
    composite = sitk.CompositeTransform(3)
    composite.AddTransform(affine_transform())  # applied last
    composite.AddTransform(sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64)))
    moved = np.array([composite.TransformPoint(point.tolist()) for point in fixed])
    found = tre.error_vectors(fixed, moving, field, after=affine_transform())
    np.testing.assert_allclose(found, moving - moved, atol=1e-4)
    added = (
        moving
        - [affine_transform().TransformPoint(point.tolist()) for point in fixed]
        - (moving - fixed - tre.error_vectors(fixed, moving, field))
    )
    assert np.abs(found - added).max() > 0.05
    record = pair_record.measure('elastix', PAIR, field, landmarks=(fixed, moving), affine=affine_transform())
    assert record['tre'] == pytest.approx(tre.summary(moving - moved), abs=1e-4)
    alone = np.array([affine_transform().TransformPoint(point.tolist()) for point in fixed])
    assert record['tre_base']['mean'] == pytest.approx(np.linalg.norm(moving - alone, axis=1).mean())
    assert record['tre_before']['mean'] == pytest.approx(np.linalg.norm(moving - fixed, axis=1).mean())
    lists = record['landmarks']
    np.testing.assert_allclose(lists['true'], moving - fixed, atol=1e-4)
    np.testing.assert_allclose(lists['estimated'], moved - fixed, atol=2e-4)
    np.testing.assert_allclose(np.array(lists['true']) - lists['estimated'], lists['error'], atol=2e-4)
    assert lists['n'] == len(fixed) == record['tre']['n']


def test_evaluation_pair_record_equal_simpleitks(images):
    fixed, moving, dvf, mask, moving_mask = images
    moved = warp(moving, dvf, 'linear', -1000)
    record = pair_record.measure(
        'RegNet', PAIR, dvf, pair_record.Images(fixed, moving, moved, mask, moving_mask), seconds=1.5
    )
    unsaved = pair_record.measure('RegNet', PAIR, dvf, pair_record.Images(fixed, moving, None, mask, moving_mask))
    assert unsaved['intensity'] == record['intensity'] and unsaved['overlap'] == record['overlap']
    inside = sitk.GetArrayFromImage(mask) > 0
    for name, image in (('before', moving), ('after', moved)):
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMeanSquares()
        method.SetMetricFixedMask(mask)
        method.SetInterpolator(sitk.sitkNearestNeighbor)
        truth = method.MetricEvaluate(sitk.Cast(fixed, sitk.sitkFloat32), sitk.Cast(image, sitk.sitkFloat32))
        assert record['intensity'][name]['mse'] == pytest.approx(truth, rel=1e-3)
        a, b = (sitk.GetArrayFromImage(i)[inside].astype(float) for i in (fixed, image))
        assert record['intensity'][name]['ncc'] == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-6)
    assert record['regularity']['n'] == inside.sum()
    assert record['regularity']['mean'] == pytest.approx(np.linalg.det(np.eye(3) + MATRIX * 0.3), abs=1e-3)
    transform = sitk.DisplacementFieldTransform(sitk.Cast(dvf, sitk.sitkVectorFloat64))
    warped = sitk.Resample(moving_mask, mask, transform, sitk.sitkNearestNeighbor, 0)
    for name, image in (('before', moving_mask), ('after', warped)):
        measure = sitk.LabelOverlapMeasuresImageFilter()
        measure.Execute(mask, image)
        assert record['overlap'][name]['mask']['dice'] == pytest.approx(measure.GetDiceCoefficient())
        assert record['overlap'][name]['mask']['mean'] == pytest.approx(overlap.summary(mask, image)['mask']['mean'])
    assert record['seconds'] == 1.5 and 'tre' not in record
    assert record['protocol_text'] == PROTOCOLS['dirlab'].text


def test_evaluation_pair_record_protocols(images):
    fixed, moving, dvf, mask, moving_mask = images
    landmarks = points_inside(fixed, seed=5), points_inside(moving, seed=6)
    parts = pair_record.Images(fixed, moving, None, mask, moving_mask)
    records = {name: pair_record.measure('m', PAIR, dvf, parts, landmarks, protocol=name) for name in PROTOCOLS}
    assert records['dirlab']['tre'] == records['learn2reg']['tre'] != records['dirlab-snap']['tre']
    reached = landmarks[1] - np.array(records['dirlab-snap']['landmarks']['error'])
    index = np.array([moving.TransformPhysicalPointToContinuousIndex(row.tolist()) for row in reached])
    np.testing.assert_allclose(index, np.round(index), atol=1e-3)
    jacobian = sitk.GetArrayFromImage(jacobian_determinant_of(dvf)).astype(float)
    jacobian = jacobian[sitk.GetArrayFromImage(mask) > 0]
    assert records['dirlab']['regularity']['std_log'] == pytest.approx(np.log(jacobian).std(), rel=1e-3)
    other = records['learn2reg']['regularity']['std_log']
    assert other == pytest.approx(np.log(jacobian + 3).std(), rel=1e-2)
    assert len({record['protocol_text'] for record in records.values()}) == 4
    reached = np.array(records['dirlab-nearest']['landmarks']['estimated'])
    voxels = [dvf[dvf.TransformPhysicalPointToIndex(point.tolist())] for point in landmarks[0]]
    np.testing.assert_allclose(reached, voxels, atol=1e-3)
    with pytest.raises(UnknownNameError, match='learn2reg'):
        pair_record.measure('m', PAIR, protocol='learn2regs')
    with pytest.raises(InputError, match='needs the moving image'):
        pair_record.measure('m', PAIR, dvf, None, landmarks, protocol='dirlab-snap')


def test_evaluation_pair_record_after_an_affine_equal_itks_resampling(images):
    """Images and masks through A(p + u(p)), by ITK's own composite transform."""
    fixed, moving, dvf, mask, moving_mask = images
    affine = sitk.AffineTransform([1.01, 0.02, 0, -0.02, 0.99, 0, 0, 0, 1.02], [1.0, -0.5, 1.0], [-25.0, 20.0, -190.0])
    composite = sitk.CompositeTransform(3)
    composite.AddTransform(affine)
    composite.AddTransform(sitk.DisplacementFieldTransform(sitk.Cast(dvf, sitk.sitkVectorFloat64)))
    record = pair_record.measure(
        'm', PAIR, dvf, pair_record.Images(fixed, moving, None, mask, moving_mask), affine=affine
    )
    moved = sitk.Resample(sitk.Cast(moving, sitk.sitkFloat32), mask, composite, sitk.sitkLinear, -1000)
    inside = sitk.GetArrayFromImage(mask) > 0
    for transform in (composite, sitk.Transform()):  # where there is a moving image, before as after
        inside &= (
            sitk.GetArrayFromImage(sitk.Resample(moving * 0 + 1, mask, transform, sitk.sitkNearestNeighbor, 0)) > 0
        )
    a, b = (sitk.GetArrayFromImage(image)[inside].astype(float) for image in (fixed, moved))
    assert record['intensity']['after']['ncc'] == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-3)
    warped = sitk.Resample(moving_mask, mask, composite, sitk.sitkNearestNeighbor, 0)
    measure = sitk.LabelOverlapMeasuresImageFilter()
    measure.Execute(mask, warped)
    assert record['overlap']['after']['mask']['dice'] == pytest.approx(measure.GetDiceCoefficient(), abs=0.01)
    alone = pair_record.measure('m', PAIR, dvf, pair_record.Images(fixed, moving, None, mask, moving_mask))
    assert record['regularity'] == alone['regularity'] and record['overlap'] != alone['overlap']
    with pytest.raises(InputError, match='not linear'):
        pair_record.measure('m', PAIR, dvf, affine=sitk.BSplineTransform(3))


def test_evaluation_pair_record_without_a_dvf_is_the_affine_alone():
    blank = image_of(np.zeros((8, 8, 8), np.float32))
    fixed, moving = points_inside(blank, seed=1), points_inside(blank, seed=2)
    record = pair_record.measure('Affine', PAIR, landmarks=(fixed, moving), affine=affine_transform())
    assert record['tre'] == record['tre_base'] != record['tre_before']
    assert 'regularity' not in record


def test_evaluation_pair_record_are_kept_as_json(tmp_path):
    fixed = np.arange(12.0).reshape(4, 3)
    record = pair_record.measure('a/b c', PAIR, landmarks=(fixed, fixed + 1))
    path = str(tmp_path / pair_record.file_name(record['method'], record['pair']))
    assert path.endswith('a_b_c_Phantom_4D_case_3_0-5.json')
    write_json(path, record)
    assert pair_record.read_record(path) == record
    assert pair_record.pair_key(record['pair']) == (('Phantom_4D', 3, 0, -1), ('Phantom_4D', 3, 5, -1))
    write_json(path, dict(record, format=0))
    with pytest.raises(InputError, match='format 0'):
        pair_record.read_record(path)
    (tmp_path / 'other.json').write_text('[1]')
    with pytest.raises(InputError, match='does not hold the measures'):
        pair_record.read_record(str(tmp_path / 'other.json'))
    with pytest.raises(MissingFileError):
        pair_record.read_record(str(tmp_path / 'none.json'))
    synthetic = [dict(PAIR[0], dsmooth=2), dict(PAIR[0], dsmooth=2)]
    assert pair_record.pair_name(synthetic) == 'Phantom_4D case 3 T0 D2'
