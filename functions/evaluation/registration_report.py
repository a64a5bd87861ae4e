"""The report of one registration as a page that needs nothing but itself.

Its numbers are those of the record (:mod:`functions.evaluation.pair_record`): each stands in a ``data`` element
whose ``data-key`` is its place in the record and whose ``value`` is all its digits.
"""

import numpy as np
import SimpleITK as sitk

from functions.evaluation import html_page as page
from functions.evaluation.pair_record import pair_name
from functions.evaluation.report_pictures import Views, curves_png, success_png
from functions.evaluation.section_drawing import LUNG_WINDOW
from functions.evaluation.text_table import mean_std
from functions.image.dvf import jacobian_determinant_of
from functions.image.geometry import Geometry
from functions.image.resample import warp
from functions.image.transforms import total_dvf
from functions.measure.tre import THRESHOLDS

MOST_FOLDED = 2000  # marks of folded voxels that are drawn
_AIR = -1000.0
_DIGITS = {'folding': 4, 'std_log': 4, 'dice': 4, 'ncc': 4, 'mse': 0}
_TRE_ROWS = (
    [('mean (mm)', 'mean'), ('standard deviation', 'std'), ('median', 'median'), ('95 %', 'p95'), ('largest', 'max')]
    + [(f'below {mm} mm (%)', f'below_{mm}') for mm in THRESHOLDS]
    + [(f'mean |error| along {axis} (mm)', 'mae_' + axis) for axis in 'xyz']
    + [(f'mean error along {axis} (mm)', 'error_' + axis) for axis in 'xyz']
)


def registration_report(path, record, images, dvf=None, affine=None, source=None):
    """Write the page of one registration, whole or not at all.

    :param path: file to write, ``.html``.
    :param record: its measures.
    :param images: :class:`functions.evaluation.pair_record.Images`; without a moved image the moving one is
        warped here.
    :param dvf: displacement image, mm, or None.
    :param affine: linear sitk.Transform that came before, or None.
    :param source: :class:`functions.evaluation.provenance.Source`, or None.
    """
    fixed, lung = images.fixed, images.fixed_mask
    registered = dvf is not None or affine is not None
    views = Views(fixed, lung)
    parts = [
        page.heading(
            '{}: {}'.format(record['method'], pair_name(record['pair'])),
            'Report of one registration. ' + record['protocol_text'],
            _cards(record),
        )
    ]
    parts.append(_numbers(record))
    total = total_dvf(affine, dvf, fixed) if registered else None
    moved = images.moved
    if moved is None and registered:
        moved = warp(images.moving, total, 'linear', _AIR)
    parts.append(_overlays(views, images.moving, moved))
    if registered:
        field = total if dvf is None else dvf
        jacobian = jacobian_determinant_of(field)
        parts.append(_deformation(views, total, jacobian, _folded(jacobian, lung)))
    parts.append(_landmarks(views, record))
    if source is not None:
        curves = [
            page.figure(curves_png(lines), 'loss and mean error of the DVF', title) for title, lines in source.curves
        ]
        parts.append(page.section('Training', *curves))
        parts.append(provenance(source))
    page.write_page(path, '{} {}'.format(record['method'], pair_name(record['pair'])), parts)


def provenance(source):
    """The box of settings and versions."""
    return page.section(
        'Settings and versions',
        page.facts(source.facts),
        *[page.folded(title, page.verbatim(text)) for title, text in source.texts],
    )


def _number(record, *keys):
    """A number of a record in HTML; a dash where it was not measured."""
    value = record
    for key in keys:
        value = (value or {}).get(key)
    return page.number('.'.join(keys), value, _DIGITS.get(keys[-1], 2))


def _cards(record):
    cards = []
    if 'tre' in record:
        cards.append(
            (
                'TRE (mm), {} landmarks'.format(record['landmarks']['n']),
                '{} → {}'.format(_number(record, 'tre_before', 'mean'), _number(record, 'tre', 'mean')),
            )
        )
    if 'regularity' in record:
        cards.append(('folded voxels (%)', _number(record, 'regularity', 'folding')))
    when = 'after' if 'after' in record.get('overlap', {}) else 'before'
    for label in sorted(record.get('overlap', {}).get(when, {})):
        cards.append(
            (
                'Dice of the lungs' if label == 'mask' else 'Dice of label ' + label,
                _number(record, 'overlap', when, label, 'dice'),
            )
        )
    if record.get('seconds') is not None:
        cards.append(('seconds', _number(record, 'seconds')))
    return cards


def _numbers(record):
    """All numbers of a record."""
    blocks = []
    if 'tre' in record:
        columns = [('before', 'tre_before'), ('after', 'tre')]
        if record['tre_base'] not in (record['tre_before'], record['tre']):
            columns.insert(1, ('after the affine', 'tre_base'))
        rows = [
            [page.escape(name)] + [_number(record, column, key) for _, column in columns] for name, key in _TRE_ROWS
        ]
        rows.append(['landmarks'] + [_number(record, column, 'n') for _, column in columns])
        blocks.append(
            '<h3>Target registration error</h3>'
            + page.table(
                ['error = true − estimated position'] + [title for title, _ in columns],
                rows,
                range(1, len(columns) + 1),
            )
        )
    blocks += [
        _measured(record, what, title)
        for what, title in (('overlap', 'Overlap'), ('intensity', 'Intensity inside the lungs'))
    ]
    if 'regularity' in record:
        names = [
            ('folded voxels (%)', 'folding'),
            ('folded voxels', 'folded'),
            ('voxels of the mask', 'n'),
            ('mean of J', 'mean'),
            ('standard deviation of J', 'std'),
            ('standard deviation of log J', 'std_log'),
            ('smallest J', 'min'),
            ('largest J', 'max'),
        ]
        blocks.append(
            '<h3>Regularity of the DVF inside the lungs</h3>'
            + page.table(
                ['J: Jacobian determinant', ''],
                [[page.escape(name), _number(record, 'regularity', key)] for name, key in names],
                (1,),
            )
        )
    return page.section('Numbers', page.side_by_side(blocks[0], ''.join(blocks[1:])) if blocks else '')


