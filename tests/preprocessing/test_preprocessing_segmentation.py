"""Lung and torso masks of made chests, whose truth is known."""

import numpy as np
import pytest
import SimpleITK as sitk
from chest import chest, dice, lung_labels
from scipy import ndimage

from functions.image.geometry import Geometry
from functions.preprocessing import morphology
from functions.preprocessing.chest_masks import chest_masks, lung_mask, torso_mask
from functions.setting.errors import InputError


@pytest.fixture(scope='module', params=[False, True], ids=['apart', 'touching'])
def scan(request):
    return chest(touching=request.param) + (request.param,)


def test_lungs_and_torso_of_a_made_chest(scan):
    image, right, left, torso, touching = scan
    aerated = ndimage.label(sitk.GetArrayFromImage(image) < -600)[0]
    bridged = len(set(np.unique(aerated[right])) & set(np.unique(aerated[left])) - {0}) > 0
    assert bridged is touching, 'the case must be what it says'
    masks = chest_masks(image)
    for mask in masks:
        assert mask.GetPixelID() == sitk.sitkUInt8 and Geometry.of(mask) == Geometry.of(image)
    lung, body = [sitk.GetArrayFromImage(mask) for mask in masks]
    assert set(np.unique(lung)) == {0, 1} and set(np.unique(body)) == {0, 1}
    assert dice(lung > 0, right | left) > 0.98
    assert dice(body > 0, torso) > 0.99
    assert (body[lung > 0] == 1).all()
    hu = sitk.GetArrayFromImage(image)
    vessels = (right | left) & (hu > -100) & ndimage.binary_erosion(right | left, iterations=3)
    assert vessels.sum() > 50 and lung[vessels].mean() > 0.95, 'vessels inside the lung belong to it'
    rows, columns = np.arange(hu.shape[1])[None, :, None], np.arange(hu.shape[2])
    table = (hu > -300) & ~torso & (rows >= np.nonzero(torso.any(axis=(0, 2)))[0][-1] - 1)
    # Where the back lies on it flatly, nothing tells it from the body.
    table &= np.abs(columns - columns.mean()) * 3 > 70
    assert table.sum() > 1000 and body[table].mean() < 0.01, 'the table is no part of the body'


