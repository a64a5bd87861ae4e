"""Landmarks at vessel branchings, and the text files they are kept in."""
import numpy as np

from functions.phantom.trees import branchings
from functions.setting.errors import InputError

SMALLEST_BRANCH = 0.55  # mm, radius of the thinner branch


def candidates(case):
    """Branchings of arteries and veins well inside the lungs and inside the box in every phase.

    :return: (n, 3) float64, mm from the centre of the box, reference phase.
    """
    found = []
    for tree in case.trees.arteries + case.trees.veins:
        index, second = branchings(tree)
        found.append(tree.nodes[index[second >= SMALLEST_BRANCH]])
    points = np.concatenate(found)
    deep = case.anatomy.lung(*points.T) < -max(2.0, 4.0 * case.patient.scale)
    half = 0.5 * (np.array(case.patient.size) - 1) - 2.0
    moved = case.breathing.transform(points, 0, 5)
    return points[deep & np.all(np.abs(points) < half, axis=1) & np.all(np.abs(moved) < half, axis=1)]


def farthest_first(points, count, start):
    """Indices of ``count`` points, each the farthest from those before it: any first few are well spread too."""
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
        raise InputError("Case {} of the phantom has {} vessel branchings inside its lungs, setting['Phantom']['Landmarks'] "
                         'asks for {}; ask for fewer or enlarge Size {}.'.format(
                             case.patient.cn, len(points), count, list(case.patient.size)))
    start = int(np.argmin(np.linalg.norm(points - np.median(points, axis=0), axis=1)))
    return points[farthest_first(points, count, start)]
