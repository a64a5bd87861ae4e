"""Landmarks at vessel branchings, and their text files."""

import numpy as np
from scipy.spatial import cKDTree

from ..image.text_points import index_to_dirlab, landmark_texts, text_rows
from ..setting.errors import InputError
from .trees import branchings

CHOICE = 4  # landmarks are chosen among the thickest branchings, this many times their number


def candidates(case):
    """Branchings of vessels well inside the lungs and, in every phase, the box, thickest first: float64 (n, 3), mm from
    the centre of the box, reference phase.
    """
    trees = case.trees.arteries + case.trees.veins
    indices, radii = zip(*[branchings(tree) for tree in trees])
    points = np.concatenate([tree.nodes[index] for tree, index in zip(trees, indices)])
    points = points[np.argsort(-np.concatenate(radii), kind='stable')]
    points = points[_outside_airways(points, case.trees.airway_wall)]
    deep = case.anatomy.lung(*points.T) < -max(2.0, 4.0 * case.patient.scale)
    half = 0.5 * (np.array(case.patient.size) - 1) - 2.0
    moved = case.breathing.transform(points, 0, 5)
    return points[deep & np.all(np.abs(points) < half, axis=1) & np.all(np.abs(moved) < half, axis=1)]


def _outside_airways(points, airways):
    """Whether each point is clear of the airways beside it, which would hide the branching."""
    part = np.linspace(0, 1, 6)[:, None, None]
    axis = (airways.start + part * (airways.end - airways.start)).reshape(-1, 3)
    radius = (airways.radius_start + part[..., 0] * (airways.radius_end - airways.radius_start)).ravel()
    distance, index = cKDTree(axis).query(points, k=12)
    return (distance - radius[index]).min(axis=1) > 0.3


def farthest_first(points, count, start):
    """Indices of ``count`` points, each the farthest from those before it; the first few are spread out as well."""
    chosen = [int(start)]
    distance = np.linalg.norm(points - points[start], axis=1)
    while len(chosen) < count:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


def choose_landmarks(case):
    """The case's landmarks in the reference phase, float64 (Landmarks, 3), mm from the centre of the box; the first
    ones are used in all phases.

    :raises InputError: too few branchings.
    """
    count = case.options['Landmarks']
    points = candidates(case)
    if len(points) < count:
        found = f'Case {case.patient.cn} of the phantom has {len(points)} vessel branchings inside its lungs'
        remedy = f'lower it or enlarge Size {list(case.patient.size)}'
        raise InputError(f"{found}, but setting['Phantom']['Landmarks'] is {count}; {remedy}.")
    points = points[: CHOICE * count]
    start = int(np.argmin(np.linalg.norm(points - np.median(points, axis=0), axis=1)))
    return points[farthest_first(points, count, start)]


def phantom_texts(points, size, origin):
    """The text files of landmarks (n, 3), world mm, of an image with 1 mm voxels and identity direction: list of
    (request of the address, text).

    :param size, origin: (x, y, z) of the image in voxels, and of its first voxel in mm.
    """
    index = np.clip(np.rint(np.asarray(points) - origin).astype(int), 0, np.asarray(size) - 1)
    exact = '# x y z in mm\n' + text_rows(points, '%.9f').replace('\t', ' ')
    texts = landmark_texts(index_to_dirlab(index, size[2]), index, index + np.array(origin))
    return [('LandmarkPointExact', exact)] + texts
