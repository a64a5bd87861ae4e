"""Does a registration keep the candidate with the lowest landmark error? Cut and shifted pairs of known motion.

Real scans that breathe by an analytic model (:mod:`tests.benchmark.real_breathing`), cut as fields of view cut, with
and without a table shift of 30 mm, and phantom patients. Run in the repository's folder:

    REGNET_REAL_CT=SCANS python -m tests.benchmark.bench_candidates --folder FOLDER [--pairs N] [--model NAME]

FOLDER keeps pairs and results (NUMBER.json), so that an interrupted run continues. Printed: for every pair the TRE (mm)
and the likeness of its candidates, and in the end how often the likeness puts two candidates whose TRE differs by more
than 0.5 mm in the right order, and how much of the TRE the choice costs.
"""

import argparse
import itertools
import json
import os

import numpy as np

from tests.benchmark.bench_masks import cuts, scans
from tests.benchmark.known_pairs import PairFiles, phantom_pair, real_pair, seen_in_both
from tests.benchmark.real_suite import recorded

MOTIONS = (10.0, 25.0, 3.0, 18.0, 6.0, 14.0)
SHIFT = (6.0, -12.0, 30.0)
PHANTOMS = (9, 11)
#: Of :func:`tests.benchmark.bench_masks.cuts`.
CUTS = ('whole', 'base cut', 'slab', 'right half', 'back 20', 'box', 'front 20', 'slab low', 'top cut', 'left half')
CUTS += ('left 20',)


def cases(folder):
    """Endless (name, function that makes the pair in a folder, cut, shift)."""
    names = list(scans(folder).items()) if folder else []
    for cn in PHANTOMS:
        yield f'phantom {cn}', lambda at, cn=cn: phantom_pair(at, cn), 'whole', SHIFT if cn == 11 else (0.0,) * 3
    for turn in itertools.count() if names else ():
        for number, (name, source) in enumerate(names):
            largest = MOTIONS[(turn + number) % len(MOTIONS)]
            cut = CUTS[(4 * turn + 3 * number) % len(CUTS)]
            shift = SHIFT if (turn + number // 2) % 3 == 1 else (0.0,) * 3

            other = len(names) * turn + number + 1

            def make(at, source=source, largest=largest, other=other):
                real_pair(at, source, other, largest)

            yield f'{name} {largest:g} mm', make, cut, shift


def measured(pair, cut, shift, model):
    """{'used', 'candidates': {name: {'tre', 'likeness'}}} of one pair, cut and shifted."""
    from functions.image.volume_io import array_view
    from functions.registration import register

    lung = pair.image('fixed_lung')
    part = cuts(array_view(lung) != 0, lung.GetSpacing()[::-1])[cut][::-1]
    fixed, moving = [pair.image(name)[part] for name in ('fixed', 'moving')]
    moving.SetOrigin((np.array(moving.GetOrigin()) + shift).tolist())
    here, there = pair.points[0], pair.points[1] + shift
    seen = seen_in_both([here, there], fixed, moving)
    here, there = here[seen], there[seen]
    with recorded(here) as kept:
        measures = register(fixed, moving, model).measures
    found = kept[0].found
    tre = {name: float(np.linalg.norm(points - there, axis=1).mean()) for name, points in found.items()}
    table = {name: {'tre': tre[name], 'likeness': likeness} for name, likeness in measures['likeness'].items()}
    return {'used': measures['used'], 'landmarks': len(here), 'candidates': table}


def main(words=None):
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--folder', required=True)
    parser.add_argument('--pairs', type=int, default=60)
    parser.add_argument('--model', default='chest')
    arguments = parser.parse_args(words)
    from functions.registration import open_model

    right = of = 0
    costs, gains = [], []
    with open_model(arguments.model) as model:
        rows = itertools.islice(cases(os.environ.get('REGNET_REAL_CT')), arguments.pairs)
        for number, (name, make, cut, shift) in enumerate(rows):
            path = os.path.join(arguments.folder, f'{number}.json')
            if not os.path.exists(path):
                result = measured(PairFiles(os.path.join(arguments.folder, 'pairs', name), make), cut, shift, model)
                with open(path, 'w') as stream:
                    json.dump(result, stream)
            with open(path) as stream:
                result = json.load(stream)
            table = result['candidates']
            print(f'{number} {name}, {cut}, {"shifted" if any(shift) else "not shifted"}: used {result["used"]}')
            for candidate, values in table.items():
                print(f'    {candidate}: TRE {values["tre"]:.2f} mm, likeness {values["likeness"]:.3f}', flush=True)
            for a, b in itertools.combinations(table.values(), 2):
                if abs(a['tre'] - b['tre']) > 0.5:
                    right += (a['tre'] < b['tre']) == (a['likeness'] > b['likeness'])
                    of += 1
            chosen = table[result['used']]['tre']
            costs.append(chosen - min(values['tre'] for values in table.values()))
            gains.append(table['none']['tre'] - chosen)
    print(
        f'{len(costs)} pairs: {right} of {of} comparisons in the right order ({100.0 * right / max(of, 1):.1f} %); TRE '
        f'of the choice above the best candidate by {max(costs):.2f} mm at most, {np.mean(costs):.3f} on average; '
        f'{sum(gain < 0 for gain in gains)} pairs worse than without registration'
    )


if __name__ == '__main__':
    main()
