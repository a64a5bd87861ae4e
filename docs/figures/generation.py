"""Figures of the artificial deformations: ``python -m docs.figures.generation``.

Three pages, drawn from one case of the phantom with the settings and random numbers of training: fields of a
single frequency, the steps of a field of mixed frequencies, and respiratory motion (paper, figures of section
2.2). The case is read where the data set expects it; if it is not there, the phantom's own command makes it
in a temporary folder. The fields deform the original image, whatever their dsmooth, so that pages can be
compared.
"""

import argparse
import collections
import contextlib
import os
import subprocess
import sys
import tempfile

import numpy as np
from tqdm import tqdm

from docs.figures.section_page import (
    GRID_STEP,
    Page,
    Panel,
    Section,
    common_limit,
    deformed_grid,
    length,
    outline,
    plain_axes,
    whole_mm,
)
from functions.artificial_generation import dilation, mixed_frequency, respiratory_motion
from functions.artificial_generation.bspline_field import category_field
from functions.artificial_generation.categories import CategoryInputs
from functions.artificial_generation.deformed_image import make_deformed
from functions.artificial_generation.displacement_limits import normalise
from functions.artificial_generation.item_specification import ItemSpecification
from functions.artificial_generation.original_images import clear_cache, load_original
from functions.artificial_generation.smoothing import gaussian_smooth
from functions.image.geometry import Geometry
from functions.image.masks import bounding_box
from functions.image.volume_io import array_view
from functions.setting.errors import DiskError, InputError, RegNetError
from functions.setting.setting_utils import address_generator, initialize_setting

DATA = 'Phantom_4D'
SINGLE = '3D_max15_SingleFrequency_Visualization'
EXPERIMENT = '3D_max15_D14_K'
#: dsmooth of the mixed_frequency and the respiratory_motion field of EXPERIMENT that are drawn.
MIXED, RESPIRATORY = 10, 0
GRID_NOTE = f'grid: every {GRID_STEP:g} mm of the original image'
_COLOURS = {'edge': '#ff8c1a', 'kept': '#ffc629', 'emptied': '#c2302e', 'grown': '#3fb950'}
_REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

#: Intermediate results of a mixed-frequency field, of the component z unless stated otherwise: ``edges`` bool
#: [z, y, x] in and around the lungs; ``selected`` those inside the dilated lungs; ``dilated`` the first mask;
#: ``emptied`` and ``grown`` planes of the mask after those phases; ``bspline``, ``filled`` planes of the
#: field before and after the mask, mm; ``dvf`` float32 [z, y, x, 3], the finished field, all components.
MixedSteps = collections.namedtuple('MixedSteps', 'edges selected dilated emptied grown bspline filled dvf')


def single_frequency_page(setting, cn):
    """Deformed image with grid, u_z and length of the fields of three grid spacings: a :class:`Page`."""
    identity, volumes = _load(setting, cn, SINGLE, 0)
    coronal = _section(volumes, 'coronal')
    side = 3.6 * coronal.width_mm / coronal.height_mm
    made = []
    for dsmooth in range(3):
        identity = _identity(setting, cn, SINGLE, dsmooth)
        result = make_deformed(identity, volumes)
        spacing = identity.options['SingleFrequency_BSplineGridSpacing'][identity.number][0]
        made.append(
            (
                spacing,
                coronal.cut(array_view(result.deformed.im)).copy(),
                coronal.cut(array_view(result.deformed.lung)).copy(),
                coronal.cut(array_view(result.dvf)).copy(),
            )
        )
    limit = common_limit([field[..., 2] for _, _, _, field in made])
    longest = common_limit([length(field) for _, _, _, field in made])
    page = Page(
        'Single frequency: random cubic B-splines of three grid spacings',
        f'up to {identity.options["MaxDeform"]} mm per component, fading out at the surface of the body; {GRID_NOTE}; '
        f'{coronal}',
        [[Panel(side, 3.6, 0, 0, 'right' if column == 2 else None) for column in range(3)] for _ in range(3)],
    )
    for column, (spacing, image, _, field) in enumerate(made):
        axes = page.anatomy(
            0, column, f'Grid spacing {spacing:g} mm: deformed image', coronal, image, scale_bar=column == 0
        )
        deformed_grid(axes, coronal, field)
    for column, (spacing, _, lung, field) in enumerate(made):
        page.field(1, column, f'{spacing:g} mm: $u_z$', coronal, field[..., 2], limit, lung)
    for column, (spacing, _, lung, field) in enumerate(made):
        page.field(2, column, f'{spacing:g} mm: $|u|$', coronal, length(field), longest, lung, False)
    return page


