"""Settings and volumes that the tests of artificial generation share."""

import pytest

from functions.artificial_generation import original_images
from functions.setting import setting_utils as su
from tests.artificial_generation.generation_volumes import make_thorax, write_thorax


@pytest.fixture(scope='session')
def thorax():
    """320 x 240 x 280 mm at 4 mm: (z, y, x) = (70, 60, 80)."""
    return make_thorax((70, 60, 80), (4.0, 4.0, 4.0))


@pytest.fixture
def setting(tmp_path, thorax):
    """Setting of a data tree in a temporary folder with case 1 (types T00, T50) of the synthetic thorax, 4 mm
    at stage 1."""
    original_images.clear_cache()
    root = str(tmp_path) + '/'
    result = su.initialize_setting('Test', where_to_run='Root')
    result.update(RootFolder=root, DataFolder=root + 'Data/', log_root_folder=root + 'Experiments/', stage=1)
    su.load_setting_from_data_dict(
        result,
        [
            {
                'data': 'Phantom_4D',
                'deform_exp': '3D_max7_D14_K',
                'TrainingCNList': [1],
                'TrainingTypeImList': [0],
                'TrainingDSmoothList': [0, 5, 9, 13],
                'TrainingDeformedImExt': ['Clean', 'Sponge', 'Noise'],
                'ValidationCNList': [1],
                'ValidationTypeImList': [0],
                'ValidationDSmoothList': [5],
                'ValidationDeformedImExt': ['Clean', 'Sponge', 'Noise'],
            }
        ],
    )
    write_thorax(result, thorax)
    return result


@pytest.fixture
def info():
    """im_info of one item."""
    return {
        'data': 'Phantom_4D',
        'type_im': 0,
        'cn': 1,
        'deform_exp': '3D_max7_D14_K',
        'dsmooth': 0,
        'stage': 1,
        'padto': None,
        'deformed_im_ext': ['Clean', 'Sponge', 'Noise'],
    }
