"""Accuracy of trained networks and of classical registration, on the same pairs with the same masks.

No network was trained on these patients and motions: phantom patients from T00 to T50, and real CT scans deformed by an
analytic model of breathing (:mod:`tests.benchmark.real_breathing`). Run in the repository's folder, with elastix on the
PATH:

    python -m tests.benchmark.bench_accuracy --folder FOLDER [--sets phantom real] [--methods ...]
    [--model FOLDER ...] [--name NAME] [--real SCAN ...] [--cases 11 12 ...] [--stages 4 2 1]

FOLDER keeps pairs and results, so that an interrupted run continues and classical methods run once. Real scans are
files or DICOM folders. --sanity measures identity, translations and swapped images instead.
"""

import argparse
import functools
import json
import os
import time

import numpy as np
import SimpleITK as sitk

METHODS = ('affine', 'bspline_3', 'regnet')
MOTIONS = (10.0, 18.0, 25.0)
MASKS = ('fixed_lung', 'moving_lung', 'fixed_torso', 'moving_torso')


def phantom_pair(folder, cn):
    """Write a patient of the phantom; landmarks are exact."""
    from functions.phantom.case import Case

    case = Case(cn)
    files = {}
    for role, phase in (('fixed', 0), ('moving', 5)):
        files[role], files[role + '_lung'], files[role + '_torso'] = case.phase(phase)
    write_pair(folder, files, case.landmarks(0), case.landmarks(5))


def real_pair(folder, source, largest, number):
    """Write a pair made from a real scan by analytic breathing."""
    from functions.registration.input_scan import isotropic_scan, read_scan
    from functions.registration.mask_box import box_of, cut
    from tests.benchmark.real_breathing import RealBreathing

    scan = isotropic_scan(read_scan(source, 'fixed'), 'Lung')
    # Half of the scanned volume is air.
    box = box_of([scan.masks['Torso']], 15.0)
    image, lung, torso = [cut(image, box) for image in (scan.image, scan.masks['Lung'], scan.masks['Torso'])]
    model = RealBreathing(image, lung, largest, number)
    fixed, moving, masks, _ = model.pair(torso)
    points = model.landmarks()
    write_pair(folder, dict(masks, fixed=fixed, moving=moving), points, points + model.displacement(points))


def write_pair(folder, images, fixed_points, moving_points):
    """Write the files of a pair; the landmarks come last and mark it as complete."""
    os.makedirs(folder, exist_ok=True)
    for name, image in images.items():
        sitk.WriteImage(image, os.path.join(folder, name + '.mha'))
    with open(os.path.join(folder, 'landmarks.json'), 'w') as stream:
        json.dump({'fixed': fixed_points.tolist(), 'moving': moving_points.tolist()}, stream)


class PairFiles:
    """A pair on disk, with its measures."""

    def __init__(self, folder, make):
        self.folder = folder
        if not os.path.exists(self.path('landmarks.json')):
            make(folder)
        with open(self.path('landmarks.json')) as stream:
            points = json.load(stream)
        self.points = [np.array(points[role]) for role in ('fixed', 'moving')]
        self.masks = {name: self.path(name + '.mha') for name in MASKS}

    def path(self, name):
        return os.path.join(self.folder, name)

    def image(self, name):
        return sitk.ReadImage(self.path(name + '.mha'))

    def measured(self, name, run):
        """{'errors', 'folding', 'seconds'} of a method, read from its file if it ran before."""
        path = self.path(f'measures_{name}.json')
        if not os.path.exists(path):
            start = time.time()
            dvf, seconds = run(self)
            found = self.measure(dvf)
            found['seconds'] = time.time() - start if seconds is None else seconds
            with open(path, 'w') as stream:
                json.dump(found, stream)
        with open(path) as stream:
            return json.load(stream)

    def measure(self, dvf):
        """Landmark errors (mm) and folding (%) in the lung; dvf None: no registration."""
        from functions.image.dvf import jacobian_determinant_of
        from functions.measure.regularity import folding
        from functions.measure.tre import error_vectors

        errors = np.linalg.norm(error_vectors(self.points[0], self.points[1], dvf), axis=1)
        folded = 0.0 if dvf is None else folding(jacobian_determinant_of(dvf), self.image('fixed_lung'))
        return {'errors': errors.tolist(), 'folding': folded}


def affine_of(pair):
    """The affine transform of a pair (by elastix, inside the torso masks), found once."""
    from functions.elastix.affine import read_affine, register_affine
    from functions.image.transforms import write_affine

    path = pair.path('affine.tfm')
    if not os.path.exists(path):
        images = [pair.image(name) for name in ('fixed', 'moving')]
        found = register_affine(*images, None, *[pair.image(name) for name in ('fixed_torso', 'moving_torso')])
        write_affine(found.transform, path)
    return read_affine(path)


def by_affine(pair):
    from functions.image.transforms import total_dvf

    return total_dvf(affine_of(pair), None, pair.image('fixed')), None


def by_bspline(pair):
    from functions.elastix.registration import BSPLINE_FILES, bspline

    affine, start = affine_of(pair), time.time()
    images = [pair.image(name) for name in ('fixed', 'moving')]
    field = bspline(*images, BSPLINE_FILES[3], pair.image('fixed_lung'), initial=affine)
    return field, time.time() - start


