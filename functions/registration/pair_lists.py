"""Lists of pairs of files: the networks are opened once, finished pairs are skipped, and a failing pair does not stop
the others."""

import collections
import csv
import logging
import os
import re
import time
from typing import Any, List, Optional, Sequence

from ..image.claim import FOLDER_LOCK, claim_folder, part_lock, release_void
from ..image.file_check import files_below, require_apart
from ..setting.atomic import write_json
from ..setting.errors import InputError, RegNetError, sentence_of
from ..setting.kinds import PATH
from ..setting.parts import take_part
from ..setting.progress import Progress
from ..setting.result_names import pairs_record, part_of
from ..setting.text_files import read_text, warn_of_open_end
from .command_line import EXPORTS, MASKS, SERIES
from .exports import require_exportable, write_exports
from .network_pyramid import Model
from .result_folder import NAMES, Draft, check_results, finish_move, inputs_of, problem_of, read_results
from .single_pair import register

LOGGER = logging.getLogger(__name__)

REQUIRED = ('fixed', 'moving')
COLUMNS = ('name',) + REQUIRED + MASKS + SERIES
#: Options that earlier versions did not have, with what these did: results made so count as done.
_NEWER = {'both_ways': 'False', 'format': 'mha', 'refine': 'None', 'symmetric': 'False'}

Pair = collections.namedtuple('Pair', 'name files')
"""``name``: folder of its results; ``files``: dictionary column -> path (or series), those that are given."""
Outcome = collections.namedtuple('Outcome', 'name state seconds reason measures')
"""``state``: 'done', 'was done' or 'failed' (``reason`` says why, and there are no ``measures``)."""


def read_pairs(path):
    """Read a list of pairs.

    :param path: CSV file; its first line names the columns: fixed and moving, and optionally name, fixed_lung,
        fixed_torso, moving_lung, moving_torso, fixed_series, moving_series. Relative paths are relative to
        the CSV's folder. Without a name a pair is called after its two files.
    :return: list of :class:`Pair`.
    :raises MissingFileError, InputError: no such file, unknown columns, an empty cell, two pairs of one name.
    """
    path = os.fspath(path)
    try:
        text = read_text(path, 'a list of pairs (CSV)')
        warn_of_open_end(path, text)
        rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines(keepends=True))]
    except csv.Error as error:
        raise InputError(f'{path} is not a list of pairs (CSV): {error}.') from error
    header = [name.lower() for name in rows[0]] if rows else []
    if set(header) - set(COLUMNS) or any(header.count(name) != 1 for name in REQUIRED):
        raise InputError(
            f'{path}: the first line must name the columns fixed and moving, and may name name, '
            f'{", ".join(MASKS + SERIES)}; it has {", ".join(header) or "nothing"}.'
        )
    pairs, lines = [], {}
    for line, row in enumerate(rows[1:], 2):
        if any(row):
            pair = _pair(path, line, dict(zip(header, row)))
            first = lines.setdefault(pair.name, line)
            if first != line:
                raise InputError(f'{path}: lines {first} and {line} are both called {pair.name!r}; give other names.')
            pairs.append(pair)
    if not pairs:
        raise InputError(f'{path} names no pair.')
    return pairs


def _pair(path, line, cells):
    folder = os.path.dirname(os.path.abspath(path))
    missing = [name for name in REQUIRED if not cells.get(name)]
    if missing:
        raise InputError(f'{path}, line {line}: no {" and no ".join(missing)}.')
    files = {
        key: value if key in SERIES else os.path.join(folder, value)
        for key, value in cells.items()
        if key != 'name' and value
    }
    name = cells.get('name') or f'{stem_of(files["moving"])}_to_{stem_of(files["fixed"])}'
    if not re.match(r'^\w[\w.+-]*$', name) or not PATH.accepts(name):
        raise InputError(f'{path}, line {line}: {name!r} cannot name a folder; use up to 255 letters, digits, _ . + -')
    if part_of(name):
        raise InputError(f'{path}, line {line}: {name} is written beside the pairs; give another name.')
    return Pair(name, files)


def stem_of(path):
    """Name of a file or folder without its ending, as a part of the name of a folder of results."""
    return re.sub(r'[^\w+-]', '_', os.path.basename(os.path.normpath(path)).split('.')[0])


def register_pairs(
    pairs: Sequence[Pair], output: str, model: Model, part: Optional[str] = None, **options: Any
) -> List[Outcome]:
    """Register a list of pairs, each into its own folder below ``output``.

    Pairs that have whole results made from the same files and settings are skipped. ``pairs.json`` in ``output`` lists
    the outcomes so far.

    :param pairs: list of :class:`Pair`.
    :param model: :class:`functions.registration.network_pyramid.Model`.
    :param part: 'K/N' registers the K-th of N parts and lists them in ``pairs_KofN.json``.
    :param options: see :func:`register_into`.
    :return: list of :class:`Outcome`.
    :raises InputError: results would replace what is read, or cannot be exported.
    """
    for pair in pairs:
        require_exportable(options.get('exports', ()), pair.files['fixed'], options.get('grid', 'native'))
    inputs = [path for pair in pairs for path in _inputs(pair.files, options)]
    if options.get('overwrite'):
        require_apart([os.path.join(output, pair.name, name) for pair in pairs for name in NAMES], inputs)
    summary = os.path.join(output, pairs_record(part))
    require_apart([summary], inputs)
    pairs, outcomes = take_part(pairs, part), []
    with claim_folder(output, part_lock(part)):
        for number, pair in enumerate(Progress(pairs, desc='Pairs', unit='pair'), 1):
            LOGGER.info('Pair %d of %d: %s', number, len(pairs), pair.name)
            outcomes.append(_outcome(pair, os.path.join(output, pair.name), model, options))
            if number == len(pairs):
                outcomes = [_still(outcome, os.path.join(output, outcome.name)) for outcome in outcomes]
            write_json(summary, [outcome._asdict() for outcome in outcomes])
    counts = [sum(outcome.state == state for outcome in outcomes) for state in ('done', 'was done', 'failed')]
    LOGGER.info('%d pairs registered, %d were done before, %d failed', *counts)
    return outcomes


