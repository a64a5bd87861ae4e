"""Landmarks at vessel branchings, and the text files that hold them."""

import numpy as np
from scipy.spatial import cKDTree

from functions.phantom.trees import branchings
from functions.setting.errors import InputError

CHOICE = 4  # landmarks are chosen from this many times as many branchings, the thickest ones


def candidates(case):
    """Branchings of arteries and veins well inside the lungs, in the box in every phase, thickest first.

    :return: (n, 3) float64, mm from the centre of the box, reference phase.
    """
    trees = case.trees.arteries + case.trees.veins
    found = [branchings(tree) for tree in trees]
    radius = np.concatenate([second for _, second in found])
    points = np.concatenate([tree.nodes[index] for tree, (index, _) in zip(trees, found)])
    points = points[np.argsort(-radius, kind='stable')]
    points = points[_outside_airways(points, case.trees.airway_wall)]
    deep = case.anatomy.lung(*points.T) < -max(2.0, 4.0 * case.patient.scale)
    half = 0.5 * (np.array(case.patient.size) - 1) - 2.0
    moved = case.breathing.transform(points, 0, 5)
    return points[deep & np.all(np.abs(points) < half, axis=1) & np.all(np.abs(moved) < half, axis=1)]


def _outside_airways(points, airways):
    """Whether each point is clear of the airways beside it (which would hide the branching)."""
    part = np.linspace(0, 1, 6)[:, None, None]
    axis = (airways.start + part * (airways.end - airways.start)).reshape(-1, 3)
    radius = (airways.radius_start + part[..., 0] * (airways.radius_end - airways.radius_start)).ravel()
    distance, index = cKDTree(axis).query(points, k=12)
    return (distance - radius[index]).min(axis=1) > 0.3


def farthest_first(points, count, start):
    """Indices of ``count`` points, each the farthest from those before it, so that the first few are spread too."""
    chosen = [int(start)]
    distance = np.linalg.norm(points - points[start], axis=1)
    while len(chosen) < count:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


def choose_landmarks(case):
    """The case's landmarks in the reference phase.

    :return: (Landmarks, 3) float64, mm from the centre of the box; the first ones serve all phases.
    :raises InputError: too few branchings.
    """
    count = case.options['Landmarks']
    points = candidates(case)
    if len(points) < count:
        raise InputError(
            f'Case {case.patient.cn} of the phantom has {len(points)} vessel branchings inside its lungs, but '
            f"setting['Phantom']['Landmarks'] is {count}; lower it or enlarge Size {list(case.patient.size)}."
        )
    points = points[: CHOICE * count]
    start = int(np.argmin(np.linalg.norm(points - np.median(points, axis=0), axis=1)))
    return points[farthest_first(points, count, start)]


def landmark_texts(points, size, origin):
    """The files that hold a set of landmarks of an image with 1 mm voxels and identity direction.

    DIR-Lab's text is 1-based and counts z from the top: x + 1, y + 1, nz - z, rounded to voxels.

    :param points: (n, 3) world mm.
    :param size: (x, y, z) of the image in voxels.
    :param origin: (x, y, z) of its first voxel in mm.
    :return: list of (request of the address, text).
    """
    index = np.rint(np.asarray(points) - np.asarray(origin)).astype(int)
    index = np.clip(index, 0, np.asarray(size) - 1)
    world = index + np.asarray(origin)
    dirlab = np.stack([index[:, 0] + 1, index[:, 1] + 1, size[2] - index[:, 2]], axis=1)

    def rows(table, pattern, separator='\t'):
        return ''.join(separator.join(pattern % value for value in row).rstrip() + '\n' for row in table)

    count = len(index)
    return [
        ('LandmarkPointExact', '# x y z in mm\n' + rows(points, '%.9f', ' ')),
        ('LandmarkIndex', rows(dirlab, '%d')),
        ('LandmarkIndex_tr', rows(index, '%d')),
        ('LandmarkIndex_elx', f'index\n{count}\n' + rows(index, '%d')),
        ('LandmarkPoint_tr', rows(world, '%-9.3f')),
        ('LandmarkPoint_elx', f'point\n{count}\n' + rows(world, '%-9.3f')),
    ]
