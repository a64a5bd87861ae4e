"""The notebooks of docs/notebooks run from beginning to end, and are kept without results."""

import glob
import json
import os
import re
import subprocess
import sys

import pytest

from tests.notebook_runs import executed

pytestmark = pytest.mark.once

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = os.path.join(REPOSITORY, 'docs', 'notebooks')
NOTEBOOKS = sorted(glob.glob(os.path.join(FOLDER, '*.ipynb')))
#: Words that a finished notebook has printed.
PRINTED = {
    'addresses_and_settings': ['./Data/DIR-Lab/4DCT/mha/case1/case1_T00_RS1.mha', '336 items', 'Did you mean'],
    'artificial_deformations': ['respiratory_motion', 'The same item twice: equal.'],
    'batch_generation': ['6 made', '12 finished before', '1 made again', 'Equal, byte by byte.'],
    'registering_a_pair': ['Used: 4 2', 'folding 0.0'],
    'training_from_one_scan': ['4 made', '4 steps in', 'after   error in the lung'],
}
#: Pictures that it has drawn.
PICTURES = {'artificial_deformations': 2, 'registering_a_pair': 1, 'training_from_one_scan': 1}
#: What the tests change at the top of a notebook, to save time.
CHANGES = {'training_from_one_scan': ('STEPS = 1500', 'STEPS = 4')}


def name_of(path):
    return os.path.basename(path)[: -len('.ipynb')]


def code_cells(path):
    with open(path, encoding='utf-8') as stream:
        return [cell for cell in json.load(stream)['cells'] if cell['cell_type'] == 'code']


def test_every_notebook_is_known():
    assert {name_of(path) for path in NOTEBOOKS} == set(PRINTED)


@pytest.mark.parametrize('path', NOTEBOOKS, ids=name_of)
def test_a_notebook_runs_in_the_checkout(path, tmp_path, monkeypatch):
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    monkeypatch.delenv('REGNET_ROOT', raising=False)
    monkeypatch.delenv('MPLBACKEND', raising=False)  # pictures are shown in the notebook
    before = sorted(os.listdir(FOLDER))
    text, pictures = executed(path, FOLDER, *CHANGES.get(name_of(path), ()))
    assert pictures == PICTURES.get(name_of(path), 0)
    assert [words for words in PRINTED[name_of(path)] if words not in text] == [], text
    written = re.search(r'This notebook writes to (\S+)', text).group(1)
    assert os.path.dirname(os.path.realpath(written)) == os.path.realpath(str(tmp_path)) and os.listdir(written)
    assert sorted({*os.listdir(FOLDER)} - {'__pycache__'}) == sorted({*before} - {'__pycache__'})


@pytest.mark.parametrize('path', NOTEBOOKS, ids=name_of)
def test_notebooks_are_kept_without_results(path):
    cells = code_cells(path)
    assert len(cells) > 3
    assert [cell for cell in cells if cell['outputs'] or cell['execution_count'] is not None] == []


@pytest.mark.parametrize('path', NOTEBOOKS, ids=name_of)
def test_links_of_notebooks_lead_somewhere(path):
    with open(path, encoding='utf-8') as stream:
        text = ''.join(line for cell in json.load(stream)['cells'] for line in cell['source'])
    links = re.findall(r'\]\(([^)#:\s]+)[^)\s]*\)', text)
    assert links and [link for link in links if not os.path.exists(os.path.join(FOLDER, link))] == []


def test_ruff_looks_at_notebooks(tmp_path):
    pytest.importorskip('ruff', reason='ruff is not installed (requirements.txt)')
    cell = dict(code_cells(NOTEBOOKS[0])[0], source=['import os\n', 'x = "1"\n'])
    notebook = {'cells': [cell], 'metadata': {}, 'nbformat': 4, 'nbformat_minor': 5}
    (tmp_path / 'unused.ipynb').write_text(json.dumps(notebook), encoding='utf-8')
    options = ['--config', os.path.join(REPOSITORY, 'pyproject.toml'), '--no-cache']
    for words in (['check'], ['format', '--check']):
        for paths, code in ((NOTEBOOKS, 0), ([str(tmp_path / 'unused.ipynb')], 1)):
            done = subprocess.run(
                [sys.executable, '-m', 'ruff', *words, *options, *paths], cwd=REPOSITORY, stdout=subprocess.PIPE
            )
            assert done.returncode == code, done.stdout.decode()
