"""Tables of ``bench_accuracy --suite real``, and what they say about its aims."""

import collections

import numpy as np
from scipy.stats import spearmanr

from functions.measure.error_prediction import agreement
from functions.measure.tre import THRESHOLDS
from functions.registration.expected_error import DOUBTFUL, ErrorMap, share_within

#: Largest displacement (mm) from which a motion counts as large.
LARGE = 18.0
#: Kind of pair -> highest mean TRE (mm) that is aimed at.
LIMITS = {'breathing 18': 0.45, 'breathing 25': 0.6, 'visits': 0.8, 'cut base': 1.2, 'slab': 1.2, 'phantom': 0.6}
#: Against elastix with the lung mask, on the whole suite.
FACTOR = 1.3
#: mm; a landmark that is off by more is a failure.
FAILURE = 3.0


HEADER = '| pairs | method | TRE mm | median | 95 % | means of pairs | most folding % | s | kept |\n' + '|---' * 9 + '|'


def mean_tre(rows, name):
    """Mean of the pairs' mean TRE (mm) of a method; None unless it is known of all of them."""
    if not rows or any(name not in row['measures'] for row in rows):
        return None
    return float(np.mean([np.mean(row['measures'][name]['errors']) for row in rows]))


def is_large(row):
    """Whether a pair moves by 18 mm or more somewhere."""
    return row['largest'] >= LARGE - 0.05


def groups(rows):
    """Name -> rows: every kind of pair, all, and large motions."""
    found = collections.OrderedDict()
    for row in rows:
        found.setdefault(row['kind'], []).append(row)
    found['all'] = rows
    found[f'{LARGE:g} mm and more'] = [row for row in rows if is_large(row)]
    return collections.OrderedDict(item for item in found.items() if item[1])


def line(group, name, measures):
    """A row of the tables: TRE is the mean of the pairs' means, median and 95 % are those of all landmarks."""
    errors = np.concatenate([found['errors'] for found in measures])
    means = [np.mean(found['errors']) for found in measures]
    folding = max(found['folding'] for found in measures)
    used = collections.Counter(found['used'] for found in measures if 'used' in found)
    kept = ', '.join(f'{count} × {name}' for name, count in used.most_common())
    numbers = f'{np.mean(means):.2f} | {np.median(errors):.2f} | {np.percentile(errors, 95):.2f}'
    seconds = np.mean([found['seconds'] for found in measures])
    return (
        f'| {group} ({len(means)}) | {name} | {numbers} | {min(means):.2f} to {max(means):.2f} | {folding:.3f} | '
        f'{seconds:.0f} | {kept} |'
    )


def passes(rows, name):
    """Lines: what every pass of the networks did to the mean TRE of the pairs it ran on, kept or not."""
    table = collections.OrderedDict()
    for row in rows:
        found, before, count = row['measures'][name], None, collections.Counter()
        for candidate, tre in found.get('tre', {}).items():
            stage = candidate.split()[-1]
            if before is not None:
                count[stage] += 1
                title = stage if stage == 'affine' else f'stage {stage}, pass {count[stage]}'
                table.setdefault(title, []).append((before, tre))
            # The next pass goes on from what was kept.
            if before is None or (found['used'] + ' ').startswith(candidate + ' '):
                before = tre
    for title, values in table.items():
        before, after = np.mean(values, axis=0)
        better = sum(b < a for a, b in values)
        yield f'{title}: {before:.2f} to {after:.2f} mm on {len(values)} pairs, better on {better}'


def certainty(measures):
    """A line: how the residual of there and back goes with the true error at landmarks.

    :param measures: list of {'errors', 'residual'} of pairs registered both ways.
    """
    errors, residuals = [np.concatenate([found[key] for found in measures]) for key in ('errors', 'residual')]
    wrong, suspected = errors > FAILURE, residuals > FAILURE
    rank = spearmanr(errors, residuals)[0]
    large = spearmanr(errors[wrong], residuals[wrong])[0] if wrong.sum() > 2 else float('nan')
    return (
        f'\nThere and back against the true error: rank correlation {rank:.2f}, {large:.2f} above {FAILURE:g} mm; of '
        f'{wrong.sum()} landmarks off by more than that {(wrong & suspected).sum()} are found, '
        f'{(wrong & ~suspected).sum()} missed, and {(suspected & ~wrong).sum()} of {len(wrong)} suspected in vain.'
    )


