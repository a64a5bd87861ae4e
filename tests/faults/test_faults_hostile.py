"""Files that cannot be what is asked for, and folders of people who mean harm, given to the commands.

Promised: one sentence and exit code 2, nothing executed, nothing written outside, everything escaped in pages.
"""

import ast
import base64
import copy
import glob
import hashlib
import html.parser
import json
import os
import random
import re
import shutil
import subprocess
import sys

import pytest
import SimpleITK as sitk
from command_server import ANOTHER_USER
from small_inputs import REPOSITORY, register_words, tree

import RunRegNet3D
from functions.image.point_files import write_points
from functions.registration.result_folder import NAMES
from functions.setting import trained_models
from tests.preprocessing.dicom_files import write_slices

ROW = 'files of other kinds, encodings and types'
FOLDERS = 'hostile folders'
MARKUP = '<img src=x onerror=alert(1)>'

#: What no JSON file may hold.
BAD_JSON = {
    'not UTF-8': b'{"stage": "\xe9"}',
    'UTF-16': '{"stage": 4}'.encode('utf-16'),
    'bytes of zero': b'{"stage": 4}\0',
    'a key twice': b'{"stage": 4, "stage": 2}',
    'a key twice below': b'{"a": [{"b": 1, "b": 2}]}',
    'lists too deep': b'[' * 100000,
    'dictionaries too deep': b'{"a": ' * 200 + b'1' + b'}' * 200,
    'half a character': b'{"stage": "\\ud800"}',
    'nothing': b'',
    'cut': b'{"stage": 4',
}


@pytest.fixture(scope='module')
def results(server, inputs, tmp_path_factory):
    """A folder of results, and points to transform."""
    folder = tmp_path_factory.mktemp('results')
    assert server.start(register_words(inputs, folder / 'out')).wait() == 0
    write_points(str(folder / 'points.mrk.json'), [[10.0, -50.0, 120.0]])
    return folder


def refused(server, words, *named, **how):
    """Run a command that must end with exit code 2 and one line that holds all of ``named``."""
    command = server.start([str(word) for word in words], **how)
    assert command.wait() == 2, command.printed()
    error = command.error()
    assert all(str(name) in error for name in named), error


def apply_words(results, points=None):
    points = points or results / 'points.mrk.json'
    return ['--apply', results / 'out', '--points', points, '--output', results / 'moved.csv', '--overwrite']


def model_words(inputs, folder, model):
    """--register with a model; the fixed image is nothing, so that the command ends once the model is open."""
    open(str(folder / 'nothing.mha'), 'w').close()
    words = register_words(inputs, folder / 'out')
    words[1], words[words.index('--model') + 1] = str(folder / 'nothing.mha'), str(model)
    return words


def copied_model(inputs, folder):
    """(folder, settings, record of the checkpoint) of a copy of the model."""
    folder = str(folder / 'RegNet' / 'tiny')
    if not os.path.exists(folder):
        shutil.copytree(os.path.join(inputs, 'Experiments', 'RegNet', 'tiny'), folder)
    found = [glob.glob(os.path.join(folder, '**', name), recursive=True)[0] for name in ('setting0.txt', '*.json')]
    return [folder] + found


def json_reader(kind, inputs, results, folder):
    """(the file that a command reads, the words of the command)."""
    if kind == 'settings file':
        return folder / 'a.json', ['--setting', folder / 'a.json']
    if kind == 'data sets':
        (folder / 'Data').mkdir()
        (folder / 'a.json').write_text('{"stage": 4}')
        return folder / 'Data' / 'data_sets.json', ['--setting', folder / 'a.json', '--where_to_run', 'Root']
    if kind == 'markups':
        return folder / 'a.mrk.json', apply_words(results, folder / 'a.mrk.json')
    if kind == 'results':
        shutil.copytree(str(results), str(folder / 'copy'))
        return folder / 'copy' / 'out' / 'results.json', apply_words(folder / 'copy')
    model, setting, record = copied_model(inputs, folder)
    return {'settings of a model': setting, 'checkpoint': record}[kind], model_words(inputs, folder, model)


KINDS = ['settings file', 'data sets', 'markups', 'results', 'settings of a model', 'checkpoint']


