"""Points in physical space: conversion to and from voxel indices, transformation, registration error."""

import numpy as np

from functions.image.dvf import sample_dvf
from functions.image.geometry import Geometry
from functions.setting.errors import InputError


def _points(points, name='points'):
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f'{name} must be an array (n, 3) in x, y, z order; got shape {points.shape}.')
    return points


def index_to_world(index, image_or_geometry):
    """Millimetres ``(n, 3)`` of 0-based continuous voxel indices ``(n, 3)``, x, y, z; direction is
    honoured."""
    return Geometry.of(image_or_geometry).index_to_world(_points(index, 'index'))


def world_to_index(points, image_or_geometry):
    """0-based continuous voxel indices ``(n, 3)`` of points in mm ``(n, 3)``, x, y, z; direction is
    honoured."""
    return Geometry.of(image_or_geometry).world_to_index(_points(points))


def transform_points(points, dvf):
    """Where a field leads points of the fixed image: ``p + dvf(p)``, ``(n, 3)`` mm, read linearly, edge
    clamped."""
    points = _points(points)
    return points + sample_dvf(dvf, points)


def registration_error(fixed_points, moving_points, dvf=None):
    """Distance in mm between where each fixed point is led and where its moving point is.

    :param fixed_points: ``(n, 3)`` mm.
    :param moving_points: ``(n, 3)`` mm, the corresponding points.
    :param dvf: displacement field, fixed to moving; None: no registration (the error before).
    :return: ``(n,)`` mm.
    """
    fixed_points = _points(fixed_points, 'fixed_points')
    moving_points = _points(moving_points, 'moving_points')
    if fixed_points.shape != moving_points.shape:
        raise InputError(
            f'There are {len(fixed_points)} fixed and {len(moving_points)} moving points; they must correspond one '
            'to one.'
        )
    reached = fixed_points if dvf is None else transform_points(fixed_points, dvf)
    return np.linalg.norm(reached - moving_points, axis=1)
