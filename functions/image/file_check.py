"""Which files an image consists of, and whether they are whole: readers of some formats return half a file silently.

The bytes present are compared with what the file's own header implies, for MetaImage, NIfTI and NRRD. Compressed data
are decompressed once as a stream, to count them and to verify the checksum they carry: a flipped bit spoils all that
follows it.
"""

import collections
import os
import re
import zlib

import numpy as np

from ..setting.errors import InputError
from . import nifti_header

READABLE = ('.mha', '.mhd', '.nii', '.nii.gz', '.nrrd', '.nhdr', '.hdr', '.img', '.img.gz')

_BYTES = {'char': 1, 'short': 2, 'int': 4, 'long': 4, 'long long': 8, 'longlong': 8, 'float': 4, 'double': 8}
_BYTES.update(int8=1, int16=2, int32=4, int64=8)
_HEADER_LIMIT = 2**16
_BLOCK = 2**15
_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32

_Layout = collections.namedtuple('_Layout', 'header data start expected packed')
"""``data``: file of the voxels, from byte ``start`` on; ``expected``: bytes of voxels, None where they cannot be
counted; ``packed``: None if not compressed, else the compressed bytes, 0 where the header does not say."""


def check_whole(path):
    """Raise :class:`InputError` when ``path`` is no image file, or holds fewer bytes than its header implies."""
    layout = _layout(path)
    if layout.expected is None:
        return
    present = os.path.getsize(layout.data) - layout.start
    if layout.packed is None:
        _require_bytes(layout.data, present, layout.expected)
    else:
        _require_bytes(layout.data, present, layout.packed)
        _require_inflated(layout.data, layout.start, layout.expected)


def require_readable(path):
    """Raise :class:`InputError` unless the name of ``path`` ends as that of an image does."""
    if not path.lower().endswith(READABLE):
        raise InputError(f'{path} cannot be read; accepted: {", ".join(READABLE)}, and folders with a DICOM series.')


def files_of(path):
    """Paths of all files of an image, sorted, for header and voxels may be two; of anything else, ``path`` alone."""
    try:
        layout = _layout(path)
    except (InputError, OSError):
        return [path]
    return sorted({layout.header, layout.data})


def files_below(folder):
    """Paths of all files in ``folder`` and below; none where there is no such folder."""
    return [os.path.join(place, name) for place, _, names in os.walk(folder) for name in sorted(names)]


def require_apart(outputs, inputs):
    """Raise :class:`InputError` when a command would write over a file it reads, whatever links lead there.

    :param outputs: paths of the files to be written.
    :param inputs: paths of files, of which all those of an image count, and of folders of files; None is passed over.
    """
    read = {}
    for path in [os.fspath(path) for path in inputs if path is not None and os.path.exists(path)]:
        names = [os.path.join(path, name) for name in os.listdir(path)] if os.path.isdir(path) else files_of(path)
        read.update({_identity(name): name for name in names if os.path.exists(name)})
    for path in outputs:
        if os.path.exists(path) and _identity(path) in read:
            source = read[_identity(path)]
            raise InputError(f'{path} would be replaced, but {source} is read; choose another place for the output.')


def _identity(path):
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _layout(path):
    require_readable(path)
    name = path.lower()
    if os.path.getsize(path) == 0:
        raise InputError(f'{path} is empty (0 bytes).')
    if name.endswith(('.mha', '.mhd')):
        return _metaimage(path)
    if name.endswith(('.nrrd', '.nhdr')):
        return _nrrd(path)
    header, data = nifti_files(path)
    end = nifti_header.read_header(header).end
    return _Layout(header, data, 0, end, 0 if data.lower().endswith('.gz') else None)


def nifti_files(path):
    """(header, data): the files of a NIfTI image, one and the same but for .hdr with .img; None for other formats."""
    name = path.lower()
    if name.endswith(('.nii', '.nii.gz')):
        return path, path
    if not name.endswith(('.hdr', '.img', '.img.gz')):
        return None
    stem = re.sub(r'\.(hdr|img|img\.gz)$', '', path, flags=re.IGNORECASE)
    data = next((stem + e for e in ('.img', '.img.gz') if os.path.exists(stem + e)), stem + '.img')
    _require_file(stem + '.hdr', path)
    _require_file(data, path)
    return stem + '.hdr', data


def _bytes_of_type(name):
    """Bytes of a value of a type as MetaImage (``USHORT``) or NRRD (``unsigned short int``) name it."""
    plain = re.sub(r'(?<=\w) int$|_t$|^(signed|unsigned) |^u', '', name.lower().replace('long_long', 'long long'))
    # 'long' alone has 4 bytes in MetaImage; NRRD has no such type.
    return _BYTES[plain]


def _number_of_voxels(sizes):
    return int(np.prod([int(n) for n in sizes.split()], dtype=object))


def _unreadable(path, what):
    return InputError(f'{path} is not a readable image: {what}.')


def _require_file(path, header):
    if not os.path.isfile(path):
        raise InputError(f'{header} refers to {path}, which does not exist.')


def _require_bytes(path, present, expected):
    if present < expected:
        found = f'its header implies {expected} bytes, but there are {present}'
        raise InputError(f'{path} is cut short or damaged: {found}. Copy or make it again.')


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


def _metaimage(path):
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
    _refuse_lists(path, data_name)
    local = data_name.upper() == 'LOCAL'
    data = path if local else os.path.join(os.path.dirname(path), data_name)
    _require_file(data, path)
    if fields.get('BinaryData', 'True').lower() != 'true':  # text carries no byte count of its own
        return _Layout(path, data, 0, None, None)
    try:
        voxels, channels = _number_of_voxels(fields['DimSize']), int(fields.get('ElementNumberOfChannels', 1))
        expected = voxels * channels * _bytes_of_type(re.sub('^MET_|_ARRAY$', '', fields['ElementType']))
        start = match.end() if local else max(int(fields.get('HeaderSize', 0)), 0)
        compressed = fields.get('CompressedData', 'False').lower() == 'true'
        packed = int(fields.get('CompressedDataSize', 0)) if compressed else None
    except (KeyError, ValueError) as error:
        raise _unreadable(path, f'its header lacks or garbles {error}') from error
    return _Layout(path, data, start, expected, packed)


def _refuse_lists(path, data_name):
    if data_name.startswith('LIST') or '%' in data_name:
        raise InputError(f'{path} names one file per slice, which is not read; convert it to one file (.mha, .nii.gz).')


# ---- NRRD


def _nrrd(path):
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
    data, start = path, end.end() if end else 0
    if data_name:
        _refuse_lists(path, data_name)
        data, start = os.path.join(os.path.dirname(path), data_name), 0
        _require_file(data, path)
    elif end is None:
        raise _unreadable(path, 'its header is cut short')
    encoding = fields.get('encoding', '').lower()
    if encoding not in ('raw', 'gzip', 'gz') or fields.get('line skip', '0') != '0':
        return _Layout(path, data, start, None, None)
    try:
        expected = _number_of_voxels(fields['sizes']) * _bytes_of_type(fields['type'])
        skip = int(fields.get('byte skip', fields.get('byteskip', 0)))
    except (KeyError, ValueError) as error:
        raise _unreadable(path, f'its header lacks or garbles {error}') from error
    is_raw = encoding == 'raw'
    return _Layout(path, data, start + max(skip, 0) * is_raw, expected, None if is_raw else 0)
