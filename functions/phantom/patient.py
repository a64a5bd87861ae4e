"""The numbers that make each case of the phantom a different patient.

All are drawn in a fixed order from a generator seeded by the case number. Lengths are given for a box of
300 x 220 x 280 mm and scaled to the requested box, so that the same patient exists in every size.
"""

from ..setting.errors import InputError
from ..setting.kinds import whole
from ..setting.schema import PATHOLOGIES, key_problems
from ..setting.seeds import random_state

FULL_SIZE = (300, 220, 280)

#: ``setting['Phantom']``: what may be set, and its default. A pair is a range from which each patient draws.
DEFAULT_OPTIONS = {
    'Size': list(FULL_SIZE),  # voxels in x, y, z at 1 mm
    'Landmarks': 300,  # vessel branchings for T00 and T50
    'LandmarksAllPhases': 75,  # the first of them, for every phase
    'Descent': [10.0, 27.0],  # of the right dome, mm in the full box (at least 10 mm in any)
    'ChestExpansion': [2.0, 6.0],  # of the sternum, mm in the full box
    'Anatomy': 1.0,  # how far patients differ in shape; 0 gives every patient the same body
    'Pathology': list(PATHOLOGIES),  # each patient has one of these
    'LungHU': [-905.0, -865.0],  # parenchyma at maximum inhale
    'Contrast': [0.0, 60.0],  # enhancement of blood above 40 HU
    'Noise': [8.0, 22.0],  # standard deviation, HU
    'SliceThickness': [1.0, 1.0],  # mm; thicker slices are averaged and interpolated back to 1 mm
    'FieldOfView': None,  # or a range: diameter of the scanned circle / width of the image
    'Table': True,  # the scanner's table below the back
}


def check_options(options=None):
    """``setting['Phantom']``, any of :data:`DEFAULT_OPTIONS`, checked and completed: a new dictionary for JSON.

    :raises InputError: names every unknown key and every value that is not accepted.
    """
    options = {} if options is None else options
    problems = key_problems({'Phantom': options})
    if problems:
        raise InputError(' '.join(problems))
    full = dict(DEFAULT_OPTIONS, **options)
    for key, default in DEFAULT_OPTIONS.items():
        number = int if key in ('Size', 'Landmarks', 'LandmarksAllPhases') else float
        if key == 'Pathology':
            full[key] = list(full[key])
        elif isinstance(full[key], (list, tuple)):
            full[key] = [number(value) for value in full[key]]
        elif full[key] is not None and not isinstance(default, bool):
            full[key] = number(full[key])
    full['LandmarksAllPhases'] = min(full['LandmarksAllPhases'], full['Landmarks'])
    return full


class Patient:
    """The numbers of one case ``cn``, from 1: lengths in mm, HU, and seeds for what is drawn later.

    Coordinates are millimetres from the centre of the box: x to the patient's left, y posterior, z superior. All are
    Python numbers, so that arithmetic with float32 arrays stays float32.

    :param options: complete options, from :func:`check_options`.
    """

    def __init__(self, cn, options):
        if not whole(1).accepts(cn):
            raise InputError(f'Case number cn={cn!r} of the phantom; accepted: a whole number from 1.')
        self.cn, self.options = int(cn), options
        self.size = tuple(options['Size'])
        sx, sy, sz = [side / float(full) for side, full in zip(self.size, FULL_SIZE)]
        s = (sx * sy * sz) ** (1 / 3.0)
        self.scale, self.scale_xyz = s, (sx, sy, sz)
        rng = random_state('phantom', 'patient', self.cn)
        spread = options['Anatomy']

        def vary(mean, half_range):
            return float(mean + spread * half_range * rng.uniform(-1, 1))

        def draw(key):
            low, high = options[key]
            return float(rng.uniform(low, high))

        # Body and chest wall; walls stay a few voxels thick in small boxes.
        self.body_rx, self.body_ry = sx * vary(138, 7), sy * vary(94, 5)
        self.fat = s * vary(11, 6)
        self.skin = max(1.2, s * 1.8)
        self.wall = s * vary(23, 2)
        self.slide_width = max(1.5, 3.5 * s)  # of the intercostal layer between pleura and ribs, where the lungs slide
        self.squareness = vary(0.07, 0.03)
        # Inner chest wall (see frame.py).
        self.chest_rx = self.body_rx - self.fat - sx * vary(16, 2)
        self.spine_y = sy * vary(37, 3)
        self.kyphosis = sy * vary(7, 5)
        self.spine_eta = vary(0.62, 0.03)
        front = self.body_ry - 0.4 * self.fat - sy * 12
        self.chest_ry = (front + self.spine_y) / (1 + self.spine_eta)
        self.narrowing = (vary(0.38, 0.05), vary(0.44, 0.04))
        # Lungs and diaphragm at maximum inhale.
        self.apex_z = sz * vary(113, 6)
        self.shoulder_z = sz * vary(-30, 10)
        self.recess_z = sz * vary(-104, 7)
        self.dome_height = {'right': sz * vary(47, 8), 'left': sz * vary(44, 8)}
        self.left_drop = sz * vary(9, 5)
        self.dome_eta = vary(-0.15, 0.08)
        self.oblique = {'right': (sz * vary(-22, 10), vary(1.15, 0.2)), 'left': (sz * vary(-12, 10), vary(1.2, 0.2))}
        self.horizontal_z = sz * vary(-8, 10)
        # Heart and vessels.
        self.heart = (sx * vary(19, 5), sy * vary(-30, 4), sx * vary(55, 5), sy * vary(37, 3), sz * vary(44, 5))
        self.heart_turn = vary(0.55, 0.15)
        self.carina_z = sz * vary(32, 7)
        self.mediastinum = sx * vary(24, 3)
        self.rib_spacing = sz * vary(25, 2)
        self.rib_drop = sz * vary(70, 12)
        self.rib_phase = float(rng.uniform())
        # Breathing: its depth scales with the height, but is at least 10 mm unless the options ask for less.
        descent = draw('Descent')
        self.descent = max(min(10.0, descent), descent * sz)
        front = draw('ChestExpansion')
        self.chest_motion = (front * sy, front * float(rng.uniform(0.2, 0.5)) * sx)
        self.left_more = vary(0.0, 0.10)
        self.back_more = vary(0.12, 0.06)
        self.mediastinum_less = vary(0.35, 0.10)
        self.hysteresis = vary(0.0, 0.20)
        self.ripple = max(0.5, 1.1 * s) * float(rng.uniform(0.6, 1.2))
        # Intensities and scanner.
        self.lung_hu = draw('LungHU')
        self.gravity_hu = float(rng.uniform(15, 45))
        self.blood_hu = 40.0 + draw('Contrast')
        self.noise_hu = draw('Noise')
        self.noise_width = float(rng.uniform(0.55, 0.85))
        self.slice_thickness = draw('SliceThickness')
        self.field_of_view = draw('FieldOfView') if options['FieldOfView'] is not None else None
        self.pathology = options['Pathology'][rng.randint(len(options['Pathology']))]
        ranges = (-25, 25), (-190, -120), (-700, -200)
        self.centre = tuple(round(float(rng.uniform(low, high)), 1) for low, high in ranges)

    def random_state(self, *purpose):
        """Random generator of this patient for one purpose, e.g. ``('noise', 5)``."""
        return random_state('phantom', self.cn, *purpose)

    @property
    def origin(self):
        """World position (mm) of the first voxel."""
        return tuple(centre - 0.5 * (side - 1) for centre, side in zip(self.centre, self.size))
