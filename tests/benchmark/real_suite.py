"""``bench_accuracy --suite real``: registrations of the pairs of :mod:`tests.benchmark.known_pairs`, compared.

Every pair is registered with masks made from it ('automatic', as the default command does) and with its true masks.
What does not depend on the networks is done once and kept beside the pair: the masks, the better affine transform of
two, the classical methods. A set of networks is run from there by the functions that ``register`` consists of, so that
its result is that of ``register``; measures of other weights, passes or judging than asked for are not used again.
"""

import collections
import contextlib
import fnmatch
import functools
import importlib.util
import os
import time

import numpy as np
import SimpleITK as sitk

from functions.elastix.affine import read_affine
from functions.elastix.programs import is_available
from functions.elastix.registration import BSPLINE_FILES, bspline
from functions.evaluation.registration_picture import registration_picture
from functions.image.resample import resample_to, values_at
from functions.image.transforms import apply_to_points, total_dvf, write_affine
from functions.image.volume_io import image_from_array, write_image
from functions.measure.tre import error_vectors
from functions.registration import field_prediction, pair_preparation, register
from functions.registration.candidates import AFFINE, NONE
from functions.registration.expected_error import predict_error
from functions.registration.pair_options import checked_options
from functions.registration.step_clock import StepClock
from functions.setting.atomic import write_json
from functions.setting.errors import InputError
from functions.setting.text_files import read_json
from tests.benchmark import convexadam_process
from tests.benchmark.error_map_picture import error_map_picture
from tests.benchmark.known_pairs import MASKS, QUICK, PairFiles, suite_pairs
from tests.benchmark.suite_tables import certainty, error_map_table, print_report

MODES = ('automatic', 'true')
#: Of a stand-in for the networks, where there are none yet.
_Networks = collections.namedtuple('_Networks', 'mask stages margins default networks error_map')
_Network = collections.namedtuple('_Network', 'setting memory')
NO_NETWORKS = _Networks('Lung', [4], None, -2048.0, {4: _Network({}, None)}, None)


class RecordedCandidates(pair_preparation.Candidates):
    """Candidates that remember where each of them puts the landmarks ``points`` (n, 3).

    :ivar found: dictionary candidate -> points (n, 3) mm.
    """

    def __init__(self, points, *arguments):
        super().__init__(*arguments)
        self._points, self.found = points, {self.used: points}

    def _is_kept(self, name, likeness):
        self._last = name
        return super()._is_kept(name, likeness)

    def best_affine(self, results):
        best = super().best_affine(results)
        self.found[self._last] = apply_to_points(self._points, best.transform)
        return best

    def keeps_pass(self, stage, field):
        kept = super().keeps_pass(stage, field)
        self.found[self._last] = apply_to_points(self._points, self.linear, field)
        return kept

    def _judged(self, name, field):
        name = super()._judged(name, field)
        self.found[name] = apply_to_points(self._points, self.linear, field)
        return name


@contextlib.contextmanager
def recorded(points):
    """Registrations of this block use :class:`RecordedCandidates` with these landmarks; yields the list of them."""
    original, made = pair_preparation.Candidates, []

    def record(*arguments):
        made.append(RecordedCandidates(points, *arguments))
        return made[-1]

    pair_preparation.Candidates = record
    try:
        yield made
    finally:
        pair_preparation.Candidates = original


class Preparation:
    """Masks and affine of a pair, made as ``register`` makes them and kept beside it.

    :param mode: 'automatic' or 'true'.
    :ivar masks: dictionary of :data:`MASKS` -> file.
    :ivar affine: file of the better affine transform.
    :ivar seconds: dictionary step -> wall time.
    """

    def __init__(self, pair, mode):
        self.pair, self.mode = pair, mode
        self.affine = pair.path(f'{mode}_affine.tfm')
        self.masks = pair.masks if mode == 'true' else {name: pair.path(f'automatic_{name}.mha') for name in MASKS}
        record = pair.path(f'{mode}.json')
        if not os.path.exists(record):
            write_json(record, self._make())
        self.seconds = read_json(record)

    def _make(self):
        given = self.masks if self.mode == 'true' else {}
        # The judge comes later, with the passes.
        options, clock = checked_options(dict(given, keep_all_stages=True)), StepClock()
        images = [self.pair.path(role + '.mha') for role in ('fixed', 'moving')]
        prepared = pair_preparation.prepare_pair(*images, NO_NETWORKS, options, clock)
        for role, scan in (('fixed', prepared.fixed), ('moving', prepared.moving)):
            for name in () if given else ('Lung', 'Torso'):
                write_image(scan.masks[name], self.masks[f'{role}_{name.lower()}'], True)
        write_affine(prepared.affine.transform, self.affine)
        return clock.seconds

    def registered(self, model, judged=True, **more):
        """(field, seconds, facts) of networks, from here on.

        :param judged: candidates are judged, as by default; or everything is kept.
        :param more: further options of ``register``.
        """
        more = dict(self.masks, affine=self.affine, keep_all_stages=not judged, **more)
        options = checked_options(more)
        images, clock = [self.pair.path(role + '.mha') for role in ('fixed', 'moving')], StepClock()
        with recorded(self.pair.points[0]) as made:
            prepared = pair_preparation.prepare_pair(*images, model, options, clock)
            predicted = field_prediction.predict_field(prepared, model, options, clock)
            if options.refine is not None:
                predicted = field_prediction.refine_field(prepared, predicted, options, clock)
        candidates = made[0]  # those of the way there
        facts = {'networks': clock.seconds['networks'], 'used': candidates.used, 'likeness': candidates.likeness}
        error = {name: np.linalg.norm(at - self.pair.points[1], axis=1) for name, at in candidates.found.items()}
        facts['tre'] = {name: float(lengths.mean()) for name, lengths in error.items()}
        before = sum(self.seconds[step] for step in ('reading', 'isotropic grid and masks', 'affine'))
        steps = [step for step in clock.steps if step not in ('reading', 'isotropic grid and masks', 'affine')]
        seconds = before + sum(clock.seconds[step] for step in steps)
        if predicted.residual is not None:
            facts['residual'] = values_at(predicted.residual, self.pair.points[0])[0].tolist()
        if model.error_map is not None:
            facts['error_map'] = self._expected(model, prepared, predicted.field)
            # Where much is left, too.
            unmoved = error[NONE if candidates.linear is None else AFFINE].tolist()
            facts['affine_alone'] = {'errors': unmoved, 'error_map': self._expected(model, prepared, None)}
        return total_dvf(candidates.linear, predicted.field), seconds, facts

    def _expected(self, model, prepared, field):
        """The error map of a nonrigid field at the landmarks: dictionary name -> list."""
        found = predict_error(model.error_map, prepared.pair, field, model.default)
        return {name: values_at(one, self.pair.points[0])[0].tolist() for name, one in found._asdict().items()}


