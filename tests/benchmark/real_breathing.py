"""Real chest CT, breathing: pairs whose motion is known, made from one scan and an analytic breathing model.

The model is the phantom's (:mod:`functions.phantom.breathing`), laid over the lungs of the scan: sliding along
a chest wall that stays, ribs that come in, a heterogeneous part, positive Jacobian determinant. None of the
categories of artificial generation slides, and none of the networks has seen it. Density follows volume.
"""

import numpy as np
from scipy import ndimage

from functions.image.dvf import jacobian_determinant
from functions.image.geometry import Geometry
from functions.image.resample import warp
from functions.image.volume_io import array_view, image_from_array
from functions.phantom.branching_landmarks import farthest_first
from functions.phantom.breathing import Breathing
from functions.phantom.frame import Frame
from functions.phantom.patient import Patient, check_options

#: The lungs of the phantom in its full box: size in mm, and their lower corner from the middle of the box.
_LUNGS = np.array([214.0, 147.0, 217.0])
_CORNER = np.array([-107.0, -81.0, -104.0])
NOISE = 15.0  # HU
LANDMARKS = 300


class Uneven(Breathing):
    """Breathing that an affine transform does not describe: most of the motion in the lower lung, more at the
    back and on one side, a strong heterogeneous part."""

    def _decay(self, z):
        value, slope = super()._decay(z)
        return value * value, 2.0 * value * slope


class RealBreathing:
    """Breathing of a scan from what it shows (inhale) to exhale.

    :param image, lung: scan in HU and its lungs, at 1 mm with identity direction.
    :param largest: mm, the largest displacement inside the lungs.
    :param number: another heterogeneous part for every number.
    """

    def __init__(self, image, lung, largest, number=1):
        self.image, self.lung, self.grid = image, lung, Geometry.of(image)
        inside = array_view(lung) != 0
        index = np.argwhere(inside)[:, ::-1]
        low, high = [self.grid.index_to_world(end) for end in (index.min(axis=0), index.max(axis=0))]
        scale = (high - low) / _LUNGS
        size = [int(round(side)) for side in scale * (300, 220, 280)]
        self.patient = Patient(number, check_options({'Size': size, 'Anatomy': 0.0}))
        self.centre = low - scale * _CORNER
        few = self.grid.index_to_world(index[::397])
        self.patient.ripple = 0.2 * largest
        self.patient.back_more, self.patient.left_more = 0.4, 0.25 * (-1) ** number
        self.patient.chest_motion = (0.25 * largest, 0.1 * largest)
        for _ in range(6):
            self.breathing = Uneven(Frame(self.patient))
            found = np.linalg.norm(self.displacement(few), axis=1).max()
            self.patient.descent *= largest / found

    def displacement(self, points):
        """u(p) from inhale to exhale at points (..., 3), mm."""
        return self._moved(points, self.breathing.forward, 5) - points

    def _moved(self, points, mapping, *arguments, **options):
        local = np.moveaxis(np.asarray(points) - self.centre, -1, 0)
        return np.stack(mapping(*local, *arguments, **options), -1) + self.centre

    def _field(self, mapping):
        field = np.empty(self.grid.shape + (3,), np.float32)
        # Single precision is a hundredth of a micrometre here, and twice as fast.
        corner = np.array(self.grid.origin) - self.centre
        x, y, z = [(corner[i] + np.arange(n)).astype(np.float32) for i, n in enumerate(self.grid.size)]
        for plane, height in zip(field, z):
            local = x[None, :], y[:, None], np.float32(height)
            for i, moved in enumerate(mapping(*local, 5)):
                plane[..., i] = moved - local[i]
        return image_from_array(field, self.grid)

    def fields(self):
        """(true field, inverse field), both on the grid of the scan."""
        return self._field(self.breathing.forward), self._field(self.breathing.inverse)

    def pair(self, torso):
        """(fixed, moving, masks of both, true field): the moving image is the scan at exhale, with noise of
        its own."""
        truth, back = self.fields()
        moving, lung, moving_torso = moved_scan(self.image, self.lung, torso, truth, back)
        masks = {'fixed_lung': self.lung, 'fixed_torso': torso, 'moving_lung': lung, 'moving_torso': moving_torso}
        return self.image, with_noise(moving, NOISE, 7), masks, truth

    def landmarks(self):
        """See :func:`vessel_landmarks`."""
        return vessel_landmarks(self.image, self.lung)


