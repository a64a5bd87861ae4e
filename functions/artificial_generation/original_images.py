"""Original images and masks at the stage and padding an item needs, made once.

Training and registration share one down-sampling rule, :func:`functions.image.resample.downsample` (setting
``DownSampling`` = 'bspline'): a separable low-pass filter, size ceil(N / stage). The published code used two
that differ in size and filtering, so that a network met other intensities in use than in training.
"""

import collections
import logging
import os
import threading

from functions.artificial_generation.masked_image import MaskedImage, as_int16, require_working_grid
from functions.image.manifest import check_manifest, record_output, write_manifest
from functions.image.masks import read_mask
from functions.image.resample import downsample, downsample_mask, pad_to
from functions.image.volume_io import array_view, read_image, write_image
from functions.setting.atomic import sweep_stale_temporaries
from functions.setting.errors import InputError, MissingFileError, RegNetError

_log = logging.getLogger(__name__)

#: Raised by hand when the voxels of down-sampled originals change.
FORMAT_NUMBER = 1
#: Bytes of original images a process remembers; one image is remembered whatever its size.
CACHE_BYTES = 256 * 2**20


class _Cache:
    """The most recently used volumes of this process, limited by memory; safe between threads."""

    def __init__(self, limit):
        self._limit = limit
        self._entries = collections.OrderedDict()
        self._lock = threading.Lock()

    def get(self, key):
        """The volumes of ``key`` or None."""
        with self._lock:
            if key in self._entries:
                self._entries[key] = self._entries.pop(key)
            return self._entries.get(key)

    def put(self, key, volumes):
        """Remember ``volumes`` and forget the oldest beyond the limit."""
        with self._lock:
            self._entries[key] = volumes
            while len(self._entries) > 1 and sum(map(_bytes, self._entries.values())) > self._limit:
                self._entries.popitem(last=False)

    def clear(self):
        """Forget everything."""
        with self._lock:
            self._entries.clear()


def _bytes(volumes):
    return sum(array_view(image).nbytes for image in volumes if image is not None)


_cache = _Cache(CACHE_BYTES)


def clear_cache():
    """Forget the original images this process remembers."""
    _cache.clear()


def load_original(spec, write=True):
    """Original image and masks of an item at its stage and padding.

    :param spec: :class:`functions.artificial_generation.item_specification.ItemSpecification`.
    :param write: keep down-sampled or padded originals on disk (at the addresses OriginalIm, OriginalLung,
        OriginalTorso).
    :return: :class:`MaskedImage`.
    :raises MissingFileError: an original does not exist.
    :raises InputError: an original cannot be used (grid, empty mask, larger than ``padto``).
    """
    sources = spec.original_sources()
    key = (spec.stage, spec.padto, spec.record.DefaultPixelValue) + tuple(
        (path,) + _stamp(path, request) for request, path in sorted(sources.items())
    )
    volumes = _cache.get(key)
    if volumes is None:
        if spec.stage == 1 and spec.padto is None:
            volumes = _read(sources)
        else:
            volumes = _staged(spec, sources, write)
        _cache.put(key, volumes)
    elif write and (spec.stage > 1 or spec.padto is not None):
        _staged_files(spec, volumes)
    return volumes


def _stamp(path, request):
    try:
        status = os.stat(path)
    except OSError as error:
        raise MissingFileError(
            f'{request} {path} does not exist; prepare the data set first, or check data, cn and type_im.'
        ) from error
    return status.st_size, status.st_mtime_ns


def _read(paths):
    im = as_int16(require_working_grid(read_image(paths['OriginalIm']), paths['OriginalIm']))
    lung, torso = [
        read_mask(paths[request], like=im) if request in paths else None
        for request in ('OriginalLung', 'OriginalTorso')
    ]
    return MaskedImage(im, lung, torso)


def _staged(spec, sources, write):
    done, reason, paths = _check(spec)
    if done:
        try:
            return _read(paths)
        except RegNetError as error:
            reason = str(error)
    if reason != 'no manifest':
        _log.warning('Making the down-sampled original again: %s', reason)
    if spec.padto is None:
        volumes = _downsampled(_read(sources), spec.stage)
    else:
        volumes = _padded(load_original(spec.unpadded(), write), spec)
    if write:
        _write(spec, volumes, paths)
    return volumes


def _downsampled(volumes, stage):
    masks = [None if mask is None else downsample_mask(mask, stage) for mask in volumes[1:]]
    return MaskedImage(downsample(volumes.im, stage), *masks)


def _padded(volumes, spec):
    try:
        return MaskedImage(
            pad_to(volumes.im, spec.padto, spec.record.DefaultPixelValue),
            *[None if mask is None else pad_to(mask, spec.padto, 0) for mask in volumes[1:]],
        )
    except InputError as error:
        raise InputError(
            '{} at stage {}: padto {}: {}'.format(spec.address('OriginalIm', padto=None), spec.stage, spec.padto, error)
        ) from error


def _manifest_path(spec):
    path = spec.address('OriginalIm')
    return path[: -len(spec.record.ext)] + '_manifest.json'


def _check(spec):
    paths = {request: spec.address(request) for request in spec.original_sources()}
    done, reason = check_manifest(_manifest_path(spec), spec.original_made_from(), FORMAT_NUMBER)
    return done, reason, paths


def _staged_files(spec, volumes):
    done, _, paths = _check(spec)
    if not done:
        _write(spec, volumes, paths)


def _write(spec, volumes, paths):
    folder = os.path.dirname(_manifest_path(spec))
    sweep_stale_temporaries(folder)
    outputs = []
    for request, image in zip(('OriginalIm', 'OriginalLung', 'OriginalTorso'), volumes):
        if image is not None:
            write_image(image, paths[request])
            outputs.append(record_output(paths[request], image, folder))
    write_manifest(_manifest_path(spec), spec.original_made_from(), FORMAT_NUMBER, outputs)
