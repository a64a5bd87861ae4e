"""A field read on another grid, axis by axis, against ITK's and SciPy's own interpolation."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from image_truths import image_of, oblique_geometry, voxel_points
from scipy import ndimage

from functions.image.dvf import resample_dvf
from functions.image.geometry import Geometry
from functions.image.parallel_grids import positions_along, read_along
from functions.image.threads import itk_threads

SIZES = st.tuples(*[st.integers(1, 7)] * 3)
SPACINGS = st.tuples(*[st.floats(0.3, 4.0)] * 3)
ORIGINS = st.tuples(*[st.floats(-20.0, 20.0)] * 3)


@settings(max_examples=60, deadline=None)
@given(SIZES, SIZES, SPACINGS, ORIGINS, st.tuples(*[st.sampled_from((-1.0, 1.0))] * 3), st.integers(0, 99))
def test_any_grid_with_parallel_axes_is_read_as_by_scipy(size, other_size, spacing, origin, signs, seed):
    """Flipped axes, axes of one voxel, and voxels far beyond the field included."""
    rng = np.random.RandomState(seed)
    source = oblique_geometry(size, seed)
    turned = np.array(source.direction).reshape(3, 3) * np.array(signs)  # the same axes, some of them reversed
    target = Geometry(other_size, spacing, origin, tuple(turned.ravel()))
    array = rng.randn(*source.shape, 3).astype(np.float32)
    positions = positions_along(source, target)
    index = source.world_to_index(voxel_points(target)).T[::-1].transpose(0, 3, 2, 1)
    for axis in range(3):
        along = np.moveaxis(index[2 - axis], 2 - axis, 0)
        np.testing.assert_allclose(along, np.broadcast_to(positions[axis][:, None, None], along.shape), atol=1e-9)
    parts = [ndimage.map_coordinates(array[..., i], index, order=1, mode='nearest') for i in range(3)]
    found = resample_dvf(image_of(array, source), target)
    np.testing.assert_allclose(sitk.GetArrayFromImage(found), np.stack(parts, -1), atol=1e-5)
    assert Geometry.of(found) == target


@pytest.mark.parametrize('degrees, parallel', [(0.0, True), (90.0, False), (1.0, False)])
def test_axes_that_turn_are_not_parallel(degrees, parallel):
    angle = np.deg2rad(degrees)
    turned = (np.cos(angle), -np.sin(angle), 0.0, np.sin(angle), np.cos(angle), 0.0, 0.0, 0.0, 1.0)
    source = Geometry.identity((9, 8, 7))
    assert (positions_along(source, source._replace(direction=turned)) is not None) == parallel


def test_the_number_of_threads_changes_no_bit():
    array, found = np.random.RandomState(0).randn(6, 5, 4, 3).astype(np.float32), []
    positions = positions_along(Geometry.identity((4, 5, 6)), Geometry.identity((9, 9, 9), (0.4,) * 3, (0.1, 0.2, 0.3)))
    for threads in (1, 2, 7, 20):
        with itk_threads(threads):
            found.append(read_along(array, positions))
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
