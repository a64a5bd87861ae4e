"""The commands --register, --pairs, --sequence and --apply. Importing it loads nothing heavy."""

import logging
import os

from ..setting.errors import InputError, LeftOutError, MissingFileError
from ..setting.kinds import PATH
from ..setting.schema import PRECISIONS
from ..setting.trained_models import DEFAULT_SET

LOGGER = logging.getLogger(__name__)

COMMANDS = ('register', 'pairs', 'sequence', 'apply')
_SUBJECTS = ('image', 'labels', 'points')
#: Options of --register that are columns of the list of --pairs too.
MASKS = ('fixed_lung', 'fixed_torso', 'moving_lung', 'moving_torso')
SERIES = ('fixed_series', 'moving_series')
#: Of the images of the results.
FORMATS = ('mha', 'nii.gz', 'nrrd')
#: Layouts of other programs.
EXPORTS = ('learn2reg', 'dicom')


# fmt: off
def add_arguments(parser):
    """Add the options of the commands to an argparse parser."""
    add = parser.add_argument_group('register your own images').add_argument
    add('--register', nargs=2, metavar=('FIXED', 'MOVING'),
        help='register two CT scans: .mha, .mhd, .nii, .nii.gz, .nrrd or folders with a DICOM series')
    add('--pairs', metavar='CSV',
        help='register a list of pairs: columns fixed, moving, and optionally name, ' + ', '.join(MASKS + SERIES))
    add('--sequence', nargs='+', metavar='PATH',
        help='register a 4D sequence to one phase: files or DICOM folders in order, a folder of them, or one 4D file')
    add_sequence_options(add)
    add_results_options(add)
    add_registration_options(add)
    add_pair_options(add)
    add = parser.add_argument_group('apply results to something else').add_argument
    add('--apply', metavar='RESULTS', help='folder of a finished registration')
    add_apply_options(add)
    add_points_options(add)


def add_sequence_options(add, required=False):
    """How to register a sequence; ``add`` is the method of a parser or of its group."""
    add('--to', metavar='PHASE', required=required, help='phase of the sequence: its number, from 0, or its file')


def add_results_options(add, required=False):
    """Where results are written."""
    add('--output', metavar='PATH', required=required, help='folder of the results; with --apply the file to write')
    add('--inverse', action='store_true',
        help='also write the inverse field; with --apply: from the fixed to the moving image')
    add('--overwrite', action='store_true', help='replace existing results')


def add_registration_options(add):
    """How to register."""
    add('--model', nargs='+', metavar='FOLDER',
        help='name of a set of networks, or experiments, one per stage; default: chest, the bundled set. Without '
             '--register and --pairs: nothing is trained, the testing pairs of the settings are registered')
    add('--stages', nargs='+', type=int, metavar='N',
        help='pyramid, e.g. 4 2 1, or 4 4 2 1 for two passes of stage 4; default: as the set says, else all stages')
    add('--affine', metavar='none|elastix|sitk|FILE',
        help='affine registration before the networks; default: elastix if installed, else sitk')
    add('--input_mask', default='model', choices=['model', 'Lung', 'Torso', 'none'],
        help='mask outside which the networks see nothing; default: as in their training')
    add('--composition', default='exact', choices=['exact', 'additive'],
        help='how the fields of the stages are combined; additive as in the published code')
    add('--symmetric', choices=['yes', 'no'],
        help='whether every pass is the mean of its way there and back: closer, in about 1.7 times the time of the '
             'networks; default: as the set says (chest: yes), no with --both_ways')
    add('--isotropic', action='store_true', help='results at 1 mm instead of on the grid of the fixed image')
    add('--diffeomorphic', action='store_true', help='remove folding from the field')
    add('--both_ways', action='store_true',
        help='register moving to fixed too: writes how far there and back again ends from where it began, in mm')
    add('--no_error_map', action='store_true', help='do not predict how far the result is off')
    add('--refine', type=float, metavar='SECONDS',
        help='then fit the field to this pair in the lungs, for at most so many seconds')
    add('--keep_all_stages', action='store_true', help='use every stage, also one that makes the images less alike')
    add('--strict', action='store_true', help='exit code 3 where a part of the registration was left out')
    add('--format', default='mha', choices=FORMATS,
        help='file format of the images; NRRD opens in 3D Slicer as a transform; default: mha')
    add('--export', nargs='+', default=(), choices=EXPORTS,
        help="also write the field in Learn2Reg's layout, or the moved image and the field as DICOM (needs pydicom)")
    add('--precision', choices=PRECISIONS,
        help='of the networks; auto: bfloat16, faster, where the processor has it and fields hardly change; default: '
             'float32')
    add('--memory', type=float, metavar='GB', help='memory for one pass through a network')


