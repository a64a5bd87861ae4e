"""The user's own chest CT in a data set: isotropic image, lung and torso masks, at the addresses of the data set."""

import collections
import logging
import os
import time
from typing import Any, Dict, Optional, Union

import SimpleITK as sitk

from ..image.file_check import require_apart
from ..image.manifest import check_manifest, fingerprint, recorded_inputs, write_work
from ..image.masks import bounding_box, read_mask, require_nonempty
from ..image.volume_io import array_view
from ..setting.original_files import own_image_errors, own_image_path, path_and_series
from ..setting.setting_utils import address_generator
from .chest_masks import chest_masks, torso_mask
from .hounsfield import load_ct
from .isotropic import mask_to_isotropic, to_isotropic
from .lung_check import lung_report, warn

LOGGER = logging.getLogger(__name__)

FORMAT_NUMBER = 2  # increment when the same source gives a different result
SPACING = 1.0  # mm
MARGIN = 10  # mm of air kept around the torso; scanners reconstruct far more, which costs memory in every later step
Prepared = collections.namedtuple('Prepared', ('im', 'lung', 'torso', 'made'))


def prepare_own_images(setting):
    """Prepare every image of ``setting['OwnImages']`` that is not prepared yet: list of :class:`Prepared`.

    ``OwnImages`` maps data set -> case number -> list of paths (files or DICOM folders), one for each type of the data
    set, None where a case lacks it; {'path': folder, 'series': UID or number} where a folder holds several series.

    :raises UnknownNameError, MissingFileError, InputError: the first problem found, before anything is prepared.
    """
    errors = own_image_errors(setting)
    if errors:
        raise errors[0]
    jobs = []
    for data, cases in setting.get('OwnImages', {}).items():
        for cn, entries in cases.items():
            for type_im, (path, series) in enumerate(map(path_and_series, entries)):
                if path is not None:
                    where = {'data': data, 'cn': int(cn), 'type_im': type_im}
                    jobs.append((own_image_path(setting, path), series, where))
    require_apart([path for *_, where in jobs for path in _addresses(setting, **where)], [job[0] for job in jobs])
    return [prepare_image(path, setting, series=series, margin=MARGIN, **where) for path, series, where in jobs]


def _addresses(setting, **where):
    """Paths of the image, its lung and its torso mask."""
    requests = ('OriginalIm', 'OriginalLung', 'OriginalTorso')
    return [address_generator(setting, what, stage=1, **where) for what in requests]


def prepare_image(
    source: str,
    setting: Dict[str, Any],
    data: str,
    cn: int,
    type_im: int = 0,
    lung: Optional[str] = None,
    torso: Optional[str] = None,
    series: Union[str, int, None] = None,
    margin: Optional[float] = None,
) -> Prepared:
    """Write the isotropic image and the masks of one CT where the data set expects them.

    The image becomes int16 HU at 1 mm with identity direction (x to the patient's left, y posterior, z superior).
    Nothing is done if its manifest (a .json beside the image) shows that it was prepared from the same files.

    :param source: .mha, .mhd, .nii, .nii.gz or .nrrd file, or folder with a DICOM series.
    :param data, cn, type_im: key of a registered data set, case number from 1, index into its types.
    :param lung, torso: mask files on the grid of ``source``; None: made from the HU.
    :param series: series instance UID or series number, if a DICOM folder contains several.
    :param margin: mm of air to keep around the torso; None: the whole field of view.
    :return: :class:`Prepared`: the addresses OriginalIm, OriginalLung and OriginalTorso, and whether they were made
        now.
    :raises MissingFileError, InputError, UnknownNameError: before anything is written.
    """
    paths = _addresses(setting, data=data, cn=cn, type_im=type_im)
    require_apart(paths, [source, lung, torso])
    manifest = manifest_address(paths[0])
    known = recorded_inputs(manifest)
    made_from = {
        'source': fingerprint(source, known),
        'series': series,
        'spacing': SPACING,
        'margin': margin,
        'lung': fingerprint(lung, known),
        'torso': fingerprint(torso, known),
    }

    def contents():
        image, masks = prepare(source, lung, torso, series, margin)
        return zip(paths, (image, *masks))

    return Prepared(paths[0], paths[1], paths[2], write_once(manifest, made_from, contents))


def prepare(source, lung=None, torso=None, series=None, margin=None):
    """The images that :func:`prepare_image` writes: (image, (lung, torso)), int16 and uint8 at 1 mm."""
    native, shown = load_ct(source, series), 'The image' if isinstance(source, sitk.Image) else source
    given = [
        None if mask is None else read_mask(mask, native, name=f'The {name} mask')
        for mask, name in ((lung, 'lung'), (torso, 'torso'))
    ]
    image = to_isotropic(native, SPACING)
    masks = [None if mask is None else mask_to_isotropic(mask, SPACING) for mask in given]
    if masks[0] is None:
        found = chest_masks(image, native)
        masks = [found.lung, found.torso if masks[1] is None else masks[1]]
    elif masks[1] is None:
        masks[1] = torso_mask(image, native)
    for mask, name in zip(masks, ('lung', 'torso')):
        require_nonempty(mask, f'The {name} mask of {shown}')
    warn(lung_report(masks[0], image), shown, 'Look at it before training on this scan.')
    if margin is not None:
        box = bounding_box(array_view(masks[1]) > 0, int(round(margin / SPACING)))
        image, masks[0], masks[1] = [volume[box[2], box[1], box[0]] for volume in [image] + masks]
        require_nonempty(masks[0], f'The lung mask of {shown} inside the torso')
    return image, tuple(masks)


def write_once(manifest, made_from, contents):
    """Write what ``contents()`` gives, pairs of (path, image or text), then their manifest, unless it shows that they
    were made from the same inputs; returns whether they were made now.
    """
    done, reason = check_manifest(manifest, made_from, FORMAT_NUMBER)
    if done:
        return False
    if reason != 'no manifest':
        LOGGER.warning('%s: prepared again, because %s.', manifest, reason)
    started = time.time()
    write_work(manifest, made_from, FORMAT_NUMBER, contents())
    LOGGER.info('%s: prepared in %.1f s.', manifest, time.time() - started)
    return True


def manifest_address(im):
    """Path of the manifest of a prepared image, beside it."""
    return os.path.splitext(im)[0] + '.json'
