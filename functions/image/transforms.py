"""Affine transforms, and their exact composition with a displacement field: T(p) = A(p + u(p)).

The field u is found between the fixed image and the affinely moved one, ``moved(p) = moving(A(p))``; from the fixed to
the moving image it is therefore first u, then A. Files are ITK's: ``.tfm``, ``.txt`` or ``.h5`` for an affine
transform, ``.h5`` for a composite one.
"""

import os

import h5py
import numpy as np
import SimpleITK as sitk
from scipy.io import loadmat

from ..setting.atomic import publish
from ..setting.errors import InputError, MissingFileError
from ..setting.text_files import read_text, sealed, unsealed
from .dvf import require_dvf, resample_dvf, sample_dvf
from .geometry import Geometry
from .hdf5_numbers import read_transforms
from .threads import in_slabs
from .volume_io import array_view, image_from_array

AFFINE_FILES = ('.tfm', '.txt', '.h5')
#: Of the inversion at points: it ends when p + u(p) is nowhere further off than this, in mm.
_TOLERANCE, _MOST_ITERATIONS = 1e-3, 100
_FIELD = b'DisplacementFieldTransform_float'
#: Kinds of transforms that are read from files; those of any number of dimensions first.
_ANY_DIMENSIONS = ('AffineTransform', 'TranslationTransform', 'ScaleTransform')
_LINEAR = _ANY_DIMENSIONS + ('Euler3DTransform', 'VersorRigid3DTransform', 'Similarity3DTransform')
_LINEAR += ('ScaleVersor3DTransform', 'ScaleSkewVersor3DTransform')
_SAME_BYTES = {'track_times': False}  # h5py before 3 records the time


# ---- affine transforms


def affine_from_matrix(matrix, offset=(0.0, 0.0, 0.0), centre=(0.0, 0.0, 0.0)):
    """sitk.AffineTransform of ``p -> matrix @ p + offset`` (x, y, z, mm), written about ``centre``, which changes the
    stored translation, not the mapping (up to rounding).
    """
    matrix, centre = np.array(matrix, dtype=np.float64).reshape(3, 3), np.array(centre, dtype=np.float64)
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(matrix.ravel().tolist())
    affine.SetCenter(centre.tolist())
    affine.SetTranslation((np.array(offset, dtype=np.float64) + matrix @ centre - centre).tolist())
    return affine


def matrix_and_offset(affine):
    """``(M, o)`` with ``affine(p) = M @ p + o``, None being the identity: float64 ``(3, 3)`` and ``(3,)``, mm."""
    if affine is None:
        return np.eye(3), np.zeros(3)
    matrix = np.array(affine.GetMatrix(), dtype=np.float64).reshape(3, 3)
    centre = np.array(affine.GetCenter())
    return matrix, np.array(affine.GetTranslation()) + centre - matrix @ centre


def as_affine(transform):
    """The sitk.AffineTransform equal to a linear transform of any kind (rigid, similarity, composite ...), exactly if
    it is an affine one, else up to rounding.

    :raises InputError: the transform is not linear, not 3D, or holds NaN or infinite values.
    """
    if not isinstance(transform, sitk.Transform):
        raise InputError(f'A SimpleITK transform is needed; got {type(transform).__name__}.')
    if transform.GetDimension() != 3:
        raise InputError(f'The transform is {transform.GetDimension()}D; a 3D one is needed.')
    if not transform.IsLinear():
        name = transform.GetName()
        raise InputError(f'The transform ({name}) is not linear; an affine, rigid or similar one is needed.')
    affine = _only_affine(transform)
    if affine is None:
        offset = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
        columns = [np.array(transform.TransformPoint(unit)) - offset for unit in np.eye(3).tolist()]
        affine = affine_from_matrix(np.column_stack(columns), offset)
    if not np.isfinite(affine.GetParameters() + affine.GetFixedParameters()).all():
        raise InputError('The transform holds values that are NaN or infinite.')
    return affine


def _only_affine(transform):
    """``transform`` as an AffineTransform when it is one, perhaps alone in a composite; else None."""
    transform = transform.Downcast() if hasattr(transform, 'Downcast') else sitk.Transform(transform)
    if isinstance(transform, sitk.CompositeTransform) or transform.GetName() == 'CompositeTransform':
        parts = sitk.CompositeTransform(transform)
        return _only_affine(parts.GetNthTransform(0)) if parts.GetNumberOfTransforms() == 1 else None
    return sitk.AffineTransform(transform) if transform.GetName() == 'AffineTransform' else None


def compose_affine(outer, inner):
    """``p -> outer(inner(p))`` of two sitk.AffineTransforms, written about the centre of ``inner``."""
    (matrix, offset), (inner_matrix, inner_offset) = matrix_and_offset(outer), matrix_and_offset(inner)
    return affine_from_matrix(matrix @ inner_matrix, matrix @ inner_offset + offset, inner.GetCenter())