def _measured(record, what, title):
    """Table of overlap or intensity before and after."""
    if what not in record:
        return ''
    times = [time for time in ('before', 'after') if time in record[what]]
    rows = []
    if what == 'intensity':
        for name, key in (('normalised cross-correlation', 'ncc'), ('mean squared difference (HU²)', 'mse')):
            rows.append([page.escape(name)] + [_number(record, what, time, key) for time in times])
    else:
        for label in sorted(record[what]['before']):
            for name, key in (
                ('Dice', 'dice'),
                ('surface distance, mean (mm)', 'mean'),
                ('surface distance, 95 % (mm)', 'p95'),
            ):
                rows.append(
                    [page.escape(name if label == 'mask' else f'{name}, label {label}')]
                    + [_number(record, what, time, label, key) for time in times]
                )
    return f'<h3>{title}</h3>' + page.table([''] + times, rows, range(1, len(times) + 1))


def _overlays(views, moving, moved):
    images = [('before', 'moving', moving)] + ([] if moved is None else [('after', 'moved', moved)])
    pictures = [
        page.figure(
            views.png(lambda v, image=image: v.checkerboard(image), True),
            f'squares of the fixed and of the {name} image in turn; vessels go on across their '
            'borders where they agree',
            f'Checkerboard, {when}.',
        )
        for when, name, image in images
    ]
    pictures += [
        page.figure(
            views.png(lambda v, image=image: v.blend(0, 0, image), True),
            f'fixed magenta, {name} green; grey where they agree',
            f'Colour, {when}.',
        )
        for when, name, image in images
    ]
    places = [plane.position for plane in views.sections]
    return page.section(
        'Images',
        page.paragraph(
            'Sections: coronal at y = {:.0f} mm, sagittal at x = {:.0f} mm, axial at z = {:.0f} mm; grey from '
            '{:.0f} to {:.0f} HU. Blue line: lungs of the fixed image.'.format(*places + list(LUNG_WINDOW))
        ),
        *pictures,
    )


def _folded(jacobian, lung):
    """Positions (n, 3) mm of the voxels of the lungs whose Jacobian determinant is not positive; evenly
    thinned out where they are very many."""
    folded = sitk.GetArrayViewFromImage(jacobian) <= 0
    if lung is not None:
        folded = folded & (sitk.GetArrayViewFromImage(lung) != 0)
    index = np.argwhere(folded)
    index = index[:: max(1, len(index) // MOST_FOLDED)]
    return Geometry.of(jacobian).index_to_world(index[:, ::-1].reshape(-1, 3))


def _deformation(views, dvf, jacobian, folded):
    return page.section(
        'Deformation',
        page.figure(
            views.png(lambda v: v.grid(0, 0, dvf), True),
            'a regular grid moved by the DVF, over the fixed image',
            'Grid.',
        ),
        page.figure(
            views.png(lambda v: v.magnitude(dvf)),
            'length of the displacement over the fixed image; '
            'arrows: its part within the section, fixed → moving, true to scale',
            'Displacement.',
        ),
        page.figure(
            views.png(lambda v: v.jacobian(jacobian, folded)),
            'change of volume, 1 where it is kept; folded voxels (J ≤ 0) are black{}'.format(
                ', red: all folded voxels of the lungs, projected onto the sections'
                if len(folded)
                else '; there is none in the lungs'
            ),
            'Jacobian determinant.',
        ),
    )


def _landmarks(views, record):
    if 'landmarks' not in record:
        return ''
    points, before, after = (np.array(record['landmarks'][name]) for name in ('fixed', 'true', 'error'))
    lengths = [np.linalg.norm(vectors, axis=1) for vectors in (before, after)]
    largest = max(1.0, float(np.percentile(lengths[0], 98)))
    pictures = [
        page.figure(
            views.png(lambda v, e=vectors: v.errors(points, e, largest)),
            'all landmarks, projected onto the sections; lines along their errors, true to '
            f'scale; {mean_std(length.mean(), length.std())} mm',
            name,
        )
        for name, vectors, length in (('Errors before.', before, lengths[0]), ('Errors after.', after, lengths[1]))
    ]
    worst = np.argsort(-lengths[1])
    rows = [
        [str(k + 1)]
        + [f'{x:.1f}' for x in points[k]]
        + [f'{x:.2f}' for x in (lengths[0][k], lengths[1][k])]
        + [f'{x:.2f}' for x in after[k]]
        for k in worst
    ]
    titles = ('landmark', 'x mm', 'y mm', 'z mm', 'before mm', 'after mm', 'error x', 'error y', 'error z')
    return page.section(
        'Landmarks',
        *pictures
        + [
            page.figure(success_png(before, after), '', 'Share of landmarks below every error.'),
            page.folded(f'All {len(points)} landmarks, the worst first', page.table(titles, rows, range(9))),
        ],
    )
