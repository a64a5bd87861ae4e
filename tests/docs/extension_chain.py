"""Uses every example of ``examples/`` as any other part of RegNet is used; prints what came of it as JSON.

Run in an empty folder, with a package that has the examples.
"""

import json
import sys

import numpy as np
import SimpleITK as sitk

import functions.setting.setting_utils as su
from functions.artificial_generation.batch import generate_batch
from functions.artificial_generation.training_item import get_item
from functions.image.volume_io import write_image
from functions.measure.likeness import COMPARISONS
from functions.registration import register
from functions.setting.artificial_generation_setting import register_deform_exp
from functions.training.trainer import train

SHAPE = (41, 39, 45)  # z, y, x


def chest(breath):
    """(image in HU, lungs, torso) as arrays [z, y, x]: two ellipsoids of lung with blobs in a cylinder of tissue."""
    z, y, x = np.meshgrid(*[np.arange(n) - n // 2 for n in SHAPE], indexing='ij')
    torso = (x / 21.0) ** 2 + (y / 18.0) ** 2 < 1
    lung = ((np.abs(x) - 10) / 7.0) ** 2 + (y / 12.0) ** 2 + ((z - breath) / 15.0) ** 2 < 1
    blobs = 250 * np.sin(x / 2.0) * np.sin(y / 2.5) * np.sin((z - breath) / 3.0)
    image = np.where(torso, np.where(lung, -800 + blobs, 40), -1000)
    return image.astype(np.int16), lung.astype(np.uint8), torso.astype(np.uint8)


def main():
    """The chain."""
    setting = su.initialize_setting('extended', where_to_run='Root')
    register_deform_exp('twisted', DeformMethods=['twist'], MaxDeform=5, NextIm_MaxDeform=0)
    entry = {'data': 'TwoVisits', 'deform_exp': 'twisted', 'TrainingCNList': [3], 'TrainingTypeImList': [0, 1]}
    entry.update(TrainingDSmoothList=[0, 1], TrainingDeformedImExt=['Clean', 'Drift'])
    setting = su.load_setting_from_data_dict(setting, [entry])
    images, found = [], {}
    for type_im, breath in enumerate((0, 1)):
        volumes = [sitk.GetImageFromArray(array) for array in chest(breath)]
        for request, volume in zip(('OriginalIm', 'OriginalLung', 'OriginalTorso'), volumes):
            write_image(volume, su.address_generator(setting, request, data='TwoVisits', cn=3, type_im=type_im))
        images.append(volumes)
    found['addresses'] = [
        su.address_generator(setting, request, data='TwoVisits', cn=3, type_im=1)
        for request in ('OriginalIm', 'OriginalImRaw', 'LandmarkPoint_tr')
    ]

    setting = su.load_network_setting(setting, 'short_unet')
    setting.update(normalization='lung', DVFUnit='voxel', InputMask='Lung')
    training = {'MaxIterations': 2, 'BatchSize': 1, 'NumberOfImagesPerChunk': 2, 'SamplesPerImage': 1}
    setting['NetworkTraining'].update(training, ValidationInterval=2)
    found['problems'] = su.find_problems(setting)
    report = generate_batch(setting, n_workers=2)
    found['made'], found['failed'] = len(report.made), report.failed

    info = su.get_im_info_list_from_train_mode(setting, 'Training')[1]
    seen = dict(setting, InputMask=None)
    drifted, clean = [get_item(seen, dict(info, deformed_im_ext=ext), False) for ext in (['Clean', 'Drift'], ['Clean'])]
    np.savez('item.npz', dvf=drifted.dvf, drift=drifted.deformed_im.astype(int) - clean.deformed_im, mask=drifted.mask)

    found['trained'] = train(setting, threads=1).iteration
    (fixed, lung, _), (moving, moving_lung, _) = images
    options = {'affine': 'none', 'threads': 1, 'trained': False, 'keep_all_stages': True}
    options.update(fixed_lung=lung, moving_lung=moving_lung, likeness='mutual_information')
    result = register(fixed, moving, 'Experiments/RegNet/extended', **options)
    found['network'] = result.settings['networks']['1']
    found['judged by'], found['likeness'] = result.settings['likeness'], result.measures['likeness']
    comparison = COMPARISONS['mutual_information'](fixed, moving, lung, moving_lung)
    found['by hand'] = {'none': comparison.likeness(lambda points: points)}
    found['itself'] = COMPARISONS['mutual_information'](fixed, fixed, lung, lung).likeness(lambda points: points)
    json.dump(found, sys.stdout)


if __name__ == '__main__':
    main()
