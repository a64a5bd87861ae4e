"""The page of a registration that --register has written into a folder."""

import json
import os

from functions.evaluation.pair_record import Images, file_name, measure, write_record
from functions.evaluation.provenance import Source, versions
from functions.evaluation.registration_report import registration_report
from functions.image.geometry import Geometry
from functions.image.point_files import read_points
from functions.image.volume_io import read_image
from functions.setting.atomic import read_json
from functions.setting.errors import InputError, MissingFileError

_RECORD = 'results.json'


def folder_report(folder, read_chest, landmarks=None, protocol='dirlab'):
    """Measure the results in a folder; write the measures and the page beside them.

    :param folder: as ``--register`` writes it: results.json, displacement.mha, moved.mha.
    :param read_chest: function (path of a CT, grid=None) -> (image in HU, lung mask): on the grid of the
        image, or at 1 mm where it is not the given one (results may be on either).
    :param landmarks: paths of the points of the fixed and of the moving image, or None.
    :param protocol: a name of :data:`functions.measure.protocols.PROTOCOLS`.
    :return: path of the page.
    :raises MissingFileError: no finished registration, or its images are not where they were.
    :raises InputError: the record of something else, or landmarks that cannot be used.
    """
    path = os.path.join(folder, _RECORD)
    if not os.path.isfile(path):
        raise MissingFileError(f'{folder} holds no finished registration ({_RECORD} is missing).')
    results = read_json(path)
    if not isinstance(results, dict) or not {'settings', 'grids'} <= set(results):
        raise InputError(f'{path} is not the record of a registration.')
    names = [results['settings'][role] for role in ('fixed', 'moving')]
    for name in names:
        if not os.path.exists(name):
            raise MissingFileError(
                f'{path} names the image {name}, which is not there; call this from the folder '
                'that the registration was called from.'
            )
    dvf = read_image(os.path.join(folder, 'displacement.mha'), expect='vector')
    fixed, fixed_lung = read_chest(names[0], Geometry.of(dvf))
    moving, moving_lung = read_chest(names[1])
    images = Images(fixed, moving, read_image(os.path.join(folder, 'moved.mha')), fixed_lung, moving_lung)
    points = (
        None
        if landmarks is None
        else [read_points(path, _grid(results, role)).points for path, role in zip(landmarks, ('fixed', 'moving'))]
    )
    record = measure(
        'RegNet',
        [{'name': os.path.basename(os.path.normpath(name))} for name in names],
        dvf,
        images,
        points,
        protocol=protocol,
    )
    write_record(os.path.join(folder, file_name(record)), record)
    page = os.path.join(folder, 'report.html')
    registration_report(page, record, images, dvf, source=_source(folder, results))
    return page


def _grid(results, role):
    """The grid of an image as it came, whose voxels an index format counts."""
    return Geometry(*[tuple(results['grids'][role][key]) for key in Geometry._fields])


def _source(folder, results):
    settings = results['settings']
    facts = [('result', os.path.abspath(folder))]
    facts += [
        (name, _text(settings[name]))
        for name in ('fixed', 'moving', 'stages', 'affine', 'input_mask', 'composition', 'grid')
        if name in settings
    ]
    used, seconds = (sorted((results.get(name) or {}).items()) for name in ('versions', 'seconds'))
    facts += [
        ('registered with', ', '.join('{} {}'.format(*item) for item in used)),
        ('seconds', ', '.join('{} {:.1f}'.format(*item) for item in seconds)),
    ]
    return Source(
        [fact for fact in facts if fact[1]] + versions(), [(_RECORD, json.dumps(results, indent=2, sort_keys=True))], []
    )


def _text(value):
    return ', '.join(str(item) for item in value) if isinstance(value, list) else str(value)