def mixed_frequency_page(setting, cn):
    """The steps of a field of mixed frequencies, cranio-caudal component: a :class:`Page`."""
    identity, volumes = _load(setting, cn, EXPERIMENT, MIXED)
    made = make_deformed(identity, volumes)
    coronal = _section(volumes, 'coronal', array_view(made.dvf)[..., 2])
    steps = mixed_frequency_steps(identity, volumes, coronal)
    options = identity.options
    image, lung, deformed_lung = [
        coronal.cut(array_view(volume)) for volume in (volumes.im, volumes.lung, made.deformed.lung)
    ]
    field, dilated = coronal.cut(array_view(made.dvf)), coronal.cut(steps.dilated)
    side = 3.4 * coronal.width_mm / coronal.height_mm
    iterations, block = options['MixedFrequency_Np'][identity.number], 2 * options['MixedFrequency_BlockRadius']
    page = Page(
        'Mixed frequency: a B-spline cut up along the edges in the lungs, then smoothed',
        f'cranio-caudal component; {iterations} iterations, blocks of {block} mm; {GRID_NOTE}; {coronal}',
        [[Panel(side, 3.4, 0, 0, 'below') for _ in range(3)] for _ in range(3)],
    )

    def labels(row, column, title, *classes):
        outline(
            page.labels(
                row, column, title, coronal, image, [(name, _COLOURS[key], plane) for name, key, plane in classes]
            ),
            coronal,
            lung,
        )

    labels(0, 0, 'Canny edges', ('edge', 'edge', coronal.cut(steps.edges)))
    labels(0, 1, 'Selected: edges in the lungs', ('selected voxel', 'edge', coronal.cut(steps.selected)))
    labels(0, 2, 'Dilated mask', ('field kept', 'kept', dilated))
    labels(1, 0, 'Blocks emptied', ('kept', 'kept', steps.emptied), ('emptied', 'emptied', dilated & ~steps.emptied))
    labels(
        1,
        1,
        'Blocks grown',
        ('kept', 'kept', steps.grown & dilated),
        ('emptied', 'emptied', dilated & ~steps.grown),
        ('grown', 'grown', steps.grown & ~dilated),
    )
    spacing = options['MixedFrequency_BSplineGridSpacing'][identity.number][0]
    limit = common_limit([steps.bspline])
    page.field(1, 2, f'B-spline, {spacing:g} mm grid: $u_z$', coronal, steps.bspline, limit, lung)
    page.field(2, 0, 'Filled: B-spline in the mask', coronal, steps.filled, limit, lung)
    page.field(2, 1, 'Smoothed: final $u_z$', coronal, field[..., 2], common_limit([field[..., 2]]), deformed_lung)
    axes = page.anatomy(
        2, 2, 'Deformed image and grid', coronal, coronal.cut(array_view(made.deformed.im)), scale_bar=True
    )
    deformed_grid(axes, coronal, field)
    return page


def mixed_frequency_steps(identity, volumes, section):
    """The field of ``mixed_frequency``, with its intermediate results.

    :param identity: of an item of that category.
    :param volumes: image and masks to be deformed.
    :param section: :class:`docs.figures.section_page.Section` that planes are cut along.
    :return: :class:`MixedSteps`; ``dvf`` equals the category's own field.
    """
    options, number, rng = identity.options, identity.number, identity.random(identity.method)
    geometry = Geometry.of(volumes.im)
    spacing_zyx = np.asarray(geometry.spacing[::-1])
    context = CategoryInputs(array_view(volumes.im), array_view(volumes.lung), None, options)
    selected = context.edges & dilation.neighbours_6(context.lung > 0)
    dilated = dilation.cube(selected)
    # Without any emptied block the mask is still the dilated one.
    after = {'emptied': section.cut(dilated)}

    def record(iteration, phase, changed, block, mask):
        if changed == 2 and phase == 'emptied':
            after[phase] = section.cut(mask).copy()

    radius = np.maximum(1, np.round(options['MixedFrequency_BlockRadius'] / spacing_zyx)).astype(int)
    kept = mixed_frequency.select(
        context.edges, context.lung, rng, options['MixedFrequency_Np'][number], radius, record
    )
    maximum = options['MaxDeform'] * options['MixedFrequency_MaxDeformRatio'][number]
    place = geometry.shape, geometry.spacing
    field, _ = category_field('MixedFrequency', *place, rng, options, context, maximum, upper=2.0, lower=1.0)
    bspline = section.cut(field[2]).copy()
    field *= kept
    filled = section.cut(field[2]).copy()
    for values in field:
        gaussian_smooth(values, rng.uniform(*options['MixedFrequency_SigmaRange'][number]) / spacing_zyx)
    if options['DVFNormalization']:
        normalise(field, maximum)
    return MixedSteps(
        context.edges,
        selected,
        dilated,
        after['emptied'],
        section.cut(kept[2]),
        bspline,
        filled,
        np.moveaxis(field, 0, -1),
    )


