"""The chest straightened: coordinates in which the inner chest wall is an upright cylinder.

At height z the inner chest wall is an ellipse-like curve with half axes ``rx(z)``, ``ry(z)`` around a centre that
follows the spine. ``xi = x / rx(z)`` and ``eta = (y - cy(z)) / ry(z)`` turn it into the same curve at every height.
Tissue that moves up and down at constant (xi, eta) therefore slides along the chest wall, as the pleurae do
(breathing.py), and the lungs stay inside the ribs in every phase.
"""

import numpy as np


def smooth_step(t):
    """0 below 0, 1 above 1, 3t^2 - 2t^3 in between."""
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def smooth_max(a, b, width):
    """Maximum of two distances with the edge between them rounded over ``width`` mm."""
    h = np.maximum(width - np.abs(a - b), 0.0)
    return np.maximum(a, b) + h * h * (0.25 / width)


class Frame:
    """Straightened coordinates of one patient, for arrays that broadcast, of any float dtype."""

    def __init__(self, patient):
        self.patient = patient

    def half_axes(self, z):
        """``rx, ry`` (mm) of the inner chest wall at height ``z``."""
        p = self.patient
        tau = np.clip((z - p.shoulder_z) / (p.apex_z - p.shoulder_z), 0.0, 1.35)
        tau = tau * tau
        return p.chest_rx * (1.0 - p.narrowing[0] * tau), p.chest_ry * (1.0 - p.narrowing[1] * tau)

    def spine(self, z):
        """y (mm) of the centre of the vertebral bodies: a kyphosis, most posterior in the upper third."""
        p = self.patient
        t = (z - 0.15 * p.size[2]) / (0.5 * p.size[2])
        return p.spine_y + p.kyphosis * (0.5 - t * t)

    def straighten(self, x, y, z):
        """(x, y, z) -> (xi, eta)."""
        rx, ry = self.half_axes(z)
        return x / rx, (y - self.spine(z)) / ry + self.patient.spine_eta

    def bend(self, xi, eta, z):
        """(xi, eta, z) -> (x, y)."""
        rx, ry = self.half_axes(z)
        return xi * rx, self.spine(z) + (eta - self.patient.spine_eta) * ry

    def wall(self, xi, eta):
        """Distance (mm, at the widest level) outside the inner chest wall; negative inside."""
        p = self.patient
        x2, y2 = xi * xi, eta * eta
        r2 = x2 + y2 + 1e-6
        # The curve is an ellipse, made squarer by the factor 1 + b sin^2(2 theta).
        radius = 1.0 + p.squareness * 4.0 * x2 * y2 / (r2 * r2)
        length = np.sqrt(x2 * (p.chest_rx * p.chest_rx) + y2 * (p.chest_ry * p.chest_ry))
        return length * (1.0 - radius / np.sqrt(r2))

    def beside_spine(self, xi, eta):
        """Distance (mm) from the column of vertebrae and what lies behind it; negative inside."""
        p = self.patient
        side = np.abs(xi) * p.chest_rx - 19.0 * p.scale_xyz[0]
        front = (p.spine_eta - eta) * p.chest_ry - 16.0 * p.scale_xyz[1]
        return smooth_max(side, front, 4.0 * p.scale)
