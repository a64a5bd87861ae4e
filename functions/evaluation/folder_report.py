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

_RECORD = 'results.json'


def folder_report(folder, chests, landmarks=None, protocol='dirlab'):
    """Measure the results in a folder; write the measures and the page beside them.

    :param folder: as ``--register`` writes it: results.json, displacement.mha, moved.mha.
    :param chests: [fixed, moving], each (image in HU, lung mask); the fixed one on the grid of the results.
    :param landmarks: paths of the points of the fixed and of the moving image, or None.
    :param protocol: a name of :data:`functions.measure.protocols.PROTOCOLS`.
    :return: path of the page.
    :raises MissingFileError, InputError: no finished registration, or landmarks that cannot be used.
    """
    results = read_json(os.path.join(folder, _RECORD))
    names = [results['settings'][role] for role in ('fixed', 'moving')]
    dvf = read_image(os.path.join(folder, 'displacement.mha'), expect='vector')
    (fixed, fixed_lung), (moving, moving_lung) = chests
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
