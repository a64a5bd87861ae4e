"""Writes the page of settings and their JSON Schema from the tables of the code.

python -m docs.settings_page
"""

import argparse
import json
import os

from functions.setting import artificial_generation_setting as deformations
from functions.setting import data_sets, schema
from functions.setting.atomic import write_text

PAGE, JSON_SCHEMA = 'settings.md', 'settings.schema.json'
_HEAD = """# Settings

<!-- Written by python -m docs.settings_page; edit functions/setting/ instead. -->

A settings file (`--setting my_run.json`) is one JSON object, setting → value. It replaces what the block at the top of
`RunRegNet3D.py` says; the command line replaces both. All problems are reported together before any long work starts,
with the nearest valid key for a misspelt one. Settings without a default are set by others (data set, network), or by
you. `python -c "from functions.setting import schema; print(schema.describe())"` prints the first tables.

## Help in an editor
[`settings.schema.json`](settings.schema.json) is a JSON Schema (draft 7), with which an editor completes keys and
underlines what is wrong. In Visual Studio Code, in `.vscode/settings.json`:

```json
{"json.schemas": [{"fileMatch": ["/Experiments/recipes/*.json", "my_*.json"], "url": "./docs/settings.schema.json"}]}
```

It knows names, types and ranges of single values. What depends on several of them is checked at the start of a run.
"""
#: Title -> what stands below it, keys.
_SECTIONS = {
    'DataExpDict': (
        'Keys of an entry. `CNList` and the others follow the name of a mode, `Training`, `Validation` or `Testing`:',
        schema.ENTRY[:2] + [key._replace(name='<mode>' + key.name) for key in schema.MODE],
    ),
    'OwnDataSets': ('Keys of an entry, data set → description:', data_sets.DESCRIPTION),
    'LoadedNetwork': ('Where initial weights come from:', schema.LOADED_NETWORK),
    'network_dict': ("Keys of an entry, `'stage<n>'` → network:", schema.NETWORK),
    'deform_exp': (
        'Keys of a deformation experiment. A settings file names those it changes: experiment → changes.',
        [key for name, key in deformations.DEFORM_KEYS.items() if name != 'ScanVariety'],
    ),
    'ScanVariety': ('A key of a deformation experiment; everything is off unless named:', deformations.SCAN_VARIETY),
}


def page():
    """The page as Markdown."""
    lines = [_HEAD]
    for title, keys in schema.SECTIONS.items():
        lines += [f'## {title}', '', *schema.table(keys), '']
    for title, (text, keys) in _SECTIONS.items():
        lines += [f'## {title}', '', text, '', *schema.table(keys), '']
    return '\n'.join(lines)


def json_schema():
    """The JSON Schema of a settings file, as a dictionary."""
    found = _object(schema.KEYS.values())
    # None asks for what is suggested, in the script's own block too.
    entry = _object(schema.ENTRY)
    for name in ('deform_exp', 'TrainingDSmoothList', 'ValidationDSmoothList'):
        entry['properties'][name] = {'anyOf': [entry['properties'][name], {'type': 'null'}]}
    inner = {
        'DataExpDict': {'type': 'array', 'items': entry},
        'OwnDataSets': _each(_object(data_sets.DESCRIPTION)),
        'LoadedNetwork': {'anyOf': [_object(schema.LOADED_NETWORK), {'type': 'null'}]},
        'network_dict': _each(_object(schema.NETWORK)),
        'deform_exp': _each(_object(deformations.DEFORM_KEYS.values())),
    }
    for name, description in inner.items():
        found['properties'][name].update(description)
    head = {'$schema': 'http://json-schema.org/draft-07/schema#', 'title': 'Settings of RegNet'}
    found['properties']['$schema'] = {'type': 'string'}
    return dict(head, **found)


def _object(keys):
    properties = {}
    for key in keys:
        nested = isinstance(key.kind, list)
        properties[key.name] = dict(_object(key.kind) if nested else key.kind.json, description=key.meaning)
        if key.default is not schema.ABSENT and not nested:
            properties[key.name]['default'] = key.default
    return {'type': 'object', 'properties': properties, 'additionalProperties': False}


def _each(description):
    return {'type': 'object', 'additionalProperties': description}


def write(folder):
    """Write the page and the JSON Schema into a folder."""
    write_text(os.path.join(folder, PAGE), page())
    write_text(os.path.join(folder, JSON_SCHEMA), json.dumps(json_schema(), indent=1) + '\n')


def main(words=None):
    """Run the command."""
    parser = argparse.ArgumentParser(prog='python -m docs.settings_page', description=__doc__.split('\n\n')[0])
    parser.add_argument('--output', default='docs', metavar='FOLDER')
    write(parser.parse_args(words).output)


if __name__ == '__main__':
    main()