def by_affine(prepared):
    return total_dvf(read_affine(prepared.affine), None, prepared.pair.image('fixed')), prepared.seconds['affine'], {}


def by_bspline(prepared, masked=True):
    """elastix's B-spline of three resolutions, after the affine; in the lungs of the fixed image, or everywhere."""
    start, pair = time.time(), prepared.pair
    mask = sitk.ReadImage(prepared.masks['fixed_lung']) if masked else None
    images = [pair.image(name) for name in ('fixed', 'moving')]
    field = bspline(*images, BSPLINE_FILES[3], mask, initial=read_affine(prepared.affine))
    return field, prepared.seconds['affine'] + time.time() - start, {}


def by_greedy(prepared):
    """greedy (package picsl_greedy), on the affinely moved image, in the lungs of the fixed image."""

    def run(fixed, moved, lung):
        from picsl_greedy import Greedy3D

        greedy = Greedy3D()
        command = '-d 3 -i fixed moved -gm lung -o warp -m NCC 2x2x2 -n 100x100x50 -s 2vox 0.5vox -V 0'
        greedy.execute(command, fixed=fixed, moved=moved, lung=lung, warp=None)
        return sitk.Cast(greedy['warp'], sitk.sitkVectorFloat32)

    return _after_affine(prepared, run)


def by_convexadam(prepared):
    """convexAdam (package convexAdam, MIND features), on the affinely moved image."""

    def run(fixed, moved, lung):
        moves = convexadam_process.moves(fixed, moved)[..., ::-1]
        return image_from_array(moves * np.array(fixed.GetSpacing(), np.float32), fixed)

    return _after_affine(prepared, run)


def _after_affine(prepared, run):
    """Measure a program that registers two images on one grid: ``run(fixed, moved, lung)`` returns its field."""
    start, pair, affine = time.time(), prepared.pair, read_affine(prepared.affine)
    fixed = pair.image('fixed')
    moved = resample_to(pair.image('moving'), fixed, 'linear', -1000, transform=affine)
    field = run(fixed, moved, sitk.ReadImage(prepared.masks['fixed_lung']))
    return total_dvf(affine, field), prepared.seconds['affine'] + time.time() - start, {}


METHODS = {
    'affine': by_affine,
    'bspline_3': by_bspline,
    'bspline_whole': functools.partial(by_bspline, masked=False),
    'greedy': by_greedy,
    'convexadam': by_convexadam,
}
#: Packages of methods that need one; those of elastix need the program.
PACKAGES = {'greedy': 'picsl_greedy', 'convexadam': 'convexAdam'}


def available(method):
    """Whether a method can run here."""
    if method in PACKAGES:
        return importlib.util.find_spec(PACKAGES[method]) is not None
    return method == 'affine' or is_available()


def chosen_pairs(pairs, patterns, quick):
    """The pairs whose names or kinds match one of the patterns (``*`` and ``?``; a part of the name is enough)."""
    if quick:
        pairs = [pair for pair in pairs if any(pair.name.endswith(end) for end in QUICK)]
    if patterns:
        pairs = [p for p in pairs if any(fnmatch.fnmatch(f'{p.name} {p.kind}', f'*{word}*') for word in patterns)]
    return pairs