@pytest.mark.parametrize('kind', KINDS)
def test_json_that_cannot_be_read_is_refused(kind, server, inputs, results, tmp_path, faults):
    path, words = json_reader(kind, inputs, results, tmp_path)
    # Of checkpoints the newest whole one counts; why the others are passed over is said in warnings.
    name = 'Saved' if kind == 'checkpoint' else os.path.basename(str(path))
    before = set(os.listdir(str(tmp_path)))
    for content in BAD_JSON.values():
        with open(str(path), 'wb') as stream:
            stream.write(content)
        with faults(ROW):
            refused(server, words, name, cwd=str(tmp_path))
    with open(str(path), 'wb') as stream:
        stream.truncate(2**33)  # takes no room
    with faults(ROW):
        refused(server, words, name, cwd=str(tmp_path))
    os.remove(str(path))
    for make in (os.mkdir, os.mkfifo):
        make(str(path))
        with faults(ROW):
            refused(server, words, name, cwd=str(tmp_path))
        (os.rmdir if make is os.mkdir else os.remove)(str(path))
    assert set(os.listdir(str(tmp_path))) - before <= {os.path.basename(str(path))}


@pytest.mark.parametrize('name, option', [('a.csv', '--pairs'), ('a.tfm', '--affine'), ('a.csv', '--points')])
def test_text_that_cannot_be_read_is_refused(name, option, server, inputs, results, tmp_path, faults):
    words = {
        '--pairs': ['--pairs', tmp_path / name, '--output', tmp_path / 'out'],
        '--affine': register_words(inputs, tmp_path / 'out', '--affine', str(tmp_path / name)),
        '--points': apply_words(results, tmp_path / name),
    }[option]
    for content in (
        b'fixed,moving\n\xe9.mha,b.mha\n',
        'fixed,moving\na,b\n'.encode('utf-16'),
        b'fixed,moving\na\0,b\n',
    ):
        (tmp_path / name).write_bytes(content)
        with faults(ROW):
            refused(server, words, tmp_path / name)
    assert os.listdir(str(tmp_path)) == [name]


# ---- no file


def _image_words(inputs, path, option):
    words = register_words(inputs, os.path.join(os.path.dirname(path), 'out'))
    words[words.index(option) + 1] = path
    return words


@pytest.mark.parametrize('option', ['--register', '--fixed_lung', '--affine', '--model', '--pairs', '--setting'])
def test_unreadable_files_folders_and_pipes_are_refused(option, server, inputs, open_folder, faults):
    shutil.copytree(inputs, os.path.join(open_folder, 'in'))
    os.chmod(os.path.join(open_folder, 'in'), 0o755)
    folder = os.path.join(open_folder, 'there')
    os.mkdir(folder)
    os.chmod(folder, 0o777)
    path = os.path.join(folder, 'a.nii.gz')
    words = [option, path] + (['--output', os.path.join(folder, 'out')] if option == '--pairs' else [])
    if option not in ('--pairs', '--setting'):
        words = _image_words(os.path.join(open_folder, 'in'), path, option)
    os.mkfifo(path)
    with faults(ROW):
        refused(server, words, path)
    os.remove(path)
    os.mkdir(path)
    with faults(ROW):
        refused(server, words, path)
    os.chmod(path, 0)
    with faults(ROW):
        refused(server, words, path, **ANOTHER_USER)
    os.rmdir(path)
    shutil.copy(os.path.join(inputs, 'fixed.nii.gz'), path)
    os.chmod(path, 0)
    with faults(ROW):
        refused(server, words, path, **ANOTHER_USER)
    assert os.listdir(folder) == ['a.nii.gz']


@pytest.mark.parametrize('make', [os.mkdir, os.mkfifo])
def test_a_lock_that_is_no_file_is_refused(make, server, inputs, tmp_path, faults):
    make(str(tmp_path / '.lock'))
    with faults(ROW):
        refused(server, register_words(inputs, tmp_path, '--overwrite'), tmp_path / '.lock')
    assert os.listdir(str(tmp_path)) == ['.lock']


def test_outputs_and_limits_that_cannot_be_are_refused_before_the_work(server, inputs, results, tmp_path, faults):
    long_name = tmp_path / ('x' * 300)
    words = register_words(inputs, long_name)
    too_little = register_words(inputs, tmp_path / 'out', '--memory', '0.004')  # the smallest volume takes 0.0044
    for command, named, done_before in (
        (words, '--output', 'restored from'),
        (['--pairs', tmp_path / 'a.csv', *words[3:]], '--output', 'restored from'),
        ([*apply_words(results), '--output', long_name], '--output', 'Traceback'),
        (too_little, '--memory', 'restored from'),
    ):
        with faults(ROW):
            found = server.start([str(word) for word in command])
            assert found.wait() == 2 and named in found.error() and done_before not in found.printed()
    assert not os.listdir(str(tmp_path))


