"""Files of points: DIR-Lab, elastix, CSV, and 3D Slicer's ``.fcsv`` and ``.mrk.json``.

In memory points are always ``(n, 3)`` x, y, z in mm, in ITK's axes (LPS: x to the left, y posterior, z superior).

================  ============================================================================================
Format            Content
================  ============================================================================================
`dirlab`          rows of whole voxel numbers, from 1, z counted from the top: (x - 1, y - 1, nz - z) is the
                  index; needs the image (or its geometry) whose voxels were counted
`elastix_point`   `point`, the count, then x y z in mm per row (the two header lines may be missing)
`elastix_index`   `index`, the count, then 0-based voxel indices; needs the image as well
`csv`             x, y, z in mm, LPS, with or without a header line; of other columns only `label` is read;
                  3D Slicer's tables name their columns l, p, s or r, a, s
`fcsv`            3D Slicer up to 4; RAS or LPS as its header says
`mrk.json`        3D Slicer from 5 on; one list of points, RAS or LPS as it says
================  ============================================================================================
"""

import collections
import csv
import io
import logging
import os
import re
from typing import Optional, Union

import numpy as np
import SimpleITK as sitk

from ..setting.atomic import write_text
from ..setting.errors import InputError, require_known
from ..setting.text_files import json_text, read_text, sealed, unsealed, warn_of_open_end
from .geometry import Geometry
from .slicer_points import markups, parse_fcsv, parse_markups, write_fcsv
from .text_points import array_of, dirlab_to_index, header_and_rows, index_to_dirlab, nearest, numbers_of, parse_rows

LOGGER = logging.getLogger(__name__)

FORMATS = ('dirlab', 'elastix_point', 'elastix_index', 'csv', 'fcsv', 'mrk.json')
PointList = collections.namedtuple('PointList', 'points labels file_format')
"""``points``: float64 ``(n, 3)`` mm, LPS; ``labels``: list of n texts, or None; ``file_format``: one of
:data:`FORMATS`."""

_INDEX_FORMATS = ('dirlab', 'elastix_index')
#: Formats in which other programs pass over a comment, so that it can hold a checksum.
_COMMENTED = ('elastix_point', 'elastix_index', 'fcsv')
_AXES = {'xyz': (1, 1, 1), 'lps': (1, 1, 1), 'ras': (-1, -1, 1)}
_CsvTable = collections.namedtuple('_CsvTable', 'rows labels to_lps says_mm')
"""``rows``: (line number, the cells of the three coordinates); ``says_mm``: the header leaves no doubt of mm."""
_DIRLAB_NAME = re.compile(r'_xyz(_r\d+)?\.txt$', re.IGNORECASE)


def read_points(
    path: str, grid: Union[sitk.Image, Geometry, None] = None, file_format: Optional[str] = None
) -> PointList:
    """Read a :class:`PointList`.

    :param grid: image or Geometry whose voxels an index format counts; direction is honoured.
    :param file_format: one of :data:`FORMATS`; None: found from the name and the first lines.
    :raises MissingFileError: no such file.
    :raises InputError: not points, no points, an ambiguous format, or voxel numbers without their image.
    """
    path = os.fspath(path)
    text = unsealed(path, read_text(path, 'a text file of points'))
    if not path.lower().endswith('.json'):
        warn_of_open_end(path, text)
    file_format = _known(file_format) or _detect(path, text)
    parsers, labels = {'fcsv': parse_fcsv, 'mrk.json': parse_markups, 'csv': _parse_csv}, None
    if file_format in parsers:
        points, labels = parsers[file_format](path, text)
    else:
        if path.lower().endswith('.csv') and text[:5].lower() not in ('point', 'index'):
            rows, labels = _parse_csv(path, text)
        else:
            rows = parse_rows(path, text, 'index' if file_format in _INDEX_FORMATS else 'point')
        points = _from_rows(path, rows, file_format, grid)
    return PointList(points, labels, file_format)


def write_points(path, points, grid=None, file_format=None, labels=None):
    """Write points ``(n, 3)``, mm, LPS, whole or not at all. Index formats round to the nearest voxel.

    :param grid: image or Geometry whose voxels an index format counts.
    :param file_format: one of :data:`FORMATS`; None: what the extension says, ``elastix_point`` for ``.txt``.
    :param labels: n texts, for the formats that hold them (csv, fcsv, mrk.json).
    :raises InputError: NaN or infinite values, a missing grid, or another number of labels.
    """
    path, points = os.fspath(path), np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise InputError(f'Points must be finite numbers (n, 3), x, y, z in mm; got shape {points.shape}.')
    if labels is not None and len(labels) != len(points):
        raise InputError(f'{len(labels)} labels for {len(points)} points.')
    file_format = _known(file_format) or _format_by_name(path) or 'elastix_point'
    if file_format in _INDEX_FORMATS:
        text = _index_text(path, points, file_format, grid)
    elif file_format == 'elastix_point':
        text = header_and_rows('point', ''.join(' '.join(map(repr, point)) + '\n' for point in points.tolist()))
    elif file_format == 'mrk.json':
        text = json_text(markups(points, labels))
    else:
        stream = io.StringIO(newline='')
        (write_fcsv if file_format == 'fcsv' else _write_csv)(stream, points, labels)
        text = stream.getvalue()
    write_text(path, sealed(text, '#') if file_format in _COMMENTED else text)


