"""Points of 3D Slicer: ``.fcsv`` (up to version 4) and ``.mrk.json`` (from 5 on), RAS or LPS as the file says."""

import csv
import re

import numpy as np

from ..setting.errors import InputError
from ..setting.text_files import parse_json
from .text_points import array_of, numbers_of

_FLIP = np.array([-1.0, -1.0, 1.0])
_SYSTEMS = {'LPS': 1.0, '1': 1.0, 'RAS': _FLIP, '0': _FLIP}
_SCHEMA = 'https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/'
_SCHEMA += 'markups-schema-v1.0.3.json#'
_FCSV_COLUMNS = 'id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID'


def _to_lps(path, points, system):
    if str(system).upper() not in _SYSTEMS:
        raise InputError(f'{path}: the coordinate system {system!r} is unknown; accepted: LPS, RAS.')
    return points * _SYSTEMS[str(system).upper()]


def parse_fcsv(path, text):
    """Points (n, 3), mm, LPS, and labels of a ``.fcsv`` text."""
    lines = text.splitlines()
    header = {}
    for line in lines:
        match = re.match(r'#\s*(CoordinateSystem|columns)\s*=\s*(.*?)\s*$', line, re.IGNORECASE)
        if match:
            header[match.group(1).lower()] = match.group(2).rstrip(',')
    if 'coordinatesystem' not in header:
        raise InputError(f"{path} does not say RAS or LPS; add the line '# CoordinateSystem = LPS' (or RAS).")
    names = [name.strip() for name in header.get('columns', _FCSV_COLUMNS).split(',')]
    if any(axis not in names for axis in 'xyz'):
        raise InputError(f'{path}: its columns lack x, y or z.')
    columns = [names.index(axis) for axis in 'xyz']
    label = names.index('label') if 'label' in names else None
    points, labels = [], []
    for k, row in enumerate(csv.reader(lines), 1):
        if any(row) and not row[0].startswith('#'):
            points.append(numbers_of(path, k, [row[c] for c in columns if c < len(row)]))
            labels.append(row[label] if label is not None and label < len(row) else '')
    return _to_lps(path, array_of(path, points), header['coordinatesystem']), labels


def write_fcsv(stream, points, labels):
    """Write a ``.fcsv`` in LPS to an open text stream."""
    stream.write(f'# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n# columns = {_FCSV_COLUMNS}\n')
    writer = csv.writer(stream, lineterminator='\n')
    for k, point in enumerate(points):
        label = f'P-{k + 1}' if labels is None else labels[k]
        writer.writerow([k + 1] + [repr(float(v)) for v in point] + [0, 0, 0, 1, 1, 1, 0, label, '', ''])


def parse_markups(path, text):
    """Points (n, 3), mm, LPS, and labels of a ``.mrk.json`` text."""
    try:
        lists = parse_json(path, text)['markups']
        if len(lists) != 1:
            raise InputError(f'{path} holds {len(lists)} lists of markups; one list of points is needed.')
        content, controls = lists[0], lists[0]['controlPoints']
        units = content.get('coordinateUnits', 'mm')
        if any(unit != 'mm' for unit in ([units] if isinstance(units, str) else units)):
            raise InputError(f'{path} gives its points in {units!r}; mm are needed.')
        unplaced = [p for p in controls if p.get('positionStatus', 'defined') != 'defined']
        if unplaced:
            raise InputError(f'{path}: {len(unplaced)} of its {len(controls)} points are not placed (positionStatus).')
        points = [numbers_of(path, k, p['position']) for k, p in enumerate(controls, 1)]
        labels = [str(p.get('label', '')) for p in controls]
        system = content.get('coordinateSystem', '(none)')
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is not a file of 3D Slicer's markups (.mrk.json): {error!r}.") from error
    return _to_lps(path, array_of(path, points), system), labels


def markups(points, labels):
    """Content of a ``.mrk.json`` in LPS."""
    state = {'selected': True, 'locked': False, 'visibility': True, 'positionStatus': 'defined'}
    controls = []
    for k, point in enumerate(points):
        label = f'P-{k + 1}' if labels is None else str(labels[k])
        controls.append({'id': str(k + 1), 'label': label, 'position': [float(v) for v in point], **state})
    content = {'type': 'Fiducial', 'coordinateSystem': 'LPS', 'coordinateUnits': 'mm', 'controlPoints': controls}
    return {'@schema': _SCHEMA, 'markups': [content]}
