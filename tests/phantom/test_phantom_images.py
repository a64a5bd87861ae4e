"""Images of the phantom: consistent with the true DVF, conserving mass, looking like a chest."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import binary_erosion, label, map_coordinates, uniform_filter

from functions.phantom.breathing import true_dvf
from functions.phantom.case import Case
from functions.phantom.rendering import enlarge
from functions.phantom.scanner import correlated_noise, slice_profile


def arrays(phase):
    return [sitk.GetArrayFromImage(image) for image in phase]


def from_centre(case, type_im=0):
    """Landmarks in mm from the centre of the box."""
    return case.landmarks(type_im) - np.array(case.patient.centre)


def test_types_sizes_and_geometry(small_case):
    image, lung, torso = small_case.phase(0)
    assert image.GetPixelID() == sitk.sitkInt16
    assert lung.GetPixelID() == torso.GetPixelID() == sitk.sitkUInt8
    for volume in (image, lung, torso):
        assert volume.GetSize() == (96, 80, 88) and volume.GetSpacing() == (1, 1, 1)
        assert volume.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
        assert volume.GetOrigin() == small_case.patient.origin
    assert np.all(np.abs(image.GetOrigin()) > 1)
    assert set(np.unique(sitk.GetArrayViewFromImage(lung))) == {0, 1}


def test_the_same_case_twice(small_case):
    again = Case(small_case.patient.cn, small_case.options)
    for ours, theirs in zip(arrays(small_case.phase(5)), arrays(again.phase(5))):
        assert np.array_equal(ours, theirs)
    assert np.array_equal(again.landmarks(5), small_case.landmarks(5))


def test_another_case_is_another_patient(small_case):
    other = Case(2, small_case.options)
    ours, theirs = arrays(small_case.phase(0)), arrays(other.phase(0))
    assert np.mean(ours[1] != theirs[1]) > 0.005
    assert np.abs(ours[0].astype(float) - theirs[0]).mean() > 30
    assert other.patient.back_more != small_case.patient.back_more
    assert Case(2).patient.descent != Case(1).patient.descent
    moved = from_centre(other) - from_centre(small_case)
    assert np.abs(moved).max() > 2


def test_noise_differs_between_phases_and_has_the_stated_width(small_case, small_volumes):
    middle = (slice(None), slice(32, 48), slice(40, 56))
    noise = [arrays(small_case.phase(k))[0][middle] - small_volumes[k].hu[middle] for k in (0, 5)]
    assert np.allclose([part.std() for part in noise], small_case.patient.noise_hu, rtol=0.15)
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.1
    assert np.corrcoef(noise[0][1:].ravel(), noise[0][:-1].ravel())[0, 1] > 0.2  # correlated in space


def test_warping_exhale_by_the_true_dvf_gives_inhale(small_case, small_volumes):
    """ITK warps the noise-free T50; times the Jacobian determinant, its density is that of T00."""
    dvf = true_dvf(small_case, 0, 5)
    moving = small_case.to_image(small_volumes[5].hu)
    moved = sitk.Warp(
        moving, dvf, sitk.sitkBSpline, dvf.GetSize(), dvf.GetOrigin(), dvf.GetSpacing(), dvf.GetDirection(), -1000.0
    )
    moved = sitk.GetArrayFromImage(moved)
    z, y, x = np.nonzero(binary_erosion(small_volumes[0].lung > 0.99, iterations=3))
    points = np.stack([x, y, z], axis=1) - 0.5 * (np.array(small_case.patient.size) - 1)
    determinant = small_case.breathing.determinant(*points.T, type_im=5)
    fixed = small_volumes[0].hu[z, y, x] + 1000.0
    corrected = (moved[z, y, x] + 1000.0) * determinant
    assert np.corrcoef(fixed, corrected)[0, 1] > 0.97
    assert abs(corrected.mean() / fixed.mean() - 1) < 0.01
    still = small_volumes[5].hu[z, y, x] + 1000.0
    assert np.abs(corrected - fixed).mean() < 0.35 * np.abs(still - fixed).mean()


@pytest.mark.once
@pytest.mark.parametrize('cn', [1, 3])
def test_mass_of_the_lungs_is_conserved(cn):
    case = Case(cn, {'Size': [120, 96, 110]})
    volume, mass = [], []
    for type_im in (0, 5):
        phase = case.volumes(type_im)
        volume.append(phase.lung.sum())
        mass.append(((phase.hu + 1000.0) * phase.lung).sum())
    assert volume[1] < 0.93 * volume[0]
    assert abs(mass[1] / mass[0] - 1) < 0.01


def test_masks_follow_the_map(small_case, small_volumes):
    """A point is lung in T50 when the point it comes from is lung in T00."""
    half = 0.5 * (np.array(small_case.patient.size) - 1)
    points = np.random.RandomState(0).uniform(-0.95, 0.95, (3000, 3)) * half
    source = small_case.breathing.transform(points, 5, 0)
    depth = small_case.anatomy.lung(*source.T)
    found = map_coordinates(small_volumes[5].lung, (points + half).T[::-1], order=1)
    assert found[depth < -2].min() > 0.5 and found[depth > 2].max() < 0.5


def test_two_lungs_in_a_body(small_case, small_volumes):
    volumes = small_volumes[0]
    lung = volumes.lung > 0.5
    labels, count = label(lung)
    sizes = np.sort(np.bincount(labels.ravel())[1:])[::-1]
    assert count >= 2 and sizes[1] > 0.5 * sizes[0] and sizes[:2].sum() > 0.99 * lung.sum()
    left = np.nonzero(labels == np.argmax(np.bincount(labels.ravel())[1:]) + 1)[2]
    assert np.all(left < 50) or np.all(left > 45)
    assert np.all((volumes.body > 0.5)[lung])
    assert 0.08 < lung.mean() < 0.35
    tissue = volumes.hu[(volumes.body > 0.99) & (volumes.lung < 0.01)]
    assert -900 < np.percentile(volumes.hu[lung], 50) < -800
    assert -130 < np.percentile(tissue, 10) < -60 and 20 < np.percentile(tissue, 60) < 80
    assert np.percentile(tissue, 99.5) > 300  # bone
    assert np.percentile(volumes.hu[volumes.body < 0.01], 99) < -950


def test_liver_lies_under_the_right_dome(small_case, small_volumes):
    patient = small_case.patient
    half = 0.5 * (np.array(patient.size) - 1)
    xi, eta = np.array([-0.5]), np.array([patient.dome_eta])
    dome = small_case.anatomy.diaphragm(xi, eta)
    for offset, low, high in ((-8.0, 45, 80), (6.0, -1000, -500)):
        x, y = small_case.frame.bend(xi, eta, dome + offset)
        at = np.array([dome + offset, y, x]).reshape(3, 1) + half[::-1].reshape(3, 1)
        assert low < map_coordinates(small_volumes[0].hu, at, order=1)[0] < high


def test_landmarks_are_branchings_inside_the_lungs(small_case, small_volumes):
    half = 0.5 * (np.array(small_case.patient.size) - 1)
    for type_im in (0, 5):
        points = from_centre(small_case, type_im)
        assert points.shape == (60, 3)
        at = (points + half).T[::-1]
        assert map_coordinates(small_volumes[type_im].lung, at, order=1).min() > 0.95
        bright = map_coordinates(small_volumes[type_im].hu, at, order=1)
        around = map_coordinates(uniform_filter(small_volumes[type_im].hu, 9), at, order=1)
        assert np.mean(bright > around + 100) > 0.95
    reference = from_centre(small_case)
    nodes = np.concatenate([tree.nodes for tree in small_case.trees.arteries + small_case.trees.veins])
    parents = np.concatenate(
        [
            np.bincount(tree.parent[1:], minlength=len(tree.nodes))
            for tree in small_case.trees.arteries + small_case.trees.veins
        ]
    )
    for point in reference:
        nearest = np.argmin(((nodes - point) ** 2).sum(axis=1))
        assert np.allclose(nodes[nearest], point) and parents[nearest] >= 2
    gaps = np.linalg.norm(reference[:, None] - reference[None], axis=2) + 1e3 * np.eye(60)
    assert gaps.min() > 3
    assert np.all(np.ptp(reference, axis=0) > 0.35 * np.array(small_case.patient.size))


def test_reduced_size_has_landmarks_to_spare():
    case = Case(2, {'Size': [210, 160, 190]})
    assert case.landmarks().shape == (300, 3)
    assert np.linalg.norm(case.landmarks(5) - case.landmarks(0), axis=1).mean() > 4


def test_scanner_options():
    options = {'Size': [80, 72, 64], 'Landmarks': 10, 'Noise': [0, 0], 'Table': False}
    plain = Case(5, options)
    image = arrays(plain.phase(0))[0]
    assert np.array_equal(image, np.rint(np.clip(plain.volumes(0).hu, -1024, 3071)))
    thick = arrays(Case(5, dict(options, SliceThickness=[5, 5])).phase(0))[0]
    change = [np.abs(np.diff(array.astype(float), axis=0)).mean() for array in (thick, image)]
    assert change[0] < 0.7 * change[1]
    assert abs(thick.mean() - image.mean()) < 10
    narrow = arrays(Case(5, dict(options, FieldOfView=[0.8, 0.8])).phase(0))[0]
    assert np.all(narrow[:, 0, 0] == -2048) and np.array_equal(narrow[:, 36, 20:60], image[:, 36, 20:60])
    assert (narrow[30] == -2048).sum() == pytest.approx(80 * 72 - np.pi * 32**2, rel=0.02)


@pytest.mark.once
@pytest.mark.parametrize('kind', ['emphysema', 'nodule', 'opacity'])
def test_pathology_changes_the_lungs_only(kind):
    options = {'Size': [96, 80, 88], 'Landmarks': 10}
    # A list of one name: the other draws of the patient stay the same.
    healthy = Case(4, dict(options, Pathology=['none'])).volumes(0)
    ill = Case(4, dict(options, Pathology=[kind])).volumes(0)
    difference = ill.hu - healthy.hu
    assert np.array_equal(ill.lung, healthy.lung)
    assert np.abs(difference[healthy.lung == 0]).max() < 1e-3
    changed = difference[healthy.lung > 0.99]
    assert changed.min() < -30 if kind == 'emphysema' else changed.max() > 100


def test_noise_and_slice_profile():
    noise = correlated_noise((20, 30, 40), 0.7, np.random.RandomState(0))
    assert noise.dtype == np.float32 and abs(noise.std() - 1) < 0.1
    for thickness in (1.5, 2.5, 4.0, 5.0):
        matrix = slice_profile(33, thickness)
        assert np.allclose(matrix.sum(axis=1), 1, atol=1e-5)
        ramp = np.arange(33.0)
        assert np.abs(matrix.dot(ramp) - ramp)[6:-6].max() < 1e-3


def test_enlarge_interpolates_linearly():
    z, y, x = np.meshgrid(np.arange(4), np.arange(3), np.arange(5), indexing='ij')
    coarse = z + 10.0 * y + 100.0 * x
    fine = enlarge(coarse, (13, 9, 17), 4.0)
    z, y, x = np.meshgrid(np.arange(13), np.arange(9), np.arange(17), indexing='ij')
    assert np.allclose(fine, (z + 10 * y + 100 * x) / 4.0, atol=1e-3)
