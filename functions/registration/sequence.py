"""A 4D sequence registered to one of its phases, as a list of pairs, and what is made of all of them together.

=================  ======================================================================================
In the folder      What it is
=================  ======================================================================================
01_T10/ ...        the results of a phase, registered to the chosen one
phases/            the phases of a 4D file, one file each
mean.mha           mean of the moved images and of the chosen phase, int16 HU, on the grid of the results
trajectories.csv   label, phase, x, y, z (mm): where points of the chosen phase are in every phase
animation.gif      coronal section of every phase as it is and registered
sequence.json      checksums of the three; written last
=================  ======================================================================================
"""

import collections
import csv
import io
import os

import numpy as np
import SimpleITK as sitk

from ..image.claim import claim_folder
from ..image.dvf import transform_points
from ..image.file_check import READABLE, require_apart
from ..image.geometry import Geometry
from ..image.manifest import check_manifest, fingerprint, record_output, recorded_inputs, write_manifest
from ..image.point_files import read_points
from ..image.resample import resample_to
from ..image.volume_io import array_view, image_from_array, read_image, write_image
from ..preprocessing.hounsfield import LOWEST, load_ct
from ..preprocessing.isotropic import to_isotropic
from ..setting.atomic import write_text
from ..setting.errors import InputError, MissingFileError
from ..setting.result_names import ANIMATION, MOVED, SEQUENCE
from .apply import require_inside
from .pair_lists import Pair, register_pairs, require_done, stem_of
from .result_folder import read_result, read_results
from .sequence_animation import write_animation

FORMAT_NUMBER = 1

Phase = collections.namedtuple('Phase', 'name path')
"""``name``: its place and its file, such as 03_T30; ``path``: file or DICOM folder."""


def read_phases(paths, output):
    """The phases of a sequence, in order.

    :param paths: files or DICOM folders, in order; or one folder of them, ordered by name; or one 4D file, which is
        split into ``phases/`` in ``output``.
    :return: list of :class:`Phase`.
    :raises MissingFileError, InputError: missing, not 4D, or fewer than two phases.
    """
    paths = [os.fspath(path) for path in paths]
    for path in paths:
        if not os.path.exists(path):
            raise MissingFileError(f'{path} does not exist.')
    found = paths
    if len(paths) == 1 and os.path.isdir(paths[0]):
        names = [name for name in sorted(os.listdir(paths[0])) if name[0] != '.']
        found = [os.path.join(paths[0], name) for name in names]
        found = [path for path in found if os.path.isdir(path) or path.lower().endswith(READABLE)]
    elif len(paths) == 1:
        found = _split(paths[0], os.path.join(output, 'phases'))
    if len(found) < 2:
        raise InputError(
            f'{paths[0]} holds {len(found)} phases; a sequence is two or more files or DICOM folders, a folder of them '
            'or one 4D file.'
        )
    return [Phase(f'{number:02d}_{stem_of(path)}'[:200], path) for number, path in enumerate(found)]


def chosen_phase(phases, to):
    """The phase that ``to`` names: its number from 0, or its file or folder without ending.

    :raises InputError: no such phase, or several.
    """
    found = [phase for phase in phases if to in (phase.name, phase.name[3:])]
    if not found and to.isdigit() and int(to) < len(phases):
        found = [phases[int(to)]]
    if len(found) != 1:
        names = ', '.join(phase.name for phase in phases)
        raise InputError(f'--to {to} is not one phase; give the number, from 0, or the name of one of {names}.')
    return found[0]


def _split(path, folder):
    """Paths of the phases of a 4D file, written to ``folder`` unless that is done."""
    image = read_image(path, dim=4)
    x, y, z, count = image.GetSize()
    paths = [os.path.join(folder, f'phase_{number}.mha') for number in range(count)]
    record = os.path.join(folder, SEQUENCE)
    made_from = fingerprint(path, recorded_inputs(record))
    with claim_folder(folder):
        if not check_manifest(record, made_from, FORMAT_NUMBER)[0]:
            for number, target in enumerate(paths):
                write_image(sitk.Extract(image, [x, y, z, 0], [0, 0, 0, number]), target)
            write_manifest(record, made_from, FORMAT_NUMBER, [record_output(target) for target in paths])
    return paths


