"""Files about the samples, for people: the log of chunks and, on request (CacheIndices), the index arrays.

Nothing here is read back: finding the centres again costs less than reading them, and cannot be stale.
"""

import json
import os

import numpy as np

from functions.setting import atomic
from functions.setting.errors import InputError

_FORMAT_NUMBER = 1


def append_chunk(address, chunk):
    """Append what a chunk holds to the log ``address`` (``log_im.txt``)."""
    counts = np.bincount(chunk.rows[:, 2], minlength=max(1, len(chunk.options.class_limits)))
    lines = [
        'Thread: stage={}, SemiEpoch={}, Chunk={}{}'.format(
            chunk.options.stage, chunk.semi_epoch, chunk.chunk, ', lead-in' if chunk.lead_in else ''
        )
    ]
    lines += ['    ' + item.name for item in chunk.held]
    lines += ['samples per class: {}'.format(' '.join(str(n) for n in counts)), '-' * 40]
    folder = os.path.dirname(address)
    if folder:
        os.makedirs(folder, exist_ok=True)
    with open(address, 'a', encoding='utf-8') as stream:
        stream.write('\n'.join(lines) + '\n')


def save_array(address, array):
    """Write a .npy file whole or not at all."""
    with atomic.publish(address) as temporary, open(temporary, 'wb') as stream:
        np.save(stream, array)


def write_chunk(setting, options, im_infos, im_info_list_full, held, rows, semi_epoch, chunk):
    """Write the IClass files of a chunk's images and its IShuffled file at their documented addresses.

    :param im_infos: of the images in the chunk; im_info_list_full: of the whole list (its length is in the
        address).
    :param rows: int32 (n, 3): flat voxel index, item number in the chunk, class.
    """
    from functions.setting import setting_utils as su

    if not options.full_image:
        for im_info, item in zip(im_infos, held):
            keys = {key: im_info[key] for key in ('data', 'deform_exp', 'type_im', 'cn', 'dsmooth') if key in im_info}
            ends = np.cumsum(item.indices.counts)
            for number, (end, count) in enumerate(zip(ends, item.indices.counts)):
                save_array(
                    su.address_generator(setting, 'IClass', c=number, stage=options.stage, **keys),
                    item.indices.indices[end - count : end],
                )
    exp = _choose_exp(setting, options, im_info_list_full, su.address_generator)
    save_array(
        su.address_generator(
            setting,
            'IShuffled',
            train_mode=options.train_mode,
            stage=options.stage,
            im_list_info=im_info_list_full,
            ishuffled_exp=exp,
            semi_epoch=semi_epoch,
            chunk=chunk,
        ),
        rows,
    )


def _choose_exp(setting, options, im_info_list_full, address_generator):
    """Number of the first IShuffled folder made with these settings, or of a new one."""
    record = {
        'format': _FORMAT_NUMBER,
        'train_mode': options.train_mode,
        'DVFPad': 0,
        'ImPad': options.radius_image - options.radius_dvf,
        'NumberOfImagesPerChunk': options.images_per_chunk,
        'ImInfoList': list(im_info_list_full),
    }
    if not options.full_image:
        record.update(
            {
                'ClassBalanced': list(options.class_limits),
                'ClassRule': options.class_rule,
                'Margin': options.margin,
                'SamplePerImage': options.samples_per_image,
                'SampleReplacement': options.replacement,
                'CompensateShortClasses': options.compensate,
                'SampleInside': options.sample_inside,
                'Randomness': options.randomness,
            }
        )
    record = json.loads(json.dumps(record))  # as it will be read back: lists for tuples
    exp = 0
    while True:
        address = address_generator(
            setting,
            'IShuffledSetting',
            train_mode=options.train_mode,
            stage=options.stage,
            im_list_info=im_info_list_full,
            ishuffled_exp=exp,
        )
        if not os.path.isfile(address):
            atomic.write_json(address, record)
            return exp
        try:
            if atomic.read_json(address) == record:
                return exp
        except InputError:
            pass  # not JSON: somebody else's folder
        exp += 1
