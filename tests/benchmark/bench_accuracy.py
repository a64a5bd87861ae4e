"""Accuracy of trained networks and of classical registration, on the same pairs with the same masks.

No network was trained on these patients and motions: phantom patients from T00 to T50, and real CT scans deformed by an
analytic model of breathing (:mod:`tests.benchmark.real_breathing`). Run in the repository's folder, with elastix on the
PATH:

    python -m tests.benchmark.bench_accuracy --folder FOLDER [--sets phantom real] [--methods ...]
    [--model FOLDER ...] [--name NAME] [--real SCAN ...] [--cases 11 12 ...] [--stages 4 2 1]

FOLDER keeps pairs and results, so that an interrupted run continues and classical methods run once. Real scans are
files or DICOM folders. --sanity measures identity, translations and swapped images instead.

    python -m tests.benchmark.bench_accuracy --suite real --folder FOLDER [--scans FOLDER] [--quick] [--pairs slab ...]
    [--model FOLDER ...] [--name NAME] [--stages 4 2 1] [--no_judge] [--masks automatic] [--before NAME]
    [--both_ways] [--one_way] [--refine SECONDS]

registers the 52 pairs of :mod:`tests.benchmark.known_pairs` by elastix, by the networks and by greedy and convexAdam
where they are installed, and prints tables by kind of pair and what is missing to the aims.
"""

import argparse
import functools
import os
import time

import numpy as np
import SimpleITK as sitk

from tests.benchmark.known_pairs import PairFiles, phantom_pair, real_pair

METHODS = ('affine', 'bspline_3', 'regnet')
#: Further ones, which ``--suite real`` runs too.
MORE_METHODS = ('bspline_whole', 'greedy', 'convexadam')
MOTIONS = (10.0, 18.0, 25.0)


class TorsoAffine:
    """Where the methods of :mod:`tests.benchmark.real_suite` begin: the affine transform by elastix inside the torso
    masks, found once, and the masks of the pair."""

    def __init__(self, pair):
        from functions.elastix.affine import register_affine
        from functions.image.transforms import write_affine

        start, self.pair, self.masks, self.affine = time.time(), pair, pair.masks, pair.path('affine.tfm')
        if not os.path.exists(self.affine):
            names = ('fixed', 'moving', 'fixed_torso', 'moving_torso')
            fixed, moving, *torsos = [pair.image(name) for name in names]
            write_affine(register_affine(fixed, moving, None, *torsos).transform, self.affine)
        self.seconds = {'affine': time.time() - start}


def by_networks(model, affine=True, **options):
    """A method: the networks of an opened model, after the affine of the pair or without it."""

    def run(pair):
        from functions.registration import register

        options.update(pair.masks, affine=TorsoAffine(pair).affine if affine else 'none')
        found = register(pair.path('fixed.mha'), pair.path('moving.mha'), model, **options)
        return found.dvf, found.total_seconds - found.seconds.get('affine', 0.0), {}

    return run


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
    parser.add_argument('--methods', nargs='+', default=[], choices=METHODS + MORE_METHODS)
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
    suite = parser.add_argument_group('--suite real')
    suite.add_argument('--suite', choices=['real'], help='measure the pairs of tests.benchmark.known_pairs instead')
    suite.add_argument('--scans', default=os.environ.get('REGNET_REAL_CT'), help='folder of the validation scans')
    suite.add_argument('--pairs', nargs='+', metavar='PATTERN', help='parts of the names or kinds of the pairs')
    suite.add_argument('--quick', action='store_true', help='eight of the pairs, with automatic masks')
    suite.add_argument('--masks', nargs='+', choices=['automatic', 'true'], default=[])
    suite.add_argument('--no_judge', action='store_true', help='keep every pass')
    suite.add_argument('--both_ways', action='store_true', help='also the networks both ways, in rows of their own')
    suite.add_argument('--one_way', action='store_true', help='also without symmetric passes, in rows of their own')
    suite.add_argument('--refine', type=float, metavar='SECONDS', help='also refined, in rows of their own')
    suite.add_argument('--before', metavar='NAME', help='of another set, measured before, to compare with')
    arguments = parser.parse_args(words)
    from tests.benchmark import real_suite, suite_tables

    if arguments.suite:
        real_suite.run_suite(arguments)
        return
    arguments.methods = arguments.methods or list(METHODS)
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
                functools.partial(real_pair, source=source, breathing=largest, number=number),
            )
            for number, source in enumerate(arguments.real, 1)
        ]
    methods = {name: lambda pair, run=run: run(TorsoAffine(pair)) for name, run in real_suite.METHODS.items()}
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
    print(suite_tables.HEADER)
    for name, found in pairs.items():
        print(suite_tables.line(name, 'before', [dict(pair.measure(None), seconds=0.0) for pair in found]), flush=True)
        for method in arguments.methods:
            key = arguments.name if method == 'regnet' else method
            measures = [pair.measured(key, methods[method]) for pair in found]
            print(suite_tables.line(name, key, measures), flush=True)


if __name__ == '__main__':
    main()
