"""Breathing: an analytic map from the reference (T00, maximum inhale) to any phase, its inverse and its Jacobian.

Three invertible steps, each with a positive Jacobian determinant:

1. a small smooth random displacement inside the chest (heterogeneity) that vanishes at the chest wall and the spine;
2. in the straightened chest (frame.py) a motion along z only, ``z + a A(xi, eta) w(xi, eta) g(z)``: the diaphragm and
   what is near it rises by ``A`` from inhale to exhale, ``g`` decays to zero at the apex, and ``w`` falls from one at
   the pleura to zero before the ribs, so that lungs and liver slide along the chest wall;
3. the chest wall: the front of the body approaches the spine and the sides move inwards, depending on z.

The amplitude ``a`` is ``(1 - cos(2 pi T / 10)) / 2``: 0 at T00, 1 at T50. Step 3 lags or leads slightly (hysteresis),
so that inspiration and expiration differ. From T00 to T50, u_z > 0 at the diaphragm.

The density of the lung is conserved: ``rho_fixed(p) = rho_moving(p + u(p)) det(I + du/dp)``.
"""

import math

import numpy as np

from ..setting.errors import InputError
from .frame import smooth_step

PHASES = 10


def check_type(type_im):
    """The index of a phase as int; raises :class:`InputError` unless it is one of 0 (T00) ... 9 (T90)."""
    if isinstance(type_im, (bool, float, str)) or type_im not in range(PHASES):
        raise InputError(f'Phase type_im={type_im!r} of the phantom; accepted: 0 (T00, maximum inhale) to 9 (T90).')
    return int(type_im)


