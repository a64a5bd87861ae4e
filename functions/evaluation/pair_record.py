"""All measures of one registered pair as a record for JSON: all that tables, statistics and figures need."""

import collections
import re

import numpy as np

from ..image.dvf import jacobian_determinant_of
from ..image.resample import resample_to, warp
from ..image.transforms import as_affine, total_dvf
from ..measure import overlap, regularity, similarity, tre
from ..measure.error_prediction import agreement, predicted_at
from ..measure.protocols import get_protocol
from ..setting.errors import InputError
from ..setting.text_files import read_json

AIR = -1000.0  # HU outside the moving image
FORMAT = 1  # of the record; raised by hand when its keys change their meaning

#: Images of a pair: fixed and moving in HU; moved: the registered moving image on the grid of the fixed one (None: it
#: is warped here); fixed_mask, moving_mask: lungs on the grids of their images, or None; expected_error: in mm on any
#: grid, 0 where nothing is said, alone or with the probabilities to be within each of THRESHOLDS, or None.
Images = collections.namedtuple('Images', 'fixed moving moved fixed_mask moving_mask expected_error', defaults=(None,))


def measure(method, pair, dvf=None, images=None, landmarks=None, affine=None, protocol='dirlab', seconds=None):
    """Measure one registration.

    :param pair: [fixed, moving], dictionaries with data, cn, type_im (and dsmooth), or with a name only.
    :param dvf: displacement image, mm, fixed to moving (to the affinely moved image, with ``affine``), or None.
    :param images: :class:`Images`; without them neither intensity, overlap nor regularity is measured.
    :param landmarks: (fixed_points, moving_points), (n, 3) mm each.
    :param affine: linear sitk.Transform from fixed to moving that preceded the DVF: p -> T(p + u(p)).
    :param protocol: a name of :data:`functions.measure.protocols.PROTOCOLS`.
    :param seconds: wall time of the registration.
    :return: dictionary: format, method, pair, protocol, protocol_text, seconds, and each where it could be measured:
        landmarks (n, fixed positions, true and estimated displacement, error, error_base: before the DVF), tre_before,
        tre_base, tre, regularity (of the DVF alone), overlap and intensity (each before and after). Where errors are
        expected also expected_error (:func:`functions.measure.error_prediction.agreement`) and, in landmarks, lists
        with None where nothing is said: expected_mm and, if known, expected_within (bound in mm -> probabilities).
    :raises InputError: inputs that do not fit each other, empty masks.
    """
    convention = get_protocol(protocol)
    affine = None if affine is None else as_affine(affine)
    record = {
        'format': FORMAT,
        'method': str(method),
        'pair': [dict(im_info) for im_info in pair],
        'protocol': convention.name,
        'protocol_text': convention.text,
        'seconds': None if seconds is None else float(seconds),
    }
    if landmarks is not None:
        if convention.snap and images is None:
            raise InputError(f'Protocol {protocol} needs the moving image, to whose voxels positions are moved.')
        snap_to = images.moving if convention.snap else None
        record.update(_landmarks(landmarks, dvf, affine, convention.interpolation, snap_to))
        if images is not None and images.expected_error is not None:
            record['landmarks'].update(_expected(images.expected_error, record['landmarks']['fixed']))
            record['expected_error'] = agreement(*pooled_errors([record['landmarks']]))
    if images is not None and images.fixed_mask is not None:
        record.update(_from_images(images, dvf, affine, convention.name))
    return record


def _landmarks(landmarks, dvf, affine, interpolation, snap_to):
    fixed, moving = (np.asarray(points, dtype=np.float64) for points in landmarks)
    before = tre.error_vectors(fixed, moving)
    base = tre.error_vectors(fixed, moving, snap_to=snap_to, after=affine)
    error = tre.error_vectors(fixed, moving, dvf, interpolation, snap_to, affine)
    lists = {'fixed': fixed, 'true': before, 'estimated': before - error, 'error': error, 'error_base': base}
    return {
        'landmarks': dict({name: np.round(values, 4).tolist() for name, values in lists.items()}, n=len(fixed)),
        'tre_before': tre.summary(before),
        'tre_base': tre.summary(base),
        'tre': tre.summary(error),
    }


