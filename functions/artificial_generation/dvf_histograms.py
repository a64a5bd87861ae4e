"""Histograms of a DVF and of its Jacobian determinant (setting ``WriteDVFStatistics``)."""

import numpy as np

from ..image.dvf import jacobian_determinant_of
from ..image.volume_io import array_view, write_image
from ..setting.atomic import publish
from .masked_image import array_or_none


def write_dvf_histograms(spec, made, images):
    """Write DVF_histogram, the Jacobian image if it is not among the item's ``images``, and Jac_histogram."""
    torso = array_or_none(made.deformed.torso)
    jacobian = images.get('Jac')
    if jacobian is None:
        jacobian = jacobian_determinant_of(made.dvf)
        write_image(jacobian, spec.address('Jac'))
    components = [_values_in_torso(array_view(made.dvf)[..., k], torso) for k in range(3)]
    _write_histogram(spec.address('DVF_histogram'), components, ['x', 'y', 'z'], 'displacement (mm)')
    values = _values_in_torso(array_view(jacobian), torso)
    _write_histogram(spec.address('Jac_histogram'), [values], ['inside the torso'], 'Jacobian determinant')


def _values_in_torso(values, torso):
    """The values inside the torso; all of them if there is no mask on their grid (``DVFPad``)."""
    return values if torso is None or torso.shape != values.shape else values[torso > 0]


def _write_histogram(path, samples, labels, title):
    # Imported here: generation itself needs no plotting library.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(1, 1, 1)
    for values, label in zip(samples, labels):
        counts, edges = np.histogram(values, bins=100)
        axes.plot((edges[1:] + edges[:-1]) / 2, counts / max(1, counts.sum()), label=label)
    axes.set(xlabel=title, ylabel='fraction of voxels')
    axes.legend()
    with publish(path) as temporary:
        figure.savefig(temporary, dpi=100)
