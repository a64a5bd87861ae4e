"""NIfTI-1 files, byte by byte, with what SimpleITK does not write: headers that contradict themselves, NaN."""

import struct

import numpy as np

_TYPES = {'int16': (4, 16), 'float32': (16, 32)}


def affine(spacing=(1, 1, 2), origin=(5, 6, 7), shear=0.0):
    """3x4 matrix of voxel indices to mm, RAS."""
    matrix = np.column_stack([np.diag(np.array(spacing, float)), np.array(origin, float)])
    matrix[0, 1] = shear
    return matrix


def write_nifti(path, array, pixdim=(1, 1, 2), qform=None, sform=None, units=2, magic=b'n+1\0', codes=(1, 1)):
    """Write ``array`` ``[z, y, x]``.

    :param qform: offset (x, y, z) in RAS of a qform without rotation, or None.
    :param sform: 3x4 matrix in RAS, or None.
    :param codes: of qform and sform where they are given.
    """
    head = bytearray(352)
    struct.pack_into('<i8h', head, 0, 348, *[0] * 8)
    struct.pack_into('<8h', head, 40, 3, *array.shape[::-1], 1, 1, 1, 1)
    struct.pack_into('<2h', head, 70, *_TYPES[str(array.dtype)])
    struct.pack_into('<8f', head, 76, 1, *pixdim, 1, 1, 1, 1)
    struct.pack_into('<f', head, 108, 352)
    head[123] = units
    struct.pack_into('<2h', head, 252, *[code if form is not None else 0 for code, form in zip(codes, (qform, sform))])
    if qform is not None:
        struct.pack_into('<6f', head, 256, 0, 0, 0, *qform)
    if sform is not None:
        struct.pack_into('<12f', head, 280, *np.ravel(sform))
    head[344:348] = magic
    with open(str(path), 'wb') as stream:
        stream.write(bytes(head) + array.tobytes())
    return str(path)
