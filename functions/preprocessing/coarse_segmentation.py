"""Torso, airway trunk and lungs in an upright CT at 2 mm: connectivity, size and HU only, nothing trained.

All functions work on float or integer arrays ``[z, y, x]`` in HU, z upwards, x to the patient's left.
"""

import logging

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..image.masks import bounding_box
from ..setting.errors import InputError
from . import morphology as mo

LOGGER = logging.getLogger(__name__)

TISSUE = -300.0  # HU: skin, fat and all that is denser
LUNG = -400.0  # HU: half-way between lung and soft tissue
AIR = -880.0  # HU: hollow
GAS = -940.0  # HU: the median of a hollow without parenchyma lies below
_ML = 1000.0  # mm³


def torso(hu, spacing, outside=None):
    """The body without table, clothes and cables; lungs and all other hollows are filled, also where the image's border
    cuts them open. An InputError where nothing is as dense as tissue.

    :param outside: bool array, what lies outside the field of view; None: nothing.
    """
    tissue = hu > TISSUE
    if not tissue.any():
        raise InputError(f'No body in the image: no voxel is above {TISSUE:g} HU. The values must be in HU.')
    tissue |= _open_lungs(hu, tissue, spacing, np.zeros_like(tissue) if outside is None else outside)
    # Opening by 6 mm cuts what touches the body only by folds (table top, sheets). Lungs are filled before, lest the
    # thin chest wall between lung and skin be opened away.
    filled = mo.without_holes(tissue, in_slices=True)
    core = mo.largest_component(mo.deeper_than(filled, 6.0, spacing))
    if not core.any():
        raise InputError(f'No body in the image: nothing thicker than 12 mm is above {TISSUE:g} HU.')
    body = mo.within(core, 7.0, spacing) & filled
    return mo.without_holes(mo.largest_component(body), in_slices=True)


def _open_lungs(hu, tissue, spacing, outside):
    """Lungs that reach the sides of the image, or what lies outside a round field of view: no slice encloses them."""
    # What is aerated like lung, not like air, and meets thick tissue in at least three of the four directions of a
    # slice is lung. Air outside the body and the foam of a table meet it in two at most.
    labels, _ = mo.components(~tissue & ~outside)
    border = mo.within(outside, spacing, spacing)
    border[:, [0, -1]] = border[:, :, [0, -1]] = True
    at_border = np.unique(labels[border])
    size = np.bincount(labels.ravel())
    core = mo.largest_component(mo.deeper_than(tissue, 6.0, spacing))
    behind = np.maximum.accumulate
    directions = behind(core, axis=1).astype(np.uint8) + behind(core, axis=2)
    directions += behind(core[:, ::-1], axis=1)[:, ::-1]
    directions += behind(core[:, :, ::-1], axis=2)[:, :, ::-1]
    enclosed = np.bincount(labels.ravel(), (directions >= 3).ravel()) / size
    aerated = np.bincount(labels.ravel(), ((hu > -950) & (hu < -500)).ravel()) / size
    lung = np.zeros(len(size), bool)
    lung[at_border] = True
    lung &= (enclosed >= 0.1) & (aerated >= 0.45)
    lung[0] = False
    return lung[labels]


def airway(hu, inside, spacing):
    """Trachea and bronchi as far as their walls hold: a bool array, empty where no trachea is found (a scan below it).

    Grown inside the torso from a seed in the trachea through all that is darker than a threshold, which is raised until
    the region bursts into the lung.
    """
    result = np.zeros(hu.shape, bool)
    seed = _trachea_seed(hu, inside, spacing)
    if seed is None:
        LOGGER.info('No trachea found; the airways are not told from the lungs.')
        return result
    box = bounding_box(inside)
    image = sitk.GetImageFromArray(np.where(inside, hu, 0)[box].astype(np.float32))
    start = [int(s - b.start) for s, b in zip(seed, box)][::-1]
    grown, volume = None, 0.0
    for threshold in range(-980, -840, 10):
        region = sitk.GetArrayFromImage(sitk.ConnectedThreshold(image, [start], -5000, threshold)).view(bool)
        new = region.sum() * spacing**3 / _ML
        # The whole tree down to the segments holds less than 150 ml.
        if new > 150 or (volume > 30 and new > 2 * volume):
            break
        grown, volume = region, new
    if grown is not None:
        result[box] = grown
    return result


