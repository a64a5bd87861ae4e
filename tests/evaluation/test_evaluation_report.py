"""The pages: their numbers are those of the JSON, they need no other file, and show the pictures."""

import base64
import hashlib
import html.parser
import io
import json
import os

import numpy as np
import pytest
import SimpleITK as sitk
from evaluation_experiment import expect, make_cases, pairs_of, register, setting_in, train
from oblique_images import IDENTITY, affine_dvf, image_of, positions
from PIL import Image

from functions.evaluation import evaluate_experiments as ev
from functions.evaluation import html_page, provenance, registration_report, section_drawing, sections
from functions.evaluation.experiments import open_experiment
from functions.evaluation.pair_record import Images, measure


class Reader(html.parser.HTMLParser):
    """Numbers (data-key -> [(value, text)]), sources of pictures and of slices, links, open tags, scripts and all text
    of a page.
    """

    def __init__(self, text):
        html.parser.HTMLParser.__init__(self)
        self.numbers, self.sources, self.slices, self.links, self.open, self.text = {}, [], [], [], [], ''
        self.scripts = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag in ('link', 'iframe', 'object', 'video', 'audio', 'embed'):
            raise AssertionError(f'the page loads something: {tag}')
        if tag == 'data':
            self.numbers.setdefault(given['data-key'], []).append([given['value'], None])
        if tag == 'img':
            (self.slices if 'hidden' in given else [] if 'class' in given else self.sources).append(given['src'])
        if tag == 'a':
            self.links.append(given['href'])
        if tag not in ('meta', 'img', 'br', 'input'):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] == 'script':
            self.scripts.append(data)
        if self.open and self.open[-1] == 'data':
            [entry for entries in self.numbers.values() for entry in entries if entry[1] is None][0][1] = data


def read(path):
    with open(str(path), encoding='utf-8') as stream:
        text = stream.read()
    reader = Reader(text)
    assert reader.open == [] and text.startswith('<!DOCTYPE html>')
    with open(os.path.join(os.path.dirname(html_page.__file__), 'page.js'), encoding='utf-8') as stream:
        script = stream.read()
    checksum = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert reader.scripts == [script] and f"default-src 'none'; img-src data:; script-src 'sha256-{checksum}'" in text
    assert '@import' not in text and 'url(' not in text and 'http:' not in text and 'https:' not in text
    return reader


def value_at(content, key):
    """The value a data-key names; keys of the JSON may hold dots and blanks themselves."""
    if key == '':
        return content
    if isinstance(content, list):
        first, _, rest = key.partition('.')
        return value_at(content[int(first)], rest)
    for name in content:
        if key == name or key.startswith(name + '.'):
            return value_at(content[name], key[len(name) + 1 :])
    raise KeyError(key)


def compare_numbers(reader, content):
    """Every number of a page is that of the JSON, to the last digit, and shown rounded."""
    assert reader.numbers
    for key, entries in reader.numbers.items():
        truth = value_at(content, key)
        for value, text in entries:
            assert float(value) == truth, key
            digits = len(text.partition('.')[2])
            assert text == '{:.{}f}'.format(truth, digits), key


@pytest.fixture(scope='module')
def evaluated(tmp_path_factory):
    """(experiments, :class:`Evaluation`) of two experiments, the second without one of its results."""
    folder = tmp_path_factory.mktemp('report')
    experiments = []
    for name, share in (('half', 0.5), ('Sub/<most>', 0.9)):
        setting = setting_in(folder, name)
        if not experiments:
            make_cases(setting)
        train(setting)
        register(setting, share)
        if name == 'half':
            expect(setting, (1.5, 0.5))
        if name != 'half':
            os.remove(open_experiment(setting, name).results[1].dvf)
        experiments.append(open_experiment(setting, name))
    return experiments, ev.evaluate(experiments, n_workers=1, report=True)


