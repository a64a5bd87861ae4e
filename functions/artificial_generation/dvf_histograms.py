"""Histograms of a DVF and of its Jacobian determinant (setting ``WriteDVFStatistics``)."""

import numpy as np

from functions.image.dvf import jacobian_determinant_of
from functions.image.volume_io import array_view, write_image
from functions.setting.atomic import publish


def write_dvf_histograms(spec, made, images):
    """Write DVF_histogram, the Jacobian image if it is not among the item's ``images``, and Jac_histogram."""
    inside = None
    if spec.dvf_pad == 0 and made.deformed.torso is not None:
        inside = array_view(made.deformed.torso) > 0
    jacobian = images.get('Jac')
    if jacobian is None:
        jacobian = jacobian_determinant_of(made.dvf)
        write_image(jacobian, spec.address('Jac'))
    dvf = array_view(made.dvf)
    _histogram(
        spec.address('DVF_histogram'),
        [dvf[..., k] if inside is None else dvf[inside, k] for k in range(3)],
        ['x', 'y', 'z'],
        'displacement (mm)',
    )
    values = array_view(jacobian)
    _histogram(
        spec.address('Jac_histogram'),
        [values if inside is None or inside.shape != values.shape else values[inside]],
        ['inside the torso'],
        'Jacobian determinant',
    )


def _histogram(path, samples, labels, title):
    # Imported here: generation itself does not need a plotting library.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(1, 1, 1)
    for values, label in zip(samples, labels):
        counts, edges = np.histogram(values, bins=100)
        axes.plot((edges[1:] + edges[:-1]) / 2, counts / max(1, counts.sum()), label=label)
    axes.set_xlabel(title)
    axes.set_ylabel('share of voxels')
    axes.legend()
    with publish(path) as temporary:
        figure.savefig(temporary, dpi=100)
