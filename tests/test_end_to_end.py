"""The README's main command on a small phantom: images, deformations, training, registration, and the error falls."""

import json
import os

import pytest

import RunRegNet3D

pytestmark = pytest.mark.longest

BORDER = [[0, 0, 0]] * 5
# Respiratory and single-frequency deformations, four different ones of each kind.
DEFORMATIONS = [number + 14 * turn for turn in range(4) for number in range(9)]
SETTING = {
    'current_experiment': 'end_to_end',
    'stage': 4,
    'where_to_run': 'Root',
    'Phantom': {'Size': [148, 116, 148], 'Landmarks': 100, 'LandmarksAllPhases': 50},
    'DataExpDict': [
        {
            'data': 'Phantom_4D',
            'deform_exp': '3D_max20_D14_K',
            'TrainingCNList': [1],
            'TrainingTypeImList': [0, 5],
            'TrainingDSmoothList': DEFORMATIONS,
            'TrainingDeformedImExt': ['Clean', 'Sponge', 'Noise'],
            'TestingCNList': [1],
            'TestingPairList': [[0, 5]],
        }
    ],
    # The volume is small: with the published border nothing would be left of the coarse grids.
    'deform_exp': {
        '3D_max20_D14_K': {
            'RespiratoryMotion_t0': [25] * 5,
            'NextIm_MaxDeform': 8,
            'SingleFrequency_SetGridBorderToZero': BORDER,
            'RespiratoryMotion_SetGridBorderToZero': BORDER,
        }
    },
    'NetworkTraining': {
        'MaxIterations': 500,
        'NumberOfImagesPerChunk': 72,
        'BatchSize': 1,
        'ValidationInterval': 500,
        'LearningRate_Base': 3e-3,
    },
    'NumberOfThreads': 2,
}


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """The folder after one run of the main command, and its exit code."""
    folder = tmp_path_factory.mktemp('end_to_end')
    before = os.getcwd()
    os.chdir(str(folder))
    try:
        with open('my_run.json', 'w') as stream:
            json.dump(SETTING, stream)
        return folder, RunRegNet3D.main(['--setting', 'my_run.json'])
    finally:
        os.chdir(before)


def test_landmark_error_falls_and_beats_the_best_constant_shift(finished):
    folder, code = finished
    assert code == 0
    paths = list((folder / 'Experiments').glob('**/measures.json'))
    assert len(paths) == 1
    rows = {row['method']: row for row in json.loads(paths[0].read_text())}
    print(json.dumps(rows))
    before, shift, after = (rows[name]['TRE mm'] for name in ('before registration', 'best constant shift', 'RegNet'))
    assert after < 0.9 * before
    assert after < shift
    picture = paths[0].parent / 'registration.png'
    assert picture.read_bytes()[:8] == b'\x89PNG\r\n\x1a\n'
