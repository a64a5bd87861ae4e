"""Tables and figures of several methods, from records alone, against numbers computed by hand."""

import csv
import io
import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from functions.evaluation import comparison as co
from functions.evaluation import comparison_plots as plots
from functions.evaluation.pair_record import measure
from functions.evaluation.text_table import format_table
from functions.setting.errors import InputError, UnknownNameError


def pair_of(cn):
    return [{'data': 'DIR-Lab_4D', 'cn': cn, 'type_im': k} for k in (0, 5)]


def records_of(method, scale, cases=(1, 2, 3), count=20, folded=0):
    """Records of a method that leaves `scale` of the true displacement of every landmark."""
    made = []
    for cn in cases:
        rng = np.random.RandomState(cn)
        fixed = rng.rand(count, 3) * 100
        true = rng.randn(count, 3) * 2 + [0, 1, 6 + cn]
        error = true * scale + np.random.RandomState(50 + cn).randn(count, 3) * 0.1
        record = measure(method, pair_of(cn), landmarks=(fixed, fixed + true), seconds=2.0 * cn)
        record['landmarks'].update(error=np.round(error, 4).tolist(), estimated=np.round(true - error, 4).tolist())
        record['regularity'] = {'n': 1000 * cn, 'folded': folded, 'std': 0.1 * cn, 'std_log': 0.2}
        record['overlap'] = {'after': {'mask': {'dice': 0.9 + 0.01 * cn, 'mean': 1.5}}}
        record['intensity'] = {'after': {'ncc': 0.95}}
        made.append(record)
    return made


@pytest.fixture
def records():
    return records_of('Affine', 0.8) + records_of('RegNet', 0.2, folded=3) + records_of('elastix', 0.21)


def test_evaluation_comparison_numbers_of_all_pairs(records):
    rows = {row['method']: row for row in co.Comparison(records).rows()}
    lengths = [np.linalg.norm(r['landmarks']['error'], axis=1) for r in records if r['method'] == 'RegNet']
    row, pooled = rows['RegNet'], np.concatenate(lengths)
    assert (row['pairs'], row['n']) == (3, 60)
    assert row['TRE mm'] == pytest.approx(pooled.mean()) and row['TRE std'] == pytest.approx(pooled.std())
    means = [length.mean() for length in lengths]
    assert row['TRE of cases'] == pytest.approx(np.mean(means))
    assert row['std of cases'] == pytest.approx(np.std(means))
    assert row['< 2 mm %'] == pytest.approx(100 * np.mean(pooled < 2))
    assert row['folding %'] == pytest.approx(100 * 9 / 6000.0)
    assert row['std J'] == pytest.approx(np.sqrt((0.01 + 0.04 + 0.09) / 3))
    others = row['Dice'], row['surface mm'], row['NCC'], row['seconds']
    assert others == pytest.approx((0.92, 1.5, 0.95, 4.0))
    assert row['p landmarks'] is None and rows['Affine']['p landmarks'] < 1e-6
    assert rows['Affine']['p cases'] == pytest.approx(0.25)  # the least three pairs can give


def signed_rank_p(first, second):
    """Exact two-sided p by all sign patterns (no ties, no zeros)."""
    d = np.array(first) - np.array(second)
    rank = np.argsort(np.argsort(np.abs(d))) + 1.0
    observed = abs(rank[d > 0].sum() - rank[d < 0].sum())
    every = [abs(np.dot(signs, rank)) for signs in itertools.product((-1, 1), repeat=len(d))]
    return np.mean(np.array(every) >= observed - 1e-9)


def test_evaluation_comparison_wilcoxon_by_counting_all_sign_patterns():
    rng = np.random.RandomState(3)
    for shift in (0.0, 0.6, 2.0):
        first, second = rng.randn(9), rng.randn(9) + shift
        assert co.paired_wilcoxon(first, second) == pytest.approx(signed_rank_p(first, second), abs=1e-9)
    assert co.paired_wilcoxon([1, 2, 3], [1, 2, 3]) == 1.0
    for bad in (([1, 2], [1]), ([], []), ([1.0, np.nan], [1, 2])):
        with pytest.raises(InputError):
            co.paired_wilcoxon(*bad)


def test_evaluation_comparison_capture_range(records):
    whole = co.Comparison(records)
    near = co.Comparison(records, capture_range=8.0)
    base = np.concatenate(whole.vectors('RegNet', 'error_base'))
    kept = np.all(np.abs(base) <= 8.0, axis=1)
    assert 0 < kept.sum() < 60
    row = [row for row in near.rows() if row['method'] == 'RegNet'][0]
    error = np.concatenate(whole.vectors('RegNet'))[kept]
    assert row['n'] == kept.sum() and row['TRE mm'] == pytest.approx(np.linalg.norm(error, axis=1).mean())
    with pytest.raises(InputError, match='within the capture range of 0.001 mm'):
        co.Comparison(records, capture_range=0.001)


def test_evaluation_comparison_of_pairs_every_method_has(records):
    some = [r for r in records if not (r['method'] == 'elastix' and r['pair'][0]['cn'] == 2)]
    compared = co.Comparison(some)
    assert compared.missing == ['elastix has no result for DIR-Lab_4D case 2 0-5']
    assert compared.names == ['DIR-Lab_4D case 1 0-5', 'DIR-Lab_4D case 3 0-5']
    assert all(row['pairs'] == 2 for row in compared.rows())
    assert co.Comparison(some, methods=['RegNet', 'Affine']).missing == []
    rows = compared.pair_rows()
    assert [row['n'] for row in rows] == [20, 20]
    error = np.array(records_of('Affine', 0.8, cases=[3])[0]['landmarks']['error'])
    assert rows[1]['Affine'] == pytest.approx(np.linalg.norm(error, axis=1).mean())


