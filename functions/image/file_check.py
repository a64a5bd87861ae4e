"""Whether an image file is whole. Readers of some formats return half a file silently, so its bytes are counted first.

The bytes present are compared with what the file's own header implies, for MetaImage, NIfTI (Analyze) and NRRD; other
formats are left to their readers. Compressed data are decompressed once as a stream, to count them and to verify the
checksum they carry: a flipped bit spoils all that follows it.
"""

import functools
import gzip
import operator
import os
import re
import struct
import zlib

from functions.setting.errors import InputError

_BYTES = {'char': 1, 'short': 2, 'int': 4, 'long': 4, 'long long': 8, 'longlong': 8, 'float': 4, 'double': 8}
_BYTES.update(int8=1, int16=2, int32=4, int64=8)
_HEADER_LIMIT = 2**16
_BLOCK = 2**15
_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32


def check_whole(path):
    """Raise :class:`InputError` when ``path`` holds fewer bytes than its header implies."""
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


def _bytes_of_type(name):
    """Bytes of a value of a type as MetaImage (``USHORT``) or NRRD (``unsigned short int``) name it."""
    plain = re.sub(r'(?<=\w) int$|_t$|^(signed|unsigned) |^u', '', name.lower().replace('long_long', 'long long'))
    # 'long' alone has 4 bytes in MetaImage; NRRD has no such type.
    return _BYTES[plain]


def _unreadable(path, what):
    return InputError(f'{path} is not a readable image: {what}.')


def _require_file(path, header):
    if not os.path.isfile(path):
        raise InputError(f'{header} refers to {path}, which does not exist.')


def _require_bytes(path, present, expected):
    if present < expected:
        raise InputError(
            f'{path} is cut short or damaged: its header implies {expected} bytes, but there are {present}. '
            'Copy or make it again.'
        )


def _product(values):
    return functools.reduce(operator.mul, map(int, values), 1)


def _require_inflated(path, start, expected):
    """Raise unless the zlib or gzip stream at byte ``start`` of ``path`` is sound and gives all ``expected`` bytes."""
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
    _require_bytes(path, count, expected)
    if not whole:
        raise InputError(f'{path} is damaged: its checksum does not match its content. Copy or make it again.')


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
            * _bytes_of_type(re.sub('^MET_|_ARRAY$', '', fields['ElementType']))
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
    fields = {}
    for line in (head[: end.start()] if end else head).decode('latin-1').splitlines()[1:]:
        key, colon, value = line.partition(':')
        if colon and not line.startswith('#') and not value.startswith('='):
            fields[key.strip().lower()] = value.strip()
    data_name = fields.get('data file', fields.get('datafile'))
    if end is None and data_name is None:
        raise _unreadable(path, 'its header is cut short')
    encoding = fields.get('encoding', '').lower()
    several = data_name and (data_name.startswith('LIST') or '%' in data_name)
    if encoding not in ('raw', 'gzip', 'gz') or fields.get('line skip', '0') != '0' or several:
        return
    try:
        expected = _product(fields['sizes'].split()) * _bytes_of_type(fields['type'])
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
