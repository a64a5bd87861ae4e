"""The options --prepare, --evaluate and --report. Imports nothing heavy."""

from ..measure.protocols import PROTOCOLS

COMMANDS = ('prepare', 'evaluate', 'register', 'pairs', 'sequence', 'apply')
_PREPARE = 'make a data set from its downloaded packs: DIR-Lab_4D, DIR-Lab_COPD, SPREAD; Phantom_4D needs none'
_EVALUATE = 'measure and compare the registrations of experiments; a set such as chest first registers what is missing'
_REFERENCES = 'also register the same pairs by affine, bspline_1, bspline_3 (elastix); without a name by all of them'
_CAPTURE_RANGE = 'only landmarks whose error before registration is at most this along every axis'
_REPORT = 'with --evaluate: also HTML pages of every registration; with folders of results: their pages'
_LANDMARKS = 'with --report FOLDER: files of corresponding points'


def add_arguments(parser):
    """Add the options of the commands to an argparse parser."""
    add = parser.add_argument_group('public data sets').add_argument
    add('--prepare', metavar='DATA', help=_PREPARE)
    add_source_options(add)
    add = parser.add_argument_group('how good is it').add_argument
    add('--evaluate', nargs='+', metavar='EXPERIMENT', help=_EVALUATE)
    add_evaluation_options(add)
    add_page_options(add)


def add_source_options(add):
    """What to prepare; ``add`` is the method of a parser or of its group."""
    add('--from', dest='source', metavar='FOLDER', help='where the unpacked archives lie')
    add('--cases', nargs='+', type=int, metavar='N', help='only these cases')


def add_evaluation_options(add):
    """How to evaluate."""
    add('--references', nargs='*', metavar='NAME', help=_REFERENCES)
    add('--capture_range', type=float, metavar='MM', help=_CAPTURE_RANGE)
    add('--report', nargs='*', metavar='FOLDER', help=_REPORT)


def add_page_options(add):
    """What is on pages, with the protocol of all numbers."""
    add('--protocol', choices=list(PROTOCOLS), default='dirlab', help='conventions of the numbers')
    add('--landmarks', nargs=2, metavar=('FIXED', 'MOVING'), help=_LANDMARKS)


def check_arguments(parser, arguments):
    """Exit with the parser's message when options do not go together."""
    given = ['--' + name for name in COMMANDS if getattr(arguments, name) is not None]
    data, report, capture_range = arguments.prepare, arguments.report, arguments.capture_range
    no_experiment, has_range = arguments.evaluate is None, capture_range is not None
    wrong_report = report is not None and bool(report) != no_experiment
    problems = {
        f'{" and ".join(given)} exclude each other; give one of them': len(given) > 1,
        '--from and --cases go with --prepare DATA': data is None and (arguments.source or arguments.cases),
        f'--prepare {data} needs --from FOLDER': data not in (None, 'Phantom_4D') and not arguments.source,
        '--references goes with --evaluate EXPERIMENT': no_experiment and arguments.references is not None,
        '--capture_range goes with --evaluate EXPERIMENT': no_experiment and has_range,
        '--report goes with --evaluate EXPERIMENT, or with folders of results and without it': wrong_report,
        '--report FOLDER stands alone': report and given,
        '--landmarks goes with --report and one folder of results': arguments.landmarks and len(report or ()) != 1,
        '--capture_range must be above 0 mm': has_range and not capture_range > 0,
    }
    for problem, is_there in problems.items():
        if is_there:
            parser.error(problem)


def evaluate(setting, arguments):
    """Run --evaluate: yields texts for the terminal, the check of the landmarks first; InputError where they do not fit
    their images, or there is nothing to evaluate.
    """
    from . import evaluate_experiments as ev
    from .experiments import open_experiment
    from .references import check_names

    references = check_names(arguments.references)
    experiments = [open_experiment(setting, name, not arguments.setting) for name in arguments.evaluate]
    check = ev.check_experiments(experiments, arguments.workers)
    if check.rows:
        yield check.table()
        check.require()
    choices = arguments.protocol, arguments.workers, arguments.capture_range, arguments.report is not None
    found = ev.evaluate(experiments, references, *choices)
    yield found.text
    yield f'Results: {found.folder}\n' + ''.join(f'Page: {path}\n' for path in found.pages[:1])
