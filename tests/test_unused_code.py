"""Finds what nothing uses: functions, classes, methods, constants and default values of parameters.

What the product uses is what can be reached from the code that runs when its modules are loaded (the commands,
``RunRegNet3D.py``, ``docs/``) and from the documented names below. A use in a test does not count.
"""

import ast
import os

from tests.relative_imports import imported_module

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

#: What is still unused, by room: delete the code and its line here. ``function(parameter)`` is a default that no
#: call overrides: make it a constant or a plain value. What users call by documentation goes to DOCUMENTED.
UNUSED = """
"""

#: documented names that nothing here calls, and why they stay.
DOCUMENTED = {
    'docs.repository_links.card': 'a loop when mkdocs loads it',
    'docs.repository_links.on_files': 'mkdocs calls it',
    'docs.repository_links.on_page_markdown': 'mkdocs calls it',
    'functions.tf_utils.convolution._gradients': 'TensorFlow calls it by the name it is registered with',
    'functions.artificial_generation.batch.generate_batch(verify)': 'compares checksums on request',
    'functions.elastix.programs.run_program(hours)': 'a deadline of 12 hours, shorter in tests',
    'functions.image.claim.claim(deadline_s)': 'a deadline of minutes, shorter in tests',
    'functions.preprocessing.own_images.prepare_image(lung)': 'for scripts: a mask made elsewhere',
    'functions.preprocessing.own_images.prepare_image(series)': 'for scripts: a folder with several DICOM series',
    'functions.preprocessing.own_images.prepare_image(torso)': 'for scripts: a mask made elsewhere',
    'functions.network.layer_kinds.add': 'docs/networks.md: residual additions in a network of your own',
    'functions.network.layer_kinds.conv(stride)': 'docs/networks.md: strided convolutions in a network of your own',
    'functions.setting.schema.describe': 'docs/settings.md: prints the tables of settings',
    'functions.setting.addresses.address_requests': 'lists what address_generator accepts',
    'functions.setting.artificial_generation_setting.register_deform_exp': 'own deformation experiments in a script',
    'functions.setting.data_sets.register_data_set': 'own data sets in a script',
    'functions.setting.data_sets.register_own_images': 'own images in a script',
    'functions.setting.experiment_files.write_setting(setting_address)': 'published function',
    'functions.setting.image_lists.get_random_im_info_list': 'published function',
    'functions.setting.stage_suggestions.suggested_stage_setting(full_image)': 'sizes of whole-image training',
    'functions.reading.chunk_image.Images.fill': 'documented way to read a chunk',
    'functions.reading.chunk_image.Images.go_to_next_chunk': 'documented way to read a chunk',
    'functions.reading.chunk_image.Images.next_batch': 'documented way to read a chunk',
}


class Definition:
    """A function, class, method or constant: what it refers to, and its parameters with a default."""

    def __init__(self, name, owner=None):
        self.name = name
        self.owner = owner  # the class of a method
        self.names = set()  # dotted names it refers to
        self.attributes = set()  # names after a dot whose owner is unknown
        self.of_room = set()  # (package, name) of what is taken from modules that a table names
        self.calls = []  # (name called, number of positional arguments or None, keywords)
        self.passed = set()  # last names of what is referred to without a call
        self.optional = {}  # parameter with a default -> position in a call, or None


class Module(ast.NodeVisitor):
    """The definitions of a file; ``self.loaded`` is what runs on import."""

    def __init__(self, path):
        self.path, self.name = path, path[:-3].replace('/', '.').replace('.__init__', '')
        self.imported, self.definitions = {}, {}
        self.current = self.loaded = Definition(self.name)
        with open(os.path.join(REPOSITORY, path), encoding='utf-8') as stream:
            tree = ast.parse(stream.read(), path)
        self.top = {name for node in tree.body for name in defined_by(node)}
        for node in ast.walk(tree):
            self._remember_import(node)
        for node in tree.body:
            self._statement(node)

    def _remember_import(self, node):
        if isinstance(node, ast.Import):
            for alias in node.names:
                self.imported[alias.asname or alias.name.split('.')[0]] = (
                    alias.name if alias.asname else alias.name.split('.')[0]
                )
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                self.imported[alias.asname or alias.name] = f'{imported_module(node, self.path)}.{alias.name}'

    def _statement(self, node, owner=None):
        names = defined_by(node)
        prefix = owner.name if owner else self.name
        before = self.current
        for name in names or [None]:
            self.current = before
            if name:
                self.current = self.definitions.setdefault(f'{prefix}.{name}', Definition(f'{prefix}.{name}', owner))
            if isinstance(node, ast.ClassDef):
                for part in node.decorator_list + node.bases + node.keywords:
                    self.visit(part)
                for part in node.body:
                    self._statement(part, self.current)
            else:
                if isinstance(node, ast.FunctionDef):
                    static = any(getattr(item, 'id', '') == 'staticmethod' for item in node.decorator_list)
                    self.current.optional = optional_parameters(node.args, bool(owner) and not static)
                self.visit(node)
        self.current = before

    def visit_Name(self, node):
        self._refer(self.imported.get(node.id) or (f'{self.name}.{node.id}' if node.id in self.top else node.id))

    def visit_Attribute(self, node):
        dotted = self._dotted(node)
        if dotted:
            self._refer(dotted)
        else:
            if getattr(getattr(node.value, 'func', None), 'attr', '') == 'import_module':
                self.current.of_room.add((self.name.rpartition('.')[0], node.attr))
            self.current.attributes.add(node.attr)
            self.current.passed.add(node.attr)
            self.visit(node.value)

    def _refer(self, dotted):
        self.current.names.add(dotted)
        # ``a.b.c`` may be the attribute c of the object a.b.
        self.current.attributes.update(dotted.split('.')[1:])
        self.current.passed.add(dotted.rsplit('.', 1)[-1])

    def _dotted(self, node):
        if isinstance(node, ast.Name):
            if node.id in self.imported:
                return self.imported[node.id]
            return f'{self.name}.{node.id}' if node.id in self.top else None
        if isinstance(node, ast.Attribute):
            start = self._dotted(node.value)
            return start and f'{start}.{node.attr}'
        return None

    def visit_Call(self, node):
        called = self._dotted(node.func) or getattr(node.func, 'attr', getattr(node.func, 'id', ''))
        called = called.rsplit('.', 1)[-1]
        many = any(isinstance(item, ast.Starred) for item in node.args)
        self.current.calls.append((called, None if many else len(node.args), {item.arg for item in node.keywords}))
        passed = called in self.current.passed
        self.visit(node.func)
        if not passed:
            self.current.passed.discard(called)
        for item in node.args + node.keywords:
            self.visit(item)