def add_pair_options(add):
    """What belongs to one pair: columns of the list of --pairs."""
    for name in MASKS:
        add('--' + name, metavar='FILE', help='mask; made from the HU if it is needed and not given')
    for name in SERIES:
        add('--' + name, metavar='UID_OR_NUMBER', help='series to read from a DICOM folder that holds several')


def add_apply_options(add):
    """What to apply results to."""
    add('--image', metavar='FILE', help='image in the space of the moving one, or folder with a DICOM series of CT')
    add('--labels', metavar='FILE', help='segmentation in the space of the moving image')
    add('--interpolator', default='linear', choices=['linear', 'bspline'], help='for --image')


def add_points_options(add):
    """Points to apply results to, or to follow through a sequence."""
    add('--points', metavar='FILE',
        help='points in the fixed image (with --apply and --inverse: in the moving one): DIR-Lab, elastix, CSV, .fcsv, '
             '.mrk.json; with --sequence: their trajectories')
    add('--points_format', metavar='NAME', help='if it cannot be detected: dirlab, elastix_index, elastix_point')
# fmt: on


def asked(arguments):
    """The command of a command line, or None.

    :raises InputError: several commands, or options of another one.
    """
    given = [name for name in COMMANDS if getattr(arguments, name) is not None]
    if len(given) > 1:
        raise InputError(f'--{" and --".join(given)} exclude each other; give one of them.')
    subjects = [name for name in _SUBJECTS if getattr(arguments, name) is not None]
    if subjects and given != ['apply'] and (given != ['sequence'] or subjects != ['points']):
        raise InputError(f'--{subjects[0]} goes with --apply RESULTS.')
    if given == ['apply'] and len(subjects) != 1:
        raise InputError('--apply needs one of --image, --labels and --points.')
    if arguments.output and not PATH.accepts(arguments.output):  # before the networks are opened
        raise InputError(PATH.problem('--output', arguments.output))
    if given and given != ['apply'] and not arguments.output:
        raise InputError(f'--{given[0]} needs --output FOLDER for the results.')
    if (given == ['sequence']) != (arguments.to is not None):
        raise InputError('--sequence and --to PHASE go together.')
    return given[0] if given else None


def run(arguments, result):
    """Run the command of a command line (see :func:`asked`).

    :param result: dictionary that gets what a program may want to know: paths, states, measures.
    :raises RegNetError: what is wrong, in one sentence; with --pairs and --sequence after all were tried.
    """
    work = {'register': _register, 'pairs': _pairs, 'sequence': _sequence, 'apply': _apply}
    work[asked(arguments)](arguments, result)


def _options(arguments):
    """Options of :func:`functions.registration.pair_lists.register_into`."""
    names = (
        'affine',
        'input_mask',
        'composition',
        'diffeomorphic',
        'both_ways',
        'refine',
        'keep_all_stages',
        'threads',
        'inverse',
        'overwrite',
        'verify',
    )
    grid = 'isotropic' if arguments.isotropic else 'native'
    own = {'grid': grid, 'file_format': arguments.format, 'exports': arguments.export}
    own['error_map'] = not arguments.no_error_map
    own['symmetric'] = symmetric_passes(arguments)
    return dict({name: getattr(arguments, name) for name in names}, **own)


def symmetric_passes(arguments):
    """What --symmetric says: True or False; None where it is not given."""
    return {'yes': True, 'no': False, None: None}[arguments.symmetric]


def _given(arguments, names):
    """Name -> value of those options that are given."""
    return {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}


def _model(arguments):
    """The opened :class:`functions.registration.network_pyramid.Model`."""
    from .network_pyramid import open_model

    memory = None if arguments.memory is None else arguments.memory * 1e9
    if memory is not None and not memory > 0:
        raise InputError(f'--memory {arguments.memory:g} is not possible; give GB, above 0.')
    model = arguments.model or DEFAULT_SET
    return open_model(model, arguments.stages, arguments.threads, memory, arguments.precision or 'float32')


