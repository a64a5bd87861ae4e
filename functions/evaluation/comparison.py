"""Several methods on the same pairs: one table, with the best and what differs from it by more than chance.

It needs records (:mod:`functions.evaluation.pair_record`) only. Pairs that some method lacks are listed, not compared.
"""

import numpy as np
from scipy import stats

from ..measure import tre
from ..measure.error_prediction import ROWS, agreement
from ..setting.errors import InputError, require_known
from .pair_record import pair_key, pair_name, pooled_errors
from .text_table import format_table

SIGNIFICANT = 0.05
#: column -> +1 where more is better, -1 where less is, 0 where it is not ranked; the order of a table.
# fmt: off
COLUMNS = {
    'method': 0, 'pairs': 0, 'n': 0,
    'TRE mm': -1, 'TRE std': 0, 'TRE median': -1, 'TRE p95': -1, 'TRE of cases': -1, 'std of cases': 0,
    '< 1 mm %': 1, '< 2 mm %': 1, '< 3 mm %': 1, '< 5 mm %': 1,
    '|x| mm': -1, '|y| mm': -1, '|z| mm': -1,
    'folding %': -1, 'std J': 0, 'std log J': -1,
    'Dice': 1, 'surface mm': -1, 'NCC': 1, 'seconds': 0, 'p landmarks': 0, 'p cases': 0,
}
# fmt: on
DIGITS = {'folding %': 3, 'std J': 3, 'std log J': 3, 'Dice': 3, 'NCC': 3, 'p landmarks': 4, 'p cases': 4, 'seconds': 1}


class Comparison:
    """Records of several methods, by pair.

    ``methods`` (names, in the order given), ``pairs`` (keys every method has), ``names`` (of the pairs with landmarks),
    ``missing`` (texts: which method lacks which pair), ``protocol`` (its text).

    :param records: list of records; methods and pairs in any order.
    :param methods: names to compare; None: all.
    :param capture_range: mm: keep landmarks whose error before the DVF (after the affine registration, if any) is at
        most this along every axis, for all methods.
    :raises InputError: no record, two of one method and pair, different protocols or landmarks, no common pair, or no
        landmark within the capture range.
    """

    def __init__(self, records, methods=None, capture_range=None):
        table = {}
        for record in records:
            of_method, key = table.setdefault(record['method'], {}), pair_key(record['pair'])
            if key in of_method:
                raise InputError(f'There are two results of {record["method"]} for {pair_name(record["pair"])}.')
            of_method[key] = record
        for name in methods or ():
            require_known('method', name, table)
        self.methods = list(methods or table)
        if not self.methods:
            raise InputError('There are no results to compare.')
        self._table = {name: table[name] for name in self.methods}
        every = sorted(set().union(*self._table.values()))
        self._names = {key: pair_name(self._of_pair(key)[0]['pair']) for key in every}
        self.pairs = [key for key in every if len(self._of_pair(key)) == len(self.methods)]
        lacking = [(name, key) for key in every for name in self.methods if key not in table[name]]
        self.missing = [f'{name} has no result for {self._names[key]}' for name, key in lacking]
        if not self.pairs:
            raise InputError(f'No pair has a result of every method: {"; ".join(self.missing[:10])}.')
        protocols = {record['protocol_text'] for name in self.methods for record in self.records(name)}
        if len(protocols) > 1:
            raise InputError(f'Results by different protocols cannot be compared: {" | ".join(sorted(protocols))}')
        self.protocol = protocols.pop()
        self._kept = {key: self._landmarks_kept(key, capture_range) for key in self.pairs}
        self._marked = [key for key in self.pairs if self._kept[key] is not None and self._kept[key].any()]
        self.names = [self._names[key] for key in self._marked]
        if capture_range is not None and not self._marked:
            raise InputError(f'No landmark is within the capture range of {capture_range:g} mm.')

    def _of_pair(self, key):
        return [self._table[name][key] for name in self.methods if key in self._table[name]]

    def records(self, method):
        """Records of a method, in the order of ``pairs``."""
        return [self._table[method][key] for key in self.pairs]

    def _landmarks_kept(self, key, capture_range):
        """Boolean (n,): landmarks within the capture range; None for a pair without landmarks."""
        lists = [record.get('landmarks') for record in self._of_pair(key)]
        if None in lists:
            return None
        first = lists[0]['fixed']
        if any(len(one['fixed']) != len(first) or not np.allclose(one['fixed'], first, atol=1e-3) for one in lists):
            raise InputError(f'The methods were measured at different landmarks of {self._names[key]}.')
        limit = np.inf if capture_range is None else capture_range
        return np.all([np.abs(one['error_base']).max(axis=1) <= limit for one in lists], axis=0)

    def vectors(self, method, what='error'):
        """Per pair with landmarks (n, 3) mm of 'error', 'error_base', 'true' or 'estimated'."""
        table = self._table[method]
        return [np.array(table[key]['landmarks'][what])[self._kept[key]] for key in self._marked]

    def lengths(self, method):
        """Per pair with landmarks the TRE (n,) in mm."""
        return [np.linalg.norm(vectors, axis=1) for vectors in self.vectors(method)]

    def rows(self):
        """One dictionary per method: all pairs together.

        TRE: of all landmarks together; 'TRE of cases': of the means of the cases. Folding: folded voxels of all pairs
        over voxels of all masks. std J: root of the mean variance. Other columns: means over pairs. p: paired Wilcoxon
        test against the method of lowest TRE, None for that one itself.
        """
        rows = [self._row(name) for name in self.methods]
        ranked = [row['TRE mm'] for row in rows]
        if len(rows) > 1 and None not in ranked:
            best = int(np.argmin(ranked))
            reference = self.lengths(self.methods[best])
            for k, (name, row) in enumerate(zip(self.methods, rows)):
                if k != best:
                    lengths = self.lengths(name)
                    row['p landmarks'] = paired_wilcoxon(np.concatenate(lengths), np.concatenate(reference))
                    row['p cases'] = paired_wilcoxon(*[[one.mean() for one in cases] for cases in (lengths, reference)])
        used = [column for column in rows[0] if any(row[column] is not None for row in rows)]
        return [{column: row[column] for column in used} for row in rows]

    def _row(self, name):
        row = dict.fromkeys(COLUMNS)
        row['method'], row['pairs'] = name, len(self.pairs)
        vectors, records = self.vectors(name), self.records(name)
        if vectors:
            merged = tre.merged_summary(vectors)
            pooled, cases = merged['pooled'], merged['over_cases']
            row.update({'n': pooled['n'], 'TRE mm': pooled['mean']})
            row.update({'TRE ' + name: pooled[name] for name in ('std', 'median', 'p95')})
            row.update({'TRE of cases': cases['mean'], 'std of cases': cases['std']})
            row.update({f'< {mm} mm %': pooled[f'below_{mm}'] for mm in tre.THRESHOLDS})
            row.update({f'|{axis}| mm': pooled['mae_' + axis] for axis in 'xyz'})
        regular = [record['regularity'] for record in records if record.get('regularity')]
        if regular:
            row['folding %'] = 100.0 * sum(r['folded'] for r in regular) / sum(r['n'] for r in regular)
            row['std J'] = float(np.sqrt(np.mean([r['std'] ** 2 for r in regular])))
            row['std log J'] = float(np.mean([r['std_log'] for r in regular]))
        lungs = [_after(record, 'overlap').get('mask', {}) for record in records]
        row['Dice'], row['surface mm'] = (_mean([lung.get(key) for lung in lungs]) for key in ('dice', 'mean'))
        row['NCC'] = _mean([_after(record, 'intensity').get('ncc') for record in records])
        row['seconds'] = _mean([record.get('seconds') for record in records])
        return row

    def pair_rows(self):
        """One dictionary per pair: for every method the mean of its TRE (mm), and its std."""
        lengths = {name: self.lengths(name) for name in self.methods}
        rows = [{'pair': pair, 'n': len(lengths[self.methods[0]][k])} for k, pair in enumerate(self.names)]
        for name in self.methods:
            for row, one in zip(rows, lengths[name]):
                row.update({name: float(one.mean()), name + ' std': float(one.std())})
        return rows

    def expected_errors(self, method):
        """True and expected errors at the landmarks of all pairs of a method together, as of
        :func:`functions.evaluation.pair_record.pooled_errors`; None where it expects none.
        """
        landmarks = {key: self._table[method][key]['landmarks'] for key in self._marked}
        found = [key for key, one in landmarks.items() if 'expected_mm' in one]
        return pooled_errors([landmarks[key] for key in found], [self._kept[key] for key in found]) if found else None

    def expected_rows(self):
        """How well the methods that expect errors do so: one dictionary per measure of
        :func:`functions.measure.error_prediction.agreement`, its title and method -> value; [] where none does.
        """
        pooled = {name: self.expected_errors(name) for name in self.methods}
        found = {name: agreement(*errors) for name, errors in pooled.items() if errors}
        rows = [
            dict({'expected error': title}, **{name: one.get(key) for name, one in found.items()})
            for title, key in ROWS
        ]
        return [row for row in rows if any(value is not None for value in list(row.values())[1:])]


