"""The picture of the README is drawn from a folder of results, with the errors at landmarks."""

import os

import numpy as np
import pytest
from PIL import Image

from docs.figures import before_after
from functions.image.point_files import write_points
from functions.image.volume_io import write_image
from functions.registration import register
from functions.registration.result_folder import Draft
from tests.registration.oracle import CENTRE, GRIDS, Oracle, chest_image, grid_image

pytestmark = pytest.mark.once


def test_the_picture_shows_the_errors_before_and_after(tmp_path, monkeypatch):
    (fixed, lung), (moving, moving_lung) = pair = [
        chest_image(grid_image(*GRIDS['isotropic']), seed) for seed in (0, 1)
    ]
    for name, image in (('fixed', fixed), ('moving', moving)):
        write_image(image, str(tmp_path / f'{name}.mha'))
    options = {'fixed_lung': lung, 'moving_lung': moving_lung, 'affine': 'none', 'keep_all_stages': True}
    networks = Oracle(fixed, [4]).networks()
    found = register(str(tmp_path / 'fixed.mha'), str(tmp_path / 'moving.mha'), networks, **options)
    with Draft(str(tmp_path / 'results')) as draft:
        draft.finish(found)
    points = np.asarray(CENTRE) + np.array([[0.0, 0, 0], [5, -3, 4]])
    for name, shift in (('fixed', 0), ('moving', 3)):
        write_points(str(tmp_path / f'{name}.csv'), points + shift)
    # Segmenting such a small lung is not what is tested here.
    monkeypatch.setattr(before_after, 'read_chests', lambda folder: pair)
    titles, figure = [], before_after.before_after_figure
    monkeypatch.setattr(before_after, 'before_after_figure', lambda *a: titles.append(a[4]) or figure(*a))
    picture = str(tmp_path / 'picture.png')
    words = [str(tmp_path / 'results'), '--title', '{before} to {after}', '--note', 'a phantom', '--output', picture]
    before_after.main(words + ['--landmarks', str(tmp_path / 'fixed.csv'), str(tmp_path / 'moving.csv')])
    before, after = map(float, titles[0].split(' to '))
    assert before == pytest.approx(np.sqrt(27), abs=0.051) and after != before
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert('RGB')).astype(int)
    assert pixels.shape[1] > pixels.shape[0] > 300 and os.path.getsize(picture) < 400000
    # Differences are red or blue.
    assert (np.abs(pixels[..., 0] - pixels[..., 2]) > 100).any()
