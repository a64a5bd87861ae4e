"""Tables, figures and reports of finished experiments: what ``--evaluate`` does."""

import collections
import logging
import os
import re

from ..image.claim import claim_folder
from ..image.worker_pools import in_parallel
from ..measure.protocols import get_protocol
from ..setting import setting_utils as su
from ..setting.atomic import remove, write_json, write_text
from ..setting.errors import DiskError, InputError, RegNetError
from . import comparison_plots
from .comparison import Comparison, comparison_table
from .experiment_report import Picture, experiment_report, missing_and_failed
from .landmark_check import LandmarkCheck, check_landmarks
from .measured_pairs import Measured, Result, input_paths, measure_results, read_result
from .pair_record import file_name, pair_key, pair_name
from .provenance import experiment_source, result_source
from .references import run_references
from .registration_report import registration_report
from .text_table import format_table

LOGGER = logging.getLogger(__name__)

BEFORE = 'before registration'
MOST_PAIRS = 40  # in one box plot of pairs
_ENDINGS = (('text', 'txt'), ('csv', 'csv'), ('latex', 'tex'), ('markdown', 'md'))

#: folder: where everything was written; measured: :class:`functions.evaluation.measured_pairs.Measured`;
#: comparison; missing: texts; text: tables and lists for a terminal; pages: paths of the reports.
Evaluation = collections.namedtuple('Evaluation', 'folder measured comparison missing text pages')


def check_experiments(experiments, n_workers=None):
    """Check the landmarks of all real pairs; those of synthetic pairs come from their true DVFs."""
    jobs = [(one.setting, [pair for pair in new if 'dsmooth' not in pair[0]]) for one, new in _pairs_once(experiments)]
    return LandmarkCheck([row for setting, real in jobs for row in check_landmarks(setting, real, n_workers).rows])


def evaluate(experiments, references=None, protocol='dirlab', n_workers=None, capture_range=None, report=False):
    """Measure experiments and classical references on the same pairs, compare, write everything: :class:`Evaluation`.

    ``Results/Evaluation/<protocol>/`` of the first experiment gets ``records/`` (JSON), ``comparison`` as .json, .txt,
    .csv, .tex and .md, ``pairs.csv``, ``expected_errors.csv`` where some are, plots and, with ``report``, the pages.
    Finished records and references stay.

    :param experiments: list of :class:`functions.evaluation.experiments.Experiment`.
    :param references: names of :data:`functions.evaluation.references.METHODS`; None: none.
    :param n_workers: pairs measured at a time; None: each step chooses.
    :param capture_range: mm, see :class:`functions.evaluation.comparison.Comparison`; None: all landmarks.
    :raises InputError: two experiments of one name, nothing to measure, or no landmark in the capture range.
    :raises DiskError: another process evaluates into that folder, or it cannot be written.
    """
    get_protocol(protocol)
    names = [experiment.name for experiment in experiments]
    if len(set(names)) < len(names):
        raise InputError(f'Every experiment is compared once; given: {", ".join(names)}.')
    folder = os.path.join(su.address_generator(experiments[0].setting, 'result_folder'), 'Evaluation', protocol)
    with claim_folder(folder):
        once = _pairs_once(experiments)
        jobs = [(experiment.setting, pair) for experiment, pairs in once for pair in pairs]
        classical = run_references(jobs, references or None, n_workers)
        groups = []
        for experiment, pairs in once:
            results = [result for result in classical.results if result.pair in pairs]
            groups.append((experiment.setting, [Result(BEFORE, pair) for pair in pairs] + results))
        groups += [(experiment.setting, experiment.results) for experiment in experiments]
        where = os.path.join(folder, 'records')
        found = [
            measure_results(setting, results, where, protocol, n_workers) for setting, results in groups if results
        ]
        records, failures, made = zip(*found)
        measured = Measured(sum(records, []), sum(failures, classical.failures), sum(made))
        missing = [text for experiment in experiments for text in experiment.missing] + classical.missing
        comparison = _compare(measured.records, capture_range)
        content = {
            'protocol': comparison.protocol,
            'methods': comparison.methods,
            'rows': comparison.rows(),
            'pairs': comparison.pair_rows(),
            'expected_errors': comparison.expected_rows(),
            'missing': missing,
            'failures': [list(failure) for failure in measured.failures],
        }
        text = _write_tables(folder, comparison, content)
        pictures = _draw(folder, comparison)
        pages = []
        if report:
            sources = {experiment.name: experiment_source(experiment) for experiment in experiments}
            links = _write_reports(folder, groups, measured.records, sources, n_workers)
            pages = [os.path.join(folder, link) for link in ['report.html'] + list(links.values())]
            experiment_report(pages[0], ', '.join(sources), content, pictures, list(sources.items()), links)
        return Evaluation(folder, measured, comparison, missing, text, pages)


