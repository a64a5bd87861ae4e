"""The figures of the networks show their tables, and can be read."""

import collections
import itertools
import os
import subprocess
import sys

import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from PIL import Image

from docs.figures import diagram, networks
from docs.figures.architecture import architecture_page
from docs.figures.layout import places
from functions.network.description import NETWORKS, NetworkDescription, network_description
from functions.network.layer_kinds import INPUT, NetworkTable, concat, conv, crop, pool, up

pytestmark = pytest.mark.once

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DRAWN = sorted({network.name for network in NETWORKS.values()})

#: Channels and side of the layers, read back from the published graphs, in the order of building.
PUBLISHED = {
    'unet1': 'images 2 125, conv1 12 125, max 12 63, conv1 24 61, max 24 31, conv1 28 29, max 28 14, conv1 32 '
    '14, conv2 40 14, conv3 44 14, conv1 44 29, concat 72 29, conv2 32 29, conv1 32 61, concat 56 61, '
    'conv2 18 61, conv1 18 125, concat 30 125, conv1_R2_Up 12 125, DVF_RegNet 3 125',
    'decimation4': 'images 2 105, images_R4 2 23, crop_R2 2 67, images_R2 2 31, images_R1 2 37, conv1 16 37, conv2 '
    '20 35, conv3 24 33, conv4 28 31, conv5 32 29, conv6 32 27, conv7 32 25, connection 16 27, '
    'conv2_R1 20 31, conv2 30 29, conv3 32 25, conv4 34 21, conv5 36 17, conv6 38 13, conv7 38 27, '
    'concat 54 27, conv8 40 25, conv1 30 21, conv2 40 19, conv3 42 15, conv4 44 11, conv5 46 7, conv6 '
    '46 15, connection_R2 36 15, concat1 82 15, conv7 46 13, conv8 46 27, concat2 62 27, conv9 40 25, '
    'concat 112 25, conv1_FC 120 23, conv2_FC 50 21, DVF_RegNet 3 21',
    'crop4': 'images 2 101, conv1 16 99, crop 16 37, conv2 20 35, conv3 24 33, conv4 28 31, conv5 32 29, conv6 '
    '32 27, conv7 32 25, connection 16 27, max 16 49, conv1 30 47, crop 30 31, conv2 30 29, conv3 32 '
    '25, conv4 34 21, conv5 36 17, conv6 38 13, conv7 38 27, concat 54 27, conv8 40 25, max 30 23, '
    'conv1 40 21, conv2 40 19, conv3 42 15, conv4 44 11, conv5 46 7, conv6 46 15, connection_R2 36 '
    '15, concat1 82 15, conv7 46 13, conv8 46 27, concat2 62 27, conv9 40 25, concat 112 25, conv1_FC '
    '120 23, conv2_FC 50 21, DVF_RegNet 3 21',
}


@pytest.fixture(scope='module')
def pages():
    """Name -> drawn page."""
    found = {name: networks.network_page(network_description(name)) for name in DRAWN}
    found['architecture'] = architecture_page()
    for page in found.values():
        page.figure.canvas.draw()
    return found


def patches(page, kind):
    return [patch for patch in page.axes.patches if isinstance(patch, kind)]


def extent(page, artist):
    """x0, y0, x1, y1 in inches."""
    box = artist.get_window_extent(page.figure.canvas.get_renderer())
    return [value / diagram.DPI for value in box.extents]


def texts(page):
    """(words, extent) of every text, the legend's too."""
    found = list(page.axes.texts) + list(page.axes.get_legend().get_texts())
    return [(text.get_text(), extent(page, text)) for text in found]


def inside(inner, outer, slack=0.0):
    return (
        inner[0] >= outer[0] - slack
        and inner[1] >= outer[1] - slack
        and inner[2] <= outer[2] + slack
        and inner[3] <= outer[3] + slack
    )


def meet(a, b, slack=0.0):
    """Whether two extents have more than ``slack`` in common along both axes."""
    return min(a[2], b[2]) - max(a[0], b[0]) > slack and min(a[3], b[3]) - max(a[1], b[1]) > slack


def boxes(page):
    """Name -> extent, inches; names are unique."""
    found = [(patch.get_gid(), extent(page, patch)) for patch in patches(page, FancyBboxPatch)]
    assert len(dict(found)) == len(found)
    return dict(found)


