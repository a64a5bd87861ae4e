"""The pairs of ``bench_accuracy --suite real``: their motion is known, and no network was trained on their patients.

Two real scans that are kept apart for validation, moved in 21 ways each: breathing with sliding
(:mod:`tests.benchmark.real_breathing`), small residuals, smooth random motion with an affine and a shift of the table
as between two visits; whole, cut at the base or to a slab, each image in its own frame; with another density, noise and
sharpness. And two phantom patients unlike those of the training: of cases 1 to 100, 55 and 72 have the anatomy furthest
from that of all cases 101 to 150 (root mean square over 42 numbers of a patient, in standard deviations: 1.31 and 1.28
from the nearest); one of them is made larger and darker (-975 HU), the other smaller and denser (-710 HU) than any
training patient. Three more phantom patients are as the settings make them.
"""

import collections
import functools
import os
import time

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from functions.image.dvf import compose, invert, jacobian_determinant_of
from functions.image.geometry import Geometry
from functions.image.resample import resample_to
from functions.image.transforms import affine_from_matrix, apply_to_points, total_dvf
from functions.image.volume_io import array_view, image_from_array, write_image
from functions.measure.regularity import folding
from functions.measure.tre import error_vectors
from functions.phantom.case import Case
from functions.registration.input_scan import isotropic_scan, read_scan
from functions.registration.mask_box import box_of, cut
from functions.setting.atomic import write_json
from functions.setting.text_files import read_json
from tests.benchmark.bench_masks import cuts, scans
from tests.benchmark.real_breathing import NOISE, RealBreathing, moved_scan, vessel_landmarks, with_noise

#: Scans that no network is trained on, of the collections LCTSC and QIN LUNG CT.
VALIDATION = ('LCTSC-Test-S1-104', 'QIN-LSC-0014')
PHANTOMS = {
    55: {'Size': [340, 240, 320], 'LungHU': [-975, -975], 'Noise': [45, 45], 'Descent': [30, 30]},
    72: {'Size': [240, 180, 220], 'LungHU': [-710, -710], 'SliceThickness': [5, 5], 'Contrast': [250, 250]},
    **dict.fromkeys((11, 12, 13)),
}
#: Fewest landmarks of a pair.
FEWEST = 20
MASKS = ('fixed_lung', 'moving_lung', 'fixed_torso', 'moving_torso')
#: What follows 'fixed' and 'moving' in the names of files.
NAMES = ('', '_lung', '_torso')

SuitePair = collections.namedtuple('SuitePair', 'name kind make')
"""``kind``: group of the tables; ``make``: function that writes the pair into a folder."""

#: (kind, suffix of the name, arguments of :func:`real_pair`).
ROWS = []
for _mm in (6, 12, 18, 25):
    ROWS += [(f'breathing {_mm}', 'in', {'breathing': _mm}), (f'breathing {_mm}', 'out', {'breathing': _mm, 'swap': 1})]
ROWS += [('residual', f'{_mm}', {'random': _mm, 'smooth': 20.0}) for _mm in (1, 2, 3)]
ROWS += [('visits', f'{_mm}', {'random': 5, 'shift': (6.0, -5.0, _mm)}) for _mm in (10, -27)]
_VISIT = {'random': 4, 'shift': (-4.0, 7.0, 12.0)}
ROWS += [
    ('cut base', '12', {'breathing': 12, 'fields_of_view': ('base cut', 'base cut')}),
    ('cut base', '18', {'breathing': 18, 'fields_of_view': ('base cut', 'whole')}),
    ('cut base', 'visit', dict(_VISIT, fields_of_view=('base cut', 'base cut'), further=-8)),
    ('slab', '12', {'breathing': 12, 'fields_of_view': ('slab', 'slab'), 'further': 7}),
    ('slab', '18', {'breathing': 18, 'fields_of_view': ('slab low', 'slab low'), 'further': -5}),
    ('slab', 'visit', dict(_VISIT, fields_of_view=('slab high', 'slab high'))),
    ('density', 'dark', {'breathing': 12, 'density': -130.0, 'noise': (10.0, 35.0), 'blur': (0.0, 0.8)}),
    ('density', 'dense', {'breathing': 18, 'density': 65.0, 'noise': (30.0, 8.0), 'blur': (0.8, 0.0), 'swap': 1}),
]
#: One pair of every kind but the mildest breathing, for a look at a network in training.
QUICK = (
    *('104_breathing_12_in', '0014_breathing_25_out', '104_residual_2', '0014_visits_10', '104_cut_base_18'),
    *('0014_slab_12', '104_density_dark', 'phantom_72_in'),
)


