"""Several methods on the same pairs: one table, with what is best and what differs by more than chance.

Made from the records of :mod:`functions.evaluation.pair_record` alone. Only pairs that every method has are
compared; the others are listed.
"""

import collections

import numpy as np

from functions.evaluation.pair_record import pair_key, pair_name
from functions.evaluation.significance import paired_wilcoxon
from functions.evaluation.text_table import format_table
from functions.measure import tre
from functions.setting.errors import InputError, unknown_name

SIGNIFICANT = 0.05
#: column -> +1 where more is better, -1 where less is; the others are not ranked.
BETTER = collections.OrderedDict(
    [
        ('TRE mm', -1),
        ('TRE median', -1),
        ('TRE p95', -1),
        ('TRE of cases', -1),
        ('< 1 mm %', 1),
        ('< 2 mm %', 1),
        ('< 3 mm %', 1),
        ('< 5 mm %', 1),
        ('|x| mm', -1),
        ('|y| mm', -1),
        ('|z| mm', -1),
        ('folding %', -1),
        ('std log J', -1),
        ('Dice', 1),
        ('surface mm', -1),
        ('NCC', 1),
    ]
)
DIGITS = {'folding %': 3, 'std J': 3, 'std log J': 3, 'Dice': 3, 'NCC': 3, 'p landmarks': 4, 'p cases': 4, 'seconds': 1}


class Comparison:
    """Records of several methods, by pair.

    ``methods`` (names, in the order given), ``pairs`` (keys every method has), ``missing`` (texts: which
    method lacks which pair), ``protocol`` (its text).

    :param records: list of records; methods and pairs in any order.
    :param methods: names to compare; None: all.
    :param capture_range: mm: keep landmarks whose error before the DVF (after the affine registration, if
        there was one) is at most this along every axis, for all methods.
    :raises InputError: no record, two of one method and pair, different protocols or landmarks, no pair that
        all methods have, or no landmark within the capture range.
    """

    def __init__(self, records, methods=None, capture_range=None):
        table = collections.OrderedDict()
        for record in records:
            of_method = table.setdefault(record['method'], {})
            if pair_key(record) in of_method:
                raise InputError(
                    'There are two results of {} for {}.'.format(record['method'], pair_name(record['pair']))
                )
            of_method[pair_key(record)] = record
        for name in methods or ():
            if name not in table:
                raise unknown_name('method', name, table)
        self.methods = list(methods or table)
        if not self.methods:
            raise InputError('There are no results to compare.')
        self._table = {name: table[name] for name in self.methods}
        every = sorted(set().union(*self._table.values()))
        self.pairs = [key for key in every if all(key in table[name] for name in self.methods)]
        self.missing = [
            '{} has no result for {}'.format(name, pair_name(self._any(key)['pair']))
            for key in every
            for name in self.methods
            if key not in table[name]
        ]
        if not self.pairs:
            raise InputError('No pair has a result of every method: {}.'.format('; '.join(self.missing[:10])))
        protocols = {record['protocol_text'] for name in self.methods for record in self.records(name)}
        if len(protocols) > 1:
            raise InputError(
                'Results by different protocols cannot be compared: {}'.format(' | '.join(sorted(protocols)))
            )
        self.protocol = protocols.pop()
        self._kept = {key: self._landmarks_kept(key, capture_range) for key in self.pairs}
        if capture_range is not None and not any(np.any(kept) for kept in self._kept.values()):
            raise InputError(f'No landmark is within the capture range of {capture_range:g} mm.')

    def _any(self, key):
        return next(self._table[name][key] for name in self.methods if key in self._table[name])

    def records(self, method):
        """Records of a method, in the order of ``pairs``."""
        return [self._table[method][key] for key in self.pairs]

    def _landmarks_kept(self, key, capture_range):
        """Boolean (n,), None for a pair without landmarks."""
        lists = [self._table[name][key].get('landmarks') for name in self.methods]
        if any(entry is None for entry in lists):
            return None
        if any(
            not np.allclose(entry['fixed'], lists[0]['fixed'], atol=1e-3)
            if len(entry['fixed']) == len(lists[0]['fixed'])
            else True
            for entry in lists
        ):
            raise InputError(
                'The methods were measured at different landmarks of {}.'.format(pair_name(self._any(key)['pair']))
            )
        kept = np.ones(len(lists[0]['fixed']), dtype=bool)
        if capture_range is not None:
            for entry in lists:
                kept &= np.all(np.abs(entry['error_base']) <= capture_range, axis=1)
        return kept

    def vectors(self, method, what='error'):
        """Per pair with landmarks (n, 3) mm of 'error', 'error_base', 'true' or 'estimated'."""
        return [
            np.array(self._table[method][key]['landmarks'][what])[self._kept[key]]
            for key in self.pairs
            if self._kept[key] is not None and self._kept[key].any()
        ]

    def lengths(self, method):
        """Per pair with landmarks the TRE (n,) in mm."""
        return [np.linalg.norm(vectors, axis=1) for vectors in self.vectors(method)]

    def names(self, landmarks=False):
        """Names of the pairs, of those with landmarks only if so asked."""
        return [
            pair_name(self._any(key)['pair'])
            for key in self.pairs
            if not landmarks or (self._kept[key] is not None and self._kept[key].any())
        ]

    def rows(self):
        """One dictionary per method: all pairs together.

        TRE: mean, std, median, p95 and success rates of all landmarks as one set (pooled); 'TRE of cases':
        mean and std over the means of the cases. Folding: folded voxels of all pairs over those of all masks.
        std J: root of the mean variance. Other columns: means over pairs. p: paired Wilcoxon against the best
        method in TRE, None for that one itself.
        """
        rows = [self._row(name) for name in self.methods]
        ranked = [row['TRE mm'] for row in rows]
        if len(rows) > 1 and None not in ranked:
            best = self.methods[int(np.argmin(ranked))]
            for name, row in zip(self.methods, rows):
                if name != best:
                    lengths = [self.lengths(m) for m in (name, best)]
                    row['p landmarks'] = paired_wilcoxon(*[np.concatenate(of_pairs) for of_pairs in lengths])
                    row['p cases'] = paired_wilcoxon(*[[one.mean() for one in of_pairs] for of_pairs in lengths])
        used = [column for column in rows[0] if any(row[column] is not None for row in rows)]
        return [collections.OrderedDict((column, row[column]) for column in used) for row in rows]

    def _row(self, name):
        row = collections.OrderedDict.fromkeys(
            [
                'method',
                'pairs',
                'n',
                'TRE mm',
                'TRE std',
                'TRE median',
                'TRE p95',
                'TRE of cases',
                'std of cases',
                '< 1 mm %',
                '< 2 mm %',
                '< 3 mm %',
                '< 5 mm %',
                '|x| mm',
                '|y| mm',
                '|z| mm',
                'folding %',
                'std J',
                'std log J',
                'Dice',
                'surface mm',
                'NCC',
                'seconds',
                'p landmarks',
                'p cases',
            ]
        )
        row['method'], row['pairs'] = name, len(self.pairs)
        vectors, records = self.vectors(name), self.records(name)
        if vectors:
            merged = tre.merged_summary(vectors)
            pooled, cases = merged['pooled'], merged['over_cases']
            row.update(
                {
                    'n': pooled['n'],
                    'TRE mm': pooled['mean'],
                    'TRE std': pooled['std'],
                    'TRE median': pooled['median'],
                    'TRE p95': pooled['p95'],
                    'TRE of cases': cases['mean'],
                    'std of cases': cases['std'],
                }
            )
            row.update({f'< {mm} mm %': pooled[f'below_{mm}'] for mm in tre.THRESHOLDS})
            row.update({f'|{axis}| mm': pooled['mae_' + axis] for axis in 'xyz'})
        regular = [record['regularity'] for record in records if record.get('regularity')]
        if regular:
            row['folding %'] = 100.0 * sum(r['folded'] for r in regular) / sum(r['n'] for r in regular)
            row['std J'] = float(np.sqrt(np.mean([r['std'] ** 2 for r in regular])))
            row['std log J'] = float(np.mean([r['std_log'] for r in regular]))
        labels = [label for record in records for label in _after(record, 'overlap').values()]
        row['Dice'], row['surface mm'] = (_mean([label[key] for label in labels]) for key in ('dice', 'mean'))
        row['NCC'] = _mean([_after(record, 'intensity').get('ncc') for record in records])
        row['seconds'] = _mean([record.get('seconds') for record in records])
        return row

    def pair_rows(self):
        """One dictionary per pair: for every method the mean of its TRE (mm), and its std."""
        rows, lengths = [], {name: self.lengths(name) for name in self.methods}
        for k, pair in enumerate(self.names(landmarks=True)):
            row = collections.OrderedDict([('pair', pair), ('n', len(lengths[self.methods[0]][k]))])
            for name in self.methods:
                row[name], row[name + ' std'] = float(lengths[name][k].mean()), float(lengths[name][k].std())
            rows.append(row)
        return rows


