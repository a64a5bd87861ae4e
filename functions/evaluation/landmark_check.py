"""The check before any result: do landmarks and images describe the same positions?

1. Is the mean landmark distance (TRE before registration) the published one, where the data set has one? If not, voxels
   were taken for millimetres, or one of the two lists is flipped, swapped or counted from another number.
2. Do the images agree? An error that both lists share keeps their distance. So the landmarks must lie in the lungs and
   at vessels; if another reading of the numbers fits clearly better, theirs is wrong. Needs prepared images and masks.
"""

import collections

import numpy as np

from ..image.geometry import Geometry
from ..image.masks import read_mask
from ..image.resample import values_at
from ..image.volume_io import array_view, read_image
from ..image.worker_pools import in_parallel
from ..measure import tre
from ..setting.addresses import pair_image_address
from ..setting.data_sets import get_data_set
from ..setting.errors import InputError, MissingFileError, UnknownNameError
from .pair_landmarks import read_landmarks, source_geometry
from .text_table import format_table

TOLERANCE = 0.05  # mm, of the mean distance
NEAR = 3.0  # mm: a landmark this near to the lung mask counts as inside
INSIDE, BETTER = 90.0, 10.0  # per cent: fewer landmarks inside are suspicious; this many more prove another reading
BRIGHTER, SURE = 20.0, 5.0  # HU and standard errors by which another reading must be brighter

_STEPS = ('voxels counted from 0 instead of 1 (DIR-Lab)', 'voxels counted from 1 instead of 0')

#: One pair: data, cn, types (fixed, moving), n, tre and std in mm, expected (mm or None), inside (% of the landmarks in
#: the lungs, None without masks), note, and problem ('' if there is none).
Row = collections.namedtuple('Row', 'data cn types n tre std expected inside note problem')


class LandmarkCheck:
    """What :func:`check_landmarks` found; print :meth:`table`, then call :meth:`require`."""

    def __init__(self, rows):
        self.rows = rows

    def table(self):
        """The TRE before registration of every pair, as text."""
        titles = ('data', 'case', 'pair', 'n', 'TRE before mm', 'std', 'expected', 'in lungs %', '')
        lines = []
        for row in self.rows:
            verdict = ('WRONG: see below' if row.problem else row.note) or 'right'
            numbers = (row.n, row.tre, row.std, row.expected, row.inside)
            lines.append(dict(zip(titles, (row.data, row.cn, '-'.join(map(str, row.types))) + numbers + (verdict,))))
        return format_table(lines, titles, digits={'in lungs %': 0})

    def problems(self):
        """One explanation for each pair that must not be used."""
        return [f'{row.data} case {row.cn}: {row.problem}' for row in self.rows if row.problem]

    def require(self):
        """Raise :class:`InputError` with the explanation of every pair that does not pass."""
        if self.problems():
            raise InputError(f'Results would be meaningless. {" ".join(self.problems())}')


def usual_pairs(setting, data, cases=None):
    """[fixed, moving] of the usual types of a data set, which must exist, for its cases (None: all)."""
    record = get_data_set(data, setting)
    types = record.expected_tre_pair or (0, 1)
    return [
        [{'data': record.key, 'cn': cn, 'type_im': type_im, 'spacing': 'RS1'} for type_im in types]
        for cn in (record.CNList if cases is None else cases)
    ]


def check_landmarks(setting, pairs, n_workers=1):
    """Check the landmarks of every pair; one without landmarks has n None and a note.

    :param pairs: list of [fixed, moving], dictionaries with data, cn, type_im.
    :raises UnknownNameError: a data set that does not exist.
    """
    return LandmarkCheck(in_parallel(_check, [(setting, pair) for pair in pairs], n_workers, 'Landmarks'))


def _check(setting, pair):
    record = get_data_set(pair[0]['data'], setting)
    types = tuple(image['type_im'] for image in pair)
    names = tuple(record.types[k] if 0 <= k < len(record.types) else k for k in types)
    row = Row(record.key, pair[0]['cn'], names, None, None, None, None, None, '', '')
    try:
        points = read_landmarks(setting, pair)
    except (MissingFileError, UnknownNameError) as error:
        return row._replace(note=f'no landmarks: {error}')
    except InputError as error:
        return row._replace(problem=str(error))
    numbers = tre.summary(tre.error_vectors(*points))
    known = record.expected_tre_pair in (types, types[::-1])
    expected = record.expected_tre.get(pair[0]['cn']) if known else None
    note = 'no expected value' if expected is None else ''
    row = row._replace(n=numbers['n'], tre=numbers['mean'], std=numbers['std'], expected=expected, note=note)
    try:
        grid = source_geometry(setting, pair[0])
    except MissingFileError:  # nothing was counted in voxels
        grid = Geometry.of(read_image(pair_image_address(setting, 'Im', pair, 0)))
    readings = other_readings(grid)
    if expected is not None and abs(row.tre - expected) > TOLERANCE:
        found = f'The TRE before registration is {row.tre:.2f} mm; {expected:.2f} ± {TOLERANCE:.2f} mm is expected.'
        problem = f'{found} Check units, spacing, counting from 0, flipped or swapped axes, and the case.'
        return row._replace(problem=problem + _explanation(points, expected, readings))
    return _compare_with_images(setting, pair, points, row, readings)


