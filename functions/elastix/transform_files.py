"""elastix's TransformParameters files: linear transforms, and displacement fields under them.

A file names its initial transform, which is applied first (``InitialTransformParametersFileName``). The transform of a
registration from the fixed to the moving image, T(p) = A(p + u(p)), is therefore a file of the affine transform A whose
initial transform is the file of the field u.

elastix 5.0.1 looks for the files that these files name in its working directory. Paths are therefore written absolute,
and :func:`rewrite_paths` (``python -m functions.elastix rewrite FOLDER``) updates them after the folder has moved.
"""

import glob
import logging
import os
import re

import numpy as np
import SimpleITK as sitk

from ..image.geometry import Geometry
from ..image.manifest import recorded_change
from ..image.transforms import as_affine, compose_affine
from ..setting.atomic import write_text
from ..setting.errors import InputError, MissingFileError
from ..setting.operating_system import alias
from ..setting.text_files import read_text, sealed, unsealed
from .parameter_files import read_parameters, refused_characters, write_parameters

LOGGER = logging.getLogger(__name__)

NO_INITIAL = 'NoInitialTransform'
#: Versions after 5.0 spell it differently; all versions read the first.
INITIAL_KEYS = ('InitialTransformParametersFileName', 'InitialTransformParameterFileName')
FIELD_KEY = 'DeformationFieldFileName'
_PATH_LINE = re.compile(rf'^(\s*\(\s*(?:{"|".join(INITIAL_KEYS + (FIELD_KEY,))})\s+")([^"]*)("\s*\).*)$')
_LENGTHS = {'AffineTransform': 12, 'EulerTransform': 6, 'TranslationTransform': 3}
#: What every TransformParameters file of elastix says, the last in the order of the file.
_REQUIRED = ('Transform', 'NumberOfParameters', 'HowToCombineTransforms', 'Resampler')


# ---- reading


def read_chain(path):
    """The parameters of a TransformParameters file and of its initial transforms, the last one applied first.

    Names in the files become absolute paths: as written if the file exists, else in the folder of the file.

    :return: list of dictionaries without ``InitialTransformParametersFileName``.
    :raises MissingFileError, InputError: a file is missing or of another kind, or the chain is circular.
    """
    chain, seen = [], set()
    while path is not None:
        path = os.path.abspath(path)
        if path in seen:
            raise InputError(f'{path} is its own initial transform (InitialTransformParametersFileName).')
        seen.add(path)
        parameters = read_parameters(path)
        _require_complete(path, parameters)
        if FIELD_KEY in parameters:
            parameters[FIELD_KEY] = [_resolve(parameters[FIELD_KEY][0], path)]
        initial = [parameters.pop(key)[0] for key in INITIAL_KEYS if key in parameters]
        path = _resolve(initial[0], path) if initial and initial[0] != NO_INITIAL else None
        chain.append(parameters)
    return chain


def _require_complete(path, parameters):
    missing = [key for key in _REQUIRED if key not in parameters]
    missing += [] if any(key in parameters for key in INITIAL_KEYS) else [INITIAL_KEYS[0]]
    if missing:
        raise InputError(f'{path} is no TransformParameters file of elastix, or cut short: {missing[0]} is missing.')
    if [len(parameters.get('TransformParameters', []))] != parameters['NumberOfParameters']:
        raise InputError(f'{path} is damaged: it holds other than NumberOfParameters TransformParameters.')


def _resolve(name, named_in):
    """Path of the file that the file ``named_in`` calls ``name``."""
    name, folder = str(name), os.path.dirname(named_in)
    for candidate in (os.path.join(folder, name), os.path.join(folder, os.path.basename(name))):
        if os.path.isfile(candidate):
            return os.path.abspath(candidate)
    advice = f'If the whole folder was moved, run "python -m functions.elastix rewrite {folder}"'
    raise MissingFileError(f'{named_in} refers to {name}, which does not exist. {advice}.')


