"""The figures of artificial generation: what they show is what generation makes."""

import os
import subprocess

import numpy as np
import pytest
from PIL import Image

from docs.figures import generation, png, section_page
from docs.figures.section_page import Page, Panel, Section
from functions.artificial_generation import respiratory_motion
from functions.artificial_generation.categories import CategoryInputs, category
from functions.image.geometry import Geometry
from functions.image.volume_io import image_from_array, write_image
from functions.phantom.__main__ import main as phantom_main
from functions.setting import setting_utils as su
from functions.setting.errors import InputError, RegNetError

pytestmark = pytest.mark.once

GEOMETRY = Geometry((4, 5, 6), (2.0, 3.0, 4.0), (-10.0, 100.0, 50.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


@pytest.fixture
def root(setting, monkeypatch):
    """The command's own setting finds the synthetic thorax."""
    monkeypatch.setenv('REGNET_ROOT', setting['RootFolder'])
    monkeypatch.delenv('REGNET_DATA', raising=False)
    return setting['RootFolder']


def field_of(setting, thorax, deform_exp, dsmooth):
    """The category's field on the original image, made without the figures' code."""
    identity = generation._identity(setting, 1, deform_exp, dsmooth)
    context = CategoryInputs(thorax.im, thorax.lung, thorax.torso, identity.options)
    dvf = category(identity.method)(
        thorax.im.shape, thorax.spacing, identity.random(identity.method), identity.options, context
    )
    return identity, dvf


def box_of(torso):
    """Rows, columns and slices of the body with 1 voxel (5 mm of 4 mm voxels) around it."""
    found = np.argwhere(torso)
    low, high = np.maximum(found.min(axis=0) - 1, 0), np.minimum(found.max(axis=0) + 2, torso.shape)
    return [slice(a, b) for a, b in zip(low, high)]


def panel(page, title):
    found = [axes for axes in page.figure.axes if title in axes.get_title(loc='left')]
    assert len(found) == 1, title
    return found[0]


def shown(axes):
    return np.asarray(axes.images[0].get_array())


def test_sections_show_right_left_and_anterior_left_superior_up():
    volume = np.arange(6 * 5 * 4).reshape(6, 5, 4)
    box = (slice(1, 6), slice(0, 4), slice(1, 4))
    coronal, sagittal = Section('coronal', 3, GEOMETRY, box), Section('sagittal', 2, GEOMETRY, box)
    np.testing.assert_array_equal(coronal.cut(volume), [[volume[z, 3, x] for x in (1, 2, 3)] for z in range(1, 6)])
    np.testing.assert_array_equal(sagittal.cut(volume), [[volume[z, y, 2] for y in range(4)] for z in range(1, 6)])
    assert coronal.extent == (-9.0, -3.0, 52.0, 72.0) and coronal.position == 109.0
    assert sagittal.extent == (98.5, 110.5, 52.0, 72.0) and sagittal.position == -6.0
    page = Page('t', 'n', [[Panel(2, 2, 0, 0, None)]])
    axes = page.anatomy(0, 0, 'x', coronal, coronal.cut(volume))
    # Later rows and columns (superior, left) lie further up and to the right on the page.
    corner = axes.transData.transform([[-8.0, 54.0], [-4.0, 70.0]])
    assert (corner[1] > corner[0]).all() and axes.images[0].origin == 'lower'
    assert [text.get_text() for text in axes.texts] == ['R', 'L', 'S']
    assert axes.get_aspect() in (1.0, 'equal')


def test_grid_lines_are_those_of_the_original_image_carried_along():
    geometry = Geometry((30, 3, 40), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0), GEOMETRY.direction)
    section = Section('coronal', 1, geometry, (slice(0, 40), slice(0, 3), slice(0, 30)))
    page = Page('t', 'n', [[Panel(2, 2, 0, 0, None)]])
    axes = page.anatomy(0, 0, 'x', section, np.zeros((40, 30)))
    field = np.zeros((40, 30, 3))
    field[..., 0], field[..., 2] = 3.0, -4.0
    section_page.deformed_grid(axes, section, field)
    points = np.concatenate(
        [path.vertices for collection in axes.collections for path in collection.get_paths() if len(path.vertices)]
    )
    # deformed(p) = original(p + u): the original's line x = 10 is seen at x = 7, its line z = 10 at z = 14.
    on_x = np.abs((points[:, 0] + 3) / 10 - np.round((points[:, 0] + 3) / 10)) < 1e-6
    on_z = np.abs((points[:, 1] - 4) / 10 - np.round((points[:, 1] - 4) / 10)) < 1e-6
    assert (on_x | on_z).all()
    assert set(np.round(points[on_x & ~on_z][:, 0])) == {7, 17, 27, 37, 47, 57}
    assert set(np.round(points[on_z & ~on_x][:, 1])) == {4, 14, 24, 34, 44, 54, 64, 74}


def test_single_frequency_panels_are_slices_of_the_fields(setting, thorax):
    page = generation.single_frequency_page(setting, 1)
    row = int(np.argmax(thorax.lung.sum(axis=(0, 2))))
    z, _, x = box_of(thorax.torso)
    planes = []
    for dsmooth, spacing in enumerate((40, 30, 20)):
        identity, dvf = field_of(setting, thorax, generation.SINGLE, dsmooth)
        assert identity.options['SingleFrequency_BSplineGridSpacing'][dsmooth] == [spacing] * 3
        plane = dvf[z, row, x]
        planes.append(plane)
        np.testing.assert_array_equal(shown(panel(page, f'{spacing} mm: $u_z$')), plane[..., 2])
        np.testing.assert_allclose(
            shown(panel(page, f'{spacing} mm: $|u|$')), np.sqrt((plane**2).sum(-1)), rtol=1e-5, atol=1e-5
        )
        assert np.ptp(shown(panel(page, f'{spacing} mm: deformed image'))) > 800
    assert not np.array_equal(planes[0], planes[1])
    low, high = panel(page, '30 mm: $u_z$').images[0].get_clim()
    assert low == -high and max(np.abs(plane[..., 2]).max() for plane in planes) <= high
    bars = [axes for axes in page.figure.axes if axes.get_ylabel() == 'mm']
    assert len(bars) == 2


def test_steps_of_mixed_frequency_lead_to_the_categorys_field(setting, thorax):
    identity, dvf = field_of(setting, thorax, generation.EXPERIMENT, generation.MIXED)
    assert identity.method == 'mixed_frequency'
    volumes = generation._load(setting, 1, generation.EXPERIMENT, generation.MIXED)[1]
    section = generation._section(volumes, 'coronal')
    steps = generation.mixed_frequency_steps(identity, volumes, section)
    np.testing.assert_array_equal(steps.dvf, dvf)
    assert steps.selected.any() and not (steps.selected & ~steps.edges).any()
    assert not (steps.selected & ~steps.dilated).any() and steps.dilated.sum() > steps.selected.sum()
    dilated = section.cut(steps.dilated)
    assert not (steps.emptied & ~dilated).any() and steps.emptied.sum() < dilated.sum()
    np.testing.assert_array_equal(steps.filled, np.where(steps.grown, steps.bspline, 0))
    assert steps.bspline.any()


def test_mixed_frequency_page_shows_the_steps(setting, thorax):
    page = generation.mixed_frequency_page(setting, 1)
    identity, dvf = field_of(setting, thorax, generation.EXPERIMENT, generation.MIXED)
    row = int(np.argmax((np.abs(dvf[..., 2]) * (thorax.lung > 0)).sum(axis=(0, 2), dtype=np.float64)))
    z, _, x = box_of(thorax.torso)
    np.testing.assert_array_equal(shown(panel(page, 'final $u_z$')), dvf[z, row, x, 2])
    np.testing.assert_array_equal(shown(panel(page, 'Canny edges')), thorax.im[z, row, x])
    labels = np.ma.asarray(panel(page, 'Blocks grown').images[1].get_array())
    assert set(np.unique(labels.compressed())) <= {1, 2, 3}
    filled = shown(panel(page, 'Filled')) != 0
    kept = np.isin(labels.filled(0), (1, 3))
    assert filled.any() and not (filled & ~kept).any()


def test_profiles_are_those_that_the_category_draws(setting, thorax, monkeypatch):
    drawn, original = [], respiratory_motion.breathing
    monkeypatch.setattr(
        respiratory_motion, 'breathing', lambda *arguments: drawn.append(original(*arguments)) or drawn[-1]
    )
    identity, dvf = field_of(setting, thorax, generation.EXPERIMENT, generation.RESPIRATORY)
    volumes = generation._load(setting, 1, generation.EXPERIMENT, generation.RESPIRATORY)[1]
    for made, expected in zip(generation.breathing_profiles(identity, volumes), drawn[0]):
        np.testing.assert_array_equal(made, expected)
    assert drawn[0][1].max() > 15


def test_respiratory_page_shows_field_and_difference(setting, thorax):
    page = generation.respiratory_motion_page(setting, 1)
    _, dvf = field_of(setting, thorax, generation.EXPERIMENT, generation.RESPIRATORY)
    row = int(np.argmax(thorax.lung.sum(axis=(0, 2))))
    column = int(np.argmax(thorax.lung.sum(axis=(0, 1))))
    z, y, x = box_of(thorax.torso)
    np.testing.assert_array_equal(shown(panel(page, ') $u_z$')), dvf[z, row, x, 2])
    np.testing.assert_array_equal(shown(panel(page, ') $u_y$')), dvf[z, y, column, 1])
    coronal = shown(panel(page, '(d) Deformed − original'))
    image = shown(panel(page, '(c) Deformed image'))
    np.testing.assert_array_equal(coronal, image.astype(np.float32) - thorax.im[z, row, x])
    # The profile stands beside the section it belongs to.
    profile, section = panel(page, 'Cranio-caudal'), panel(page, ') $u_z$')
    assert profile.get_ylim() == section.get_ylim()
    assert profile.get_position().y0 == pytest.approx(section.get_position().y0)


def test_palette_keeps_the_certain_colours():
    pixels = np.random.RandomState(0).randint(0, 256, size=(90, 80, 3)).astype(np.uint8)
    certain = [(1, 2, 3), (250, 0, 7)]
    pixels[4, 5], pixels[10:12, 3] = certain
    image = png.few_colours(pixels, certain)
    back = np.asarray(image.convert('RGB'))
    assert image.mode == 'P' and back.shape == pixels.shape
    assert tuple(back[4, 5]) == certain[0] and tuple(back[10, 3]) == certain[1]
    few = np.zeros((5, 6, 3), np.uint8)
    few[2], few[:, 1] = (10, 20, 30), (255, 255, 255)
    np.testing.assert_array_equal(np.asarray(png.few_colours(few, []).convert('RGB')), few)


def test_command_writes_whole_png_files_and_nothing_else(root, tmp_path):
    before = sorted(str(path) for path in (tmp_path / 'Data').rglob('*'))
    output = str(tmp_path / 'new' / 'docs')
    assert generation.main(['--output', output]) is None
    assert sorted(os.listdir(output)) == ['mixed_frequency.png', 'respiratory_motion.png', 'single_frequency.png']
    for name in os.listdir(output):
        path = os.path.join(output, name)
        with Image.open(path) as image:
            image.load()
            assert image.format == 'PNG' and min(image.size) > 800
            assert len(image.convert('RGB').getcolors(300)) > 60
        assert os.path.getsize(path) < 400e3
    assert sorted(str(path) for path in (tmp_path / 'Data').rglob('*')) == before


@pytest.mark.parametrize('name', sorted(generation.PAGES))
def test_no_text_leaves_the_page(setting, name):
    page = generation.PAGES[name](setting, 1)
    page.figure.canvas.draw()
    box = page.figure.get_tightbbox(page.figure.canvas.get_renderer())
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= page.width and box.y1 <= page.height


def test_missing_case_is_made_in_a_folder_that_goes_again(tmp_path, thorax, monkeypatch):
    monkeypatch.setenv('REGNET_ROOT', str(tmp_path / 'user'))
    monkeypatch.delenv('REGNET_DATA', raising=False)
    folders, geometry = [], Geometry(thorax.im.shape[::-1], thorax.spacing, (0.0, 0.0, 0.0), GEOMETRY.direction)

    def make(command, env, **_):
        assert command[1:] == ['-m', 'functions.phantom', '--cases', '3', '--types', '0']
        setting = su.initialize_setting('x')
        setting.update(RootFolder=env['REGNET_ROOT'], DataFolder=env['REGNET_DATA'])
        for request, array in (
            ('OriginalIm', thorax.im),
            ('OriginalLung', thorax.lung),
            ('OriginalTorso', thorax.torso),
        ):
            path = su.address_generator(setting, request, data='Phantom_4D', cn=3, type_im=0, stage=1)
            write_image(image_from_array(array, geometry), path)
        folders.append(env['REGNET_ROOT'])
        return subprocess.CompletedProcess(command, 0, stdout='')

    monkeypatch.setattr(generation.subprocess, 'run', make)
    with generation.setting_with_case(3) as setting:
        _, volumes = generation._load(setting, 3, generation.SINGLE, 0)
        assert volumes.im.GetSize() == thorax.im.shape[::-1]
        assert os.path.isdir(folders[0])
    assert not os.path.exists(folders[0]) and not (tmp_path / 'user').exists()


def test_a_phantom_that_fails_is_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.setenv('REGNET_ROOT', str(tmp_path))
    monkeypatch.setattr(
        generation.subprocess,
        'run',
        lambda command, **_: subprocess.CompletedProcess(command, 1, stdout='Phantom: 0%\nThe disk is full.\n'),
    )
    refused = pytest.raises(RegNetError, match='Phantom case 2 could not be made: The disk is full.')
    with refused, generation.setting_with_case(2):
        pass


def test_bad_inputs(root, tmp_path):
    (tmp_path / 'file').write_text('x')
    with pytest.raises(InputError, match='is a file'):
        generation.draw(str(tmp_path / 'file'))
    assert 'Cannot make the folder' in generation.main(['--output', str(tmp_path / 'file' / 'docs')])
    assert 'whole number from 1; got 0' in generation.main(['--output', str(tmp_path / 'out'), '--case', '0'])
    assert (tmp_path / 'file').read_text() == 'x'


def test_phantoms_command_says_what_is_wrong(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv('REGNET_ROOT', str(tmp_path))
    assert phantom_main(['--cases', '1', '--size', '10', '10', '10']) == 2 and 'Size' in capsys.readouterr().err