def suite_pairs(folder):
    """List of :class:`SuitePair`.

    :param folder: of the scans, at any depth.
    """
    known, pairs = scans(folder), []
    missing = [name for name in VALIDATION if name not in known]
    if missing:
        raise SystemExit(f'{folder} does not hold the scan {" and ".join(missing)} of the suite.')
    for turn, name in enumerate(VALIDATION):
        for row, (kind, suffix, how) in enumerate(ROWS):
            make = functools.partial(real_pair, source=known[name], number=2 * row + turn + 1, **how)
            pairs.append(SuitePair('_'.join([name] + kind.split() + [str(suffix)]), kind, make))
    for cn in PHANTOMS:
        for way, phases in (('in', (0, 5)), ('out', (5, 0))):
            make = functools.partial(phantom_pair, cn=cn, options=PHANTOMS[cn], phases=phases)
            pairs.append(SuitePair(f'phantom_{cn}_{way}', 'phantom', make))
    return pairs


class PairFiles:
    """A pair on disk, with its measures.

    :param make: function that writes it into ``folder``, called unless it is there.
    """

    def __init__(self, folder, make):
        self.folder = folder
        if not os.path.exists(self.path('landmarks.json')):
            make(folder)
        facts = read_json(self.path('landmarks.json'))
        self.points, self.largest = [np.array(facts[role]) for role in ('fixed', 'moving')], facts.get('largest')
        self.masks = {name: self.path(name + '.mha') for name in MASKS}

    def path(self, name):
        return os.path.join(self.folder, name)

    def image(self, name):
        return sitk.ReadImage(self.path(name + '.mha'))

    def measured(self, name, run, same=None):
        """{'errors', 'folding', 'seconds' ...} of a method, read from its file if it ran before.

        :param run: function of this pair: (field or None, seconds or None, dictionary of further facts).
        :param same: JSON-able; what is on file counts only if it was found with the same.
        """
        path = self.path(f'measures_{name}.json')
        found = read_json(path) if os.path.exists(path) else {}
        if 'errors' not in found or (same is not None and found.get('made_by') != same):
            start = time.time()
            dvf, seconds, facts = run(self)
            found = dict(self.measure(dvf), **facts)
            found.update(seconds=time.time() - start if seconds is None else seconds, made_by=same)
            write_json(path, found)
        return found

    def measure(self, dvf):
        """Landmark errors (mm) and folding (%) in the lung; dvf None: no registration."""
        errors = np.linalg.norm(error_vectors(self.points[0], self.points[1], dvf), axis=1)
        folded = 0.0
        if dvf is not None:
            lung = self.image('fixed_lung')
            box = box_of([lung], 2.0)
            folded = folding(jacobian_determinant_of(cut(dvf, box)), cut(lung, box))
        return {'errors': errors.tolist(), 'folding': folded}


def write_pair(folder, images, fixed_points, moving_points, **facts):
    """Write the files of a pair; the landmarks come last and mark it as complete."""
    for name, image in images.items():
        write_image(image, os.path.join(folder, name + '.mha'), image.GetPixelID() == sitk.sitkUInt8)
    facts.update(fixed=fixed_points.tolist(), moving=moving_points.tolist())
    write_json(os.path.join(folder, 'landmarks.json'), facts)


def phantom_pair(folder, cn, options=None, phases=(0, 5)):
    """Write a patient of the phantom; landmarks are exact."""
    case = Case(cn, options)
    files = {}
    for role, phase in zip(('fixed', 'moving'), phases):
        files[role], files[role + '_lung'], files[role + '_torso'] = case.phase(phase)
    points = [case.landmarks(phase) for phase in phases]
    write_pair(folder, files, *points, largest=float(np.linalg.norm(points[1] - points[0], axis=1).max()))


@functools.lru_cache(maxsize=1)
def whole_scan(source):
    """(image, lung, torso) of a scan at 1 mm, in the box of its torso."""
    scan = isotropic_scan(read_scan(source, 'fixed'), 'Lung')
    # Half of the scanned volume is air.
    box = box_of([scan.masks['Torso']], 15.0)
    return [cut(image, box) for image in (scan.image, scan.masks['Lung'], scan.masks['Torso'])]


