"""Is an image file whole? Readers of some formats hand out a half file without a word, so its bytes are
counted first.

The bytes present are compared with what the file's own header implies, for MetaImage, NIfTI (Analyze) and
NRRD; other formats are left to their readers. Compressed data are decompressed once as a stream (no memory),
to count them and to check the checksum they carry: a flipped bit in them silently spoils all that follows.
"""

import gzip
import os
import re
import struct
import zlib

from functions.setting.errors import InputError

_MET_BYTES = {
    'CHAR': 1,
    'UCHAR': 1,
    'SHORT': 2,
    'USHORT': 2,
    'INT': 4,
    'UINT': 4,
    'LONG': 4,
    'ULONG': 4,
    'LONG_LONG': 8,
    'ULONG_LONG': 8,
    'FLOAT': 4,
    'DOUBLE': 8,
}
_NRRD_BYTES = {
    name: size
    for size, names in {
        1: 'signed char|int8|int8_t|uchar|unsigned char|uint8|uint8_t',
        2: 'short|short int|signed short|signed short int|int16|int16_t'
        '|ushort|unsigned short|unsigned short int|uint16|uint16_t',
        4: 'int|signed int|int32|int32_t|uint|unsigned int|uint32|uint32_t|float',
        8: 'double|longlong|long long|long long int|signed long long|signed long long int|int64|int64_t'
        '|ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t',
    }.items()
    for name in names.split('|')
}
_HEADER_LIMIT = 2**16
_BLOCK = 2**15
_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32


def check_whole(path):
    """Raise :class:`InputError` when ``path`` holds fewer bytes than its header implies.

    Formats other than .mha, .mhd, .nii, .nii.gz, .hdr, .img, .img.gz, .nrrd and .nhdr pass unchecked.
    """
    name = path.lower()
    if os.path.getsize(path) == 0:
        raise InputError(f'{path} is empty (0 bytes).')
    if name.endswith(('.mha', '.mhd')):
        _check_metaimage(path)
    elif name.endswith(('.nii', '.nii.gz')):
        _check_nifti(path, path)
    elif name.endswith(('.hdr', '.img', '.img.gz')):
        stem = re.sub(r'\.(hdr|img|img\.gz)$', '', path, flags=re.IGNORECASE)
        data = next((stem + e for e in ('.img', '.img.gz') if os.path.exists(stem + e)), stem + '.img')
        _require_file(stem + '.hdr', path)
        _require_file(data, path)
        _check_nifti(stem + '.hdr', data)
    elif name.endswith(('.nrrd', '.nhdr')):
        _check_nrrd(path)


def _truncated(path, present, expected, how=''):
    return InputError(
        f'{path} is cut short or damaged: its header implies {expected} bytes{how}, {present} are there. '
        'Copy or make it again.'
    )


def _unreadable(path, what):
    return InputError(f'{path} is not a readable image: {what}.')


def _require_file(path, header):
    if not os.path.isfile(path):
        raise InputError(f'{header} refers to {path}, which does not exist.')


def _require_bytes(path, present, expected):
    if present < expected:
        raise _truncated(path, present, expected)


def _product(values):
    result = 1
    for value in values:
        result *= int(value)
    return result


def _require_inflated(path, start, expected):
    """Raise unless the zlib or gzip stream at byte ``start`` of ``path`` is sound and gives all ``expected``.

    Readers fill what they could not decompress with zeros or rubbish and say nothing.
    """
    count, whole, inflate = 0, False, zlib.decompressobj(_ZLIB_OR_GZIP)
    with open(path, 'rb') as stream:
        stream.seek(start)
        try:
            for block in iter(lambda: stream.read(_BLOCK), b''):
                while block and not (whole and count >= expected):
                    count += len(inflate.decompress(block))
                    block, whole = inflate.unused_data, inflate.eof
                    if whole:  # a gzip file may hold several streams one after the other
                        inflate = zlib.decompressobj(_ZLIB_OR_GZIP)
        except zlib.error:
            whole = False
    if count < expected:
        raise _truncated(path, count, expected, ' after decompression')
    if not whole:
        raise InputError(f'{path} is damaged: its checksum does not fit what is in it. Copy or make it again.')


# ---- MetaImage


