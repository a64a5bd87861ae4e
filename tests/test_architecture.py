"""The house rules that a program can check: who may import whom, and what importing costs."""

import ast
import os
import subprocess
import sys

from functions.network.description import MODULES
from tests.relative_imports import imported_module

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
#: the rank of the main script: it puts the others together.
MAY_IMPORT['commands'] = set(MAY_IMPORT)


#: functions with more than ten parameters: the two documented ones.
MAY_HAVE_MANY_PARAMETERS = {
    'functions/setting/addresses.py address_generator',
    'functions/reading/chunk_image.py Images',
}

#: file names that every room may have.
MAY_REPEAT = {'__init__.py', '__main__.py', 'command_line.py'}


def parsed_files():
    """path below the repository, with ``/`` -> syntax tree, of every file of functions/."""
    found = {}
    for folder, _, names in os.walk(FUNCTIONS):
        for name in names:
            if name.endswith('.py'):
                path = os.path.join(folder, name)
                with open(path, encoding='utf-8') as stream:
                    found[os.path.relpath(path, REPOSITORY).replace(os.sep, '/')] = ast.parse(stream.read(), path)
    return found


FILES = parsed_files()


def imports_of(path):
    """(line, dotted name, relative) of every import in a file, those inside functions too."""
    found = []
    for node in ast.walk(FILES[path]):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name, False) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # ``from ..image import resample`` names the module functions.image.resample.
            module = imported_module(node, path)
            found += [(node.lineno, f'{module}.{alias.name}', node.level > 0) for alias in node.names]
        elif isinstance(node, ast.Call) and node.args:
            called = getattr(node.func, 'attr', getattr(node.func, 'id', ''))
            if called in ('import_module', '__import__') and not is_of_own_room(node):
                # A name put together at run time could be anything, so it is refused like TensorFlow.
                name = ast.literal_eval(node.args[0]) if is_literal(node.args[0]) else 'tensorflow'
                found.append((node.lineno, name, False))
    return found


def is_of_own_room(call):
    """Whether it is ``import_module('.' + name, __package__)``, whatever the name."""
    module, *package = call.args
    dot = isinstance(module, ast.BinOp) and is_literal(module.left) and ast.literal_eval(module.left)
    return dot == '.' and [getattr(item, 'id', '') for item in package] == ['__package__']


def is_literal(node):
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


def room_of(path):
    return path.split('/')[1] if path.count('/') > 1 else None


def forbidden(path, name, relative=True):
    """Why ``path`` may not import ``name``, or None."""
    parts, room = name.split('.'), room_of(path)
    if parts[0] == 'functions' and not relative:
        return 'imports are relative: the installed package is called regnet'
    if parts[0] == 'RunRegNet3D':
        return 'nothing imports the main script'
    if parts[0] in ('tensorflow', 'keras') and room != 'tf_utils':
        return 'TensorFlow is imported in functions/tf_utils only'
    if parts[0] != 'functions' or room is None or len(parts) < 2 or parts[1] in (room, '__version__'):
        return None
    if parts[1] in MAY_IMPORT[room] or '.'.join(parts[1:3]) in MAY_IMPORT[room]:
        return None
    return f'{room} may import {", ".join(sorted(MAY_IMPORT[room])) or "no other room"}'


def test_every_room_is_in_the_table():
    rooms = {room_of(path) for path in FILES} - {None}
    assert rooms <= set(MAY_IMPORT), f'rooms without a rule: {sorted(rooms - set(MAY_IMPORT))}'
    assert 'setting' in rooms


def test_imports_obey_the_table():
    found = [(path, *item) for path in FILES for item in imports_of(path)]
    reasons = [(path, line, name, forbidden(path, name, relative)) for path, line, name, relative in found]
    problems = [f'{path}:{line} imports {name}: {reason}' for path, line, name, reason in reasons if reason]
    assert len(found) > 500
    assert not problems, '\n'.join(problems)


