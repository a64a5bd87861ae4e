"""Options of the commands that look at results: --prepare, --evaluate and --report. Imports nothing heavy."""

from functions.measure.protocols import PROTOCOLS

COMMANDS = ('prepare', 'evaluate', 'register', 'pairs', 'apply')
_PREPARE = (
    'turn the packs of a data set, as they are downloaded, into its images, masks and landmarks: DIR-Lab_4D, '
    'DIR-Lab_COPD, SPREAD; Phantom_4D is made'
)
_EVALUATE = 'measure and compare what experiments have registered; a set such as chest registers first what is missing'
_REFERENCES = (
    'also register the same pairs by classical methods: affine, bspline_1, bspline_3 (elastix); without a name by all'
)
_CAPTURE_RANGE = 'only landmarks whose error before registration is at most this along every axis'
_REPORT = (
    'with --evaluate: also HTML pages of the experiments and of every registration; with folders of results of '
    '--register: their pages'
)
_LANDMARKS = 'with --report FOLDER: files of corresponding points'


def add_arguments(parser):
    """Add the options of the commands to an argparse parser."""
    group = parser.add_argument_group('public data sets')
    group.add_argument('--prepare', metavar='DATA', help=_PREPARE)
    group.add_argument('--from', dest='source', metavar='FOLDER', help='where the unpacked archives lie')
    group.add_argument('--cases', nargs='+', type=int, metavar='N', help='only these cases')
    group = parser.add_argument_group('how good is it')
    group.add_argument('--evaluate', nargs='+', metavar='EXPERIMENT', help=_EVALUATE)
    group.add_argument('--references', nargs='*', metavar='NAME', help=_REFERENCES)
    group.add_argument('--protocol', choices=list(PROTOCOLS), default='dirlab', help='conventions of the numbers')
    group.add_argument('--capture_range', type=float, metavar='MM', help=_CAPTURE_RANGE)
    group.add_argument('--report', nargs='*', metavar='FOLDER', help=_REPORT)
    group.add_argument('--landmarks', nargs=2, metavar=('FIXED', 'MOVING'), help=_LANDMARKS)


def check_arguments(parser, arguments):
    """End with the parser's message when options do not fit together."""
    given = ['--' + name for name in COMMANDS if getattr(arguments, name) is not None]
    if len(given) > 1:
        parser.error('{} exclude each other; give one of them'.format(' and '.join(given)))
    if arguments.prepare is None and (arguments.source or arguments.cases):
        parser.error('--from and --cases go with --prepare DATA')
    if arguments.prepare not in (None, 'Phantom_4D') and not arguments.source:
        parser.error(f'--prepare {arguments.prepare} needs --from FOLDER with the unpacked archives')
    of_evaluate = [arguments.references, arguments.capture_range]
    if arguments.evaluate is None and of_evaluate != [None, None]:
        parser.error('--references and --capture_range go with --evaluate EXPERIMENT')
    if arguments.report is not None and bool(arguments.report) == (arguments.evaluate is not None):
        parser.error('--report goes with --evaluate EXPERIMENT, or with folders of results and without it')
    if arguments.report and len(given) > 0:
        parser.error('--report FOLDER stands alone')
    if arguments.landmarks and len(arguments.report or ()) != 1:
        parser.error('--landmarks goes with --report and one folder of results')
    if arguments.capture_range is not None and not arguments.capture_range > 0:
        parser.error('--capture_range must be above 0 mm')


def evaluate(setting, arguments):
    """Carry out --evaluate: yields texts for the terminal, the check of the landmarks first.

    :raises InputError: landmarks that do not fit their images, or nothing to evaluate.
    """
    from functions.evaluation import evaluate_experiments as ev
    from functions.evaluation.experiments import open_experiment
    from functions.evaluation.references import check_names

    references = check_names(arguments.references)
    experiments = [open_experiment(setting, name, not arguments.setting) for name in arguments.evaluate]
    check = ev.check_experiments(experiments, arguments.workers)
    if check.rows:
        yield check.table()
        check.require()
    report = arguments.report is not None
    choices = arguments.protocol, arguments.workers, arguments.capture_range, report
    found = ev.evaluate(experiments, references, *choices)
    yield found.text
    yield f'Results: {found.folder}\n' + ''.join(f'Page: {path}\n' for path in found.pages[:1])