def other_readings(geometry):
    """Ways to misread points counted in the voxels of a grid: name -> function of points (n, 3) mm that undoes it."""
    last = np.array(geometry.size, dtype=np.float64) - 1

    def by_index(change):
        return lambda points: geometry.index_to_world(change(geometry.world_to_index(points)))

    def flipped(axis):
        return by_index(lambda index: np.where(np.arange(3) == axis, last - index, index))

    return {
        **{f'{name} counted from the other end': flipped(axis) for axis, name in ((2, 'z'), (1, 'y'), (0, 'x'))},
        'x and y swapped': by_index(lambda index: index[:, [1, 0, 2]]),
        'x and z swapped': by_index(lambda index: index[:, [2, 1, 0]]),
        # z counts from the top where the numbers are DIR-Lab's, and from the bottom elsewhere.
        _STEPS[0]: by_index(lambda index: index + [1, 1, -1]),
        _STEPS[1]: by_index(lambda index: index - 1),
        'voxel numbers taken for millimetres': geometry.index_to_world,
    }


def _explanation(points, expected, readings):
    """Which misreading of one list or both gives the expected distance; '' when none does."""
    found = []
    for name, change in readings.items():
        new = [change(one) for one in points]
        pairs = {'the fixed landmarks': (new[0], points[1]), 'the moving landmarks': (points[0], new[1]), 'both': new}
        for which, pair in pairs.items():
            if abs(tre.summary(tre.error_vectors(*pair))['mean'] - expected) <= TOLERANCE:
                found.append(f'{name} in {which}')
    return f' It would be right with: {"; ".join(found)}.' if found else ''


def _compare_with_images(setting, pair, points, row, readings):
    notes = [row.note] if row.note else []
    try:
        images = [read_image(pair_image_address(setting, 'Im', pair, k)) for k in (0, 1)]
        lungs = [read_mask(pair_image_address(setting, 'Lung', pair, k)) for k in (0, 1)]
    except MissingFileError as error:
        return row._replace(note='; '.join(notes + [f'not compared: {error}']))
    row = row._replace(inside=_percent_inside(points, lungs))
    shares = {name: _percent_inside([change(p) for p in points], lungs) for name, change in readings.items()}
    best = max(shares, key=lambda name: shares[name])
    if row.inside < INSIDE:
        if shares[best] >= row.inside + BETTER:
            found = f'only {row.inside:.0f} % of the landmarks lie in the lungs; {shares[best]:.0f} % would with {best}'
            return row._replace(problem=f'{found}. Landmarks and images differ in axes, direction or counting.')
        row = row._replace(note='; '.join(notes + ['landmarks outside the lungs']))
    for name, change in readings.items():
        gains = [_gain(p, change(p), image, name in _STEPS) for p, image in zip(points, images)]
        if shares[name] >= row.inside and min(gains) > BRIGHTER:
            found = f'the images are {gains[0]:.0f} and {gains[1]:.0f} HU brighter (vessels, where landmarks are set)'
            return row._replace(problem=f'{found} where the landmarks would lie with {name}.')
    return row


def _gain(points, others, image, step):
    """By how many HU other positions are brighter; 0 if that may be chance."""
    # If they are one step away, a step the other way must be darker too: landmarks may lie in dark airways.
    there = _brightness(others, image)
    gains = [there - _brightness(p, image) for p in ([points, 2 * points - others] if step else [points])]
    sure = all(gain.mean() > SURE * gain.std() / np.sqrt(len(gain)) for gain in gains)
    return min(float(gain.mean()) for gain in gains) if sure else 0.0


def _percent_inside(points, lungs):
    """Percentage of the landmarks of both images that lie in the lungs or within 3 mm of them."""
    steps = np.arange(-2, 3) * (NEAR / 2)
    ball = np.stack(np.meshgrid(steps, steps, steps, indexing='ij'), axis=-1).reshape(-1, 3)
    ball = ball[(ball**2).sum(axis=1) <= NEAR**2 + 1e-6]
    near = []
    for p, lung in zip(points, lungs):
        array, geometry = array_view(lung), Geometry.of(lung)
        index = np.rint(geometry.world_to_index(p[:, None, :] + ball)).astype(int)
        within = np.all((index >= 0) & (index < np.array(geometry.size)), axis=-1)
        x, y, z = np.moveaxis(np.where(within[..., None], index, 0), -1, 0)
        near.append(((array[z, y, x] != 0) & within).any(axis=1))
    return 100.0 * float(np.concatenate(near).mean())


def _brightness(points, image):
    """HU at points, linearly interpolated, clipped to the range from air to soft tissue."""
    return np.clip(values_at(image, points)[0], -1000, 100)