def error_map_table(name, measures):
    """Lines: how the error map goes with the true error at landmarks.

    :param name: of the measures.
    :param measures: list of {'errors', 'error_map'} of pairs.
    """
    errors = np.concatenate([found['errors'] for found in measures])
    maps = {key: np.concatenate([found['error_map'][key] for found in measures]) for key in ErrorMap._fields}
    lines = [f'\nError map of {name}, {len(errors)} landmarks of {len(measures)} pairs:']
    within = np.stack([share_within(maps['mean'], maps['deviation'], mm) for mm in THRESHOLDS], axis=1)
    found = agreement(errors, maps['expected'], within)
    mean, rank = found['mean_absolute_difference'], found['rank_correlation']
    lines.append(f'mean absolute error of the prediction {mean:.2f} mm (limit 1), rank correlation {rank:.2f} (0.6)')
    for mm in THRESHOLDS:
        said, true = found[f'expected_within_{mm}'], found[f'true_within_{mm}']
        lines.append(f'within {mm} mm: {said:.1f} % are said to be, {true:.1f} % are (limit: 5 points)')
    means = [[np.mean(values) for values in (found['errors'], found['error_map']['expected'])] for found in measures]
    wrong = [expected > DOUBTFUL for true, expected in means if true > DOUBTFUL]
    vain = sum(expected > DOUBTFUL for true, expected in means if true <= DOUBTFUL)
    lines.append(
        f'of {len(wrong)} pairs off by more than {DOUBTFUL:g} mm on average {sum(wrong)} are flagged; {vain} in vain'
    )
    return '\n'.join(lines)


def verdicts(rows, name, other=None):
    """Lines (aim, limit, measured, verdict) on the rows with automatic masks.

    :param name: of the networks' measures.
    :param other: name of the measures of the set that must not be faster; or None.
    """
    kinds = groups(rows)
    worse = [row for row in rows if mean_tre([row], name) > mean_tre([row], 'before') + 1e-6]
    found = f'{len(worse)} of {len(rows)}' + ''.join(f'; {row["name"]}' for row in worse)
    yield 'pairs worse than before', '0', found, 'met' if not worse else f'missed on {len(worse)}'
    large = kinds.get(f'{LARGE:g} mm and more')
    for title, chosen, method, factor in (
        ('all, elastix without mask', rows, 'bspline_whole', 1.0),
        ('all, 1.3 × elastix in the lung', rows, 'bspline_3', FACTOR),
        ('18 mm and more, elastix without mask', large, 'bspline_whole', 1.0),
        ('18 mm and more, elastix in the lung', large, 'bspline_3', 1.0),
    ):
        limit = mean_tre(chosen, method)
        yield (title,) + _verdict(mean_tre(chosen, name), None if limit is None else factor * limit)
    for kind, limit in LIMITS.items():
        yield (kind,) + _verdict(mean_tre(kinds.get(kind), name), limit)
    limit = mean_tre(kinds.get('residual'), 'before')
    yield ('residual halved',) + _verdict(mean_tre(kinds.get('residual'), name), None if limit is None else limit / 2)
    folding = max(row['measures'][name]['folding'] for row in rows)
    yield ('folding in the lung, %',) + _verdict(folding, 0.0)
    if other is not None and all(other in row['measures'] for row in rows):
        seconds = [np.mean([row['measures'][key]['networks'] for row in rows]) for key in (name, other)]
        yield (f'seconds of the networks, {other}',) + _verdict(*seconds)


def _verdict(value, limit):
    """(limit, measured, verdict) as text."""
    if value is None or limit is None:
        return '' if limit is None else f'{limit:.2f}', '' if value is None else f'{value:.2f}', 'not measured'
    return f'{limit:.2f}', f'{value:.2f}', 'met' if value <= limit else f'missed by {value - limit:.2f}'


def print_report(rows, name=None, other=None):
    """Print all tables.

    :param rows: list of {'name', 'kind', 'mode', 'largest', 'measures': {method: measures}}.
    :param name: of the networks' measures, or None without networks.
    """
    for mode in collections.OrderedDict.fromkeys(row['mode'] for row in rows):
        mine = [row for row in rows if row['mode'] == mode]
        print(f'\n{mode} masks\n')
        print(HEADER)
        for group, members in groups(mine).items():
            for method in collections.OrderedDict.fromkeys(key for row in members for key in row['measures']):
                measures = [row['measures'][method] for row in members if method in row['measures']]
                print(line(group, method, measures))
        if name is None:
            continue
        print()
        for text in passes(mine, name):
            print(text)
        if mode == 'automatic':
            print('\n| aim | limit | measured | |\n|---|---|---|---|')
            for texts in verdicts(mine, name, other):
                print('| ' + ' | '.join(texts) + ' |')