def test_evaluation_comparison_refuses(records):
    with pytest.raises(InputError, match='no results'):
        co.Comparison([])
    with pytest.raises(InputError, match='two results of RegNet for DIR-Lab_4D case 1'):
        co.Comparison(records + records_of('RegNet', 0.1, cases=[1]))
    with pytest.raises(UnknownNameError, match='RegNet'):
        co.Comparison(records, methods=['Regnet'])
    with pytest.raises(InputError, match='No pair has a result of every method'):
        co.Comparison(records_of('a', 1, cases=[1]) + records_of('b', 1, cases=[2]))
    other = dict(records[0], protocol_text='by another ruler')
    with pytest.raises(InputError, match='different protocols'):
        co.Comparison([other] + records[1:])
    with pytest.raises(InputError, match='different landmarks of DIR-Lab_4D case 1'):
        co.Comparison(records + records_of('x', 0.3, count=19))


def test_evaluation_comparison_tables_mark_best_and_significant(records):
    compared = co.Comparison(records)
    rows = compared.rows()
    parsed = list(csv.DictReader(io.StringIO(co.comparison_table(compared.rows(), 'csv'))))
    assert [float(row['TRE mm']) for row in parsed] == [row['TRE mm'] for row in rows]
    best, second = '{:.2f}'.format(rows[1]['TRE mm']), '{:.2f}'.format(rows[2]['TRE mm'])
    worst = '{:.2f}'.format(rows[0]['TRE mm'])
    markdown = co.comparison_table(compared.rows(), 'markdown')
    assert f'**{best}**' in markdown and f'*{second}*' in markdown
    assert worst + '†' in markdown
    latex = co.comparison_table(compared.rows(), 'latex')
    assert f'\\textbf{{{best}}}' in latex and f'\\underline{{{second}}}' in latex
    assert worst + '$^\\dagger$' in latex and latex.startswith('\\begin{tabular}{lrr')
    assert '$<$ 1 mm \\%' in latex and latex.count('\\\\\n') == 4
    text = co.comparison_table(compared.rows()).splitlines()
    assert best + '*' in text[3] and worst + '*' not in text[2]
    places = {
        line.index('.')
        for line in [row[row.index(name) :] for row, name in ((text[2], worst), (text[3], best), (text[4], second))]
    }
    assert len(places) == 1
    # a single method has nothing to be better than
    assert '*' not in co.comparison_table(co.Comparison(records_of('RegNet', 0.2)).rows())


def test_evaluation_comparison_latex_letters_are_escaped():
    text = format_table([{'a_b': 'x & y_z {50 %} \\ ~ ^ # $ < |'}], style='latex')
    body = text.replace('\\\\', '').replace('\\begin{tabular}{l}', '').replace('\\end{tabular}', '')
    assert 'a\\_b' in body and 'x \\& y\\_z \\{50 \\%\\} \\textbackslash{} \\textasciitilde{}' in body
    assert '\\# \\$ $<$ $|$' in body


@pytest.mark.parametrize('measure_name, per_pair', [('TRE', False), ('z', True)])
def test_evaluation_comparison_box_plots(records, tmp_path, measure_name, per_pair):
    path = str(tmp_path / 'box.png')
    compared = co.Comparison(records)
    shown = plots.box_plot(path, compared, measure_name, per_pair)
    assert list(shown) == (compared.names if per_pair else ['all 3 pairs'])
    for k, group in enumerate(shown.values()):
        assert list(group) == ['Affine', 'RegNet', 'elastix']
        error = compared.vectors('RegNet')
        error = error[k] if per_pair else np.concatenate(error)
        truth = np.linalg.norm(error, axis=1) if measure_name == 'TRE' else error[:, 2]
        np.testing.assert_allclose(group['RegNet'], truth)
    picture = sitk.GetArrayFromImage(sitk.ReadImage(path))
    assert picture.shape[0] > 500 and picture.std() > 10
    with pytest.raises(UnknownNameError, match='TRE'):
        plots.box_plot(path, compared, 'TER')


def test_evaluation_comparison_scatter(records, tmp_path):
    path = str(tmp_path / 'scatter.png')
    true, estimated = plots.scatter_plot(path, co.Comparison(records), 'RegNet')
    assert true.shape == estimated.shape == (60, 3)
    slope = [np.polyfit(true[:, k], estimated[:, k], 1)[0] for k in range(3)]
    assert slope == pytest.approx([0.8] * 3, abs=0.05)
    assert sitk.GetArrayFromImage(sitk.ReadImage(path)).shape[1] > 1500
    with pytest.raises(UnknownNameError, match='elastix'):
        plots.scatter_plot(path, co.Comparison(records), 'elastic')
    bare = [{key: value for key, value in record.items() if key != 'landmarks'} for record in records]
    for draw in (lambda c: plots.scatter_plot(path, c, 'RegNet'), lambda c: plots.box_plot(path, c)):
        with pytest.raises(InputError, match='no landmarks'):
            draw(co.Comparison(bare))
    row = co.Comparison(bare).rows()[0]
    assert 'TRE mm' not in row and 'folding %' in row