def read_linear_transform(path):
    """A TransformParameters file of an Affine-, Euler- or TranslationTransform as sitk.AffineTransform, fixed to
    moving, initial transforms included; a single affine transform keeps its matrix and centre exactly.

    :raises MissingFileError, InputError: missing, or another kind of transform.
    """
    chain = read_chain(path)
    affine = _linear(chain[0], path)
    for outer, inner in zip(chain, chain[1:]):
        combine = outer.get('HowToCombineTransforms', ['Compose'])[0]
        if combine != 'Compose':
            raise InputError(f'{path} has HowToCombineTransforms {combine!r}; accepted: Compose.')
        affine = compose_affine(affine, _linear(inner, path))
    return affine


def _linear(parameters, path):
    kind, values = str(parameters['Transform'][0]), parameters.get('TransformParameters', [])
    if kind not in _LENGTHS:
        raise InputError(f'{path} contains a transform of type {kind}; accepted: {", ".join(sorted(_LENGTHS))}.')
    centre = parameters.get('CenterOfRotationPoint', [0.0] * 3 if kind == 'TranslationTransform' else [])
    numbers = [value for value in list(values) + list(centre) if not isinstance(value, str)]
    if len(values) != _LENGTHS[kind] or len(numbers) != len(values) + 3 or not np.isfinite(numbers).all():
        needed = f'{_LENGTHS[kind]} TransformParameters and a CenterOfRotationPoint of three numbers'
        raise InputError(f'{path} is damaged: a 3D {kind} has {needed}.')
    values, centre = [[float(value) for value in part] for part in (values, centre)]
    if kind == 'TranslationTransform':
        return as_affine(sitk.TranslationTransform(3, values))
    transform = sitk.AffineTransform(3) if kind == 'AffineTransform' else sitk.Euler3DTransform()
    if kind == 'EulerTransform':
        transform.SetComputeZYX(str(parameters.get('ComputeZYX', ['false'])[0]).lower() == 'true')
    transform.SetCenter(centre)
    transform.SetParameters(values)
    return as_affine(transform)


# ---- writing


def grid_parameters(grid):
    """The parameters for the grid of the result, which is that of the fixed image."""
    geometry = Geometry.of(grid)
    return {
        'Size': [int(n) for n in geometry.size],
        'Index': [0, 0, 0],
        'Spacing': list(geometry.spacing),
        'Origin': list(geometry.origin),
        # elastix lists the direction cosines axis by axis: the columns of ITK's matrix.
        'Direction': np.array(geometry.direction).reshape(3, 3).T.ravel().tolist(),
        'UseDirectionCosines': 'true',
    }


def _common_parameters(grid, default, initial):
    return {
        'InitialTransformParametersFileName': initial,
        'HowToCombineTransforms': 'Compose',
        'FixedImageDimension': 3,
        'MovingImageDimension': 3,
        'FixedInternalImagePixelType': 'float',
        'MovingInternalImagePixelType': 'float',
        **grid_parameters(grid),
        'ResampleInterpolator': 'FinalBSplineInterpolator',
        'FinalBSplineInterpolationOrder': 3,
        'DefaultPixelValue': float(default),
        'ResultImageFormat': 'mha',
        'ResultImagePixelType': 'short',
        'CompressResultImage': 'false',
        'Resampler': 'DefaultResampler',  # required, so that a file cut after any line is noticed
    }


def linear_parameters(affine, grid, default=-2048.0, initial=NO_INITIAL):
    """Parameters of a TransformParameters file of a sitk.AffineTransform.

    :param grid: image or Geometry of the fixed image; ``default`` is the value outside the moving one.
    :param initial: file of the initial transform.
    """
    return {
        'Transform': 'AffineTransform',
        'NumberOfParameters': 12,
        'TransformParameters': list(affine.GetParameters()),
        'CenterOfRotationPoint': list(affine.GetCenter()),
        **_common_parameters(grid, default, initial),
    }


def write_linear_transform(path, affine, grid, default=-2048.0, initial=NO_INITIAL):
    """Write a TransformParameters file of a sitk.AffineTransform; see :func:`linear_parameters`."""
    write_parameters(path, linear_parameters(affine, grid, default, initial))


