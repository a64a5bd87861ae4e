"""One training image: the entry point for readers. It is the same from files or memory (see the package)."""

import collections
import functools

import numpy as np

from ..image.masks import apply_mask
from ..image.resample import downsample_mask
from ..image.volume_io import array_view, image_from_array
from ..setting.errors import MissingFileError, RegNetError
from . import item_files
from .deformed_image import make_deformed, make_next, shown_box
from .item_specification import ItemSpecification
from .masked_image import array_or_none, mask_of
from .original_images import load_original
from .scan_variety import WHOLE, Scan, cut, vary_scans

#: ``im``: int16 [z, y, x], moving; ``deformed_im``: int16, fixed, deformed_im(p) = im(p + dvf(p)); ``dvf``: float32
#: [z, y, x, 3], x, y, z in mm; ``mask``: uint8, the MaskToZero mask of the fixed grid (ones without MaskToZero);
#: ``lung``: uint8, lungs of the fixed image (zeros without lung masks); ``spacing``: mm, (x, y, z); ``im_info``: as
#: given. ``dvf``, ``mask`` and ``lung`` have DVFPad voxels more on every side. With the setting ``InputMargin`` all
#: arrays are cut to the box of both input masks and that many mm around it. Arrays may be read-only.
Item = collections.namedtuple('Item', ('im', 'deformed_im', 'dvf', 'mask', 'lung', 'spacing', 'im_info'))
#: An item before passes run on it: ``scans``: moving and fixed :class:`Scan`; ``dvf``: ITK image.
Draft = collections.namedtuple('Draft', ('spec', 'scans', 'dvf', 'mask'))


def get_item(setting, im_info, write=None):
    """An item from its files if they are finished and intact; otherwise made, and written: :class:`Item`.

    :param setting: with ``never_generate_image`` True nothing is made.
    :param im_info: dictionary with data, type_im, cn, deform_exp, dsmooth and optionally stage, padto, deformed_im_ext.
    :param write: False: nothing is written (existing files are still used).
    :raises MissingFileError: an original image is missing, or the item is and must not be made.
    :raises InputError, DiskError: a value or file cannot be used (the message names the item); it cannot be written.
    """
    return _finished(draft_item(setting, im_info, write))


def draft_item(setting, im_info, write=None):
    """All of :func:`get_item` that comes before passes: :class:`Draft`."""
    spec, write = ItemSpecification(setting, im_info), write is None or write
    try:
        if setting.get('never_generate_image') is True:
            done, reason = item_files.check_item(spec)
            if not done:
                remedy = 'never_generate_image is True; generate it first with --only_generate_image'
                raise MissingFileError(f'{spec.name} is not finished ({reason}) and {remedy}.')
        moving = _moving(spec, write)
        found = item_files.read_deformed(spec)
        if found is None:
            made = make_deformed(spec, moving, all_of_it=write)
            if write:
                item_files.write_item(spec, made)
            found = made.deformed, made.dvf
    except RegNetError as error:
        raise _named(error, spec) from error
    return _draft(spec, moving, *found)


class ItemAfterPasses:
    """:func:`get_item` in two steps: a draft that any process can make, and passes that need the networks of this one.

    :param passes: function (fixed, moving, masks, dvf, voxel, name) -> (fixed, moving, masks, dvf), ITK images, that
        replaces all of them by what passes before leave, on a grid no finer; it needs an input mask.
    :param voxel: stage at which the images are made; None: that of the settings.
    """

    def __init__(self, passes, voxel=None):
        self._passes = passes
        self.draft = draft_item if voxel is None else functools.partial(_draft_at, voxel)

    def finish(self, draft):
        """The item of a :class:`Draft`."""
        return _finished(draft, self._passes)

    def __call__(self, setting, im_info, write):
        return self.finish(self.draft(setting, im_info, write))


def _draft_at(voxel, setting, im_info, write=None):
    return draft_item(setting, dict(im_info, stage=voxel), write)


def produce(setting, im_info, verify=False):
    """Make an item's files unless they are finished: (made, reason), why it had to be made, '' if it was finished;
    ``verify``: compare the checksums of all files, even where size and time are as recorded.
    """
    spec = ItemSpecification(setting, im_info)
    try:
        done, reason = item_files.check_item(spec, verify)
        if done:
            return False, ''
        moving = _moving(spec, True, verify)
        # A next image is made again with the same voxels, so that what was deformed from it stays valid.
        if not item_files.check_deformed(spec, verify)[0]:
            item_files.write_item(spec, make_deformed(spec, moving))
    except RegNetError as error:
        raise _named(error, spec) from error
    return True, reason


def _named(error, spec):
    """The same error with the item's name in front, once."""
    return error if spec.name in str(error) else type(error)(f'{spec.name}: {error}')


def _moving(spec, write, verify=False):
    """Undeformed image and masks: the original for dsmooth 0, the next image otherwise."""
    if not spec.has_next:
        return load_original(spec, write)
    moving = item_files.read_next(spec, verify)
    if moving is None:
        moving, dvf, products = make_next(spec, load_original(spec, write))
        if write:
            item_files.write_next(spec, moving, dvf, products)
    return moving


def _draft(spec, moving, deformed, dvf):
    mask = np.ones(array_view(deformed.im).shape, dtype=np.uint8)
    if spec.mask_name is not None:
        mask = array_view(mask_of(deformed, spec.mask_name))
    scans = [
        Scan(*map(array_or_none, (volumes.im, volumes.lung, mask_of(volumes, spec.input_mask))), WHOLE)
        for volumes in (moving, deformed)
    ]
    if spec.variety is not None:
        scans = vary_scans(spec, scans, tuple(deformed.im.GetSpacing()))
        mask = cut(mask, scans[1].seen, 0)
    return Draft(spec, scans, dvf, mask)


def _finished(draft, passes=None):
    spec, ((im, _, inside, _), (deformed_im, lung, deformed_inside, _)), dvf, mask = draft
    pad, default = spec.dvf_pad, spec.record.DefaultPixelValue
    if passes is not None:
        volumes = [image_from_array(array, dvf) for array in (deformed_im, im, deformed_inside, inside)]
        *images, seen, left = passes(volumes[0], volumes[1], volumes[2:], dvf, spec.stage, spec.name)
        deformed_im, im, deformed_inside, inside = [array_view(volume) for volume in (*images, *seen)]
        mask, lung = [_on_grid_of(left, array, dvf) for array in (mask, lung)]
        dvf = left
    spacing = tuple(dvf.GetSpacing())
    if spec.input_mask is not None:
        im, deformed_im = apply_mask(im, inside, default), apply_mask(deformed_im, deformed_inside, default)
    lung = np.zeros(mask.shape, np.uint8) if lung is None else lung
    if pad > 0:
        mask, lung = [np.pad(array, pad, mode='constant') for array in (mask, lung)]
    box = shown_box(spec, (inside, deformed_inside), spacing)
    im, deformed_im, dvf, mask, lung = [array[box] for array in (im, deformed_im, array_view(dvf), mask, lung)]
    return Item(im, deformed_im, dvf, mask, lung, spacing, spec.im_info)


def _on_grid_of(coarse, array, fine):
    """A mask on the grid of ``fine`` on that of ``coarse``, both ITK images; None stays None."""
    if array is None:
        return None
    factor = round(coarse.GetSpacing()[0] / fine.GetSpacing()[0])
    return array_view(downsample_mask(image_from_array(array, fine), factor))
