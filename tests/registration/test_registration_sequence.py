"""--sequence: one phase as the fixed image of all others, judged against the results of the single pairs."""

import base64
import csv
import json
import logging
import os
import re

import numpy as np
import pytest
import SimpleITK as sitk
from model_folders import make_model
from oracle import CENTRE, chest_image, grid_image
from PIL import Image

import RunRegNet3D
from functions.registration.sequence import chosen_phase, read_phases
from functions.setting.errors import InputError, MissingFileError


def array(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


@pytest.fixture(scope='module')
def sequence(tmp_path_factory):
    """(folder, words of the command): three phases in one 4D NIfTI, registered to the middle one."""
    folder = tmp_path_factory.mktemp('sequence')
    phases = [chest_image(grid_image((40, 46, 24), (1.3, 1.2, 2.3)), seed)[0] for seed in range(3)]
    sitk.WriteImage(sitk.JoinSeries(phases), str(folder / 'breath.nii.gz'))
    (folder / 'points.csv').write_text(
        'label,x,y,z\n' + ''.join('p{},{},{},{}\n'.format(k, *(CENTRE + k + 0.25)) for k in (0, 5))
    )
    words = ['--sequence', str(folder / 'breath.nii.gz'), '--to', '1', '--output', str(folder / 'out')]
    words += ['--points', str(folder / 'points.csv'), '--model', make_model(folder / 'Experiments')]
    words += ['--affine', 'none', '--input_mask', 'none', '--keep_all_stages', '--threads', '1']
    assert RunRegNet3D.main(words) == 0
    return folder, words


def test_sequence_mean_trajectories_and_animation_follow_from_the_pairs(sequence):
    out = sequence[0] / 'out'
    folders = [out / '00_phase_0', out / '02_phase_2']
    moved = [array(out / 'phases' / 'phase_1.mha')] + [array(folder / 'moved.mha') for folder in folders]
    mean = array(out / 'mean.mha')
    assert mean.dtype == np.int16 and np.abs(mean - np.mean(moved, axis=0)).max() <= 0.5
    assert np.abs(moved[1] - moved[0]).max() > 50  # three different images
    rows = list(csv.DictReader(open(str(out / 'trajectories.csv'))))
    assert [(row['label'], row['phase']) for row in rows[:4]] == [
        ('p0', '00_phase_0'),
        ('p0', '01_phase_1'),
        ('p0', '02_phase_2'),
        ('p5', '00_phase_0'),
    ]
    for row in rows:
        start, there = CENTRE + int(row['label'][1]) + 0.25, [float(row[axis]) for axis in 'xyz']
        if row['phase'] != '01_phase_1':
            field = sitk.ReadImage(str(out / row['phase'] / 'displacement.mha'), sitk.sitkVectorFloat64)
            start = sitk.DisplacementFieldTransform(field).TransformPoint(start.tolist())
        np.testing.assert_allclose(there, start, atol=2e-4)
    with Image.open(str(out / 'animation.gif')) as film:
        assert film.n_frames == 3 and film.size[0] > 300
        frames = []
        for number in range(3):
            film.seek(number)
            frames.append(np.asarray(film.convert('L')).astype(float))
    assert np.abs(frames[0] - frames[1]).mean() > 1


@pytest.mark.once
def test_sequence_has_a_page_with_its_film_and_a_row_for_each_phase(sequence):
    out = sequence[0] / 'out'
    assert RunRegNet3D.main(['--report', str(out), '--workers', '1']) == 0
    page = (out / 'report.html').read_text(encoding='utf-8')
    film = base64.b64encode((out / 'animation.gif').read_bytes()).decode()
    assert f'<img alt="As it is and registered." src="data:image/gif;base64,{film}">' in page
    assert re.findall('<a href="([^"]*)">', page) == ['00_phase_0/report.html', '02_phase_2/report.html']
    for name in ('00_phase_0', '02_phase_2'):
        measures = json.loads(next((out / name).glob('RegNet_*.json')).read_text())
        assert f'value="{measures["intensity"]["after"]["ncc"]!r}"' in page
        assert 'class="viewer"' in (out / name / 'report.html').read_text(encoding='utf-8')


def test_sequence_goes_on_where_it_was_and_follows_its_inputs(sequence, capsys, caplog):
    folder, words = sequence
    names = ('00_phase_0/results.json', 'mean.mha', 'animation.gif', 'phases/phase_1.mha')
    before = [os.stat(str(folder / 'out' / name)).st_mtime_ns for name in names]
    with caplog.at_level(logging.INFO):
        assert RunRegNet3D.main(words) == 0
    assert [os.stat(str(folder / 'out' / name)).st_mtime_ns for name in names] == before
    assert 'Pairs: 100%' in capsys.readouterr().err  # with the time gone and left
    (folder / 'points.csv').write_text('x,y,z\n{},{},{}\n'.format(*(CENTRE + 0.25)))
    os.remove(str(folder / 'out' / 'mean.mha'))
    assert RunRegNet3D.main(words) == 0
    assert (
        len(open(str(folder / 'out' / 'trajectories.csv')).readlines()) == 4 and (folder / 'out' / 'mean.mha').exists()
    )
    assert os.stat(str(folder / 'out' / names[0])).st_mtime_ns == before[0]


def test_sequence_of_files_and_folders(tmp_path):
    for name in ('b.nii.gz', 'a.mha', 'notes.txt'):
        (tmp_path / name).write_text('')
    (tmp_path / 'c').mkdir()
    phases = read_phases([str(tmp_path)], 'out')
    assert [phase.name for phase in phases] == ['00_a', '01_b', '02_c']
    assert phases == read_phases([phase.path for phase in phases], 'out')
    assert chosen_phase(phases, 'b') == chosen_phase(phases, '1') == chosen_phase(phases, '01_b') == phases[1]


def test_sequence_refuses_in_one_sentence(sequence, tmp_path, caplog):
    (tmp_path / 'one.mha').write_text('')
    with pytest.raises(InputError, match='holds 1 phases'):
        read_phases([str(tmp_path)], 'out')
    with pytest.raises(MissingFileError, match='gone.mha does not exist'):
        read_phases(['gone.mha', 'a.mha'], 'out')
    sitk.WriteImage(sitk.Image([4, 4, 4], sitk.sitkInt16), str(tmp_path / 'flat.nii'))
    with pytest.raises(InputError, match='4 dimensions is needed'):
        read_phases([str(tmp_path / 'flat.nii')], str(tmp_path))
    with pytest.raises(InputError, match='--to 3 is not one phase'):
        chosen_phase(read_phases(['README.md', 'LICENSE', 'RunRegNet3D.py'], 'out'), '3')
    folder, words = sequence
    output = words.index('--output') + 1
    (tmp_path / 'mean.mha').write_text('mine')
    assert RunRegNet3D.main(words[:output] + [str(tmp_path)] + words[output + 1 :]) == 2
    assert 'mean.mha already exists' in caplog.text and (tmp_path / 'mean.mha').read_text() == 'mine'
    assert RunRegNet3D.main(words[:2] + words[4:]) == 2 and '--to PHASE go together' in caplog.text
