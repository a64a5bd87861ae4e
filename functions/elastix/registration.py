"""Registration by elastix: affine, and the B-spline registrations that serve as references; fields by transformix."""

import os

import SimpleITK as sitk

from ..image.geometry import require_same_grid
from ..image.masks import require_nonempty
from ..image.volume_io import read_image
from ..setting.errors import InputError
from .parameter_files import PARAMETER_FOLDER, read_parameters, write_parameters
from .programs import run_program, working_folder
from .transform_files import linear_parameters, name_in, read_linear_transform, stage_chain, write_linear_transform

AFFINE_FILE = os.path.join(PARAMETER_FOLDER, 'Par0011.affine.txt')
#: Number of resolutions -> parameter file.
BSPLINE_FILES = {3: 'parameters_MI_BSpline_500.txt', 1: 'parameters_MI_BSpline_1R_500.txt'}
BSPLINE_FILES = {number: os.path.join(PARAMETER_FOLDER, name) for number, name in BSPLINE_FILES.items()}
_INITIAL, _RESULT = 'InitialTransform.txt', 'TransformParameters.0.txt'
_KINDS = (sitk.sitkInt16, sitk.sitkUInt8, sitk.sitkUInt16, sitk.sitkFloat32)


def affine(
    fixed, moving, parameter_file, fixed_mask=None, moving_mask=None, initial=None, threads=None, folder=None, grid=None
):
    """Affine registration by elastix: sitk.AffineTransform, fixed to moving points, ``initial`` included.

    :param fixed, moving: scalar images of any grid, with masks on these grids, or None.
    :param parameter_file: elastix parameter file of a linear transform.
    :param initial: sitk.AffineTransform to start from, or None.
    :param threads: None: all cores this process may use.
    :param folder: receives ``TransformParameters.0.txt`` (the result as one affine transform), the parameters used and
        the logs; or None.
    :param grid: image or Geometry whose grid that file names for resampling; None: that of ``fixed``.
    :raises MissingFileError, InputError: elastix is not installed, a mask is unusable, or elastix failed.
    """
    with working_folder(folder) as work:
        path = _register(work, fixed, moving, parameter_file, fixed_mask, moving_mask, initial, threads)
        result = read_linear_transform(path)
        if folder is not None:
            _keep(work, folder, ['parameters.txt'])
            write_linear_transform(os.path.join(folder, _RESULT), result, fixed if grid is None else grid)
    return result


def bspline(fixed, moving, parameter_file, fixed_mask=None, moving_mask=None, initial=None, threads=None, folder=None):
    """B-spline registration by elastix: the total displacement field on the fixed grid, ``initial`` included, a vector
    image, float32, mm, fixed to moving.

    elastix applies the initial transform A first, then the B-spline: p -> B(A(p)).

    :param folder: receives ``TransformParameters.0.txt`` and its ``InitialTransform.txt`` (absolute paths), the
        parameters used and the logs; or None. Other parameters and errors: see :func:`affine`.
    """
    with working_folder(folder) as work:
        path = _register(work, fixed, moving, parameter_file, fixed_mask, moving_mask, initial, threads)
        if folder is not None:
            _keep(work, folder, ['parameters.txt', _INITIAL])
            parameters = read_parameters(path)
            if initial is not None:
                parameters['InitialTransformParametersFileName'] = name_in(os.path.abspath(folder), _INITIAL)
            write_parameters(os.path.join(folder, _RESULT), parameters)
        return deformation_field(path, fixed, threads, folder)


def _keep(work, folder, names):
    for name in names:
        if os.path.exists(os.path.join(work, name)):
            write_parameters(os.path.join(folder, name), read_parameters(os.path.join(work, name)))


def _register(work, fixed, moving, parameter_file, fixed_mask, moving_mask, initial, threads):
    """Run elastix in the folder ``work`` and return the path of its TransformParameters file."""
    arguments = ['-f', 'fixed.mha', '-m', 'moving.mha', '-p', 'parameters.txt', '-out', '.']
    for name, image, mask in (('fixed', fixed, fixed_mask), ('moving', moving, moving_mask)):
        if mask is not None:
            require_same_grid(mask, image, f'The mask of the {name} image', 'the image')
            require_nonempty(mask, f'The mask of the {name} image')
            sitk.WriteImage(sitk.NotEqual(mask, 0), os.path.join(work, name + 'Mask.mha'))
            arguments += [f'-{name[0]}Mask', name + 'Mask.mha']
        image = image if image.GetPixelID() in _KINDS else sitk.Cast(image, sitk.sitkFloat32)
        sitk.WriteImage(image, os.path.join(work, name + '.mha'))
    parameters = read_parameters(parameter_file)
    parameters.update(WriteResultImage='false', ResultImageFormat='mha')
    write_parameters(os.path.join(work, 'parameters.txt'), parameters)
    if initial is not None:
        write_parameters(os.path.join(work, _INITIAL), linear_parameters(initial, fixed))
        arguments += ['-t0', _INITIAL]
    run_program('elastix', arguments, work, threads)
    path = os.path.join(work, _RESULT)
    if not os.path.exists(path):
        raise InputError(f'elastix wrote no transform; its parameter file is {parameter_file}.')
    return path


def deformation_field(parameter_file, grid=None, threads=None, log_folder=None):
    """The total displacement field of a TransformParameters file on ``grid`` (image or Geometry), else on that in the
    file: float32 vector image, mm, fixed to moving.
    """
    with working_folder(log_folder) as folder:
        name = stage_chain(parameter_file, folder, grid)
        run_program('transformix', ['-def', 'all', '-tp', name, '-out', '.'], folder, threads)
        return read_image(os.path.join(folder, 'deformationField.mha'), 'vector')
