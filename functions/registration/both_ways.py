"""Both ways of one pair: how far there and back again ends from where it began, and the field between the two."""

import numpy as np

from ..image.dvf import compose, invert
from ..image.transforms import total_dvf
from ..image.volume_io import array_view, image_from_array

#: Of the inversion of the residual, which is small and smooth where a registration is right.
_ITERATIONS = 1


def there_and_back(linear, field, linear_back, field_back):
    """r(p) = u(p) + v(p + u(p)), u the total field from fixed to moving, v that from moving to fixed.

    :param linear, linear_back: affine transforms that follow the nonrigid fields, or None.
    :param field, field_back: nonrigid fields, mm, on grids of the fixed and of the moving image.
    :return: vector image on the grid of ``field``, mm; zero where the two are inverse to each other.
    """
    return total_dvf(linear_back, compose(total_dvf(linear, field), field_back))


def mean_of_both(field, residual):
    """The mean of the nonrigid field there and of the inverse of the way back, which leads from p to where the way
    there leads from s, with s + r(s) = p.

    :param field, residual: as :func:`there_and_back` takes and returns them, on one grid.
    """
    other = compose(invert(residual, _ITERATIONS)[0], field)
    return image_from_array((array_view(field) + array_view(other)) / 2, field)


def lengths(residual):
    """Length of the vectors of an image, mm, float32."""
    return image_from_array(np.stack([np.linalg.norm(plane, axis=-1) for plane in array_view(residual)]), residual)