def _trachea_seed(hu, inside, spacing):
    """Index (z, y, x) of a voxel in the trachea: the longest upright tube of air near the middle, high up."""
    hollow = (hu < AIR) & inside
    labels, sizes = mo.components(hollow, mo.IN_PLANE)
    area = sizes * spacing**2
    boxes = ndimage.find_objects(labels)
    fits = (area >= 50) & (area <= 900)
    for label in np.nonzero(fits)[0]:
        z, y, x = boxes[label - 1]
        tall, wide = (y.stop - y.start) * spacing, (x.stop - x.start) * spacing
        is_round = max(tall, wide) <= 3 * min(tall, wide) and area[label] >= 0.5 * tall * wide
        fits[label] = max(tall, wide) <= 40 and is_round
        if fits[label]:
            # The trachea lies in the mediastinum, bronchi and bullae in lung.
            around = (z.start, *(slice(max(side.start - 3, 0), side.stop + 3) for side in (y, x)))
            part = labels[around] == label
            wall = ndimage.binary_dilation(part, iterations=3) & ~ndimage.binary_dilation(part, iterations=2)
            fits[label] = np.median(hu[around][wall]) > LUNG
    tubes, sizes = mo.components(fits[labels] & hollow)
    middle = ndimage.center_of_mass(inside)[2]
    half = np.ptp(np.nonzero(inside.any(axis=(0, 1)))[0]) / 2.0
    best, best_score = None, 0.0
    for label, box in enumerate(ndimage.find_objects(tubes), start=1):
        length = (box[0].stop - box[0].start) * spacing
        x = (box[2].start + box[2].stop - 1) / 2.0
        # A scan may begin just above the carina; elsewhere a short tube is gas in the gut.
        # Half a chest shows the trachea at its side, a slab a tip of lung there.
        aside = abs(x - middle) > 0.35 * half
        if aside and min(x, hu.shape[2] - 1 - x) * spacing <= 30:
            aside = np.median(hu[box][tubes[box] == label]) > AIR - 50
        if aside or length < (5 if box[0].stop == hu.shape[0] else 10):
            continue
        # Height decides between the trachea and gas in the gut.
        score = length * (box[0].stop / float(hu.shape[0])) ** 2
        if score > best_score:
            best, best_score = label, score
    if best is None:
        return None
    places = np.argwhere(tubes == best)
    return places[np.argmin(hu[tuple(places.T)])]


def lungs(hu, inside, spacing):
    """Both lungs inside the torso, vessels and airways in them filled, without trachea and main bronchi: uint8 labels,
    1 the patient's right lung, 2 the left one. An InputError where there is none.
    """
    tree = airway(hu, inside, spacing)
    wall = mo.within(tree, spacing, spacing)
    aerated = (hu < LUNG) & inside & ~wall
    right, left = right_and_left(_lung_parts(hu, aerated, spacing), spacing)
    trunk = mo.within(mo.opened(tree, 4.0, spacing), 2 * spacing, spacing)
    result = np.zeros(hu.shape, np.uint8)
    for label, lung, other in ((1, right, left), (2, left, right)):
        if lung.any():
            filled = mo.without_holes(mo.closed(lung, 8.0, spacing)) & ~other & ~trunk & inside
            result[filled & (result == 0)] = label
    return result


def _lung_parts(hu, aerated, spacing):
    """Labels of the connected parts that are lung: large, and parenchyma rather than mere gas; largest first."""
    labels, sizes = mo.components(aerated)
    volume = sizes * spacing**3 / _ML
    if volume.max() < 20:
        found = f'no connected part of the body of 20 ml or more is below {LUNG:g} HU'
        raise InputError(f'No lung in the image: {found}. The values must be in HU and the scan must show the chest.')
    parts = []
    for label in np.argsort(-volume):
        if volume[label] < max(20.0, 0.01 * volume.max()):
            break
        part = labels == label
        core = mo.deeper_than(part, 1.5 * spacing, spacing)
        # Gas in the gut is air and nothing else; no lung is, but one that is nothing but emphysema is large.
        if np.median(hu[core if core.any() else part]) > GAS or volume[label] > max(500.0, 0.3 * volume.max()):
            parts.append(part)
    if not parts:
        raise InputError('No lung in the image: the hollows of the body hold air and no parenchyma.')
    return parts


def right_and_left(parts, spacing):
    """Bool arrays (right, left) of the connected parts (bool arrays) of both lungs, largest first, shared out; the
    largest is cut in two where it is both lungs, and the left one is empty where only one lung is found, whichever it
    is.
    """
    largest = parts[0]
    if len(parts) == 1 or parts[1].sum() < 0.15 * largest.sum():
        cut = _cut(largest, spacing)
        if cut is None and len(parts) == 1:
            return (largest, np.zeros_like(largest))
        seeds, rest = (parts[:2], parts[2:]) if cut is None else (list(cut), parts[1:])
    else:
        seeds, rest = parts[:2], parts[2:]
    seeds.sort(key=lambda part: ndimage.center_of_mass(part)[2])
    right, left = seeds
    for part in rest:  # lobes cut off by fluid or tumour go to the nearer lung
        centre, *others = [np.array(ndimage.center_of_mass(one)) for one in (part, right, left)]
        distance = [np.linalg.norm(centre - other) for other in others]
        if distance[0] < distance[1]:
            right = right | part
        else:
            left = left | part
    return right, left


def _cut(mask, spacing):
    """Cut a part that is two lungs touching each other at its narrowest place; None if it is one lung."""
    box = bounding_box(mask, 1)
    part = mask[box]
    depth = mo.depth(part, spacing)
    for radius in np.arange(spacing / 2, 30, spacing / 2):
        labels, sizes = mo.components(depth > radius)
        order = np.argsort(-sizes)[:2]
        if len(sizes) < 3 or sizes[order[1]] < 0.2 * sizes[order[0]] or sizes[order].sum() < 0.05 * part.sum():
            continue
        centres = ndimage.center_of_mass(labels > 0, labels, order)
        if abs(centres[0][2] - centres[1][2]) * spacing < 50:
            continue
        markers = np.zeros(part.shape, np.uint8)
        markers[labels == order[0]] = 1
        markers[labels == order[1]] = 2
        markers[~part] = 3
        images = [sitk.GetImageFromArray(array) for array in (-depth, markers)]
        basins = sitk.GetArrayFromImage(sitk.MorphologicalWatershedFromMarkers(*images, False))
        lungs_apart = np.zeros((2,) + mask.shape, bool)
        for label, lung in enumerate(lungs_apart, 1):
            lung[box] = (basins == label) & part
        return lungs_apart
    return None