def _cuts(lung):
    """Name -> (z, y, x) slices that cut a chest as fields of view do: into the lungs, to their box, a half, a slab."""
    (z0, z1), (y0, y1), (x0, x1) = [
        (places.min(), places.max() + 1) for places in (np.nonzero(lung)[axis] for axis in range(3))
    ]
    whole, middle = slice(None), slice((2 * z0 + z1) // 3, (z0 + 2 * z1) // 3)
    return {
        'back': (whole, slice(0, y1 - 3), whole),
        'front': (whole, slice(y0 + 3, None), whole),
        'left': (whole, whole, slice(0, x1 - 3)),
        'right': (whole, whole, slice(x0 + 3, None)),
        'box': (slice(z0, z1), slice(y0, y1), slice(x0, x1)),
        'right half': (whole, whole, slice(0, (x0 + x1) // 2)),
        'left half': (whole, whole, slice((x0 + x1) // 2, None)),
        'slab': (middle, whole, whole),
    }


@pytest.mark.once
def test_lungs_cut_by_the_border_stay_whole():
    image, right, left, _ = chest()
    lung = right | left
    for name, (z, y, x) in _cuts(lung).items():
        part = image[x, y, z]
        found = sitk.GetArrayFromImage(lung_mask(part)) > 0
        assert dice(found, lung[z, y, x]) > 0.97, name


@pytest.mark.once
def test_right_and_left_are_the_patients_also_where_the_lungs_touch(scan):
    image, right, left, _, _ = scan
    labels = lung_labels(image)
    assert set(np.unique(labels)) == {0, 1, 2}
    assert dice(labels == 1, right) > 0.97 and dice(labels == 2, left) > 0.97
    np.testing.assert_array_equal(labels > 0, sitk.GetArrayFromImage(lung_mask(image)) > 0)


@pytest.mark.once
def test_masks_do_not_depend_on_how_the_axes_lie(scan):
    image = scan[0]
    truth = chest_masks(image)
    other = sitk.Flip(sitk.PermuteAxes(image, [2, 0, 1]), [True, False, True])
    masks = chest_masks(other)
    for mask, expected in zip(masks, truth):
        assert Geometry.of(mask) == Geometry.of(other)
        back = sitk.Resample(mask, image, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
        assert dice(sitk.GetArrayFromImage(back) > 0, sitk.GetArrayFromImage(expected) > 0) > 0.999


@pytest.mark.once
def test_a_scan_that_cuts_through_the_lungs():
    image, right, left, torso = chest()
    part = slice(25, 55)
    masks = chest_masks(image[:, :, part])
    assert dice(sitk.GetArrayFromImage(masks.lung) > 0, (right | left)[part]) > 0.97
    assert dice(sitk.GetArrayFromImage(masks.torso) > 0, torso[part]) > 0.99


@pytest.mark.once
def test_one_lung_alone_is_accepted():
    image, right, left, torso = chest()
    array = sitk.GetArrayFromImage(image)
    array[ndimage.binary_dilation(left, iterations=2) & torso] = 20
    collapsed = sitk.GetImageFromArray(array)
    collapsed.CopyInformation(image)
    assert dice(sitk.GetArrayFromImage(lung_mask(collapsed)) > 0, right & (array < 20)) > 0.95


def test_images_without_body_or_lung_are_refused():
    empty = sitk.Image([40, 40, 40], sitk.sitkInt16) - 1000
    empty.SetSpacing((3.0, 3.0, 3.0))
    with pytest.raises(InputError, match='No body'):
        torso_mask(empty)
    image, right, left, _ = chest()
    array = sitk.GetArrayFromImage(image)
    array[ndimage.binary_dilation(right | left, iterations=3)] = 30
    solid = sitk.GetImageFromArray(array)
    solid.CopyInformation(image)
    with pytest.raises(InputError, match='No lung'):
        lung_mask(solid)


@pytest.mark.slow
@pytest.mark.parametrize('cn', [1, 4])
def test_lungs_of_the_phantom(cn):
    from functions.phantom.case import Case
    from functions.phantom.patient import check_options

    image, lung, torso = Case(cn, check_options(None)).phase(5)
    masks = chest_masks(image)
    assert dice(sitk.GetArrayFromImage(masks.lung) > 0, sitk.GetArrayFromImage(lung) > 0) > 0.98
    assert dice(sitk.GetArrayFromImage(masks.torso) > 0, sitk.GetArrayFromImage(torso) > 0) > 0.98


# ---- morphology


@pytest.mark.parametrize('radius', [2.0, 5.0, 9.0])
def test_ball_morphology_equals_the_exact_distance_transform(radius):
    rng = np.random.RandomState(0)
    mask = ndimage.gaussian_filter(rng.randn(20, 24, 28), 2) > 0.03
    inner = ndimage.distance_transform_edt(mask, sampling=2.0)
    outer = ndimage.distance_transform_edt(~mask, sampling=2.0)
    np.testing.assert_array_equal(morphology.within(mask, radius, 2.0), outer <= radius)
    np.testing.assert_array_equal(morphology.deeper_than(mask, radius, 2.0), inner > radius)
    np.testing.assert_allclose(morphology.depth(mask, 2.0), inner, atol=1e-4)
    nothing = np.zeros_like(mask)
    assert not morphology.within(nothing, radius, 2.0).any()
    assert not morphology.deeper_than(nothing, radius, 2.0).any()
    assert morphology.deeper_than(~nothing, radius, 2.0).all()


def test_closing_fills_a_crevice_leaves_a_bay_and_goes_on_at_the_ends_of_the_scan():
    mask = np.zeros((12, 40, 40), bool)
    mask[:, 4:36, 4:36] = True
    mask[:, 10:14, 20:36] = False  # 4 voxels wide
    mask[:, 20:34, 20:36] = False  # 14 voxels wide
    closed = morphology.closed(mask, 4.0, 1.0)
    assert closed[:, 10:14, 20:32].all()
    assert not closed[:, 25:29, 26:36].any()
    assert (closed | mask == closed).all() and (closed[0] == closed[6]).all()


def test_holes_are_what_is_enclosed():
    mask = np.zeros((9, 9, 9), bool)
    mask[1:8, 1:8, 1:8] = True
    mask[3:6, 3:6, 3:6] = False
    assert morphology.without_holes(mask)[1:8, 1:8, 1:8].all()
    mask[4:, 4, 4] = False  # a channel to the outside in z: enclosed in slices only
    assert not morphology.without_holes(mask)[4, 4, 4]
    assert morphology.without_holes(mask, in_slices=True)[1:8, 1:8, 1:8].all()
    assert morphology.without_holes(mask, in_slices=True).sum() == 7**3