# ---- other types


def mutants(content, generator, number):
    """``number`` copies of a JSON content, each with one value of another type."""
    places = []

    def walk(value, place):
        places.append(place)
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, child in children:
            walk(child, place + [key])

    walk(content, [])
    for _ in range(number):
        place, wrong = (
            generator.choice(places),
            generator.choice([None, True, -3, 0.5, 1e30, '../x', '', [], {}, [None]]),
        )
        if place:
            mutant = inner = copy.deepcopy(content)
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = wrong
            yield place, mutant
        else:
            yield place, wrong


@pytest.mark.parametrize('kind', ['results', 'settings of a model', 'checkpoint'])
def test_values_of_other_types_are_one_sentence(kind, server, inputs, results, tmp_path, faults, is_long):
    path, words = json_reader(kind, inputs, results, tmp_path)
    with open(str(path)) as stream:
        content = json.load(stream)
    content.pop('checksum', None)
    for place, mutant in mutants(content, random.Random(kind), 200 if is_long else 40):
        with open(str(path), 'w') as stream:
            json.dump(mutant, stream)
        with faults(ROW):
            command = server.start([str(word) for word in words])
            code = command.wait()
            assert code == 2 or (code == 0 and kind == 'results'), (place, command.printed())
            assert code == 0 or command.error(), place


def test_a_set_without_networks_is_refused(inputs, tmp_path, monkeypatch, caplog, faults):
    monkeypatch.setattr(trained_models, 'SHIPPED', str(tmp_path))
    words = register_words(inputs, tmp_path / 'out')
    words[words.index('--model') + 1] = 'mine'
    for content in ({}, {'networks': {}, 'stages': [4]}, {'networks': {'3': 'a'}, 'stages': [4]}, {'networks': ['a']}):
        (tmp_path / 'mine.json').write_text(json.dumps(content))
        caplog.clear()
        with faults(ROW):
            assert RunRegNet3D.main(words) == 2 and 'mine.json' in caplog.text


# ---- while training images are made

GENERATION = {
    'Phantom': {'Size': [72, 64, 72], 'Landmarks': 10, 'LandmarksAllPhases': 5},
    'DataExpDict': [
        {
            'data': 'Phantom_4D',
            'deform_exp': '3D_max20_D14_K',
            'TrainingCNList': [1],
            'TrainingTypeImList': [0],
            'TrainingDSmoothList': [0],
            'TrainingDeformedImExt': ['Clean'],
        }
    ],
    'stage': 4,
    'NumberOfThreads': 1,
}


@pytest.mark.once
def test_folders_and_unreadable_files_while_images_are_generated(server, tmp_path, faults):
    """Refused by name; an image that can be made again is."""
    (tmp_path / 'a.json').write_text(json.dumps(GENERATION))
    words = ['--setting', 'a.json', '--where_to_run', 'Root', '-g', '--workers', '1']
    command = server.start(words, cwd=str(tmp_path))
    assert command.wait() == 0, command.printed()
    made = tree(tmp_path)
    for name in random.Random(0).sample(sorted(name for name in made if name.startswith(('Data', 'Elastix'))), 8):
        path = str(tmp_path / name)
        os.chmod(path, 0)
        with faults(ROW):
            command = server.start(words + ['--verify'], cwd=str(tmp_path), powerless=True)
            code = command.wait()
            assert (code == 2 and path in command.error()) or (code == 0 and tree(tmp_path) == made), command.printed()
        os.chmod(path, 0o600)
        os.rename(path, path + '.kept')
        os.mkdir(path)
        with faults(ROW):
            refused(server, words, path, cwd=str(tmp_path))
        os.rmdir(path)
        os.rename(path + '.kept', path)
    assert server.start(words, cwd=str(tmp_path)).wait() == 0


# ---- hostile folders


@pytest.fixture
def outside(tmp_path):
    """A folder that nothing may change, compared at the end."""
    folder = tmp_path / 'outside'
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_text('mine')
    yield folder
    assert sorted(os.listdir(str(folder))) == sorted(NAMES)
    assert all((folder / name).read_text() == 'mine' for name in NAMES)


def test_links_out_of_a_folder_are_not_followed_when_writing(server, inputs, tmp_path, outside, faults):
    output = tmp_path / 'out'
    output.mkdir()
    for name in NAMES:
        (output / name).symlink_to(outside / name)
    (output / '.whole').symlink_to(outside)
    with faults(FOLDERS):
        command = server.start(register_words(inputs, output, '--overwrite'))
        assert command.wait() == 0, command.printed()
    assert not any(os.path.islink(str(output / name)) for name in os.listdir(str(output)))


