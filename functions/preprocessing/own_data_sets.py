"""All images that the setting ``OwnImages`` lists, prepared where their data sets expect them."""
import os

from functions.preprocessing.own_images import prepare_image
from functions.setting.errors import InputError, MissingFileError

# mm of air kept around the torso: scanners reconstruct far more, and every later step would pay for it.
MARGIN = 10


def prepare_own_images(setting):
    """Prepare every image of ``setting['OwnImages']`` that is not prepared yet.

    :param setting: the setting dictionary; ``OwnImages`` is data set -> case number -> list of paths, one per type of the
        data set (None where a case lacks one): files or DICOM folders.
    :return: list of :class:`functions.preprocessing.own_images.Prepared`.
    :raises MissingFileError, InputError: a path that is not there or a list of another length, before anything is prepared.
    """
    wanted = []
    for data, cases in setting.get('OwnImages', {}).items():
        types = setting['data'][data]['types'] if data in setting['data'] else None
        for cn, paths in cases.items():
            if not str(cn).isdigit() or not isinstance(paths, (list, tuple)) or (types and len(paths) > len(types)):
                raise InputError("OwnImages[{!r}][{!r}] must be case number -> list of paths, one for each of the types {}; got "
                                 '{!r}.'.format(data, cn, types, paths))
            for type_im, path in enumerate(paths):
                if path is not None and not os.path.exists(os.path.expanduser(path)):
                    raise MissingFileError('OwnImages[{!r}][{!r}]: {} does not exist.'.format(data, cn, path))
                if path is not None:
                    wanted.append((os.path.expanduser(path), data, int(cn), type_im))
    return [prepare_image(path, setting, data, cn, type_im, margin=MARGIN) for path, data, cn, type_im in wanted]
