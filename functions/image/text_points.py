"""Rows of three numbers in text files: points in mm or voxel numbers, as elastix and DIR-Lab write them."""

import numpy as np

from ..setting.errors import InputError


def parse_rows(path, text, kind='point'):
    """Rows of three numbers, with or without elastix's two header lines, float64 ``(n, 3)``, as written; ``#`` begins a
    comment.

    :param path: for error messages.
    :param kind: 'point' or 'index', which the header, if any, must say.
    """
    split = [line.split('#')[0].replace(',', ' ').replace(';', ' ').split() for line in text.splitlines()]
    numbered = [(k, words) for k, words in enumerate(split, 1) if words]
    declared = None
    if numbered and numbered[0][1][0].lower() in ('point', 'index'):
        found = numbered[0][1][0].lower()
        if found != kind:
            raise InputError(f'{path} says it holds {found} coordinates; {kind} coordinates are needed here.')
        if len(numbered) < 2 or len(numbered[1][1]) != 1 or not numbered[1][1][0].isdigit():
            raise InputError(f'{path}: the second line of an elastix file of points is their number.')
        declared, numbered = int(numbered[1][1][0]), numbered[2:]
    rows = [numbers_of(path, k, words) for k, words in numbered]
    if declared is not None and declared != len(rows):
        raise InputError(f'{path} announces {declared} points and holds {len(rows)}.')
    return array_of(path, rows)


def numbers_of(path, line, words):
    """The three finite numbers of a line of a file, or an InputError that names both."""
    try:
        values = [float(word) for word in words]
    except (TypeError, ValueError):
        values = []
    if len(values) != 3 or not np.all(np.isfinite(values)):
        found = ' '.join(map(str, words))[:80]
        raise InputError(f'{path}, line {line}: expected three finite numbers (x y z), found {found!r}.')
    return values


def array_of(path, rows):
    """Rows as float64 ``(n, 3)``; an InputError when there is none."""
    if not rows:
        raise InputError(f'{path} holds no points; rows of three numbers (x y z) are needed.')
    return np.array(rows, dtype=np.float64)


def dirlab_to_index(rows, slices):
    """DIR-Lab's voxel numbers ``(n, 3)``, from 1 and z from the top of ``slices``, as 0-based indices (x, y, z)."""
    rows = np.asarray(rows, dtype=np.float64)
    return np.column_stack([rows[:, 0] - 1, rows[:, 1] - 1, slices - rows[:, 2]])


def index_to_dirlab(index, slices):
    """The inverse of :func:`dirlab_to_index`, rounded to whole numbers: int64 ``(n, 3)``."""
    index = np.asarray(index, dtype=np.float64)
    return nearest(np.column_stack([index[:, 0] + 1, index[:, 1] + 1, slices - index[:, 2]]))


def text_rows(table, pattern):
    """Rows of numbers as lines of text, separated by tabs, each number formatted by ``pattern``."""
    return ''.join('\t'.join(pattern % value for value in row).rstrip() + '\n' for row in table)


def header_and_rows(kind, rows):
    """Lines of text below elastix's two header lines: ``point`` or ``index``, and their number."""
    return f'{kind}\n{len(rows.splitlines())}\n{rows}'


def landmark_texts(numbers, index, points):
    """The text files of a set of landmarks: list of (request of the address, text).

    :param numbers, index: DIR-Lab's voxel numbers and 0-based voxel indices, int (n, 3).
    :param points: world mm (n, 3).
    """
    index, points = text_rows(index, '%d'), text_rows(points, '%-9.3f')
    return [
        ('LandmarkIndex', text_rows(numbers, '%d')),
        ('LandmarkIndex_tr', index),
        ('LandmarkIndex_elx', header_and_rows('index', index)),
        ('LandmarkPoint_tr', points),
        ('LandmarkPoint_elx', header_and_rows('point', points)),
    ]


def nearest(values):
    """``values`` rounded, halves upwards, int64."""
    return np.floor(values + 0.5).astype(np.int64)