# ---- affine after nonrigid


def total_dvf(affine, dvf, geometry=None):
    """Displacement field of T(p) = A(p + u(p)): float32, mm.

    :param affine: sitk.AffineTransform, or None.
    :param dvf: field u, or None (then ``geometry`` is needed).
    :param geometry: grid of the result; None: that of ``dvf``. On another one u is read linearly, edge clamped.
    """
    if dvf is None and geometry is None:
        raise InputError('A grid is needed for the displacement field of an affine transform.')
    geometry, field = Geometry.of(dvf if geometry is None else geometry), None
    if dvf is not None:
        field = array_view(resample_dvf(dvf, geometry))
    matrix, offset = matrix_and_offset(affine)
    # (M - I) p + o is a sum of one term per axis of the grid.
    steps = (matrix - np.eye(3)) @ geometry.matrix
    start = (matrix - np.eye(3)) @ np.array(geometry.origin) + offset
    x, y, z = [np.arange(n)[:, None] * step for n, step in zip(geometry.size, steps.T)]
    in_slice = np.moveaxis(y[:, None] + x, -1, 0).astype(np.float32, order='C')
    up, turn = (z + start).astype(np.float32), matrix.astype(np.float32)
    result = np.empty(geometry.shape + (3,), np.float32)

    def fill(slices):
        for k in slices:
            # Term by term, so that the fields of a registration stay the same to the last bit.
            parts = () if field is None else np.ascontiguousarray(np.moveaxis(field[k], -1, 0))
            for i in range(3):
                moves = in_slice[i] + up[k, i]
                for j, part in enumerate(parts):
                    moves += part * turn[i, j]
                result[k, ..., i] = moves

    in_slabs(fill, len(result))
    return image_from_array(result, geometry)


def total_transform(affine, dvf):
    """T(p) = A(p + u(p)) as a sitk.CompositeTransform, with u zero outside its grid, as always in ITK; A may be None.
    ITK holds the field in double precision, twice: 48 bytes per voxel.
    """
    composite = sitk.CompositeTransform(3)
    # The transform added last is applied first.
    composite.AddTransform(sitk.AffineTransform(3) if affine is None else affine)
    double = sitk.Cast(require_dvf(dvf), sitk.sitkVectorFloat64)
    composite.AddTransform(sitk.DisplacementFieldTransform(double))
    return composite


def apply_to_points(points, affine=None, dvf=None):
    """Points ``(n, 3)``, mm, of the fixed image in the moving one: A(p + u(p)), either None; u is read linearly,
    clamped.
    """
    points = np.asarray(points, dtype=np.float64)
    matrix, offset = matrix_and_offset(affine)
    return (points if dvf is None else points + sample_dvf(dvf, points)) @ matrix.T + offset


def apply_inverse_to_points(points, affine=None, dvf=None):
    """Points q ``(n, 3)``, mm, of the moving image in the fixed one: p with A(p + u(p)) = q.

    Fixed-point iteration; converges where u does not fold; needs no inverse field.

    :return: (points ``(n, 3)``, residual ``(n,)``): residual is ``|A(p + u(p)) - q|`` in mm.
    """
    points = np.asarray(points, dtype=np.float64)
    matrix, offset = matrix_and_offset(affine)
    target = np.linalg.solve(matrix, (points - offset).T).T
    result = target
    for _ in range(_MOST_ITERATIONS if dvf is not None else 0):
        step = target - sample_dvf(dvf, result) - result
        result = result + step
        if not len(step) or np.linalg.norm(step, axis=1).max() <= _TOLERANCE:
            break
    return result, np.linalg.norm(apply_to_points(result, affine, dvf) - points, axis=1)


# ---- files