@pytest.mark.once
def test_evaluation_report_of_a_registration_shows_the_record(evaluated):
    found = evaluated[1]
    paths = [path for path in found.pages if os.sep + 'reports' + os.sep in path.replace('/', os.sep)]
    assert len(paths) == 3 and all(os.path.getsize(path) < 5e6 for path in paths)
    for path in paths:
        name = os.path.basename(path)[: -len('.html')] + '.json'
        with open(os.path.join(found.folder, 'records', name)) as stream:
            record = json.load(stream)
        reader = read(path)
        compare_numbers(reader, record)
        for key in (
            'tre.mean',
            'tre_before.mean',
            'tre.p95',
            'tre.below_3',
            'tre.mae_z',
            'regularity.folding',
            'regularity.std_log',
            'overlap.after.mask.dice',
            'overlap.before.mask.p95',
            'intensity.after.ncc',
            'seconds',
        ):
            assert key in reader.numbers, key
        assert record['protocol_text'] in reader.text and reader.links == []
        for word in (
            'Checkerboard',
            'colour',
            'Grid.',
            'Displacement.',
            'Jacobian',
            'Errors before.',
            'Training',
            'abc123 with changes',
            'tensorflow 2.x',
            'SimpleITK',
            '"NetworkDesign"',
        ):
            assert word.lower() in reader.text.lower(), word
        expects = record['method'] == 'half'
        assert len(reader.sources) == 11 + 2 * expects and len(reader.slices) == 3 * (5 + expects)
        assert ('expected_error.expected_within_3' in reader.numbers) == expects == ('expected mm' in reader.text)
        narrow = []
        for source in reader.sources:
            head, _, data = source.partition(',')
            picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert('RGB'))
            assert head == 'data:image/png;base64' and picture.std() > 5
            narrow += [picture.shape[1]] * (picture.shape[1] <= 600)
        # The scatter of expected errors alone is a square.
        assert len(narrow) == expects and all(width > 450 for width in narrow)
        worst = max(np.linalg.norm(record['landmarks']['error'], axis=1))
        assert f'{worst:.2f}' in reader.text


@pytest.mark.once
def test_evaluation_report_of_an_experiment_shows_the_comparison(evaluated):
    found = evaluated[1]
    with open(os.path.join(found.folder, 'comparison.json')) as stream:
        content = json.load(stream)
    reader = read(os.path.join(found.folder, 'report.html'))
    compare_numbers(reader, content)
    keys = {f'rows.{k}.TRE mm' for k in range(3)} | {'pairs.0.half', 'pairs.0.Sub/<most> std', 'expected_errors.3.half'}
    assert 'Expected and true error.' in reader.text and 'expected_half.png' in os.listdir(found.folder)
    assert keys <= set(reader.numbers)
    assert 'Sub/<most> has no result for Phantom_4D case 2 0-5' in content['missing']
    assert content['missing'][0] in reader.text and 'Training of half' in reader.text
    # Only pairs of both are compared; their pages are there, and linked.
    assert [row['pair'] for row in content['pairs']] == ['Phantom_4D case 1 0-5']
    assert len(reader.links) == 2 and all(os.path.isfile(os.path.join(found.folder, link)) for link in reader.links)


def cube(size=(40, 36, 30)):
    """An image with a box of air in it, and that box."""
    lung = np.zeros(size[::-1], np.uint8)
    lung[6:24, 8:28, 8:32] = 1
    noise = np.random.RandomState(0).randint(-60, 60, lung.shape)
    grid = (1.0, 1.0, 1.5), (0.0, 0.0, 0.0), IDENTITY
    return image_of((np.where(lung, -850, 40) + noise).astype(np.int16), *grid), image_of(lung, *grid)


@pytest.mark.once
def test_evaluation_report_marks_folding_and_counts_none_where_there_is_none(tmp_path):
    image, lung = cube()
    pair = [{'data': 'DIR-Lab_4D', 'cn': 1, 'type_im': k} for k in (0, 5)]
    for slope, words in ((-1.5, 'red: all folded'), (0.1, 'there are none')):
        dvf = affine_dvf(
            image.GetSize(),
            np.diag([0, 0, slope]),
            [0, 0, -22 * slope],
            spacing=image.GetSpacing(),
            origin=image.GetOrigin(),
            direction=image.GetDirection(),
        )
        images = Images(image, image, None, lung, lung)
        record = measure('x & y', pair, dvf, images)
        path = str(tmp_path / 'page.html')
        registration_report.registration_report(path, record, images, dvf)
        reader = read(path)
        compare_numbers(reader, record)
        assert words in reader.text and 'x & y' in reader.text and 'Errors before' not in reader.text
        folded = registration_report.folded_positions(registration_report.jacobian_determinant_of(dvf), lung)
        truth = positions(lung)[sitk.GetArrayViewFromImage(lung) != 0]
        if slope < -1:
            assert 0 < len(folded) <= 2 * registration_report.MOST_FOLDED
            assert {tuple(p) for p in np.round(folded, 3)} <= {tuple(p) for p in np.round(truth, 3)}
            assert float(record['regularity']['folding']) == 100.0
        else:
            assert len(folded) == 0


