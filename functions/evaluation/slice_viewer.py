"""Slices of a registration for its page, chosen by sliders: the page's script shows parts of large pictures.

One picture holds all slices of one quantity in one orientation, row by row; all quantities of an orientation have the
same slices, two pixels apart.
"""

import io

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from PIL import Image

from ..image.geometry import Geometry
from . import html_page as page
from .section_drawing import DIFFERENCE_WINDOW, LUNG_WINDOW, PADDING
from .sections import resampled

MOST_BYTES = 6e6  # of all pictures of a page
_PIXELS = 2.5e6  # of one picture, about, at first
_BLOCK = 8  # pixels that JPEG codes together; slices are padded to whole blocks, so that none shows in its neighbour
_QUALITY = 80
_COLUMNS = 10

#: What is shown: title -> (colours of matplotlib, grey where there is no value, unit, values -> their range).
_QUANTITIES = {
    'Fixed': ('gray', 0, 'HU', lambda values: LUNG_WINDOW),
    'Moved': ('gray', 0, 'HU', lambda values: LUNG_WINDOW),
    'Difference: moved − fixed': ('RdBu_r', 204, 'HU', lambda values: (-DIFFERENCE_WINDOW, DIFFERENCE_WINDOW)),
    'Displacement': ('viridis', 0, 'mm', lambda values: (0.0, max(1.0, np.percentile(values, 99.8)))),
    'Jacobian determinant': ('PuOr', 0, '', lambda values: _about_one(values)),
    'Expected error': ('magma', 0, 'mm', lambda values: (0.0, max(1.0, np.percentile(np.nan_to_num(values), 99.8)))),
}

_BUTTONS = (
    '<p class="soft"><button type="button" data-do="swap">Fixed ⇄ moved (m)</button> '
    '<button type="button" data-do="flicker">Flicker (f)</button> A slider moves all pictures of its row, also by the '
    'arrow keys; a click into a picture shows that place in the other orientations. Folded voxels are black in the '
    'Jacobian determinant.</p>'
)


def slice_viewer(sections, fixed, moved, dvf, jacobian, expected_error=None):
    """The pictures with their sliders, as HTML that stays hidden where the script does not run.

    :param sections: [coronal, sagittal, axial]: the box that is shown, and the slices that are shown first.
    :param fixed, moved: HU.
    :param dvf, jacobian: images of the displacement (mm) and of its Jacobian determinant.
    :param expected_error: mm, on any grid, or None.
    """
    coronal, sagittal, axial = sections
    lower = np.array([*axial.lower, coronal.lower[1]])
    size = np.array([*axial.size, coronal.size[1]]) * axial.step
    pixel = max(min(fixed.GetSpacing()), np.cbrt(np.prod(size) / (2 * _PIXELS)))
    pixel, pictures = max(0.25, np.round(pixel * 4) / 4), None
    while pictures is None or sum(len(data) for one in pictures for data in one.values()) > MOST_BYTES:
        pixel += 0 if pictures is None else 0.25
        count = np.ceil(size / pixel).astype(int)
        pictures, ranges = [], {}
        for section in (axial, coronal, sagittal):
            values = _values(_slices_grid(section, lower, count, pixel), fixed, moved, dvf, jacobian, expected_error)
            ranges = ranges or {title: _QUANTITIES[title][3](found) for title, found in values.items()}
            pictures.append({title: _picture(title, found, ranges[title], section) for title, found in values.items()})
    views = [_view(*found, ranges, lower, count, pixel) for found in zip((axial, coronal, sagittal), pictures)]
    return f'<section class="viewer" hidden>\n<h2>Slices</h2>\n{_BUTTONS}\n' + '\n'.join(views) + '\n</section>'


