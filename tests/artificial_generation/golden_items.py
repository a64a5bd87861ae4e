"""The items that both Pythons must make alike, and what they looked like when they were stored.

Run as a command this stores them anew, which is needed (and right) only when FORMAT_NUMBER of
functions/artificial_generation/item_files.py is raised:

    PYTHONPATH=. python tests/artificial_generation/golden_items.py
"""

import hashlib
import os
import tempfile

import numpy as np
from generation_volumes import make_item, make_thorax, write_thorax
from threadpoolctl import threadpool_info

from functions.artificial_generation import original_images
from functions.setting import setting_utils as su
from functions.setting.artificial_generation_setting import load_deform_exp_setting

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'golden_items.npz')
CATEGORIES = ['respiratory_motion', 'single_frequency', 'mixed_frequency', 'translation', 'zero']
ARRAYS = ('im', 'deformed_im', 'dvf', 'mask', 'lung')
#: (experiment, stage, sponge model, first dsmooth); dsmooth from 5 on have a next image.
GROUPS = [
    ('3D_max7_D14_K', 1, 'published', 0),
    ('3D_max15_D14_K', 2, 'physical', 5),
    ('3D_max20_D14_K', 4, 'published', 5),
]
#: Every so many voxels (stage 1) of images and of DVFs are stored.
IMAGE_STEP, DVF_STEP = 8, 12


def matrix_kernels():
    """Which matrix kernels NumPy's library chose for this processor, for example 'Haswell'."""
    return sorted({str(library.get('architecture')) for library in threadpool_info() if library['user_api'] == 'blas'})


def checksum(array):
    """Checksum of type, shape and voxels."""
    digest = hashlib.blake2b(repr((array.dtype.str, array.shape)).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def thinned(name, array, stage):
    """Every few voxels of an array, beginning half a step from its corner."""
    step = max(1, (DVF_STEP if name == 'dvf' else IMAGE_STEP) // stage)
    return array[step // 2 :: step, step // 2 :: step, step // 2 :: step]


def make_items(root):
    """Yield (name, stage, Item) of every golden item, made in memory.

    :param root: empty folder for the synthetic thorax they start from.
    """
    setting = su.initialize_setting('Golden', where_to_run='Root')
    root = os.path.join(root, '')
    setting.update(RootFolder=root, DataFolder=root + 'Data/', log_root_folder=root + 'Experiments/')
    original_images.clear_cache()
    write_thorax(setting, make_thorax((70, 60, 80), (4.0, 4.0, 4.0)))
    for experiment, stage, model, first in GROUPS:
        setting['SpongeModel'] = model
        setting['deform_exp'] = {experiment: dict(load_deform_exp_setting(experiment), DeformMethods=CATEGORIES)}
        for dsmooth in range(first, first + len(CATEGORIES)):
            info = {
                'data': 'Phantom_4D',
                'type_im': 0,
                'cn': 1,
                'deform_exp': experiment,
                'stage': stage,
                'dsmooth': dsmooth,
                'deformed_im_ext': ['Clean', 'Sponge', 'Noise', 'Occluded'],
            }
            yield f'{CATEGORIES[dsmooth % 5]} s{stage} {model}', stage, make_item(setting, info)


def store():
    """Make and store the golden values."""
    values = {'kernels': np.array(matrix_kernels())}
    with tempfile.TemporaryDirectory() as root:
        for name, stage, item in make_items(root):
            for array_name in ARRAYS:
                array = getattr(item, array_name)
                values[f'{name} {array_name}'] = thinned(array_name, array, stage)
                values[f'{name} {array_name} checksum'] = np.array(checksum(array))
    np.savez_compressed(PATH, **values)


if __name__ == '__main__':
    store()
