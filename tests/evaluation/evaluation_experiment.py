"""A finished experiment on disk, without a network: small phantoms, registered by a part of the truth."""

import os

import numpy as np
import SimpleITK as sitk
from matplotlib.figure import Figure

import functions.setting.setting_utils as su
from functions.image.dvf import jacobian_determinant_of
from functions.image.manifest import record_file
from functions.image.resample import warp
from functions.image.volume_io import array_view, image_from_array, write_image
from functions.phantom.phantom import make_case
from functions.setting.addresses import result_address
from functions.setting.atomic import write_json
from functions.setting.text_files import read_json

DATA = 'Phantom_4D'
STEP = '40'


def setting_in(folder, name, cases=(1, 2)):
    """Settings of an experiment below a folder."""
    setting = dict(
        su.initialize_setting(name, 'Root'),
        RootFolder=str(folder) + '/',
        DataFolder=str(folder) + '/Data/',
        log_root_folder=str(folder) + '/Experiments/',
    )
    setting['Phantom'] = {'Landmarks': 50, 'LandmarksAllPhases': 20}
    setting.update(
        stage=4,
        BaseReg='Identity',
        stage_list=[4],
        network_dict={'stage4': {'NetworkDesign': 'unet1', 'NetworkLoad': name, 'GlobalStepLoad': 'Last', 'stage': 4}},
    )
    su.load_setting_from_data_dict(
        setting,
        [
            {
                'data': DATA,
                'deform_exp': '3D_max20_D14_K',
                'TrainingCNList': [3],
                'TrainingTypeImList': [0],
                'TrainingDSmoothList': [0],
                'TestingCNList': list(cases),
                'TestingPairList': [[0, 5]],
                'TestingSpacing': 'RS1',
            }
        ],
    )
    return setting


def make_cases(setting, cases=(1, 2), size=(72, 64, 68)):
    """Small patients of the experiment."""
    for cn in cases:
        make_case(setting, cn, size=size)


def pairs_of(setting):
    return su.get_im_info_list_from_train_mode(setting, 'Testing', load_mode='Pair', stage=1)


def register(setting, share, step=STEP):
    """Write results as a registration does: `share` of the true displacement, so that `1 - share` is left."""
    for pair in pairs_of(setting):
        truth = su.address_generator(setting, 'TrueDVF', data=DATA, cn=pair[0]['cn'], pair_info=pair, stage=1)
        truth = sitk.ReadImage(truth)
        dvf = image_from_array(array_view(truth) * share, truth)
        moving = sitk.ReadImage(
            su.address_generator(setting, 'OriginalIm', data=DATA, cn=pair[1]['cn'], type_im=5, stage=1)
        )
        for request, image in (
            ('dvf_s0', dvf),
            ('MovedIm', warp(moving, dvf)),
            ('dvf_s0_jac', jacobian_determinant_of(dvf)),
        ):
            path = result_address(setting, request, pair, step)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            sitk.WriteImage(image, path)
        write_json(
            os.path.join(os.path.dirname(path), 'registration.json'),
            {'pair': pair, 'stages': [4], 'seconds': 1.5, 'InputMask': 'Lung'},
        )


def expect(setting, factors, step=STEP):
    """Add a map to results of half of the truth that says, case by case, so many times the true error in the upper half
    of the image, and nothing in the lower one; return the paths."""
    paths = []
    for pair, factor in zip(pairs_of(setting), factors):
        address = su.address_generator(setting, 'TrueDVF', data=DATA, cn=pair[0]['cn'], pair_info=pair, stage=1)
        truth = sitk.ReadImage(address)
        errors = factor * np.linalg.norm(array_view(truth), axis=-1) / 2
        layers = np.stack([errors] + [np.full(errors.shape, share) for share in (0.1, 0.3, 0.5, 0.9)], -1)
        layers[: len(layers) // 2] = 0
        paths.append(result_address(setting, 'error_map', pair, step))
        write_image(image_from_array(layers.astype(np.float32), truth), paths[-1])
        record = os.path.join(os.path.dirname(paths[-1]), 'registration.json')
        write_json(record, dict(read_json(record), outputs=[record_file(paths[-1])]))
    return paths


def train(setting):
    """What a training leaves beside its checkpoints."""
    folder = os.path.dirname(su.write_setting(setting))
    write_json(
        os.path.join(folder, 'about0.json'),
        {
            'started': '2020-01-02T03:04:05',
            'command_line': ['RunRegNet3D.py', '--stage', '4'],
            'python': '3.x',
            'packages': {'numpy': '1.x', 'tensorflow': '2.x'},
            'code': {'commit': 'abc123', 'changed': True, 'checksum': 'feed'},
        },
    )
    figure = Figure(figsize=(10, 4), dpi=120)
    figure.add_subplot(111).plot([3, 2, 1])
    os.makedirs(os.path.join(folder, 'Plots'), exist_ok=True)
    figure.savefig(os.path.join(folder, 'Plots', 'training_curve.png'))
