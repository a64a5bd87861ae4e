"""The recipes of the images, read, and their steps carried out in a folder that stands for the root of an image."""

import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import setuptools

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOCKERFILE = os.path.join('containers', 'Dockerfile')
DEFINITION = os.path.join('containers', 'regnet.def')
#: Commands that change the machine: not carried out.
LEFT_OUT = ('useradd', 'install', 'apt-get')


def text_of(path):
    with open(os.path.join(REPOSITORY, path), encoding='utf-8') as stream:
        return stream.read()


def docker_steps(python):
    """(instruction, rest) of every line, with the arguments filled in."""
    text = re.sub(r'(?m)^#.*\n', '', text_of(DOCKERFILE)).replace('\\\n', ' ')
    steps, arguments = [], {}
    for line in filter(None, map(str.strip, text.splitlines())):
        instruction, rest = line.split(None, 1)
        if instruction == 'ARG':
            name, _, default = rest.partition('=')
            arguments[name] = {'PYTHON': python}.get(name, default)
        for name, value in arguments.items():
            rest = rest.replace('${' + name + '}', value)
        steps.append((instruction, rest))
    return steps


def apptainer_sections(python):
    """Section -> its lines; '' is the header. The build argument is filled in."""
    sections, name = {'': []}, ''
    for line in text_of(DEFINITION).splitlines():
        line = line.strip()
        if line.startswith('%'):
            name = line
        elif line and not line.startswith('#'):
            sections.setdefault(name, []).append(line)
    assert re.fullmatch(r'python=[\d.]+', sections['%arguments'][0])
    sections[''] = [re.sub(r'{{ *python *}}', python, line) for line in sections['']]
    return sections


def context(folder):
    """What ``.dockerignore`` lets an image be built from, copied to ``folder``."""
    for line in text_of('.dockerignore').splitlines():
        for path in glob.glob(os.path.join(REPOSITORY, line[1:])) if line.startswith('!') else []:
            _copy(path, os.path.join(folder, os.path.relpath(path, REPOSITORY)))


def _copy(source, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(source):
        shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__'))
    else:
        shutil.copy(source, target)


class Image:
    """A folder in which the steps of a recipe leave what they would in an image.

    ``python`` is an environment of its own in ``usr/local``; TensorFlow and the other packages are those of the tests.
    Absolute paths of the recipe are taken below the folder.
    """

    def __init__(self, root):
        self.root = str(root)
        self.folder, self.user, self.entry, self.left_out = '/', 'root', [], []
        self.variables = {}
        self.local = self.inside('/usr/local')
        subprocess.run([sys.executable, '-m', 'venv', '--without-pip', self.local], check=True)
        version = '{}.{}'.format(*sys.version_info)
        self.packages = os.path.join(self.local, 'lib', f'python{version}', 'site-packages')
        surrounding = [path for path in sys.path if path.endswith(('site-packages', 'dist-packages'))]
        with open(os.path.join(self.packages, 'surrounding.pth'), 'w') as stream:
            stream.write('\n'.join(surrounding))
        with open(os.path.join(self.local, 'bin', 'pip'), 'w') as stream:
            # Without what the recipe would fetch: the packages of the tests are there already, old setuptools perhaps.
            here = ' --no-index --no-build-isolation' * (int(setuptools.__version__.split('.')[0]) >= 66)
            stream.write(f'#!/bin/sh\nexec python -m pip --disable-pip-version-check "$@" --no-deps{here}\n')
        os.chmod(stream.name, 0o755)

    def inside(self, path):
        return os.path.join(self.root, path.lstrip('/'))

    def environment(self):
        prefixes = ('LANG', 'LD_', 'OPENBLAS_', 'PIP_', 'SSL_')
        kept = {name: value for name, value in os.environ.items() if name.startswith(prefixes)}
        path = os.path.join(self.local, 'bin') + ':/usr/bin:/bin'
        return dict(kept, PATH=path, **self.variables)

    def copy(self, source, target):
        if target.endswith('/') or os.path.isdir(target) and os.path.isfile(source):
            target = os.path.join(target, os.path.basename(source))
        _copy(source, os.path.normpath(target))

    def shell(self, command):
        """Carry out a line of shell."""
        for part in command.split(' && '):
            words = shlex.split(part)
            if words[0] == 'cd':
                self.folder = words[1]
            elif words[0] in LEFT_OUT:
                self.left_out.append(part)
            else:
                part = re.sub(r'(?<=\s)/(?=opt|data)', self.root + '/', part)
                subprocess.run(part, shell=True, check=True, cwd=self.inside(self.folder), env=self.environment())

    def by_dockerfile(self, python, source):
        for instruction, rest in docker_steps(python):
            if instruction == 'WORKDIR':
                self.folder = rest
                os.makedirs(self.inside(rest), exist_ok=True)
            elif instruction == 'COPY':
                *names, target = rest.split()
                for name in names:
                    self.copy(os.path.join(source, name), os.path.join(self.inside(self.folder), target))
            elif instruction == 'RUN':
                self.shell(rest)
            elif instruction == 'ENV':
                self.variables.update(word.split('=', 1) for word in shlex.split(rest))
            elif instruction == 'USER':
                self.user = rest
            elif instruction == 'ENTRYPOINT':
                self.entry = json.loads(rest)
            else:
                assert instruction in ('ARG', 'FROM', 'CMD'), instruction
        return self

    def by_definition(self, python):
        sections = apptainer_sections(python)
        for line in sections['%files']:
            source, target = line.split()
            self.copy(os.path.join(REPOSITORY, source), self.inside(target))
        for line in sections['%post']:
            self.shell(line)
        for line in sections['%environment']:
            self.variables.update([shlex.split(line)[1].split('=', 1)])
        self.entry = ['sh', '-c', '\n'.join(sections['%runscript']), 'runscript']
        return self

    def run(self, words, data, user=None):
        """Run the entry point in ``data``; as another user where this one is root. Returns what it printed."""
        command, more = self.entry + words, {}
        if os.geteuid() == 0 and user:
            # This user may read what root may: the interpreter may lie in root's home.
            command = ['setpriv', f'--reuid={user}', f'--regid={user}', '--clear-groups', '--inh-caps=+dac_read_search']
            command += ['--ambient-caps=+dac_read_search', *self.entry, *words]
            more = {'HOME': '/nonexistent'}
        environment = dict(self.environment(), **more)
        done = subprocess.run(command, cwd=data, env=environment, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()
