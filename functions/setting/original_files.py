"""The original images and masks a setting needs, and whether they are there."""

import os

from functions.setting import schema
from functions.setting.addresses import address_generator
from functions.setting.errors import InputError, MissingFileError
from functions.setting.image_lists import get_im_info_list_from_train_mode


def single_items(setting, mode):
    """Items of a mode as im_info dictionaries; entries of real pairs have none."""
    entries = [entry for entry in setting['DataExpDict'] if mode + 'PairList' not in entry]
    return get_im_info_list_from_train_mode(dict(setting, DataExpDict=entries), mode)


def _images_of_pairs(setting, mode):
    entries = [entry for entry in setting['DataExpDict'] if mode + 'PairList' in entry]
    pairs = get_im_info_list_from_train_mode(dict(setting, DataExpDict=entries), mode, 'Pair', 'real')
    return [image for pair in pairs for image in pair]


def missing_originals(setting):
    """Original files that the items and pairs of a setting need and that are not there, sorted.

    They are the isotropic images of stage 1, from which other stages are made, and the masks in use.

    :raises InputError: no data are loaded.
    """
    if 'DataExpDict' not in setting:
        raise InputError('The setting has no data; call load_setting_from_data_dict first.')
    wanted = set()
    requests = ['Im'] + [mask for mask in schema.MASKS if setting.get(f'Use{mask}Mask')]
    for mode in schema.TRAIN_MODES:
        for item in single_items(setting, mode) + _images_of_pairs(setting, mode):
            image = {key: item[key] for key in ('data', 'cn', 'type_im', 'spacing') if key in item}
            wanted.update(address_generator(setting, request, dsmooth=0, stage=1, **image) for request in requests)
    return sorted(address for address in wanted if not os.path.isfile(address))


def require_originals(setting):
    """Refuse to start when an original image or mask is missing.

    :raises MissingFileError: names the first ten and says how many there are.
    """
    missing = missing_originals(setting)
    if missing:
        what = 'original image or mask is' if len(missing) == 1 else 'original images and masks are'
        named = ', '.join(missing[:10]) + (f' and {len(missing) - 10} more' if len(missing) > 10 else '')
        raise MissingFileError(
            f'{len(missing)} {what} missing: {named}. Make or prepare the data set first (README, "Your own images").'
        )
