"""The page of many registrations, written by --pairs or --sequence: a table of them, and the film of a sequence."""

import itertools
import logging
import os
import re

from ..image.claim import claim_folder
from ..image.manifest import check_outputs
from ..image.worker_pools import in_parallel
from ..setting.errors import InputError, join_numbers
from ..setting.kinds import MAPPING, TEXT, choice, having, list_of, number, optional, whole
from ..setting.result_names import ANIMATION, SEQUENCE, pairs_records
from ..setting.text_files import read_json, read_record, require_shape
from . import html_page as page
from .measured_pairs import attempt
from .registration_report import number_of

LOGGER = logging.getLogger(__name__)

_OUTCOME = {'name': TEXT, 'state': choice('done', 'was done', 'failed'), 'seconds': number(0)}
_OUTCOME.update(reason=optional(TEXT), measures=optional(MAPPING))
_COLUMNS = {
    'folded voxels (%)': ('regularity', 'folding'),
    'std of J': ('regularity', 'std'),
    'Dice before': ('overlap', 'before', 'mask', 'dice'),
    'Dice after': ('overlap', 'after', 'mask', 'dice'),
    'correlation before': ('intensity', 'before', 'ncc'),
    'correlation after': ('intensity', 'after', 'ncc'),
}


def is_cohort(folder):
    """Whether a folder holds results of several registrations."""
    return bool(pairs_records(folder))


def cohort_report(folder, write, protocol, n_workers=None):
    """Write the pages of all pairs in a folder and one of them all, whose path is returned.

    Pairs that were registered in parts (``--part K/N``) are read from the records of these; missing parts are named.

    :param write: function that writes a page: (folder, landmarks or None, protocol) -> (its path, measures).
    :param n_workers: processes, see :func:`functions.image.worker_pools.in_parallel`.
    :raises InputError: a damaged record. A pair whose page cannot be made is listed on the page.
    :raises DiskError: another process works in the folder, or it cannot be written.
    """
    path = os.path.join(folder, 'report.html')
    with claim_folder(folder):
        film = _film(folder)
        records = pairs_records(folder)
        outcomes = _merged(map(_read_outcomes, records.values()))
        missing = _missing_parts(records)
        for sentence in missing:
            LOGGER.warning('%s: %s', folder, sentence)
        done = [one for one in outcomes if one['state'] != 'failed']
        jobs = [(write, os.path.join(folder, one['name']), None, protocol) for one in done]
        found = in_parallel(attempt, jobs, n_workers, 'Pages')
        made = [(one, measured[1]) for one, (measured, _) in zip(done, found) if measured]
        problems = [
            (one['name'], one.get('reason') or 'no reason is recorded') for one in outcomes if one['state'] == 'failed'
        ]
        problems += [(one['name'], problem) for one, (_, problem) in zip(done, found) if problem]
        cards = [('pairs', len(outcomes)), ('failed', page.element('span', str(len(problems)), 'bad' * bool(problems)))]
        title = os.path.basename(os.path.abspath(folder))
        parts = [
            page.heading(title, 'Report of registrations.', cards),
            page.section('Missing', page.items(map(page.escape, missing), 'bad')),
            page.section('Failed', page.items((page.escape(': '.join(one)) for one in problems), 'bad')),
            page.section('Registrations', _table(made)),
            film,
        ]
        page.write_page(path, title, parts)
    return path


def _read_outcomes(path):
    outcomes = read_json(path)
    if not isinstance(outcomes, list):
        raise InputError(f'{path} is damaged or no such record: a list of pairs is needed.')
    for one in outcomes:
        require_shape(path, one, _OUTCOME)
        if not re.match(r'\w[\w.+-]*\Z', one['name']):
            raise InputError(f'{path} is damaged: {one["name"]!r} cannot name the folder of a pair.')
    return outcomes


def _merged(records):
    """One outcome of every pair: that of a later record, unless it failed there only."""
    found = {}
    for one in itertools.chain(*records):
        before = found.get(one['name'])
        if before is None or before['state'] == 'failed' or one['state'] != 'failed':
            found[one['name']] = one
    return list(found.values())


def _missing_parts(records):
    """Sentences about parts (k, n) without a record; none where all parts of one division have theirs."""
    missing = {
        count: sorted(set(range(1, count + 1)) - {part for part, among in records if among == count})
        for _, count in records
    }
    if not all(missing.values()):
        return []
    return [f'No record of part {join_numbers(parts)} of {count}.' for count, parts in missing.items()]


def _table(made):
    """``made``: list of (outcome, measures)."""
    lines = []
    for outcome, record in made:
        name = page.escape(outcome['name'])
        numbers = [number_of(record, *keys) for keys in _COLUMNS.values()]
        seconds = page.number('seconds', float(outcome['seconds']), 1)
        how = [page.escape((outcome.get('measures') or {}).get(key) or '–') for key in ('used', 'result')]
        lines.append([f'<a href="{name}/report.html">{name}</a>'] + numbers + [seconds] + how)
    titles = ['pair'] + list(_COLUMNS) + ['seconds', 'passes used', 'kind of result']
    return page.table(titles, lines, range(1, len(titles) - 2), sortable=True) if lines else ''


def _film(folder):
    """Box of the film of a sequence; '' where there is none."""
    record = os.path.join(folder, SEQUENCE)
    if not os.path.isfile(record):
        return ''
    listed = list_of(having(path=TEXT, bytes=whole(0), mtime_ns=whole(0), checksum=TEXT))
    outputs = [one for one in read_record(record, {'outputs': listed})['outputs'] if one['path'] == ANIMATION]
    problem = check_outputs(folder, outputs, verify=True)[0] if outputs else f'{record} names no {ANIMATION}'
    if problem:
        raise InputError(f'{problem}; register the sequence again.')
    with open(os.path.join(folder, ANIMATION), 'rb') as stream:
        film = page.figure(stream.read(), 'coronal section in the middle of every phase', 'As it is and registered.')
    return page.section('Sequence', film)