def _expected(image, points):
    columns = predicted_at(image, np.array(points)).T
    mm, *within = [[None if np.isnan(value) else round(value, 4) for value in column] for column in columns.tolist()]
    shares = {str(bound): column for bound, column in zip(tre.THRESHOLDS, within)}
    return dict({'expected_mm': mm}, **{'expected_within': shares} if shares else {})


def pooled_errors(landmarks, kept=None):
    """True and expected errors of all landmarks where an error was expected.

    :param landmarks: the 'landmarks' of records with ``expected_mm``, at least one.
    :param kept: boolean (n,) for each of these: which landmarks count; None: all.
    :return: arguments of :func:`functions.measure.error_prediction.agreement`.
    """
    errors = np.concatenate([np.linalg.norm(one['error'], axis=1) for one in landmarks])
    expected = np.concatenate([np.array(one['expected_mm'], np.float64) for one in landmarks])
    used = np.isfinite(expected) if kept is None else np.isfinite(expected) & np.concatenate(kept)
    within = None
    if all('expected_within' in one for one in landmarks):
        tables = [np.array([one['expected_within'][str(mm)] for mm in tre.THRESHOLDS], float) for one in landmarks]
        within = np.concatenate(tables, axis=1).T[used]
    return errors[used], expected[used], within


def _from_images(images, dvf, affine, protocol):
    fixed, mask = images.fixed, images.fixed_mask
    registered = dvf is not None or affine is not None
    total = total_dvf(affine, dvf, fixed) if registered else None
    start = resample_to(images.moving, fixed, 'linear', AIR)
    seen = similarity.seen_part(mask, images.moving, fixed, dvf=total)
    found = {'intensity': {'before': similarity.summary(fixed, start, seen)}}
    if dvf is not None:
        found['regularity'] = regularity.summary(jacobian_determinant_of(dvf), mask, protocol)
    if registered:
        moved = warp(images.moving, total, 'linear', AIR) if images.moved is None else images.moved
        found['intensity']['after'] = similarity.summary(fixed, moved, seen)
    if images.moving_mask is not None:
        found['overlap'] = {'before': overlap.summary(mask, resample_to(images.moving_mask, fixed, 'nearest', 0))}
        if registered:
            found['overlap']['after'] = overlap.summary(mask, warp(images.moving_mask, total, 'nearest', 0))
    return found


def pair_name(pair):
    """Text that names a pair in tables: data, case, and types or deformation; or the names of two files."""
    fixed, moving = pair
    if 'name' in fixed:
        return f'{moving["name"]} to {fixed["name"]}'
    types = f'{fixed["type_im"]}-{moving["type_im"]}'
    what = f'T{fixed["type_im"]} D{fixed["dsmooth"]}' if 'dsmooth' in fixed else types
    return f'{fixed["data"]} case {fixed["cn"]} {what}'


def pair_key(pair):
    """Tuple that identifies a pair and sorts by data and case."""
    return tuple((image['data'], *[int(image.get(key, -1)) for key in ('cn', 'type_im', 'dsmooth')]) for image in pair)


def read_record(path):
    """Read a record; MissingFileError, or InputError if it is not JSON, not a record or of another format."""
    record = read_json(path)
    if not isinstance(record, dict) or not {'method', 'pair', 'protocol'} <= set(record):
        raise InputError(f'{path} does not hold the measures of a registration.')
    if record.get('format') != FORMAT:
        raise InputError(f'{path} has format {record.get("format")}; {FORMAT} is needed: evaluate again.')
    return record


def file_name(method, pair, extension='.json'):
    """Name of a file of a method and a pair."""
    return re.sub(r'[^A-Za-z0-9_.-]+', '_', f'{method}_{pair_name(pair)}') + extension
