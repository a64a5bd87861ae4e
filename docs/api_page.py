"""The page of functions for scripts and notebooks, made of their signatures and docstrings when the site is built.

Nothing is imported for it; the files are parsed.
"""

import ast
import os
import re

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_HEAD = """# From Python

What scripts and notebooks use, with the words of the code. Installed as a package, `functions` is called `regnet`.
"""
_SECTIONS = {
    'Registration': """
        functions.registration.single_pair.register functions.registration.pair_options.Options
        functions.registration.single_pair.Registration functions.registration.network_pyramid.open_model
        functions.registration.pair_lists.register_pairs functions.registration.apply.apply_to_image
        functions.registration.apply.apply_to_points""",
    'Settings and addresses': """
        functions.setting.loaders.initialize_setting functions.setting.loaders.load_setting_from_data_dict
        functions.setting.addresses.address_generator functions.setting.image_lists.get_im_info_list_from_train_mode
        functions.setting.data_sets.register_own_images
        functions.setting.artificial_generation_setting.register_deform_exp functions.setting.checks.check_setting""",
    'Images and fields': """
        functions.preprocessing.own_images.prepare_image functions.image.volume_io.read_image
        functions.image.volume_io.write_image functions.image.resample.warp functions.image.dvf.jacobian_determinant_of
        functions.image.dvf.compose functions.image.dvf.invert functions.image.point_files.read_points""",
    'Generating, reading and training': """
        functions.artificial_generation.batch.generate_batch functions.reading.chunk_image.Images
        functions.training.trainer.train functions.network.description.network_description""",
    'Measures': 'functions.measure.tre.summary functions.measure.regularity.summary',
}
_FIELD = re.compile(r':(param|ivar|returns?|raises)\s*([^:]*):\s*(.*)', re.DOTALL)


def page():
    """The page as Markdown."""
    lines = [_HEAD]
    for title, names in _SECTIONS.items():
        lines += [f'## {title}', ''] + [text for name in names.split() for text in _entry(name)]
    return '\n'.join(lines)


def _entry(dotted):
    module, name = dotted.rsplit('.', 1)
    with open(os.path.join(REPOSITORY, *module.split('.')) + '.py', encoding='utf-8') as stream:
        source = stream.read()
    (node,) = [node for node in ast.parse(source).body if getattr(node, 'name', None) == name]
    return [f'### {name}', '', f'```python\nfrom {module} import {name}\n\n{_shape(node, source)}\n```', ''] + _text(
        node
    )


def _shape(node, source):
    """The signature of a function or class, or the fields of a named tuple."""
    if isinstance(node, ast.ClassDef):
        fields = [source.splitlines()[part.lineno - 1] for part in node.body if isinstance(part, ast.AnnAssign)]
        if fields:
            return '\n'.join([f'class {node.name}:', *fields])
        (called,) = [part for part in node.body if getattr(part, 'name', None) == '__init__']
        return f'{node.name}({", ".join(ast.unparse(called.args).split(", ")[1:])})'
    return f'{node.name}({ast.unparse(node.args)}) -> {ast.unparse(node.returns)}'


def _text(node):
    """A docstring in reStructuredText as Markdown: its words, then a list of what follows a colon."""
    text = re.sub(r':\w+:`~?([^`]+)`', r'`\1`', ast.get_docstring(node))
    words, *fields = re.split(r'\n(?=:(?:param|ivar|returns?|raises)\b)', '\n' + text)
    lines = [words.strip(), '']
    for field in fields:
        kind, names, meaning = _FIELD.match(field).groups()
        names = ', '.join(f'`{name.strip()}`' for name in names.split(',') if name.strip())
        before = {'param': names, 'ivar': names, 'raises': f'raises {names}'}.get(kind, 'returns')
        lines.append(f'- {before}: {" ".join(meaning.split())}')
    return [*lines, '']