def _after(record, what):
    """Overlap or intensity after the registration; of a record without one, as things are."""
    measured = record.get(what, {})
    return measured.get('after', measured.get('before', {}))


def _mean(values):
    values = [value for value in values if value is not None]
    return float(np.mean(values)) if values else None


def ranks(rows):
    """What is marked in the table of :meth:`Comparison.rows`.

    :return: (marks, daggers): (row, column) -> 'best' or 'second', and the set of (row, column) where the TRE
        differs significantly from that of the best method, over landmarks (p <= 0.05).
    """
    marks = {}
    for column, sign in BETTER.items():
        values = [row.get(column) for row in rows]
        known = sorted({value for value in values if value is not None}, key=lambda value: -sign * value)
        for rank, mark in zip(known[:2], ('best', 'second')):
            if len(known) > 1:
                marks.update({(k, column): mark for k, value in enumerate(values) if value == rank})
    daggers = {
        (k, 'TRE mm')
        for k, row in enumerate(rows)
        if row.get('p landmarks') is not None and row['p landmarks'] <= SIGNIFICANT
    }
    return marks, daggers


def comparison_table(comparison, style='text'):
    """The table of :meth:`Comparison.rows` with the marks of :func:`ranks`: best *, second best, †.

    :param style: 'text', 'markdown', 'csv' (unmarked, unrounded) or 'latex'.
    :return: text.
    """
    rows = comparison.rows()
    marks, daggers = ranks(rows)
    return format_table(rows, style=style, digits=DIGITS, marks=marks, daggers=daggers)