# ---- which format


def _known(file_format):
    return file_format and require_known('format of points', file_format, FORMATS)


def _format_by_name(path):
    name = path.lower()
    endings = (('.fcsv', 'fcsv'), ('.json', 'mrk.json'), ('.csv', 'csv'))
    return next((file_format for ending, file_format in endings if name.endswith(ending)), None)


def _detect(path, text):
    by_name = _format_by_name(path)
    if by_name and not (by_name == 'csv' and _is_ambiguous(_csv_table(path, text))):
        return by_name
    if not by_name:
        words = text.split(None, 1)
        if words and words[0].lower() in ('point', 'index'):
            return 'elastix_' + words[0].lower()
        rows = parse_rows(path, text, 'point')
        if not np.array_equal(rows, np.rint(rows)):
            return 'elastix_point'
        if _DIRLAB_NAME.search(path):
            return 'dirlab'
    question = "DIR-Lab's voxel numbers, 0-based indices or millimetres? Name the format"
    raise InputError(f'{path} holds whole numbers: {question}, one of {", ".join(FORMATS)}.')


# ---- voxel numbers


def _grid(path, grid, file_format):
    if grid is None:
        raise InputError(f'{path} holds voxel numbers ({file_format}): their image is needed as well.')
    return Geometry.of(grid)


def _from_rows(path, rows, file_format, grid):
    if file_format == 'elastix_point':
        return rows
    grid = _grid(path, grid, file_format)
    return grid.index_to_world(dirlab_to_index(rows, grid.size[2]) if file_format == 'dirlab' else rows)


def _index_text(path, points, file_format, grid):
    grid = _grid(path, grid, file_format)
    index = grid.world_to_index(points)
    rounded = nearest(index)
    if len(points):
        distance = np.linalg.norm(grid.index_to_world(rounded) - points, axis=1).max()
        LOGGER.info('%s: whole voxel numbers, up to %.2f mm from the points', path, distance)
    rows = index_to_dirlab(rounded, grid.size[2]) if file_format == 'dirlab' else rounded
    text = ''.join(' '.join(map(str, row)) + '\n' for row in rows.tolist())
    return text if file_format == 'dirlab' else header_and_rows('index', text)


# ---- comma-separated


def _csv_table(path, text):
    rows = [(k, [cell.strip() for cell in row]) for k, row in enumerate(csv.reader(text.splitlines()), 1)]
    rows = [(k, row) for k, row in rows if any(row) and not row[0].startswith('#')]
    columns, label, axes, says_mm = [0, 1, 2], None, 'xyz', False
    if rows and ';' in ''.join(rows[0][1]):
        raise InputError(f'{path} separates its columns by semicolons; commas are needed (and points in decimals).')
    if rows and not all(_is_number(cell) for cell in rows[0][1]):
        names = [re.sub(r'[\s_]*[\[(]?mm[\])]?$', '', name.lower()) for name in rows[0][1]]
        axes = next((axes for axes in _AXES if all(names.count(axis) == 1 for axis in axes)), None)
        if axes is None:
            found = ', '.join(rows[0][1])
            raise InputError(f'{path}: the header must name the columns x, y and z (mm) once each; found {found}.')
        columns = [names.index(axis) for axis in axes]
        says_mm = axes != 'xyz' or names[columns[0]] != rows[0][1][columns[0]].lower()
        label = names.index('label') if 'label' in names else None
        placed = names.index('defined') if 'defined' in names else None
        rows = rows[1:]
        if placed is not None and any(row[placed : placed + 1] == ['0'] for _, row in rows):
            raise InputError(f'{path} holds points that are not placed (defined is 0); remove them.')
    elif any(len(row) != 3 for _, row in rows):
        raise InputError(f'{path} has neither a header line nor three columns; name x, y and z in its first line.')
    labels = None if label is None else [row[label] if label < len(row) else '' for _, row in rows]
    rows = [(k, [row[c] for c in columns if c < len(row)]) for k, row in rows]
    return _CsvTable(rows, labels, _AXES[axes], says_mm)


def _is_ambiguous(table):
    """Whether whole numbers could be millimetres or voxel numbers."""
    texts = [' '.join(cells) for _, cells in table.rows]
    return bool(texts) and not table.says_mm and all(re.match(r'[-+]?\d+( [-+]?\d+){2}\Z', text) for text in texts)


def _parse_csv(path, text):
    table = _csv_table(path, text)
    return array_of(path, [numbers_of(path, k, cells) for k, cells in table.rows]) * table.to_lps, table.labels


def _is_number(word):
    try:
        float(word)
    except ValueError:
        return False
    return True


def _write_csv(stream, points, labels):
    writer = csv.writer(stream, lineterminator='\n')
    writer.writerow(['x', 'y', 'z'] + ([] if labels is None else ['label']))
    for k, point in enumerate(points):
        writer.writerow([repr(float(v)) for v in point] + ([] if labels is None else [labels[k]]))
