"""Shapes of the thorax at maximum inhale, as signed distances in mm (negative inside), and their HU.

Distances are approximate: the sign is exact, the value accurate to about 10 % near the surface. The fraction of a
tissue in a voxel is a ramp one voxel wide across its surface, so that edges have partial volume.
"""

import numpy as np

from .frame import smooth_max, smooth_step

AIR, FAT, MUSCLE, LIVER, SPLEEN, FLUID = -1000.0, -98.0, 52.0, 62.0, 48.0, 12.0


def share(distance, width=1.4):
    """Fraction of a voxel inside a surface at a signed ``distance`` (mm): a ramp ``width`` mm wide."""
    return np.clip(0.5 - distance * (1.0 / width), 0.0, 1.0)


def mix(value, tissue, part):
    """Blend ``tissue`` into ``value`` by the fraction ``part`` (0 to 1)."""
    return value + (tissue - value) * part


def ellipsoid(offsets, radii):
    """Signed distance to an ellipse (two axes) or ellipsoid (three) around zero, accurate near its surface."""
    scaled = [offset * (1.0 / radius) for offset, radius in zip(offsets, radii)]
    gradient = [offset * (1.0 / radius) for offset, radius in zip(scaled, radii)]
    f = np.sqrt(sum(e * e for e in scaled) + 1e-6)
    return f * (f - 1.0) / np.sqrt(sum(g * g for g in gradient) + 1e-9)


