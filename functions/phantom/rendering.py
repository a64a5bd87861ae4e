"""From shapes to Hounsfield units: the noise-free reference volume, and all other phases warped from it."""

import collections

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter

from .breathing import displacement_grid, grid_slabs
from .capsules import paint
from .frame import smooth_step
from .thorax_anatomy import mix, share

#: float32 arrays [z, y, x]: Hounsfield units, and the fractions of each voxel that are lung and body.
TissueVolumes = collections.namedtuple('TissueVolumes', 'hu lung body')
AIRWAY_WALL = 20.0  # HU
LATTICE_STEP = 4.0  # mm between the points where the Jacobian determinant is evaluated


def enlarge(coarse, shape, step):
    """Linear interpolation of a coarse lattice [z, y, x] at i / step along every axis, float32 of a shape; beyond it,
    the value at its edge.
    """
    result = np.asarray(coarse, dtype=np.float32)
    for axis, length in enumerate(shape):
        position = np.clip(np.arange(length) / step, 0, result.shape[axis] - 1)
        low = np.minimum(position.astype(int), max(result.shape[axis] - 2, 0))
        high = np.minimum(low + 1, result.shape[axis] - 1)
        part = (position - low).astype(np.float32).reshape([-1 if k == axis else 1 for k in range(3)])
        result = np.take(result, low, axis=axis) * (1 - part) + np.take(result, high, axis=axis) * part
    return result


def smooth_noise(shape, width, rng):
    """Noise of zero mean and unit variance with a correlation length of about ``width`` voxels."""
    step = max(1.0, width * 0.8)
    coarse = rng.standard_normal([int(np.ceil(side / step)) + 2 for side in shape]).astype(np.float32)
    field = enlarge(gaussian_filter(coarse, 0.8, mode='nearest'), shape, step)
    field -= field.mean()
    return field * (1.0 / field.std())


def render_reference(anatomy, trees, below):
    """The patient at maximum inhale without noise, :class:`TissueVolumes` with ``below`` slices below the box."""
    p = anatomy.patient
    shape = (p.size[2] + below, p.size[1], p.size[0])
    first = [-0.5 * (side - 1) for side in p.size]
    first[2] -= below
    drawn = trees.blood, trees.airway_wall, trees.airway_lumen
    blood, wall, lumen = [paint(shape, first, capsules) for capsules in drawn]
    rng = p.random_state('texture')
    marbling = smooth_noise(shape, 9.0 * p.scale + 2.0, rng)
    fine = 13.0 * smooth_noise(shape, 2.2, rng) + 9.0 * smooth_noise(shape, 5.0, rng)
    disease = Disease(anatomy, shape, rng)
    hu, lung, body = [np.empty(shape, dtype=np.float32) for _ in range(3)]
    for part, x, y, z in grid_slabs(p.size, below):
        value, depth, skin, chest = anatomy.soft_tissue(x, y, z, marbling[part])
        inside = share(depth)
        value = mix(value, _parenchyma(anatomy, x, y, z, depth, fine[part], disease, part), inside)
        value = mix(value, p.blood_hu, blood[part] * chest)
        # Airways are visible only in the lungs and at their roots; the trachea has a wall everywhere.
        visible = np.maximum(share(depth - 3.0), share(anatomy.central_airways(x, y, z)))
        value = mix(value, AIRWAY_WALL, wall[part] * visible)
        value = mix(value, -995.0, lumen[part] * visible)
        value = disease.lesion(value, x, y, z, inside)
        hu[part], lung[part], body[part] = value, inside, share(skin)
    return TissueVolumes(hu, lung, body)


def _parenchyma(anatomy, x, y, z, depth, fine, disease, part):
    """Lung tissue with fissures; denser towards the back (gravity) and just below the pleura."""
    p = anatomy.patient
    depth_of_back = (y - anatomy.frame.spine(z) + 0.6 * p.chest_ry) * (1.0 / p.chest_ry)
    hu = p.lung_hu + p.gravity_hu * depth_of_back + fine
    hu = hu + 25.0 * smooth_step(1.0 + depth * (1.0 / (5.0 * p.scale)))
    hu = disease.parenchyma(hu, part)
    oblique, horizontal = anatomy.fissures(x, y, z)
    hu = hu + 170.0 * share(np.abs(oblique) - 0.35, 1.3)
    return hu + 130.0 * share(np.abs(horizontal) - 0.3, 1.3) * (oblique > 0)