class RandomMotion:
    """A smooth random motion u, then an affine transform: T(p) = A(p + u(p)), as between two visits.

    :param lung: mask at 1 mm, identity direction.
    :param mean: mm, mean length of u in the lungs.
    :param smooth: mm, standard deviation of the Gaussian that makes it smooth.
    :param shift: mm (x, y, z), of the table; with one, A turns, stretches and shears a little as well. The frame of the
        moving image moves along.
    """

    def __init__(self, lung, mean, number, smooth=35.0, shift=None):

        self.grid, rng, step = Geometry.of(lung), np.random.RandomState(number), 8.0
        coarse = Geometry.identity(
            [int(n / step) + 4 for n in self.grid.size], (step,) * 3, [c - step for c in self.grid.origin]
        )
        noise = [ndimage.gaussian_filter(rng.normal(size=coarse.shape), smooth / step, mode='wrap') for _ in range(3)]
        parts = [resample_to(image_from_array(n.astype(np.float32), coarse), self.grid, 'bspline') for n in noise]
        field = np.stack([array_view(part) for part in parts], axis=-1)
        inside = array_view(lung) != 0
        field *= mean / np.linalg.norm(field[inside], axis=1).mean()
        self.field, matrix = image_from_array(field, self.grid), np.eye(3)
        if shift is not None:
            # Turns of about 2 degrees; lengths change by some percent.
            matrix = matrix + rng.uniform(-0.04, 0.04, size=(3, 3))
        centre = self.grid.index_to_world(np.argwhere(inside).mean(axis=0)[::-1])
        offset = centre - matrix @ centre + (0.0 if shift is None else np.array(shift))
        self.affine = affine_from_matrix(matrix, offset, centre)

    def displacement(self, points):
        """T(p) - p at points (n, 3), mm."""
        return apply_to_points(points, self.affine, self.field) - points

    def fields(self):
        """(true field on the grid of the lung, inverse field on the grid of the moving image)."""
        # Smooth enough for every third voxel (linear interpolation: 0.01 mm).
        inverse, residual = invert(self.field[::3, ::3, ::3], 60, 5e-3)
        if residual > 0.05:
            raise ValueError(f'The inverse of the motion is wrong by {residual:.2f} mm.')
        middle = np.array(self.grid.origin) + 0.5 * (np.array(self.grid.size) - 1)
        origin = np.array(self.grid.origin) + self.affine.TransformPoint(middle.tolist()) - middle
        grid = self.grid._replace(origin=tuple(float(c) for c in origin))
        back = total_dvf(sitk.AffineTransform(self.affine.GetInverse()), None, grid)
        return total_dvf(self.affine, self.field), compose(back, inverse)


def real_pair(folder, source, number, breathing=None, random=None, smooth=35.0, shift=None, swap=False, **look):
    """Write a pair made from a real scan by a known motion.

    :param number: another motion for every number.
    :param breathing: mm, largest displacement of breathing; or ``random``: mm, mean displacement of
        :class:`RandomMotion`, with ``smooth`` and ``shift``.
    :param swap: the scan as it is is the moving image.
    :param look: what the images show, see :func:`looks`.
    """
    image, lung, torso = whole_scan(source)
    if breathing is None:
        motion = RandomMotion(lung, random, number, smooth, shift)
    else:
        motion = RealBreathing(image, lung, breathing, number)
    here = vessel_landmarks(image, lung)
    inside = motion.grid.index_to_world(np.argwhere(array_view(lung) != 0)[::397, ::-1])
    facts = {'largest': float(np.linalg.norm(motion.displacement(inside), axis=1).max())}
    sides = [(image, lung, torso), moved_scan(image, lung, torso, *motion.fields())]
    points = [here, here + motion.displacement(here)]
    if swap:
        sides, points = sides[::-1], points[::-1]
    images = {role + name: side[i] for role, side in zip(('fixed', 'moving'), sides) for i, name in enumerate(NAMES)}
    write_pair(folder, *looks(images, points, **look), **facts)


def looks(
    images, points, fields_of_view=('whole', 'whole'), further=0, density=0.0, noise=(0.0, NOISE), blur=(0.0, 0.0)
):
    """(images, fixed points, moving points) of a pair as scanners show it.

    :param images: dictionary of both images, their lungs and torsos.
    :param fields_of_view: names of :func:`tests.benchmark.bench_masks.cuts`, for the fixed and the moving image; each
        is cut by its own lungs.
    :param further: mm that the frame of the moving image lies higher.
    :param density: HU added to the lung of the moving image.
    :param noise, blur: HU and mm (Gaussian), of the fixed and the moving image.
    """
    images = dict(images)
    for number, role in enumerate(('fixed', 'moving')):
        image, lung = images[role], array_view(images[role + '_lung']) != 0
        hu = array_view(image).astype(np.float32)
        if density and role == 'moving':
            # Parenchyma changes, vessels and walls do not.
            hu += density * lung * np.clip((-300.0 - hu) / 400.0, 0.0, 1.0)
        if blur[number]:
            hu = ndimage.gaussian_filter(hu, blur[number])
        images[role] = with_noise(image_from_array(hu, image), noise[number], 8 - number)
        part = list(cuts(lung, image.GetSpacing()[::-1])[fields_of_view[number]])
        if further and role == 'moving':
            part[0] = _moved(part[0], int(round(further / image.GetSpacing()[2])))
        for name in NAMES:
            images[role + name] = images[role + name][tuple(part[::-1])]
    seen = seen_in_both(points, images['fixed'], images['moving'])
    if seen.sum() < FEWEST:
        raise ValueError(f'Both images show {seen.sum()} landmarks only; at least {FEWEST} are needed.')
    return images, points[0][seen], points[1][seen]


def _moved(part, count):
    """A slice object moved by ``count``; open ends stay."""
    return slice(*[None if end is None else max(end + count, 0) for end in (part.start, part.stop)])


def seen_in_both(points, fixed, moving):
    """Which of corresponding points [(n, 3), (n, 3)], mm, lie between the voxel centres of both images."""
    seen = []
    for image, places in zip((fixed, moving), points):
        index = Geometry.of(image).world_to_index(places) / (np.array(image.GetSize()) - 1)
        seen.append(((index >= 0) & (index <= 1)).all(axis=1))
    return seen[0] & seen[1]