def defined_by(node):
    """Names that a statement of a module or class defines."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, 'target', None)]
    names = [item for target in targets if target for item in ast.walk(target) if isinstance(item, ast.Name)]
    return [item.id for item in names if isinstance(item.ctx, ast.Store)]


def optional_parameters(arguments, bound):
    names = [item.arg for item in arguments.args]
    optional = {name: names.index(name) - bound for name in names[len(names) - len(arguments.defaults) :]}
    with_default = [item.arg for item, default in zip(arguments.kwonlyargs, arguments.kw_defaults) if default]
    optional.update(dict.fromkeys(with_default))
    return optional


def product_files():
    found = ['RunRegNet3D.py']
    for top in ('functions', 'docs'):
        for folder, _, names in os.walk(os.path.join(REPOSITORY, top)):
            found += [os.path.relpath(os.path.join(folder, name), REPOSITORY) for name in names if name[-3:] == '.py']
    return [path.replace(os.sep, '/') for path in sorted(found)]


class Product:
    """All modules, and what of them is used."""

    def __init__(self, paths):
        self.modules = {module.name: module for module in map(Module, paths)}
        self.definitions = {}
        for module in self.modules.values():
            self.definitions.update(module.definitions)
        self.methods = [definition for definition in self.definitions.values() if definition.owner]

    def resolve(self, dotted):
        """The definition that a dotted name means, following re-exports, or None."""
        parts = dotted.split('.')
        for length in range(len(parts), 0, -1):
            module = self.modules.get('.'.join(parts[:length]))
            if module is None:
                continue
            if length == len(parts):
                return None
            name = parts[length]
            if f'{module.name}.{name}' in self.definitions:
                return self.definitions[f'{module.name}.{name}']
            if name in module.imported and module.imported[name] != dotted:
                return self.resolve('.'.join([module.imported[name]] + parts[length + 1 :]))
            return None
        return None

    def used(self, documented):
        """Everything reachable from what runs on import and from the documented names."""
        missing = [name for name in documented if name.split('(')[0] not in self.definitions]
        assert not missing, f'documented, but not defined: {missing}'
        waiting = [module.loaded for module in self.modules.values()]
        waiting += [self.definitions[name] for name in documented if '(' not in name]
        used, attributes = set(), set()
        while waiting:
            while waiting:
                definition = waiting.pop()
                if definition in used:
                    continue
                used.add(definition)
                attributes |= definition.attributes
                waiting += [item for item in map(self.resolve, definition.names) if item]
                for package, name in definition.of_room:
                    modules = [module for module in self.modules if module.rpartition('.')[0] == package]
                    waiting += [self.definitions[f'{m}.{name}'] for m in modules if f'{m}.{name}' in self.definitions]
                waiting += [definition.owner] if definition.owner else []
            for method in self.methods:
                name = method.name.rsplit('.', 1)[-1]
                if method.owner in used and method not in used and (name in attributes or is_special(name)):
                    waiting.append(method)
        return used

    def unused(self, documented):
        """Dotted names of what nothing uses, those of parameters as ``function(parameter)``."""
        used = self.used(documented)
        found = [
            name
            for name, item in self.definitions.items()
            if item not in used and not is_special(name) and (item.owner is None or item.owner in used)
        ]
        calls, passed = {}, set()
        for definition in used:
            passed |= definition.passed
            for called, count, keywords in definition.calls:
                calls.setdefault(called, []).append((count, keywords))
        for definition in used:
            name = definition.name.rsplit('.', 1)[-1]
            here = list(calls.get(name, []))
            if name == '__init__':
                name = definition.owner.name.rsplit('.', 1)[-1]
                here += calls.get(name, [])
            if definition.name in documented or name in passed or name == 'main':
                continue  # whoever it is passed to may give any of its parameters
            for parameter, position in definition.optional.items():
                if not any(is_given(parameter, position, *call) for call in here):
                    found.append(f'{definition.name}({parameter})')
        return sorted(set(found) - set(documented))


def is_special(name):
    return name.endswith('__')


def is_given(parameter, position, count, keywords):
    if parameter in keywords or None in keywords:
        return True
    return position is not None and (count is None or count > position)


def test_nothing_is_unused():
    unused = set(Product(product_files()).unused(DOCUMENTED))
    listed = set(UNUSED.split())
    assert not unused - listed, 'nothing uses (delete it, or document it here):\n' + '\n'.join(sorted(unused - listed))


if __name__ == '__main__':
    print('\n'.join(Product(product_files()).unused(DOCUMENTED)))
