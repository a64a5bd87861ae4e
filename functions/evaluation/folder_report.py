"""The page of a registration written by --register."""

import os

from ..image.claim import claim_folder
from ..image.file_check import require_apart
from ..image.geometry import Geometry
from ..image.manifest import check_outputs, recorded_image
from ..image.point_files import read_points
from ..image.volume_io import read_image
from ..setting.atomic import write_json
from ..setting.errors import InputError
from ..setting.result_names import DISPLACEMENT, MOVED, RESULTS
from ..setting.text_files import read_json
from .pair_record import Images, file_name, measure
from .provenance import folder_source
from .registration_report import registration_report

#: The image of the error that is expected (mm), if the folder has one.
_EXPECTED_ERRORS = ('expected_error.mha', 'expected_error.nii.gz', 'expected_error.nrrd')


def folder_report(folder, chests, landmarks=None, protocol='dirlab'):
    """Measure the results in a folder; write the measures and the page beside them.

    :param folder: as ``--register`` writes it.
    :param chests: [fixed, moving], each (image in HU, lung mask); the fixed one on the grid of the results.
    :param landmarks: paths of the points of the fixed and of the moving image, or None.
    :return: (path of the page, measures).
    :raises MissingFileError, InputError: no finished registration, or landmarks that cannot be used.
    :raises DiskError: another process works in the folder, or it cannot be written.
    """
    with claim_folder(folder):
        results = read_json(os.path.join(folder, RESULTS))
        displacement, moved = [recorded_image(results, name) for name in (DISPLACEMENT, MOVED)]
        expected = [name for name in _EXPECTED_ERRORS if os.path.isfile(os.path.join(folder, name))][:1]
        used = [one for one in results.get('outputs', []) if one['path'] in [displacement, moved] + expected]
        problem = check_outputs(folder, used, verify=True)[0]
        if problem:
            raise InputError(f'{problem}; register again.')
        names = [os.path.basename(os.path.normpath(results['settings'][role])) for role in ('fixed', 'moving')]
        dvf = read_image(os.path.join(folder, displacement), expect='vector')
        (fixed, fixed_lung), (moving, moving_lung) = chests
        error = read_image(os.path.join(folder, expected[0]), 'scalar') if expected else None
        images = Images(fixed, moving, read_image(os.path.join(folder, moved)), fixed_lung, moving_lung, error)
        points = None if landmarks is None else []
        for role, path in zip(('fixed', 'moving'), landmarks or ()):
            # Index formats count the voxels of the images as given.
            grid = Geometry.of_record(results['grids'][role])
            points.append(read_points(path, grid).points)
        record = measure('RegNet', [{'name': name} for name in names], dvf, images, points, protocol=protocol)
        measures = os.path.join(folder, file_name(record['method'], record['pair']))
        page = os.path.join(folder, 'report.html')
        require_apart([measures, page], landmarks or ())
        write_json(measures, record)
        registration_report(page, record, images, dvf, None, folder_source(folder, results))
        return page, record