def lines(page):
    """(name, corners in inches, colour) of every arrow."""
    return [
        (patch.get_gid(), patch._path_original.vertices.tolist(), to_hex(patch.get_edgecolor()))
        for patch in patches(page, FancyArrowPatch)
    ]


def segments(corners):
    """Extents of the straight pieces of an arrow."""
    for (x0, y0), (x1, y1) in zip(corners, corners[1:]):
        assert x0 == pytest.approx(x1) or y0 == pytest.approx(y1)
        yield [min(x0, x1) - 1e-3, min(y0, y1) - 1e-3, max(x0, x1) + 1e-3, max(y0, y1) + 1e-3]


def layers_shown(page):
    """Layer name -> words in its box, each of which lies in it."""
    shown, found = collections.defaultdict(list), boxes(page)
    for text in page.axes.texts:
        if text.get_gid() is not None:
            shown[text.get_gid()].append(text.get_text())
            assert inside(extent(page, text), found[text.get_gid()]), text.get_text()
    assert sorted(shown) == sorted(found)
    return shown


@pytest.mark.parametrize('name', sorted(PUBLISHED))
def test_every_layer_stands_once_with_its_published_channels_and_side(pages, name):
    shown, description = layers_shown(pages[name]), network_description(name)
    order = [INPUT] + [layer.name for layer in description.layers]
    assert sorted(shown) == sorted(order)
    for layer, published in zip(order, PUBLISHED[name].split(', ')):
        short, channels, side = published.split()
        short_shown, numbers = shown[layer]
        assert short_shown.replace('\n', '') == short and layer.split('/')[-1].startswith(short)
        assert numbers == f'{channels} ch\n{side}\u00b3'
    assert len(PUBLISHED[name].split(', ')) == len(order)


@pytest.mark.parametrize('name', DRAWN)
def test_words_lie_in_their_boxes_and_the_note_says_what_the_network_predicts(pages, name):
    layers_shown(pages[name])
    note = ' '.join(text for text, _ in texts(pages[name]))
    assert ('DVF' in note.split('valid sides')[0]) == (network_description(name).predicts == 'dvf')


@pytest.mark.parametrize('name', DRAWN)
def test_every_input_is_an_arrow_from_border_to_border_in_its_colour(pages, name):
    description, found, drawn = network_description(name), boxes(pages[name]), lines(pages[name])
    expected = {f'{source} > {layer.name}': layer for layer in description.layers for source in layer.inputs}
    assert sorted(expected) == sorted(gid for gid, _, _ in drawn)
    for gid, corners, colour in drawn:
        source, target = gid.split(' > ')
        assert colour == networks.COLOURS[networks.operation(expected[gid])][0]
        for (x, y), box in ((corners[0], found[source]), (corners[-1], found[target])):
            assert inside([x, y, x, y], box, 0.03) and not inside([x, y, x, y], box, -0.03)


@pytest.mark.parametrize('name', DRAWN)
def test_no_arrow_passes_through_a_box_or_words(pages, name):
    page = pages[name]
    words = [(text, box) for text, box in texts(page)]
    for gid, corners, _ in lines(page):
        for piece in segments(corners):
            for layer, box in boxes(page).items():
                within = [box[0] + 0.03, box[1] + 0.03, box[2] - 0.03, box[3] - 0.03]
                assert not meet(piece, within), (gid, layer)
            for text, box in words:
                assert not meet(piece, box), (gid, text)


def test_no_arrow_of_the_architecture_passes_through_words(pages):
    for gid, corners, _ in lines(pages['architecture']):
        for piece in segments(corners):
            for text, box in texts(pages['architecture']):
                assert not meet(piece, box), (gid, text)


@pytest.mark.parametrize('name', DRAWN + ['architecture'])
def test_no_text_leaves_the_page_or_overlaps_another(pages, name):
    page = pages[name]
    found = texts(page)
    assert len(found) > 20
    for words, box in found:
        assert inside(box, [0.05, 0.03, page.width - 0.05, page.height - 0.05]), words
    for (first, a), (second, b) in itertools.combinations(found, 2):
        # Boxes of glyphs include room for ascenders that are not there.
        assert not meet(a, b, 0.02), (first, second)


