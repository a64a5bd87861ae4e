"""From finished experiments to tables, figures and reports: what ``--evaluate`` does."""

import collections
import logging
import os
import re

from joblib import Parallel, delayed
from tqdm import tqdm

from functions.evaluation import comparison as compare
from functions.evaluation import comparison_plots, experiment_report, pair_record, provenance
from functions.evaluation.landmark_check import Gate, before_registration
from functions.evaluation.measured_pairs import Cohort, Task, evaluate_tasks, input_paths
from functions.evaluation.references import References, run_references
from functions.evaluation.registration_report import registration_report
from functions.evaluation.text_table import format_table
from functions.image.masks import read_mask
from functions.image.threads import itk_threads
from functions.image.transforms import as_affine, read_transform
from functions.image.volume_io import read_image
from functions.measure.protocols import get_protocol
from functions.setting import setting_utils as su
from functions.setting.atomic import write_json, write_text
from functions.setting.errors import InputError, RegNetError

LOGGER = logging.getLogger(__name__)

BEFORE = 'before registration'
MOST_PAIRS = 40  # in one box plot of pairs
_ENDINGS = (('text', 'txt'), ('csv', 'csv'), ('latex', 'tex'), ('markdown', 'md'))

#: folder: where everything was written; cohort, comparison (None: nothing to compare); missing: texts; text:
#: tables and lists for a terminal; pages: paths of the reports.
Evaluation = collections.namedtuple('Evaluation', 'folder cohort comparison missing text pages')


def gate_of(experiments, n_workers=None):
    """The gate for all real pairs of experiments: :class:`functions.evaluation.landmark_check.Gate`.

    The landmarks of synthetic pairs come from their true DVFs; there is nothing to be misread.

    :param n_workers: processes; None: one for every two processors.
    """
    n_workers = _processes(n_workers)
    rows = []
    for experiment, pairs in _pairs_once(experiments):
        pairs = [pair for pair in pairs if 'dsmooth' not in pair[0]]
        rows += before_registration(experiment.setting, pairs, n_workers=n_workers).rows
    return Gate(rows)


def evaluate(
    experiments,
    references=None,
    protocol='dirlab',
    n_workers=None,
    capture_range=None,
    labels=None,
    report=False,
    overrides=None,
):
    """Measure experiments and classical references on the same pairs, compare them, write everything.

    Written below ``Results/Evaluation/<protocol>/`` of the first experiment: ``records/`` (one JSON file for
    each registration), ``comparison`` as .json, .txt, .csv, .tex and .md, ``pairs.csv``, box plots, scatter
    plots, and with ``report`` ``report.html`` and ``reports/``. Records and references that are there already
    are used again.

    :param experiments: list of :class:`functions.evaluation.experiments.Experiment`.
    :param references: names of :data:`functions.evaluation.references.METHODS`; None: none.
    :param protocol: a name of :data:`functions.measure.protocols.PROTOCOLS`.
    :param n_workers: pairs measured at a time; None: as the steps choose.
    :param capture_range: mm, see :class:`functions.evaluation.comparison.Comparison`; None: all landmarks.
    :param labels: labels of the lung masks to be compared one by one; None: all as one.
    :param report: write the pages too.
    :param overrides: parameters of elastix put in place of the files' ones.
    :return: :class:`Evaluation`.
    :raises InputError: two experiments of one name, nothing to measure, or no landmark in the capture range.
    """
    get_protocol(protocol)
    names = [experiment.name for experiment in experiments]
    if len(set(names)) < len(names):
        raise InputError('Every experiment is compared once; given: {}.'.format(', '.join(names)))
    folder = os.path.join(su.address_generator(experiments[0].setting, 'result_folder'), 'Evaluation', protocol)
    once = _pairs_once(experiments)
    classical = References([], [], [])
    if references:
        jobs = [(experiment.setting, pair) for experiment, pairs in once for pair in pairs]
        classical = run_references(jobs, references, n_workers, overrides)
    groups = _groups(experiments, once, classical)
    cohort = _measure(groups, os.path.join(folder, 'records'), protocol, n_workers, labels)
    failures = classical.failures + cohort.failures
    missing = [text for experiment in experiments for text in experiment.missing] + classical.missing
    comparison = _compare(cohort.records, capture_range)
    content = experiment_report.summary(comparison, missing, failures)
    text = _write_tables(folder, comparison, content)
    pictures = _draw(folder, comparison)
    pages = []
    if report:
        known = {experiment.name: provenance.experiment_source(experiment) for experiment in experiments}
        links = _write_reports(folder, groups, cohort.records, known, n_workers)
        pages = [os.path.join(folder, link) for link in ['report.html'] + list(links.values())]
        experiment_report.experiment_report(pages[0], ', '.join(names), content, pictures, list(known.items()), links)
    return Evaluation(folder, cohort._replace(failures=failures), comparison, missing, text, pages)


def _processes(n_workers):
    return (os.cpu_count() or 2) // 2 if n_workers is None else int(n_workers)


def _pairs_once(experiments):
    """[(experiment, the pairs that no experiment before it has)]."""
    seen, found = set(), []
    for experiment in experiments:
        pairs = [pair for pair in experiment.pairs if pair_record.pair_key({'pair': pair}) not in seen]
        seen.update(pair_record.pair_key({'pair': pair}) for pair in pairs)
        found.append((experiment, pairs))
    return found


