"""elastix's TransformParameters files: linear transforms, and displacement fields under them.

A file names the transform that is applied before its own (``InitialTransformParametersFileName``), so the way
from the fixed to the moving image of a registration, first the field u and then the affine A, is a file of A
whose initial transform is the file of u: T(p) = A(p + u(p)).

elastix 5.0.1 looks for names in these files in the working directory of whoever calls it. They are therefore
written with absolute paths, and :func:`rewrite_paths` (``python -m functions.elastix rewrite FOLDER``) puts
them right after the folder has moved.
"""

import collections
import logging
import os
import re

import numpy as np
import SimpleITK as sitk

from functions.elastix.parameter_files import REFUSED, read_parameters, write_parameters
from functions.image.geometry import Geometry
from functions.image.transforms import as_affine, compose_affine
from functions.setting.atomic import write_text
from functions.setting.errors import InputError, MissingFileError

LOGGER = logging.getLogger(__name__)

NO_INITIAL = 'NoInitialTransform'
#: Version 5.0 and its successors spell it differently; both read the first.
INITIAL_KEYS = ('InitialTransformParametersFileName', 'InitialTransformParameterFileName')
FIELD_KEY = 'DeformationFieldFileName'
_PATH_LINE = re.compile(r'^(\s*\(\s*(?:{})\s+")([^"]*)("\s*\).*)$'.format('|'.join(INITIAL_KEYS + (FIELD_KEY,))))
_LENGTHS = {'AffineTransform': 12, 'EulerTransform': 6, 'TranslationTransform': 3}


# ---- reading


def read_chain(path):
    """The parameters of a TransformParameters file and of those it builds upon, the last applied one first.

    Names in them are made absolute: as they stand when they exist, else in the folder of the file.

    :return: list of OrderedDicts; ``InitialTransformParametersFileName`` is left out.
    :raises MissingFileError, InputError: a file is missing, is none of this kind, or the chain never ends.
    """
    chain, seen = [], set()
    while path is not None:
        path = os.path.abspath(path)
        if path in seen:
            raise InputError(f'{path} builds upon itself (InitialTransformParametersFileName).')
        seen.add(path)
        parameters = read_parameters(path)
        if 'Transform' not in parameters:
            raise InputError(f'{path} is not a TransformParameters file of elastix: it names no Transform.')
        if FIELD_KEY in parameters:
            parameters[FIELD_KEY] = [_resolve(parameters[FIELD_KEY][0], path)]
        initial = [parameters.pop(key)[0] for key in INITIAL_KEYS if key in parameters]
        path = _resolve(initial[0], path) if initial and initial[0] != NO_INITIAL else None
        chain.append(parameters)
    return chain


def _resolve(name, named_in):
    """Where the file ``name`` is that the file ``named_in`` names."""
    name, folder = str(name), os.path.dirname(named_in)
    for candidate in (os.path.join(folder, name), os.path.join(folder, os.path.basename(name))):
        if os.path.isfile(candidate):
            return os.path.abspath(candidate)
    raise MissingFileError(
        f'{named_in} names {name}, which does not exist. Where the files have moved together, run '
        f'"python -m functions.elastix rewrite {folder}".'
    )


def read_linear_transform(path):
    """A TransformParameters file as sitk.AffineTransform, fixed to moving, initial transforms included.

    AffineTransform, EulerTransform and TranslationTransform are understood. The matrix and centre of a single
    affine transform are those of the file.

    :raises MissingFileError, InputError: missing, or another kind of transform.
    """
    chain = read_chain(path)
    affine = _linear(chain[0], path)
    for outer, inner in zip(chain, chain[1:]):
        combine = outer.get('HowToCombineTransforms', ['Compose'])[0]
        if combine != 'Compose':
            raise InputError(f'{path} combines transforms by {combine!r}; accepted: Compose.')
        affine = compose_affine(affine, _linear(inner, path))
    return affine


def _linear(parameters, path):
    kind, values = str(parameters['Transform'][0]), parameters.get('TransformParameters', [])
    if kind not in _LENGTHS:
        raise InputError(
            '{} holds a transform of type {}; an affine one is needed: {}.'.format(
                path, kind, ', '.join(sorted(_LENGTHS))
            )
        )
    centre = parameters.get('CenterOfRotationPoint', [0.0, 0.0, 0.0])
    numbers = [value for value in list(values) + list(centre) if not isinstance(value, str)]
    if len(values) != _LENGTHS[kind] or len(numbers) != len(values) + 3 or not np.isfinite(numbers).all():
        raise InputError(
            f'{path}: a 3D {kind} has {_LENGTHS[kind]} TransformParameters and a CenterOfRotationPoint of three '
            'numbers; it is damaged.'
        )
    values = [float(value) for value in values]
    if kind == 'AffineTransform':
        transform = sitk.AffineTransform(3)
    elif kind == 'EulerTransform':
        transform = sitk.Euler3DTransform()
        transform.SetComputeZYX(str(parameters.get('ComputeZYX', ['false'])[0]).lower() == 'true')
    else:
        return as_affine(sitk.TranslationTransform(3, values))
    transform.SetCenter([float(value) for value in centre])
    transform.SetParameters(values)
    return as_affine(transform)


# ---- writing


def grid_parameters(grid):
    """The parameters that describe the grid of the result (the fixed image's)."""
    geometry = Geometry.of(grid)
    return collections.OrderedDict(
        [
            ('Size', [int(n) for n in geometry.size]),
            ('Index', [0, 0, 0]),
            ('Spacing', list(geometry.spacing)),
            ('Origin', list(geometry.origin)),
            # elastix lists direction cosines axis by axis: the columns of ITK's matrix.
            ('Direction', np.array(geometry.direction).reshape(3, 3).T.ravel().tolist()),
            ('UseDirectionCosines', 'true'),
        ]
    )