def by_networks(model, affine=True, **options):
    """A method: the networks of an opened model, after the affine of the pair or without it."""

    def run(pair):
        from functions.registration import register

        way = 'none'
        if affine:
            affine_of(pair)
            way = pair.path('affine.tfm')
        options.update(pair.masks, affine=way)
        found = register(pair.path('fixed.mha'), pair.path('moving.mha'), model, **options)
        return found.dvf, found.total_seconds - found.seconds.get('affine', 0.0)

    return run


def line(name, measures):
    """A row of the table."""
    errors = np.concatenate([measure['errors'] for measure in measures])
    means = [np.mean(measure['errors']) for measure in measures]
    folding = np.mean([measure['folding'] for measure in measures])
    seconds = np.mean([measure.get('seconds') or 0 for measure in measures])
    tre = f'{errors.mean():.2f} ± {errors.std():.2f} | {np.median(errors):.2f} | {np.percentile(errors, 95):.2f}'
    return f'| {name} | {tre} | {min(means):.2f} to {max(means):.2f} | {folding:.3f} | {seconds:.0f} |'


def sanity(model, pair):
    """Identity, known translations, swapped images: a line each."""
    from functions.image.dvf import compose
    from functions.image.volume_io import array_view
    from functions.registration import register

    fixed, lung, moving, moving_lung = (pair.image(name) for name in ('fixed', 'fixed_lung', 'moving', 'moving_lung'))
    inside = array_view(lung) != 0

    def field(first, second, first_lung, second_lung):
        return register(first, second, model, affine='none', fixed_lung=first_lung, moving_lung=second_lung).dvf

    def median(dvf, shift=(0.0, 0.0, 0.0)):
        return np.median(np.linalg.norm(array_view(dvf)[inside] - shift, axis=1))

    print(f'identity: median |u| {median(field(fixed, fixed, lung, lung)):.2f} mm')
    for shift in ((0.0, 0.0, 6.0), (0.0, 8.0, 0.0), (5.0, -3.0, -10.0)):
        moved, moved_lung = sitk.Image(fixed), sitk.Image(lung)
        for image in (moved, moved_lung):
            image.SetOrigin((np.array(image.GetOrigin()) + shift).tolist())
        found = field(fixed, moved, lung, moved_lung)
        mean = ', '.join(f'{value:.2f}' for value in array_view(found)[inside].mean(axis=0))
        print(f'translation {shift}: mean field ({mean}), median error {median(found, shift):.2f} mm')
    there, back = field(fixed, moving, lung, moving_lung), field(moving, fixed, moving_lung, lung)
    left = median(compose(there, back))
    print(f'swapped: there and back misses by {left:.2f} mm (median; there alone moves by {median(there):.2f} mm)')


def main(words=None):
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--folder', required=True)
    parser.add_argument('--sets', nargs='+', default=['phantom', 'real'], choices=['phantom', 'real'])
    parser.add_argument('--methods', nargs='+', default=list(METHODS), choices=METHODS)
    parser.add_argument('--cases', nargs='+', type=int, default=list(range(11, 21)))
    parser.add_argument('--real', nargs='+', default=[], metavar='SCAN')
    parser.add_argument('--model', nargs='+', default=['chest'])
    parser.add_argument('--stages', nargs='+', type=int)
    parser.add_argument('--name', default='regnet', help='of the results of the networks')
    parser.add_argument('--no_affine', action='store_true')
    parser.add_argument('--diffeomorphic', action='store_true')
    parser.add_argument('--composition', default='exact')
    parser.add_argument('--input_mask', default='model')
    parser.add_argument('--sanity', action='store_true')
    arguments = parser.parse_args(words)
    pairs = {}
    if 'phantom' in arguments.sets:
        pairs['phantom'] = [
            PairFiles(os.path.join(arguments.folder, f'phantom{cn:02d}'), functools.partial(phantom_pair, cn=cn))
            for cn in arguments.cases
        ]
    for largest in MOTIONS if 'real' in arguments.sets and arguments.real else ():
        pairs[f'real, {largest:g} mm'] = [
            PairFiles(
                os.path.join(arguments.folder, f'real{number}_{largest:g}'),
                functools.partial(real_pair, source=source, largest=largest, number=number),
            )
            for number, source in enumerate(arguments.real, 1)
        ]
    methods = {'affine': by_affine, 'bspline_3': by_bspline}
    model = None
    if arguments.sanity or 'regnet' in arguments.methods:
        from functions.registration import open_model

        model = open_model(arguments.model, arguments.stages)
        methods['regnet'] = by_networks(
            model,
            not arguments.no_affine,
            composition=arguments.composition,
            diffeomorphic=arguments.diffeomorphic,
            input_mask=arguments.input_mask,
        )
    if arguments.sanity:
        for name, found in pairs.items():
            print(name)
            sanity(model, found[0])
        return
    print('| set, method | TRE mm | median | 95 % | means of pairs | folding % | s |\n|---|---|---|---|---|---|---|')
    for name, found in pairs.items():
        print(line(name + ', before', [pair.measure(None) for pair in found]), flush=True)
        for method in arguments.methods:
            key = arguments.name if method == 'regnet' else method
            print(line(f'{name}, {key}', [pair.measured(key, methods[method]) for pair in found]), flush=True)


if __name__ == '__main__':
    main()