@pytest.mark.parametrize('name', DRAWN + ['architecture'])
def test_boxes_do_not_overlap_and_lie_on_the_page(pages, name):
    found, page = boxes(pages[name]), pages[name]
    for box in found.values():
        assert inside(box, [0.0, 0.0, page.width, page.height])
    for (first, a), (second, b) in itertools.combinations(found.items(), 2):
        if name == 'architecture' and 'reading' in (first, second) and {first, second} & {'loader', 'cutter'}:
            assert inside(b, a)
        else:
            assert not meet(a, b), (first, second)


def test_words_of_the_architecture_lie_in_their_box_or_beside_all(pages):
    page = pages['architecture']
    found = boxes(page)
    assert {
        'settings',
        'generation',
        'reading',
        'queue 0',
        'training',
        'experiment',
        'registration',
        'evaluation',
    } <= set(found)
    for words, box in texts(page):
        touched = [other for other in found.values() if meet(box, other)]
        assert all(inside(box, other) for other in touched), words
    everything = ' '.join(words for words, _ in texts(page))
    for room in (
        'setting',
        'phantom',
        'preprocessing',
        'artificial_generation',
        'reading',
        'network',
        'tf_utils',
        'training',
        'registration',
        'evaluation',
    ):
        assert room in everything and os.path.isdir(os.path.join(REPOSITORY, 'functions', room))


def test_levels_of_the_u_are_the_resolutions():
    placed = places(network_description('unet1'))
    for name, place in placed.items():
        assert place.stride == (2 ** (int(name[1]) - 1) if name.startswith('R') else 1), name
    assert all(2**place.lane == place.stride for place in placed.values())
    # Down on the left, up on the right.
    for level in (1, 2, 3):
        columns = [place.column for name, place in placed.items() if name.startswith(f'R{level}/')]
        others = [place.column for name, place in placed.items() if name.startswith(f'R{level}_Up/')]
        assert max(columns) < placed['R4/conv2_R4'].column < min(others)


@pytest.mark.parametrize('name', ['decimation4', 'crop4'])
def test_branches_have_rows_of_their_own(name):
    placed = places(network_description(name))
    for branch, layers in (('R1', range(2, 8)), ('R2', range(2, 7)), ('R4', range(1, 6))):
        rows = {placed[f'{branch}/conv{number}_{branch}'] for number in layers}
        assert {place.stride for place in rows} == {int(branch[1])}
        assert len({place.lane for place in rows}) == 1
        assert len({place.column for place in rows}) == len(rows)
    assert len({(place.lane, place.column) for place in placed.values()}) == len(placed)
    assert placed['R4/conv9_R4'].stride == placed['Merged/concat'].stride == 1


def test_another_table_is_another_picture():
    table = NetworkDescription(
        'tiny',
        NetworkTable(
            radius_train=(7, 6),
            layers=(
                conv('A/first', INPUT, 5),
                pool('B/max', 'A/first', padding='same'),
                conv('B/wide', 'B/max', 9, padding='same'),
                up('A/back', 'B/wide'),
                crop('A/less', 'A/back', 1),
                concat('A/both', 'A/less', 'A/first'),
                conv('A/last', 'A/both', 3, kernel=1, activation=None, normalise=False),
            ),
        ),
    )
    page = networks.network_page(table)
    page.figure.canvas.draw()
    numbers = {name: words[1] for name, words in layers_shown(page).items()}
    assert numbers == {
        'images': '2 ch\n15\u00b3',
        'A/first': '5 ch\n13\u00b3',
        'B/max': '5 ch\n7\u00b3',
        'B/wide': '9 ch\n7\u00b3',
        'A/back': '9 ch\n15\u00b3',
        'A/less': '9 ch\n13\u00b3',
        'A/both': '14 ch\n13\u00b3',
        'A/last': '3 ch\n13\u00b3',
    }
    legend = [text.get_text() for text in page.axes.get_legend().get_texts()]
    assert sorted(legend) == [
        'concatenation',
        'convolution 1\u00b3',
        'convolution 3\u00b3',
        'crop',
        'max pooling 2\u00b3',
        'trilinear up-sampling, n \u2192 2n + 1',
    ]