def paired_wilcoxon(first, second):
    """Two-sided p-value of Wilcoxon's signed-rank test of numbers (n,) that correspond; 1.0 where none differs.

    The ranks of zero differences are split between both signs (``zsplit``). Landmarks of a case are not independent: a
    p-value over landmarks says that the results differ on these cases, one over cases that they would on others.

    :raises InputError: other shapes, no number, or numbers that are not finite.
    """
    first, second = (np.asarray(values, dtype=np.float64) for values in (first, second))
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise InputError(f'Paired numbers are needed; got {first.shape} and {second.shape}.')
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InputError('Paired numbers must be finite.')
    if np.array_equal(first, second):
        return 1.0
    return float(stats.wilcoxon(first, second, zero_method='zsplit').pvalue)


def ranks(rows):
    """(marks, daggers) of :meth:`Comparison.rows`: (row, column) -> 'best' or 'second', and the set of (row, column)
    where the TRE differs significantly from that of the best method, over landmarks (p <= 0.05).
    """
    marks = {}
    for column, sign in COLUMNS.items():
        scores = [None if not sign or row.get(column) is None else -sign * row[column] for row in rows]
        known = sorted(set(scores) - {None})
        for rank, mark in zip(known if len(known) > 1 else [], ('best', 'second')):
            marks.update({(k, column): mark for k, score in enumerate(scores) if score == rank})
    p_values = [row.get('p landmarks') for row in rows]
    return marks, {(k, 'TRE mm') for k, p in enumerate(p_values) if p is not None and p <= SIGNIFICANT}


def comparison_table(rows, style='text'):
    """The table of :meth:`Comparison.rows` with the marks of :func:`ranks`, in a style of :func:`format_table`."""
    marks, daggers = ranks(rows)
    return format_table(rows, style=style, digits=DIGITS, marks=marks, daggers=daggers)


def _after(record, what):
    """Overlap or intensity after the registration; before it in a record without one."""
    measured = record.get(what, {})
    return measured.get('after', measured.get('before', {}))


def _mean(values):
    values = [value for value in values if value is not None]
    return float(np.mean(values)) if values else None
