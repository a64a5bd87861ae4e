"""Original images and masks at the stage and padding an item needs, made once.

Training and registration share one down-sampling rule, :func:`functions.image.resample.downsample` (setting
``DownSampling`` = 'bspline'): a separable low-pass filter, size ceil(N / stage). The published code used two that
differ in size and filter, so that in use a network saw other intensities than in training.
"""

import collections
import logging
import os
import threading

from ..image.manifest import check_manifest, write_work
from ..image.masks import read_mask
from ..image.resample import downsample, downsample_mask, pad_to
from ..image.volume_io import array_view, read_image
from ..setting.atomic import sweep_stale_temporaries
from ..setting.errors import InputError, MissingFileError, RegNetError
from .masked_image import MaskedImage, as_int16, require_working_grid

LOGGER = logging.getLogger(__name__)

#: Raised by hand when the voxels of down-sampled originals change.
FORMAT_NUMBER = 1
#: Bytes of original images kept in memory by a process; the last image is kept whatever its size.
CACHE_BYTES = 256 * 2**20
REQUESTS = ('OriginalIm', 'OriginalLung', 'OriginalTorso')

_cache, _cache_lock = collections.OrderedDict(), threading.Lock()


def clear_cache():
    """Forget the original images kept in memory."""
    with _cache_lock:
        _cache.clear()


def _remembered(key):
    with _cache_lock:
        if key in _cache:
            _cache.move_to_end(key)
        return _cache.get(key)


def _remember(key, volumes):
    """Keep ``volumes``; forget the least recently used ones beyond the limit."""
    with _cache_lock:
        _cache[key] = volumes
        while len(_cache) > 1 and sum(map(_bytes, _cache.values())) > CACHE_BYTES:
            _cache.popitem(last=False)


def _bytes(volumes):
    return sum(array_view(image).nbytes for image in volumes if image is not None)


def load_original(spec, write=True):
    """Original :class:`MaskedImage` of an item at its stage and padding.

    :param write: keep down-sampled or padded originals on disk, at the addresses :data:`REQUESTS`.
    :raises MissingFileError, InputError: an original is missing or unusable (grid, empty mask, larger than ``padto``).
    """
    sources = spec.original_sources()
    stamps = tuple((path,) + _stamp(path, request) for request, path in sorted(sources.items()))
    key = (spec.stage, spec.padto, spec.record.DefaultPixelValue) + stamps
    volumes = _remembered(key)
    if volumes is None:
        volumes = _resampled(spec, sources, write) if spec.is_resampled else _read(sources)
        _remember(key, volumes)
    elif write and spec.is_resampled and not _check(spec)[0]:
        _write(spec, volumes)
    return volumes


def sweep_original(spec):
    """Remove what processes that are gone left of the down-sampled or padded original of an item."""
    for folder in {os.path.dirname(path) for path in _paths(spec).values()}:
        sweep_stale_temporaries(folder)


def _stamp(path, request):
    try:
        status = os.stat(path)
    except OSError as error:
        remedy = 'prepare the data set first, or check data, cn and type_im'
        raise MissingFileError(f'{request} {path} does not exist; {remedy}.') from error
    return status.st_size, status.st_mtime_ns


def _read(paths):
    im = as_int16(require_working_grid(read_image(paths['OriginalIm']), paths['OriginalIm']))
    masks = [read_mask(paths[request], like=im) if request in paths else None for request in REQUESTS[1:]]
    return MaskedImage(im, *masks)


def _resampled(spec, sources, write):
    """Down-sampled or padded originals: from their files if those are finished, made otherwise."""
    done, reason = _check(spec)
    if done:
        try:
            return _read(_paths(spec))
        except RegNetError as error:
            reason = str(error)
    if reason != 'no manifest':
        LOGGER.warning('Making the down-sampled original again: %s', reason)
    if spec.padto is None:
        original = _read(sources)
        masks = [None if mask is None else downsample_mask(mask, spec.stage) for mask in original[1:]]
        volumes = MaskedImage(downsample(original.im, spec.stage), *masks)
    else:
        volumes = _padded(load_original(spec.unpadded(), write), spec)
    if write:
        _write(spec, volumes)
    return volumes


def _padded(volumes, spec):
    values = (spec.record.DefaultPixelValue, 0, 0)
    try:
        return MaskedImage(*[i if i is None else pad_to(i, spec.padto, value) for i, value in zip(volumes, values)])
    except InputError as error:
        path = spec.address('OriginalIm', padto=None)
        raise InputError(f'{path} at stage {spec.stage}: padto {spec.padto}: {error}') from error


def _paths(spec):
    return {request: spec.address(request) for request in spec.original_sources()}


def _manifest_path(spec):
    return spec.address('OriginalIm')[: -len(spec.record.ext)] + '_manifest.json'


def _check(spec):
    return check_manifest(_manifest_path(spec), spec.original_made_from(), FORMAT_NUMBER)


def _write(spec, volumes):
    paths = _paths(spec)
    contents = [(paths[request], image) for request, image in zip(REQUESTS, volumes) if request in paths]
    write_work(_manifest_path(spec), spec.original_made_from(), FORMAT_NUMBER, contents)
