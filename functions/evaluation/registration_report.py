"""The report of one registration as a self-contained page.

Each number is a ``data`` element with its place in the record as ``data-key`` and all its digits as ``value``.
"""

import numpy as np

from ..image.dvf import jacobian_determinant_of
from ..image.geometry import Geometry
from ..image.resample import warp
from ..image.transforms import total_dvf
from ..image.volume_io import array_view
from ..measure import error_prediction
from ..measure.tre import THRESHOLDS
from . import html_page as page
from .pair_record import AIR, pair_name
from .section_drawing import (
    LANDMARK_SLAB,
    LUNG_WINDOW,
    SectionCells,
    draw_error_curves,
    expected_errors,
    new_figure,
    png_bytes,
)
from .sections import choose_sections
from .slice_viewer import slice_viewer
from .text_table import mean_std

WIDTH = 11.0  # inches of every picture
MOST_FOLDED = 2000  # marks of folded voxels that are drawn
_DIGITS = {'folding': 4, 'std_log': 4, 'dice': 4, 'ncc': 4, 'mse': 0}
_TRE_ROWS = [('mean (mm)', 'mean'), ('standard deviation', 'std'), ('median', 'median'), ('95 %', 'p95')]
_TRE_ROWS += [('largest', 'max')] + [(f'below {mm} mm (%)', f'below_{mm}') for mm in THRESHOLDS]
_TRE_ROWS += [(f'mean |error| along {axis} (mm)', 'mae_' + axis) for axis in 'xyz']
_TRE_ROWS += [(f'mean error along {axis} (mm)', 'error_' + axis) for axis in 'xyz'] + [('landmarks', 'n')]
_REGULARITY_ROWS = [('folded voxels (%)', 'folding'), ('folded voxels', 'folded'), ('voxels of the mask', 'n')]
_REGULARITY_ROWS += [('mean of J', 'mean'), ('standard deviation of J', 'std')]
_REGULARITY_ROWS += [('standard deviation of log J', 'std_log'), ('smallest J', 'min'), ('largest J', 'max')]
_OVERLAP_ROWS = (('Dice', 'dice'), ('surface distance, mean (mm)', 'mean'), ('surface distance, 95 % (mm)', 'p95'))
_INTENSITY_ROWS = (('normalised cross-correlation', 'ncc'), ('mean squared difference (HU²)', 'mse'))


def registration_report(path, record, images, dvf=None, affine=None, source=None):
    """Write the page of one registration, whole or not at all.

    :param record: its measures.
    :param images: :class:`functions.evaluation.pair_record.Images`.
    :param dvf, affine: displacement image, mm; linear sitk.Transform that preceded it. Each may be None.
    :param source: :class:`functions.evaluation.provenance.Source`, or None.
    """
    fixed, lung, moved = images.fixed, images.fixed_mask, images.moved
    expected = None if images.expected_error is None else error_prediction.components(images.expected_error)[0]
    cells = SectionCells(choose_sections(fixed, lung), fixed, lung, widest=WIDTH - 1.1, tallest=4.6)

    def picture(strong, caption, method, *given, reduced=False):
        cells.single(WIDTH)
        method(cells, 0, 0, *given)
        return page.figure(png_bytes(cells.figure, reduced), caption, strong)

    title, deformation = f'{record["method"]}: {pair_name(record["pair"])}', []
    slices = ''
    heading = page.heading(title, f'Report of one registration. {record["protocol_text"]}', _cards(record))
    if dvf is not None or affine is not None:
        total = total_dvf(affine, dvf, fixed)
        moved = warp(images.moving, total, 'linear', AIR) if moved is None else moved
        jacobian = jacobian_determinant_of(total if dvf is None else dvf)
        deformation = [_deformation(picture, total, jacobian, folded_positions(jacobian, lung))]
        slices = slice_viewer(cells.sections, fixed, moved, total, jacobian, expected)
    parts = [heading, slices, _numbers(record), _images(picture, cells.sections, images.moving, moved)] + deformation
    if 'landmarks' in record:
        parts.append(_landmarks(picture, record['landmarks'], expected))
    page.write_page(path, title, parts + ([] if source is None else training_and_settings(source, 'Training')))


