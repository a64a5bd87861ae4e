"""Items: one training image with its deformed copy and DVF, in the form that is fastest to cut patches from.

Only this module of the room uses artificial generation.
"""

import logging
import os
from collections import namedtuple

import numpy as np

from ..setting import setting_utils as su
from ..setting.errors import InputError, MissingFileError, RegNetError, account_of
from .class_balanced_sampling import class_indices, fitting_margin

LOGGER = logging.getLogger(__name__)

FALLBACK_PIXEL_VALUE = -2048

HeldItem = namedtuple('HeldItem', 'name pair dvf lung default indices')
HeldItem.__doc__ = """One item in memory.

name: its name in messages. pair: int16 [z, y, x, 2], channel 0 moving, channel 1 fixed (HU).
dvf: float32 [z, y, x, 3], mm, fixed to moving. lung: uint8 [z, y, x], 0 or 1, or None when the weight is 1
everywhere. default: the data set's default pixel value. indices: possible patch centres, None for whole images.
"""


class ItemError(RegNetError, RuntimeError):
    """An item could not be read or generated; the message starts with its name and has the traceback of a
    fault of the program.
    """


def item_name(im_info):
    """Short unique name of an item, for messages and batches."""
    prefixes = (('', 'data'), ('type', 'type_im'), ('cn', 'cn'), ('', 'deform_exp'), ('Dsmooth', 'dsmooth'))
    parts = [f'{prefix}{im_info[key]}' for prefix, key in prefixes if key in im_info]
    if 'deform_method' in im_info:
        parts.append(f'{im_info["deform_method"]}_D{im_info.get("deform_number", "")}')
    extension = im_info.get('deformed_im_ext')
    if extension:
        parts.append(extension if isinstance(extension, str) else '_'.join(extension))
    return '/'.join(parts + [f'S{im_info.get("stage", 1)}'])


def generated_item(setting, im_info, write=None):
    """The item, read from its files or generated."""
    from ..artificial_generation.training_item import get_item  # heavy; not needed with another ``make_item``

    return get_item(setting, im_info, write=write)


def image_size_from_header(setting, im_info):
    """(z, y, x) voxels of an item at its stage, from the header of the original image, which must exist."""
    from ..image.volume_io import read_geometry  # heavy; only for headers

    stage = im_info.get('stage', 1)
    where = {key: im_info[key] for key in ('data', 'type_im', 'cn')}
    address = su.address_generator(setting, 'OriginalIm', stage=1, **where)
    if not os.path.isfile(address):
        raise MissingFileError(f'The image {address} of {item_name(im_info)} does not exist.')
    return tuple(-(-length // stage) for length in read_geometry(address).shape)


def require_files(setting, im_info_list):
    """Refuse a list with items that are not on disk, for never_generate_image: a MissingFileError with their number and
    the first one.
    """
    names = ('data', 'deform_exp', 'type_im', 'cn', 'dsmooth', 'stage', 'padto', 'deformed_im_ext')
    missing = []
    for im_info in im_info_list:
        keys = {key: im_info[key] for key in names if key in im_info}
        addresses = [su.address_generator(setting, request, **keys) for request in ('DeformedIm', 'DeformedDVF')]
        missing += [f'{item_name(im_info)} ({address})' for address in addresses if not os.path.isfile(address)][:1]
    if missing:
        count = f'{len(missing)} of {len(im_info_list)} items'
        raise MissingFileError(f'never_generate_image is set and {count} are not on disk; the first is {missing[0]}.')


def hold_item(setting, im_info, make_item, options):
    """Get an item as a :class:`HeldItem`.

    :param make_item: ``make_item(setting, im_info, write=...)`` returns an object with im, deformed_im, dvf, mask and
        lung.
    :raises ItemError: any failure, with the name of the item; the original error is its cause.
    """
    name = item_name(im_info)
    try:
        item = make_item(setting, im_info, write=False if options.on_the_fly else None)
        _check(item, options)
        record = setting.get('data', {}).get(im_info.get('data'), {})
        indices = None
        if not options.full_image:
            mask = item.lung if options.sample_inside == 'lung' else item.mask
            margin = fitting_margin(mask, options.margin)
            if margin < options.margin and mask.any():
                LOGGER.info('%s: Margin %d leaves no patch centre, %d is used.', name, options.margin, margin)
            indices = class_indices(item.dvf, mask, options.class_limits, margin, options.class_rule)
        pair = np.empty(item.im.shape + (2,), dtype=np.int16)
        pair[..., 0] = item.im
        pair[..., 1] = item.deformed_im
        lung = None if options.lung_weight == 1 else (item.lung != 0).view(np.uint8)
        dvf = np.ascontiguousarray(item.dvf, dtype=np.float32)
        return HeldItem(name, pair, dvf, lung, record.get('DefaultPixelValue', FALLBACK_PIXEL_VALUE), indices)
    except Exception as error:
        raise ItemError(f'{name}: {account_of(error)}') from error


def _check(item, options):
    shape = item.im.shape
    others = [('deformed image', item.deformed_im.shape), ('DVF', item.dvf.shape[:3])]
    if not options.full_image or item.mask is not None:
        others.append(('mask', item.mask.shape))
    if options.lung_weight != 1 or options.sample_inside == 'lung':
        others.append(('lung mask', item.lung.shape))
    for what, size in others:
        if size != shape:
            raise InputError(f'the {what} has the size {size} but the image {shape} (z, y, x)')
    if len(shape) != 3 or item.dvf.shape[3:] != (3,):
        raise InputError(f'a 3D image and a DVF of three components are needed, not {shape} and {item.dvf.shape}')
