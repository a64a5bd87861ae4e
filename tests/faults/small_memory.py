"""Work repeated in one process, as a command: what, how often, the folders; prints the memory in use after each."""

import gc
import os

import psutil


def main(words):
    kind, count, *folders = words
    work = {'pairs': pairs, 'items': items, 'models': models}[kind](*folders)
    for number in range(int(count)):
        work(number)
        gc.collect()
        print(f'\nmemory: {psutil.Process().memory_full_info().uss}')
    return 0


def pairs(inputs, output):
    """Registration of the pair of ``inputs``, each into a folder of its own below ``output``."""
    from functions.registration.network_pyramid import open_model
    from functions.registration.pair_lists import register_into

    model = open_model(_model(inputs), threads=1)
    files = {name: os.path.join(inputs, name + '.nii.gz') for name in ('fixed', 'moving')}
    files.update({name: os.path.join(inputs, name + '.nrrd') for name in ('fixed_lung', 'moving_lung')})

    def work(number):
        assert register_into(os.path.join(output, str(number)), files, model, affine='none', threads=1)[0]

    return work


def items(patient):
    """Training items, made from the images in ``patient`` and not written."""
    from small_commands import ITEMS

    from functions.artificial_generation.training_item import get_item
    from functions.setting import setting_utils as su

    os.chdir(patient)
    setting = dict(su.initialize_setting('mine', 'Root'), stage=4, InputMask='Lung', NumberOfThreads=1)
    su.load_setting_from_data_dict(setting, ITEMS)
    im_infos = su.get_im_info_list_from_train_mode(setting, 'Training')
    return lambda number: get_item(setting, im_infos[number % len(im_infos)], write=False)


def models(inputs):
    """A model that is opened and closed."""
    from functions.registration.network_pyramid import open_model

    def work(number):
        del number
        with open_model(_model(inputs), threads=1):
            pass

    return work


def _model(inputs):
    return os.path.join(inputs, 'Experiments', 'RegNet', 'tiny')