def write_total_transform(folder, dvf_path, grid, affine=None, default=-2048.0):
    """Write T(p) = A(p + u(p)) as TransformParameters files into ``folder``.

    ``TransformParameters.0.txt`` is the field u, interpolated linearly and zero outside its grid;
    ``TransformParameters.1.txt`` is A, with u as its initial transform. Paths are absolute, unless the folder's path
    contains a character that elastix refuses: then transformix must be run inside the folder, which is logged.

    :param dvf_path: file of u (float32, mm, x y z), in ``folder``.
    :param grid: image or Geometry of the fixed image.
    :param affine: sitk.AffineTransform, or None.
    :return: path of the file to pass to transformix (``-tp``).
    """
    folder = os.path.abspath(folder)
    if not os.path.isfile(dvf_path):
        raise MissingFileError(f'The displacement field {dvf_path} does not exist.')
    if os.path.dirname(os.path.abspath(dvf_path)) != folder:
        raise InputError(f'The displacement field {dvf_path} must be in the folder of its parameter files, {folder}.')
    paths = [os.path.join(folder, f'TransformParameters.{k}.txt') for k in (0, 1)]
    parameters = {
        'Transform': 'DeformationFieldTransform',
        'NumberOfParameters': 0,
        FIELD_KEY: name_in(folder, os.path.basename(dvf_path)),
        'DeformationFieldInterpolationOrder': 1,
        **_common_parameters(grid, default, NO_INITIAL),
    }
    write_parameters(paths[0], parameters)
    if affine is None:
        return paths[0]
    write_linear_transform(paths[1], affine, grid, default, name_in(folder, os.path.basename(paths[0])))
    return paths[1]


def name_in(folder, name):
    """How a parameter file in ``folder`` refers to the file ``name`` there: by absolute path if elastix accepts it."""
    if not refused_characters(folder):
        return os.path.join(folder, name)
    advice = 'run transformix inside this folder, or rename it and run "python -m functions.elastix rewrite" on it'
    LOGGER.warning('elastix refuses a character in the path %s: %s', folder, advice)
    return name


def stage_chain(parameter_file, folder, grid=None):
    """Copy a TransformParameters file and its initial transforms into ``folder``, with names relative to it; returns
    the name of the file to pass to transformix. ``grid``, if given, replaces that of the file.
    """
    chain = read_chain(parameter_file)
    chain[0].update(grid_parameters(Geometry.of(grid)) if grid is not None else {})
    chain[0].update({'ResultImageFormat': 'mha', 'CompressResultImage': 'false'})
    names = [f'transform{k}.txt' for k in range(len(chain))]
    for k, parameters in enumerate(chain):
        parameters['InitialTransformParametersFileName'] = names[k + 1] if k + 1 < len(chain) else NO_INITIAL
        path = parameters.get(FIELD_KEY, [''])[0]
        if refused_characters(path):
            extension = '.nii.gz' if path.lower().endswith('.nii.gz') else os.path.splitext(path)[1]
            parameters[FIELD_KEY] = [f'field{k}{extension}']
            alias(path, os.path.join(folder, parameters[FIELD_KEY][0]))
        write_parameters(os.path.join(folder, names[k]), parameters)
    return names[0]


def rewrite_paths(folder):
    """Update the paths in the TransformParameters files of a folder that has moved; returns the files that changed.

    Only paths of files in the folder change; the rest of the files, including comments, stays.

    :raises MissingFileError: no such folder, no such files in it, or a file they refer to is missing.
    """
    folder = os.path.abspath(folder)
    changed, found = [], 0
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), '*.txt'))):
        text = read_text(path)
        if not re.search(r'^\s*\(\s*Transform\s', text, re.MULTILINE):
            continue
        found += 1
        plain = unsealed(path, text)
        new = '\n'.join(_rewritten(line, folder, path) for line in plain.split('\n'))
        if new != plain:
            with recorded_change(path):
                write_text(path, new if plain == text else sealed(new, '//'))
            changed.append(path)
    if not found:
        raise MissingFileError(f'{folder} contains no TransformParameters files of elastix.')
    return changed


def _rewritten(line, folder, path):
    match = _PATH_LINE.match(line)
    if match is None or match.group(2) == NO_INITIAL:
        return line
    name = os.path.basename(match.group(2))
    neighbour = os.path.join(folder, name)
    # The initial transform may be a TransformParameters.0.txt elsewhere; this file may have the same name.
    if os.path.isfile(neighbour) and neighbour != path:
        return match.group(1) + name_in(folder, name) + match.group(3)
    _resolve(match.group(2), path)
    return line