def test_evaluation_report_of_an_affine_registration_and_of_none(tmp_path):
    image, lung = cube()
    pair = [{'data': 'DIR-Lab_4D', 'cn': 1, 'type_im': k} for k in (0, 5)]
    points = positions(lung)[sitk.GetArrayViewFromImage(lung) != 0][::400]
    affine = sitk.AffineTransform([1, 0, 0, 0, 1, 0, 0, 0, 1], [0.0, 0.0, 3.0])
    images = Images(image, image, None, lung, lung)
    path = str(tmp_path / 'affine.html')
    for transform, pictures, slices in ((affine, 10, 15), (None, 5, 0)):
        record = measure('affine', pair, None, images, (points, points + [0, 0, 3.0]), transform)
        registration_report.registration_report(path, record, images, None, transform)
        reader = read(path)
        compare_numbers(reader, record)
        assert (len(reader.sources), len(reader.slices)) == (pictures, slices)
        assert float(reader.numbers['tre.mean'][0][0]) == pytest.approx(0.0 if transform else 3.0)


def cells_of(image, lung):
    cells = section_drawing.SectionCells(sections.choose_sections(image, lung), image, lung, widest=9.9, tallest=4.6)
    cells.single(registration_report.WIDTH)
    return cells


def test_evaluation_report_checkerboard_takes_every_square_from_one_image():
    image, lung = cube()
    other = image_of(sitk.GetArrayFromImage(image) * 0 + 100, image.GetSpacing(), image.GetOrigin(), IDENTITY)
    cells = cells_of(image, lung)
    cells.checkerboard(0, 0, other)
    pictures = [np.asarray(axes.images[0].get_array()) for axes in cells.figure.axes if axes.images]
    assert len(pictures) == 3
    for picture, section in zip(pictures, cells.sections):
        across, up = sections.pixel_positions(section)
        square = (np.floor(across / 20) + np.floor(up / 20)[:, None]) % 2 == 1
        np.testing.assert_allclose(picture[square], 100)
        np.testing.assert_allclose(picture[~square], sections.sample(image, section)[~square])


def test_evaluation_report_sections_have_one_scale_and_anterior_up():
    image, lung = cube()
    cells = cells_of(image, lung)
    cells.blend(0, 0, image)
    data = section_drawing.png_bytes(cells.figure)
    assert Image.open(io.BytesIO(data)).size[0] == int(registration_report.WIDTH * section_drawing.DPI)
    scales = []
    for axes in cells.figure.axes:
        box = axes.get_window_extent()
        scales += [box.width / abs(np.ptp(axes.get_xlim())), box.height / abs(np.ptp(axes.get_ylim()))]
    assert len(scales) == 6 and np.ptp(scales) < 1e-6 * scales[0]
    coronal, sagittal, axial = cells.figure.axes
    assert axial.get_ylim()[0] > axial.get_ylim()[1] and coronal.get_ylim()[0] < coronal.get_ylim()[1]


def test_evaluation_report_text_is_escaped_and_numbers_keep_all_digits(tmp_path):
    path = str(tmp_path / 'page.html')
    html_page.write_page(
        path,
        '<b>&',
        [
            html_page.heading('<i>', '"a" & b'),
            html_page.section('', ''),
            html_page.paragraph('<script>x</script>'),
            html_page.number('a.b', 0.1 + 0.2),
            html_page.number('n', 7),
            html_page.number('none', None),
        ],
    )
    reader = read(path)
    assert '<script>x</script>' in reader.text and '–' in reader.text
    assert reader.numbers == {'a.b': [['0.30000000000000004', '0.30']], 'n': [['7', '7']]}
    assert reader.sources == []


@pytest.mark.once
def test_evaluation_report_without_training_says_what_it_knows(evaluated, tmp_path):
    experiment = evaluated[0][0]
    setting = dict(experiment.setting, log_root_folder=str(tmp_path) + '/')
    bare = provenance.experiment_source(experiment._replace(setting=setting))
    assert bare.curves == [] and bare.texts == [] and ('experiment', 'half') in bare.facts
    known = provenance.result_source(None, experiment.results[0])
    assert ('result', experiment.results[0].dvf) in known.facts and 'registration.json' in known.texts[0][0]
    assert pairs_of(setting) == experiment.pairs
