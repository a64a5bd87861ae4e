"""Both ways of one pair: how far there and back again ends from where it began, and the field between the two."""

import numpy as np

from ..image.dvf import compose, invert, resample_dvf
from ..image.geometry import Geometry
from ..image.transforms import total_dvf
from ..image.volume_io import array_view, image_from_array
from .mask_box import continued, cut

#: The residual and what it changes are smooth: they are found on a grid of voxels this many times as wide.
_COARSER = 2
#: Of the inversion of the residual, which is small where a registration is right.
_ITERATIONS = 1


def there_and_back(linear, field, linear_back, field_back):
    """r(p) = u(p) + v(p + u(p)), u the total field from fixed to moving, v that from moving to fixed.

    :param linear, linear_back: affine transforms that follow the nonrigid fields, or None.
    :param field, field_back: nonrigid fields, mm, on grids of the fixed and of the moving image.
    :return: vector image on a coarser grid that covers that of ``field``, mm; zero where the two are inverse to each
        other.
    """
    grid = Geometry.of(field)
    size, spacing = tuple(n // _COARSER + 1 for n in grid.size), tuple(_COARSER * s for s in grid.spacing)
    coarse = resample_dvf(field, grid._replace(size=size, spacing=spacing))
    return total_dvf(linear_back, compose(total_dvf(linear, coarse), field_back))


def mean_of_both(field, residual, box):
    """The mean of the nonrigid field there and of the inverse of the way back, which leads from p to where the way
    there leads from s, with s + r(s) = p.

    :param field, residual: as :func:`there_and_back` takes and returns them.
    :param box: the part of the grid of ``field`` that networks saw; beyond it the mean is continued.
    """
    other = compose(invert(residual, _ITERATIONS)[0], field)
    half = image_from_array((array_view(other) - array_view(resample_dvf(field, residual))) / 2, residual)
    mean = array_view(cut(field, box)) + array_view(resample_dvf(half, box))
    return continued(image_from_array(mean, box), field)


def predict_pass(model, stage, symmetric, moving, fixed):
    """The field of one pass, [z, y, x, 3] mm.

    :param model: :class:`functions.registration.network_pyramid.Model`.
    :param symmetric: take the mean with the inverse of the way back, see :func:`mean_of_pass`.
    :param moving, fixed: [z, y, x] in HU on the grid of the stage.
    """
    network = model.networks[stage]
    if symmetric:
        return mean_of_pass(*network.predict_both_ways(moving, fixed, model.default), stage)
    return network.predict(moving, fixed, model.default)


def mean_of_pass(field, back, voxel):
    """The mean of the field of one pass and of the inverse of the pass back, -back(p + field(p)).

    :param field, back: [z, y, x, 3] mm, fixed to moving and moving to fixed, on one grid; ``voxel``: its spacing, mm.
    """
    grid = Geometry.identity(field.shape[2::-1], (voxel,) * 3)
    residual = compose(image_from_array(field, grid), image_from_array(back, grid))
    return field - array_view(residual) / 2


def lengths(residual):
    """Length of the vectors of an image, mm, float32."""
    return image_from_array(np.linalg.norm(array_view(residual), axis=-1), residual)
