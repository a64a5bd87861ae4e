"""The page of pairs that were registered together or in parts."""

import json
import logging

import pytest

from functions.evaluation.cohort_report import cohort_report, is_cohort
from functions.setting.errors import InputError
from functions.setting.parts import take_part
from functions.setting.result_names import pairs_record, pairs_records, part_of

PAIRS = ['a', 'b', 'c', 'd', 'e']


def outcome(name, state='done'):
    reason = 'it is empty' if state == 'failed' else None
    return {'name': name, 'state': state, 'seconds': 1.5, 'reason': reason, 'measures': {'used': [4, 2]}}


def write_record(folder, outcomes, part=None):
    (folder / pairs_record(part)).write_text(json.dumps(outcomes))


def write_page(folder, landmarks, protocol):
    return folder + '/report.html', {'regularity': {'folding': 0.25, 'std': 0.5}}


def page_of(folder):
    with open(cohort_report(str(folder), write_page, 'dirlab', 1), encoding='utf-8') as stream:
        return stream.read()


def test_parts_are_one_cohort(tmp_path, caplog):
    assert not is_cohort(str(tmp_path)) and not is_cohort(str(tmp_path / 'none'))
    for part in ('1/3', '2/3', '3/3'):
        write_record(tmp_path, [outcome(name) for name in take_part(PAIRS, part)], part)
        assert is_cohort(str(tmp_path))
    page = page_of(tmp_path)
    assert all(f'href="{name}/report.html"' in page for name in PAIRS)
    assert 'Missing' not in page and not caplog.records


def test_missing_parts_are_told(tmp_path, caplog):
    for part in ('1/12', '10/12', '3/12'):
        write_record(tmp_path, [outcome(part.split('/')[0])], part)
    with caplog.at_level(logging.WARNING):
        page = page_of(tmp_path)
    sentence = 'No record of part 2, 4, 5, 6, 7, 8, 9, 11, 12 of 12.'
    assert sentence in page and caplog.messages == [f'{tmp_path}: {sentence}']
    assert page.index('1/report') < page.index('3/report') < page.index('10/report')


def test_another_division_that_is_whole_lacks_nothing(tmp_path, caplog):
    write_record(tmp_path, [outcome('a', 'failed'), outcome('b')], '1/2')
    write_record(tmp_path, [outcome('a', 'was done'), outcome('c', 'failed'), outcome('b', 'failed')])
    page = page_of(tmp_path)
    assert 'Missing' not in page and not caplog.records
    assert 'c: it is empty' in page and page.count('href="b/report.html"') == 1
    write_record(tmp_path, [outcome('c')], '2/2')
    page = page_of(tmp_path)
    assert 'it is empty' not in page and all(f'href="{name}/report.html"' in page for name in 'abc')


def test_a_damaged_record_of_a_part_is_named(tmp_path):
    write_record(tmp_path, [outcome('a')], '1/2')
    write_record(tmp_path, [outcome('../a')], '2/2')
    with pytest.raises(InputError, match='pairs_2of2.json is damaged'):
        page_of(tmp_path)


@pytest.mark.parametrize('name', ['pairs_1of.json', 'pairs_1of2.json.bak', 'xpairs.json', 'pairs_1of2', 'results.json'])
def test_other_names_are_no_records(name, tmp_path):
    (tmp_path / name).write_text('[]')
    assert part_of(name) is None and pairs_records(str(tmp_path)) == {}