def _check_metaimage(path):
    with open(path, 'rb') as stream:
        head = stream.read(_HEADER_LIMIT)
    match = re.search(rb'^\s*ElementDataFile\s*=\s*([^\r\n]*)\r?\n', head, re.MULTILINE)
    if match is None:
        raise _unreadable(path, 'its header ends before ElementDataFile')
    fields = {}
    for line in head[: match.start()].decode('latin-1').splitlines():
        key, _, value = line.partition('=')
        fields[key.strip()] = value.strip()
    data_name = match.group(1).decode('latin-1').strip()
    # Text data and lists of slice files carry no byte count of their own.
    if fields.get('BinaryData', 'True').lower() != 'true' or data_name == 'LIST' or '%' in data_name:
        return
    try:
        expected = (
            _product(fields['DimSize'].split())
            * int(fields.get('ElementNumberOfChannels', 1))
            * _MET_BYTES[re.sub('_ARRAY$', '', fields['ElementType'].replace('MET_', '', 1))]
        )
        header_size = int(fields.get('HeaderSize', 0))
        compressed = fields.get('CompressedData', 'False').lower() == 'true'
        compressed_size = int(fields.get('CompressedDataSize', 0))
    except (KeyError, ValueError) as error:
        raise _unreadable(path, f'its header lacks or garbles {error}') from error
    local = data_name.upper() == 'LOCAL'
    data = path if local else os.path.join(os.path.dirname(path), data_name)
    _require_file(data, path)
    start = match.end() if local else max(header_size, 0)
    present = os.path.getsize(data) - start
    if not compressed:
        _require_bytes(data, present, expected)
    else:
        _require_bytes(data, present, compressed_size)
        _require_inflated(data, start, expected)


# ---- NIfTI, Analyze


def _check_nifti(header_path, data_path):
    try:
        opener = gzip.open if header_path.lower().endswith('.gz') else open
        with opener(header_path, 'rb') as stream:
            head = stream.read(540)
    except (EOFError, OSError, zlib.error) as error:
        raise _unreadable(header_path, f'its header cannot be decompressed ({error})') from error
    if len(head) < 348:
        raise _unreadable(header_path, 'its header is cut short')
    for order in '<>':
        (head_size,) = struct.unpack_from(order + 'i', head)
        if head_size == 348:
            dim = struct.unpack_from(order + '8h', head, 40)
            (bits,) = struct.unpack_from(order + 'h', head, 72)
            offset = int(struct.unpack_from(order + 'f', head, 108)[0])
            break
        if head_size == 540 and len(head) == 540:
            dim = struct.unpack_from(order + '8q', head, 16)
            (bits,) = struct.unpack_from(order + 'h', head, 14)
            (offset,) = struct.unpack_from(order + 'q', head, 168)
            break
    else:
        raise _unreadable(header_path, 'it has no NIfTI header')
    if not 1 <= dim[0] <= 7 or min(dim[1 : dim[0] + 1]) < 1 or bits < 1:
        raise _unreadable(header_path, f'its header gives the size {tuple(dim)}')
    expected = max(offset, 0) + _product(dim[1 : dim[0] + 1]) * bits // 8
    if data_path.lower().endswith('.gz'):
        _require_inflated(data_path, 0, expected)
    else:
        _require_bytes(data_path, os.path.getsize(data_path), expected)


# ---- NRRD


def _check_nrrd(path):
    with open(path, 'rb') as stream:
        head = stream.read(_HEADER_LIMIT)
    if not head.startswith(b'NRRD'):
        raise _unreadable(path, 'it has no NRRD header')
    end = re.search(rb'\r?\n\r?\n', head)
    text = (head[: end.start()] if end else head).decode('latin-1')
    fields = {}
    for line in text.splitlines()[1:]:
        key, colon, value = line.partition(':')
        if colon and not line.startswith('#') and not value.startswith('='):
            fields[key.strip().lower()] = value.strip()
    data_name = fields.get('data file', fields.get('datafile'))
    if end is None and data_name is None:
        raise _unreadable(path, 'its header is cut short')
    encoding = fields.get('encoding', '').lower()
    if (
        encoding not in ('raw', 'gzip', 'gz')
        or fields.get('line skip', '0') != '0'
        or (data_name and (data_name.startswith('LIST') or '%' in data_name))
    ):
        return
    try:
        expected = _product(fields['sizes'].split()) * _NRRD_BYTES[fields['type'].lower()]
        skip = int(fields.get('byte skip', fields.get('byteskip', 0)))
    except (KeyError, ValueError) as error:
        raise _unreadable(path, f'its header lacks or garbles {error}') from error
    data, start = path, end.end() if end else 0
    if data_name:
        data, start = os.path.join(os.path.dirname(path), data_name), 0
        _require_file(data, path)
    if encoding == 'raw':
        _require_bytes(data, os.path.getsize(data) - start - max(skip, 0), expected)
    else:
        _require_inflated(data, start, expected)
