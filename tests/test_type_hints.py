"""The public functions have type hints: complete, true to what the functions do, and seen by those who install them."""

import ast
import importlib
import os
import subprocess
import sys

import pytest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def public_functions():
    """(dotted name, node) of every function of the page for scripts; of a class, its methods."""
    api_page = pytest.importorskip('docs.api_page')
    for dotted in (name for names in api_page._SECTIONS.values() for name in names.split()):
        module, name = dotted.rsplit('.', 1)
        with open(os.path.join(REPOSITORY, *module.split('.')) + '.py', encoding='utf-8') as stream:
            (node,) = [node for node in ast.parse(stream.read()).body if getattr(node, 'name', None) == name]
        if isinstance(node, ast.FunctionDef):
            yield dotted, node


def test_every_public_function_has_them_all():
    found = dict(public_functions())
    assert len(found) > 20
    without = []
    for dotted, node in found.items():
        arguments = node.args.args + node.args.kwonlyargs + list(filter(None, [node.args.vararg, node.args.kwarg]))
        without += [f'{dotted} {item.arg}' for item in arguments if item.annotation is None]
        without += [dotted] * (node.returns is None)
        # They mean something when the module runs, on Python 3.7 too.
        module, name = dotted.rsplit('.', 1)
        importlib.import_module('typing').get_type_hints(getattr(importlib.import_module(module), name))
    assert without == []


def mypy(words, cwd, cache):
    pytest.importorskip('mypy', reason='mypy is not installed (requirements.txt)')
    command = [sys.executable, '-m', 'mypy', '--hide-error-context', '--no-color-output', '--no-error-summary']
    environment = dict(os.environ, MYPY_CACHE_DIR=str(cache / 'cache'))
    done = subprocess.run(command + words, cwd=str(cwd), env=environment, stdout=subprocess.PIPE)
    return done.returncode, done.stdout.decode()


def test_what_functions_do_agrees_with_their_hints(tmp_path):
    assert mypy([], REPOSITORY, tmp_path) == (0, '')


SNIPPET = """
from typing import Any, Dict

import numpy as np
import regnet.setting.setting_utils as su
from regnet.measure.tre import summary
from regnet.registration import open_model, register
from regnet.registration.apply import apply_to_image

setting: Dict[str, Any] = su.initialize_setting('mine', where_to_run='Root')
address: str = su.address_generator(setting, 'Im', data='DIR-Lab_4D', cn=1, stage=1)
result = register('fixed.nii.gz', 'moving.nii.gz', model='chest', stages=[4, 2, 1], threads=2)
moved: str = apply_to_image('results', 'labels.nii.gz', interpolator='nearest')
error: float = summary(np.zeros((3, 3)))['mean']
model = open_model('chest', threads=2)
"""
#: line of a user's script -> what mypy says of it
WRONG = {
    'su.initialize_setting(3)': 'Argument 1 to "initialize_setting" has incompatible type "int"; expected "str"',
    "su.address_generator(setting, 'Im', cn='1')": 'Argument "cn" to "address_generator" has incompatible type "str"',
    "register('fixed.nii.gz', 'moving.nii.gz', model=4)": 'Argument "model" to "register" has incompatible type "int"',
    "apply_to_image('results', 'i.mha', inverse='yes')": 'Argument "inverse" to "apply_to_image" has incompatible type',
    "open_model('chest', stages=4)": 'Argument "stages" to "open_model" has incompatible type "int"',
    "number: int = su.address_generator(setting, 'Im')": 'Incompatible types in assignment (expression has type "str"',
    'result.moves': '"Registration" has no attribute "moves"',
}


def test_mypy_sees_what_is_wrong_through_the_installed_package(tmp_path):
    # An environment in which pip has installed it: without the marker, mypy would take everything for untyped.
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(tmp_path / 'venv')], check=True)
    (site,) = (tmp_path / 'venv').glob('lib/*/site-packages')
    os.symlink(os.path.join(REPOSITORY, 'functions'), str(site / 'regnet'))
    (site / 'others.pth').write_text('\n'.join(path for path in sys.path if path.endswith('site-packages')))
    (tmp_path / 'use.py').write_text(SNIPPET + '\n'.join(WRONG) + '\n')
    python = str(tmp_path / 'venv' / 'bin' / 'python')
    code, printed = mypy(['--ignore-missing-imports', '--python-executable', python, 'use.py'], tmp_path, tmp_path)
    lines = [line for line in printed.splitlines() if line.startswith('use.py')]
    first = SNIPPET.count('\n') + 1
    assert code == 1 and [int(line.split(':')[1]) for line in lines] == list(range(first, first + len(WRONG))), printed
    for line, said in zip(lines, WRONG.values()):
        assert said in line


def test_the_marker_is_installed():
    with open(os.path.join(REPOSITORY, 'pyproject.toml'), encoding='utf-8') as stream:
        assert '"py.typed"' in stream.read()
    assert os.path.isfile(os.path.join(REPOSITORY, 'functions', 'py.typed'))
