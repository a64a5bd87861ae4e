"""Many pairs in one process: the networks are opened once, finished pairs are passed over, a failing one
costs only itself."""

import collections
import csv
import logging
import os
import re
import time

from functions.registration.network_pyramid import open_model
from functions.registration.result_folder import Draft, inputs_of, is_done, read_results
from functions.registration.single_pair import register
from functions.setting.atomic import write_json
from functions.setting.errors import InputError, MissingFileError, RegNetError

LOGGER = logging.getLogger(__name__)

REQUIRED = ('fixed', 'moving')
MASKS = ('fixed_lung', 'fixed_torso', 'moving_lung', 'moving_torso')
COLUMNS = ('name',) + REQUIRED + MASKS
SUMMARY = 'pairs.json'

Pair = collections.namedtuple('Pair', 'name files')
"""``name``: folder of its results; ``files``: dictionary column -> path, only those that are given."""
Outcome = collections.namedtuple('Outcome', 'name state seconds reason')
"""``state``: 'done', 'was done' or 'failed' (then ``reason`` says why)."""


def read_pairs(path):
    """Read a list of pairs.

    :param path: CSV file; its first line names the columns: fixed and moving, and where wanted name,
        fixed_lung, fixed_torso, moving_lung, moving_torso. Relative paths are relative to the CSV's folder.
        Without a name a pair is called after its two files.
    :return: list of :class:`Pair`.
    :raises MissingFileError, InputError: no such file, other columns, an empty cell, two pairs of one name.
    """
    path = os.fspath(path)
    try:
        with open(path, encoding='utf-8-sig', newline='') as stream:
            rows = [[cell.strip() for cell in row] for row in csv.reader(stream)]
    except FileNotFoundError as error:
        raise MissingFileError(f'The list of pairs {path} does not exist.') from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f'{path} is not a list of pairs (CSV).') from error
    header = [name.lower() for name in rows[0]] if rows else []
    wrong = [name for name in header if name not in COLUMNS]
    if wrong or any(header.count(name) != 1 for name in REQUIRED):
        raise InputError(
            '{}: its first line must name the columns fixed and moving, and may name {}; it has {}.'.format(
                path, ', '.join(name for name in COLUMNS if name not in REQUIRED), ', '.join(header) or 'nothing'
            )
        )
    pairs, names = [], {}
    for number, row in enumerate(rows[1:], 2):
        if any(row):
            pair = _pair(path, number, dict(zip(header, row)))
            if pair.name in names:
                raise InputError(
                    f'{path}: lines {names[pair.name]} and {number} are both called {pair.name!r}; give each a name '
                    'of its '
                    'own.'
                )
            names[pair.name] = number
            pairs.append(pair)
    if not pairs:
        raise InputError(f'{path} names no pair.')
    return pairs


def register_pairs(
    pairs, output, model, stages=None, threads=None, memory=None, inverse=False, overwrite=False, **options
):
    """Register a list of pairs, each into its own folder below ``output``.

    Pairs whose results are there, whole and made from the same files and settings, are passed over.
    ``pairs.json`` in ``output`` says after every pair where it stands.

    :param pairs: file (see :func:`read_pairs`) or list of :class:`Pair`.
    :param model, stages, threads, memory: see :func:`functions.registration.network_pyramid.open_model`.
    :param inverse, overwrite: see :class:`functions.registration.result_folder.Draft`.
    :param options: of :func:`functions.registration.register`.
    :return: list of :class:`Outcome`.
    """
    pairs = pairs if isinstance(pairs, list) else read_pairs(pairs)
    outcomes = []
    with open_model(model, stages, threads, memory) as opened:
        for number, pair in enumerate(pairs, 1):
            LOGGER.info('Pair %d of %d: %s', number, len(pairs), pair.name)
            outcomes.append(_one(pair, os.path.join(output, pair.name), opened, threads, inverse, overwrite, options))
            write_json(os.path.join(output, SUMMARY), [_row(outcome, output) for outcome in outcomes])
    failed = [outcome for outcome in outcomes if outcome.state == 'failed']
    LOGGER.info(
        '%d pairs registered, %d were done before, %d failed',
        sum(o.state == 'done' for o in outcomes),
        sum(o.state == 'was done' for o in outcomes),
        len(failed),
    )
    return outcomes


def register_into(folder, fixed, moving, model, masks=None, inverse=False, overwrite=False, threads=None, **options):
    """Register one pair of files and write its results.

    :param masks: dictionary of the columns fixed_lung ... moving_torso -> file.
    :return: (:class:`functions.registration.single_pair.Registration`, record), or (None, record) when
        ``folder`` holds the results of just this already.
    """
    masks = dict(masks or {})
    made_from = inputs_of(
        fixed,
        moving,
        [masks.get(name) for name in MASKS],
        inverse=bool(inverse),
        networks=model.describe(),
        stages=model.stages,
        **{key: str(value) for key, value in options.items()},
    )
    if not overwrite and is_done(folder, made_from):
        return None, read_results(folder).record
    with Draft(folder, overwrite) as draft:
        registration = register(
            fixed, moving, model, threads=threads, on_fields=draft.write_fields, **dict(masks, **options)
        )
        return registration, draft.finish(registration, inverse, made_from)


def _one(pair, folder, model, threads, inverse, overwrite, options):
    start = time.time()
    try:
        masks = {key: value for key, value in pair.files.items() if key in MASKS}
        found, _ = register_into(
            folder, pair.files['fixed'], pair.files['moving'], model, masks, inverse, overwrite, threads, **options
        )
    except RegNetError as error:
        LOGGER.error('%s failed: %s', pair.name, error)
        return Outcome(pair.name, 'failed', time.time() - start, str(error))
    except (RuntimeError, MemoryError, OSError, ValueError, ArithmeticError) as error:
        # What ITK, TensorFlow or NumPy raise for one pair must not cost the others.
        LOGGER.exception('%s failed', pair.name)
        return Outcome(pair.name, 'failed', time.time() - start, f'{type(error).__name__}: {error}')
    return Outcome(pair.name, 'was done' if found is None else 'done', time.time() - start, None)


def _row(outcome, output):
    row = dict(outcome._asdict(), seconds=round(outcome.seconds, 2))
    if outcome.state != 'failed':
        row['measures'] = read_results(os.path.join(output, outcome.name)).record['measures']
    return row


def _pair(path, number, cells):
    folder = os.path.dirname(os.path.abspath(path))
    missing = [name for name in REQUIRED if not cells.get(name)]
    if missing:
        raise InputError('{}, line {}: no {}.'.format(path, number, ' and no '.join(missing)))
    files = {key: os.path.join(folder, value) for key, value in cells.items() if key != 'name' and value}
    name = cells.get('name') or '{}_to_{}'.format(*[_stem(files[key]) for key in ('moving', 'fixed')])
    if not re.match(r'^\w[\w.+-]*$', name):
        raise InputError(
            f'{path}, line {number}: {name!r} cannot be the name of a folder; use letters, digits, _ . + -'
        )
    return Pair(name, files)


def _stem(path):
    return re.sub(r'[^\w+-]', '_', os.path.basename(os.path.normpath(path)).split('.')[0])