@pytest.mark.parametrize(
    'name, words',
    [
        (
            'unet1',
            [
                '232,749 trainable',
                '233,314 values',
                'Input 125\u00b3',
                'DVF 125\u00b3',
                '8k + 5',
                'ELU after R1_Up/conv1_R2_Up',
                'zeros around R2_Up/conv1_R2_Up and R1_Up/conv1_R1_Up',
            ],
        ),
        ('decimation4', ['1,201,353 trainable', '1,203,178 values', 'Input 105\u00b3', 'DVF 21\u00b3', '4k + 1']),
        (
            'crop4',
            [
                '1,262,973 trainable',
                '1,264,838 values',
                'Input 101\u00b3',
                'DVF 21\u00b3',
                '4k + 1',
                'ELU after FullyConnected/conv1_FC and FullyConnected/conv2_FC',
                'DVF/DVF_RegNet with bias only',
            ],
        ),
    ],
)
def test_caption_has_the_published_numbers(pages, name, words):
    caption = ' '.join(text.get_text() for text in pages[name].axes.texts if text.get_gid() is None)
    for part in words:
        assert part in caption


def test_command_writes_whole_files_and_nothing_else(tmp_path):
    output = str(tmp_path / 'new' / 'docs')
    assert networks.main(['--output', output]) is None
    assert sorted(os.listdir(output)) == [
        'network_crop4.png',
        'network_decimation4.png',
        'network_unet1.png',
        'software_architecture.png',
    ]
    for name in os.listdir(output):
        path = os.path.join(output, name)
        assert os.path.getsize(path) < 200e3
        with Image.open(path) as image:
            image.load()
            assert image.format == 'PNG' and image.size[0] == 1750 and image.size[1] > 800
            pixels = image.convert('RGB')
        colours = {colour for _, colour in pixels.getcolors(300)}
        assert (255, 255, 255) in colours and len(colours) > 60
        # The colours of borders survive the palette.
        assert (0x1F, 0x6F, 0xB4) in colours


def test_one_network_alone(tmp_path):
    assert networks.draw(str(tmp_path), 'crop4') == [str(tmp_path / 'network_crop4.png')]
    assert os.listdir(str(tmp_path)) == ['network_crop4.png']


def test_unknown_network_is_one_clear_error(tmp_path):
    message = networks.main(['--output', str(tmp_path / 'docs'), '--network', 'unet7'])
    assert "'unet7' is not a known network" in message and 'crop4' in message and 'unet1' in message
    assert '\n' not in message and not (tmp_path / 'docs').exists()
    with pytest.raises(KeyError, match='unet7'):
        networks.draw(str(tmp_path / 'docs'), 'unet7')


def test_a_full_disk_leaves_the_former_file(tmp_path, monkeypatch):
    path = tmp_path / 'network_unet1.png'
    path.write_bytes(b'former')

    def fill(image, temporary, **_):
        with open(temporary, 'wb') as stream:
            stream.write(b'half')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(Image.Image, 'save', fill)
    message = networks.main(['--output', str(tmp_path), '--network', 'unet1'])
    assert str(tmp_path) in message and 'No space left on device' in message
    assert os.listdir(str(tmp_path)) == ['network_unet1.png'] and path.read_bytes() == b'former'


def test_output_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / 'file').write_text('x')
    message = networks.main(['--output', str(tmp_path / 'file'), '--network', 'unet1'])
    assert str(tmp_path / 'file') in message and (tmp_path / 'file').read_text() == 'x'


def test_runs_without_a_screen_and_without_tensorflow(tmp_path):
    code = (
        'import sys; from docs.figures import networks; networks.draw(sys.argv[1], "unet1"); '
        'print(sorted({"tensorflow", "matplotlib.pyplot", "tkinter"} & set(sys.modules)))'
    )
    environment = {key: value for key, value in os.environ.items() if key not in ('DISPLAY', 'MPLBACKEND')}
    environment['PYTHONPATH'] = REPOSITORY
    command = [sys.executable, '-c', code, str(tmp_path)]
    assert subprocess.check_output(command, cwd=REPOSITORY, env=environment).decode().strip() == '[]'
    assert os.listdir(str(tmp_path)) == ['network_unet1.png']