def run_suite(arguments):
    """Register and print; ``arguments``: of :mod:`tests.benchmark.bench_accuracy`."""
    pairs = chosen_pairs(suite_pairs(arguments.scans), arguments.pairs, arguments.quick)
    modes = arguments.masks or (('automatic',) if arguments.quick else MODES)
    wanted = arguments.methods or list(METHODS) + ['regnet']
    for name in [name for name in wanted if name != 'regnet' and not available(name)]:
        print(f'{name} is not installed: left out.')
    methods = [name for name in wanted if name != 'regnet' and available(name)]
    model, made_by = None, None
    if 'regnet' in wanted:
        from functions.registration import open_model

        model = open_model(arguments.model, arguments.stages)
        networks = {stage: [os.path.basename(n['folder']), n['step']] for stage, n in model.describe().items()}
        made_by = {'networks': networks, 'stages': list(model.stages), 'symmetric': model.symmetric}
        made_by['judged'] = not arguments.no_judge
        if model.error_map is not None:
            made_by['error_map'] = model.describe_error_map()
    rows, worst = [], None
    for mode in modes:
        for pair in pairs:
            files = PairFiles(os.path.join(arguments.folder, 'pairs', pair.name), pair.make)
            row = {'name': pair.name, 'kind': pair.kind, 'mode': mode, 'largest': files.largest, 'measures': {}}
            row['measures']['before'] = dict(files.measure(None), seconds=0.0)
            # Without a mask nothing depends on it but the affine before.
            for name in methods if mode == 'automatic' else [m for m in methods if m != 'bspline_whole']:
                row['measures'][name] = measured(files, mode, name, METHODS[name])
            if model is not None:
                run = functools.partial(Preparation.registered, model=model, judged=not arguments.no_judge)
                found = measured(files, mode, arguments.name, run, made_by)
                row['measures'][arguments.name] = found
                # Rows of their own: a comparison never mixes them with the single shot.
                for kind, more in variants(arguments).items():
                    name = f'{arguments.name}_{kind}'
                    found_more = measured(
                        files, mode, name, functools.partial(run, **more), dict(made_by, options=more)
                    )
                    row['measures'][name] = found_more
                if mode == 'automatic' and (worst is None or np.mean(found['errors']) > worst[0]):
                    worst = np.mean(found['errors']), files
            rows.append(row)
            report_pair(row)
    if arguments.before:
        for row in rows:
            path = os.path.join(
                arguments.folder, 'pairs', row['name'], f'measures_{row["mode"]}_{arguments.before}.json'
            )
            if os.path.exists(path):
                row['measures'][arguments.before] = read_json(path)
    print_report(rows, arguments.name if model is not None else None, arguments.before)
    if arguments.both_ways and model is not None:
        print(certainty([row['measures'][f'{arguments.name}_both_ways'] for row in rows]))
    for name in sorted({name for row in rows for name, found in row['measures'].items() if 'error_map' in found}):
        found = [row['measures'][name] for row in rows]
        print(error_map_table(name, found))
        print(error_map_table('the affine alone', [each['affine_alone'] for each in found]))
    if worst is not None and not arguments.quick:
        pictures(worst[1], model, not arguments.no_judge, arguments.folder, arguments.name)


def variants(arguments):
    """Dictionary end of the name of a row -> its options of ``register``."""
    rows = {'both_ways': {'both_ways': True}, 'refine': {'refine': arguments.refine}, 'one_way': {'symmetric': False}}
    return {kind: more for kind, more in rows.items() if getattr(arguments, kind)}


def measured(files, mode, name, run, made_by=None):
    """Measures of a method on a pair; a refusal counts as no registration."""

    def careful(pair):
        try:
            return run(Preparation(pair, mode))
        except InputError as error:
            return None, 0.0, {'used': 'refused', 'refused': str(error)}

    return files.measured(f'{mode}_{name}', careful, made_by)


def report_pair(row):
    """Print a pair as soon as it is measured."""
    means = ', '.join(f'{name} {np.mean(found["errors"]):.2f}' for name, found in row['measures'].items())
    used = [found['used'] for found in row['measures'].values() if 'used' in found]
    print(f'{row["name"]}, {row["mode"]} masks: {means}' + ''.join(f' ({name})' for name in used), flush=True)


def pictures(files, model, judged, folder, name):
    """Draw the registration of a pair with automatic masks, and the error that is expected of it."""
    given = Preparation(files, 'automatic')
    images = [files.path(role + '.mha') for role in ('fixed', 'moving')]
    found = register(*images, model, affine=given.affine, keep_all_stages=not judged, **given.masks)
    title = f'{os.path.basename(files.folder)}: {found.measures["used"]}'
    fixed, moving, lung = [files.image(name) for name in ('fixed', 'moving', 'fixed_lung')]
    path = os.path.join(folder, f'worst_{name}.png')
    registration_picture(path, fixed, moving, found.moved, found.dvf, lung, title, files.points)
    print(f'The worst pair: {path}')
    if found.expected_error is not None:
        path = os.path.join(folder, f'worst_expected_{name}.png')
        errors = np.linalg.norm(error_vectors(*files.points, found.dvf), axis=1)
        error_map_picture(path, fixed, lung, found.expected_error, files.points[0], errors, title)
        print(f'What was expected of it: {path}')