def respiratory_motion_page(setting, cn):
    """Profiles, u_z, u_y, the deformed image with grid and what changed in it: a :class:`Page`."""
    identity, volumes = _load(setting, cn, EXPERIMENT, RESPIRATORY)
    made = make_deformed(identity, volumes)
    u_y, u_z = breathing_profiles(identity, volumes)
    dvf, lung, moving = array_view(made.dvf), array_view(made.deformed.lung), array_view(volumes.im)
    deformed = array_view(made.deformed.im)
    sections = [_section(volumes, name) for name in ('coronal', 'sagittal')]
    components = [2, 1]
    widths = [3.5 * section.width_mm / section.height_mm for section in sections]
    rows = [
        [
            Panel(2.3, 3.5, 0.62, 0.45, None),
            Panel(width, 3.5, 0, 0, 'right'),
            Panel(width, 3.5, 0, 0, None),
            Panel(width, 3.5, 0, 0, 'right'),
        ]
        for width in widths
    ]
    page = Page(
        'Respiratory motion: diaphragm and chest wall, fading upwards, plus a random B-spline',
        f'u leads from the deformed image, the more inhaled one, towards exhale; {GRID_NOTE}; '
        f'{sections[0]}; {sections[1]}',
        rows,
    )
    for row, (section, component) in enumerate(zip(sections, components)):
        if row == 0:
            _profile_z(page, section, u_z, dvf, array_view(volumes.lung))
        else:
            _profile_y(page, section, u_y, u_z)
        field, outlined, image = section.cut(dvf), section.cut(lung), section.cut(deformed)
        page.field(
            row,
            1,
            f'${("u_x", "u_y", "u_z")[component]}$',
            section,
            field[..., component],
            common_limit([field[..., component]]),
            outlined,
        )
        axes = page.anatomy(row, 2, 'Deformed image and grid', section, image, scale_bar=row == 0)
        deformed_grid(axes, section, field)
        page.difference(
            row, 3, 'Deformed − original', section, image.astype(np.float32) - section.cut(moving), outlined
        )
    return page


def breathing_profiles(identity, volumes):
    """The deterministic part of a ``respiratory_motion`` field: u_y [z, y] and u_z [z], mm, float64.

    Drawn as the category draws it.
    """
    options, number, rng = identity.options, identity.number, identity.random(identity.method)
    t0 = rng.uniform(0.8, 1.1) * options['RespiratoryMotion_t0'][number]
    s0 = rng.uniform(0.8, 1.1) * options['RespiratoryMotion_s0'][number]
    shift = rng.uniform(2, 12)
    geometry = Geometry.of(volumes.im)
    return respiratory_motion.breathing(geometry.shape, geometry.spacing, array_view(volumes.lung), t0, s0, shift)


def _profile_z(page, section, u_z, dvf, lung):
    axes = page.axes(0, 0, 'Cranio-caudal motion')
    inside = np.flatnonzero(lung.any(axis=(1, 2)))
    z_mm = section.all_up_mm
    mean = [dvf[k, ..., 2][lung[k] > 0].mean() for k in inside]
    axes.plot(u_z, z_mm, color='0.2', linewidth=2, linestyle='--', label='formula')
    axes.plot(mean, z_mm[inside], color='#c2302e', linewidth=2, label='field, mean\nin the lungs')
    for k, name in ((inside[0], 'lung base'), (inside[-1], 'apex')):
        axes.axhline(z_mm[k], color='0.6', linewidth=0.9, linestyle=':')
        axes.text(0.12, z_mm[k], name, transform=axes.get_yaxis_transform(), fontsize=9.5, color='0.35', va='bottom')
    axes.set_ylim(section.extent[2:])
    axes.set_xlabel('$u_z$ (mm)', fontsize=10.5, labelpad=1)
    axes.set_ylabel('z (mm)', fontsize=10.5, labelpad=1)
    plain_axes(axes, 'center right')


def _profile_y(page, section, u_y, u_z):
    axes = page.axes(1, 0, 'Antero-posterior motion')
    share = u_z / u_z.max()
    for target, colour in ((1.0, '#08306b'), (0.5, '#2f7fbc'), (0.2, '#8fc1e3')):
        k = int(np.argmin(np.abs(share - target)))
        axes.plot(
            section.all_across_mm, u_y[k], color=colour, linewidth=2, label=f'z = {whole_mm(section.all_up_mm[k])} mm'
        )
    axes.axhline(0, color='0.6', linewidth=0.9, linestyle=':')
    axes.set_xlim(section.extent[:2])
    axes.set_xlabel('y (mm), anterior to posterior', fontsize=10.5, labelpad=1)
    axes.set_ylabel('$u_y$ (mm), formula', fontsize=10.5, labelpad=1)
    plain_axes(axes, 'upper right')