def _groups(experiments, once, classical):
    """[(setting, tasks)]: before registration and the classical methods, then the experiments."""
    groups = []
    for experiment, pairs in once:
        keys = {pair_record.pair_key({'pair': pair}) for pair in pairs}
        tasks = [Task(BEFORE, pair) for pair in pairs]
        tasks += [task for task in classical.tasks if pair_record.pair_key({'pair': task.pair}) in keys]
        groups.append((experiment.setting, tasks))
    return groups + [(experiment.setting, experiment.tasks) for experiment in experiments]


def _measure(groups, folder, protocol, n_workers, labels):
    found = [evaluate_tasks(setting, tasks, folder, protocol, n_workers, labels) for setting, tasks in groups if tasks]
    return Cohort(
        [record for cohort in found for record in cohort.records],
        [failure for cohort in found for failure in cohort.failures],
        sum(cohort.made for cohort in found),
    )


def _compare(records, capture_range):
    """The comparison of as many methods as have a pair in common."""
    methods = collections.OrderedDict()
    for record in records:
        methods.setdefault(record['method'], set()).add(pair_record.pair_key(record))
    if not methods:
        raise InputError('Nothing could be measured.')
    chosen = list(methods)
    while len(chosen) > 1 and not set.intersection(*[methods[name] for name in chosen]):
        fewest = min(chosen, key=lambda name: len(methods[name]))
        LOGGER.warning('%s has no pair in common with the others and is left out of the table.', fewest)
        chosen.remove(fewest)
    return compare.Comparison(records, chosen, capture_range)


def _write_tables(folder, comparison, content):
    """Write the tables; returns what a terminal shows."""
    for style, ending in _ENDINGS:
        write_text(os.path.join(folder, 'comparison.' + ending), compare.comparison_table(comparison, style))
    write_json(os.path.join(folder, 'comparison.json'), content)
    parts = [comparison.protocol + '\n', compare.comparison_table(comparison)]
    if content['pairs']:
        write_text(os.path.join(folder, 'pairs.csv'), format_table(content['pairs'], style='csv'))
        parts.append(format_table(content['pairs']))
    left_out = (
        ['{}, {}: {}'.format(*failure) for failure in content['failures']]
        + content['missing']
        + [f'Left out of the comparison: {text}' for text in comparison.missing if text not in content['missing']]
    )
    if left_out:
        parts.append('Missing or failed:\n' + ''.join(f'  {line}\n' for line in left_out))
    return '\n'.join(parts)


def _draw(folder, comparison):
    """Box plots and scatter plots: list of :class:`functions.evaluation.experiment_report.Picture`."""
    count = len(comparison.names(landmarks=True))
    if not count:
        return []
    wanted = []
    for measure in comparison_plots.MEASURES:
        what = 'TRE' if measure == 'TRE' else 'Error along ' + measure
        wanted.append((f'boxes_{measure}.png', what + '.', 'all landmarks', measure, False))
        if 1 < count <= MOST_PAIRS:
            wanted.append((f'boxes_{measure}_pairs.png', what + ' of every pair.', '', measure, True))
    if count > MOST_PAIRS:
        LOGGER.info('More than %d pairs: no box plots of single pairs.', MOST_PAIRS)
    pictures = []
    for name, strong, caption, measure, per_pair in wanted:
        comparison_plots.box_plot(os.path.join(folder, name), comparison, measure, per_pair, before=False)
        pictures.append(_picture(folder, name, strong, caption))
    for method in comparison.methods:
        if method != BEFORE:
            name = 'scatter_{}.png'.format(re.sub(r'[^A-Za-z0-9_.-]+', '_', method))
            comparison_plots.scatter_plot(os.path.join(folder, name), comparison, method)
            pictures.append(_picture(folder, name, 'True and estimated displacement.', method, True))
    return pictures


def _picture(folder, name, strong, caption, wide=False):
    with open(os.path.join(folder, name), 'rb') as stream:
        return experiment_report.Picture(strong, caption, stream.read(), wide)


def _write_reports(folder, groups, records, known, n_workers):
    """Write a page for every registration: (method, name of the pair) -> its address below ``folder``. A page
    that cannot be made is told in the log and is not fatal."""
    by_name = {(record['method'], pair_record.pair_name(record['pair'])): record for record in records}
    jobs, links = [], collections.OrderedDict()
    for setting, tasks in groups:
        for task in tasks:
            key = task.method, pair_record.pair_name(task.pair)
            if key in by_name and task.method != BEFORE:
                name = 'reports/' + pair_record.file_name(by_name[key])[: -len('.json')] + '.html'
                jobs.append(
                    (
                        setting,
                        task,
                        by_name[key],
                        os.path.join(folder, name),
                        provenance.result_source(known.get(task.method), task),
                    )
                )
                links[key] = name
    n_workers = max(1, min(_processes(n_workers), len(jobs)))
    done = Parallel(n_jobs=n_workers, batch_size=1, pre_dispatch=n_workers)(
        delayed(_write_report)(*job) for job in tqdm(jobs, desc='Reports', unit='page', leave=False)
    )
    return collections.OrderedDict(item for item, written in zip(links.items(), done) if written)


def _write_report(setting, task, record, path, source):
    """One page, in a worker; True when it was written."""
    try:
        with itk_threads(1):
            paths = input_paths(setting, task.pair)
            fixed = read_image(paths['fixed'])
            images = pair_record.Images(
                fixed,
                read_image(paths['moving']),
                None if task.moved is None else read_image(task.moved),
                read_mask(paths['fixed_lung'], like=fixed),
                None,
            )
            dvf = None if task.dvf is None else read_image(task.dvf, expect='vector')
            affine = None if task.affine is None else as_affine(read_transform(task.affine))
            registration_report(path, record, images, dvf, affine, source)
    except RegNetError as error:
        LOGGER.error('%s could not be made: %s', path, error)
        return False
    return True
