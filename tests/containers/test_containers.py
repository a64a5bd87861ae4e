"""The images: their recipes say the same, what they install registers a pair, and no more is in them."""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

from tests import displaced_chest
from tests.containers.recipes import (
    DEFINITION,
    DOCKERFILE,
    REPOSITORY,
    Image,
    apptainer_sections,
    context,
    docker_steps,
)
from tests.displaced_chest import require_displacement, write_chests

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not sys.platform.startswith('linux'), reason='images are those of Linux'),
]
PYTHON = '{}.{}'.format(*sys.version_info)
USER = 12345


@pytest.fixture(scope='module')
def place():
    """A folder that other users can enter."""
    folder = tempfile.mkdtemp(prefix='regnet-containers-')
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope='module')
def images(place):
    context(os.path.join(place, 'context'))
    docker, apptainer = Image(os.path.join(place, 'docker')), Image(os.path.join(place, 'apptainer'))
    return docker.by_dockerfile(PYTHON, os.path.join(place, 'context')), apptainer.by_definition(PYTHON)


def make_pair(folder):
    """A small chest and the same 6 mm higher, with their lungs, in a folder of the user."""
    os.makedirs(folder)
    write_chests(folder)
    if os.geteuid() == 0:
        os.chown(folder, USER, USER)


WORDS = ['register', *displaced_chest.WORDS, '--output', 'out', '--json']


def check_results(data, printed):
    """The displacement is found; every result can be read and belongs to the user."""
    result = json.loads(printed)
    assert (result['exit_code'], result['state'], result['measures']['used']) == (0, 'done', '4')
    require_displacement(data, os.path.join(data, 'out'))
    made = glob.glob(os.path.join(data, 'out', '**'), recursive=True)
    owner = USER if os.geteuid() == 0 else os.geteuid()
    assert len(made) > 5 and {os.stat(path).st_uid for path in made} == {owner}
    assert all(os.stat(path).st_mode & 0o400 for path in made)


def test_what_the_dockerfile_installs_registers_as_an_ordinary_user(images, place):
    image, data = images[0], os.path.join(place, 'data')
    assert image.user == 'regnet' and image.entry == ['regnet'] and image.folder == '/data'
    assert image.left_out == ['useradd --create-home --uid 1000 regnet', 'install -d -o regnet /data']
    make_pair(data)
    check_results(data, image.run(WORDS, data, USER))


def files_of(image):
    found = glob.glob(os.path.join(image.packages, 'regnet', '**'), recursive=True)
    return {
        os.path.relpath(path, image.packages) for path in found if os.path.isfile(path) and '__pycache__' not in path
    }


def test_both_recipes_install_the_same_and_leave_nothing_else(images):
    docker, apptainer = images
    found = files_of(docker)
    assert found == files_of(apptainer) and len(found) > 150
    with open(os.path.join(REPOSITORY, 'Experiments', 'chest.json')) as stream:
        content = json.load(stream)
    for network in [content['error_map'], *content['networks'].values()]:
        assert [name for name in found if f'shipped/Experiments/{network}/' in name and name.endswith('.index')]
    assert os.listdir(docker.inside('/opt/regnet')) == os.listdir(apptainer.inside('/opt/regnet')) == []
    assert apptainer.run(['--version'], docker.root, USER).startswith('regnet ')
    assert '/data' in docker.left_out[1] and os.path.isdir(apptainer.inside('/data'))


@pytest.mark.parametrize('python', ['3.11', '3.7'])
def test_the_recipes_begin_from_the_same_python(python):
    docker, apptainer = docker_steps(python), apptainer_sections(python)
    assert ('FROM', f'docker.io/library/python:{python}-slim') in docker
    assert apptainer[''] == ['Bootstrap: docker', f'From: docker.io/library/python:{python}-slim']
    assert ('ARG', f'PYTHON={apptainer["%arguments"][0].split("=")[1]}') in docker
    for path in (DOCKERFILE, DEFINITION):
        with open(os.path.join(REPOSITORY, path)) as stream:
            assert 'docs/containers.md' in stream.read()


def answer(*words, **more):
    """What a program prints; None when it is not there or fails."""
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=REPOSITORY, **more)
    except OSError:
        return None
    sys.stdout.write(done.stdout.decode(errors='replace'))
    return done.stdout.decode(errors='replace') if done.returncode == 0 else None


@pytest.mark.slow
@pytest.mark.parametrize('builder', ['docker', 'podman', 'buildah', 'apptainer'])
def test_a_real_image(builder, tmp_path):
    """The whole of the recipe by a builder that works here and can get its base image; minutes.

    The Python is that of the tests, and the base image may be one that the builder already has.
    """
    base, name, data = f'docker.io/library/python:{PYTHON}-slim', 'localhost/regnet-test', str(tmp_path / 'data')
    sif = str(tmp_path / 'regnet.sif')
    if builder == 'apptainer':
        ready = answer('apptainer', 'version')
    else:
        ready = answer(builder, 'info') and (answer(builder, 'inspect', base) or answer(builder, 'pull', base))
    if not ready:
        pytest.skip(f'{builder} is not here, does not work, or cannot get {base}')
    make_pair(data)
    options = ['--build-arg', f'PYTHON={PYTHON}', '-f', DOCKERFILE, '-t', name, '.']
    user = f'{USER}:{USER}' if os.geteuid() == 0 else f'{os.geteuid()}:{os.getegid()}'
    if builder == 'apptainer':
        assert answer('apptainer', 'build', '--build-arg', f'python={PYTHON}', sif, DEFINITION)
        command = ['apptainer', 'run', '--cleanenv', '--bind', f'{data}:/data', '--pwd', '/data', sif]
    elif builder == 'buildah':
        assert answer('buildah', 'bud', *options)
        container = answer('buildah', 'from', name).split()[-1]
        entry = json.loads(answer('buildah', 'inspect', '--type', 'image', name))['OCIv1']['config']['Entrypoint']
        command = ['buildah', 'run', '--user', user, '-v', f'{data}:/data', container, '--', *entry]
    else:
        assert answer(builder, 'build', *options)
        command = [builder, 'run', '--rm', '--user', user, '-v', f'{data}:/data', name]
    done = subprocess.run(command + WORDS, stdout=subprocess.PIPE)
    assert done.returncode == 0
    check_results(data, re.findall('(?m)^{.*}$', done.stdout.decode())[-1])