def training_and_settings(source, title):
    """The boxes of the training curves and of settings and versions."""
    curves = [page.figure(png, 'loss and mean error of the DVF', network) for network, png in source.curves]
    texts = [page.folded(name, page.element('pre', page.escape(text))) for name, text in source.texts]
    rows = [(f'<b>{page.escape(name)}</b>', page.escape(text)) for name, text in source.facts]
    facts = page.table(('', ''), rows, classes={(row, 1): 'text' for row in range(len(rows))})
    return [page.section(title, *curves), page.section('Settings and versions', facts, *texts)]


def folded_positions(jacobian, lung):
    """Positions (n, 3) mm of the folded voxels (J <= 0) of the lungs, thinned out evenly if there are very many."""
    folded = array_view(jacobian) <= 0
    if lung is not None:
        folded &= array_view(lung) != 0
    index = np.argwhere(folded)
    return Geometry.of(jacobian).index_to_world(index[:: max(1, len(index) // MOST_FOLDED), ::-1])


def number_of(record, *keys):
    """A number of a record in HTML; a dash if it was not measured."""
    value = record
    for key in keys:
        value = (value or {}).get(key)
    return page.number('.'.join(keys), value, _DIGITS.get(keys[-1], 2))


def _cards(record):
    cards = []
    if 'tre' in record:
        change = ' → '.join(number_of(record, when, 'mean') for when in ('tre_before', 'tre'))
        cards.append((f'TRE (mm), {record["landmarks"]["n"]} landmarks', change))
    if 'regularity' in record:
        cards.append(('folded voxels (%)', number_of(record, 'regularity', 'folding')))
    if 'overlap' in record:
        when = 'after' if 'after' in record['overlap'] else 'before'
        cards.append(('Dice of the lungs', number_of(record, 'overlap', when, 'mask', 'dice')))
    if record.get('seconds') is not None:
        cards.append(('seconds', number_of(record, 'seconds')))
    return cards


def _numbers(record):
    """The tables of all numbers of a record."""
    blocks = []
    if 'tre' in record:
        columns = [('before', ('tre_before',)), ('after', ('tre',))]
        if record['tre_base'] not in (record['tre_before'], record['tre']):
            columns.insert(1, ('after the affine', ('tre_base',)))
        blocks.append(_block(record, 'Target registration error', 'error = true − estimated', columns, _TRE_ROWS))
    overlap, intensity = ('Overlap', _OVERLAP_ROWS), ('Intensity inside the lungs', _INTENSITY_ROWS)
    for what, place, (title, rows) in (('overlap', ('mask',), overlap), ('intensity', (), intensity)):
        columns = [(when, (what, when) + place) for when in ('before', 'after') if when in record.get(what, {})]
        if columns:
            blocks.append(_block(record, title, '', columns, rows))
    if 'regularity' in record:
        title, corner = 'Regularity of the DVF inside the lungs', 'J: Jacobian determinant'
        blocks.append(_block(record, title, corner, [('', ('regularity',))], _REGULARITY_ROWS))
    if 'expected_error' in record:
        rows = [row for row in error_prediction.ROWS if row[1] in record['expected_error']]
        blocks.append(_block(record, 'Expected error', 'at the landmarks', [('', ('expected_error',))], rows))
    columns = [page.element('div', tables) for tables in (''.join(blocks[:1]), ''.join(blocks[1:]))]
    return page.section('Numbers', page.element('div', ''.join(columns), 'side'))


def _block(record, title, corner, columns, rows):
    """A titled table; ``columns``: (title, keys of its dictionary in the record); ``rows``: (title, last key)."""
    lines = [[page.escape(name)] + [number_of(record, *keys, key) for _, keys in columns] for name, key in rows]
    titles = [corner] + [name for name, _ in columns]
    return f'<h3>{title}</h3>' + page.table(titles, lines, range(1, len(titles)))


def _images(picture, sections, moving, moved):
    y, x, z = (section.position for section in sections)
    positions = f'coronal at y = {y:.0f} mm, sagittal at x = {x:.0f} mm, axial at z = {z:.0f} mm'
    window = f'grey from {LUNG_WINDOW[0]:.0f} to {LUNG_WINDOW[1]:.0f} HU'
    squares, colours = [], []
    for when, what, image in (('before', 'moving', moving), ('after', 'moved', moved)):
        if image is not None:
            caption = f'fixed and {what} image in alternate squares; vessels continue across borders where they agree'
            squares.append(picture(f'Checkerboard, {when}.', caption, SectionCells.checkerboard, image, reduced=True))
            caption = f'fixed magenta, {what} green; grey where they agree'
            colours.append(picture(f'Colour, {when}.', caption, SectionCells.blend, image, reduced=True))
    note = page.paragraph(f'Sections: {positions}; {window}. Blue line: lungs of the fixed image.')
    return page.section('Images', note, *squares, *colours)


def _deformation(picture, dvf, jacobian, folded):
    marks = ', red: all folded voxels of the lungs, projected onto the sections'
    marks = marks if len(folded) else '; there are none in the lungs'
    change = f'change of volume, 1 where it is kept; folded voxels (J ≤ 0) are black{marks}'
    length = 'length of the displacement; arrows: its component in the section, fixed → moving, true to scale'
    return page.section(
        'Deformation',
        picture('Grid.', 'a regular grid moved by the DVF, over the fixed image', SectionCells.grid, dvf, reduced=True),
        picture('Displacement.', length, SectionCells.displacement, dvf),
        picture('Jacobian determinant.', change, SectionCells.volume_change, jacobian, '', folded),
    )


def _decimals(value, digits):
    return '–' if np.isnan(value) else f'{value:.{digits}f}'


def _landmarks(picture, landmarks, expected_error):
    points, before, after = (np.array(landmarks[name]) for name in ('fixed', 'true', 'error'))
    lengths = [np.linalg.norm(vectors, axis=1) for vectors in (before, after)]
    largest = max(1.0, float(np.percentile(lengths[0], 98)))
    caption, pictures = 'all landmarks, projected onto the sections; lines along their errors, true to scale', []
    for when, vectors, length in zip(('before', 'after'), (before, after), lengths):
        shown = f'{caption}; {mean_std(length.mean(), length.std())} mm'
        pictures.append(picture(f'Errors {when}.', shown, SectionCells.landmark_errors, points, vectors, largest))
    curve = new_figure(6.4, 3.6)
    draw_error_curves(curve.add_axes([0.1, 0.15, 0.87, 0.81]), before, after)
    pictures.append(page.figure(png_bytes(curve), '', 'Percentage of landmarks below every error.'))
    columns = [*points.T, *lengths, *after.T]
    titles = ['landmark', 'x mm', 'y mm', 'z mm', 'before mm', 'after mm', 'error x', 'error y', 'error z']
    if 'expected_mm' in landmarks:
        expected = np.array(landmarks['expected_mm'], np.float64)
        caption = f'over the fixed image; dots: the true errors of landmarks within {LANDMARK_SLAB:g} mm of the section'
        drawn = SectionCells.expected_error, expected_error, points, lengths[1]
        pictures.append(picture('Expected error.', caption, *drawn))
        pictures.append(page.figure(png_bytes(expected_errors(lengths[1], expected)), '', 'Expected and true error.'))
        columns.append(expected)
        titles.append('expected mm')
    numbers, digits = np.column_stack(columns), [1] * 3 + [2] * 6
    rows = [[str(k + 1)] + [_decimals(*cell) for cell in zip(numbers[k], digits)] for k in np.argsort(-lengths[1])]
    table = page.table(titles, rows, range(len(titles)), sortable=True)
    table = page.folded(f'All {len(points)} landmarks, the worst first', table)
    return page.section('Landmarks', *pictures, table)