def register_sequence(phases, to, output, model, points=None, **options):
    """Register all other phases to one, and write what is made of all.

    :param phases: list of :class:`Phase`.
    :param to: the phase they are registered to.
    :param model, options: as for :func:`functions.registration.pair_lists.register_pairs`, which also says what is
        skipped.
    :param points: None, or (file of points in the phase ``to``, their format or None).
    :return: (paths of what was written beside the folders of the phases, list of outcomes as of
        :func:`functions.registration.pair_lists.register_pairs`).
    :raises RegNetError: phases that cannot be registered, after all were tried, or points outside the image.
    """
    ending, overwrite = options.get('file_format', 'mha'), options.get('overwrite')
    names = ['mean.' + ending, ANIMATION] + ['trajectories.csv'] * (points is not None)
    paths = [os.path.join(output, name) for name in names]
    record = os.path.join(output, SEQUENCE)
    require_apart(paths + [record], [phase.path for phase in phases] + [points and points[0]])
    foreign = [path for path in paths if os.path.exists(path) and not os.path.exists(record)]
    if foreign and not overwrite:
        raise InputError(f'{foreign[0]} already exists and is not overwritten: give another --output, or --overwrite.')
    fixed = load_ct(to.path)
    given = None
    if points is not None:
        given = read_points(points[0], fixed, points[1])
        require_inside(given.points, Geometry.of(fixed), points[0], 'fixed')
    pairs = [Pair(one.name, {'fixed': to.path, 'moving': one.path}) for one in phases if one != to]
    outcomes = register_pairs(pairs, output, model, **options)
    require_done(outcomes, 'phases')
    results = {one.name: read_results(os.path.join(output, one.name)) for one in phases if one != to}
    made_from = {name: one.record.get('outputs') for name, one in results.items()}
    made_from['points'] = points and [fingerprint(points[0], recorded_inputs(record)), points[1]]
    with claim_folder(output):
        if not check_manifest(record, made_from, FORMAT_NUMBER)[0]:
            _write_mean_and_animation(phases, to, fixed, results, *paths[:2])
            if given is not None:
                write_text(paths[2], _trajectories(phases, results, given))
            write_manifest(record, made_from, FORMAT_NUMBER, [record_output(path) for path in paths])
    return paths, outcomes


def _write_mean_and_animation(phases, to, fixed, results, mean_path, animation_path):
    grid = next(iter(results.values())).fixed
    size, middle = list(grid.size), grid.size[1] // 2
    size[1] = 1
    section = grid._replace(size=tuple(size), origin=tuple(grid.index_to_world([0, middle, 0])))
    total, frames = 0, []
    for phase in phases:
        if phase == to:
            image, moved = fixed, fixed if Geometry.of(fixed).matches(grid) else to_isotropic(fixed)
        else:
            image, moved = load_ct(phase.path), read_result(results[phase.name], MOVED)
        total = total + array_view(moved).astype(np.float32)
        as_it_is = array_view(resample_to(image, section, default=LOWEST))[:, 0]
        frames.append((phase.name, as_it_is, array_view(moved)[:, middle]))
    write_image(image_from_array(np.rint(total / len(phases)), grid, np.int16), mean_path)
    write_animation(animation_path, frames, grid.spacing[2] / grid.spacing[0], to.name)


def _trajectories(phases, results, given):
    """Text of the CSV file; ``given``: :class:`functions.image.point_files.PointList`."""
    there = {name: transform_points(given.points, read_result(one)) for name, one in results.items()}
    stream = io.StringIO(newline='')
    rows = csv.writer(stream, lineterminator='\n')
    rows.writerow(('label', 'phase', 'x', 'y', 'z'))
    for number, label in enumerate(given.labels or range(1, len(given.points) + 1)):
        for phase in phases:
            point = there.get(phase.name, given.points)[number]
            rows.writerow([label, phase.name] + [f'{value:.4f}' for value in point])
    return stream.getvalue()