def read_transform(path):
    """Read a linear transform, perhaps a composite one, from a file of ITK (.tfm, .txt, .h5 or .mat): sitk.Transform.

    :raises MissingFileError, InputError: missing, damaged, cut short, of another kind, or not 3D.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise MissingFileError(f'The transform file {path} does not exist.')
    try:
        # ITK's own reader takes numbers that are missing for anything, and the beginning of a number for the number.
        readers = {'.h5': read_transforms, '.hdf5': read_transforms, '.mat': _in_matlab}
        return _built(path, readers.get(os.path.splitext(path)[1].lower(), _in_text)(path))
    except InputError:
        raise
    except Exception as error:  # whatever a reader of other formats says of a damaged file
        raise _damaged(path) from error


def _damaged(path):
    return InputError(f'{path} is damaged, cut short or not a transform of ITK (.tfm, .txt, .h5, .mat).')


def _built(path, parts):
    """The transform of a list of (kind, parameters, fixed parameters), as in a file."""
    is_composite = bool(parts) and parts[0][0].startswith('CompositeTransform')
    built = []
    for kind, parameters, fixed in parts[is_composite:]:
        name, _, dimensions = kind.replace('MatrixOffsetTransformBase', 'AffineTransform').partition('_')
        if dimensions[-3:] != '3_3':
            raise InputError(f'{path} holds a {dimensions[-1:]}D transform; a 3D one is needed.')
        if name not in _LINEAR:
            accepted = f'accepted: {", ".join(_LINEAR)}, and composites of them'
            raise InputError(f'{path} holds a {name}, which is not linear; {accepted}.')
        one = getattr(sitk, name)(*[3] * (name in _ANY_DIMENSIONS))
        # The fixed parameters of a rotation are three, in newer files four.
        counts = len(parameters), len(fixed)
        usual = one.GetNumberOfParameters(), one.GetNumberOfFixedParameters()
        if counts not in (usual, (usual[0], 3)) or not np.isfinite(parameters + fixed).all():
            raise _damaged(path)
        one.SetFixedParameters(fixed + list(one.GetFixedParameters())[len(fixed) :])
        one.SetParameters(parameters)
        built.append(one)
    if not built or (len(built) > 1 and not is_composite):
        raise _damaged(path)
    return sitk.CompositeTransform(built) if is_composite else built[0]


def _in_text(path):
    text = unsealed(path, read_text(path, 'a transform of ITK (.tfm, .txt, .h5, .mat)'))
    header, *lines = [line.strip() for line in text.splitlines() if line.strip()]
    pairs = [line.split(':') for line in lines if not line.startswith('#')]
    starts = [k for k, (key, _) in enumerate(pairs) if key == 'Transform']
    blocks = [dict(pairs[start:end]) for start, end in zip(starts, starts[1:] + [len(pairs)])]
    is_whole = text.endswith('\n') and sum(map(len, blocks)) == len(pairs)
    if not (is_whole and header.startswith('#Insight Transform File')):
        raise _damaged(path)
    numbers = ('Parameters', 'FixedParameters')
    found = [[[float(word) for word in block.pop(key, '').split()] for key in numbers] for block in blocks]
    return [(block['Transform'].strip(), *both) for block, both in zip(blocks, found)]


def _in_matlab(path):
    found = {name: list(map(float, np.ravel(values))) for name, values in loadmat(path).items() if name[0] != '_'}
    ((name, parameters),) = [(name, values) for name, values in found.items() if name != 'fixed']
    return [(name, parameters, found['fixed'])]


def write_affine(affine, path):
    """Write an affine transform whole or not at all to ``path``, which ends in .tfm, .txt or .h5."""
    path = os.fspath(path)
    if not path.lower().endswith(AFFINE_FILES):
        raise InputError(f'Cannot write the transform {path}: the name must end in one of {", ".join(AFFINE_FILES)}.')
    with publish(path) as temporary:
        sitk.WriteTransform(affine, temporary)
        if not path.lower().endswith('.h5'):
            with open(temporary, 'r+', encoding='ascii') as stream:
                text = sealed(stream.read(), '#')
                stream.seek(0)
                stream.write(text)


def write_total_transform(affine, dvf, path):
    """Write T(p) = A(p + u(p)), A perhaps None, as an ITK composite transform to a name in ``.h5``, whole or not at
    all.

    The same as ``sitk.WriteTransform(total_transform(affine, dvf), path)``, but the field stays float32 and is written
    slice by slice: half the file size, and none of ITK's three copies in double precision.
    """
    path = os.fspath(path)
    if not path.lower().endswith('.h5'):
        raise InputError(f'Cannot write the transform {path}: the name must end in .h5.')
    dvf = require_dvf(dvf)
    affine = sitk.AffineTransform(3) if affine is None else affine
    geometry, field = Geometry.of(dvf), array_view(dvf)
    grid = geometry.size + geometry.origin + geometry.spacing + geometry.direction
    with publish(path) as temporary, h5py.File(temporary, 'w') as stream:
        _write_text(stream, 'ITKVersion', sitk.Version.ITKVersionString().encode())
        groups = [stream.create_group(f'TransformGroup/{number}') for number in range(3)]
        for group, name in zip(groups, (b'CompositeTransform_double', b'AffineTransform_double', _FIELD)):
            _write_text(group, 'TransformType', name + b'_3_3')
        for group, name, values in (
            (groups[1], 'TransformFixedParameters', affine.GetFixedParameters()),
            (groups[1], 'TransformParameters', affine.GetParameters()),
            (groups[2], 'TransformFixedParameters', grid),
        ):
            group.create_dataset(name, data=np.array(values, dtype=np.float64), **_SAME_BYTES)
        data = groups[2].create_dataset('TransformParameters', (field.size,), np.float32, **_SAME_BYTES)
        slab = field[0].size
        for z, plane in enumerate(field):
            data[z * slab : (z + 1) * slab] = plane.ravel()


def _write_text(group, name, text):
    kind = h5py.special_dtype(vlen=bytes)
    group.create_dataset(name, data=np.array([text], dtype=object), dtype=kind, **_SAME_BYTES)