def test_the_networks_description_and_tables_need_no_tensorflow():
    waiting, seen = [f'functions.network.{name}' for name in ['description', *MODULES]], set()
    while waiting:
        path = waiting.pop().replace('.', '/') + '.py'
        if path in FILES and path not in seen:
            seen.add(path)
            waiting += [name for _, full, _ in imports_of(path) for name in (full, full.rpartition('.')[0])]
    assert 'functions/network/unet1.py' in seen
    assert {room_of(path) for path in seen} == {'network'} and 'functions/network/builder.py' not in seen


def test_no_two_rooms_have_a_module_of_the_same_name():
    paths = {}
    for path in FILES:
        paths.setdefault(path.split('/')[-1], []).append(path)
    assert not [paths[name] for name in paths if len(paths[name]) > 1 and name not in MAY_REPEAT]


def parameters_by_function(path):
    """'path name' -> number of parameters, of the public functions and methods; a class is its ``__init__``."""
    found = {}
    for owner in ast.walk(FILES[path]):
        for node in ast.iter_child_nodes(owner):
            if isinstance(node, ast.FunctionDef):
                method = isinstance(owner, ast.ClassDef)
                name = owner.name if method and node.name == '__init__' else node.name
                if not name.startswith('_'):
                    found[f'{path} {name}'] = len(node.args.args + node.args.kwonlyargs) - method
    return found


def test_public_functions_have_at_most_ten_parameters():
    counts = {name: count for path in FILES for name, count in parameters_by_function(path).items()}
    assert counts['functions/setting/addresses.py address_generator'] > 10
    assert not [name for name, count in counts.items() if count > 10 and name not in MAY_HAVE_MANY_PARAMETERS]


def keys_asked_of_settings(path):
    """(line, key) of every ``setting['key']`` and ``setting.get('key')`` of a file."""
    found = []
    for node in ast.walk(FILES[path]):
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

    found = [(path, line, key) for path in FILES for line, key in keys_asked_of_settings(path)]
    assert any(key == 'NetworkDesign' for _, _, key in found)
    unknown = [f'{path}:{line} reads {key}' for path, line, key in found if key not in schema.KEYS]
    assert not unknown, 'not in functions/setting/schema.py:\n' + '\n'.join(unknown)


def test_the_rules_catch_a_violation():
    assert forbidden('functions/image/resample.py', 'functions.measure.tre')
    assert forbidden('functions/setting/checks.py', 'functions.network.unet1')
    assert forbidden('functions/setting/checks.py', 'functions.network.description.network_description') is None
    assert forbidden('functions/image/resample.py', 'functions.setting.errors.InputError') is None
    assert forbidden('functions/image/resample.py', 'RunRegNet3D')
    assert forbidden('functions/network/builder.py', 'tensorflow.compat.v1')
    assert forbidden('functions/image/resample.py', 'functions.image.geometry', relative=False)
    arguments = ("'.' + name, __package__", "'..' + name, __package__", "'.' + name, 'functions'", 'name, __package__')
    calls = [ast.parse(f'import_module({words})').body[0].value for words in arguments]
    assert [is_of_own_room(call) for call in calls] == [True, False, False, False]


def printed_by(code):
    """Words that ``code`` prints in a fresh process."""
    environment = dict(os.environ, PYTHONPATH=REPOSITORY)
    return subprocess.check_output([sys.executable, '-c', code], cwd=REPOSITORY, env=environment).decode().split()


def test_settings_load_neither_tensorflow_nor_simpleitk():
    code = (
        'import sys; import functions.setting.setting_utils as su; '
        's = su.load_network_setting(su.initialize_setting("a", "Root"), "unet1"); '
        'print(s["R"], *sys.modules)'
    )
    receptive_size, *loaded = printed_by(code)
    assert receptive_size == '62'
    assert 'functions.setting.addresses' in loaded
    assert not set(loaded) & {'tensorflow', 'SimpleITK', 'scipy', 'matplotlib', 'keras'}