class Disease:
    """Pathology of the lungs: holes (emphysema), a nodule, patches of higher density, or none."""

    def __init__(self, anatomy, shape, rng):
        p = anatomy.patient
        kind, s = p.pathology, p.scale
        self.mask = self.centre = None
        if kind == 'emphysema':
            field = smooth_noise(shape, max(3.0, 9.0 * s), rng)
            field += 0.5 * smooth_noise(shape, max(2.0, 4.0 * s), rng)
            self.mask = smooth_step((field - np.float32(rng.uniform(0.5, 1.1))) * np.float32(2.0))
            self.change = float(-rng.uniform(45, 85))
        elif kind == 'opacity':
            field = smooth_noise(shape, max(3.0, 26.0 * s), rng)
            self.mask = smooth_step((field - np.float32(rng.uniform(1.3, 1.7))) * np.float32(2.0))
            self.change = float(rng.uniform(120, 380))
        elif kind == 'nodule':
            half = [0.5 * side for side in p.size]
            tries = rng.uniform(-1, 1, (4000, 3)) * half
            self.radius = float(max(2.5, rng.uniform(4, 13) * s))
            tries = tries[anatomy.lung(*tries.T) < -0.6 * self.radius]
            if len(tries):
                self.centre = tries[0].tolist()
            self.spikes = rng.uniform(0, 6.28, 3).tolist()

    def parenchyma(self, hu, part):
        """Add holes or patches to lung tissue; ``part`` is the slice of z."""
        return hu if self.mask is None else np.maximum(hu + self.change * self.mask[part], -985.0)

    def lesion(self, hu, x, y, z, lung):
        """Draw the nodule, if any, into a slab."""
        if self.centre is None:
            return hu
        dx, dy, dz = x - self.centre[0], y - self.centre[1], z - self.centre[2]
        if abs(float(dz[0, 0, 0])) > 3 * self.radius + 4 and abs(float(dz[-1, 0, 0])) > 3 * self.radius + 4:
            return hu
        r = np.sqrt(dx * dx + dy * dy + dz * dz + 1e-6)
        a, b, c = self.spikes
        k = 2.6 / self.radius
        bumps = np.sin(k * dx + a) * np.sin(k * dy + b) + np.sin(k * dz + c) * np.sin(k * dx - b)
        return mix(hu, 35.0, share(r - self.radius * (1.0 + 0.14 * bumps), 1.6) * lung)


def pull_back(breathing, reference, below, type_im):
    """One phase without noise, with the shape of the box: :class:`TissueVolumes` of anatomy and masks of the
    ``reference`` (:func:`render_reference`) through the inverse map, density from its Jacobian.
    """
    if type_im == 0:
        return TissueVolumes(*[volume[below:] for volume in reference])
    size = breathing.patient.size
    field = sitk.GetImageFromArray(displacement_grid(breathing, type_im, 0), isVector=True)
    grid = size, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), field.GetDirection()

    def warped(volume, interpolator, outside):
        image = sitk.GetImageFromArray(volume)
        image.SetOrigin((0.0, 0.0, -float(below)))
        return sitk.GetArrayFromImage(sitk.Warp(image, field, interpolator, *grid, outside))

    hu = warped(reference.hu, sitk.sitkBSpline, -1000.0)
    lung, body = (warped(volume, sitk.sitkLinear, 0.0) for volume in reference[1:])
    return TissueVolumes((hu + 1000.0) * density_factor(breathing, type_im, lung) - 1000.0, lung, body)


def density_factor(breathing, type_im, lung):
    """Density of a phase relative to the reference: 1 / det inside the lungs, 1 outside; float32 [z, y, x], on the grid
    of the phase, as ``lung``, the fraction of lung.
    """
    # The determinant is smooth inside the chest (continued across the wall), so every few mm are enough.
    axes = [np.arange(0, n - 1 + LATTICE_STEP, LATTICE_STEP) - 0.5 * (n - 1) for n in breathing.patient.size]
    z, y, x = np.meshgrid(*axes[::-1], indexing='ij')
    inside = breathing.inverse(x, y, z, type_im, sliding=False)
    determinant = breathing.determinant(*inside, type_im=type_im, sliding=False)
    factor = enlarge(1.0 / determinant, lung.shape, LATTICE_STEP)
    # Voxels that are partly chest wall change by their fraction of lung.
    return (factor - 1.0) * lung + 1.0