def require_done(outcomes, what):
    """Raise :class:`RegNetError` where one of several :class:`Outcome` failed; ``what`` they are, such as 'pairs'."""
    failed = [f'{outcome.name}: {outcome.reason}' for outcome in outcomes if outcome.state == 'failed']
    if failed:
        raise RegNetError(f'{len(failed)} of {len(outcomes)} {what} failed, the others are done: {"; ".join(failed)}')


def register_into(folder, files, model, exports=(), **options):
    """Register one pair of files, write its results and, where asked for, their exports.

    :param exports: see :func:`functions.registration.exports.write_exports`; ``require_exportable`` was asked before.
    :param options: of :func:`register_and_write`.
    :return, :raises: as :func:`register_and_write`.
    """
    outcome = register_and_write(folder, files, model, **options)
    if exports:
        write_exports(folder, exports)
    return outcome


def register_and_write(
    folder, files, model, file_format='mha', inverse=False, overwrite=False, verify=False, **options
):
    """Register one pair of files and write its results.

    :param files: dictionary of the columns of :func:`read_pairs` but the name -> path (or series).
    :param file_format, inverse, overwrite: see :class:`functions.registration.result_folder.Draft`.
    :param verify: see :func:`functions.registration.result_folder.check_results`.
    :param options: of :func:`functions.registration.register`.
    :return: (:class:`functions.registration.single_pair.Registration`, record), or (None, record) when ``folder`` holds
        these results already. Results that are no longer whole are made again.
    :raises InputError: the results would replace a file that is read.
    :raises DiskError: another process works in ``folder``, or it cannot be written.
    """
    options['series'] = tuple(files.get(name) for name in SERIES)
    named = {key: str(value) for key, value in dict(options, format=file_format).items() if key != 'threads'}
    named['symmetric'] = str(model.is_symmetric(options.get('symmetric'), options.get('both_ways')))
    named = {key: value for key, value in named.items() if value != _NEWER.get(key)}
    named.update(inverse=bool(inverse), networks=model.describe(), stages=model.stages)
    wants_errors = named.pop('error_map', 'True') == 'True' and model.error_map is not None
    named.update({'error_map': model.describe_error_map()} if wants_errors else {})
    made_from = inputs_of(folder, files['fixed'], files['moving'], [files.get(name) for name in MASKS], **named)
    # What an interrupted refinement leaves: the results of the single shot, which the next one replaces.
    unrefined = dict(made_from, settings=dict(made_from['settings'], refine='interrupted'))
    if not overwrite and check_results(folder, made_from, verify)[0]:
        release_void(os.path.join(folder, FOLDER_LOCK))
        return None, read_results(folder).record
    exported = [path for kind in EXPORTS for path in files_below(os.path.join(folder, kind))]
    require_apart([os.path.join(folder, name) for name in NAMES] + exported, _inputs(files, options))
    masks = {name: path for name, path in files.items() if name in MASKS}
    with claim_folder(folder) as require_ours:
        finish_move(folder)
        # Another process may have made them meanwhile.
        done, reason = (False, '') if overwrite else check_results(folder, made_from, verify)
        if done:
            return None, read_results(folder).record
        if reason:
            LOGGER.warning('%s: registered again, because %s.', folder, reason.rstrip('.'))
        is_ours = bool(reason) or check_results(folder, unrefined)[0]
        with Draft(folder, file_format, overwrite or is_ours, require_ours) as draft:
            options = dict(masks, on_fields=draft.write_fields, **options)
            options['on_single_shot'] = lambda single_shot: draft.finish(single_shot, inverse, unrefined)
            registration = register(files['fixed'], files['moving'], model, **options)
            return registration, draft.finish(registration, inverse, made_from)


def _inputs(files, options):
    """Paths of all files that a registration reads; those of its networks have other names than its results."""
    return [path for name, path in files.items() if name not in SERIES] + [options.get('affine')]


def _outcome(pair, folder, model, options):
    start = time.time()
    measures = reason = None
    try:
        found, record = register_into(folder, pair.files, model, **options)
        state, measures = 'was done' if found is None else 'done', record.get('measures')
    except (RegNetError, RuntimeError, MemoryError, OSError, ValueError, ArithmeticError) as error:
        # What ITK, TensorFlow or NumPy raise for one pair must not stop the others.
        sentence = sentence_of(error)
        LOGGER.error('%s failed: %s', pair.name, sentence or error, exc_info=sentence is None)
        state, reason = 'failed', sentence or f'{type(error).__name__}: {error}'
    return Outcome(pair.name, state, round(time.time() - start, 2), reason, measures)


def _still(outcome, folder):
    """The outcome, failed if its results have gone while others were made."""
    problem = None if outcome.state == 'failed' else problem_of(folder)
    if not problem:
        return outcome
    LOGGER.error('%s failed: its results were removed or changed meanwhile: %s', outcome.name, problem)
    return outcome._replace(state='failed', reason=problem, measures=None)
