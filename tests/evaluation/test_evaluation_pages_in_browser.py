"""The pages in a real browser, from their files: what pictures show, sliders, keys, clicks, tables; nothing is loaded.

Needs playwright and Chromium (or Chrome) on the PATH; skipped where there is none.
"""

import io
import re
import shutil

import matplotlib
import numpy as np
import pytest
import SimpleITK as sitk
from oblique_images import IDENTITY, image_of
from PIL import Image
from scipy import ndimage

from functions.evaluation.experiment_report import experiment_report
from functions.evaluation.pair_record import Images, measure
from functions.evaluation.registration_report import registration_report
from functions.image.dvf import jacobian_determinant_of

pytestmark = pytest.mark.once

SIZE, ORIGIN = (44, 36, 30), (-20.0, 10.0, 100.0)  # x, y, z
#: orientation: axis of the array along its slices, whether superior is up, name of the axis and its number
VIEWS = {'axial': (0, False, 'z', 2), 'coronal': (1, True, 'y', 1), 'sagittal': (2, True, 'x', 0)}
PANELS = ('Fixed', 'Moved', 'Difference: moved − fixed', 'Displacement', 'Jacobian determinant', 'Expected error')
NAMES = ('<b>b</b>', "\"><script>alert('x')</script>", 'a & a')


@pytest.fixture(scope='module')
def browser():
    sync_api = pytest.importorskip('playwright.sync_api', reason='the pages are opened by playwright (current Python)')
    found = [shutil.which(name) for name in ('chromium', 'chromium-browser', 'google-chrome')]
    if not any(found):
        pytest.skip('Chromium is not on the PATH')
    with sync_api.sync_playwright() as library:
        opened = library.chromium.launch(executable_path=next(filter(None, found)))
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser):
    """Function that opens a file; in the end, nothing was asked of a network and the console is empty."""
    pages, asked, said = [], [], []

    def opened(path):
        page = browser.new_page(viewport={'width': 1280, 'height': 900})
        page.on('request', lambda request: asked.append(request.url.partition(',')[0]))
        page.on('console', lambda message: said.append(message.text))
        page.on('pageerror', lambda error: said.append(str(error)))
        page.clock.install()
        page.goto(path.as_uri())
        page.wait_for_load_state()
        pages.append((page, path.as_uri()))
        return page

    yield opened
    addresses = {address for _, address in pages} | {'data:image/png;base64', 'data:image/jpeg;base64'}
    asked = {address for address in asked if not address.endswith('/other.html')}  # where a test itself goes
    assert asked <= addresses and not said, (asked - addresses, said)
    for page, _ in pages:
        page.close()


@pytest.fixture(scope='module')
def pair(tmp_path_factory):
    """(path of a page, title -> array of what its pictures show)."""
    random, shape = np.random.RandomState(0), SIZE[::-1]

    def volume(low, high):
        smooth = ndimage.gaussian_filter(random.randn(*shape), 3)
        return low + (high - low) * (smooth - smooth.min()) / np.ptp(smooth)

    def image(array):
        return image_of(array, (1.0, 1.0, 1.0), ORIGIN, IDENTITY, array.ndim == 4)

    fixed, moved = (volume(-1300, 100).astype(np.int16) for _ in range(2))
    # Steep enough to fold in places.
    field = np.stack([volume(-7, 7) for _ in range(3)], axis=-1).astype(np.float32)
    expected = volume(0.5, 6).astype(np.float32)
    dvf = image(field)
    images = Images(image(fixed), image(moved), image(moved), image(np.ones(shape, np.uint8)), None, image(expected))
    record = measure('RegNet', [{'name': name} for name in NAMES[:2]], dvf, images)
    path = tmp_path_factory.mktemp('pair') / 'report.html'
    registration_report(str(path), record, images, dvf)
    jacobian = sitk.GetArrayFromImage(jacobian_determinant_of(dvf))
    assert (jacobian <= 0).any() and path.stat().st_size < 10e6
    length = np.linalg.norm(field, axis=-1)
    return path, dict(zip(PANELS, (fixed, moved, moved - fixed.astype(float), length, jacobian, expected)))


def painted(title, values, between):
    """Values as they are to be shown, RGB."""
    names = dict(zip(PANELS, ('gray', 'gray', 'RdBu_r', 'viridis', 'PuOr', 'magma')))
    low, high = between or (-1350, 150)
    shown = matplotlib.colormaps[names[title]](np.clip((values - low) / (high - low), 0, 1))[..., :3]
    return np.where((values <= 0)[..., None], 0, shown) if title.startswith('Jacobian') else shown


def slices_of(array, name):
    """The slices of an orientation, as arrays to be looked at."""
    axis, flipped = VIEWS[name][:2]
    slices = np.moveaxis(array, axis, 0)[::2]
    return slices[:, ::-1] if flipped else slices


def view_of(page, name):
    return page.locator('.slices').filter(has=page.get_by_label(name + ' slice', exact=True))


def shown_slice(panel, truth):
    """(which of the slices a picture shows, mean difference to it in grey levels of 255)."""
    picture = Image.open(io.BytesIO(panel.locator('canvas').screenshot())).convert('RGB')
    small = np.asarray(picture.resize(truth.shape[2:0:-1], Image.BOX), np.float64)
    differences = np.abs(small - 255 * truth).mean(axis=(1, 2, 3))
    return int(np.argmin(differences)), differences.min()