def test_records_that_name_files_outside_are_refused(server, inputs, results, tmp_path, outside, faults):
    shutil.copytree(str(results), str(tmp_path / 'copy'))
    path = tmp_path / 'copy' / 'out' / 'results.json'
    record = json.loads(path.read_text())
    del record['checksum']
    record['outputs'][0]['path'] = '../../outside/displacement.mha'
    path.write_text(json.dumps(record))
    with faults(FOLDERS):
        refused(server, apply_words(tmp_path / 'copy'), path)
    (tmp_path / 'copy' / 'out' / '.whole').mkdir()
    shutil.copy(str(path), str(tmp_path / 'copy' / 'out' / '.whole'))
    with faults(FOLDERS):
        refused(server, apply_words(tmp_path / 'copy'), 'results.json')
    model, _, path = copied_model(inputs, tmp_path)
    with open(path) as stream:
        record = json.load(stream)
    del record['checksum']
    name, described = record['files'].popitem()
    record['files']['../' + name] = described
    with open(path, 'w') as stream:
        json.dump(record, stream)
    with faults(FOLDERS):
        command = server.start([str(word) for word in model_words(inputs, tmp_path, model)])
        assert command.wait() == 2 and 'does not name the files beside it' in command.printed(), command.printed()


class Page(html.parser.HTMLParser):
    """Fails on what a page may not hold; ``text`` is what it shows."""

    def __init__(self, text):
        super().__init__()
        self.text, self.script = '', None
        self.feed(text)
        with open(os.path.join(REPOSITORY, 'functions', 'evaluation', 'page.js'), encoding='utf-8') as stream:
            script = stream.read()
        checksum = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert self.script == script and f"script-src 'sha256-{checksum}';" in text

    def handle_starttag(self, tag, attributes):
        if tag == 'script':
            assert self.script is None and not attributes
            self.script = ''
        assert tag not in ('link', 'iframe', 'object', 'embed', 'svg', 'base', 'form'), tag
        for key, value in attributes:
            assert not key.startswith('on') and key != 'style', (tag, key)
            assert key not in ('src', 'href') or re.match('data:image/(png|jpeg);base64,', value), (tag, value)

    def handle_data(self, data):
        if self.script == '':
            self.script = data
        else:
            self.text += data


def test_names_and_tags_with_markup_and_commands_are_only_text(server, inputs, tmp_path, outside, faults):
    """A scan of DICOM files whose tags are markup, and an image whose name is markup and a command."""
    folder = tmp_path / ('<b>' + MARKUP.replace('/', ''))
    folder.mkdir()
    command_name = '$(touch pwned);`touch pwned`' + MARKUP
    moving, scan = folder / (command_name + '.nii.gz'), folder / '<script>alert(1)<'
    shutil.copy(os.path.join(inputs, 'moving.nii.gz'), str(moving))
    image = sitk.ReadImage(os.path.join(inputs, 'fixed.nii.gz'), sitk.sitkInt16)
    (x, y, z), (dx, dy, dz) = image.GetOrigin(), image.GetSpacing()
    tags = {'0008|103e': MARKUP + '\n../../outside', '0028|0030': f'{dy}\\{dx}'}

    def change(k):
        return dict(tags, **{'0020|0032': f'{x}\\{y}\\{z + k * dz}'})

    write_slices(scan, sitk.GetArrayFromImage(image), change)
    words = register_words(inputs, folder / 'out')
    words[1:3] = [str(scan), str(moving)]
    with faults(FOLDERS):
        command = server.start(words, cwd=str(tmp_path))
        assert command.wait() == 0, command.printed()
        command = server.start(['--report', str(folder / 'out')], cwd=str(tmp_path))
        assert command.wait() == 0, command.printed()
    with open(str(folder / 'out' / 'report.html'), encoding='utf-8') as stream:
        assert os.path.basename(str(moving)) in Page(stream.read()).text
    assert set(os.listdir(str(tmp_path))) == {folder.name, 'outside'} and 'pwned' not in os.listdir(str(folder))
    write_slices(scan, sitk.GetArrayFromImage(image), change, series='1.2.6', prefix='t')
    with faults(FOLDERS):
        words[words.index('--output') + 1] += '2'
        refused(server, words, scan, cwd=str(tmp_path))  # two series: their descriptions are shown