class Anatomy:
    """Shapes of one patient, of a Frame. Points in mm from the centre of the box, arrays that broadcast."""

    def __init__(self, frame):
        self.frame, self.patient = frame, frame.patient

    # ---- chest cavity
    def diaphragm(self, xi, eta):
        """Height z (mm) of the diaphragm: two domes."""
        p = self.patient
        ry2 = ((eta - p.dome_eta) * (1 / 0.98)) ** 2
        right = p.recess_z + p.dome_height['right'] * (1.0 - ((xi + 0.50) * (1 / 0.62)) ** 2 - ry2)
        left = 1.0 - ((xi - 0.52) * (1 / 0.60)) ** 2 - ry2
        left = p.recess_z - p.left_drop + p.dome_height['left'] * left
        return smooth_max(right, left, 14.0 * p.scale)

    def below_diaphragm(self, xi, eta, z):
        """Distance above the diaphragm (negative below): the height, reduced by the slope of the domes."""
        p = self.patient
        # Slope of a dome 45 mm high with half axes of about 70 by 74 mm.
        steep = np.abs(np.abs(xi) - 0.5) * 2.1 + np.abs(eta - p.dome_eta) * 1.2
        return (z - self.diaphragm(xi, eta)) / np.sqrt(1.0 + 0.6 * steep * steep)

    def heart(self, x, y, z):
        """The heart: an ellipsoid with its apex to the left, to the front and down."""
        p = self.patient
        cx, cy, rx, ry, rz = p.heart
        cz = p.recess_z + 0.75 * p.dome_height['left'] + 0.62 * rz
        c, s = float(np.cos(p.heart_turn)), float(np.sin(p.heart_turn))
        u, w, v = x - cx, z - cz, y - cy
        u, v, w = c * u - 0.75 * s * v - 0.35 * s * w, 0.7 * s * u + c * v, 0.35 * s * u + w
        return ellipsoid((u, v, w), (rx, ry, rz))

    def aorta_axis(self, z):
        """(x, y) of the descending aorta, to the left in front of the spine."""
        sx, sy, _ = self.patient.scale_xyz
        return 21.0 * sx + 0.0 * z, self.frame.spine(z) - 21.0 * sy

    def mediastinum(self, x, y, z, xi, eta):
        """Everything between the lungs: great vessels, heart with its fat, aorta, spine."""
        p = self.patient
        sx, sy, _ = p.scale_xyz
        front = 5.0 * sx
        half = front + (p.mediastinum - front) * smooth_step((eta + 0.92) * (1 / 0.75))
        half = half + 5.0 * sx * smooth_step((eta - 0.1) * (1 / 0.4))
        high = smooth_step((z - (p.carina_z + 0.05 * p.size[2])) * (1.0 / (0.12 * p.size[2])))
        half = half + 3.0 * sx * high * smooth_step((eta + 0.9) * 2.0)
        slab = np.abs(x - 1.0 * sx) - (half - 4.0 * sx * high * smooth_step((-eta - 0.2) * 3.0))
        heart = self.heart(x, y, z) - 2.5 * p.scale
        ax, ay = self.aorta_axis(z)
        aorta = np.sqrt((x - ax) ** 2 + (y - ay) ** 2) - 13.0 * p.scale
        aorta = np.maximum(aorta, z - (p.carina_z + 22.0 * p.scale))
        u, v, w = x - 16.0 * sx, (y - ay + 14.0 * sy) * 0.6, z - p.carina_z - 18.0 * p.scale
        arch = np.sqrt(u**2 + v**2 + w**2) - 17.0 * p.scale
        u, v, w = np.abs(x) - 26.0 * sx, y - self.frame.spine(z) + 32.0 * sy, (z - p.carina_z + 20.0 * p.scale) * 0.7
        hilum = np.sqrt(u**2 + v**2 + w**2) - 11.0 * p.scale
        joined = smooth_max(-slab, -heart, 8.0 * p.scale)
        joined = smooth_max(joined, -np.minimum(aorta, arch), 5.0 * p.scale)
        return -smooth_max(joined, -hilum, 8.0 * p.scale)

    def central_airways(self, x, y, z):
        """Region of trachea and main bronchi between the lungs: a column with a ball at its lower end."""
        p = self.patient
        sx, sy, s = p.scale_xyz[0], p.scale_xyz[1], p.scale
        v = y - self.frame.spine(z) + 27.0 * sy
        column = np.maximum(np.sqrt(x * x + v * v + 1e-6) - 16.0 * s, p.carina_z - z)
        u, v, w = x * (0.6 / sx), v * (1.0 / sy), (z - p.carina_z) * (1.0 / s) + 12.0
        ball = (np.sqrt(u * u + v * v + w * w) - 24.0) * s
        return np.minimum(column, ball)

    def lung(self, x, y, z):
        """Both lungs, including their vessels and airways."""
        p = self.patient
        xi, eta = self.frame.straighten(x, y, z)
        inside = self.frame.wall(xi, eta) + 1.0
        side = np.abs(xi) - 0.52
        top = p.apex_z - 50.0 * p.scale_xyz[2] * ((side * (1 / 0.50)) ** 2 + ((eta - 0.12) * (1 / 0.95)) ** 2)
        apex = (z - top) * 0.72
        width = 5.0 * p.scale
        lung = smooth_max(inside, 0.8 - self.mediastinum(x, y, z, xi, eta), width)
        lung = smooth_max(lung, apex, 2 * width)
        # The recess between diaphragm and ribs is sharp.
        return smooth_max(lung, -self.below_diaphragm(xi, eta, z) + 0.5, 0.5 * width)

    def fissures(self, x, y, z):
        """Signed heights (mm) above the oblique and horizontal fissures; the latter is large, positive on the left."""
        p = self.patient
        right = (x < 0).astype(np.asarray(x).dtype)
        (zr, sr), (zl, sl) = p.oblique['right'], p.oblique['left']
        wave = (2.5 * np.sin(x * (0.07 / p.scale)) + 2.0 * np.sin(y * (0.06 / p.scale) + 1.0)) * p.scale
        height, slope = zl + (zr - zl) * right, sl + (sr - sl) * right
        middle = self.frame.spine(z) - 0.6 * p.chest_ry
        oblique = (z - height - slope * (y - middle) + wave) / np.sqrt(1.0 + slope * slope)
        horizontal = z - p.horizontal_z + 0.12 * y - wave
        return oblique, horizontal + 1e3 * (1.0 - right)

    def lobe(self, x, y, z):
        """0: lower, 1: middle (right lung only), 2: upper lobe."""
        oblique, horizontal = self.fissures(x, y, z)
        return np.where(oblique < 0, 0, np.where(horizontal < 0, 1, 2))

    # ---- body wall
    def body(self, x, y, z):
        """The outer surface of the body."""
        p = self.patient
        high = smooth_step((z - 0.28 * p.size[2]) * (1.0 / (0.3 * p.size[2])))
        rx, ry = p.body_rx * (1.0 - 0.10 * high), p.body_ry * (1.0 - 0.16 * high)
        y = y - 6.0 * p.scale * high
        # The back is flat, with a groove over the spine.
        y = np.where(y > 0, y * (1.0 + 0.05 * np.exp(x * x * (-1.0 / (13.0 * p.scale) ** 2))), y)
        x2, y2 = (x / rx) ** 2, (y / ry) ** 2
        r2 = x2 + y2 + 1e-6
        radius = 1.0 + (0.05 + p.squareness) * 4.0 * x2 * y2 / (r2 * r2)
        return np.sqrt(x * x + y * y) * (1.0 - radius / np.sqrt(r2))

    def ribs(self, xi, eta, z, wall):
        """(distance to the nearest rib, its fraction of cartilage). Ribs slant down towards the front."""
        p, s = self.patient, self.patient.scale
        forward = -eta / np.sqrt(xi * xi + eta * eta + 1e-6)  # -1 at the back, 1 at the front
        drop = p.rib_drop * (0.5 + 0.5 * forward) + 0.25 * p.rib_drop * smooth_step(-forward * 2.0)
        turn = (z + drop) * (1.0 / p.rib_spacing) + p.rib_phase
        along = (turn - np.round(turn)) * p.rib_spacing * 0.85
        thick, high = max(2.2, 4.0 * s), max(2.6, 6.5 * s)
        rib = ellipsoid((wall - (p.slide_width + thick), along), (thick, high))
        sternum_gap = 17.0 * p.scale_xyz[0] - np.abs(xi) * p.chest_rx
        rib = np.where(forward > 0, np.maximum(rib, sternum_gap), rib)
        return rib, smooth_step((forward - 0.72) * 8.0)

    def spine_bones(self, x, y, z):
        """Distances to (bone, column of vertebrae and discs, spinal canal)."""
        p, s = self.patient, self.patient.scale
        v = y - self.frame.spine(z)
        turn = z * (1.0 / p.rib_spacing) + p.rib_phase
        along = (turn - np.round(turn)) * p.rib_spacing
        column = ellipsoid((x, v), (17.0 * s, 13.5 * s))
        gap = np.abs(along) - (0.5 * p.rib_spacing - max(1.4, 2.4 * s))
        body = smooth_max(column, gap, 2.0 * s)
        canal = np.sqrt(x * x + (v - 22.0 * s) ** 2 + 1e-6) - 8.0 * s
        arch = np.maximum(np.maximum(canal - 4.5 * s, -canal), np.abs(along) - 8.5 * s)
        process = np.maximum(np.abs(x) - 2.6 * s, np.abs(v - 42.0 * s) - 14.0 * s)
        process = np.maximum(process, np.abs(along + 0.35 * (v - 30.0 * s)) - 5.0 * s)
        transverse = np.abs(v - 21.0 * s - 0.18 * np.abs(x)) - 4.2 * s
        transverse = np.maximum(np.abs(np.abs(x) - 22.0 * s) - 14.0 * s, transverse)
        transverse = np.maximum(transverse, np.abs(along) - 5.0 * s)
        bone = np.minimum(np.minimum(body, arch), np.minimum(process, transverse))
        return bone, column, canal

    def _muscle(self, xi, eta, z):
        """Thickness (mm) of muscle over the ribs: thin below, thicker at the sides and in front; shoulders above."""
        p = self.patient
        s, height = p.scale, p.size[2]
        chest = smooth_step((z + 0.12 * height) * (4.0 / height))
        front = smooth_step((-eta - 0.35) * 2.5) * smooth_step((np.abs(xi) - 0.12) * 6.0)
        shoulders = smooth_step((z - 0.12 * height) * (3.2 / height))
        return s * (6.0 + chest * (3.0 + 11.0 * front) + 60.0 * shoulders)

    def clavicle(self, x, y, z):
        """The clavicles: curved rods over the first ribs."""
        p = self.patient
        s, (sx, sy, _) = p.scale, p.scale_xyz
        out = np.abs(x) * (1.0 / (110.0 * sx))
        cy = p.spine_y - 78.0 * sy + 52.0 * sy * out * out
        cz = p.apex_z - 6.0 * s + 17.0 * s * out
        rod = np.sqrt((y - cy) ** 2 + (z - cz) ** 2 + 1e-6) - 5.5 * s
        return np.maximum(rod, np.maximum(14.0 * sx - np.abs(x), np.abs(x) - 112.0 * sx))

    def scapula(self, x, wall, z, eta):
        """The scapulae: thin plates behind the upper ribs."""
        p, s = self.patient, self.patient.scale
        plate = np.abs(wall - p.slide_width - 17.0 * s + 0.02 * z) - max(0.9, 1.7 * s)
        height = np.abs(z - 0.21 * p.size[2]) - 0.15 * p.size[2]
        width = np.abs(np.abs(x) - 76.0 * p.scale_xyz[0])
        width = width - (36.0 * p.scale_xyz[0] + 0.14 * (z - 0.21 * p.size[2]))
        return np.maximum(np.maximum(plate, np.maximum(height, width)), (0.25 - eta) * p.chest_ry)

    # ---- Hounsfield units
    def soft_tissue(self, x, y, z, texture):
        """Hounsfield units of everything outside the lungs, and the shapes needed to draw the rest.

        :param texture: slowly varying noise of unit variance at the same points, for fat and muscle.
        :return: (hu, signed distance to the lungs, signed distance to the body, fraction of the chest cavity).
        """
        p, s = self.patient, self.patient.scale
        xi, eta = self.frame.straighten(x, y, z)
        wall = self.frame.wall(xi, eta)
        body = self.body(x, y, z)
        # Skin, fat, muscle; muscle is thick beside the spine, over the front of the chest and at the sides.
        hu = mix(AIR, 15.0, share(body))
        hu = mix(hu, FAT + 6.0 * texture, share(body + p.skin))
        spine = self.frame.spine(z)
        ribs_end = p.slide_width + 2 * max(2.2, 4.0 * s)
        thickness = ribs_end + self._muscle(xi, eta, z)
        muscle = np.maximum(wall - thickness, body + p.fat + p.skin)
        sx = p.scale_xyz[0]
        beside = ellipsoid((np.abs(x) - 28.0 * sx, y - spine - 36.0 * s), (27.0 * sx, 17.0 * s))
        muscle = np.minimum(muscle, np.maximum(beside, body + 0.6 * p.fat + p.skin))
        muscle = muscle + s * 2.2 * np.maximum(texture - 0.4, 0.0)
        hu = mix(hu, MUSCLE + 5.0 * texture, share(muscle, 2.0))
        between = np.maximum(np.abs(wall - ribs_end - 5.0 * s) - 0.9 * s, body + p.fat)
        hu = mix(hu, FAT, 0.8 * share(between, 2.0))
        # Chest cavity.
        cavity = share(wall - 0.5 * p.slide_width, 2.0)
        hu = mix(hu, self._chest_contents(x, y, z, xi, eta, texture), cavity)
        # Bones.
        rib, cartilage = self.ribs(xi, eta, z, wall)
        density = mix(mix(620.0, 190.0, share(rib + max(1.2, 1.9 * s), 1.6)), 95.0, cartilage)
        hu = mix(hu, density, share(np.maximum(rib, body + 0.8 * p.skin)))
        bone, column, canal = self.spine_bones(x, y, z)
        hu = mix(hu, 85.0, share(column))
        density = mix(520.0, 175.0 + 22.0 * texture, share(bone + max(0.9, 1.7 * s), 1.6))
        hu = mix(hu, density, share(np.maximum(bone, body + p.skin)))
        hu = mix(hu, 22.0, share(canal))
        front = wall - p.slide_width - max(2.2, 4.5 * s)
        sternum = np.maximum(np.abs(x) - 15.0 * sx, np.abs(front) - max(2.2, 4.8 * s))
        sternum = smooth_max(sternum, eta * 30.0, 2 * s)
        sternum = np.maximum(sternum, (p.recess_z + 0.8 * p.dome_height['right']) - z)
        density = mix(430.0, 130.0, share(sternum + max(0.9, 1.7 * s), 1.6))
        hu = mix(hu, density, share(np.maximum(sternum, body + p.skin)))
        blade = np.minimum(self.scapula(x, wall, z, eta), self.clavicle(x, y, z))
        hu = mix(hu, 420.0, share(np.maximum(blade, body + p.skin)))
        return hu, self.lung(x, y, z), body, share(wall)

    def _chest_contents(self, x, y, z, xi, eta, texture):
        """Hounsfield units of mediastinum and heart and, below the diaphragm, of liver, stomach and spleen."""
        p, s = self.patient, self.patient.scale
        fat = FAT + 55.0 * smooth_step(texture * 0.5 + 0.2)
        heart = self.heart(x, y, z)
        hu = mix(fat, 42.0 + 4.0 * texture, share(heart))
        # Two chambers, visible with contrast agent.
        septum = 4.0 * s - np.abs(x - p.heart[0] + 0.5 * (y - p.heart[1]))
        hu = mix(hu, p.blood_hu, share(np.maximum(heart + 9.0 * s, septum), 3.0))
        above = self.below_diaphragm(xi, eta, z)
        crossing = xi - 0.12 - 0.25 * (eta + 0.4)
        organ = mix(LIVER + 3.0 * texture, fat, smooth_step((crossing + 0.06) * (1 / 0.12)))
        stomach = ellipsoid(((xi - 0.46) * p.chest_rx, (eta + 0.22) * p.chest_ry), (33.0 * s, 28.0 * s))
        stomach = stomach + np.maximum(np.abs(z - p.recess_z + 6.0 * s) - 30.0 * s, 0) * 0.7
        gas = smooth_step(((p.dome_eta - 0.12 - eta) * p.chest_ry) * (1.0 / (2.0 * s)))
        content = mix(SPLEEN, mix(FLUID + 15.0, -960.0, gas), share(stomach + 3.5 * s))
        organ = mix(organ, content, share(stomach))
        spleen = ellipsoid(((xi - 0.66) * p.chest_rx, (eta - 0.38) * p.chest_ry), (26.0 * s, 34.0 * s))
        spleen = spleen + np.maximum(np.abs(z - p.recess_z) - 38.0 * s, 0) * 0.7
        organ = mix(organ, SPLEEN + 3.0 * texture, share(spleen))
        organ = mix(organ, MUSCLE, share(-above - 2.5 * s, 2.0))
        return mix(hu, organ, share(above, 2.0))