def check_view(page, arrays, name, number, first='Fixed'):
    """All pictures of an orientation show one slice."""
    view = view_of(page, name)
    panels = view.locator('figure').all()
    assert len(panels) == len(PANELS)
    for panel, title in zip(panels, (first,) + PANELS[1:]):
        assert panel.locator('b').inner_text() == title
        between = [float(found) for found in re.findall(r'-?[\d.]+', panel.locator('span').inner_text())]
        truth = painted(title, slices_of(arrays[title], name), between)
        found, difference = shown_slice(panel, truth)
        assert found == number and difference < 15, (name, title, found, number, difference)
    _, _, axis, k = VIEWS[name]
    assert view.locator('output').inner_text() == f'{axis} = {ORIGIN[k] + 2 * number:.1f} mm'


def value_of(page, name):
    return int(page.get_by_label(name + ' slice', exact=True).input_value())


def test_evaluation_pages_show_the_slices_that_sliders_name(pair, open_page):
    path, arrays = pair
    page = open_page(path)
    assert page.locator('h1').inner_text() == f'RegNet: {NAMES[1]} to {NAMES[0]}'
    for name in VIEWS:
        check_view(page, arrays, name, value_of(page, name))
    slider, start = page.get_by_label('coronal slice', exact=True), value_of(page, 'coronal')
    others = [value_of(page, name) for name in ('axial', 'sagittal')]
    slider.press('ArrowRight')
    slider.press('ArrowRight')
    check_view(page, arrays, 'coronal', start + 2)
    slider.press('Home')
    check_view(page, arrays, 'coronal', 0)
    slider = page.get_by_label('axial slice', exact=True)
    box = slider.bounding_box()
    slider.click(position={'x': 0.8 * box['width'], 'y': box['height'] / 2})
    assert 10 <= value_of(page, 'axial') <= 13 and value_of(page, 'sagittal') == others[1]
    check_view(page, arrays, 'axial', value_of(page, 'axial'))
    # A click 3/4 from the left and 1/4 from the top: x, and in this orientation z.
    canvas = view_of(page, 'coronal').locator('canvas').nth(3)
    box = canvas.bounding_box()
    canvas.click(position={'x': 0.75 * box['width'], 'y': 0.25 * box['height']})
    assert abs(value_of(page, 'sagittal') - 0.75 * SIZE[0] / 2) <= 1
    assert abs(value_of(page, 'axial') - 0.75 * SIZE[2] / 2) <= 1 and value_of(page, 'coronal') == 0
    for name in VIEWS:
        check_view(page, arrays, name, value_of(page, name))


def test_evaluation_pages_alternate_fixed_and_moved(pair, open_page):
    path, arrays = pair
    page = open_page(path)
    number = value_of(page, 'axial')
    page.keyboard.press('m')
    check_view(page, arrays, 'axial', number, first='Moved')
    page.get_by_role('button', name='moved').click()
    check_view(page, arrays, 'axial', number)
    page.keyboard.press('f')
    seen = []
    for _ in range(4):
        page.clock.run_for(500)
        seen.append(page.locator('.slices b').nth(1).inner_text())
    assert seen == ['Moved', 'Fixed'] * 2
    page.get_by_role('button', name='Flicker').click()
    page.clock.run_for(2000)
    check_view(page, arrays, 'axial', number)


def test_evaluation_pages_run_no_other_script(pair, browser):
    page, said = browser.new_page(), []
    page.on('console', lambda message: said.append(message.text))
    page.goto(pair[0].as_uri())
    assert said == []
    page.evaluate("""() => {
        const script = document.createElement('script');
        script.textContent = 'window.ran = 1';
        document.body.append(script);
        document.body.insertAdjacentHTML('beforeend', '<img src="data:," onerror="window.ran = 2">');
        document.body.insertAdjacentHTML('beforeend', '<img src="http://localhost:9/x.png">');
    }""")
    page.wait_for_timeout(200)
    assert page.evaluate('window.ran') is None and len(said) >= 3
    assert all('Content Security Policy' in text for text in said)
    page.close()


def test_evaluation_pages_sort_tables_by_number_or_name(open_page, tmp_path):
    values = [(NAMES[0], 9, 10.5), (NAMES[1], 10, 9.75), (NAMES[2], 100, 1e-3), ('c', 2, 2.0)]
    content = {
        'protocol': 'p',
        'methods': ['RegNet'],
        'rows': [{'method': 'RegNet', 'pairs': 4, 'TRE mm': 1.0}],
        'pairs': [{'pair': name, 'n': n, 'RegNet': tre, 'RegNet std': 1.0} for name, n, tre in values],
        'expected_errors': [],
        'missing': [],
        'failures': [],
    }
    path, pages = tmp_path / 'report.html', {('RegNet', 'c'): 'other.html'}
    experiment_report(str(path), NAMES[1], content, pages=pages)
    (tmp_path / 'other.html').write_text('there')
    page = open_page(path)

    def column(k):
        return page.locator(f'table.sortable tr > td:nth-child({k})').all_inner_texts()

    for head, k in (('landmarks', 1), ('RegNet', 2), ('pair', 0)):
        ordered = [row[0] for row in sorted(values, key=lambda row, k=k: row[k])]
        if k == 0:  # a dictionary's order passes over signs
            ordered = sorted(ordered, key=lambda name: re.sub(r'\W', '', name))
        page.locator('table.sortable th').filter(has_text=head).first.click()
        found = column(1)
        assert sorted(found) == sorted(ordered) and (k == 0 or found == ordered)
        page.locator('table.sortable th').filter(has_text=head).first.press('Enter')
        assert column(1) == found[::-1]
    page.get_by_role('link').click()
    assert page.url.endswith('/other.html')
