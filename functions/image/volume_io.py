"""Reading and writing volumes, and conversion between images and arrays.

Volumes are passed on as SimpleITK images; computing is done on NumPy arrays ``[z, y, x]`` (components last).
"""

import errno
import os
from typing import Optional

import numpy as np
import SimpleITK as sitk

from ..setting.atomic import publish
from ..setting.errors import InputError, MissingFileError
from . import nifti_header
from .file_check import check_whole, nifti_files, require_readable
from .geometry import Geometry, require_same_grid

__all__ = ['Geometry', 'array_view', 'image_from_array', 'read_image', 'require_same_grid', 'write_image']

WRITABLE = ('.mha', '.nii', '.nii.gz', '.nrrd')
_EXPECTATIONS = ('scalar', 'vector', 'any')


def read_image(path: str, expect: str = 'scalar', dim: Optional[int] = 3) -> sitk.Image:
    """Read an image (one of :data:`functions.image.file_check.READABLE`) after making sure that the file is whole.

    :param expect: ``'scalar'`` (one component), ``'vector'`` (``dim`` components; returned as float32) or ``'any'``.
    :param dim: number of dimensions; further axes of length one are dropped. None: any.
    :raises MissingFileError: no such file.
    :raises InputError: not an image, cut short, other dimensions or components, NaN or infinite values, shear.
    """
    if expect not in _EXPECTATIONS:
        raise InputError(f'expect must be one of {", ".join(_EXPECTATIONS)}; got {expect!r}.')
    path = os.fspath(path)
    reader, nifti = _open(path, whole=True)
    size = tuple(reader.GetSize())
    spare = size[dim:] if dim is not None else ()
    if dim is not None and (len(size) < dim or any(n != 1 for n in spare)):
        found = f'{len(size)} dimensions (size {" x ".join(map(str, size))})'
        raise InputError(f'{path} has {found}; an image of {dim} dimensions is needed.')
    _check_components(path, reader, expect, dim)
    try:
        image = reader.Execute()
        if spare:
            image = sitk.Extract(image, list(size[:dim]) + [0] * len(spare))
    except RuntimeError as error:
        raise InputError(f'{path} cannot be read: {_reason(error)}') from error
    if expect == 'vector' and image.GetPixelID() != sitk.sitkVectorFloat32:
        image = sitk.Cast(image, sitk.sitkVectorFloat32)
    _require_finite(path, image, nifti)
    if nifti and image.GetDimension() == 3:
        nifti_header.grid_of(path, nifti, Geometry.of(image)).apply_to(image)
    return image


def read_geometry(path):
    """:class:`Geometry` of a 3D image file, from its header alone; errors as :func:`read_image`."""
    path = os.fspath(path)
    reader, nifti = _open(path, whole=False)
    if reader.GetDimension() != 3:
        raise InputError(f'{path} has {reader.GetDimension()} dimensions; 3 are needed.')
    found = Geometry(reader.GetSize(), reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection())
    return nifti_header.grid_of(path, nifti, found) if nifti else found


def _open(path, whole):
    """(reader, NIfTI header or None): the header of a file, which must be ``whole``, has been read."""
    if not os.path.exists(path):
        raise MissingFileError(f'Image {path} does not exist.')
    if os.path.isdir(path):
        raise InputError(f'{path} is a folder; an image file is needed.')
    require_readable(path)
    if whole:
        check_whole(path)
    files, nifti = nifti_files(path), None
    if files:
        nifti = nifti_header.read_header(files[0])
        nifti_header.require_grid(path, nifti)
    reader = sitk.ImageFileReader()
    reader.SetFileName(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        if 'orthonormal' in str(error):
            raise nifti_header.sheared(path) from error
        raise InputError(f'{path} is not a readable image: {_reason(error)}') from error
    return reader, nifti


def _reason(error):
    """Last line of an ITK error message: the one that says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _check_components(path, reader, expect, dim):
    components = reader.GetNumberOfComponents()
    if 'complex' in sitk.GetPixelIDValueAsString(reader.GetPixelIDValue()).lower():
        raise InputError(f'{path} holds complex numbers; real values are needed.')
    if expect == 'scalar' and components != 1:
        found = f'{components} values per voxel (colour or vector image)'
        raise InputError(f'{path} has {found}; one value per voxel is needed.')
    if expect == 'vector' and components != (dim or components):
        raise InputError(f'{path} has {components} values per voxel; a displacement field with {dim} is needed.')


def _require_finite(path, image, nifti):
    array = array_view(image)
    if array.dtype.kind != 'f':
        return
    if nifti:  # ITK has turned them into 0
        bad = nifti_header.count_nonfinite(nifti_files(path)[1], nifti)
    else:
        bad = sum(int(np.count_nonzero(~np.isfinite(slab))) for slab in array)
    if bad:
        raise InputError(f'{path} holds {bad} values that are NaN or infinite; replace them before using the image.')


def write_image(image: sitk.Image, path: str, compress: bool = False) -> None:
    """Write ``image`` whole or not at all; the folder is made when missing.

    :param path: ends in .mha, .nii, .nii.gz or .nrrd (formats of one file), else an InputError.
    :param compress: compress .mha and .nrrd as well (.nii.gz always is).
    :raises DiskError: full disk or folder that cannot be written; an earlier file is untouched.
    """
    path = os.fspath(path)
    if not path.lower().endswith(WRITABLE):
        raise InputError(f'Cannot write {path}: the name must end in one of {", ".join(WRITABLE)}.')
    with publish(path) as temporary:
        sitk.WriteImage(image, temporary, compress or path.lower().endswith('.gz'))
        try:
            # Some of ITK's writers (MetaImage before ITK 5.4, NIfTI) ignore a full disk.
            check_whole(temporary)
        except InputError as error:
            raise OSError(errno.ENOSPC, 'only a part could be written, the disk is full') from error


def image_from_array(array, reference, dtype=None):
    """Image with the voxels of an array ``[z, y, x]``, or ``[z, y, x, c]`` for c components, on the grid of an image or
    :class:`Geometry`, whose size must fit.

    :param dtype: NumPy type of the voxels; None keeps the array's (bool becomes uint8, float64 float32).
    """
    array = np.asarray(array)
    geometry = Geometry.of(reference)
    if array.ndim not in (3, 4) or array.shape[:3] != geometry.shape:
        raise InputError(f'An array of shape {array.shape} does not fit a grid of size (x, y, z) {geometry.size}.')
    if dtype is None:
        dtype = {'b': np.uint8, 'f': np.float32}.get(array.dtype.kind, array.dtype)
    array = np.ascontiguousarray(array, dtype=dtype)
    return geometry.apply_to(sitk.GetImageFromArray(array, isVector=array.ndim == 4))


class _Held:
    """Memory of an image that stays valid as long as an array made from it lives."""

    def __init__(self, image):
        self.image = image
        self.__array_interface__ = sitk.GetArrayViewFromImage(image).__array_interface__


def array_view(image):
    """Voxels of ``image`` as a read-only array ``[z, y, x]`` or ``[z, y, x, c]`` without copying; it keeps the image's
    memory alive. Copy it before changing the image.
    """
    return np.asarray(_Held(image))
