"""The pages of settings and of functions, and the JSON Schema, say what the code does."""

import copy
import glob
import json
import os
import re
import sys

import pytest

from docs import api_page, settings_page
from functions.setting import schema
from functions.setting.text_files import read_json

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RECIPES = sorted(glob.glob(os.path.join(REPOSITORY, 'Experiments', 'recipes', '*.json')))


def test_the_page_and_the_schema_are_up_to_date(tmp_path):
    settings_page.main(['--output', str(tmp_path)])
    for name in (settings_page.PAGE, settings_page.JSON_SCHEMA):
        with open(os.path.join(REPOSITORY, 'docs', name), encoding='utf-8') as stream:
            assert stream.read() == (tmp_path / name).read_text(encoding='utf-8'), 'run python -m docs.settings_page'


def problems(settings):
    validator = pytest.importorskip('jsonschema', reason='jsonschema is not installed (docs/requirements.txt)')
    return [error.message for error in validator.Draft7Validator(settings_page.json_schema()).iter_errors(settings)]


def test_the_schema_is_one():
    validator = pytest.importorskip('jsonschema', reason='jsonschema is not installed (docs/requirements.txt)')
    validator.Draft7Validator.check_schema(settings_page.json_schema())


@pytest.mark.parametrize('path', RECIPES, ids=os.path.basename)
def test_the_shipped_recipes_are_accepted(path):
    assert problems(read_json(path, edited=True)) == []


@pytest.mark.parametrize(
    'where, key, value, words',
    [
        ((), 'NetworkDesing', 'unet1', 'NetworkDesing'),
        (('NetworkTraining',), 'BatchSise', 2, 'BatchSise'),
        (('NetworkTraining',), 'BatchSize', 0, '0'),
        (('NetworkTraining',), 'BatchSize', '2', "'2'"),
        (('DataExpDict', 0), 'TrainingCnList', [1], 'TrainingCnList'),
        (('DataExpDict', 0), 'TrainingDeformedImExt', ['Clean', 'Spong'], 'Spong'),
        (('deform_exp', '3D_max15_D14_K'), 'MaxDefrom', 20, 'MaxDefrom'),
        (('deform_exp', '3D_max15_D14_K', 'ScanVariety'), 'Cuts', 0.5, 'Cuts'),
        (('OwnDataSets', 'ChestCT'), 'type', ['scan'], 'type'),
        (('LoadedNetwork',), 'GlobalStep', 'Last', 'GlobalStep'),
        ((), 'stage', 3, '3'),
        ((), 'InputMask', 'Lungs', 'Lungs'),
    ],
)
def test_what_is_wrong_is_refused(where, key, value, words):
    settings = copy.deepcopy(
        read_json(os.path.join(REPOSITORY, 'Experiments/recipes/chest_matching_S2.json'), edited=True)
    )
    place = settings
    for name in where:
        place = place[name]
    place[key] = value
    # Errors inside alternatives name the whole value.
    assert any(words in message for message in problems(settings))


def test_every_default_is_accepted():
    for keys in schema.SECTIONS.values():
        for key in keys:
            for one in key.kind if isinstance(key.kind, list) else [key]:
                if one.default is not schema.ABSENT:
                    value = {key.name: {one.name: one.default}} if one is not key else {key.name: one.default}
                    assert problems(json.loads(json.dumps(value))) == [], one.name


def settings_in(page):
    with open(os.path.join(REPOSITORY, 'docs', page), encoding='utf-8') as stream:
        blocks = re.findall(r'(?ms)^```json\n(.*?)^```', stream.read())
    return [json.loads(block if block.startswith('{') else '{' + block + '}') for block in blocks]


def test_the_settings_on_the_pages_are_accepted():
    for page, key in (('train.md', 'OwnImages'), ('train.md', 'deform_exp'), ('register.md', 'DataExpDict')):
        (found,) = [one for one in settings_in(page) if key in one]
        assert problems(found) == [] and schema.key_problems(found) == []


@pytest.mark.skipif(sys.version_info < (3, 9), reason='ast.unparse came with Python 3.9')
def test_the_page_of_functions_shows_signatures_and_what_docstrings_say():
    page = api_page.page()
    assert len(re.findall('(?m)^### ', page)) == len(re.findall(r'(?m)^from functions\.[\w.]+ import \w+$', page)) > 20
    assert re.search(
        r'\nregister\(fixed: .+, moving: .+, model: .+, stages: .+=None, \*\*options: Any\) -> Registration\n', page
    )
    assert '- `fixed`, `moving`: ' in page and '- raises `RegNetError`: ' in page and ':param' not in page
