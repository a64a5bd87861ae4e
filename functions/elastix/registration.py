"""Registration by elastix: affine, and the B-spline registrations results are compared with."""

import os

import SimpleITK as sitk

from functions.elastix.parameter_files import PARAMETER_FOLDER, read_parameters, write_parameters
from functions.elastix.programs import run_program, working_folder
from functions.elastix.transform_files import linear_parameters, name_in, read_linear_transform, write_linear_transform
from functions.elastix.transformix import deformation_field
from functions.image.geometry import require_same_grid
from functions.image.masks import require_nonempty
from functions.setting.errors import InputError

AFFINE_FILE = os.path.join(PARAMETER_FOLDER, 'Par0011.affine.txt')
#: Number of resolutions -> parameter file.
BSPLINE_FILES = {
    3: os.path.join(PARAMETER_FOLDER, 'parameters_MI_BSpline_500.txt'),
    1: os.path.join(PARAMETER_FOLDER, 'parameters_MI_BSpline_1R_500.txt'),
}
_INITIAL = 'InitialTransform.txt'
_RESULT = 'TransformParameters.0.txt'
_KINDS = (sitk.sitkInt16, sitk.sitkUInt8, sitk.sitkUInt16, sitk.sitkFloat32)


def affine(
    fixed,
    moving,
    fixed_mask=None,
    moving_mask=None,
    initial=None,
    parameter_file=AFFINE_FILE,
    threads=None,
    folder=None,
    overrides=None,
):
    """Affine registration by elastix.

    :param fixed, moving: scalar images of any grid.
    :param fixed_mask, moving_mask: masks on the grids of their images, or None.
    :param initial: sitk.AffineTransform to begin from, or None.
    :param parameter_file: elastix parameter file of a linear transform.
    :param threads: None: every core this process may use.
    :param folder: keeps ``TransformParameters.0.txt`` (all in one affine transform), the parameters used and
        the logs; None: nothing is kept.
    :param overrides: parameters put in place of the file's, e.g. ``{'MaximumNumberOfIterations': 50}``.
    :return: sitk.AffineTransform, fixed to moving points, ``initial`` included.
    :raises MissingFileError, InputError: no elastix, wrong masks, or elastix failed (with what it said).
    """
    with working_folder(folder) as work:
        path = _register(work, fixed, moving, fixed_mask, moving_mask, initial, parameter_file, threads, overrides)
        result = read_linear_transform(path)
        if folder is not None:
            _keep(work, folder, ['parameters.txt'])
            write_linear_transform(os.path.join(folder, _RESULT), result, fixed)
    return result


def bspline(
    fixed,
    moving,
    fixed_mask=None,
    moving_mask=None,
    affine=None,
    resolutions=3,
    parameter_file=None,
    threads=None,
    folder=None,
    overrides=None,
):
    """B-spline registration by elastix: total displacement field on the fixed grid, ``affine`` included.

    In elastix ``affine`` comes first and the B-spline is found on top of it: p -> B(A(p)).

    :param affine: sitk.AffineTransform to begin from, or None.
    :param resolutions: 3 or 1: which of the repository's parameter files.
    :param parameter_file: another one instead.
    :param folder: keeps ``TransformParameters.0.txt`` with its ``InitialTransform.txt`` (absolute paths), the
        parameters used and the logs. Other parameters and errors as :func:`affine`.
    :return: sitk.Image, three float32 components, mm, fixed to moving.
    """
    if parameter_file is None:
        if resolutions not in BSPLINE_FILES:
            raise InputError(
                'resolutions is {!r}; accepted: {}, or another parameter file.'.format(
                    resolutions, ', '.join(str(n) for n in sorted(BSPLINE_FILES))
                )
            )
        parameter_file = BSPLINE_FILES[resolutions]
    with working_folder(folder) as work:
        path = _register(work, fixed, moving, fixed_mask, moving_mask, affine, parameter_file, threads, overrides)
        if folder is not None:
            _keep(work, folder, ['parameters.txt', _INITIAL])
            parameters = read_parameters(path)
            if affine is not None:
                parameters['InitialTransformParametersFileName'] = name_in(os.path.abspath(folder), _INITIAL)
            write_parameters(os.path.join(folder, _RESULT), parameters)
        return deformation_field(path, fixed, threads, folder)


def _keep(work, folder, names):
    for name in names:
        if os.path.exists(os.path.join(work, name)):
            write_parameters(os.path.join(folder, name), read_parameters(os.path.join(work, name)))


def _register(work, fixed, moving, fixed_mask, moving_mask, initial, parameter_file, threads, overrides):
    """Run elastix in the folder ``work``; return the path of its TransformParameters file."""
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
    parameters.update([('WriteResultImage', 'false'), ('ResultImageFormat', 'mha')])
    parameters.update(overrides or {})
    write_parameters(os.path.join(work, 'parameters.txt'), parameters)
    if initial is not None:
        write_parameters(os.path.join(work, _INITIAL), linear_parameters(initial, fixed))
        arguments += ['-t0', _INITIAL]
    run_program('elastix', arguments, work, threads)
    path = os.path.join(work, _RESULT)
    if not os.path.exists(path):
        raise InputError(f'elastix ended without writing its transform; its parameter file is {parameter_file}.')
    return path
