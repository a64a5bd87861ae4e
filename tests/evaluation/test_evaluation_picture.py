"""The registration picture: the right sections, the right way up, a whole PNG of the announced size."""

import struct

import numpy as np
import pytest
import SimpleITK as sitk
from oblique_images import IDENTITY, affine_dvf, image_of, positions, rotation

from functions.evaluation import registration_picture, section_drawing
from functions.evaluation import sections as se
from functions.image.volume_io import image_from_array
from functions.setting.errors import InputError

GRIDS = {
    'identity': {'direction': IDENTITY, 'spacing': (2.0, 2.0, 2.0), 'size': (40, 32, 36)},
    'anisotropic': {'direction': IDENTITY, 'spacing': (2.0, 1.6, 3.0), 'size': (40, 40, 24)},
    'oblique': {'direction': rotation(0.2, 0.15), 'spacing': (1.8, 1.6, 3.0), 'size': (44, 40, 26)},
    'flipped': {
        'direction': np.diag([-1.0, -1.0, -1.0]).ravel().tolist(),
        'spacing': (2.0, 2.0, 2.5),
        'size': (40, 32, 28),
    },
    'permuted': {'direction': [0.0, 0, 1, 1, 0, 0, 0, 1, 0], 'spacing': (2.0, 2.5, 2.0), 'size': (32, 30, 40)},
}


def thorax(name):
    """Two lungs in a body, centred on 0 in physical space whatever the grid: (image, lung)."""
    grid = GRIDS[name]
    size, spacing = np.array(grid['size']), np.array(grid['spacing'])
    direction = np.array(grid['direction']).reshape(3, 3)
    origin = -direction @ (spacing * (size - 1) / 2)
    blank = image_of(np.zeros(size[::-1], np.uint8), grid['spacing'], origin.tolist(), grid['direction'])
    lung = lungs_at(positions(blank))
    image = np.where(lung, -850, 40).astype(np.int16)
    return (
        image_of(image, grid['spacing'], origin.tolist(), grid['direction']),
        image_of(lung.astype(np.uint8), grid['spacing'], origin.tolist(), grid['direction']),
    )