def test_names_of_pairs_stay_in_the_folder(server, inputs, tmp_path, outside, faults):
    row = '{},' + ','.join(os.path.join(inputs, name) for name in ('fixed.nii.gz', 'moving.nii.gz'))
    for name in ('../outside', '..', '/outside', 'a/../../outside', '<b>', '$(touch pwned)', '.hidden'):
        (tmp_path / 'a.csv').write_text('name,fixed,moving\n' + row.format(name) + '\n')
        with faults(FOLDERS):
            refused(server, ['--pairs', tmp_path / 'a.csv', '--output', tmp_path / 'out'], tmp_path / 'a.csv')
    assert set(os.listdir(str(tmp_path))) == {'a.csv', 'outside'}


def test_records_of_pairs_are_text_on_their_page_and_stay_in_the_folder(server, tmp_path, outside, faults):
    folder = tmp_path / ('<b>' + MARKUP)
    folder.mkdir()
    outcome = {'name': 'a', 'state': 'failed', 'seconds': 1.0, 'reason': MARKUP, 'measures': {'used': MARKUP}}
    (folder / 'pairs.json').write_text(json.dumps([outcome]))
    with faults(FOLDERS):
        assert server.start(['--report', str(folder)]).wait() == 0
    text = Page((folder / 'report.html').read_text(encoding='utf-8')).text
    assert text.count(MARKUP) == 3 and folder.name in text  # title, heading, reason
    for name in ('../outside', '..', str(outside), MARKUP, 'a"onclick="b', 7):
        (folder / 'pairs.json').write_text(json.dumps([dict(outcome, name=name, state='done')]))
        with faults(FOLDERS):
            refused(server, ['--report', folder], folder / 'pairs.json')
    record = {'outputs': [{'path': '../outside/animation.gif', 'bytes': 1, 'mtime_ns': 1, 'checksum': 'x'}]}
    (folder / 'pairs.json').write_text(json.dumps([outcome]))
    (folder / 'sequence.json').write_text(json.dumps(record))
    with faults(FOLDERS):
        refused(server, ['--report', folder], folder / 'sequence.json')


FORBIDDEN = {'pickle', 'shelve', 'marshal', 'yaml', 'urllib', 'http', 'requests', 'ftplib', 'smtplib', 'xmlrpc'}


def test_no_connection_is_opened(server, inputs, undisturbed, tmp_path, faults):
    with faults('a process whose sockets end it'):
        command = server.start(register_words(inputs, tmp_path / 'out'), target='small_inputs:main_offline')
        assert command.wait() == 0, command.printed()
        assert tree(tmp_path / 'out') == undisturbed
    assert server.start(['connect'], target='small_inputs:main_offline').wait() == 97


def test_no_source_unpickles_evaluates_or_fetches():
    sources = glob.glob(os.path.join(REPOSITORY, 'functions', '**', '*.py'), recursive=True)
    for path in sources + [os.path.join(REPOSITORY, 'RunRegNet3D.py')]:
        with open(path, encoding='utf-8') as stream:
            nodes = list(ast.walk(ast.parse(stream.read())))
        imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module or '' for node in nodes if isinstance(node, ast.ImportFrom)}
        called = [node for node in nodes if isinstance(node, ast.Call)]
        names = {node.func.id for node in called if isinstance(node.func, ast.Name)}
        options = {option.arg: option.value for node in called for option in node.keywords}
        assert not {name.partition('.')[0] for name in imported} & FORBIDDEN and not names & {'eval', 'exec'}, path
        assert not {'shell', 'allow_pickle'} & set(options), path


@pytest.mark.parametrize(
    'module, words, message',
    [
        ('functions.phantom', ['--cases', '-5'], 'cn=-5 of the phantom; accepted: a whole number from 1'),
        ('functions.elastix', ['rewrite', 'nowhere'], 'nowhere contains no TransformParameters'),
        ('functions.training.export', ['nowhere', 'there'], 'The experiment .*nowhere does not exist'),
    ],
)
def test_the_smaller_commands_refuse_in_one_sentence_too(module, words, message, tmp_path):
    environment = dict(os.environ, PYTHONPATH=REPOSITORY, REGNET_ROOT=str(tmp_path), TF_CPP_MIN_LOG_LEVEL='3')
    command = [sys.executable, '-m', module] + words
    ended = subprocess.run(command, cwd=str(tmp_path), env=environment, stderr=subprocess.PIPE, check=False)
    said = ended.stderr.decode()
    assert ended.returncode == 2 and re.search(message, said) and 'Traceback' not in said
