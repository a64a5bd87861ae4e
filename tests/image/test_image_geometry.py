"""Voxel indices to millimetres and back, judged by SimpleITK."""

import numpy as np
import pytest
import SimpleITK as sitk
from image_truths import image_of, oblique_geometry

from functions.image.dvf import transform_points
from functions.image.geometry import Geometry, require_same_grid
from functions.setting.errors import InputError


def test_conversion_equals_simpleitk_on_an_oblique_grid():
    geometry = oblique_geometry((9, 11, 13))
    image = image_of(np.zeros(geometry.shape, np.int16), geometry)
    index = np.random.RandomState(0).uniform(-3, 15, (20, 3))
    points = np.array([image.TransformContinuousIndexToPhysicalPoint(i.tolist()) for i in index])
    np.testing.assert_allclose(Geometry.of(image).index_to_world(index), points, atol=1e-9)
    np.testing.assert_allclose(geometry.world_to_index(points), index, atol=1e-9)


def test_geometry_of_an_image_and_its_array_shape():
    geometry = oblique_geometry((4, 5, 6))
    image = image_of(np.zeros(geometry.shape, np.int16), geometry)
    assert geometry.shape == (6, 5, 4)
    assert Geometry.of(image) == geometry
    assert Geometry.of(geometry) is geometry
    with pytest.raises(InputError, match='ndarray'):
        Geometry.of(np.zeros((3, 3, 3)))


@pytest.mark.parametrize(
    'change, same',
    [
        (lambda g: g._replace(origin=(g.origin[0] + 1e-3, g.origin[1], g.origin[2])), True),
        (lambda g: g._replace(origin=(g.origin[0] + 0.1, g.origin[1], g.origin[2])), False),
        (lambda g: g._replace(spacing=(g.spacing[0] * 1.02, g.spacing[1], g.spacing[2])), False),
        (lambda g: g._replace(size=(g.size[0] + 1,) + g.size[1:]), False),
        (lambda g: g._replace(direction=Geometry.identity(g.size).direction), False),
    ],
)
def test_grids_match_up_to_what_header_formats_round(change, same):
    geometry = oblique_geometry((20, 21, 22))
    changed = change(geometry)
    assert geometry.matches(changed) is same
    if not same:
        with pytest.raises(InputError, match='the fixed image.*the mask'):
            require_same_grid(geometry, changed, 'the fixed image', 'the mask')


def test_transform_points_by_a_translation_field():
    geometry = oblique_geometry((8, 9, 10))
    shift = np.array([3.0, -2.0, 5.0])
    dvf = image_of(np.tile(shift.astype(np.float32), geometry.shape + (1,)), geometry)
    fixed = geometry.index_to_world(np.random.RandomState(1).uniform(-5, 14, (30, 3)))
    np.testing.assert_allclose(transform_points(fixed, dvf), fixed + shift, atol=1e-5)


def test_points_of_a_wrong_shape_are_refused():
    image = sitk.Image(3, 3, 3, sitk.sitkInt16)
    with pytest.raises(InputError, match=r'\(n, 3\)'):
        Geometry.of(image).index_to_world([1, 2])
