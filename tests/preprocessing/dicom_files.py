"""DICOM files of any kind, byte by byte, for what SimpleITK does not write."""

import os
import struct

import numpy as np

IMAGE = '1.2.840.10008.5.1.4.1.1.'
_KINDS = {
    'CS': ('0008|0008', '0008|0060', '0028|0004'),
    'UI': ('0008|0016', '0008|0018', '0020|000d', '0020|000e'),
    'LO': ('0008|103e',),
    'IS': ('0020|0011', '0020|0012', '0020|0013', '0028|0008'),
    'DS': ('0020|0032', '0020|0037', '0028|0030', '0028|1052', '0028|1053', '3004|000e'),
    'US': ('0028|0002', '0028|0010', '0028|0011', '0028|0100', '0028|0101', '0028|0102', '0028|0103'),
}
_KIND_OF = {tag: kind for kind, tags in _KINDS.items() for tag in tags}


def _element(tag, kind, data):
    data += (b'\0' if kind in ('UI', 'OW', 'OB') else b' ') * (len(data) % 2)
    group, number = (int(part, 16) for part in tag.split('|'))
    if kind in ('OB', 'OW'):
        return struct.pack('<HH2sHI', group, number, kind.encode(), 0, len(data)) + data
    return struct.pack('<HH2sH', group, number, kind.encode(), len(data)) + data


def write_dicom(path, tags, pixels=None):
    """Write a DICOM file, explicit VR little endian.

    :param tags: tag ('0008|0060') -> value; None leaves it out.
    :param pixels: array ``[y, x]`` or ``[frame, y, x]`` of 8 or 16 bits.
    """
    tags = dict(tags)
    if pixels is not None:
        bits = pixels.dtype.itemsize * 8
        stored = (1, pixels.shape[-2], pixels.shape[-1], bits, bits, bits - 1, int(pixels.dtype.kind == 'i'))
        tags = dict(zip(_KINDS['US'], stored), **tags)
        tags.setdefault('0028|0004', 'MONOCHROME2')
    body = b''
    for tag in sorted(tag for tag, value in tags.items() if value is not None):
        value, kind = tags[tag], _KIND_OF[tag]
        body += _element(tag, kind, struct.pack('<H', value) if kind == 'US' else str(value).encode())
    if pixels is not None:
        body += _element('7fe0|0010', 'OW', pixels.tobytes())
    meta = _element('0002|0001', 'OB', b'\0\1')
    for tag, value in (('0002|0002', tags['0008|0016']), ('0002|0003', '1.2.3'), ('0002|0010', '1.2.840.10008.1.2.1')):
        meta += _element(tag, 'UI', value.encode())
    with open(str(path), 'wb') as stream:
        stream.write(b'\0' * 128 + b'DICM' + _element('0002|0000', 'UL', struct.pack('<I', len(meta))) + meta + body)
    return str(path)


def write_slices(folder, hu, change=lambda k: {}, series='1.2.5', prefix='s', step=2.5):
    """Write HU ``[z, y, x]`` as a CT series of unsigned 16 bits with an intercept of -1024, one file per slice.

    :param change: slice number -> tags that differ; '0028|1052' and '0028|1053' change what is stored, not the HU.
    """
    os.makedirs(str(folder), exist_ok=True)
    for k, plane in enumerate(hu):
        tags = {
            '0008|0016': IMAGE + '2',
            '0008|0018': f'1.2.3.{k + 1}',
            '0008|0060': 'CT',
            '0008|103e': 'chest 2.5',
            '0020|000d': '1.2.4',
            '0020|000e': series,
            '0020|0011': '3',
            '0020|0013': k + 1,
            '0020|0032': f'-20\\-30\\{50 + step * k}',
            '0020|0037': '1\\0\\0\\0\\1\\0',
            '0028|0030': '0.8\\0.7',
            '0028|1052': '-1024',
            '0028|1053': '1',
        }
        tags.update(change(k))
        slope, intercept = (float(tags[tag] or absent) for tag, absent in (('0028|1053', 1), ('0028|1052', -1024)))
        stored = np.rint((plane - intercept) / slope).astype(np.int16 if tags.get('0028|0103') else np.uint16)
        write_dicom(os.path.join(str(folder), f'{prefix}{k:02d}.dcm'), tags, stored)
    return str(folder)