def lungs_at(points):
    """A large right lung (x < 0) and a small left one, both posterior and superior of the middle."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    right = ((x + 16) / 10) ** 2 + ((y - 6) / 14) ** 2 + ((z - 5) / 20) ** 2 < 1
    left = ((x - 14) / 7) ** 2 + ((y - 6) / 10) ** 2 + ((z - 8) / 14) ** 2 < 1
    return right | left


@pytest.mark.parametrize('name', sorted(GRIDS))
def test_evaluation_picture_sections_go_through_the_lungs(name, monkeypatch):
    monkeypatch.setattr(se, 'MARGIN', 6.0)
    image, lung = thorax(name)
    coronal, sagittal, _ = se.choose_sections(image, lung)
    assert coronal.position == pytest.approx(6, abs=4) and sagittal.position == pytest.approx(-16, abs=5)
    assert coronal.lower[1] == sagittal.lower[1] and coronal.size[1] == sagittal.size[1]
    # Framed around the lungs, which reach from -15 to 25 mm in z and from -26 to 21 mm in x.
    left, right, bottom, top = se.extent(coronal)
    assert (left, right, bottom, top) == pytest.approx((-32, 27, -21, 31), abs=5.5)
    # From intensities alone the same sections are found.
    found = se.choose_sections(image, None)
    assert found[0].position == pytest.approx(coronal.position, abs=5)
    assert found[1].position == pytest.approx(sagittal.position, abs=5)


@pytest.mark.parametrize('name', sorted(GRIDS))
def test_evaluation_picture_pixels_show_their_physical_position(name, monkeypatch):
    """Superior (axial: posterior) is the last row, the patient's left (sagittal: posterior) the last column,
    on any grid."""
    monkeypatch.setattr(se, 'MARGIN', 100.0)
    image, lung = thorax(name)
    for plane in se.choose_sections(image, lung):
        shown = se.sample(image, plane, default=-5000.0)
        across, up = se.pixel_positions(plane)
        assert up[0] < up[-1] and across[0] < across[-1]
        points = np.zeros(shown.shape + (3,))
        points[..., plane.normal] = plane.position
        points[..., plane.horizontal], points[..., plane.vertical] = across[None, :], up[:, None]
        inside, dark, truth = shown > -2000, shown < -400, lungs_at(points)
        assert inside.mean() > 0.6
        # Only the rim may differ, by the partial volume of the grid; mirrored or turned it would be far more.
        wrong = np.mean((dark != truth)[inside])
        assert wrong < 0.03
        for turned in (truth[::-1], truth[:, ::-1]):
            assert np.mean((dark != turned)[inside]) > max(0.05, 3 * wrong)
    letters = [tuple(plane.letters) for plane in se.choose_sections(image, lung)]
    assert letters == [('R', 'L', 'S'), ('A', 'P', 'S'), ('R', 'L', 'A')]


def test_evaluation_picture_identity_sections_are_stored_voxels(monkeypatch):
    monkeypatch.setattr(se, 'MARGIN', 100.0)
    image, lung = thorax('identity')
    array = np.random.RandomState(0).randint(-1000, 1000, (36, 32, 40)).astype(np.int16)
    noise = sitk.GetImageFromArray(array)
    noise.CopyInformation(image)
    coronal, sagittal, _ = se.choose_sections(noise, lung)
    y = noise.TransformPhysicalPointToIndex((0.0, coronal.position, 0.0))[1]
    x = noise.TransformPhysicalPointToIndex((sagittal.position, 0.0, 0.0))[0]
    np.testing.assert_allclose(se.sample(noise, coronal), array[:, y], atol=1e-2)
    np.testing.assert_allclose(se.sample(noise, sagittal), array[:, :, x], atol=1e-2)


@pytest.mark.parametrize('name', ['oblique', 'permuted'])
def test_evaluation_picture_fields_keep_their_physical_components(name, monkeypatch):
    monkeypatch.setattr(se, 'MARGIN', -4.0)
    image, lung = thorax(name)
    dvf = affine_dvf(
        image.GetSize(),
        np.zeros((3, 3)),
        [1.0, 2.0, 7.0],
        spacing=image.GetSpacing(),
        origin=image.GetOrigin(),
        direction=image.GetDirection(),
    )
    still = sitk.Image(dvf.GetSize(), sitk.sitkVectorFloat32, 3)
    still.CopyInformation(dvf)
    coronal, sagittal, _ = se.choose_sections(image, lung)
    for plane, expected in ((coronal, (1, 7)), (sagittal, (2, 7))):
        np.testing.assert_allclose(
            se.in_plane(plane, se.sample(dvf, plane)), np.broadcast_to(expected, plane.size[::-1] + (2,)), atol=1e-4
        )
        straight = section_drawing.deformed_grid(still, plane, 4)
        for before, after in zip(straight, section_drawing.deformed_grid(dvf, plane, 4)):
            np.testing.assert_allclose(after - before, np.broadcast_to(expected, before.shape), atol=1e-4)


def test_evaluation_picture_differences_skip_what_was_not_scanned(monkeypatch):
    monkeypatch.setattr(se, 'MARGIN', 100.0)
    image, lung = thorax('identity')
    brighter = sitk.Cast(image + 100, sitk.sitkInt16)
    array = sitk.GetArrayFromImage(brighter)
    array[:, :, :10] = -2048
    cut = sitk.GetImageFromArray(array)
    cut.CopyInformation(image)
    coronal = se.choose_sections(image, lung)[0]
    shown = section_drawing.differences(cut, image, coronal)
    assert np.isnan(shown[:, :10]).all()
    np.testing.assert_allclose(shown[:, 10:], 100, atol=1e-3)


def png_size(path):
    with open(path, 'rb') as stream:
        data = stream.read()
    assert data[:8] == b'\x89PNG\r\n\x1a\n' and data[-8:-4] == b'IEND'
    return struct.unpack('>II', data[16:24])


@pytest.mark.parametrize('name, with_landmarks', [('identity', False), ('oblique', True)])
def test_evaluation_picture_is_a_png_of_the_announced_size(tmp_path, name, with_landmarks):
    image, lung = thorax(name)
    dvf = affine_dvf(
        image.GetSize(),
        np.diag([0, 0, 0.1]),
        [0, 0, 2],
        spacing=image.GetSpacing(),
        origin=image.GetOrigin(),
        direction=image.GetDirection(),
    )
    # The moving image lives on a grid of its own.
    moving = thorax('anisotropic')[0]
    fixed_points = positions(lung)[sitk.GetArrayFromImage(lung) > 0][::40]
    landmarks = (fixed_points, fixed_points + [0.0, 0.0, 3.0]) if with_landmarks else None
    path = str(tmp_path / 'new folder' / 'picture.png')
    size = registration_picture.registration_picture(
        path, image, moving, image, dvf, lung if with_landmarks else None, 'Example', landmarks
    )
    assert min(size) > 5 * section_drawing.DPI
    assert png_size(path) == size
    assert [entry.name for entry in (tmp_path / 'new folder').iterdir()] == ['picture.png']
    shown = sitk.GetArrayFromImage(sitk.ReadImage(path)).reshape(size[1], size[0], -1)[..., :3]
    assert shown.std() > 20


def test_evaluation_picture_says_the_numbers_and_keeps_the_aspect():
    image, lung = thorax('anisotropic')
    dvf = affine_dvf(
        image.GetSize(),
        np.zeros((3, 3)),
        [0, 0, 3],
        spacing=image.GetSpacing(),
        origin=image.GetOrigin(),
        direction=image.GetDirection(),
    )
    points = positions(lung)[sitk.GetArrayFromImage(lung) > 0][::50]
    landmarks = (points, points + [0, 0, 4.0])
    figure = registration_picture.registration_figure(image, image, image, dvf, lung, 'Case 5', landmarks)
    words = ' '.join(text.get_text() for text in figure.texts)
    assert 'Case 5' in words
    assert f'TRE 4.00 ± 0.00 → 1.00 ± 0.00 mm ({len(points)} landmarks)' in words
    assert 'displacement in the lungs 3.0 mm (mean), 3.0 mm (max)' in words
    assert 'folding 0.00 %' in words
    sections = [axes for axes in figure.axes if axes.images and axes.get_aspect() == 1]
    assert len(sections) == 16
    for axes in sections:
        box = axes.get_window_extent()
        across, up = np.ptp(axes.get_xlim()), np.ptp(axes.get_ylim())
        assert box.width / across == pytest.approx(box.height / up, rel=1e-3)
        assert axes.get_ylim()[0] < axes.get_ylim()[1]
        assert axes.images[0].origin == 'lower'


def test_evaluation_picture_marks_folding():
    image, lung = thorax('identity')
    dvf = affine_dvf(
        image.GetSize(),
        np.diag([0, 0, -1.5]),
        [0, 0, 0],
        spacing=image.GetSpacing(),
        origin=image.GetOrigin(),
        direction=image.GetDirection(),
    )
    figure = registration_picture.registration_figure(image, image, image, dvf, lung)
    assert 'folding 100.00 %' in ' '.join(text.get_text() for text in figure.texts)
    marks = [axes.images[1].get_array() for axes in figure.axes if len(axes.images) == 2]
    assert len(marks) == 2 and all(np.isfinite(np.asarray(mark.filled(np.nan))).all() for mark in marks)


def test_evaluation_picture_expected_errors_are_on_the_scale_of_the_true_ones():
    image, lung = thorax('anisotropic')
    expected = positions(lung)[..., 2] * (sitk.GetArrayFromImage(lung) > 0) / 100.0
    expected = image_from_array(expected.astype(np.float32), lung)
    points = positions(lung)[sitk.GetArrayFromImage(lung) > 0][::7]
    errors = np.linspace(0.0, 4.0, len(points))
    cells = section_drawing.SectionCells(se.choose_sections(image, lung), image, lung, 8, 4)
    cells.start(1, 1)
    cells.expected_error(0, 0, expected, points, errors)
    drawn = 0
    for section, axes in zip(cells.sections, cells.figure.axes):
        shown = np.ma.filled(axes.images[-1].get_array(), np.nan)
        np.testing.assert_array_equal(np.isfinite(shown), se.sample(expected, section) > 0)
        np.testing.assert_allclose(np.nan_to_num(shown), np.maximum(se.sample(expected, section), 0), atol=1e-6)
        near = np.abs(points[:, section.normal] - section.position) <= section_drawing.LANDMARK_SLAB
        dots = [each for each in axes.collections if each.get_array() is not None and len(each.get_offsets())][-1]
        np.testing.assert_array_equal(dots.get_array(), errors[near])
        assert dots.get_clim() == axes.images[-1].get_clim() and dots.get_cmap().name == axes.images[-1].get_cmap().name
        drawn += near.sum()
    assert drawn > 10


def test_evaluation_picture_refuses():
    image, lung = thorax('identity')
    dvf = affine_dvf(
        image.GetSize(),
        np.zeros((3, 3)),
        [0, 0, 3],
        spacing=image.GetSpacing(),
        origin=image.GetOrigin(),
        direction=image.GetDirection(),
    )
    with pytest.raises(InputError, match='DVF'):
        registration_picture.registration_figure(image, image, image, image)
    with pytest.raises(InputError, match='moved'):
        registration_picture.registration_figure(image, image, dvf, dvf)
    with pytest.raises(InputError, match='empty'):
        registration_picture.registration_figure(image, image, image, dvf, lung * 0)