def _common(grid, default, initial):
    parameters = collections.OrderedDict(
        [
            ('InitialTransformParametersFileName', initial),
            ('HowToCombineTransforms', 'Compose'),
            ('FixedImageDimension', 3),
            ('MovingImageDimension', 3),
            ('FixedInternalImagePixelType', 'float'),
            ('MovingInternalImagePixelType', 'float'),
        ]
    )
    parameters.update(grid_parameters(grid))
    parameters.update(
        [
            ('ResampleInterpolator', 'FinalBSplineInterpolator'),
            ('FinalBSplineInterpolationOrder', 3),
            ('Resampler', 'DefaultResampler'),
            ('DefaultPixelValue', float(default)),
            ('ResultImageFormat', 'mha'),
            ('ResultImagePixelType', 'short'),
            ('CompressResultImage', 'false'),
        ]
    )
    return parameters


def linear_parameters(affine, grid, default=-2048.0, initial=NO_INITIAL):
    """Parameters of a TransformParameters file of a sitk.AffineTransform.

    :param grid: image or Geometry of the fixed image.
    :param default: value outside the moving image.
    :param initial: file of the transform that is applied before.
    """
    parameters = collections.OrderedDict(
        [
            ('Transform', 'AffineTransform'),
            ('NumberOfParameters', 12),
            ('TransformParameters', list(affine.GetParameters())),
            ('CenterOfRotationPoint', list(affine.GetCenter())),
        ]
    )
    parameters.update(_common(grid, default, initial))
    return parameters


def write_linear_transform(path, affine, grid, default=-2048.0, initial=NO_INITIAL):
    """Write a TransformParameters file of a sitk.AffineTransform; see :func:`linear_parameters`."""
    write_parameters(path, linear_parameters(affine, grid, default, initial))


def write_total_transform(folder, dvf_path, grid, affine=None, default=-2048.0):
    """Write T(p) = A(p + u(p)) as TransformParameters files into ``folder``.

    ``TransformParameters.0.txt`` is the field u, read linearly (zero outside its grid); ``TransformParameters.1.txt``
    is A with it as its initial transform. Names are absolute paths; where the folder's path holds a character that
    elastix refuses, they are bare names and transformix must be called from inside the folder, which is logged.

    :param dvf_path: file of u (float32, mm, x y z), in ``folder``.
    :param grid: image or Geometry of the fixed image, the grid of what transformix makes.
    :param affine: sitk.AffineTransform, or None.
    :return: path of the file to give to transformix (``-tp``).
    """
    folder = os.path.abspath(folder)
    if not os.path.isfile(dvf_path):
        raise MissingFileError(f'The displacement field {dvf_path} does not exist.')
    if os.path.dirname(os.path.abspath(dvf_path)) != folder:
        raise InputError(f'The displacement field {dvf_path} must lie beside its parameter files, in {folder}.')
    paths = [os.path.join(folder, f'TransformParameters.{k}.txt') for k in (0, 1)]
    parameters = collections.OrderedDict(
        [
            ('Transform', 'DeformationFieldTransform'),
            ('NumberOfParameters', 0),
            (FIELD_KEY, name_in(folder, os.path.basename(dvf_path))),
            ('DeformationFieldInterpolationOrder', 1),
        ]
    )
    parameters.update(_common(grid, default, NO_INITIAL))
    write_parameters(paths[0], parameters)
    if affine is None:
        return paths[0]
    write_linear_transform(paths[1], affine, grid, default, name_in(folder, os.path.basename(paths[0])))
    return paths[1]


def name_in(folder, name):
    """What a parameter file in ``folder`` calls its neighbour ``name``: absolute if elastix can read that."""
    path = os.path.join(folder, name)
    if set(folder) & set(REFUSED + '"'):
        LOGGER.warning(
            'elastix refuses one of the characters of %s: call transformix from inside that '
            'folder, or rename it and run "python -m functions.elastix rewrite" on it',
            folder,
        )
        return name
    return path


def rewrite_paths(folder):
    """Make the file names in the TransformParameters files of a folder point into it, after it has moved.

    Only names of files that lie in the folder change; everything else in the files stays, comments too.

    :return: list of the files that changed.
    :raises MissingFileError: no such folder, no such files in it, or a file is named that is nowhere.
    """
    folder = os.path.abspath(folder)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    changed, found = [], 0
    for path in (os.path.join(folder, name) for name in names if name.endswith('.txt')):
        with open(path, encoding='utf-8', errors='surrogateescape') as stream:
            lines = stream.read().split('\n')
        if not any(re.match(r'\s*\(\s*Transform\s', line) for line in lines):
            continue
        found += 1
        new = [_rewritten(line, folder, path) for line in lines]
        if new != lines:
            write_text(path, '\n'.join(new))
            changed.append(path)
    if not found:
        raise MissingFileError(f'{folder} holds no TransformParameters files of elastix.')
    return changed


def _rewritten(line, folder, path):
    match = _PATH_LINE.match(line)
    if match is None or match.group(2) == NO_INITIAL:
        return line
    name = os.path.basename(match.group(2))
    neighbour = os.path.join(folder, name)
    # A registration that began from another one's TransformParameters.0.txt may itself be called that.
    if os.path.isfile(neighbour) and neighbour != path:
        return match.group(1) + name_in(folder, name) + match.group(3)
    _resolve(match.group(2), path)
    return line