def _register(arguments, result):
    from ..image.file_check import require_readable

    files = dict(_given(arguments, MASKS), fixed=arguments.register[0], moving=arguments.register[1])
    for path in files.values():  # before the networks are opened
        if not os.path.exists(path):
            raise MissingFileError(f'{path} does not exist.')
        if not os.path.isdir(path):
            require_readable(path)
    from .exports import require_exportable
    from .pair_lists import register_into

    files.update(_given(arguments, SERIES))
    options = _options(arguments)
    require_exportable(options['exports'], files['fixed'], options['grid'])
    with _model(arguments) as model:
        found, record = register_into(arguments.output, files, model, **options)
    if found is None:
        LOGGER.info('%s already holds these results; nothing was done (--overwrite makes them again)', arguments.output)
    else:
        LOGGER.info('Results in %s; transformix takes %s', arguments.output, record['transformix'])
    state = 'was done' if found is None else 'done'
    result.update(output=arguments.output, state=state, **{key: record.get(key) for key in ('measures', 'transformix')})
    _require_all(arguments, {arguments.output: record.get('measures')})


def _pairs(arguments, result):
    from ..image.file_check import require_apart
    from ..setting.result_names import pairs_record
    from .pair_lists import read_pairs, register_pairs, require_done

    for name in _given(arguments, MASKS + SERIES):
        raise InputError(f'--{name} is for --register; with --pairs, masks and series are columns of the CSV file.')
    pairs = read_pairs(arguments.pairs)
    require_apart([os.path.join(arguments.output, pairs_record(arguments.part))], [arguments.pairs])
    with _model(arguments) as model:
        outcomes = register_pairs(pairs, arguments.output, model, arguments.part, **_options(arguments))
    result.update(output=arguments.output, pairs=[outcome._asdict() for outcome in outcomes])
    require_done(outcomes, 'pairs')
    _require_all(arguments, {outcome.name: outcome.measures for outcome in outcomes})


def _sequence(arguments, result):
    from .sequence import chosen_phase, read_phases, register_sequence

    for name in _given(arguments, MASKS + SERIES):
        raise InputError(f'--{name} is for --register.')
    phases = read_phases(arguments.sequence, arguments.output)
    to = chosen_phase(phases, arguments.to)
    points = None if arguments.points is None else (arguments.points, arguments.points_format)
    with _model(arguments) as model:
        paths, outcomes = register_sequence(phases, to, arguments.output, model, points, **_options(arguments))
    LOGGER.info('Results in %s: %s', arguments.output, ', '.join(os.path.basename(path) for path in paths))
    result.update(output=arguments.output, to=to.name, phases=[one._asdict() for one in outcomes], written=paths)
    _require_all(arguments, {outcome.name: outcome.measures for outcome in outcomes})


def _require_all(arguments, measures):
    """With --strict, raise :class:`LeftOutError` if something was left out of a registration."""
    # Records of older versions have no such entries.
    left_out = {name: (found or {}).get('left_out') for name, found in measures.items()}
    left_out = [f'{name}: {"; ".join(reasons)}' for name, reasons in left_out.items() if reasons]
    if arguments.strict and left_out:
        raise LeftOutError(f'The results are written, but without (--strict): {", ".join(left_out)}.')


def _apply(arguments, result):
    from . import apply

    common = {'output': arguments.output, 'overwrite': arguments.overwrite, 'inverse': arguments.inverse}
    if arguments.points is not None:
        found = apply.apply_to_points(arguments.apply, arguments.points, file_format=arguments.points_format, **common)
        result.update(output=found[0], residual_mm=found[1])
    elif arguments.labels is not None:
        path, how = arguments.labels, {'interpolator': 'nearest', 'default': 0}
        result['output'] = apply.apply_to_image(arguments.apply, path, **how, **common)
    else:
        how = {'interpolator': arguments.interpolator}
        result['output'] = apply.apply_to_image(arguments.apply, arguments.image, **how, **common)


def export(arguments, result):
    """Write networks for other programs; arguments of ``regnet export``, ``result`` as for :func:`run`."""
    from .export_networks import export_networks

    how = (arguments.format, arguments.stages, arguments.threads)
    record = export_networks(arguments.model, arguments.output, *how)
    LOGGER.info('Written to %s: %s', arguments.output, ', '.join(record['files']))
    result.update(output=arguments.output, files=list(record['files']))
