"""All images that the setting ``OwnImages`` lists, prepared where their data sets expect them."""

import os

from functions.preprocessing.own_images import prepare_image
from functions.setting.own_image_checks import own_image_errors

# mm of air kept around the torso: scanners reconstruct far more, and every later step would pay for it.
MARGIN = 10


def prepare_own_images(setting):
    """Prepare every image of ``setting['OwnImages']`` that is not prepared yet.

    :param setting: the setting dictionary; ``OwnImages`` is data set -> case number -> list of paths, one for
        each type of the data set (None where a case lacks it): files or DICOM folders.
    :return: list of :class:`functions.preprocessing.own_images.Prepared`.
    :raises UnknownNameError, MissingFileError, InputError: the first of what
        :func:`functions.setting.own_image_checks.own_image_errors` finds, before anything is prepared.
    """
    errors = own_image_errors(setting)
    if errors:
        raise errors[0]
    return [
        prepare_image(os.path.expanduser(path), setting, data, int(cn), type_im, margin=MARGIN)
        for data, cases in setting.get('OwnImages', {}).items()
        for cn, paths in cases.items()
        for type_im, path in enumerate(paths)
        if path is not None
    ]
