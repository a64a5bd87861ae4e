"""The installed package: built from this checkout, it does what the checkout does, from any folder."""

import filecmp
import glob
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

import functions
from tests.displaced_chest import WORDS, require_displacement, write_chests
from tests.notebook_runs import executed

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
#: What a build reads.
SOURCES = ('pyproject.toml', 'dependencies.txt', 'README.md', 'LICENSE', 'RunRegNet3D.py')
FOLDERS = ('functions', 'Experiments', os.path.join('Elastix', 'Registration', 'Parameter'))


def pip(words, folder):
    """Run pip in ``folder``; skip the test where it has to fetch setuptools and there is no network."""
    command = [sys.executable, '-m', 'pip', '--disable-pip-version-check'] + words
    ended = subprocess.run(command, cwd=str(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    printed = ended.stdout.decode(errors='replace')
    if ended.returncode and 'No matching distribution found for setuptools' in printed:
        pytest.skip('no setuptools from 64 here, and none can be fetched')
    assert ended.returncode == 0, printed


def has_setuptools():
    spec = importlib.util.find_spec('setuptools')
    if spec is None or importlib.util.find_spec('wheel') is None:
        return False
    import setuptools

    return int(setuptools.__version__.split('.')[0]) >= 64


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """Folder into which the wheel of this checkout is installed."""
    folder = tmp_path_factory.mktemp('installed')
    source = folder / 'source'
    for name in FOLDERS:
        ignored = shutil.ignore_patterns('__pycache__')
        shutil.copytree(os.path.join(REPOSITORY, name), str(source / name), ignore=ignored)
    for name in SOURCES:
        shutil.copy(os.path.join(REPOSITORY, name), str(source / name))
    # What others leave in a folder of experiments is not installed.
    shutil.copytree(str(source / 'Experiments' / 'recipes'), str(source / 'Experiments' / 'RegNet' / 'mine'))
    isolation = ['--no-build-isolation'] if has_setuptools() else []
    pip(['wheel', '--no-deps', '-w', str(folder)] + isolation + [str(source)], folder)
    (wheel,) = glob.glob(str(folder / 'regnet-*.whl'))
    pip(['install', '--no-deps', '--no-index', '--target', str(folder / 'site'), wheel], folder)
    return folder / 'site'


def regnet(site, words, cwd, code=0):
    """Run the installed command; returns what it printed on both streams."""
    command = [sys.executable, str(site / 'bin' / 'regnet')] + [str(word) for word in words]
    environment = dict(os.environ, PYTHONPATH=str(site), TF_CPP_MIN_LOG_LEVEL='3')
    environment.pop('REGNET_ROOT', None)
    ended = subprocess.run(command, cwd=str(cwd), env=environment, capture_output=True)
    streams = ended.stdout.decode(), ended.stderr.decode()
    assert ended.returncode == code, streams
    return streams


def files_below(folder, *patterns):
    found = [path for pattern in patterns for path in glob.glob(os.path.join(str(folder), pattern), recursive=True)]
    return {os.path.relpath(path, str(folder)) for path in found if os.path.isfile(path)}


def test_everything_is_installed_and_nothing_else(site):
    package = site / 'regnet'
    kinds = ['**/*.' + ending for ending in ('py', 'html', 'css', 'js')]
    code = files_below(os.path.join(REPOSITORY, 'functions'), *kinds)
    assert code == {name for name in files_below(package, *kinds) if not name.startswith('shipped')}
    shipped = files_below(package / 'shipped', '**/*')
    with open(os.path.join(REPOSITORY, 'Experiments', 'chest.json')) as stream:
        content = json.load(stream)
    networks = [content['error_map'], *content['networks'].values()]
    expected = {'RunRegNet3D.py', 'Experiments/chest.json'}
    for folder in ['Elastix/Registration/Parameter'] + ['Experiments/' + name for name in networks]:
        expected |= {os.path.join(folder, name) for name in files_below(os.path.join(REPOSITORY, folder), '**/*')}
    assert shipped - {name for name in shipped if '__pycache__' in name} == expected
    assert all(filecmp.cmp(str(package / 'shipped' / name), os.path.join(REPOSITORY, name), False) for name in expected)


def test_from_an_empty_folder(site, tmp_path):
    assert regnet(site, ['--version'], tmp_path)[0] == f'regnet {functions.__version__}\n'
    words = ['addresses', 'OriginalIm', 'ModelFolder', '--stage', '1']
    found = ['./Data/Phantom/mha/case1/case1_T00_RS1.mha', './Experiments/RegNet/phantom_unet1_S1/train/Model/']
    assert regnet(site, words, tmp_path)[0].split() == found
    said = regnet(site, ['register', 'a', 'b', '--outptu', 'c'], tmp_path, 2)[1]
    assert said.count('\n') == 1 and said.endswith('; see regnet register --help\n')
    assert os.listdir(str(tmp_path)) == []


@pytest.fixture
def pair(tmp_path):
    """A small chest and the same displaced by 6 mm, with their lungs."""
    write_chests(tmp_path)
    return tmp_path


@pytest.mark.once
def test_it_registers_as_the_checkout_does(site, pair, tmp_path):
    printed, logged = regnet(site, ['register', *WORDS, '--output', 'installed', '--quiet', '--json'], pair)
    result = json.loads(printed)
    assert (result['exit_code'], result['output'], result['state']) == (0, 'installed', 'done')
    assert result['measures']['used'] == '4' and not re.search('INFO|I0000|it/s', logged)
    # In a process of its own too: TensorFlow 1.15 rounds differently after it has run other graphs.
    script = [sys.executable, os.path.join(REPOSITORY, 'RunRegNet3D.py'), '--register', *WORDS, '--output', 'checkout']
    subprocess.run(script, cwd=str(pair), check=True)
    fields = [sitk.ReadImage(str(pair / name / 'displacement.mha')) for name in ('installed', 'checkout')]
    assert fields[0].GetSize() == fields[1].GetSize()
    np.testing.assert_array_equal(*map(sitk.GetArrayFromImage, fields))
    require_displacement(pair, pair / 'installed')


def test_a_notebook_runs_in_any_folder(site, tmp_path, monkeypatch):
    monkeypatch.setenv('PYTHONPATH', str(site))
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    text, _ = executed(os.path.join(REPOSITORY, 'docs', 'notebooks', 'addresses_and_settings.ipynb'), tmp_path)
    assert f'This notebook writes to {tmp_path}' in text and '336 items' in text