def _identity(setting, cn, deform_exp, dsmooth):
    return ItemSpecification(
        dict(setting, DVFPad_S1=0),
        {'data': DATA, 'type_im': 0, 'cn': cn, 'stage': 1, 'deform_exp': deform_exp, 'dsmooth': dsmooth},
    )


def _load(setting, cn, deform_exp, dsmooth):
    identity = _identity(setting, cn, deform_exp, dsmooth)
    return identity, load_original(identity, write=False)


def _section(volumes, name, shown=None):
    """The plane with the largest lung area, or the most of ``shown`` in the lungs, cropped to the body."""
    lung, geometry = array_view(volumes.lung) > 0, Geometry.of(volumes.im)
    weight = lung if shown is None else np.abs(shown) * lung
    index = int(np.argmax(weight.sum(axis=(0, 2) if name == 'coronal' else (0, 1), dtype=np.float64)))
    margin = int(round(5 / min(geometry.spacing)))
    box = bounding_box(array_view(volumes.torso), margin)
    return Section(name, index, geometry, box)


#: File name -> function of (setting, cn) that returns its :class:`Page`.
PAGES = collections.OrderedDict(
    [
        ('single_frequency.png', single_frequency_page),
        ('mixed_frequency.png', mixed_frequency_page),
        ('respiratory_motion.png', respiratory_motion_page),
    ]
)


@contextlib.contextmanager
def setting_with_case(cn):
    """A setting in which case ``cn`` of the phantom, T00, exists.

    That of the user if the case is there, otherwise one of a temporary folder that goes when the context
    ends.

    :raises InputError: not a case number.
    :raises RegNetError: the phantom's command failed; its last line says why.
    """
    if isinstance(cn, bool) or not hasattr(cn, '__index__') or cn < 1:
        raise InputError(f'The case number must be a whole number from 1; got {cn!r}.')
    setting = initialize_setting('figures')
    requests = ('OriginalIm', 'OriginalLung', 'OriginalTorso')
    if all(
        os.path.isfile(address_generator(setting, request, data=DATA, cn=cn, type_im=0, stage=1))
        for request in requests
    ):
        yield setting
        return
    with tempfile.TemporaryDirectory() as folder:
        root = folder.replace(os.sep, '/') + '/'
        environment = dict(os.environ, REGNET_ROOT=root, REGNET_DATA=root + 'Data/')
        # Artificial generation reads images of data sets; making those of the phantom is left to its callers.
        command = [sys.executable, '-m', 'functions.phantom', '--cases', str(cn), '--types', '0']
        result = subprocess.run(
            command, cwd=_REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if result.returncode != 0:
            lines = result.stdout.strip().splitlines() or [f'it ended with {result.returncode}']
            raise RegNetError(f'Phantom case {cn} could not be made: {lines[-1]}')
        setting.update(RootFolder=root, DataFolder=root + 'Data/', log_root_folder=root + 'Experiments/')
        yield setting
        clear_cache()


def draw(output, cn=1):
    """Write all figures of a case into a folder, with a progress bar.

    :return: list of the files.
    :raises InputError: ``output`` is a file, or not a case number.
    :raises DiskError: ``output`` cannot be written.
    """
    if os.path.exists(output) and not os.path.isdir(output):
        raise InputError(f'{output} is a file; --output must be a folder.')
    try:
        os.makedirs(output, exist_ok=True)
    except OSError as error:
        raise DiskError(f'Cannot make the folder {output}: {error.strerror}.') from error
    paths = []
    bar = tqdm(total=1 + len(PAGES), desc='Phantom', unit='step')
    with bar, setting_with_case(cn) as setting:
        bar.update()
        for name, page in PAGES.items():
            bar.set_description(name)
            paths.append(os.path.join(output, name))
            page(setting, cn).save(paths[-1])
            bar.update()
    return paths


def main(words=None):
    """Run the command; returns None, or an error in one sentence for ``sys.exit``."""
    parser = argparse.ArgumentParser(
        prog='python -m docs.figures.generation', description='Draw what artificial generation makes, from the phantom.'
    )
    parser.add_argument('--output', default='docs', metavar='FOLDER', help='where the PNG files go')
    parser.add_argument('--case', type=int, default=1, metavar='N', help='case of the phantom, from 1')
    arguments = parser.parse_args(words)
    try:
        draw(arguments.output, arguments.case)
    except RegNetError as error:
        return str(error)
    return None


if __name__ == '__main__':
    sys.exit(main())
