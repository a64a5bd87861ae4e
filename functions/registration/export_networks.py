"""Writes the networks of a set or of experiments for other programs, as ONNX or as TensorFlow's SavedModel.

``docs/exported_networks.md`` says what is written; ``docs/run_onnx.py`` registers with it.
"""

import importlib.util
import json
import os

from ..image.file_check import files_below
from ..setting.atomic import publish_folder, sweep_stale_temporaries, write_json
from ..setting.checkpoint_records import describe_file
from ..setting.errors import InputError, require_known
from ..tf_utils.frozen_graphs import write_onnx, write_saved_model
from .network_pyramid import open_model

#: The file that describes the networks; it is written last.
RECORD = 'networks.json'
#: Format -> what the name of a network ends in.
_ENDINGS = {'onnx': '.onnx', 'savedmodel': ''}


def export_networks(model, folder, file_format='onnx', stages=None, threads=None):
    """Write every network of a model as a graph without variables, and :data:`RECORD` beside them.

    :param model, stages, threads: as for :func:`functions.registration.network_pyramid.open_model`.
    :param folder: new folder; it is there when everything is written, or not at all.
    :param file_format: one of 'onnx' and 'savedmodel'.
    :return: what :data:`RECORD` holds.
    :raises MissingFileError, InputError: no such model, the folder exists, or a package is missing.
    """
    require_known('format', file_format, _ENDINGS)
    if file_format == 'onnx' and importlib.util.find_spec('tf2onnx') is None:
        raise InputError('To write ONNX, one more package is needed: pip install tf2onnx')
    folder = os.path.abspath(folder)
    if os.path.lexists(folder):
        raise InputError(f'{folder} exists; give the name of a new folder.')
    with open_model(model, stages, threads) as opened, publish_folder(folder) as draft:
        sweep_stale_temporaries(os.path.dirname(folder))
        return _write(opened, draft, file_format)


def _write(model, folder, file_format):
    record = {
        'format': file_format,
        'passes': model.stages,
        'symmetric': model.symmetric,
        'mask': model.mask,
        'outside': model.default,
        'networks': {str(stage): _description(model, stage, file_format) for stage in model.networks},
    }
    for stage, network in model.networks.items():
        about = record['networks'][str(stage)]
        path = os.path.join(folder, about['file'])
        if file_format == 'savedmodel':
            write_saved_model(network.frozen(), path)
        else:
            write_onnx(network.frozen(), path, {'regnet': json.dumps(about, sort_keys=True)})
    paths = {os.path.relpath(path, folder).replace(os.sep, '/'): path for path in files_below(folder)}
    record['files'] = {name: describe_file(path) for name, path in paths.items()}
    write_json(os.path.join(folder, RECORD), record)
    return record


def _description(model, stage, file_format):
    """What must be known to use the network of a stage; JSON-able."""
    network = model.networks[stage]
    table, setting = network.description, network.setting
    return {
        'file': f'stage{stage}' + _ENDINGS[file_format],
        'voxel_mm': stage,
        'input': 'images: [1, z, y, x, 2] float32, HU, the moving and the fixed image',
        'output': 'dvf: [1, z, y, x, 3] float32, mm, (x, y, z), fixed to moving',
        'side_unit': table.size_unit,
        'side_offset': table.size_offset,
        'least_side': table.smallest_valid_size(1),
        'smaller_by': table.offset,
        'margin_mm': None if model.margins is None else model.margins[stage],
        'normalization': setting['normalization'],
        'down_sampling': setting['DownSampling'],
        'design': setting['NetworkDesign'],
        'step': network.step,
    }
