"""The displacement field of a TransformParameters file, computed by transformix."""

import os

from ..image.geometry import Geometry
from ..image.volume_io import read_image
from .parameter_files import refused_characters, write_parameters
from .programs import run_program, working_folder
from .transform_files import FIELD_KEY, NO_INITIAL, grid_parameters, read_chain


def deformation_field(parameter_file, grid=None, threads=None, log_folder=None):
    """The total displacement field of a TransformParameters file on ``grid`` (image or Geometry), else on that in the
    file: float32 vector image, mm, fixed to moving.
    """
    with working_folder(log_folder) as folder:
        name = stage_chain(parameter_file, folder, grid)
        run_program('transformix', ['-def', 'all', '-tp', name, '-out', '.'], folder, threads)
        return read_image(os.path.join(folder, 'deformationField.mha'), 'vector')


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
            os.symlink(path, os.path.join(folder, parameters[FIELD_KEY][0]))
        write_parameters(os.path.join(folder, names[k]), parameters)
    return names[0]