def _pairs_once(experiments):
    """[(experiment, the pairs that no experiment before it has)]."""
    seen, found = set(), []
    for experiment in experiments:
        found.append((experiment, [pair for pair in experiment.pairs if pair_key(pair) not in seen]))
        seen.update(pair_key(pair) for pair in experiment.pairs)
    return found


def _compare(records, capture_range):
    """The comparison of the methods; those with the fewest pairs are left out until some pair is common to all."""
    methods = {}
    for record in records:
        methods.setdefault(record['method'], set()).add(pair_key(record['pair']))
    if not methods:
        raise InputError('Nothing could be measured.')
    chosen = list(methods)
    while len(chosen) > 1 and not set.intersection(*[methods[name] for name in chosen]):
        fewest = min(chosen, key=lambda name: len(methods[name]))
        LOGGER.warning('%s has no pair in common with the others and is left out of the table.', fewest)
        chosen.remove(fewest)
    return Comparison(records, chosen, capture_range)


def _write_tables(folder, comparison, content):
    """Write the tables; returns what a terminal shows."""
    rows = content['rows']
    for style, ending in _ENDINGS:
        write_text(os.path.join(folder, 'comparison.' + ending), comparison_table(rows, style))
    write_json(os.path.join(folder, 'comparison.json'), content)
    parts = [comparison.protocol + '\n', comparison_table(rows)]
    for name in ('pairs', 'expected_errors'):
        path = os.path.join(folder, name + '.csv')
        if content[name]:
            write_text(path, format_table(content[name], style='csv'))
            parts.append(format_table(content[name]))
        else:
            remove(path)  # of an evaluation before
    incomplete = [text for text in comparison.missing if text not in content['missing']]
    left_out = missing_and_failed(content) + [f'Left out of the comparison: {text}' for text in incomplete]
    if left_out:
        parts.append('Missing or failed:\n' + ''.join(f'  {line}\n' for line in left_out))
    return '\n'.join(parts)


def _draw(folder, comparison):
    """Box plots and scatter plots: list of :class:`functions.evaluation.experiment_report.Picture`."""
    count, pictures = len(comparison.names), []
    if not count:
        return pictures

    def add(name, strong, caption, draw, *given):
        path = os.path.join(folder, name + '.png')
        draw(path, comparison, *given)
        with open(path, 'rb') as stream:
            pictures.append(Picture(strong, caption, stream.read(), draw is comparison_plots.scatter_plot))

    if count > MOST_PAIRS:
        LOGGER.info('More than %d pairs: no box plots of single pairs.', MOST_PAIRS)
    for measure in comparison_plots.MEASURES:
        what = 'TRE' if measure == 'TRE' else 'Error along ' + measure
        add(f'boxes_{measure}', what + '.', 'all landmarks', comparison_plots.box_plot, measure)
        if 1 < count <= MOST_PAIRS:
            add(f'boxes_{measure}_pairs', what + ' of every pair.', '', comparison_plots.box_plot, measure, True)
    for method in comparison.methods:
        if method != BEFORE:
            name = re.sub(r'[^A-Za-z0-9_.-]+', '_', method)
            title = 'True and estimated displacement.'
            add('scatter_' + name, title, method, comparison_plots.scatter_plot, method)
            if comparison.expected_errors(method):
                title = 'Expected and true error.'
                add('expected_' + name, title, method, comparison_plots.expected_plot, method)
    return pictures


def _write_reports(folder, groups, records, sources, n_workers):
    """Write a page for every registration: (method, name of the pair) -> its address below ``folder``; pages that fail
    are logged and left out."""
    by_name = {(record['method'], pair_name(record['pair'])): record for record in records}
    jobs, links = [], {}
    for setting, results in groups:
        for result in results:
            key = result.method, pair_name(result.pair)
            if key in by_name and result.method != BEFORE:
                links[key] = 'reports/' + file_name(result.method, result.pair, '.html')
                source = result_source(sources.get(result.method), result)
                jobs.append((setting, result, by_name[key], os.path.join(folder, links[key]), source))
    written = in_parallel(_write_report, jobs, n_workers, 'Reports')
    return dict(item for item, done in zip(links.items(), written) if done)


def _write_report(setting, result, record, path, source):
    """One page, in a worker; True when it was written."""
    try:
        images, dvf, affine = read_result(input_paths(setting, result.pair), result)
        registration_report(path, record, images, dvf, affine, source)
    except DiskError:
        raise
    except RegNetError as error:
        LOGGER.error('%s could not be made: %s', path, error)
        return False
    return True