class Breathing:
    """The map of one patient, of a Frame. Coordinates: mm from the centre of the box, arrays that broadcast; dtypes are
    kept.
    """

    def __init__(self, frame):
        self.frame = frame
        p = self.patient = frame.patient
        self.top, self.length = p.apex_z, p.apex_z - (p.recess_z - 4.0 * p.scale)
        dome_z = p.recess_z + p.dome_height['right']
        # The descent is defined at the top of the right dome.
        self.rise = 1.0
        there = smooth_step((self.top - dome_z) / self.length) * self._rise(-0.5, p.dome_eta, False)
        self.rise = p.descent / float(there)
        rng = p.random_state('ripple')
        waves = 4
        wavelength = rng.uniform(55, 110, waves) * p.scale
        direction = rng.normal(size=(waves, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        # Python numbers, so that float32 arrays stay float32.
        self._wave = (direction * (2 * math.pi / wavelength)[:, None]).tolist()
        self._wave_phase = rng.uniform(0, 2 * math.pi, waves).tolist()
        push = rng.normal(size=(waves, 3))
        push *= p.ripple / np.linalg.norm(push, axis=1, keepdims=True) / math.sqrt(waves)
        self._push = push.tolist()

    @staticmethod
    def amplitude(type_im):
        """0 at T00, 1 at T50, a cosine in between."""
        return 0.5 * (1.0 - math.cos(2 * math.pi * check_type(type_im) / PHASES))

    def _chest_amplitude(self, type_im):
        return self.amplitude(type_im) + self.patient.hysteresis * math.sin(2 * math.pi * type_im / PHASES)

    # step 1: heterogeneity
    def _ripple(self, x, y, z):
        p = self.patient
        xi, eta = self.frame.straighten(x, y, z)
        r2 = xi * xi + eta * eta
        window = np.maximum(1.0 - r2 * r2, 0.0) ** 2 * smooth_step(self.frame.beside_spine(xi, eta) / (22.0 * p.scale))
        window = window * smooth_step((self.top + 10.0 * p.scale - z) / (60.0 * p.scale))
        dx = dy = dz = 0.0
        for (kx, ky, kz), phase, (px, py, pz) in zip(self._wave, self._wave_phase, self._push):
            wave = np.sin(kx * x + ky * y + (kz * z + phase))
            dx, dy, dz = dx + px * wave, dy + py * wave, dz + pz * wave
        return dx * window, dy * window, dz * window

    # step 2: sliding along the chest wall
    def _rise(self, xi, eta, sliding=True):
        """A(xi, eta) w(xi, eta) in mm; without w if not ``sliding``, a smooth continuation of the inside."""
        p = self.patient
        rise = 1.0 + p.back_more * np.clip(eta, -1.2, 1.2) + p.left_more * np.clip(xi, -1.2, 1.2)
        rise = rise * self.rise * (1.0 - p.mediastinum_less * np.exp(xi * xi * (-1.0 / 0.25**2)))
        if sliding:
            rise = rise * (1.0 - smooth_step(self.frame.wall(xi, eta) * (1.0 / p.slide_width)))
            rise = rise * smooth_step(self.frame.beside_spine(xi, eta) / (6.0 * p.scale))
        return rise

    def _decay(self, z):
        """g(z) and dg/dz: 1 at the recess and below, 0 at the apex and above."""
        t = np.clip((self.top - z) * (1.0 / self.length), 0.0, 1.0)
        return t * t * (3.0 - 2.0 * t), t * (1.0 - t) * (-6.0 / self.length)

    # step 3: the chest wall
    def _chest(self, z, amplitude):
        """Relative narrowing in y and x at height z."""
        p = self.patient
        level = 0.35 + 0.65 * smooth_step((self.top - z) / (0.6 * p.size[2]))
        narrow_y = (amplitude * p.chest_motion[0] * 1.3 / (p.chest_ry * (1 + p.spine_eta))) * level
        return narrow_y, (amplitude * p.chest_motion[1] / p.chest_rx) * level

    def forward(self, x, y, z, type_im, sliding=True):
        """Positions (x, y, z) in mm of reference points in a phase."""
        a, b = self.amplitude(type_im), self._chest_amplitude(type_im)
        if type_im == 0:
            return x, y, z
        dx, dy, dz = self._ripple(x, y, z)
        x, y, z = x + a * dx, y + a * dy, z + a * dz
        xi, eta = self.frame.straighten(x, y, z)
        z = z + a * self._rise(xi, eta, sliding) * self._decay(z)[0]
        x, y = self.frame.bend(xi, eta, z)
        narrow_y, narrow_x = self._chest(z, b)
        # Points v mm in front of the spine move back by narrow * v^2 / (v + c): nothing behind it, narrow * v far away.
        spine, c = self.frame.spine(z), 0.3 * self.patient.chest_ry
        v = np.maximum(spine - y, 0.0)
        return x * (1.0 - narrow_x), y + narrow_y * v * v / (v + c), z

    def inverse(self, x, y, z, type_im, iterations=6, sliding=True):
        """Reference points (x, y, z) in mm of points in a phase; error well below 0.01 mm."""
        a, b = self.amplitude(type_im), self._chest_amplitude(type_im)
        if type_im == 0:
            return x, y, z
        narrow_y, narrow_x = self._chest(z, b)
        x = x / (1.0 - narrow_x)
        # v' = v - n v^2 / (v + c) solved for v.
        spine, c = self.frame.spine(z), 0.3 * self.patient.chest_ry
        moved = np.maximum(spine - y, 0.0)
        half = 0.5 * (moved - c)
        v = (half + np.sqrt(half * half + (1.0 - narrow_y) * moved * c)) / (1.0 - narrow_y)
        y = np.where(spine > y, spine - v, y)
        xi, eta = self.frame.straighten(x, y, z)
        rise = a * self._rise(xi, eta, sliding)
        level = z - rise * self._decay(z)[0]
        for _ in range(4):
            decay, slope = self._decay(level)
            level = level - (level + rise * decay - z) / (1.0 + rise * slope)
        x, y = self.frame.bend(xi, eta, level)
        px, py, pz = x, y, level
        for _ in range(iterations):
            dx, dy, dz = self._ripple(px, py, pz)
            px, py, pz = x - a * dx, y - a * dy, level - a * dz
        return px, py, pz

    def determinant(self, x, y, z, type_im, sliding=True):
        """Jacobian determinant of the map reference -> phase at reference points (central differences, float64); not
        ``sliding``: the inside of the chest continues smoothly across the wall.
        """
        points, step = np.stack(np.broadcast_arrays(x, y, z)).astype(np.float64), 1e-3
        columns = []
        for axis in range(3):
            shift = np.zeros((3,) + (1,) * (points.ndim - 1))
            shift[axis] = step
            ahead = self.forward(*(points + shift), type_im=type_im, sliding=sliding)
            behind = self.forward(*(points - shift), type_im=type_im, sliding=sliding)
            columns.append([(f - g) / (2 * step) for f, g in zip(ahead, behind)])
        (a, d, g), (b, e, h), (c, f, i) = columns
        return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)

    def transform(self, points, type_fixed, type_moving):
        """Map points (n, 3) of one phase to another; mm from the centre of the box, float64."""
        x, y, z = np.asarray(points, dtype=np.float64).T
        reference = self.inverse(x, y, z, check_type(type_fixed), iterations=25)
        return np.stack(self.forward(*reference, type_im=check_type(type_moving)), axis=1)


def grid_slabs(size, below=0):
    """Iterate over a box in slabs of four slices, small enough for the processor's cache.

    :param size: (x, y, z) voxels of the box, whose centre is zero; ``below``: slices added below it (towards the feet).
    :return: iterator over (slice of z, x [1, 1, nx], y [1, ny, 1], z [k, 1, 1]), float32.
    """
    x, y, z = [np.arange(side, dtype=np.float32) - np.float32(0.5 * (side - 1)) for side in size]
    z = np.concatenate([z[0] - np.arange(below, 0, -1, dtype=np.float32), z])
    for start in range(0, len(z), 4):
        part = slice(start, min(start + 4, len(z)))
        yield part, x[None, None, :], y[None, :, None], z[part, None, None]


def displacement_grid(breathing, type_fixed, type_moving):
    """u of every voxel of the fixed phase's grid: [z, y, x, 3] float32, mm."""
    size = breathing.patient.size
    type_fixed, type_moving = check_type(type_fixed), check_type(type_moving)
    field = np.empty(size[::-1] + (3,), dtype=np.float32)
    for part, x, y, z in grid_slabs(size):
        at = breathing.forward(*breathing.inverse(x, y, z, type_fixed), type_im=type_moving)
        for axis, (new, old) in enumerate(zip(at, (x, y, z))):
            field[part, ..., axis] = new - old
    return field


def true_dvf(case, type_fixed, type_moving):
    """The true DVF between two phases (0 to 9) of a :class:`functions.phantom.case.Case`, accurate to 0.01 mm at every
    voxel centre: vector image on the grid of the fixed phase, float32, mm, fixed to moving.
    """
    return case.to_image(displacement_grid(case.breathing, type_fixed, type_moving))
