"""Files about the samples, for people: the log of chunks and, on request (CacheIndices), the index arrays.

Nothing here is read back: finding the centres again takes less time than reading them.
"""

import contextlib
import itertools
import json
import os

import numpy as np

from ..setting import atomic
from ..setting import setting_utils as su
from ..setting.errors import InputError
from ..setting.text_files import read_json

_FORMAT_NUMBER = 1


def append_chunk(address, chunk):
    """Append what a chunk holds to the log ``address`` (``log_im.txt``)."""
    counts = np.bincount(chunk.rows[:, 2], minlength=max(1, len(chunk.options.class_limits)))
    lead_in = ', lead-in' if chunk.lead_in else ''
    lines = [f'Thread: stage={chunk.options.stage}, SemiEpoch={chunk.semi_epoch}, Chunk={chunk.chunk}{lead_in}']
    lines += ['    ' + item.name for item in chunk.held]
    lines += ['samples per class: ' + ' '.join(str(n) for n in counts), '-' * 40]
    os.makedirs(os.path.dirname(os.path.abspath(address)), exist_ok=True)
    with atomic.disk_errors(os.path.abspath(address)), open(address, 'a', encoding='utf-8') as stream:
        stream.write('\n'.join(lines) + '\n')


def write_chunk(setting, im_info_list, numbers, chunk):
    """Write the IClass files of a chunk's images and its IShuffled file at their documented addresses.

    :param im_info_list, numbers: the whole list (its length is in the address); which of them are in the chunk.
    :param chunk: :class:`functions.reading.chunk_loader.Chunk`.
    """
    options = chunk.options
    if not options.full_image:
        for number, item in zip(numbers, chunk.held):
            im_info = im_info_list[number]
            keys = {key: im_info[key] for key in ('data', 'deform_exp', 'type_im', 'cn', 'dsmooth') if key in im_info}
            parts = np.split(item.indices.indices, np.cumsum(item.indices.counts)[:-1])
            for c, indices in enumerate(parts):
                _save(su.address_generator(setting, 'IClass', c=c, stage=options.stage, **keys), indices)
    keys = {'train_mode': options.train_mode, 'stage': options.stage, 'im_list_info': im_info_list}
    keys['ishuffled_exp'] = _choose_exp(setting, options, keys)
    where = {'semi_epoch': chunk.semi_epoch, 'chunk': chunk.chunk}
    _save(su.address_generator(setting, 'IShuffled', **keys, **where), chunk.rows)


def _save(address, array):
    """Write a .npy file whole or not at all."""
    with atomic.publish(address) as temporary, open(temporary, 'wb') as stream:
        np.save(stream, array)


def _choose_exp(setting, options, keys):
    """Number of the first IShuffled folder made with these settings, or of a new one."""
    record = {
        'format': _FORMAT_NUMBER,
        'train_mode': options.train_mode,
        'DVFPad': 0,
        'ImPad': options.radius_image - options.radius_dvf,
        'NumberOfImagesPerChunk': options.images_per_chunk,
        'ImInfoList': list(keys['im_list_info']),
    }
    if not options.full_image:
        record.update(
            ClassBalanced=list(options.class_limits),
            ClassRule=options.class_rule,
            Margin=options.margin,
            SamplePerImage=options.samples_per_image,
            SampleReplacement=options.replacement,
            CompensateShortClasses=options.compensate,
            SampleInside=options.sample_inside,
            Randomness=options.randomness,
        )
    record = json.loads(json.dumps(record))  # as it will be read back: lists for tuples
    for exp in itertools.count():
        address = su.address_generator(setting, 'IShuffledSetting', ishuffled_exp=exp, **keys)
        if not os.path.isfile(address):
            atomic.write_json(address, record)
            return exp
        with contextlib.suppress(InputError):  # not JSON: another program's folder
            if read_json(address) == record:
                return exp
    return None