def moved_scan(image, lung, torso, truth, back):
    """(image, lung, torso) of a scan after a motion; the density of the lung follows its volume.

    :param truth: field of the motion on the grid of the scan, mm.
    :param back: its inverse, whose grid the results have. What it reads beyond the scan continues the scan's edge, as
        a body does.
    """
    density = jacobian_determinant(array_view(truth), truth.GetSpacing())
    hu, inside = array_view(image), array_view(lung) != 0
    if density[inside].min() <= 0:
        raise ValueError('The motion folds in the lung.')
    # rho_moving(p + u(p)) det(p) = rho_fixed(p), in the lungs.
    thicker = np.where(inside, (hu + 1000.0) / np.maximum(density, 0.2) - 1000.0, hu).astype(np.float32)
    back, edge = _into(back, Geometry.of(image)), float(np.percentile(hu, 5))
    moved = warp(image_from_array(thicker, image), back, 'bspline', edge)
    return (moved,) + tuple(warp(mask, back, 'nearest', 0) for mask in (lung, torso))


def _into(field, grid):
    """``field`` with targets outside ``grid`` brought to its border; both have identity direction."""
    moves, own = array_view(field).copy(), Geometry.of(field)
    for i in range(3):
        place = own.origin[i] + own.spacing[i] * np.arange(own.size[i], dtype=np.float32)
        place = place.reshape([-1 if axis == 2 - i else 1 for axis in range(3)])
        last = grid.origin[i] + grid.spacing[i] * (grid.size[i] - 1)
        moves[..., i] = np.clip(moves[..., i] + place, grid.origin[i], last) - place
    return image_from_array(moves, field)


def with_noise(image, sigma, seed):
    """int16 image with noise of ``sigma`` HU, a little smooth as a scanner's."""
    noise = np.random.RandomState(seed).normal(size=array_view(image).shape).astype(np.float32)
    noise = ndimage.gaussian_filter(noise, 0.6)
    noise *= sigma / noise[::5, ::5, ::5].std()
    return image_from_array(np.rint(np.clip(array_view(image) + noise, -1024, 3071)).astype(np.int16), image)


def vessel_landmarks(image, lung):
    """Points (300, 3) mm at branchings of vessels: where gradients of all directions meet, well inside the lungs."""
    hu = array_view(image).astype(np.float32)
    inside = ndimage.binary_erosion(array_view(lung) != 0, iterations=4)
    box = tuple(slice(a.min(), a.max() + 1) for a in np.nonzero(inside))
    hu, inside = ndimage.gaussian_filter(np.clip(hu[box], -1000, 200), 1.0), inside[box]
    slopes = np.gradient(hu)
    tensor = np.empty(hu.shape + (3, 3), np.float32)
    for i in range(3):
        for j in range(i, 3):
            tensor[..., i, j] = tensor[..., j, i] = ndimage.gaussian_filter(slopes[i] * slopes[j], 2.0)
    found = inside & (hu > -600)
    # The smallest eigenvalue is large only where no direction is flat.
    strength = np.zeros(hu.shape, np.float32)
    strength[found] = np.linalg.eigvalsh(tensor[found])[:, 0]
    peaks = (strength == ndimage.maximum_filter(strength, 7)) & (strength > 0)
    index = np.argwhere(peaks)
    index = index[np.argsort(-strength[peaks], kind='stable')][: 4 * LANDMARKS]
    points = Geometry.of(image).index_to_world(index[:, ::-1] + [s.start for s in box[::-1]])
    return points[farthest_first(points, min(LANDMARKS, len(points)), 0)]
