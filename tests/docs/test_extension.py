"""The examples of docs/extend.md, each one new file and one line, in a copy of the package that uses all of them."""

import difflib
import glob
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.once

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHAPE = (41, 39, 45)


def rows():
    """(what, file of the example, entry, of, in) of every example on the page."""
    with open(os.path.join(REPOSITORY, 'docs', 'extend.md'), encoding='utf-8') as stream:
        return re.findall(r'(?m)^\| ([\w ]+) \| `(examples/.+?)` \| `(.+?)` \| `(\w+)` \| `(.+?)` \|$', stream.read())


def with_entry(text, entry, name):
    """The source ``text`` with one more entry in its list or dictionary ``name``."""
    found = re.search(rf'(?ms)^{name} = [\[{{](.*?)(,?)(\n?)[\]}}]$', text)
    new_line = '\n    ' if found.group(3) else ' '
    return text[: found.end(1)] + ',' + new_line + entry + found.group(2) + text[found.end(2) :]


def test_every_example_is_used_in_one_run(tmp_path):
    found, folder = run_chain(tmp_path)
    check_data_set(found, folder)
    check_category(found, folder)
    check_augmentation(folder)
    check_network(found, folder)
    check_likeness(found)


def run_chain(folder):
    """What the chain printed, and where it ran: a copy of the package gets the examples and a line for each."""
    shutil.copytree(
        os.path.join(REPOSITORY, 'functions'), str(folder / 'functions'), ignore=shutil.ignore_patterns('__pycache__')
    )
    for _, example, entry, name, place in rows():
        goal = folder / example[len('examples/') :]
        assert not goal.exists()
        shutil.copy(os.path.join(REPOSITORY, example), str(goal))
        text = (folder / place).read_text(encoding='utf-8')
        changed = with_entry(text, entry, name)
        lines = [line for line in difflib.ndiff(text.splitlines(), changed.splitlines()) if line.startswith('+ ')]
        assert len(lines) == 1 and entry in lines[0]
        (folder / place).write_text(changed, encoding='utf-8')
    (folder / 'run').mkdir()
    environment = dict(os.environ, PYTHONPATH=str(folder), TF_CPP_MIN_LOG_LEVEL='3')
    script = os.path.join(REPOSITORY, 'tests', 'docs', 'extension_chain.py')
    done = subprocess.run([sys.executable, script], cwd=str(folder / 'run'), env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout.decode().splitlines()[-1]), folder / 'run'


def test_every_example_is_on_the_page():
    found = glob.glob(os.path.join(REPOSITORY, 'examples', '**', '*.py'), recursive=True)
    listed = [example for _, example, *_ in rows()]
    assert sorted(os.path.relpath(path, REPOSITORY).replace(os.sep, '/') for path in found) == sorted(listed)
    assert [what for what, *_ in rows()] == ['data set', 'category', 'augmentation', 'network', 'measure of likeness']


def check_data_set(found, folder):
    image, raw, landmarks = found['addresses']
    assert image == './Data/TwoVisits/mha/patient3/patient3_second_RS1.nii' and (folder / image).is_file()
    assert raw == './Data/TwoVisits/nifti/patient3_second.nii'
    assert landmarks == './Data/TwoVisits/landmarks/patient3_second_world_tr.txt'


def check_category(found, folder):
    assert found['problems'] == [] and found['made'] == 4 and found['failed'] == []
    with np.load(str(folder / 'item.npz')) as item:
        dvf = item['dvf'].astype(float)
    z, y, x = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in SHAPE], indexing='ij')
    # A rotation keeps the distance from the axis; its angle is the same in a plane and proportional to z.
    moved_x, moved_y = x + dvf[..., 0], y + dvf[..., 1]
    np.testing.assert_allclose(np.hypot(moved_x, moved_y), np.hypot(x, y), atol=1e-5)
    angle = np.angle(np.exp(1j * (np.arctan2(moved_y, moved_x) - np.arctan2(y, x))))[np.hypot(x, y) > 5]
    slope = angle[0] / z[np.hypot(x, y) > 5][0]
    np.testing.assert_allclose(angle, slope * z[np.hypot(x, y) > 5], atol=1e-5)
    assert np.abs(dvf[..., 2]).max() == 0 and 2 < np.linalg.norm(dvf, axis=-1).max() <= 5


def check_augmentation(folder):
    with np.load(str(folder / 'item.npz')) as item:
        drift, inside = item['drift'], item['mask'] > 0
    steps = np.array([np.median(plane[here]) for plane, here in zip(drift, inside)])
    assert 1 < np.abs(steps[0]) <= 40
    np.testing.assert_allclose(steps, np.linspace(steps[0], -steps[0], len(steps)), atol=1.01)
    assert np.abs(drift[~inside]).max() == 0


def check_network(found, folder):
    assert found['trained'] == 2 and found['network']['NetworkDesign'] == 'short_unet' and found['network']['step'] == 2
    assert (folder / 'Experiments' / 'RegNet' / 'extended' / 'train' / 'Model' / 'Saved').is_dir()


def check_likeness(found):
    assert found['judged by'] == 'mutual_information' and set(found['likeness']) == {'none', '1'}
    # The judge looks at 1 mm, where these images already are.
    assert found['likeness']['none'] == pytest.approx(found['by hand']['none'], abs=1e-6)
    # No image says more about one than itself: the entropy of its histogram.
    assert 0 < found['likeness']['none'] < found['itself'] < np.log(32)
