"""Trees: one root, growing thinner, filling the lobes; capsules drawn with the right volume."""

import numpy as np
import pytest

from functions.phantom.capsules import paint
from functions.phantom.trees import MURRAY, Capsules, branchings, polyline


def test_trees_are_trees_of_the_right_shape(small_case):
    for tree in small_case.trees.arteries + small_case.trees.veins:
        assert tree.parent[0] == -1 and np.all(tree.parent[1:] < np.arange(1, len(tree.parent)))
        assert len(tree.nodes) > 100
        children = np.flatnonzero(tree.parent >= 0)
        assert np.all(tree.radius[children] <= tree.radius[tree.parent[children]] + 1e-9)
        inner = np.unique(tree.parent[1:])
        carried = np.bincount(tree.parent[1:], weights=tree.radius[1:] ** MURRAY, minlength=len(tree.nodes))
        assert np.allclose(carried[inner], tree.radius[inner] ** MURRAY)
        assert tree.radius.min() < 1 < tree.radius.max()


def test_trees_fill_the_lungs(small_case):
    """No point of the lungs is far from a vessel, and few nodes lie outside the lungs."""
    nodes = np.concatenate([tree.nodes for tree in small_case.trees.arteries + small_case.trees.veins])
    half = 0.5 * np.array(small_case.patient.size)
    points = np.random.RandomState(0).uniform(-1, 1, (3000, 3)) * half
    points = points[small_case.anatomy.lung(*points.T) < -2]
    nearest = np.sqrt(((points[:, None] - nodes[None]) ** 2).sum(axis=2).min(axis=1))
    assert len(points) > 200 and np.percentile(nearest, 99) < 8
    assert np.mean(small_case.anatomy.lung(*nodes.T) < 0) > 0.95


def test_branchings_are_found(small_case):
    tree = small_case.trees.arteries[0]
    index, second = branchings(tree)
    counts = np.bincount(tree.parent[1:], minlength=len(tree.nodes))
    assert np.array_equal(np.flatnonzero(counts >= 2), index)
    for node, radius in list(zip(index, second))[::17]:
        assert sorted(tree.radius[tree.parent == node])[-2] == pytest.approx(radius)


def test_a_painted_capsule_has_its_volume_and_place():
    tube = polyline([[10.3, 20.0, 19.5], [45.0, 22.0, 20.0]], [4.0, 4.0])
    volume = paint((40, 40, 60), (0, 0, 0), tube)
    length = np.linalg.norm(tube.end - tube.start)
    expected = np.pi * 16 * length + 4 / 3.0 * np.pi * 64
    assert volume.sum() == pytest.approx(expected, rel=0.03)
    z, y, x = [np.average(grid, weights=volume) for grid in np.indices(volume.shape)]
    assert np.allclose([x, y, z], (tube.start[0] + tube.end[0]) / 2, atol=0.05)
    assert volume.max() == 1 and volume.min() == 0


def test_thin_and_outlying_capsules():
    far = Capsules(np.array([[100.0, 0, 0]]), np.array([[120.0, 0, 0]]), np.array([2.0]), np.array([1.0]))
    assert paint((10, 12, 14), (0, 0, 0), far).max() == 0
    crossing = polyline([[-20.0, 6.3, 5.4], [30.0, 6.3, 5.4]], [0.4, 0.4])
    volume = paint((10, 12, 14), (0, 0, 0), crossing)
    assert 0.1 < volume.max() < 0.6  # thinner than a voxel: partial volume
    assert volume.sum() / 14 == pytest.approx(np.pi * 0.16, rel=0.15)