def _slices_grid(section, lower, count, pixel):
    """Grid of the slices of an orientation: every second plane of pixels."""
    count, spacing = count.copy(), np.full(3, pixel)
    count[section.normal] = -(-count[section.normal] // 2)
    spacing[section.normal] *= 2
    return Geometry.identity(count, spacing, lower)


def _values(grid, fixed, moved, dvf, jacobian, expected_error):
    """Title -> values of everything that is given on a grid, NaN where there are none."""
    a, b = (resampled(image, grid, 2 * PADDING) for image in (fixed, moved))
    found = [a, b, np.where((a > PADDING) & (b > PADDING), b - a, np.nan)]
    found.append(np.linalg.norm(resampled(dvf, grid, 0.0), axis=-1))
    determinant = resampled(jacobian, grid, 1.0)
    found.append(np.where(determinant > 0, determinant, np.nan))
    if expected_error is not None:
        found.append(resampled(expected_error, grid, np.nan))
    return dict(zip(_QUANTITIES, found))


def _about_one(values):
    """Range about 1; as wide as the values, but never so narrow that noise looks like motion."""
    half = np.clip(np.percentile(np.abs(np.nan_to_num(values) - 1), 99.5), 0.2, 1.0)
    return 1 - half, 1 + half


def _coloured(title, values, between):
    colours, missing = _QUANTITIES[title][:2]
    coloured = ScalarMappable(Normalize(*between), colours).to_rgba(values, bytes=True)[..., :3].copy()
    coloured[np.isnan(values)] = missing
    return Image.fromarray(coloured).convert('L' if colours == 'gray' else 'RGB')


def _picture(title, values, between, section):
    """All slices of an orientation as bytes of a JPEG, superior or anterior up."""
    slices = np.moveaxis(values, 2 - section.normal, 0)
    slices = slices[:, ::-1] if section.vertical == 2 else slices
    wanted = zip(slices.shape, (_COLUMNS, _BLOCK, _BLOCK))
    slices = np.pad(slices, [(0, -count % whole) for count, whole in wanted], mode='edge')
    rows, (height, width) = len(slices) // _COLUMNS, slices.shape[1:]
    sheet = slices.reshape(rows, _COLUMNS, height, width).swapaxes(1, 2).reshape(rows * height, _COLUMNS * width)
    stream = io.BytesIO()
    _coloured(title, sheet, between).save(stream, format='JPEG', quality=_QUALITY, subsampling=0, optimize=True)
    return stream.getvalue()


def _view(section, pictures, ranges, lower, count, pixel):
    """One orientation: a slider and its pictures."""
    width, height, slices = count[section.horizontal], count[section.vertical], -(-count[section.normal] // 2)
    first = int(np.clip(round((section.position - lower[section.normal]) / (2 * pixel)), 0, slices - 1))
    panels = []
    for title, picture in pictures.items():
        colours, _, unit, _ = _QUANTITIES[title]
        low, high = ranges[title]
        scale = ''
        if colours != 'gray':
            bar = io.BytesIO()
            _coloured(title, np.linspace(low, high, 96)[None].repeat(8, axis=0), (low, high)).save(bar, format='PNG')
            scale = f'{low:.3g} <img alt="" class="bar" src="{page.data_address(bar.getvalue())}"> {high:.3g} {unit}'
        panels.append(
            f'<figure><figcaption><b>{page.escape(title)}</b> <span>{scale}</span></figcaption>'
            f'<canvas width="{width}" height="{height}"></canvas>'
            f'<img alt="" hidden src="{page.data_address(picture)}"></figure>'
        )
    lower, name = ' '.join(f'{mm:.3f}' for mm in lower), section.name
    return (
        f'<div class="slices" data-normal="{section.normal}" data-horizontal="{section.horizontal}" '
        f'data-vertical="{section.vertical}" data-lower="{lower}" data-pixel="{pixel}" data-columns="{_COLUMNS}">\n'
        f'<label><b>{name}</b> <input type="range" min="0" max="{slices - 1}" value="{first}" '
        f'aria-label="{name} slice"> <output></output></label>\n<div class="panels">'
        + '\n'.join(panels)
        + '</div></div>'
    )
