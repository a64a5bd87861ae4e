"""The house rules that a program can check: who may import whom, and what importing costs."""

import ast
import os
import subprocess
import sys

import pytest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FUNCTIONS = os.path.join(REPOSITORY, 'functions')

#: room -> rooms it may import; 'network.description' is that one module.
MAY_IMPORT = {
    'setting': {'network.description'},
    'image': {'setting'},
    'phantom': {'image', 'setting'},
    'preprocessing': {'image', 'setting'},
    'artificial_generation': {'image', 'setting'},
    'reading': {'artificial_generation', 'image', 'setting'},
    'tf_utils': set(),
    'network': {'tf_utils'},
    'measure': {'image', 'setting'},
    'elastix': {'image', 'setting'},
    'training': {'reading', 'network', 'tf_utils', 'measure', 'image', 'setting'},
    'registration': {'network', 'tf_utils', 'preprocessing', 'elastix', 'measure', 'image', 'setting'},
    'evaluation': {'elastix', 'measure', 'image', 'setting'},
    'cluster': {'setting'},
}


def python_files():
    """Paths below functions/, relative to the repository, with ``/``."""
    found = []
    for folder, folders, names in os.walk(FUNCTIONS):
        folders[:] = sorted(name for name in folders if name != '__pycache__')
        found += [
            os.path.relpath(os.path.join(folder, name), REPOSITORY).replace(os.sep, '/')
            for name in sorted(names)
            if name.endswith('.py')
        ]
    return found


def imports_of(path):
    """(line, dotted name, relative) of every import in a file, those inside functions too."""
    with open(os.path.join(REPOSITORY, path), encoding='utf-8') as stream:
        tree = ast.parse(stream.read(), path)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name, False) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                found.append((node.lineno, node.module or '.', True))
            else:
                # ``from functions.image import resample`` names the module functions.image.resample.
                found += [(node.lineno, f'{node.module}.{alias.name}', False) for alias in node.names]
        elif isinstance(node, ast.Call) and node.args:
            called = getattr(node.func, 'attr', getattr(node.func, 'id', ''))
            if called in ('import_module', '__import__'):
                # A name that is put together at run time could be anything, so it is refused like TensorFlow.
                name = ast.literal_eval(node.args[0]) if is_literal(node.args[0]) else 'tensorflow'
                found.append((node.lineno, name, False))
    return found


def is_literal(node):
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


def forbidden(path, name):
    """Why ``path`` may not import ``name``, or None."""
    parts = name.split('.')
    if parts[0] == 'RunRegNet3D':
        return 'nothing imports the main script'
    if parts[0] != 'functions':
        return None
    room = path.split('/')[1] if path.count('/') > 1 else None
    if room is None or len(parts) < 2 or parts[1] == room:
        return None
    if parts[1] in MAY_IMPORT[room] or '.'.join(parts[1:3]) in MAY_IMPORT[room]:
        return None
    return '{} may import {}'.format(room, ', '.join(sorted(MAY_IMPORT[room])) or 'no other room')


def test_every_room_is_in_the_table():
    rooms = {path.split('/')[1] for path in python_files() if path.count('/') > 1}
    assert rooms <= set(MAY_IMPORT), f'rooms without a rule: {sorted(rooms - set(MAY_IMPORT))}'
    assert 'setting' in rooms


@pytest.mark.parametrize('path', python_files())
def test_imports_obey_the_table(path):
    problems = []
    for line, name, relative in imports_of(path):
        reason = 'imports are absolute' if relative else forbidden(path, name)
        if reason:
            problems.append(f'{path}:{line} imports {name}: {reason}')
    assert not problems, '\n'.join(problems)


@pytest.mark.parametrize('path', [path for path in python_files() if not path.startswith('functions/tf_utils/')])
def test_only_tf_utils_imports_tensorflow(path):
    names = [name for _, name, _ in imports_of(path) if name.split('.')[0] in ('tensorflow', 'keras')]
    assert not names


def test_the_networks_description_imports_no_room():
    names = [name for _, name, _ in imports_of('functions/network/description.py')]
    assert not [name for name in names if name.split('.')[0] == 'functions']


def keys_asked_of_settings(path):
    """(line, key) of every ``setting['key']`` and ``setting.get('key')`` of a file."""
    with open(os.path.join(REPOSITORY, path), encoding='utf-8') as stream:
        tree = ast.parse(stream.read(), path)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript):
            owner, key = node.value, getattr(node.slice, 'value', node.slice)
        elif isinstance(node, ast.Call) and getattr(node.func, 'attr', '') == 'get' and node.args:
            owner, key = node.func.value, node.args[0]
        else:
            continue
        # Python 3.7 wraps an index in a node of its own, later ones do not.
        key = ast.literal_eval(key) if isinstance(key, ast.AST) and is_literal(key) else key
        name = getattr(owner, 'id', getattr(owner, 'attr', ''))
        if name in ('setting', 'model_setting') and isinstance(key, str):
            found.append((node.lineno, key))
    return found


def test_every_setting_that_is_read_is_in_the_table():
    from functions.setting import schema

    found = [(path, line, key) for path in python_files() for line, key in keys_asked_of_settings(path)]
    assert any(key == 'NetworkDesign' for _, _, key in found)
    unknown = ['{}:{} reads {}'.format(*item) for item in found if item[2] not in schema.KEYS]
    assert not unknown, 'not in functions/setting/schema.py:\n' + '\n'.join(unknown)


def test_the_rules_catch_a_violation():
    assert forbidden('functions/image/resample.py', 'functions.measure.tre')
    assert forbidden('functions/setting/checks.py', 'functions.network.unet1')
    assert forbidden('functions/setting/checks.py', 'functions.network.description.network_description') is None
    assert forbidden('functions/image/resample.py', 'functions.setting.errors.InputError') is None
    assert forbidden('functions/image/resample.py', 'RunRegNet3D')


def loaded_by(module):
    """Names of the modules that importing ``module`` brings into a fresh process."""
    code = f'import sys; import {module}; print("\\n".join(sorted(sys.modules)))'
    environment = dict(os.environ, PYTHONPATH=REPOSITORY)
    output = subprocess.check_output([sys.executable, '-c', code], cwd=REPOSITORY, env=environment)
    return set(output.decode().split())


def test_setting_utils_loads_neither_tensorflow_nor_simpleitk():
    loaded = loaded_by('functions.setting.setting_utils')
    assert 'functions.setting.addresses' in loaded
    assert not loaded & {'tensorflow', 'SimpleITK', 'scipy', 'matplotlib', 'keras'}


def test_loading_a_network_setting_loads_no_tensorflow():
    code = (
        'import sys; import functions.setting.setting_utils as su; '
        's = su.load_network_setting(su.initialize_setting("a", "Root"), "unet1"); '
        'print("tensorflow" in sys.modules, s["R"])'
    )
    environment = dict(os.environ, PYTHONPATH=REPOSITORY)
    output = subprocess.check_output([sys.executable, '-c', code], cwd=REPOSITORY, env=environment)
    assert output.decode().split() == ['False', '62']
