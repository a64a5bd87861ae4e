"""What a NIfTI-1 header says, where ITK reads it in silence or not at all.

ITK turns NaN into 0, takes the spacing from pixdim whatever the sform says, and does not tell when qform and sform
disagree.
"""

import collections
import gzip
import logging
import struct
import zlib

import numpy as np
from scipy.spatial.transform import Rotation

from ..setting.errors import InputError
from .geometry import Geometry

LOGGER = logging.getLogger(__name__)

TOLERANCE = 0.1  # mm, anywhere in the volume
_FLOATS = {16: 'f4', 64: 'f8'}
_TO_MM = {1: 1e3, 3: 1e-3}  # units of length: metre, micrometre
_BLOCK = 2**22

Header = collections.namedtuple('Header', 'size start end dtype forms')
"""``size``: of the first three axes; ``start``, ``end``: bytes before and after the voxels; ``dtype``: NumPy's name of
a real type, None for others; ``forms``: name -> 3x4 matrix from indices to mm, LPS, in the order of preference."""


def read_header(path):
    """The :class:`Header` of a NIfTI-1 file (.nii, .nii.gz or .hdr); an InputError when it is another, or cut short."""
    try:
        with _opened(path) as stream:
            head = stream.read(352)
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(f'{path} is not a readable image: its header cannot be decompressed ({error}).') from error
    kinds = {struct.pack(order + 'i', size): (order, size) for order in '<>' for size in (348, 540)}
    order, size = kinds.get(head[:4], (None, None))
    if size == 540:
        raise InputError(f'{path} is NIfTI-2, which ITK does not read; convert it to NIfTI-1 or .mha.')
    if order is None or len(head) < 348:
        raise InputError(f'{path} is not a readable image: it has no NIfTI header, or only a part of it.')
    if head[344:347] not in (b'n+1', b'ni1'):
        raise InputError(f'{path} is Analyze 7.5, which does not tell left from right; convert it to NIfTI-1 or .mha.')
    dim = struct.unpack_from(order + '8h', head, 40)
    datatype, bits = struct.unpack_from(order + '2h', head, 70)
    start = max(int(struct.unpack_from(order + 'f', head, 108)[0]), 0)
    if not 1 <= dim[0] <= 7 or min(dim[1 : dim[0] + 1]) < 1 or bits < 1:
        raise InputError(f'{path} is not a readable image: its header gives the size {tuple(dim)}.')
    size, dtype = dim[1 : dim[0] + 1], _FLOATS.get(datatype)
    end = start + int(np.prod(size, dtype=np.int64)) * bits // 8
    return Header(size[:3], start, end, dtype and order + dtype, _forms(head, order))


def count_nonfinite(path, header):
    """Number of voxels of the data file ``path`` that are NaN or infinite."""
    if header.dtype is None:
        return 0
    bad, left = 0, header.end - header.start
    with _opened(path) as stream:
        stream.seek(header.start)
        while left:
            block = np.frombuffer(stream.read(min(left, _BLOCK)), header.dtype)
            bad, left = bad + int(np.count_nonzero(~np.isfinite(block))), left - block.nbytes
    return bad


def require_grid(path, header):
    """Raise :class:`InputError` unless every form of the header of a volume is a grid of right angles."""
    for name, form in header.forms.items() if len(header.size) == 3 else ():
        matrix = form[:, :3] * np.maximum(np.array(header.size) - 1, 1)
        lengths = np.linalg.norm(matrix, axis=0)
        if not (np.isfinite(form).all() and lengths.all()):
            raise InputError(f'{path}: its {name} gives no spacing; repair the header.')
        shear = np.abs(np.triu(matrix.T @ matrix / lengths, 1)).max()
        if shear > TOLERANCE:
            raise sheared(path)


def sheared(path):
    """The error for a grid that ITK has no image for."""
    return InputError(f'{path} is sheared (its axes are not at right angles); resample it to a rectangular grid first.')


def grid_of(path, header, found):
    """The grid to use: ``found``, which ITK read, if it is that of one of the header's forms, else that of the
    preferred form; a warning where the header contradicts itself by more than 0.1 mm.
    """
    grids = {}
    for name, form in header.forms.items():
        spacing = np.linalg.norm(form[:, :3], axis=0)
        grids[name] = Geometry(found.size, tuple(spacing), tuple(form[:, 3]), tuple((form[:, :3] / spacing).ravel()))
    used = next((name for name, grid in grids.items() if _distance(grid, found) <= TOLERANCE), None)
    if list(grids) == ['pixdim']:
        LOGGER.warning('%s does not say how it lies (no qform, no sform); taken for left, posterior, superior.', path)
    if used is None:
        used = next(iter(grids))
        far = _distance(grids[used], found)
        LOGGER.warning('%s: pixdim or units do not fit the %s (%.3g mm apart); the %s is used.', path, used, far, used)
        found = grids[used]
    for name, grid in grids.items():
        if _distance(grid, found) > TOLERANCE:
            far = _distance(grid, found)
            LOGGER.warning('%s: its %s and %s are up to %.3g mm apart; the %s is used.', path, name, used, far, used)
    return found


def _distance(a, b):
    return float(np.linalg.norm(a.corners() - b.corners(), axis=1).max())


def _forms(head, order):
    """name -> 3x4 matrix (LPS, mm): sform and qform as far as they are set, else pixdim alone, as ITK takes it."""
    scale, found = _TO_MM.get(head[123] & 7, 1.0), {}
    pixdim = np.array(struct.unpack_from(order + '4f', head, 76))
    codes = struct.unpack_from(order + '2h', head, 252)
    if codes[1] > 0:
        found['sform'] = np.array(struct.unpack_from(order + '12f', head, 280)).reshape(3, 4)
    if codes[0] > 0:
        b, c, d, *offset = struct.unpack_from(order + '6f', head, 256)
        rotation = Rotation.from_quat([b, c, d, np.sqrt(max(1 - b * b - c * c - d * d, 0.0))]).as_matrix()
        spacing = np.abs(pixdim[1:]) * (1, 1, -1 if pixdim[0] < 0 else 1)
        found['qform'] = np.column_stack([rotation * spacing, offset])
    to_lps = np.diag([-scale, -scale, scale])
    found = {name: to_lps @ form for name, form in found.items()}
    return found or {'pixdim': np.column_stack([np.diag(np.abs(pixdim[1:]) * scale), np.zeros(3)])}


def _opened(path):
    return (gzip.open if path.lower().endswith('.gz') else open)(path, 'rb')
