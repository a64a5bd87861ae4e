"""Writes patients of the phantom in the very formats in which DIR-Lab 4DCT, COPDgene and SPREAD are
distributed.

Nothing of the code under test is used: voxel numbers are counted from 1 and slices from the top by hand.
"""

import os

import numpy as np
import SimpleITK as sitk

from functions.phantom.case import Case
from functions.setting.data_sets import DATA_SETS

SIZE = [96, 80, 88]  # mm of the phantom
GRIDS = {
    1: ((74, 61, 44), (1.3, 1.3, 2.0)),
    2: ((96, 80, 36), (1.0, 1.0, 2.5)),
    6: ((70, 58, 36), (1.37, 1.37, 2.5)),
    8: ((74, 61, 36), (1.3, 1.3, 2.5)),
}
PHASES = ['T00', 'T10', 'T20', 'T30', 'T40', 'T50', 'T60', 'T70', 'T80', 'T90']
UNSEEN = -2000
_VOLUMES = {}  # rendered once for all tests of a process


class Patient:
    """One case of the phantom on the grid of a pack, whose first voxel (z upwards) is at (0, 0, 0) mm."""

    def __init__(self, cn, grid, **options):
        self.case = Case(
            cn, dict({'Size': SIZE, 'Landmarks': 60, 'LandmarksAllPhases': 20, 'Pathology': ['none']}, **options)
        )
        self.size, self.spacing = grid
        self.key = cn, grid, sorted(options.items())
        self.origin = np.array(self.case.patient.origin)

    def volume(self, type_im):
        """HU, float32 [z, y, x], z upwards."""
        key = repr((self.key, type_im))
        if key not in _VOLUMES:
            image = sitk.Cast(self.case.phase(type_im)[0], sitk.sitkFloat32)
            smooth = sitk.DiscreteGaussian(image, [(0.3 * s) ** 2 for s in self.spacing])
            grid = sitk.Image(list(self.size), sitk.sitkFloat32)
            grid.SetOrigin(self.origin.tolist())
            grid.SetSpacing(self.spacing)
            resampled = sitk.Resample(smooth, grid, sitk.Transform(), sitk.sitkLinear, -1000.0)
            _VOLUMES[key] = sitk.GetArrayFromImage(resampled)
            _VOLUMES[key].setflags(write=False)
        return _VOLUMES[key]

    def stored(self, type_im):
        """As DIR-Lab stores it: HU + 1024, int16, from the top down, corners outside the scanned circle."""
        volume = np.rint(self.volume(type_im)).astype(np.int16) + 1024
        y, x = np.mgrid[: self.size[1], : self.size[0]]
        radius = np.hypot((x + 0.5) / self.size[0] - 0.5, (y + 0.5) / self.size[1] - 0.5)
        volume[:, radius > 0.66] = UNSEEN
        return volume[::-1].astype('<i2')

    def points(self, type_im, count=None):
        """True landmarks in mm from the first voxel, (n, 3)."""
        return self.case.landmarks(type_im)[:count] - self.origin

    def numbers(self, type_im, count=None):
        """Voxel numbers of DIR-Lab, int (n, 3)."""
        index = np.rint(self.points(type_im, count) / np.array(self.spacing)).astype(int)
        return np.column_stack([index[:, 0] + 1, index[:, 1] + 1, self.size[2] - index[:, 2]])

    def expected(self, moving):
        """Mean distance in mm of the numbered voxels in T00 and in another phase."""
        difference = (self.numbers(moving) - self.numbers(0)) * np.array(self.spacing)
        return float(np.sqrt((difference**2).sum(axis=1)).mean())


def write_rows(path, rows):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w') as stream:
        stream.write(''.join('\t'.join(str(value) for value in row) + '\n' for row in rows))


def write_volume(path, array):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    array.tofile(path)


def write_4dct(folder, cn, patient, numbers=None):
    """A 4DCT pack; ``numbers`` (rows, volume size) -> rows changes the landmarks."""
    numbers = numbers or (lambda rows, size: rows)
    pack = os.path.join(str(folder), 'Case8Deploy' if cn == 8 else f'Case{cn}Pack')
    for type_im, phase in enumerate(PHASES):
        name = 'case{}_{}{}.img'.format(cn, phase, '_s' if cn < 6 else '')
        write_volume(os.path.join(pack, 'Images', name), patient.stored(type_im))
        if type_im < 6:
            write_rows(
                os.path.join(pack, 'Sampled4D', f'case{cn}_4D-75_{phase}.txt'),
                numbers(patient.numbers(type_im, 20), patient.size),
            )
    for type_im in (0, 5):
        name = 'case{}_300_{}_xyz.txt' if cn < 6 else 'case{}_dirLab300_{}_xyz.txt'
        write_rows(
            os.path.join(pack, 'ExtremePhases', name.format(cn, PHASES[type_im])),
            numbers(patient.numbers(type_im), patient.size),
        )
    return pack


def write_copd(folder, cn, patient, empty=((0, 0), (0, 0))):
    """A COPDgene pack; ``empty``: slices of zeros added (bottom, top) to inhale and exhale, in the file's
    numbering of slices like everything else."""
    pack = os.path.join(str(folder), f'copd{cn}')
    for (below, above), type_im, letter in zip(empty, (0, 5), 'ie'):
        stored = patient.stored(type_im)
        stored[:above] = 0
        stored[len(stored) - below :] = 0
        write_volume(os.path.join(pack, f'copd{cn}_{letter}BHCT.img'), stored)
        name = f'copd{cn}_300_{letter}BH_xyz_r1.txt'
        write_rows(os.path.join(pack, name), patient.numbers(type_im))
    return pack


def write_spread(folder, patients, codes):
    """SPREAD's layout: .mhd + .raw, points in mm below two header lines; every fifth point is unsure."""
    truth = os.path.join(str(folder), 'SPREADgroundTruth')
    os.makedirs(os.path.join(truth, 'Consensus'))
    for patient, code in zip(patients, codes):
        os.makedirs(os.path.join(str(folder), code))
        for type_im, name in ((0, 'baseline_1'), (5, 'followup_1')):
            image = sitk.GetImageFromArray(np.rint(patient.volume(type_im)).astype(np.int16))
            image.SetSpacing(patient.spacing)
            image.SetOrigin((11.0, -7.5, 30.0))
            sitk.WriteImage(image, os.path.join(str(folder), code, name + '.mhd'))
        names = (code + '_baseline_1_Cropped_point.txt', os.path.join('Consensus', code[:4] + '_b1f1_point.txt'))
        for type_im, name in zip((0, 5), names):
            rows = [
                '{:.4f} {:.4f} {:.4f}'.format(*point)
                for point in patient.points(type_im) + np.array([11.0, -7.5, 30.0])
            ]
            with open(os.path.join(truth, name), 'w') as stream:
                stream.write('\n'.join(['point', str(len(rows))] + rows) + '\n')
        unsure = [str(int(k % 5 == 0)) for k in range(len(rows))]
        with open(os.path.join(truth, 'Consensus', code[:4] + '_b1f1_unsure.txt'), 'w') as stream:
            stream.write('\n'.join(unsure) + '\n')


def small_record(data, patients):
    """The record of a data set with the grids and the known values of ``patients`` (case -> Patient)."""
    return DATA_SETS[data]._replace(
        CNList=sorted(patients),
        raw_grids={cn: (p.size, p.spacing) for cn, p in patients.items()},
        expected_tre={cn: p.expected(5) for cn, p in patients.items()},
    )
